"""What a table did to a packet is remembered only where the next one like it must meet the same."""

from __future__ import annotations

import pytest

from tests.match_builder import Question
from tests.node_builder import node, packet
from tortie.netfilter.hook import Hook
from tortie.simulator.memo import MOST_REMEMBERED, Memo, Passage, alike, is_plain_match
from tortie.simulator.trace import Cause, DecidedBy, Trace, Verdict
from tortie.simulator.walk import Arrival, Node, walk

UDP = packet("udp", "10.0.0.5:1", "10.1.0.9:2")
PASSAGE = Passage(0, DecidedBy(Cause.RULE, "x"), False)
SETS = "create s hash:ip\nadd s 10.0.0.5\ncreate c hash:ip counters\n"


def remembered(made: Node, hook: Hook = Hook.FORWARD) -> int:
    """How many passages through a hook a node has remembered."""
    found = 0
    for stage in made.family(UDP.family).stages[hook]:
        for cell in stage.__closure__ or ():  # type: ignore[attr-defined]
            bases = getattr(cell.cell_contents, "bases", {})
            found += len(bases[hook].memo(hook).passages) if hook in bases else 0
    return found


def quick(made: Node, times: int = 1, **arrival: object) -> Trace:
    """The last of some walks of a packet that keep no steps, over one session."""
    session = made.session()
    for _ in range(times):
        found = walk(made, Arrival(UDP, "e0", **arrival), session, keep_steps=False)  # type: ignore[arg-type]
    return found.trace


def test_the_second_packet_of_a_kind_is_spared_the_walk() -> None:
    made = node("*filter\n:FORWARD DROP\n:X -\n-A FORWARD -j X\n-A X -s 10.0.0.5 -p udp --dport 2 -j ACCEPT")
    assert quick(made, 2).verdict is Verdict.ACCEPT
    assert remembered(made) == 1


@pytest.mark.parametrize(
    ("rules", "verdict"),
    [
        ("-A FORWARD -j MARK --set-mark 5\n-A FORWARD -m mark --mark 5 -j ACCEPT", Verdict.ACCEPT),
        ("-A FORWARD -s 10.0.0.5 -j DROP", Verdict.DROP),
        ("-A FORWARD -s 1.1.1.1 -j ACCEPT", Verdict.DROP),
    ],
    ids=["marks", "drops", "policies"],
)
def test_what_is_remembered_is_what_the_walk_found(rules: str, verdict: Verdict) -> None:
    made = node(
        "*filter\n:FORWARD DROP\n" + rules + "\n*mangle\n:POSTROUTING ACCEPT\n-A POSTROUTING -m mark --mark 9 -j DROP"
    )
    first, second = quick(made), quick(made)
    assert (first.verdict, first.decided_by, first.out) == (second.verdict, second.decided_by, second.out)
    assert second.verdict is verdict
    assert remembered(made) > 0


def test_a_packet_that_differs_in_what_rules_see_is_walked_anew() -> None:
    made = node("*filter\n:FORWARD ACCEPT\n-A FORWARD -m mark --mark 5 -j DROP")
    assert [quick(made, mark=mark).verdict for mark in (0, 5, 0)] == [Verdict.ACCEPT, Verdict.DROP, Verdict.ACCEPT]
    assert remembered(made) == 2


@pytest.mark.parametrize(
    "rule",
    ["-m ttl --ttl-eq 63 -j ACCEPT", "-j REJECT", "-m limit --limit 1/sec -j ACCEPT", "-j CONNMARK --set-mark 1"],
)
def test_chains_with_anything_else_remember_nothing(rule: str) -> None:
    made = node(f"*filter\n:FORWARD ACCEPT\n:X -\n-A FORWARD -j X\n-A X {rule}")
    quick(made, 2)
    assert remembered(made) == 0


def test_a_changed_set_is_asked_anew() -> None:
    rules = "*filter\n:FORWARD ACCEPT\n-A FORWARD -m set --match-set s src -j DROP"
    raw = "\n*mangle\n:POSTROUTING ACCEPT\n-A POSTROUTING -j SET --add-set s src"
    made = node(rules + raw, sets="create s hash:ip\n")
    session = made.session()
    verdicts = [walk(made, Arrival(UDP, "e0"), session, keep_steps=False).verdict for _ in range(3)]
    assert verdicts == [Verdict.ACCEPT, Verdict.DROP, Verdict.DROP]


@pytest.mark.parametrize(
    ("match", "plain"),
    [
        ("-p tcp -m tcp --dport 80 --syn", True), ("-p tcp -m tcp --tcp-option 5", False),
        ("-m conntrack --ctstate NEW", True), ("-m conntrack --ctstate DNAT", False),
        ("-m conntrack --ctstate NEW --ctproto 6", False), ("-m state --state NEW", True),
        ("-m set --match-set s src", True), ("-m set --match-set c src", False), ("-m set --match-set none src", False),
        ("-m addrtype --dst-type LOCAL", True), ("-m length --length 5", False), ("-m connmark --mark 1", False),
    ],
)  # fmt: skip
def test_plain_matches(match: str, plain: bool) -> None:
    question = Question(match, sets=SETS)
    assert all(is_plain_match(one, question.contexts[0]) for one in question.rule.matches) is plain


def test_odd_packets_are_like_no_other() -> None:
    question = Question("-p udp")
    assert alike(question.skb()) is not None
    assert alike(question.skb(packet("udp", "10.0.0.5:1", "10.1.0.9:2", more_fragments=True))) is None
    assert alike(question.skb(packet("89", "10.0.0.5", "10.1.0.9", transport=b"x"))) is None
    assert alike(question.skb(in_iface=None)) is None


def test_a_memory_is_for_one_state_of_the_sets_and_forgets_before_it_grows_too_large() -> None:
    memo = Memo()
    one, other = {}, {}  # type: ignore[var-annotated]
    assert memo.find(1, one) is None
    memo.keep(1, PASSAGE)
    assert memo.find(1, one) is PASSAGE
    assert memo.find(1, other) is None
    for number in range(MOST_REMEMBERED + 1):
        memo.keep(number, PASSAGE)
    assert len(memo.passages) == 1
