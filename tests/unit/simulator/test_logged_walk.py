from __future__ import annotations

import pytest

from tests import trace_values
from tests.builders import chain, ruleset, table
from tests.logged_text import kernel_log
from tests.trace_values import FILTER, RULES
from tortie.codec.tracelog import group_steps, parse_tracelog
from tortie.net.protocol import TCP, UDP
from tortie.netfilter.hook import Backend, Hook, TableName
from tortie.netfilter.match import ProtocolMatch
from tortie.netfilter.rule import Rule, Ruleset
from tortie.netfilter.target import Accept, Drop, Return
from tortie.simulator.logged_walk import (
    LogEntry,
    compare,
    entry_steps,
    find_arrival,
    first_packet,
    join_steps,
    missed_reason,
    split_ways,
)
from tortie.simulator.trace import ChainStep, NoteStep, RuleStep, Step, Trace

TRACE = trace_values.ALL["dropped-by-policy"].trace
OTHER = trace_values.ALL["forwarded"].trace


def entries(text: str, rules: Ruleset = RULES) -> tuple[LogEntry, ...]:
    groups = group_steps(parse_tracelog(text))
    assert len(groups) == 1
    return join_steps(groups[0], [rules])


@pytest.mark.parametrize("trace", [TRACE, OTHER], ids=["dropped", "forwarded"])
def test_a_log_of_the_same_walk_agrees(trace: Trace) -> None:
    found = entries(kernel_log(trace))
    assert compare(found, trace.steps).agrees
    assert compare(found, trace.steps).matched == len(found)


def test_the_log_may_begin_where_tracing_was_switched_on() -> None:
    found = entries(kernel_log(TRACE, since=2))
    assert found[0].name == "raw:cali-PREROUTING rule 2"
    assert compare(found, TRACE.steps).agrees


def test_rules_ends_and_policies_are_found_by_number() -> None:
    names = [entry.name for entry in entries(kernel_log(TRACE))]
    assert names[:5] == [
        "raw:PREROUTING rule 1",
        "raw:cali-PREROUTING rule 1",
        "raw:cali-PREROUTING rule 2",
        "the end of raw:cali-PREROUTING",
        "raw:PREROUTING policy",
    ]


def test_an_unconditional_rule_that_is_logged_as_policy_is_still_a_rule() -> None:
    rules = ruleset(table(FILTER, chain("INPUT", Rule((), Drop()), policy="ACCEPT")))
    found = entries("TRACE: filter:INPUT:policy:1 IN=eth0 OUT= SRC=10.0.0.5 DST=10.0.0.1 LEN=28 TTL=64 PROTO=17", rules)
    assert found[0].name == "filter:INPUT rule 1"
    assert found[0].rule == Rule((), Drop())


def test_chains_are_as_deep_as_the_jumps_to_them() -> None:
    depths = {(entry.logged.table, entry.logged.chain): entry.depth for entry in entries(kernel_log(TRACE))}
    walked = {
        (step.table.value, step.chain): step.depth for step in TRACE.steps if isinstance(step, RuleStep) and step.matched
    }
    assert depths.items() >= walked.items()


def test_the_log_is_shown_as_steps_with_its_marks() -> None:
    steps = entry_steps(entries(kernel_log(TRACE)))
    walked = [step for step in TRACE.steps if isinstance(step, ChainStep) or (isinstance(step, RuleStep) and step.matched)]
    told = [(step.table, step.chain, step.number) for step in steps if isinstance(step, RuleStep | ChainStep)]
    assert told == [(step.table, step.chain, step.number) for step in walked]
    marks = [(step.mark_before, step.mark) for step in steps[:-1] if isinstance(step, RuleStep)]
    assert marks == [(step.mark_before, step.mark) for step in walked[:-1] if isinstance(step, RuleStep)]


def test_where_they_part_is_named_with_the_reason() -> None:
    found = entries(kernel_log(OTHER))
    agreement = compare(found, TRACE.steps)
    assert not agreement.agrees
    assert agreement.place is not None
    assert found[agreement.place].name == "filter:cali-pi-shop/default.web rule 1"
    assert agreement.text == (
        "the log has filter:cali-pi-shop/default.web rule 1, the simulator the end of filter:cali-pi-shop/default.web"
    )
    assert missed_reason(found[agreement.place], TRACE.steps) == "source 10.65.0.2 is not in 10.65.0.0/16"


def test_a_log_that_ends_early_disagrees() -> None:
    found = entries(kernel_log(TRACE))[:-2]
    agreement = compare(found, TRACE.steps)
    assert (agreement.agrees, agreement.place) == (False, None)
    assert agreement.text.startswith("the log ends, where the simulator goes on with the end of filter:cali-pi-shop")


def test_a_log_that_goes_on_disagrees() -> None:
    agreement = compare(entries(kernel_log(TRACE)), TRACE.steps[:5])
    assert "where the simulator has ended" in agreement.text


