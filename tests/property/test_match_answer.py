"""Whatever is asked of whatever packet: every match answers, every no has a reason, and reasons change nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.node_builder import node
from tests.strategies.matches import all_matches
from tests.strategies.targets import all_targets
from tests.strategies.wire import packets
from tortie.codec.ipset import parse_ipsets
from tortie.net.address import IPFamily
from tortie.netfilter import target as t
from tortie.netfilter.hook import Backend, Hook
from tortie.netfilter.match import CtState, Direction, Side
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.answer import HOTDROP, Doubt
from tortie.simulator.connection import Connection
from tortie.simulator.conntrack import invert_tuple, packet_tuple
from tortie.simulator.context import Context
from tortie.simulator.ipset import index_sets
from tortie.simulator.match import compile_match, explain_match, is_stateful
from tortie.simulator.route import Router
from tortie.simulator.session import Session
from tortie.simulator.skb import Skb, Socket
from tortie.simulator.target import compile_target, describe_effect

FAMILIES = [pytest.param(family, id=family.name) for family in IPFamily]
PLACE = ("mangle", "X", 1, 0)
TYPES = [
    "hash:ip counters", "hash:net", "hash:ip,port", "hash:net,port", "hash:ip,port,net", "hash:net,iface", "hash:net,net",
    "hash:ip,mac", "hash:ip,mark", "hash:net,port,net", "hash:ip,port,ip",
]  # fmt: skip
_ENGINES_OWN = (
    t.Accept, t.Drop, t.Return, t.Queue, t.Jump, t.Goto, t.Reject, t.Snat, t.Dnat, t.Masquerade, t.Redirect, t.Netmap,
    t.Nfqueue, t.TproxyTarget, t.TeeTarget, t.SynproxyTarget,
)  # fmt: skip


SETS = ("one", "two", "gone")
"""Names of sets; the last one is not in the snapshot."""


@cache
def _bare(family: IPFamily) -> tuple[Snapshot, Router]:
    snapshot = node().snapshot
    return snapshot, Router(snapshot, family)


def _snapshot(family: IPFamily, data: st.DataObject) -> Snapshot:
    """The usual node with sets of some types."""
    word = "inet" if family is IPFamily.V4 else "inet6"
    lines = []
    for name in SETS[:-1]:
        kind, _, options = data.draw(st.sampled_from(TYPES)).partition(" ")
        lines.append(f"create {name} {kind} family {word} {options}".rstrip())
    return replace(_bare(family)[0], ip_sets=parse_ipsets("\n".join(lines) + "\n"))


def _fill(skb: Skb, context: Context) -> None:
    """Puts the packet into every set, so that lookups find something."""
    for name in SETS[:-1]:
        compile_target(t.SetTarget("add", name, (Side.SRC, Side.DST, Side.SRC)), context)(skb)


def _skb(family: IPFamily, session: Session, data: st.DataObject) -> Skb:
    packet = data.draw(packets(family))
    skb = Skb(
        packet,
        session,
        in_iface=data.draw(st.sampled_from(["", "e0", "e1", "lo", None])),
        mark=data.draw(st.integers(0, 9)),
    )
    skb.out_iface = data.draw(st.sampled_from(["", "e0", "e1", None]))
    skb.hook = data.draw(st.sampled_from(Hook))
    skb.local_output = skb.hook is Hook.OUTPUT
    skb.frame_type = data.draw(st.sampled_from(["unicast", "multicast", None]))
    skb.mac_source = data.draw(st.sampled_from([None, bytes(6), b"\2\0\0\0\0\1"]))
    skb.phys_in, skb.phys_out = data.draw(st.sampled_from(["", "b0"])), data.draw(st.sampled_from(["", "b1", None]))
    skb.socket = data.draw(st.sampled_from([None, Socket(), Socket(0, 0), Socket(5, None), Socket(has_file=False)]))
    skb.socket_known = skb.socket is not None or data.draw(st.booleans())
    skb.ct_state = data.draw(st.sampled_from([None, *CtState][:6]))
    key = packet_tuple(packet)
    answer = invert_tuple(key) if key is not None else None
    if key is not None and answer is not None and skb.ct_state in (CtState.NEW, CtState.ESTABLISHED, CtState.RELATED):
        skb.connection = Connection(key, answer)
        skb.connection.mark = data.draw(st.integers(0, 3))
        skb.connection.expected = skb.ct_state is CtState.RELATED
        skb.ct_direction = data.draw(st.sampled_from(Direction))
    return skb


def _state(skb: Skb) -> tuple[Any, ...]:
    session, connection = skb.session, skb.connection
    return (
        skb.packet, skb.mark, skb.frame_type, skb.template, skb.untracked, dict(session.memory), dict(session.counted),
        {name: dict(seen) for name, seen in session.recent.items()},
        {name: id(index) for name, index in (session.sets or {}).items()},
        connection.entry() if connection is not None else None,
    )  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
@examples(150)
@given(data=st.data())
def test_every_match_answers_and_says_why_not(family: IPFamily, data: st.DataObject) -> None:
    snapshot = _snapshot(family, data)
    match = data.draw(all_matches(family, SETS))
    context = Context(
        family, data.draw(st.sampled_from(Backend)), ("filter", "X", 1, 0), Router(snapshot, family), snapshot
    )
    skb = _skb(family, Session(index_sets(snapshot.ip_sets), clock_s=1e9), data)
    if data.draw(st.booleans()):
        _fill(skb, context)
    test = compile_match(match, context)
    before = _state(skb)
    answer = test(skb)
    assert answer is HOTDROP or isinstance(answer, bool | Doubt)
    if not is_stateful(match):
        assert _state(skb) == before
        assert test(skb) == answer
    after = _state(skb)
    if isinstance(answer, bool):
        reason = explain_match(match, skb, context, holds=answer)
        assert _state(skb) == after
        assert reason or answer
    if isinstance(answer, Doubt):
        assert answer.why and not answer.why.endswith(".")


@pytest.mark.parametrize("family", FAMILIES)
@examples(50)
@given(data=st.data())
def test_every_target_runs_and_tells_what_it_did(family: IPFamily, data: st.DataObject) -> None:
    snapshot = _snapshot(family, data)
    target = data.draw(all_targets(family, SETS, ("X",)).filter(lambda one: not isinstance(one, _ENGINES_OWN)))
    context = Context(family, Backend.LEGACY, PLACE, _bare(family)[1], snapshot)
    skb = _skb(family, Session(index_sets(snapshot.ip_sets)), data)
    packet, mark = skb.packet, skb.mark
    hindrance = compile_target(target, context)(skb)
    assert hindrance is None or hindrance is HOTDROP or isinstance(hindrance, Doubt)
    after = _state(skb)
    assert isinstance(describe_effect(target, mark, packet, skb), str)
    assert _state(skb) == after
