"""How complaints of the tools are told apart, and what cannot be read; the rest is tests/contract/network.py's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.contract.network import PODS, TUNNEL, host
from tortie.kernel.network import FailedStep, Network
from tortie.kernel.refusal import KernelRefused
from tortie.kernel.run import Ran
from tortie.net.address import parse_address
from tortie.reconcile.network import AddForwarding, AddRoute, ForgetConnections, SetNeighbour, SetUp


class Answers:
    """Gives the same answer to every command, and keeps commands with their input."""

    def __init__(self, answer: Ran) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str]] = []

    def __call__(self, command: Sequence[str], data: bytes = b"") -> Ran:
        self.asked.append((" ".join(command), data.decode()))
        return self.answer


def test_a_tool_that_fails_is_named() -> None:
    with pytest.raises(KernelRefused, match="`ip -N -j addr`: not installed"):
        Network(Answers(Ran(127))).links()
    with pytest.raises(KernelRefused, match="`ip -N -j addr`: no netlink"):
        Network(Answers(Ran(1, error="no netlink\n"))).read(PODS)


def test_lines_for_one_tool_are_one_run() -> None:
    run = Answers(Ran(0))
    steps = [SetUp("cali1"), AddRoute(host("10.65.0.2/32", "cali1")), AddForwarding(TUNNEL.forwarding[0]), SetUp("cali2")]
    assert Network(run).carry_out(steps) == ()
    assert [(command, text.count("\n")) for command, text in run.asked] == [
        ("ip -force -batch -", 2),
        ("bridge -force -batch -", 1),
        ("ip -force -batch -", 1),
    ]


def test_each_failed_line_is_told_with_its_step() -> None:
    steps = (SetUp("cali1"), SetNeighbour(PODS.neighbours[0]), AddRoute(host("10.65.0.2/32", "cali1")))
    said = 'Cannot find device "cali1"\nCommand failed -:1\nRTNETLINK answers: File exists\nCommand failed -:3\n'
    assert Network(Answers(Ran(1, error=said))).carry_out(steps) == (
        FailedStep(steps[0], 'Cannot find device "cali1"'),
        FailedStep(steps[2], "File exists"),
    )


@pytest.mark.parametrize(
    ("ran", "message"), [(Ran(127), "not installed"), (Ran(2, error="Option what?\n"), "Option what?")]
)
def test_without_numbers_of_lines_all_have_failed(ran: Ran, message: str) -> None:
    steps = (SetUp("cali1"), SetUp("cali2"))
    assert Network(Answers(ran)).carry_out(steps) == tuple(FailedStep(step, message) for step in steps)


@pytest.mark.parametrize(
    ("ran", "tries", "failed"),
    [
        (Ran(0, b"udp 17 29 src=fd00::2 dst=fd00::9 sport=1 dport=2 src=fd00::9 dst=fd00::2 sport=2 dport=1\n"), 2, None),
        (Ran(0, b"udp 17 29 src=fd00::9 dst=fd00::2 sport=1 dport=2 src=fd00:0::2 dst=fd00::9 sport=2 dport=1\n"), 2, None),
        (Ran(0, b"udp 17 29 src=fd00::9 dst=fd00::8 sport=1 dport=2 src=fd00::8 dst=fd00::9 sport=2 dport=1\n"), 0, None),
        (Ran(0, b"src=what?\n"), 2, None),
        (Ran(1, error="0 flow entries have been deleted.\n"), 2, None),
        (Ran(1, error="busy\n"), 4, "busy"),
        (Ran(127), 1, "conntrack is not installed, so conversations of the address go on"),
    ],
    ids=["it began one", "it answers one", "not among them", "no list", "nothing there", "keeps failing", "not installed"],
)
def test_forgetting_conversations(ran: Ran, tries: int, failed: str | None) -> None:
    run = Answers(ran)
    step = ForgetConnections(parse_address("fd00::2"))
    assert Network(run).carry_out([step]) == (() if failed is None else (FailedStep(step, failed),))
    commands = [command for command, _ in run.asked]
    assert commands[0] == "conntrack --family ipv6 --dump"
    assert commands[1:2] == ["conntrack --family ipv6 --delete --orig-src fd00::2"] * bool(tries)
    assert len(commands) == 1 + tries


def test_conversations_are_listed_once_for_all_that_are_forgotten_together() -> None:
    run = Answers(Ran(0))
    Network(run).carry_out([ForgetConnections(parse_address(f"10.65.0.{number}")) for number in range(50)])
    assert run.asked == [("conntrack --family ipv4 --dump", "")]


def test_settings_that_cannot_be_read_are_not_there(tmp_path: Path) -> None:
    assert Network(Answers(Ran(0, b"[]")), tmp_path).read(PODS).settings == {}
