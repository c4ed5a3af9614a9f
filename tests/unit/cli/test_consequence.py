"""Packets before and after a change: who is cut off, and who is locked out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.golden.rewrite_plan import EDITS, report, snapshot
from tortie.cli.consequence import Change, Fate, packet_of
from tortie.net.address import IPFamily, parse_address
from tortie.netfilter.conntrack import ConnEntry, ConnTuple
from tortie.netfilter.snapshot import Snapshot
from tortie.reconcile.wanted import Held

V4 = IPFamily.V4
PREFIXES = ("cali",)


def value(text: str) -> int:
    return parse_address(text).value


def connection(src: str, dst: str, dport: int, *, sport: int = 5000, proto: int = 6) -> ConnEntry:
    way = ConnTuple(V4, proto, value(src), value(dst), sport, dport)
    back = ConnTuple(V4, proto, value(dst), value(src), dport, sport)
    return ConnEntry(way, back, seen_reply=True, assured=True, state="ESTABLISHED" if proto == 6 else None)


def change(edit: str, *connections: ConnEntry, given: Snapshot | None = None) -> Change:
    """The reference node, with these connections, after an edit of its resources."""
    before = replace(given or snapshot(), connections=connections)
    return Change(before, report(EDITS[edit]).changes.after)


CLIENT, WEB, DB = "192.170.21.2", "192.170.21.3", "192.170.21.4"


def fates(edit: str, *connections: ConnEntry) -> list[Fate]:
    return [one.fate for one in change(edit, *connections).conversations().found]


def test_a_connection_that_nothing_happens_to_is_not_told() -> None:
    assert fates("nothing-to-do", connection(CLIENT, WEB, 80)) == []


def test_a_connection_of_a_pod_that_goes_is_cut() -> None:
    assert fates("pod-gone", connection(CLIENT, WEB, 80)) == [Fate.CUT]


def test_a_connection_that_policy_no_longer_allows_goes_on() -> None:
    assert fates("policy-changed", connection(CLIENT, WEB, 80)) == [Fate.NOT_AGAIN]


def test_connections_to_one_port_are_one_conversation() -> None:
    some = [connection(CLIENT, WEB, 80, sport=port) for port in range(5000, 5007)]
    (found,) = change("policy-changed", *some).conversations().found
    assert (found.count, found.text) == (7, "tcp 192.170.21.2:5000 > 192.170.21.3:80 SYN")


def test_the_number_of_walks_is_bounded_and_that_is_said() -> None:
    some = [connection(CLIENT, WEB, port) for port in range(8000, 8010)]
    found = change("policy-changed", *some).conversations(most=3)
    assert (found.walked, found.known) == (3, 10)


def test_connections_that_nobody_knows_are_not_taken_for_none() -> None:
    before = replace(snapshot(), connections=None)
    found = Change(before, report(EDITS["pod-gone"]).changes.after).conversations()
    assert (found.walked, found.known, found.found) == (0, None, ())


def test_where_a_connection_arrives_that_cannot_be_told_is_said() -> None:
    bare = replace(snapshot(), routes={}, policy_rules={})
    found = change("pod-gone", connection("10.1.1.1", WEB, 80), given=bare).conversations()
    assert [one.fate for one in found.found] == [Fate.UNKNOWN]
    assert "the snapshot has no routes" in found.found[0].why


def test_connections_that_pass_by_the_rules_are_left_out() -> None:
    assert fates("pod-gone", replace(connection(CLIENT, WEB, 80), offloaded=True)) == []


# --- who must get in ---------------------------------------------------------------------------------------------


def locked(edit: str, *connections: ConnEntry, ssh: str = "") -> list[str]:
    made = change(edit, *connections)
    return [probe.what for probe, _ in made.locked_out(made.probes(PREFIXES, ssh))]


def test_nobody_is_locked_out_by_a_policy_of_pods() -> None:
    assert locked("policy-changed", ssh="10.20.0.50 5000 10.20.0.11 22") == []


def test_neighbours_are_locked_out_without_failsafe_ports() -> None:
    found = locked("locked-out")
    assert "ssh to this node by eth0" in found
    assert "BGP to this node by eth0" in found
    assert not any("from this node" in what for what in found)


def test_the_session_that_is_open_comes_first() -> None:
    assert locked("locked-out", ssh="10.20.0.50 5000 10.20.0.11 22")[0] == "the ssh session that this runs in"


@pytest.mark.parametrize("ssh", ["", "nonsense", "10.20.0.50 x 10.20.0.11 22", "a 1 b 2", "10.20.0.50 1 10.20.0.11 99999"])
def test_a_session_that_cannot_be_read_is_passed_over(ssh: str) -> None:
    assert "the ssh session that this runs in" not in locked("locked-out", ssh=ssh)


def test_whoever_has_a_connection_to_such_a_port_is_asked_for() -> None:
    found = locked("locked-out", connection("10.99.0.1", "10.20.0.11", 179))
    assert "BGP, of which there is a connection" in found


def test_who_does_not_get_in_now_is_not_locked_out() -> None:
    shut = report(EDITS["locked-out"]).changes.after
    others = tuple(one for one in snapshot().rulesets if one.backend is not shut.rulesets[V4].backend)
    made = Change(replace(snapshot(), rulesets=(*others, *shut.rulesets.values())), shut)
    assert made.locked_out(made.probes(PREFIXES)) == ()


# --- packets -----------------------------------------------------------------------------------------------------


def test_packets_of_each_protocol() -> None:
    def of(proto: int, opens: bool) -> tuple[int, bytes, int]:
        made = packet_of(ConnTuple(V4, proto, 1, 2, 7, 8 << 8 | 3), opens=opens)
        return made.tcp_flags, made.payload[:1], made.icmp_type

    assert of(6, True) == (2, b"", 0)
    assert of(6, False) == (16, b"", 0)
    assert of(132, True)[1] == b"\x01"
    assert of(132, False)[1] == b"\x00"
    assert of(1, True) == (0, b"", 8)
    assert packet_of(ConnTuple(V4, 89, 1, 2)).transport == b""


def test_after_replaces_its_own_back_end_only() -> None:
    made = Change(snapshot(), Held({}, {}))
    assert made.after.snapshot.rulesets == snapshot().rulesets
    assert made.after.snapshot.ip_sets == {}
