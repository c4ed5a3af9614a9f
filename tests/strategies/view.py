"""Calico rules and packets drawn from a small world, so that they often meet.

Rules are what passes the original's validation (spec: model 6.1): ports only with TCP or UDP. Nets of both families mix.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

from hypothesis import strategies as st

from tortie.calc.view import ActiveRule, IcmpTest, NetSet, PortMember, PortRange, PortSet, Protocol, RuleAction, RuleSide
from tortie.net.address import IPFamily, Prefix, parse_address, parse_prefix
from tortie.net.packet import Packet
from tortie.net.protocol import ICMP, ICMPV6, SCTP, TCP, UDP

POD = {IPFamily.V4: parse_address("10.65.0.2").value, IPFamily.V6: parse_address("fd00:65::2").value}
"""The addresses of the one workload."""
_PEERS = "10.0.0.1 10.0.0.130 10.1.0.1 10.1.0.130 fd00::1 fd00::8001 fd00:1::1"
PEERS = {
    family: tuple(found.value for found in map(parse_address, _PEERS.split()) if found.family is family)
    for family in IPFamily
}
"""The addresses of everybody else."""
_NETS = """
0.0.0.0/0 10.0.0.0/8 10.0.0.0/24 10.0.0.0/25 10.0.0.1/32 10.1.0.0/24 10.1.0.130/32 10.65.0.0/24 10.65.0.2/32
::/0 fd00::/16 fd00::/64 fd00::8000/113 fd00::1/128 fd00:1::/64 fd00:65::/64 fd00:65::2/128
"""
NETS = tuple(parse_prefix(text) for text in _NETS.split())
SETS: dict[str, NetSet | PortSet] = {
    one.id: one
    for one in (
        NetSet("s:none"),
        NetSet("s:some", frozenset(parse_prefix(text) for text in ("10.0.0.0/25", "10.65.0.2/32", "fd00::/64"))),
        NetSet("s:most", frozenset(parse_prefix(text) for text in ("0.0.0.0/1", "::/1", "8000::/1"))),
        PortSet(
            "n:tcp",
            frozenset(
                PortMember(parse_address(text), "tcp", 2) for text in ("10.0.0.1", "10.65.0.2", "fd00::1", "fd00:65::2")
            ),
        ),
        PortSet("n:udp", frozenset(PortMember(parse_address(text), "udp", 3) for text in ("10.65.0.2", "fd00:65::2"))),
    )
}
_NET_SETS = tuple(name for name in SETS if name.startswith("s:"))
_PORT_SETS = tuple(name for name in SETS if name.startswith("n:"))

_ports = st.integers(1, 6)
_icmp_tests = st.builds(IcmpTest, st.sampled_from([8, 3, 128, 1]), st.none() | st.integers(0, 1))


@st.composite
def port_ranges(draw: st.DrawFn) -> PortRange:
    """A port or a range among the first few."""
    first = draw(_ports)
    return PortRange(first, draw(st.integers(first, 6)))


def _sometimes(item: st.SearchStrategy[Any], most: int = 3, *, rarely: bool = False) -> st.SearchStrategy[tuple[Any, ...]]:
    """Often nothing, else up to `most` of an item."""
    some = st.lists(item, min_size=1, max_size=most).map(tuple)
    chances = 12 if rarely else 4
    return st.sampled_from(range(chances)).flatmap(lambda chance: some if chance == chances - 1 else st.just(()))


@st.composite
def rule_sides(draw: st.DrawFn, *, ports: bool, nets: tuple[Prefix, ...]) -> RuleSide:
    """A source or destination, with ports if the protocol has them."""
    some_nets = st.sampled_from(nets)
    side = RuleSide(
        nets=draw(_sometimes(some_nets, 4)),
        ip_sets=draw(_sometimes(st.sampled_from(_NET_SETS), 1)),
        not_nets=draw(_sometimes(some_nets, rarely=True)),
        not_ip_sets=draw(_sometimes(st.sampled_from(_NET_SETS), 1, rarely=True)),
    )
    if not ports:
        return side
    numeric = _sometimes(port_ranges(), 4) | st.tuples(*[port_ranges()] * 8)
    return replace(
        side,
        ports=draw(numeric),
        named_port_sets=draw(_sometimes(st.sampled_from(_PORT_SETS), 2)),
        not_ports=draw(_sometimes(port_ranges(), rarely=True)),
        not_named_port_sets=draw(_sometimes(st.sampled_from(_PORT_SETS), 2, rarely=True)),
    )


@st.composite
def crowded_rules(draw: st.DrawFn, family: IPFamily) -> ActiveRule:
    """A rule with more lists than one iptables rule can hold."""
    nets = st.lists(st.sampled_from([net for net in NETS if net.family is family]), min_size=2, max_size=3).map(tuple)

    def side() -> RuleSide:
        ports, named = draw(_sometimes(port_ranges(), 2)), draw(_sometimes(st.sampled_from(_PORT_SETS), 2))
        if draw(st.booleans()):
            ports, named = (*ports, draw(port_ranges())), (*named, "n:tcp")
        return RuleSide(draw(nets), ports, (), named, draw(_sometimes(st.sampled_from(NETS), 2)))

    return ActiveRule(draw(st.sampled_from(RuleAction)), family, "tcp", source=side(), destination=side())


@st.composite
def active_rules(draw: st.DrawFn, family: IPFamily) -> ActiveRule:
    """A rule of a policy or profile, mostly for one family."""
    icmp, other = ("icmp", "icmpv6") if family is IPFamily.V4 else ("icmpv6", "icmp")
    protocol: Protocol | None = draw(st.sampled_from([None, None, "tcp", "tcp", 6, "udp", 17, icmp, icmp, other, "sctp"]))
    ports = protocol in ("tcp", 6, "udp", 17)
    tests_icmp = protocol in ("icmp", "icmpv6")
    version = {"icmp": IPFamily.V4, "icmpv6": IPFamily.V6}.get(str(protocol))
    own = tuple(net for net in NETS if net.family is family)
    nets = draw(st.sampled_from([*[own] * 9, NETS]))
    return ActiveRule(
        action=draw(st.sampled_from([RuleAction.ALLOW, *RuleAction])),
        ip_version=version if version is not None else draw(st.sampled_from([*[None] * 12, *IPFamily])),
        protocol=protocol,
        not_protocol=draw(st.sampled_from([*[None] * 9, "tcp", 17, "sctp"])),
        source=draw(rule_sides(ports=ports, nets=nets)),
        destination=draw(rule_sides(ports=ports, nets=nets)),
        icmp=draw(st.none() | _icmp_tests) if tests_icmp else None,
        not_icmp=draw(st.none() | _icmp_tests) if tests_icmp else None,
    )


def all_packets(family: IPFamily, *, to_pod: bool) -> tuple[Packet, ...]:
    """Every first packet of a connection between the workload and somebody else that this small world has."""
    icmp = ICMP if family is IPFamily.V4 else ICMPV6
    kinds = (8, 3) if family is IPFamily.V4 else (128, 1)
    made = []
    for peer in PEERS[family]:
        src, dst = (peer, POD[family]) if to_pod else (POD[family], peer)
        for proto, flags in ((TCP, 2), (UDP, 0), (SCTP, 0)):
            for sport, dport in product((1, 2, 3, 6, 7), (1, 2, 3, 4, 5, 6, 7)):
                made.append(Packet(family, src, dst, proto, sport=sport, dport=dport, tcp_flags=flags))
        for kind, code in product(kinds, (0, 1)):
            made.append(Packet(family, src, dst, icmp, icmp_type=kind, icmp_code=code, payload=bytes(60)))
    return tuple(made)