def test_another_mark_disagrees() -> None:
    text = kernel_log(TRACE).replace("MARK=0x40000", "MARK=0x40001")
    assert compare(entries(text), TRACE.steps).text == (
        "at the end of raw:cali-PREROUTING the log has mark 0x40001, the simulator 0x40000"
    )


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        ("filter:FORWARD:rule:9", "the snapshot's chain FORWARD has 1 rules, the log names number 9"),
        ("filter:NOWHERE:rule:1", "the snapshot has no chain NOWHERE in filter"),
    ],
)
def test_rules_that_are_not_in_the_snapshot_are_told(where: str, problem: str) -> None:
    found = entries(f"TRACE: {where} IN=eth0 OUT= SRC=10.0.0.5 DST=10.0.0.1 LEN=28 TTL=64 PROTO=17 SPT=1 DPT=2")
    assert found[0].problem == problem
    assert compare(found, TRACE.steps).text == problem
    assert isinstance(entry_steps(found)[0], NoteStep)


def test_a_rule_that_may_have_matched_may_be_in_the_log_or_not() -> None:
    steps: list[Step] = []
    for step in TRACE.steps:
        if isinstance(step, RuleStep) and (step.chain, step.number) == ("cali-tw-cali1a2b", 4):
            values = {name: getattr(step, name) for name in RuleStep.__slots__}
            steps.append(RuleStep(**(values | {"maybe": True})))
        else:
            steps.append(step)
    whole = entries(kernel_log(TRACE))
    assert compare(whole, steps).agrees
    without = tuple(entry for entry in whole if entry.name != "filter:cali-tw-cali1a2b rule 4")
    assert compare(without, steps).agrees
    assert not compare(without, TRACE.steps).agrees


MONITOR = """\
PACKET: 2 1feb9a77 IN=eth0 OUT=eth1 SRC=10.0.0.5 DST=10.1.0.9 LEN=33 TOS=0x0 TTL=64 ID=52095 DF SPORT=4000 DPORT=53
 TRACE: 2 1feb9a77 filter:FORWARD:rule:0x5:CONTINUE  -4 -t filter -A FORWARD -p udp
 TRACE: 2 1feb9a77 filter:FORWARD:rule:0x6:CONTINUE  -4 -t filter -A FORWARD -p udp
 TRACE: 2 1feb9a77 filter:FORWARD:policy:ACCEPT
"""
TWICE = ruleset(
    table(FILTER, chain("FORWARD", Rule((ProtocolMatch(17),)), Rule((ProtocolMatch(17),)), policy="ACCEPT")),
    backend=Backend.NFT,
)


def test_rules_of_xtables_monitor_are_found_by_their_text_one_after_the_other() -> None:
    assert [entry.name for entry in entries(MONITOR, TWICE)] == [
        "filter:FORWARD rule 1",
        "filter:FORWARD rule 2",
        "filter:FORWARD policy",
    ]


def test_a_text_that_no_rule_has_is_told() -> None:
    other = MONITOR.replace("-A FORWARD -p udp", "-A FORWARD -p tcp")
    assert entries(other, TWICE)[0].problem == "the snapshot's chain FORWARD has no such rule: -A FORWARD -p tcp"


@pytest.mark.parametrize(("rule", "agrees"), [("-p udp -j TRACE", True), ("-p udp -j ACCEPT", False)])
def test_only_a_rule_that_switched_tracing_on_may_be_gone_from_the_snapshot(rule: str, agrees: bool) -> None:
    first, line, *rest = MONITOR.splitlines()
    found = entries("\n".join((first, line.replace("-p udp", rule), line, *rest)), TWICE)
    assert found[0].problem == f"the snapshot's chain FORWARD has no such rule: -A FORWARD {rule}"
    walked = [step for step in entry_steps(found) if not isinstance(step, NoteStep)]
    assert compare(found, walked).agrees is agrees


@pytest.mark.parametrize(
    ("policy", "number", "agrees"),
    [("ACCEPT", 1, True), ("DROP", 1, False), ("ACCEPT", 2, False)],
    ids=["never made", "with a policy that somebody set", "with rules"],
)
def test_a_base_chain_that_nft_never_made_is_not_in_the_log(policy: str, number: int, agrees: bool) -> None:
    found = entries(MONITOR, TWICE)
    first, *rest = (step for step in entry_steps(found) if isinstance(step, RuleStep | ChainStep))
    end = ChainStep(Hook.FORWARD, TableName.MANGLE, "FORWARD", number, policy, 0, first.packet, 0, Backend.NFT)
    assert compare(found, [first, end, *rest]).agrees is agrees


