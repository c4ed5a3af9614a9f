"""A question to one rule, in a line: its text, the packet, and what the kernel would know beside it."""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.cases.matches import v4
from tests.node_builder import node
from tortie.codec.ipset import parse_ipsets
from tortie.codec.rule import parse_rule
from tortie.net.address import IPFamily
from tortie.net.packet import Packet
from tortie.netfilter.conntrack import ConnTuple
from tortie.netfilter.hook import Backend
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.answer import Answer, Hindrance
from tortie.simulator.connection import Connection
from tortie.simulator.context import Context
from tortie.simulator.ipset import index_sets
from tortie.simulator.match import compile_match, explain_match
from tortie.simulator.route import Router
from tortie.simulator.session import Session
from tortie.simulator.skb import Skb
from tortie.simulator.target import compile_target, describe_effect


@cache
def _router(family: IPFamily) -> Router:
    return Router(node().snapshot, family)


def snapshot_with(sets: str | None = "", **fields: Any) -> Snapshot:
    """The usual node with sets in the words of `ipset restore`; None for a snapshot without any."""
    bare = node().snapshot
    given = {"links": bare.links, "routes": bare.routes, "sysctls": bare.sysctls, **fields}
    if "ip_sets" not in given:
        given["ip_sets"] = None if sets is None else parse_ipsets(sets)
    return Snapshot("test", **given)


class Question:
    """One rule on one node, to be asked about packets one after the other."""

    def __init__(
        self,
        rule: str,
        *,
        sets: str | None = "",
        family: IPFamily = IPFamily.V4,
        backend: Backend = Backend.LEGACY,
        **fields: Any,
    ) -> None:
        self.rule = parse_rule(rule, family)
        self.snapshot = snapshot_with(sets, **fields)
        self.session = Session(index_sets(self.snapshot.ip_sets), clock_s=1_700_000_000)
        self.contexts = [
            Context(family, backend, ("mangle", "X", 1, place), _router(family), self.snapshot)
            for place in range(len(self.rule.matches) + 1)
        ]
        self.tests = [compile_match(match, self.contexts[place]) for place, match in enumerate(self.rule.matches)]

    def skb(self, packet: Packet | None = None, **fields: Any) -> Skb:
        """A packet on its way, in by e0 unless said."""
        skb = Skb(packet if packet is not None else v4(), self.session, in_iface="e0")
        for name, value in fields.items():
            setattr(skb, name, value)
        return skb

    def ask(self, packet: Packet | None = None, **fields: Any) -> Answer:
        """The answer of the first test that does not hold, else yes."""
        return self.ask_about(self.skb(packet, **fields))

    def ask_about(self, skb: Skb) -> Answer:
        """As `ask`, for a packet made before."""
        for test in self.tests:
            answer = test(skb)
            if answer is not True:
                return answer
        return True

    def why(self, packet: Packet | None = None, **fields: Any) -> str:
        """The explanation of the first test that does not hold, else of all of them."""
        skb = self.skb(packet, **fields)
        reasons = []
        for test, match, context in zip(self.tests, self.rule.matches, self.contexts, strict=False):
            holds = test(skb) is True
            text = explain_match(match, skb, context, holds=holds)
            if not holds:
                return text
            reasons.append(text)
        return "; ".join(text for text in reasons if text)

    def run(self, skb: Skb) -> tuple[Hindrance | None, str]:
        """Runs the rule's target; what hindered it, and what it says it did."""
        assert self.rule.target is not None
        packet, mark = skb.packet, skb.mark
        hindrance = compile_target(self.rule.target, self.contexts[-1])(skb)
        return hindrance, describe_effect(self.rule.target, mark, packet, skb)


def ask(
    rule: str, packet: Packet | None = None, *, sets: str | None = "", backend: Backend = Backend.LEGACY, **fields: Any
) -> Answer:
    """What a rule's tests say to one packet; the family is the packet's."""
    family = packet.family if packet is not None else IPFamily.V4
    return Question(rule, sets=sets, family=family, backend=backend).ask(packet, **fields)


def why(
    rule: str, packet: Packet | None = None, *, sets: str | None = "", backend: Backend = Backend.LEGACY, **fields: Any
) -> str:
    """Why a rule's tests hold or fail."""
    family = packet.family if packet is not None else IPFamily.V4
    return Question(rule, sets=sets, family=family, backend=backend).why(packet, **fields)


def connection(packet: Packet | None = None, **fields: Any) -> Connection:
    """The connection that a packet opens."""
    one = packet if packet is not None else v4()
    forth = ConnTuple(one.family, one.proto, one.src, one.dst, one.sport, one.dport)
    made = Connection(forth, ConnTuple(one.family, one.proto, one.dst, one.src, one.dport, one.sport))
    for name, value in fields.items():
        setattr(made, name, value)
    return made
