"""Packets that the simulator expects because it walked their cause, and logs of nf_tables' packets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.test_trace import node
from tortie.cli.log_explanation import Explained, LogExplainer, tally_lines
from tortie.cli.snapshot_file import load_snapshot
from tortie.cli.terminal import Paper, write_lines
from tortie.codec.tracelog import group_steps, parse_tracelog
from tortie.simulator.logged_walk import Agreement, join_steps
from tortie.simulator.walk import Node

__all__ = ["node"]

RULES = """\
*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A OUTPUT -p udp -j TRACE
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:web - [0:0]
-A INPUT -p udp -m udp --dport 53 -j web
-A INPUT -p udp -m udp --dport 54 -j REJECT
-A web -j DROP
COMMIT
"""
MONITOR = """\
PACKET: 2 1feb9a77 OUT=lo SRC=127.0.0.1 DST=127.0.0.1 LEN=33 TOS=0x0 TTL=64 ID=52095 DF SPORT=4000 DPORT=53
 TRACE: 2 1feb9a77 raw:OUTPUT:rule:0x3:CONTINUE  -4 -t raw -A OUTPUT -p udp -j TRACE
 TRACE: 2 1feb9a77 raw:OUTPUT:policy:ACCEPT
 TRACE: 2 1feb9a77 filter:OUTPUT:policy:ACCEPT
PACKET: 2 f14681c3 IN=lo LOOPBACK SRC=127.0.0.1 DST=127.0.0.1 LEN=33 TOS=0x0 TTL=64 ID=52095 DF SPORT=4000 DPORT=53
 TRACE: 2 f14681c3 raw:PREROUTING:policy:ACCEPT
 TRACE: 2 f14681c3 filter:INPUT:rule:0x5:JUMP:web  -4 -t filter -A INPUT -p udp -m udp --dport 53 -j web
 TRACE: 2 f14681c3 filter:web:rule:0x7:DROP  -4 -t filter -A web -j DROP
"""
"""What xtables-monitor 1.8.9 printed of a packet from the node to itself, on the kernel."""
KERNEL = """\
TRACE: raw:OUTPUT:policy:2 IN= OUT=lo SRC=127.0.0.1 DST=127.0.0.1 LEN=33 TTL=64 ID=7 DF PROTO=UDP SPT=4000 DPT=54 LEN=13
TRACE: filter:OUTPUT:policy:1 IN= OUT=lo SRC=127.0.0.1 DST=127.0.0.1 LEN=33 TTL=64 ID=7 DF PROTO=UDP SPT=4000 DPT=54 LEN=13
TRACE: raw:PREROUTING:policy:1 IN=lo OUT= SRC=127.0.0.1 DST=127.0.0.1 LEN=33 TTL=64 ID=7 DF PROTO=UDP SPT=4000 DPT=54 LEN=13
TRACE: filter:INPUT:rule:2 IN=lo OUT= SRC=127.0.0.1 DST=127.0.0.1 LEN=33 TTL=64 ID=7 DF PROTO=UDP SPT=4000 DPT=54 LEN=13
TRACE: raw:OUTPUT:policy:2 IN= OUT=lo SRC=127.0.0.1 DST=127.0.0.1 LEN=61 TTL=64 ID=8 PROTO=ICMP TYPE=3 CODE=3
TRACE: filter:OUTPUT:policy:1 IN= OUT=lo SRC=127.0.0.1 DST=127.0.0.1 LEN=61 TTL=64 ID=8 PROTO=ICMP TYPE=3 CODE=3
TRACE: raw:PREROUTING:policy:1 IN=lo OUT= SRC=127.0.0.1 DST=127.0.0.1 LEN=61 TTL=64 ID=8 PROTO=ICMP TYPE=3 CODE=3
TRACE: filter:INPUT:policy:3 IN=lo OUT= SRC=127.0.0.1 DST=127.0.0.1 LEN=61 TTL=64 ID=8 PROTO=ICMP TYPE=3 CODE=3
"""
"""The same to a port that is rejected, in the words of the kernel log, with the answer that REJECT makes."""


def explained(node: Path, text: str) -> list[Explained]:
    (node / "iptables-save").write_text(RULES)
    explainer = LogExplainer(Node.from_snapshot(load_snapshot(str(node))), clock_s=0)
    return [explainer.explain(group) for group in group_steps(parse_tracelog(text))]


@pytest.mark.parametrize("text", [MONITOR, KERNEL], ids=["xtables-monitor", "kernel-log"])
def test_a_packet_from_the_node_to_itself_agrees_on_both_its_ways(node: Path, text: str) -> None:
    found = explained(node, text)
    assert [one.agreement is not None and one.agreement.agrees for one in found] == [True] * len(found)
    assert found[0].trace is found[1].trace


def test_the_answer_of_reject_is_the_one_that_the_simulator_made(node: Path) -> None:
    found = explained(node, KERNEL)
    assert found[0].trace is not None
    assert found[2].trace is found[0].trace.answers[0]


def test_the_protocol_that_xtables_monitor_hides_is_told_by_its_rules(node: Path) -> None:
    assert [one.taken_as for one in explained(node, MONITOR)] == [(), ()]


@pytest.mark.parametrize(
    ("agreements", "expected"),
    [
        ([True], "1 packet in the log: 1 agrees, 0 disagree\n"),
        ([True, False, None], "3 packets in the log: 1 agrees, 1 disagrees, 1 could not be compared\n"),
    ],
)
def test_packets_are_counted(agreements: list[bool | None], expected: str) -> None:
    entries = join_steps(group_steps(parse_tracelog(MONITOR))[0], [])
    found = [Explained(entries, agreement=None if one is None else Agreement(one, 0)) for one in agreements]
    assert write_lines(tally_lines(found), Paper()) == expected
