"""Sockets and surroundings: what is known, and doubts for the rest."""

from __future__ import annotations

import pytest

from tests.cases.matches import SYN, v4
from tests.match_builder import Question, ask, why
from tortie.net.packet import Packet
from tortie.netfilter.hook import Hook
from tortie.simulator.answer import Answer, Doubt, DoubtKind
from tortie.simulator.skb import Socket

KERNEL = {"socket": Socket(has_file=False)}
ROOT = {"socket": Socket(0, 0, frozenset({7}))}
NONE = {"socket": None}
SOMEBODY = {"socket": Socket()}
UNTOLD = {"socket": None, "socket_known": False}


@pytest.mark.parametrize(
    ("options", "fields", "answer"),
    [
        ("! --uid-owner 0", KERNEL, True),
        ("--socket-exists", KERNEL, True),
        ("--uid-owner 0", KERNEL, False),
        ("--uid-owner 0", NONE, False),
        ("! --uid-owner 0", NONE, True),
        ("! --socket-exists", NONE, True),
        ("! --gid-owner 7 --suppl-groups", NONE, False),
        ("! --socket-exists", ROOT, False),
        ("--uid-owner 0-5", ROOT, True),
        ("--gid-owner 7", ROOT, False),
        ("--gid-owner 7 --suppl-groups", ROOT, True),
        ("! --gid-owner 7 --suppl-groups", ROOT, False),
        ("--socket-exists", SOMEBODY, True),
    ],
)
def test_owners(options: str, fields: dict[str, object], answer: bool) -> None:
    assert ask(f"-m owner {options}", **fields) is answer  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "fields", "text"),
    [
        ("--uid-owner 5", UNTOLD, "is of user 5"),
        ("! --uid-owner 5-9", SOMEBODY, "is not of user 5 to 9"),
        ("--gid-owner 5", SOMEBODY, "is of group 5"),
        ("--socket-exists", UNTOLD, "exists"),
        ("! --socket-exists", UNTOLD, "does not exist"),
    ],
)
def test_an_owner_that_was_not_told_is_a_doubt(options: str, fields: dict[str, object], text: str) -> None:
    answer = ask(f"-m owner {options}", **fields)  # type: ignore[arg-type]
    assert answer == Doubt(DoubtKind.UNKNOWN, f"the sending socket {text}")


def _unknown(text: str) -> Doubt:
    return Doubt(DoubtKind.UNKNOWN, text)


@pytest.mark.parametrize(
    ("rule", "packet", "answer"),
    [
        ("-m socket", v4(), _unknown("a socket is open for the packet")),
        ("-m socket --transparent", v4(proto=6), _unknown("a transparent socket is open for the packet")),
        ("-m socket", v4(proto=1, icmp_type=3), _unknown("a socket is open for the packet")),
        ("-m socket", v4(proto=1, icmp_type=8), False),
        ("-m socket", v4(proto=89), False),
        ("-p tcp -m osf --genre Linux", v4(proto=6, tcp_flags=SYN), _unknown("the sender's fingerprint is Linux")),
        ("-p tcp -m osf ! --genre Linux", v4(proto=6), False),
        ("-m nfacct --nfacct-name x", v4(), _unknown("accounting object x has no quota, or is beyond it")),
        ("-m realm --realm 0x5", v4(), _unknown("the route's realm & 0xffffffff is 0x5")),
        ("-m cpu ! --cpu 2", v4(), Doubt(DoubtKind.CHANCE, "the packet is not handled by CPU 2")),
    ],
)
def test_surroundings(rule: str, packet: Packet, answer: Answer) -> None:
    assert ask(rule, packet) == answer


def test_control_groups_need_a_socket() -> None:
    doubt = _unknown("the socket is in control group class 0x5")
    assert ask("-m cgroup --cgroup 5", hook=Hook.POSTROUTING, **NONE) is False
    assert ask("-m cgroup --cgroup 5", hook=Hook.INPUT, **NONE) == doubt
    assert ask("-m cgroup --cgroup 5", hook=Hook.OUTPUT, **ROOT) == doubt


FULL = {"net.core.somaxconn": "4096"}


@pytest.mark.parametrize(
    ("rule", "fields", "answer"),
    [
        ("-m ipvs --ipvs", {"ipvs": ()}, False),
        ("-m ipvs ! --ipvs", {"ipvs": ()}, True),
        ("-m ipvs --vport 5", {"sysctls": FULL}, False),
        ("-m ipvs --ipvs", {"sysctls": {}}, _unknown("IPVS handles the packet as the rule asks")),
        ("-m ipvs --ipvs", {"sysctls": FULL | {"net.ipv4.vs.conntrack": "1"}},
        _unknown("IPVS handles the packet as the rule asks")),
        ("-m policy --dir in --pol none", {"sysctls": FULL}, True),
        ("-m policy --dir in --pol ipsec", {"sysctls": FULL}, False),
        ("-m policy --dir in --pol none", {"sysctls": {}}, _unknown("IPsec policy of the packet is none as the rule asks")),
        (
            "-m policy --dir out --pol ipsec", {"sysctls": FULL | {"net.core.xfrm_larval_drop": "1"}},
            _unknown("IPsec policy of the packet is ipsec as the rule asks"),
        ),
    ],
)  # fmt: skip
def test_what_a_kernel_lacks_decides(rule: str, fields: dict[str, object], answer: Answer) -> None:

    assert Question(rule, **fields).ask() == answer  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (NONE, "the packet has no sending socket"),
        (KERNEL, "the sending socket is the kernel's own"),
        ({"socket": Socket(5, 6)}, "the sending socket is of user 5 and group 6"),
    ],
)
def test_reasons(fields: dict[str, object], reason: str) -> None:
    assert why("-m owner --uid-owner 1", **fields) == reason  # type: ignore[arg-type]
