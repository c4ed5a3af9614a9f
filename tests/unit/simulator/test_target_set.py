"""The SET target: what it puts where, and what it cannot know. The rest is asked of the kernel."""

from __future__ import annotations

import pytest

from tests.cases.matches import v4
from tests.match_builder import Question
from tortie.net.error import InvalidInput
from tortie.net.packet import Packet
from tortie.netfilter.ipset import IPSet
from tortie.simulator.answer import Doubt, DoubtKind
from tortie.simulator.match_set import entry_text


def _after(target: str, sets: str, packet: Packet | None = None, **fields: object) -> list[str]:
    """Members of set s after the target ran."""
    question = Question(f"-j SET {target}", sets=sets)
    assert question.run(question.skb(packet, **fields))[0] is None
    held = question.session.sets
    assert held is not None
    return sorted(entry_text(entry) for entry in held["s"].entries)


@pytest.mark.parametrize(
    ("name", "target", "sets", "members"),
    [
        ("an address", "--add-set s src", "create s hash:ip\n", ["10.0.0.5"]),
        ("the longest prefix there is", "--add-set s src", "create s hash:net\nadd s 10.9.0.0/30\nadd s 11.0.0.0/8\n",
         ["10.0.0.4/30", "10.9.0.0/30", "11.0.0.0/8"]),
        ("an empty set of networks", "--add-set s src", "create s hash:net\n", ["10.0.0.5"]),
        ("only networks of everything", "--add-set s src,src", "create s hash:net,iface\nadd s 0.0.0.0/0,e9\n",
        ["0.0.0.0/0,e9"]),
        ("a port", "--add-set s dst,dst", "create s hash:ip,port\n", ["10.1.0.9,udp:80"]),
        ("a mark", "--add-set s src,src", "create s hash:ip,mark markmask 0xf\n", ["10.0.0.5,0x7"]),
        ("a MAC", "--add-set s src", "create s hash:mac\n", ["00:11:22:33:44:55"]),
        ("a bitmap with MACs", "--add-set s src,src", "create s bitmap:ip,mac range 10.0.0.0/24\n",
        ["10.0.0.5,00:11:22:33:44:55"]),
        ("the destination's MAC", "--add-set s src,dst", "create s bitmap:ip,mac range 10.0.0.0/24\n",
        ["10.0.0.5,00:11:22:33:44:66"]),
        ("a MAC that was missing", "--add-set s src,src", "create s bitmap:ip,mac range 10.0.0.0/24\nadd s 10.0.0.5\n",
        ["10.0.0.5,00:11:22:33:44:55"]),
        ("a MAC that is there stays", "--add-set s src,src",
        "create s bitmap:ip,mac range 10.0.0.0/24\nadd s 10.0.0.5,00:11:22:33:44:77\n", ["10.0.0.5,00:11:22:33:44:77"]),
        ("unless it is said to exist", "--add-set s src,src --exist",
        "create s bitmap:ip,mac range 10.0.0.0/24\nadd s 10.0.0.5,00:11:22:33:44:77\n", ["10.0.0.5,00:11:22:33:44:55"]),
        ("outside a bitmap", "--add-set s dst", "create s bitmap:ip range 10.0.0.0-10.0.0.9\n", []),
        ("masked", "--add-set s src", "create s hash:ip netmask 24\n", ["10.0.0.0"]),
        ("the other family", "--add-set s src", "create s hash:ip family inet6\n", []),
        ("no such device", "--add-set s src,dst", "create s hash:net,iface\n", []),
        ("taken out", "--del-set s src", "create s hash:ip\nadd s 10.0.0.5\nadd s 10.0.0.6\n", ["10.0.0.6"]),
    ],
    ids=lambda value: value if isinstance(value, str) and "-set" not in value and "create" not in value else "",
)  # fmt: skip
def test_changes(name: str, target: str, sets: str, members: list[str]) -> None:
    macs = {"mac_source": bytes.fromhex("001122334455"), "mac_destination": bytes.fromhex("001122334466")}
    assert _after(target, sets, v4(dport=80), mark=0x107, **macs) == members


@pytest.mark.parametrize("operation", ["--add-set", "--del-set"])
def test_a_frame_without_macs_changes_no_bitmap_of_macs(operation: str) -> None:
    sets = "create s bitmap:ip,mac range 10.0.0.0/24\nadd s 10.0.0.6\n"
    for sent in (v4(src="10.0.0.5"), v4(src="10.0.0.6")):
        assert _after(f"{operation} s src,src", sets, sent, in_iface="", local_output=True) == ["10.0.0.6,any MAC"]


def test_a_default_timeout_and_counters_are_given() -> None:
    question = Question("-j SET --add-set s src", sets="create s hash:ip timeout 90 counters\n")
    question.run(question.skb())
    held = question.session.sets
    assert held is not None
    assert [(entry.timeout_s, entry.packets, entry.bytes) for entry in held["s"].entries] == [(90, 1, 28)]


@pytest.mark.parametrize(
    ("target", "sets", "doubt"),
    [
        (
            "--add-set gone src", "",
            Doubt(
                DoubtKind.UNKNOWN,
                "SET changes something in a set of which nothing is known: "
                "the packet is in set gone, which is not in the snapshot",
            ),
        ),
        (
            "--add-set s src", "create s hash:ip maxelem 1 forceadd\nadd s 10.0.0.9\n",
            Doubt(DoubtKind.CHANCE, "set s is full and gives up a random element"),
        ),
        (
            "--add-set s src,src", "create s hash:net,iface\n",
            Doubt(DoubtKind.UNKNOWN, "the interface put into set s is not known"),
        ),
        (
            "--add-set s src", "create s list:set\nadd s gone\n",
            Doubt(DoubtKind.UNKNOWN, "the packet is in set gone, which is not in the snapshot"),
        ),
        (
            "--map-set s src --map-mark", "create s list:set\nadd s gone\n",
            Doubt(DoubtKind.UNKNOWN, "the packet is in set gone, which is not in the snapshot"),
        ),
    ],
    ids=["no set", "a full set gives up an element", "no device", "a member is missing", "a mapped member is missing"],
)  # fmt: skip
def test_what_cannot_be_known_is_a_doubt(target: str, sets: str, doubt: Doubt) -> None:
    question = Question(f"-j SET {target}", sets=sets)
    assert question.run(question.skb(in_iface=None))[0] == doubt


def test_later_rules_see_the_change_and_the_snapshot_does_not() -> None:
    question = Question("-m set --match-set s src -j SET --del-set s src", sets="create s hash:ip\nadd s 10.0.0.5\n")
    skb = question.skb()
    assert question.ask_about(skb) is True
    assert question.run(skb) == (None, "deletes from set s")
    assert question.ask_about(skb) is False
    given = question.snapshot.ip_sets
    assert given is not None
    assert len(given["s"].entries) == 1


def test_a_map_takes_the_mark_of_the_element() -> None:
    question = Question(
        "-j SET --map-set s src --map-mark", sets="create s hash:ip skbinfo\nadd s 10.0.0.5 skbmark 0x1234/0xff00\n"
    )
    skb = question.skb(mark=0xFFFF)
    assert question.run(skb) == (None, "mark 0xffff -> 0x12cb")
    assert question.run(question.skb(v4(src="10.0.0.6"), mark=1)) == (None, "mark stays 0x1")


def test_a_bitmap_without_a_range_cannot_be_changed() -> None:
    question = Question("-j SET --add-set s src", ip_sets={"s": IPSet("s", "bitmap:port", None)})
    with pytest.raises(InvalidInput, match="range of set s is none"):
        question.run(question.skb(v4(dport=80)))
