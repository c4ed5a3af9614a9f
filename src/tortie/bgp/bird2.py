"""Configuration for BIRD 2: one daemon and one file for both families.

The meaning is that of Calico's files for BIRD 1.6 (`bird1`); what BIRD 2 says of a family stands in a channel, and
both families share their names, so those of IPv6 have a suffix. Source: BIRD 2.0's manual, chapters 5 and 6. BIRD 1.6
keeps the subnets of interfaces out of the kernel, which has them already; BIRD 2 must be told (tests/kernel/test_bird.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from tortie.bgp import route_filter
from tortie.bgp.bird1 import block, interface_pattern, log_lines, peer_lines, static_lines
from tortie.bgp.route_filter import TunnelWord
from tortie.bgp.speaker import Speaker
from tortie.net.address import IPFamily

MAIN_FILE = "bird.conf"
_SUFFIXES = {IPFamily.V4: "", IPFamily.V6: "_v6"}
_CHANNELS = {IPFamily.V4: "ipv4", IPFamily.V6: "ipv6"}


def bird2_files(speaker: Speaker) -> dict[str, str]:
    """File name to text."""
    return {MAIN_FILE: "".join(f"{line}\n" for line in _lines(speaker))}


def _lines(speaker: Speaker) -> Iterator[str]:
    log = log_lines(speaker.log_level)
    yield f"router id {speaker.router_id};"
    for family, suffix in _SUFFIXES.items():
        yield from route_filter.aggregation_lines(speaker, family, suffix)
        yield from route_filter.announced_lines(speaker, family, suffix)
    yield from route_filter.installed_lines(speaker, TunnelWord.UNKNOWN, ("if source = RTS_DEVICE then reject;",))
    for family in IPFamily:
        yield from _kernel(family)
    yield from block("protocol device", (*log, "scan time 2;"))
    yield from block(
        "protocol direct", (*log, "ipv4;", "ipv6;", f"interface {interface_pattern(speaker.workload_prefixes)};")
    )
    for family in IPFamily:
        routes = static_lines(speaker, family)
        if routes:
            yield from block(f"protocol static static_{_CHANNELS[family]}", (f"{_CHANNELS[family]};", *routes))
    for family in IPFamily:
        yield from _sessions(speaker, family)


def _kernel(family: IPFamily) -> Iterator[str]:
    channel = _CHANNELS[family]
    exported = f"filter {route_filter.INSTALLED}" if family is IPFamily.V4 else "where source != RTS_DEVICE"
    body = (
        "learn;",
        "persist;",
        "scan time 2;",
        "graceful restart on;",
        *block(channel, ("import all;", f"export {exported};"), "};"),
    )
    yield from block(f"protocol kernel kernel_{channel}", body)


def _sessions(speaker: Speaker, family: IPFamily) -> Iterator[str]:
    address = speaker.address(family)
    if address is None:
        yield f"# {speaker.node} has no IPv{family.value} address: no BGP"
        return
    suffix = _SUFFIXES[family]
    channel = ("gateway recursive;", "import all;", f"export filter {route_filter.ANNOUNCED}{suffix};", "add paths on;")
    template = (
        *log_lines(speaker.log_level),
        'description "Connection to BGP peer";',
        f"local {address} as {speaker.as_number};",
        "multihop;",
        "graceful restart on;",
        "connect delay time 2;",
        "connect retry time 5;",
        "error wait time 5,30;",
        *block(_CHANNELS[family], channel, "};"),
    )
    yield from block(f"template bgp bgp_template{suffix}", template)
    for peer in speaker.peers_of(family):
        yield from block(f"protocol bgp {peer.name} from bgp_template{suffix}", peer_lines(peer, speaker.cluster_id))
