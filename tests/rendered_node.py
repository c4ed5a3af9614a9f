"""A node whose rules and sets are what is rendered from a view, ready for packets to be walked through it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tortie.calc.view import NodeView
from tortie.net.address import Address, IPFamily, Prefix, parse_prefix
from tortie.net.node import InterfaceAddress, Link, NextHop, PolicyRule, Route, RouteType
from tortie.net.packet import Packet
from tortie.netfilter.hook import Backend
from tortie.netfilter.ipset import IPSet
from tortie.netfilter.rule import Ruleset
from tortie.netfilter.snapshot import Snapshot
from tortie.render.config import RenderConfig
from tortie.render.ruleset import complete_ruleset, render_node
from tortie.render.state import NodeInterface, NodeState
from tortie.simulator.trace import Verdict
from tortie.simulator.walk import Arrival, Node, walk

OWN_ADDRESSES = tuple(parse_prefix(text) for text in ("10.20.0.1/32", "10.96.0.1/32", "fd00:20::1/128"))
"""Of eth0 and, 10.96.0.1, of a service that IPVS serves."""


def rendered_node(
    view: NodeView,
    config: RenderConfig,
    *,
    routes: Mapping[str, str],
    hosts: tuple[str, ...] = ("eth0",),
    ipvs: bool = False,
) -> Node:
    """A node that forwards: each network of `routes` by its interface, everything else by eth0."""
    own = frozenset({Address(IPFamily.V4, OWN_ADDRESSES[0].address)})
    interfaces = tuple(NodeInterface(name, own if name == "eth0" else frozenset()) for name in hosts)
    made = render_node(view, NodeState(interfaces, ipvs=ipvs), config)
    return node_of(
        (complete_ruleset(family, Backend.LEGACY) for family in made.families.values()),
        {name: one for family in made.families.values() for name, one in family.ip_sets.items()},
        routes=routes,
        hosts=hosts,
    )


def node_of(
    rulesets: Iterable[Ruleset],
    ip_sets: Mapping[str, IPSet],
    *,
    routes: Mapping[str, str],
    hosts: tuple[str, ...] = ("eth0",),
) -> Node:
    """The same around any rules and sets."""
    names = dict.fromkeys(("lo", *hosts, *routes.values()))
    links = tuple(
        Link(
            name,
            index,
            loopback=name == "lo",
            link_type="loopback" if name == "lo" else "ether",
            addresses=(InterfaceAddress(parse_prefix("10.20.0.1/24")),) if name == "eth0" else (),
        )
        for index, name in enumerate(names, start=1)
    )
    return Node.from_snapshot(
        Snapshot(
            "rendered",
            tuple(rulesets),
            dict(ip_sets),
            links=links,
            routes={family: _routes(family, routes) for family in IPFamily},
            policy_rules={
                family: (PolicyRule(family, 0, table="local"), PolicyRule(family, 32766, table="main"))
                for family in IPFamily
            },
            neighbours=(),
            sysctls={"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"},
            connections=(),
        )
    )


def _routes(family: IPFamily, given: Mapping[str, str]) -> tuple[Route, ...]:
    prefixes = {parse_prefix(text): interface for text, interface in given.items()}
    return (
        *(Route(own, (NextHop("eth0"),), RouteType.LOCAL, "local") for own in OWN_ADDRESSES if own.family is family),
        *(Route(net, (NextHop(interface),)) for net, interface in prefixes.items() if net.family is family),
        Route(Prefix(family, 0, 0), (NextHop("eth0"),)),
    )


def accepted(node: Node, packet: Packet, in_iface: str) -> bool:
    """Whether a packet gets through; a walk that cannot tell is a failure."""
    result = walk(node, Arrival(packet, in_iface=in_iface), keep_steps=False)
    assert result.verdict in (Verdict.ACCEPT, Verdict.DROP), result.outcomes[0].decided_by
    return result.verdict is Verdict.ACCEPT
