"""What is announced, and what gets into the kernel, in BIRD's filter language, which BIRD 1.6 and 2 share.

The order inside a filter decides (spec: model 9.6, 9.7): a node's confirmed blocks go out whole and their parts do not,
then all of the pools does (a borrowed address, or one in a block that is not confirmed, on its own), and nothing else.

`krt_tunnel` is a word of Calico's own BIRD alone. Without it nobody can tell BIRD that a route leads into the IPIP tunnel,
and the same route without the tunnel would send pods' packets where the fabric does not know them: it is kept out of the
kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import assert_never

from tortie.bgp.speaker import PoolNetwork, Speaker, Tunnel
from tortie.net.address import IPFamily

AGGREGATION = "calico_aggr"
ANNOUNCED = "calico_export_to_bgp_peers"
INSTALLED = "calico_kernel_programming"
IPIP_DEVICE = "tunl0"


class TunnelWord(Enum):
    """Whether the BIRD that reads the configuration knows `krt_tunnel`."""

    KNOWN = "known"
    UNKNOWN = "unknown"


def aggregation_lines(speaker: Speaker, family: IPFamily, suffix: str = "") -> Iterator[str]:
    """The function that lets own blocks out as a whole and keeps their addresses in."""
    yield f"function {AGGREGATION}{suffix}()"
    yield "{"
    for block in speaker.blocks:
        if block.cidr.family is not family:
            continue
        if block.confirmed:
            yield f"  if ( net = {block.cidr} ) then {{ accept; }}"
            yield f"  if ( net ~ {block.cidr} ) then {{ reject; }}"
        else:
            yield f"  # {block.cidr} is not confirmed yet: its addresses go out one by one"
    yield "}"


def announced_lines(speaker: Speaker, family: IPFamily, suffix: str = "") -> Iterator[str]:
    """The filter in front of every peer."""
    yield f"filter {ANNOUNCED}{suffix}"
    yield "{"
    yield f"  {AGGREGATION}{suffix}();"
    nets = (*speaker.static_routes, *(pool.cidr for pool in speaker.pools))
    for net in nets:
        if net.family is family:
            yield f"  if ( net ~ {net} ) then {{ accept; }}"
    yield "  reject;"
    yield "}"


def installed_lines(speaker: Speaker, tunnel_word: TunnelWord, before: tuple[str, ...] = ()) -> Iterator[str]:
    """The filter in front of the kernel's IPv4 routes, with what the release of BIRD wants `before` all else."""
    yield f"filter {INSTALLED}"
    yield "{"
    yield from (f"  {line}" for line in before)
    if speaker.subnet is not None:
        for net in speaker.rejected:
            if net.family is IPFamily.V4:
                yield f"  if ( net ~ {net} ) then {{ reject; }}"
        for pool in speaker.pools:
            if pool.cidr.family is IPFamily.V4:
                yield f"  if ( net ~ {pool.cidr} ) then {{"
                yield from (f"    {line}" for line in _pool_lines(pool, str(speaker.subnet), tunnel_word))
                yield "  }"
    yield "  accept;"
    yield "}"


def _pool_lines(pool: PoolNetwork, subnet: str, tunnel_word: TunnelWord) -> Iterator[str]:
    in_subnet = f"defined(bgp_next_hop) && ( bgp_next_hop ~ {subnet} )"
    known = tunnel_word is TunnelWord.KNOWN
    match pool.tunnel:
        case Tunnel.VXLAN:
            yield "# the agent has the routes into the VXLAN tunnel"
            yield "reject;"
        case Tunnel.IPIP_CROSS_SUBNET if known:
            yield f'if {in_subnet} then krt_tunnel = ""; else krt_tunnel = "{IPIP_DEVICE}";'
            yield "accept;"
        case Tunnel.IPIP_CROSS_SUBNET:
            yield "# this BIRD has no routes into the IPIP tunnel"
            yield f"if ! defined(bgp_next_hop) || ( bgp_next_hop ~ {subnet} ) then accept; else reject;"
        case Tunnel.IPIP if known:
            yield f'krt_tunnel = "{IPIP_DEVICE}";'
            yield "accept;"
        case Tunnel.IPIP:
            yield "# this BIRD has no routes into the IPIP tunnel"
            yield "if defined(bgp_next_hop) then reject; else accept;"
        case Tunnel.NONE:
            if known:
                yield 'krt_tunnel = "";'
            yield "accept;"
        case _:
            assert_never(pool.tunnel)
