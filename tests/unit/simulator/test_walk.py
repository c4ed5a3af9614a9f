"""The front door: outcomes, sessions, missing parts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.node_builder import V4, left_as, node, packet, walk_packet
from tortie.net.error import InvalidInput
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.trace import Cause, Disposition, Verdict
from tortie.simulator.walk import Arrival, Node, walk, walk_all

UDP = packet("udp", "10.0.0.5:1", "10.1.0.9:2")
TRACKED = "*filter\n:FORWARD ACCEPT\n-A FORWARD -m conntrack --ctstate NEW"


def only_rules(rules: str = "*filter\n:INPUT ACCEPT\n:FORWARD DROP\n-A FORWARD -o e1 -j ACCEPT") -> Node:
    """A node of which nothing is known but its IPv4 rules."""
    snapshot = node(rules).snapshot
    return Node.from_snapshot(Snapshot("rules only", tuple(one for one in snapshot.rulesets if one.family is V4)))


def test_a_session_carries_connections_from_packet_to_packet() -> None:
    made = node(TRACKED)
    session = made.session()
    walk(made, Arrival(UDP, "e0"), session)
    assert len(session.connections) == 1
    walk(made, Arrival(UDP, "e0"))
    assert len(session.connections) == 1, "a walk without a session leaves none behind"


def test_nothing_is_committed_until_the_caller_says_which_outcome() -> None:
    made = node(TRACKED + "\n-A FORWARD -m statistic --mode random --probability 0.5 -j DROP")
    session = made.session()
    walked, sessions = walk_all(made, Arrival(UDP, "e0"), session)
    assert [one.verdict for one in walked.outcomes] == [Verdict.DROP, Verdict.ACCEPT]
    assert session.connections == ()
    sessions[1].commit()
    assert len(session.connections) == 1


def test_without_steps_the_outcome_is_the_same() -> None:
    made = node(TRACKED)
    kept, bare = (walk(made, Arrival(UDP, "e0"), keep_steps=keep) for keep in (True, False))
    assert kept.trace.steps
    assert not bare.trace.steps
    assert (kept.verdict, kept.trace.out, kept.trace.decided_by) == (bare.verdict, bare.trace.out, bare.trace.decided_by)


def test_an_unknown_interface_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidInput, match=r"no interface 'e9'.*it has lo, e0, e1"):
        walk_packet(node(), UDP, "e9")


def test_too_many_forks_leave_the_verdict_open() -> None:
    rules = "\n".join(f"-A FORWARD -m statistic --mode random --probability 0.5 -j MARK --set-mark {n}" for n in range(8))
    walked = walk_packet(node(f"*filter\n:FORWARD ACCEPT\n*mangle\n:FORWARD ACCEPT\n{rules}"), UDP)
    assert (walked.verdict, walked.complete) == (Verdict.MAYBE, False)


# --- parts that are missing --------------------------------------------------------------------------------------


def test_without_rules_of_the_family_nothing_is_known() -> None:
    walked = walk(only_rules(), Arrival(packet("udp", "[fd00::5]:1", "[fd00:1::9]:2"), "e0"))
    assert (walked.verdict, walked.trace.decided_by.cause) == (Verdict.UNKNOWN, Cause.MISSING)


def test_without_routes_a_walk_goes_both_ways() -> None:
    walked = walk(only_rules(), Arrival(UDP, "e0"))
    assert walked.verdict is Verdict.UNKNOWN
    assert {one.conditions[0].option for one in walked.outcomes} == {"forward", "local"}


def test_an_output_device_that_is_said_takes_the_place_of_routes() -> None:
    walked = walk(only_rules(), Arrival(UDP, "e0", out_iface="e1"))
    assert (walked.verdict, left_as(walked.trace)) == (Verdict.ACCEPT, "e1 10.0.0.5:1>10.1.0.9:2")
    assert any("as was said" in text for text in walked.trace.assumptions)


def test_a_set_that_is_not_there_leaves_the_walk_unknown() -> None:
    made = node("*filter\n:FORWARD ACCEPT\n-A FORWARD -m set --match-set gone src -j DROP")
    assert walk_packet(made, UDP).verdict is Verdict.UNKNOWN
    without = Node.from_snapshot(replace(made.snapshot, ip_sets=None))
    assert walk_packet(without, UDP).verdict is Verdict.UNKNOWN


def test_a_masqueraded_source_that_is_not_known_is_said_to_be() -> None:
    made = only_rules("*nat\n:PREROUTING ACCEPT\n:POSTROUTING ACCEPT\n-A POSTROUTING -j MASQUERADE")
    trace = walk(made, Arrival(UDP, "e0", out_iface="e1")).trace
    assert trace.out is not None
    assert not trace.out.source_known
    assert any("masqueraded source" in text for text in trace.assumptions)


def test_a_local_packet_needs_no_input_device() -> None:
    trace = walk_packet(node(), packet("udp", "10.0.0.1:1", "10.1.0.9:2"), None).trace
    assert (trace.in_iface, trace.disposition) == (None, Disposition.SENT)
