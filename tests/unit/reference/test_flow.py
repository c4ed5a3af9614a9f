"""Packets as policy sees them, and their answers."""

from __future__ import annotations

import pytest

from tests.reference_builder import flow
from tortie.net.address import parse_address
from tortie.reference.flow import Flow, Tracking


@pytest.mark.parametrize(
    ("packet", "words"),
    [
        (
            flow("tcp 10.0.0.1:1 > 10.65.0.2:80", "eth0", "cali1"),
            "tcp 10.0.0.1:1 > 10.65.0.2:80, enters eth0, leaves cali1",
        ),
        (
            flow("udp [fd00::1]:1 > [fd00::2]:2", None, "eth0"),
            "udp [fd00::1]:1 > [fd00::2]:2, made by the node, leaves eth0",
        ),
        (
            flow("icmp 10.0.0.1 > 10.0.0.2 8/0", "eth0", None),
            "icmp 10.0.0.1 > 10.0.0.2 type 8 code 0, enters eth0, for the node",
        ),
        (
            flow(
                "tcp 10.0.0.1:1 > 10.96.0.1:80", "eth0", "cali1", translated=parse_address("10.65.0.2"), translated_port=8
            ),
            "tcp 10.0.0.1:1 > 10.96.0.1:80 (translated to 10.65.0.2:8), enters eth0, leaves cali1",
        ),
        (
            flow("tcp 10.0.0.1:1 > 10.0.0.2:2", "eth0", None, tracking=Tracking.INVALID),
            "tcp 10.0.0.1:1 > 10.0.0.2:2 (invalid), enters eth0, for the node",
        ),
    ],
)
def test_words(packet: Flow, words: str) -> None:
    assert str(packet) == words


@pytest.mark.parametrize(
    ("packet", "untracked", "answer"),
    [
        (
            flow("tcp 10.0.0.1:1 > 10.65.0.2:80", "eth0", "cali1"),
            False,
            "tcp 10.65.0.2:80 > 10.0.0.1:1 (established), enters cali1, leaves eth0",
        ),
        (
            flow("tcp 10.0.0.1:1 > 10.20.0.1:80", "eth0", None),
            True,
            "tcp 10.20.0.1:80 > 10.0.0.1:1 (invalid), made by the node, leaves eth0",
        ),
        (
            flow("udp 10.0.0.1:1 > 10.20.0.1:80", "eth0", None),
            True,
            "udp 10.20.0.1:80 > 10.0.0.1:1, made by the node, leaves eth0",
        ),
        (
            flow("icmpv6 fd00::1 > fd00::2 128/0", "eth0", None),
            False,
            "ipv6-icmp fd00::2 > fd00::1 type 129 code 0 (established), made by the node, leaves eth0",
        ),
        (
            flow(
                "tcp 10.0.0.1:1 > 10.96.0.1:80", "eth0", "cali1", translated=parse_address("10.65.0.2"), translated_port=8
            ),
            False,
            "tcp 10.65.0.2:8 > 10.0.0.1:1 (established), enters cali1, leaves eth0",
        ),
        (
            flow("tcp 10.20.0.1:1 > 10.30.0.1:80", None, "lo"),
            False,
            "tcp 10.30.0.1:80 > 10.20.0.1:1 (established), made by the node, leaves lo",
        ),
    ],
)
def test_answers(packet: Flow, untracked: bool, answer: str) -> None:
    assert str(packet.answered(untracked=untracked)) == answer


def test_a_flow_comes_or_goes() -> None:
    with pytest.raises(ValueError, match="leaves by lo"):
        flow("tcp 10.0.0.1:1 > 10.0.0.2:2", None, None)
