"""What is rendered decides as the Calico rules say: a packet walked through the rules meets the verdict of `decide`.

`decide` reads the rules as their meaning is written down (spec: model 4.5, 6.3) and knows nothing of marks, blocks or
iptables. Rendered with `felix_exact` the same holds but for the defect of Felix 3.7.5, for which a packet is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies.view import POD, SETS, active_rules, all_packets, crowded_rules
from tortie.calc.view import (
    ActivePolicy,
    ActiveProfile,
    ActiveRule,
    EndpointTier,
    IcmpTest,
    NetSet,
    NodeView,
    PortRange,
    PortSet,
    Protocol,
    RuleAction,
    RuleSide,
    WorkloadEndpoint,
    WorkloadId,
)
from tortie.net.address import Address, IPFamily, Prefix, parse_prefix
from tortie.net.node import InterfaceAddress, Link, NextHop, PolicyRule, Route, RouteType
from tortie.net.packet import Packet
from tortie.net.protocol import ICMP, TCP, parse_protocol
from tortie.netfilter.hook import Backend
from tortie.netfilter.snapshot import Snapshot
from tortie.render.config import RenderConfig
from tortie.render.ruleset import complete_ruleset, render_node
from tortie.render.state import NodeState
from tortie.simulator.trace import Verdict
from tortie.simulator.walk import Arrival, Node, walk

CONFIG = RenderConfig(disable_conntrack_invalid_check=True)
Rules = Sequence[ActiveRule]


# --- the meaning of rules ----------------------------------------------------------------------------------------


def decide(rules: Rules, profile: Rules, packet: Packet) -> bool:
    """Whether a policy with these rules, and then a profile, lets the packet through."""
    verdict = first_verdict(rules, packet)
    if verdict is RuleAction.NEXT_TIER:
        verdict = first_verdict(profile, packet)
    return verdict is RuleAction.ALLOW


def first_verdict(rules: Rules, packet: Packet) -> RuleAction | None:
    for rule in rules:
        if rule.action is not RuleAction.LOG and rule_holds(rule, packet):
            return rule.action
    return None


def rule_holds(rule: ActiveRule, packet: Packet) -> bool:
    for nets in (rule.source.nets, rule.source.not_nets, rule.destination.nets, rule.destination.not_nets):
        if nets and not any(net.family is packet.family for net in nets):
            return False
    return (
        rule.ip_version in (None, packet.family)
        and (rule.protocol is None or packet.proto == number(rule.protocol))
        and (rule.not_protocol is None or packet.proto != number(rule.not_protocol))
        and side_holds(rule.source, packet, packet.src, packet.sport)
        and side_holds(rule.destination, packet, packet.dst, packet.dport)
        and (rule.icmp is None or icmp_holds(rule.icmp, packet))
        and (rule.not_icmp is None or not icmp_holds(rule.not_icmp, packet))
    )


def number(protocol: Protocol) -> int:
    return protocol if isinstance(protocol, int) else parse_protocol(protocol)


def icmp_holds(test: IcmpTest, packet: Packet) -> bool:
    return packet.is_icmp and packet.icmp_type == test.type and test.code in (None, packet.icmp_code)


def side_holds(side: RuleSide, packet: Packet, address: int, port: int) -> bool:
    def in_net(nets: Sequence[Prefix]) -> bool:
        return any(net.family is packet.family and net.contains(address) for net in nets)

    def in_sets(ids: Sequence[str]) -> list[bool]:
        return [in_set(SETS[set_id]) for set_id in ids]

    def in_set(one: NetSet | PortSet) -> bool:
        if isinstance(one, NetSet):
            return in_net(tuple(one.members))
        return any(
            (member.address, number(member.protocol), member.port) == (Address(packet.family, address), packet.proto, port)
            for member in one.members
        )

    def in_ports(ranges: Sequence[PortRange]) -> bool:
        return any(span.first <= port <= span.last for span in ranges)

    wanted_ports = [in_ports(side.ports)] if side.ports else []
    choice = [*wanted_ports, *in_sets(side.named_port_sets)]
    return (
        (not side.nets or in_net(side.nets))
        and (not choice or any(choice))
        and all(in_sets(side.ip_sets))
        and not in_net(side.not_nets)
        and not in_ports(side.not_ports)
        and not any(in_sets(side.not_ip_sets))
        and not any(in_sets(side.not_named_port_sets))
    )


# --- the node ----------------------------------------------------------------------------------------------------


def node(rules: Rules, profile: Rules, *, felix_exact: bool = False, ipvs: bool = False) -> Node:
    """A node with one workload, to which the rules apply in both directions."""
    pod = WorkloadEndpoint(
        WorkloadId("k8s", "ns/pod", "eth0"),
        "cali1",
        profiles=("kns.ns",),
        tiers=(EndpointTier(("default.p",), ("default.p",)),),
    )
    view = NodeView(
        "node-1",
        workloads=(pod,),
        policies=(ActivePolicy("default.p", tuple(rules), tuple(rules)),),
        profiles=(ActiveProfile("kns.ns", tuple(profile), tuple(profile)),),
        ip_sets=tuple(SETS.values()),
    )
    made = render_node(view, NodeState(ipvs=ipvs), replace(CONFIG, felix_exact=felix_exact))
    return Node.from_snapshot(
        Snapshot(
            "drawn",
            tuple(complete_ruleset(family, Backend.LEGACY) for family in made.families.values()),
            {name: one for family in made.families.values() for name, one in family.ip_sets.items()},
            links=(
                Link("lo", 1, loopback=True, link_type="loopback"),
                Link("eth0", 2, addresses=(InterfaceAddress(parse_prefix("10.20.0.1/24")),)),
                Link("cali1", 3),
            ),
            routes={
                family: (
                    Route(Prefix(family, 1, family.bits), (NextHop("lo"),), RouteType.LOCAL, "local"),
                    Route(Prefix(family, POD[family], family.bits), (NextHop("cali1"),)),
                    Route(Prefix(family, 0, 0), (NextHop("eth0"),)),
                )
                for family in IPFamily
            },
            policy_rules={
                family: (PolicyRule(family, 0, table="local"), PolicyRule(family, 32766, table="main"))
                for family in IPFamily
            },
            neighbours=(),
            sysctls={"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"},
            connections=(),
        )
    )


def accepted(made: Node, packet: Packet, *, to_pod: bool) -> bool:
    result = walk(
        made,
        Arrival(packet, in_iface="eth0" if to_pod else "cali1"),
        keep_steps=False,
        assume={"raw:cali-PREROUTING:3": "miss"},
    )
    assert result.verdict in (Verdict.ACCEPT, Verdict.DROP), result.outcomes[0].decided_by
    return result.verdict is Verdict.ACCEPT


PACKETS = {(family, to_pod): all_packets(family, to_pod=to_pod) for family in IPFamily for to_pod in (True, False)}


@pytest.mark.parametrize("family", IPFamily)
@settings(max_examples=80)
@given(st.data())
def test_a_walk_through_the_rules_agrees_with_their_meaning(family: IPFamily, data: st.DataObject) -> None:
    rules = data.draw(st.lists(active_rules(family) | crowded_rules(family), min_size=1, max_size=5))
    profile = data.draw(st.lists(active_rules(family), max_size=2))
    made = node(rules, profile)
    for to_pod in (True, False):
        every = PACKETS[family, to_pod]
        decided = [packet for packet in every if first_verdict(rules, packet)] or every
        missed = [packet for packet in every if packet not in decided and nearly_decided(rules, packet)] or every
        for packet in (*data.draw(few_of(decided)), *data.draw(few_of(missed))):
            assert accepted(made, packet, to_pod=to_pod) == decide(rules, profile, packet)


def nearly_decided(rules: Rules, packet: Packet) -> bool:
    """True when some rule would hold if it asked nothing of one side."""
    anything = RuleSide()
    return any(
        rule_holds(replace(rule, source=anything), packet) or rule_holds(replace(rule, destination=anything), packet)
        for rule in rules
    )


def few_of(choice: Sequence[Packet]) -> st.SearchStrategy[list[Packet]]:
    return st.lists(st.sampled_from(choice), min_size=3, max_size=3)


THREE_BLOCKS = ActiveRule(
    protocol="tcp",
    source=RuleSide(nets=(parse_prefix("10.0.0.0/24"), parse_prefix("10.1.0.0/24"))),
    destination=RuleSide(
        nets=(parse_prefix("10.65.1.0/24"), parse_prefix("10.65.2.0/24")),
        ports=(PortRange(2, 2),),
        named_port_sets=("n:tcp",),
    ),
)


@pytest.mark.parametrize(("felix_exact", "expected"), [(True, True), (False, False)], ids=["exact", "corrected"])
def test_the_packet_that_felix_lets_through_although_its_destination_is_in_none_of_the_nets(
    felix_exact: bool, expected: bool
) -> None:
    """Blocks one (ports) and two (sources) hold, three (destinations) does not: the bit of block two is still set."""
    packet = Packet(IPFamily.V4, 0x0A000001, POD[IPFamily.V4], TCP, sport=40000, dport=2, tcp_flags=2)
    assert not decide([THREE_BLOCKS], [], packet)
    assert accepted(node([THREE_BLOCKS], [], felix_exact=felix_exact), packet, to_pod=True) is expected


@pytest.mark.parametrize("felix_exact", [True, False], ids=["exact", "corrected"])
def test_an_echo_request_is_told_from_other_icmp(felix_exact: bool) -> None:
    made = node([ActiveRule(ip_version=IPFamily.V4, protocol="icmp", icmp=IcmpTest(8))], [], felix_exact=felix_exact)
    for kind, expected in ((8, True), (13, False)):
        packet = Packet(IPFamily.V4, 0x0A000001, POD[IPFamily.V4], ICMP, icmp_type=kind, payload=bytes(12))
        assert accepted(made, packet, to_pod=True) is expected