@pytest.mark.parametrize(
    "line", ["return:", "rule:0x6:RETURN  -4 -t filter -A FORWARD -p udp -j RETURN"], ids=["6.1", "6.18"]
)
def test_a_rule_that_returns_may_be_told_as_an_end(line: str) -> None:
    """xtables-monitor 1.8.9 on both kernels."""
    udp = ProtocolMatch(17)
    filtering = table(FILTER, chain("FORWARD", Rule((udp,)), Rule((udp,), Return()), policy="ACCEPT"))
    rules = ruleset(filtering, backend=Backend.NFT)
    whole = MONITOR.replace("rule:0x6:CONTINUE  -4 -t filter -A FORWARD -p udp", line)
    made = entries(whole.replace("return:", "rule:0x6:RETURN  -4 -t filter -A FORWARD -p udp -j RETURN"), rules)
    walked = [step for step in entry_steps(made) if not isinstance(step, NoteStep)]
    assert [step.number for step in walked if isinstance(step, RuleStep | ChainStep)] == [1, 2, 3]
    assert compare(entries(whole, rules), walked).agrees


def test_of_legacy_every_base_chain_is_in_the_log() -> None:
    found = entries(kernel_log(TRACE))
    first, *rest = (step for step in entry_steps(found) if isinstance(step, RuleStep | ChainStep))
    end = ChainStep(Hook.FORWARD, TableName.MANGLE, "FORWARD", 1, "ACCEPT", 0, first.packet, 0, Backend.LEGACY)
    assert compare(found, [first, *rest]).agrees
    assert not compare(found, [first, end, *rest]).agrees


@pytest.mark.parametrize(
    ("text", "proto", "assumed"),
    [
        (MONITOR, UDP, ""),
        (MONITOR.replace(" -p udp", ""), UDP, "udp"),
        (MONITOR.replace("DPORT=53", "DPORT=53 SYN"), TCP, ""),
    ],
    ids=["by-rule", "assumed", "by-flags"],
)
def test_a_protocol_that_is_not_shown_is_told_by_the_rules_or_assumed(text: str, proto: int, assumed: str) -> None:
    packet, taken = first_packet(entries(text, TWICE))
    assert packet is not None
    assert (packet.proto, taken) == (proto, assumed)


def test_the_back_end_that_writes_such_logs_is_looked_at_first() -> None:
    legacy = ruleset(table(FILTER, chain("FORWARD", Rule((), Accept()), policy="ACCEPT")))
    group = group_steps(parse_tracelog(MONITOR))[0]
    assert [entry.number for entry in join_steps(group, [legacy, TWICE])] == [1, 2, 3]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("raw:PREROUTING:rule:1 IN=eth0 OUT= MAC=02:00:00:00:00:01:02:00:00:00:00:0a:08:00", ("eth0", "unicast")),
        ("raw:PREROUTING:rule:1 IN=eth0 OUT= MAC=ff:ff:ff:ff:ff:ff:02:00:00:00:00:0a:08:00", ("eth0", "broadcast")),
        ("raw:PREROUTING:rule:1 IN=eth0 OUT= MAC=01:00:5e:00:00:01:02:00:00:00:00:0a:08:00", ("eth0", "multicast")),
        ("raw:OUTPUT:rule:1 IN= OUT=eth0", (None, "unicast")),
    ],
)
def test_the_first_line_tells_how_the_packet_came(line: str, expected: tuple[str | None, str]) -> None:
    found = entries(f"TRACE: {line} SRC=10.0.0.5 DST=10.0.0.1 LEN=28 TTL=64 PROTO=UDP SPT=1 DPT=2 LEN=8")
    packet, _ = first_packet(found)
    assert packet is not None
    arrival = find_arrival(found, packet)
    assert not isinstance(arrival, str)
    assert (arrival.in_iface, arrival.frame_type) == expected


def test_what_comes_back_on_lo_cannot_be_walked_without_its_start() -> None:
    """The node itself has sent it and knows its route, so that it is no arrival (skb_dst in ip_rcv_finish)."""
    found = entries("TRACE: raw:PREROUTING:policy:1 IN=lo OUT= SRC=127.0.0.1 DST=127.0.0.1 LEN=28 PROTO=UDP SPT=1 DPT=2")
    packet, _ = first_packet(found)
    assert packet is not None
    assert find_arrival(found, packet) == "the packet comes back on lo, and the log does not show how it was sent"


def test_a_log_that_begins_in_the_middle_cannot_be_walked() -> None:
    found = entries(
        "TRACE: filter:FORWARD:rule:1 IN=eth0 OUT=eth1 SRC=10.0.0.5 DST=10.0.0.1 LEN=28 TTL=63 PROTO=UDP SPT=1 DPT=2"
    )
    packet, _ = first_packet(found)
    assert packet is not None
    assert find_arrival(found, packet) == "the log begins in FORWARD, and does not show the packet as it came"


def test_a_packet_that_comes_back_on_lo_has_two_ways() -> None:
    there = [step for step in TRACE.steps if isinstance(step, RuleStep) and step.hook is Hook.PREROUTING]
    last = ChainStep(Hook.POSTROUTING, FILTER, "POSTROUTING", 1, "ACCEPT", 0, TRACE.packet, 0, Backend.LEGACY)
    ways = split_ways([last, *there])
    assert [len(way) for way in ways] == [1, len(there)]
    assert split_ways(TRACE.steps) == (TRACE.steps,)
