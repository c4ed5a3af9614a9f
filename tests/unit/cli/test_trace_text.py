"""What must be in the lines; how they look letter by letter is held by tests/golden/trace."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests import trace_values
from tortie.cli.terminal import Paper, Style, write_lines
from tortie.cli.trace_text import View, edit_lines, flow_lines, outcome_line, step_lines, walk_lines
from tortie.netfilter.hook import Backend
from tortie.simulator.answer import DoubtKind
from tortie.simulator.choice import Condition
from tortie.simulator.flow import Flow
from tortie.simulator.trace import NoteStep, RuleStep, Trace, Verdict, Walk

NAMING = trace_values.NAMING
VIEW = View(NAMING)


def text(name: str, view: View = VIEW, **more: object) -> str:
    return write_lines(walk_lines(trace_values.ALL[name], view, **more), Paper())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", trace_values.ALL)
@pytest.mark.parametrize(
    "view", [VIEW, View(NAMING, misses=True), View(NAMING, brief=True)], ids=["usual", "misses", "brief"]
)
def test_the_last_line_says_what_happened(name: str, view: View) -> None:
    last = text(name, view).splitlines()[-1]
    assert last.split(" ")[0].rstrip(":") in {"DROPPED", "REJECTED", "FORWARDED", "UNKNOWN", "NOT"}


def test_many_outcomes_are_summed_up_by_the_simplest_of_each_fate() -> None:
    def outcome(verdict: Verdict, *texts: str) -> Trace:
        conditions = tuple(Condition(DoubtKind.UNKNOWN, text, "match", text) for text in texts)
        return replace(trace_values.ALL["not-known"].trace, verdict=verdict, conditions=conditions)

    drop, accept = Verdict.DROP, Verdict.ACCEPT
    outcomes = (outcome(drop, "a", "b"), outcome(drop, "c"), outcome(drop, "d", "e", "f"), outcome(accept, "g", "h"))
    last = write_lines(walk_lines(Walk(outcomes, Verdict.UNKNOWN), VIEW), Paper()).splitlines()[-1]
    assert last == "NOT KNOWN: DROP if c (and in 2 other outcomes). ACCEPT if g and h"


def test_a_device_that_is_not_known_is_called_so() -> None:
    trace = trace_values.ALL["forwarded"].trace
    assert trace.out is not None
    told = replace(trace, in_iface="", out=replace(trace.out, iface=""))
    lines = write_lines(walk_lines(Walk((told,), Verdict.ACCEPT), VIEW), Paper()).splitlines()
    assert lines[0].endswith(", arrives on a device that is not known")
    assert lines[-1].startswith("FORWARDED out of a device that is not known: ")


def test_hooks_and_tables_stand_in_the_kernels_order() -> None:
    heads = [line.split()[0] for line in text("translated").splitlines() if line and not line.startswith("    ")]
    assert heads == ["tcp", "PREROUTING", "nat", "nat", "FORWARD", "*", "filter", "POSTROUTING", "nat", "FORWARDED"]


def test_rules_that_missed_are_counted_or_shown_with_their_reason() -> None:
    usual, full = text("dropped-by-policy"), text("dropped-by-policy", View(NAMING, misses=True))
    assert "filter    5 rules did not match" in usual
    assert "the state is NEW" not in usual
    assert "cali-tw-cali1a2b:1  -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT  # no: the state is NEW" in full
    assert "did not match" not in full


def test_a_table_where_nothing_matched_is_one_line() -> None:
    assert "  filter    1 rule looked at, none matched, policy ACCEPT\n" in text("translated")


def test_jumps_say_what_the_chain_is_for() -> None:
    assert "-j cali-to-wl-dispatch  # Calico: picks the workload the packet goes to" in text("forwarded")


def test_marks_are_told_when_they_change() -> None:
    told = text("forwarded")
    assert "# mark 0x0 -> 0x40000 (from workload)" in told
    assert "# mark 0x0 -> 0x10000 (accept)" in told
    assert "cali-tw-cali1a2b:3  -j MARK --set-xmark 0x0/0x10000\n" in told


def test_every_outcome_has_its_condition_and_a_way_to_choose_it() -> None:
    told = text("rejected-or-not")
    assert "Outcome 1 of 2\n  if limit 3/hour has tokens left  [filter:FORWARD:1=match]\n" in told
    assert "--assume filter:FORWARD:1=" in told
    assert told.splitlines()[-1] == (
        "NOT CERTAIN: ACCEPT if limit 3/hour has tokens left. REJECT if not: limit 3/hour has tokens left"
    )


def test_outcomes_that_agree_are_summed_up_as_one() -> None:
    walk = trace_values.ALL["rejected-or-not"]
    both = Walk((walk.outcomes[0], walk.outcomes[0]), walk.outcomes[0].verdict)
    assert write_lines(walk_lines(both, VIEW), Paper()).splitlines()[-1] == "GETS THROUGH in all 2 outcomes"


def test_probabilities_are_multiplied() -> None:
    walk = trace_values.ALL["rejected-or-not"]
    known = [
        replace(trace, conditions=tuple(replace(one, probability=0.25) for one in trace.conditions * 2))
        for trace in walk.outcomes
    ]
    told = write_lines(walk_lines(Walk(tuple(known), walk.verdict), VIEW), Paper())
    assert "Outcome 1 of 2, probability 0.0625" in told


def test_an_assumed_condition_is_said_to_be_assumed_and_has_no_hint() -> None:
    trace = trace_values.ALL["rejected-or-not"].outcomes[0]
    assumed = replace(trace, conditions=tuple(replace(one, assumed=True) for one in trace.conditions))
    told = write_lines(walk_lines(Walk((assumed,), assumed.verdict), VIEW), Paper())
    assert "hint" not in told


def test_a_cut_list_of_outcomes_says_so() -> None:
    walk = replace(trace_values.ALL["rejected-or-not"], complete=False)
    assert "there are more outcomes than these" in write_lines(walk_lines(walk, VIEW), Paper())


def test_assumptions_and_notes_are_listed() -> None:
    told = text("rejected-or-not", notes=("source port not given, 40000 taken",))
    assert "assumed: no conntrack table in the snapshot\n" in told
    assert told.splitlines()[1] == "note: source port not given, 40000 taken"


def test_answers_of_the_node_are_told() -> None:
    told = text("rejected-or-not")
    assert "answer    this node sends icmp 10.65.0.1 > 10.65.0.2 type 3 code 3 ttl 64\n" in told
    assert "            SENT out of eth0" in told


def test_ports_drawn_at_random_and_the_senders_error_are_told() -> None:
    assert text("translated").endswith("; the source port is drawn at random from 1024-65535\n")
    assert text("sent-and-refused").endswith("; the sending program gets EPERM\n")


def test_brief_leaves_out_all_steps() -> None:
    told = text("dropped-by-policy", View(NAMING, brief=True))
    assert "PREROUTING" not in told
    assert "DROPPED in FORWARD" in told


def test_two_backends_are_told_apart() -> None:
    steps = [
        replace(step, backend=Backend.NFT)
        for step in trace_values.ALL["forwarded"].trace.steps
        if isinstance(step, RuleStep)
    ]
    assert "filter (nft)" in write_lines(step_lines(steps, View(NAMING, backends=True)), Paper())


def test_a_rule_that_may_have_matched_says_perhaps() -> None:
    steps = [step for step in trace_values.ALL["forwarded"].trace.steps if isinstance(step, RuleStep) and step.matched]
    assert "# perhaps" in write_lines(step_lines([replace(steps[0], maybe=True)], VIEW), Paper())


def test_notes_between_hooks_need_no_hook() -> None:
    assert (
        write_lines(step_lines([NoteStep(None, "comes back on lo", 0)], VIEW), Paper()) == "  *         comes back on lo\n"
    )


def test_the_fate_is_set_off_from_the_rest_of_the_sentence() -> None:
    line = outcome_line(trace_values.ALL["dropped-by-policy"].trace, NAMING)
    assert line.pieces[0] == ("DROPPED", Style.BAD)


GOOD, BAD = trace_values.ALL["forwarded"], trace_values.ALL["dropped-by-policy"]


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        (Flow(GOOD, GOOD, GOOD, True, "both directions get through"), "conversation WORKS: both directions get through"),
        (Flow(GOOD, BAD, None, False, "the answer does not get through"), "conversation BROKEN: the answer does not get"),
        (Flow(GOOD, BAD, None, None, "not known"), "conversation NOT CERTAIN: not known"),
    ],
)
def test_a_conversation_ends_in_a_word(flow: Flow, expected: str) -> None:
    assert write_lines(flow_lines(flow, VIEW, full=False), Paper()).splitlines()[-1].startswith(expected)


def test_the_answer_is_shown_in_short_or_in_full() -> None:
    flow = Flow(GOOD, BAD, None, False, "the answer does not get through")
    short = write_lines(flow_lines(flow, VIEW, full=False), Paper())
    assert short.startswith(
        "\nanswer: tcp 10.65.0.2:40000 > 10.65.0.3:80 SYN ttl 64, arrives on cali9\n        DROPPED in FORWARD"
    )
    assert "cali-FORWARD:1" not in short
    assert "cali-FORWARD:1" in write_lines(flow_lines(flow, VIEW, full=True), Paper())


def test_a_first_packet_that_is_dropped_has_no_conversation() -> None:
    assert list(flow_lines(Flow(BAD, None, None, False, "the first packet does not get through"), VIEW, full=False)) == []


def test_an_edit_tells_before_and_after() -> None:
    told = write_lines(edit_lines(["-F FORWARD"], BAD, GOOD, NAMING, NAMING), Paper())
    assert "edit   -F FORWARD\nbefore DROPPED in FORWARD" in told
    assert told.endswith("change DROP becomes ACCEPT\n")
    same = write_lines(edit_lines(["-F FORWARD"], BAD, BAD, NAMING, NAMING), Paper())
    assert same.endswith("change the verdict stays DROP\n")
