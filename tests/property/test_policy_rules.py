"""What is rendered decides as the Calico rules say: a packet walked through the rules meets the verdict of `decide`.

`decide` reads the rules as their meaning is written down (spec: model 4.5, 6.3) and knows nothing of marks, blocks or
iptables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rendered_node import accepted, rendered_node
from tests.strategies.view import SETS, active_rules, all_packets, crowded_rules
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
from tortie.net.address import Address, IPFamily, Prefix
from tortie.net.packet import Packet
from tortie.net.protocol import parse_protocol
from tortie.render.config import RenderConfig
from tortie.simulator.walk import Node

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


# --- the agreement -----------------------------------------------------------------------------------------------


def node(rules: Rules, profile: Rules) -> Node:
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
    return rendered_node(view, CONFIG, routes={"10.65.0.2/32": "cali1", "fd00:65::2/128": "cali1"})


PACKETS = {(family, to_pod): all_packets(family, to_pod=to_pod) for family in IPFamily for to_pod in (True, False)}


@pytest.mark.parametrize("family", IPFamily)
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
            assert accepted(made, packet, "eth0" if to_pod else "cali1") == decide(rules, profile, packet)


def nearly_decided(rules: Rules, packet: Packet) -> bool:
    """True when some rule would hold if it asked nothing of one side."""
    anything = RuleSide()
    return any(
        rule_holds(replace(rule, source=anything), packet) or rule_holds(replace(rule, destination=anything), packet)
        for rule in rules
    )


def few_of(choice: Sequence[Packet]) -> st.SearchStrategy[list[Packet]]:
    return st.lists(st.sampled_from(choice), min_size=3, max_size=3)
