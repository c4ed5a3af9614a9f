"""The set match: the specification's vectors, sets that are not there, and what it tells."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.cases.matches import v4
from tests.match_builder import Question, ask, why
from tortie.net.packet import Packet
from tortie.simulator.answer import Answer, Doubt, DoubtKind
from tortie.simulator.match import explain_match

NETS = "create s hash:net\nadd s 10.0.0.0/8\nadd s 10.0.0.0/24 nomatch\nadd s 10.0.0.5\n"
PORTS = "create s hash:ip,port\nadd s 10.1.0.9,udp:80\nadd s 10.1.0.9,icmp:echo-request\n"


def _unknown(text: str) -> Doubt:
    return Doubt(DoubtKind.UNKNOWN, text)


@pytest.mark.parametrize(
    ("name", "rule", "sets", "packet", "answer"),
    [
        ("V69 the longest prefix", "s src", NETS, v4(), True),
        ("V69 nomatch", "s src", NETS, v4(src="10.0.0.6"), False),
        ("return-nomatch", "s src --return-nomatch", NETS, v4(src="10.0.0.6"), True),
        ("V70 too few flags", "s dst", PORTS, v4(dport=80), False),
        ("V71 a flag too many", "s src,dst", "create s hash:ip\nadd s 10.0.0.5\n", v4(), True),
        (
            "V72 counted first",
            "s src --packets-eq 3",
            "create s hash:ip counters\nadd s 10.0.0.5 packets 3 bytes 9\n",
            v4(),
            False,
        ),
        ("the other family", "s src", "create s hash:net family inet6\nadd s fd00::/16\n", v4(), False),
    ],
    ids=lambda value: value if isinstance(value, str) and value[0] in "Vrt" else "",
)
def test_members(name: str, rule: str, sets: str, packet: Packet, answer: Answer) -> None:
    assert ask(f"-m set --match-set {rule}", packet, sets=sets) is answer
    assert ask(f"-m set ! --match-set {rule}", packet, sets=sets) is (not answer)


@pytest.mark.parametrize(
    ("sets", "answer"),
    [
        (None, _unknown("the packet is in set s, but the snapshot holds no ip sets")),
        ("create t hash:ip\n", _unknown("the packet is in set s, which is not in the snapshot")),
        (
            "create s hash:strange family inet\n",
            _unknown("the packet is in set s, whose type hash:strange Tortie does not know"),
        ),
    ],
    ids=["no sets", "no such set", "unknown type"],
)
def test_a_set_of_which_nothing_is_known_is_a_doubt(sets: str | None, answer: Doubt) -> None:
    assert ask("-m set --match-set s src", sets=sets) == answer
    opposite = replace(answer, why=answer.why.replace(" is in ", " is not in "))
    assert ask("-m set ! --match-set s src", sets=sets) == opposite


def test_members_that_were_not_listed_leave_a_doubt_unless_a_full_address_is_there() -> None:
    listed = Question(
        "-m set --match-set s src", sets="create s hash:net\nadd s 10.0.0.5\nadd s 10.9.0.0/16\n"
    ).snapshot.ip_sets
    assert listed is not None
    question = Question("-m set --match-set s src", ip_sets={"s": replace(listed["s"], complete=False)})
    doubt = _unknown("the packet is in set s, of which some members are not known")
    assert question.ask(v4()) is True
    assert question.ask(v4(src="10.9.0.1")) == doubt
    assert question.ask(v4(src="11.0.0.1")) == doubt


def test_a_list_asks_its_members_in_order_and_doubts_what_it_cannot_ask() -> None:
    sets = "create a hash:ip\nadd a 10.0.0.5\ncreate l list:set\nadd l gone\nadd l a\n"
    assert ask("-m set --match-set l src", sets=sets) is True
    answer = ask("-m set --match-set l src", v4(src="10.0.0.6"), sets=sets)
    assert answer == _unknown("the packet is in set gone, which is not in the snapshot")


def test_what_is_not_known_of_a_packet_matters_only_where_it_decides() -> None:
    sets = "create s hash:net,iface\nadd s 10.0.0.0/24,e0\n"
    question = Question("-m set --match-set s src,src", sets=sets)
    assert question.ask(in_iface=None) == _unknown("the input interface is in set s")
    assert question.ask(v4(src="11.0.0.1"), in_iface=None) is False
    macs = Question("-m set --match-set s src,src", sets="create s hash:ip,mac\nadd s 10.0.0.5,00:11:22:33:44:55\n")
    assert macs.ask() == _unknown("the source MAC of the frame is the one asked for")
    assert macs.ask(mac_source=bytes.fromhex("001122334455")) is True


def test_a_doubt_about_an_inverted_test_is_about_the_opposite() -> None:
    question = Question("-m set ! --match-set s src,src", sets="create s hash:net,iface\nadd s 10.0.0.0/24,e0\n")
    assert question.ask(in_iface=None) == _unknown("not: the input interface is in set s")


def test_a_bitmap_learns_the_mac_that_its_flag_asks_for() -> None:
    question = Question("-m set --match-set s src,dst", sets="create s bitmap:ip,mac range 10.0.0.0/24\nadd s 10.0.0.5\n")
    first, second = bytes.fromhex("001122334455"), bytes.fromhex("001122334466")
    assert question.ask(mac_source=first, mac_destination=second) is True
    assert question.ask(mac_source=first, mac_destination=first) is False
    assert question.ask(mac_source=first, mac_destination=second) is True


def test_a_mac_learnt_from_an_unknown_frame_is_not_known() -> None:
    question = Question("-m set --match-set s src,src", sets="create s bitmap:ip,mac range 10.0.0.0/24\nadd s 10.0.0.5\n")
    assert question.ask() is True
    assert question.ask(mac_source=bytes.fromhex("001122334455")) == _unknown(
        "the MAC that the set learnt from an earlier packet is this one's"
    )


def test_learning_a_mac_counts_from_the_start() -> None:
    sets = "create s bitmap:ip,mac range 10.0.0.0/24 counters\nadd s 10.0.0.5 packets 9 bytes 9\n"
    question = Question("-m set --match-set s src,src --packets-eq 2", sets=sets)
    mac = bytes.fromhex("001122334455")
    assert [question.ask(mac_source=mac) for _ in range(3)] == [True, True, False]


def test_a_bitmap_learns_the_mac_of_the_first_packet() -> None:
    question = Question("-m set --match-set s src,src", sets="create s bitmap:ip,mac range 10.0.0.0/24\nadd s 10.0.0.5\n")
    first, second = bytes.fromhex("001122334455"), bytes.fromhex("001122334466")
    assert question.ask(mac_source=first) is True
    assert question.ask(mac_source=second) is False
    assert question.ask(mac_source=first) is True


def test_counting_changes_the_session_only() -> None:
    question = Question("-m set --match-set s src", sets="create s hash:ip counters\nadd s 10.0.0.5\n")
    assert question.ask() is True
    sets, given = question.session.sets, question.snapshot.ip_sets
    assert sets is not None and given is not None
    assert [entry.packets for entry in sets["s"].entries] == [1]
    assert given["s"].entries[0].packets in (None, 0)


@pytest.mark.parametrize(
    ("rule", "packet", "reason"),
    [
        ("n src", v4(), "set n holds 10.0.0.5"),
        ("n src", v4(src="10.0.0.6"), "10.0.0.6 is in 10.0.0.0/24 of set n, which is marked nomatch"),
        ("n src", v4(src="11.0.0.1"), "11.0.0.1 is not in set n"),
        ("p dst,dst", v4(dport=80), "set p holds 10.1.0.9,udp:80"),
        ("p dst,dst", v4(proto=1, icmp_type=8), "set p holds 10.1.0.9,icmp:8/0"),
        ("p dst,dst", v4(dport=81), "10.1.0.9,udp:81 is not in set p"),
        ("p dst,dst", v4(transport=b"ab", fragment_offset=3), "the packet lacks what set p looks at"),
        ("p dst", v4(), "set p has 2 dimensions and the rule names fewer"),
        ("six src", v4(), "set six is of the other family"),
        ("l src", v4(src="10.7.0.1"), "10.7.0.1 is in 10.0.0.0/8 of set n, which l lists"),
        ("l src", v4(src="11.0.0.1"), "the packet is not in set l"),
        ("i src,src", v4(), "10.0.0.5,e0 is in 10.0.0.0/8,e* of set i"),
        ("c src --packets-gt 9", v4(), "set c holds 10.0.0.5 (packets 4, bytes 37)"),
        ("m src,src", v4(), "set m holds 10.0.0.5,0x7"),
        ("b dst", v4(dport=80), "set b holds 80"),
    ],
)
def test_reasons(rule: str, packet: Packet, reason: str) -> None:
    sets = (
        NETS.replace(" s ", " n ").replace("create s", "create n")
        + PORTS.replace(" s ", " p ").replace("create s", "create p")
        + "create six hash:net family inet6\ncreate l list:set\nadd l n\nadd l p\n"
        + "create i hash:net,iface\nadd i 10.0.0.0/8,e wildcard\n"
        + "create c hash:ip counters\nadd c 10.0.0.5 packets 3 bytes 9\n"
        + "create m hash:ip,mark\nadd m 10.0.0.5,0x7\ncreate b bitmap:port range 0-100\nadd b 80\n"
    )
    assert why(f"-m set --match-set {rule}", packet, sets=sets, mark=7) == reason


def test_a_hit_of_an_inverted_test_says_nothing() -> None:
    assert why("-m set ! --match-set s src", v4(src="11.0.0.1"), sets=NETS) == ""
    assert why("-m set ! --match-set s src", v4(), sets=NETS) == "set s holds 10.0.0.5"


def test_explaining_counts_nothing() -> None:
    question = Question("-m set --match-set s src --packets-gt 9", sets="create s hash:ip counters\nadd s 10.0.0.5\n")
    skb = question.skb()
    before = question.session.sets
    assert explain_match(question.rule.matches[0], skb, question.contexts[0], holds=False)
    assert question.session.sets is before
