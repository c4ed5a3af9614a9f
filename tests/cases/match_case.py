"""Rules and packets whose answers real kernels gave, to be asked again where there is a kernel and replayed elsewhere.

The cases are in `tests.cases.matches`. A case is a chain, PREROUTING or FORWARD of mangle, and packets that come one
after the other. The kernel's answer to a packet is which rules it counted and what left
(`tests/recorded/<release>/matches.json`). `simulate` gives Tortie's own,
from the compiled tests and targets alone: no engine, no tracking, no routing.

The node has two TUN devices, e0 with 10.0.0.1/24 and fd00::1/64, e1 with 10.1.0.1/24 and fd00:1::1/64.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from msgspec.structs import replace

from tortie.codec.ipset import parse_ipsets
from tortie.codec.rule import parse_rule
from tortie.net.address import IPFamily
from tortie.net.node import Link
from tortie.net.packet import Packet
from tortie.net.wire import format_packet, parse_packet
from tortie.netfilter.hook import Backend, Hook
from tortie.netfilter.match import Match
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.answer import HOTDROP, Doubt
from tortie.simulator.context import Context
from tortie.simulator.ipset import index_sets
from tortie.simulator.match import compile_match
from tortie.simulator.match_history import initial_memory
from tortie.simulator.route import Router
from tortie.simulator.session import Session
from tortie.simulator.skb import Skb
from tortie.simulator.target import compile_target

LEGACY, NFT = Backend.LEGACY, Backend.NFT
BOTH = (LEGACY, NFT)


@dataclass(frozen=True, slots=True)
class Case:
    """`packets` are packets that come in by e0, or pairs of a device and a packet."""

    name: str
    rules: tuple[str, ...]
    packets: tuple[Packet | tuple[str, Packet], ...]
    sets: str = ""
    family: IPFamily = IPFamily.V4
    hook: Hook = Hook.PREROUTING
    backends: tuple[Backend, ...] = BOTH

    @property
    def shots(self) -> tuple[tuple[str, Packet], ...]:
        """Input device and packet, in order."""
        return tuple(one if isinstance(one, tuple) else ("e0", one) for one in self.packets)


@dataclass(frozen=True, slots=True)
class Result:
    """Numbers of the rules that counted a packet, and its bytes as it left; None when it was dropped."""

    hits: tuple[int, ...]
    out: bytes | None


def simulate(case: Case, backend: Backend) -> list[Result]:
    """What Tortie says of the packets, one after the other; a doubt fails an assertion."""
    links = tuple(Link(name, number, link_type="none") for number, name in enumerate(("lo", "e0", "e1"), 1))
    snapshot = Snapshot("case", ip_sets=parse_ipsets(case.sets), links=links)
    session = Session(index_sets(snapshot.ip_sets), clock_s=1_700_000_000)
    rules = []
    for number, text in enumerate(case.rules, 1):
        rule = parse_rule(text, case.family)
        contexts = [_context(case, backend, snapshot, number, place) for place in range(len(rule.matches) + 1)]
        for match, context in zip(rule.matches, contexts, strict=False):
            _remember(session, match, context)
        tests = [compile_match(match, context) for match, context in zip(rule.matches, contexts, strict=False)]
        rules.append((tests, compile_target(rule.target, contexts[-1]) if rule.target is not None else None))
    return [_simulate_one(case, rules, session, iface, packet) for iface, packet in case.shots]


def _context(case: Case, backend: Backend, snapshot: Snapshot, number: int, place: int) -> Context:
    return Context(case.family, backend, ("mangle", case.hook.value, number, place), cast(Router, None), snapshot)


def _remember(session: Session, match: Match, context: Context) -> None:
    """Gives a rule the memory it has when it was just loaded."""
    memory = initial_memory(match)
    if memory is not None:
        session.memory[context.place] = memory
    if type(match).__name__ == "RecentMatch":
        session.recent.setdefault(cast(Any, match).name, {})


def _simulate_one(case: Case, rules: Sequence[Any], session: Session, iface: str, packet: Packet) -> Result:
    forward = case.hook is Hook.FORWARD
    read = parse_packet(format_packet(packet))
    skb = Skb(replace(read, ttl=read.ttl - forward), session, in_iface=iface)
    skb.out_iface = {"e0": "e1", "e1": "e0"}[iface] if forward else ""
    skb.hook, skb.forwarded = case.hook, forward
    hits = []
    for number, (tests, effect) in enumerate(rules, 1):
        answer: object = True
        for test in tests:
            answer = test(skb)
            if answer is not True:
                break
        assert not isinstance(answer, Doubt), (case.rules[number - 1], answer)
        if answer is HOTDROP:
            return Result(tuple(hits), None)
        if answer is True:
            hits.append(number)
            hindrance = effect(skb) if effect is not None else None
            assert not isinstance(hindrance, Doubt)
            if hindrance is HOTDROP:
                return Result(tuple(hits), None)
    left = skb.packet if forward else replace(skb.packet, ttl=skb.packet.ttl - 1)
    return Result(tuple(hits), format_packet(left))


# --- recorded answers --------------------------------------------------------------------------------------------

RECORDED = Path(__file__).parents[1] / "recorded"
UNCHANGED = "as it was, one hop older"
DROPPED = "dropped"
Recorded = dict[str, dict[str, list[list[Any]]]]
"""By case and back-end: for each packet the rules that counted it, and its bytes as it left (or one of the two words)."""


def to_record(case: Case, results: Sequence[Result]) -> list[list[Any]]:
    """Results as they are written down."""
    rows = []
    for (_, packet), result in zip(case.shots, results, strict=True):
        out = DROPPED if result.out is None else result.out.hex()
        read = parse_packet(format_packet(packet))
        if result.out == format_packet(replace(read, ttl=read.ttl - 1)):
            out = UNCHANGED
        rows.append([list(result.hits), out])
    return rows


def recordings() -> dict[str, Recorded]:
    """Every kernel's answers, by its release."""
    files = sorted(RECORDED.glob("*/matches.json"))
    return {path.parent.name: json.loads(path.read_text()) for path in files}
