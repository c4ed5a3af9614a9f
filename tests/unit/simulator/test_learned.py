"""A walk does not contradict itself: what one outcome took for granted holds to its end."""

from __future__ import annotations

import pytest

from tests.node_builder import packet
from tortie.codec.save import parse_save
from tortie.net.address import IPFamily
from tortie.netfilter.match import AddrtypeMatch, Match, OutInterfaceMatch, SetMatch, Side, Test
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.learned import Learned
from tortie.simulator.session import Session
from tortie.simulator.skb import Skb
from tortie.simulator.trace import Walk
from tortie.simulator.walk import Arrival, Node, walk

UDP = packet("udp", "10.0.0.5:1", "10.1.0.9:2")


def walked(rules: str, *, chains: str = "", assume: dict[str, str] | None = None) -> Walk:
    """UDP over a snapshot that holds nothing but these rules of the table filter."""
    text = f"*filter\n:INPUT ACCEPT\n:FORWARD DROP\n{chains}\n{rules}\nCOMMIT\n"
    snapshot = Snapshot("rules only", (parse_save(text, IPFamily.V4).ruleset,))
    return walk(Node.from_snapshot(snapshot), Arrival(UDP, "e0"), assume={"route": "forward"} | (assume or {}))


def taken(made: Walk) -> list[str]:
    """What each outcome depends on, rules only, and its verdict."""
    return sorted(
        " ".join(f"{c.subject.removeprefix('filter:')}={c.option}" for c in trace.conditions if not c.assumed)
        + f" {trace.verdict.value} {trace.out.iface if trace.out is not None else ''}".rstrip()
        for trace in made.outcomes
    )


def test_a_packet_leaves_by_one_device() -> None:
    made = walked("-A FORWARD -o e1 -j A\n-A FORWARD -o e2 -j DROP\n-A FORWARD -o e1 -j ACCEPT", chains=":A -")
    assert taken(made) == [
        "FORWARD:1=match ACCEPT e1",
        "FORWARD:1=miss FORWARD:2=match DROP",
        "FORWARD:1=miss FORWARD:2=miss DROP",
    ]


@pytest.mark.parametrize(
    ("clue", "holds", "question", "answer"),
    [
        ("e1", False, "e1", False),
        ("e1", False, "e2", None),
        ("e1", False, "e+", None),
        ("cali+", True, "cali1", None),
        ("cali+", True, "cali1+", None),
        ("cali+", True, "c+", True),
        ("cali+", True, "cali+", True),
        ("cali+", True, "eth0", False),
        ("cali+", True, "eth+", False),
        ("cali+", False, "cali1", False),
        ("cali+", False, "cali1+", False),
        ("cali+", False, "c+", None),
        ("cali+", False, "eth0", None),
    ],
)
@pytest.mark.parametrize("inverted", [False, True])
def test_what_is_known_of_a_device(clue: str, holds: bool, question: str, answer: bool | None, inverted: bool) -> None:
    learned, skb = Learned(), Skb(UDP, Session(None))
    skb.out_iface = None
    learned.note(OutInterfaceMatch(clue, inverted=inverted), skb, holds=holds is not inverted)
    expected = None if answer is None else not answer
    assert learned.answer(OutInterfaceMatch(question), skb) is answer
    assert learned.answer(OutInterfaceMatch(question, inverted=True), skb) is expected


def test_a_device_that_was_named_is_known() -> None:
    learned, skb = Learned(), Skb(UDP, Session(None))
    skb.out_iface = None
    learned.note(OutInterfaceMatch("e1"), skb, holds=True)
    assert skb.out_iface == "e1"


def set_match(sides: str, *, inverted: bool = False, name: str = "s") -> SetMatch:
    return SetMatch(name, tuple(Side(side) for side in sides.split(",")), inverted)


def type_match(kind: str, *, source: bool = False, inverted: bool = False) -> AddrtypeMatch:
    test = Test((kind,), inverted)
    return AddrtypeMatch(source=test) if source else AddrtypeMatch(destination=test)


@pytest.mark.parametrize(
    ("first", "second", "answer"),
    [
        (set_match("src"), set_match("src"), True),
        (set_match("src"), set_match("src", inverted=True), False),
        (set_match("src", inverted=True), set_match("src"), False),
        (set_match("src"), set_match("dst"), None),
        (set_match("src"), set_match("src", name="t"), None),
        (set_match("src,dst"), set_match("src,dst"), True),
        (type_match("LOCAL"), type_match("LOCAL"), True),
        (type_match("LOCAL"), type_match("LOCAL", inverted=True), False),
        (type_match("LOCAL"), type_match("LOCAL", source=True), None),
        (type_match("LOCAL"), type_match("UNICAST"), None),
    ],
)
def test_a_question_is_asked_once(first: Match, second: Match, answer: bool | None) -> None:
    learned, skb = Learned(), Skb(UDP, Session(None))
    learned.note(first, skb, holds=True)
    assert learned.answer(second, skb) is answer
    learned.forget()
    assert learned.answer(second, skb) is None


def test_another_packet_is_another_question() -> None:
    learned, skb = Learned(), Skb(UDP, Session(None))
    both = set_match("src,src")
    learned.note(set_match("dst"), skb, holds=True)
    learned.note(both, skb, holds=True)
    skb.mark = 1
    assert learned.answer(set_match("dst"), skb) is True
    assert learned.answer(both, skb) is None
    skb.packet = packet("udp", "10.0.0.5:1", "10.9.0.9:2")
    assert learned.answer(set_match("dst"), skb) is None


def test_matches_that_tortie_does_not_know_are_asked_each_time() -> None:
    assert len(walked("-A FORWARD -m nosuch --thing -j ACCEPT\n-A FORWARD -m nosuch --thing -j ACCEPT").outcomes) == 3


def test_a_set_is_asked_once_in_a_walk() -> None:
    rule = "-A FORWARD -m set {} --match-set s src -j {}\n"
    made = walked(rule.format("", "ACCEPT") + rule.format("!", "DROP") + rule.format("", "DROP"))
    assert taken(made) == ["FORWARD:1=match ACCEPT", "FORWARD:1=miss DROP"]


def test_what_the_caller_assumes_is_taken_even_against_the_rest() -> None:
    rule = "-A FORWARD -m set --match-set s src -j {}\n"
    made = walked(rule.format("A") + rule.format("ACCEPT"), chains=":A -", assume={"filter:FORWARD:2": "miss"})
    assert taken(made) == ["FORWARD:1=match DROP", "FORWARD:1=miss DROP"]


@pytest.mark.parametrize(("option", "verdicts"), [("match", ["ACCEPT INPUT"]), ("miss", ["DROP FORWARD"])])
def test_an_address_that_is_taken_to_be_local_is_routed_so(option: str, verdicts: list[str]) -> None:
    text = (
        "*filter\n:INPUT ACCEPT\n:FORWARD DROP\nCOMMIT\n"
        "*mangle\n:PREROUTING ACCEPT\n-A PREROUTING -m addrtype --dst-type LOCAL -j MARK --set-mark 1\nCOMMIT\n"
    )
    snapshot = Snapshot("rules only", (parse_save(text, IPFamily.V4).ruleset,))
    made = walk(Node.from_snapshot(snapshot), Arrival(UDP, "e0"), assume={"mangle:PREROUTING:1": option})
    found = [f"{one.verdict.value} {one.decided_by.hook.value if one.decided_by.hook else ''}" for one in made.outcomes]
    assert found == verdicts
