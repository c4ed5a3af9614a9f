"""Header tests: what they answer where a device is not known, and how they explain themselves.

What they mean is asked of the kernel (`tests/cases/matches.py`).
"""

from __future__ import annotations

import pytest

from tests.cases.matches import CUT6, later, v4, v6
from tests.match_builder import ask, why
from tortie.netfilter.hook import Backend
from tortie.simulator.answer import HOTDROP, Doubt, DoubtKind


@pytest.mark.parametrize(
    ("rule", "answer"),
    [
        ("-o e0", False),
        ("! -o e0", True),
        ("-i e0", True),
        ("! -i e0", False),
        ("-o +", True),
        ("! -o +", False),
        ("! -i +", False),
    ],
    ids=["V12 -o", "V12 ! -o", "V12 -i", "V12 ! -i", "V12 -o +", "! -o +", "V13"],
)
def test_a_hook_without_a_device_has_an_empty_name(rule: str, answer: bool) -> None:
    assert ask(rule, in_iface="e0", out_iface="") is answer


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("-i e0", "the input interface is e0"),
        ("! -i e0", "the input interface is not e0"),
        ("-i e+", "the input interface is e+"),
        ("-o e0", "the output interface is e0"),
    ],
)
def test_a_device_that_is_not_known_makes_a_doubt(rule: str, text: str) -> None:
    assert ask(rule, in_iface=None, out_iface=None) == Doubt(DoubtKind.UNKNOWN, text)


@pytest.mark.parametrize(("rule", "answer"), [("-i +", True), ("! -i +", False), ("-o +", True), ("! -o +", False)])
def test_any_device_needs_no_name(rule: str, answer: bool) -> None:
    assert ask(rule, in_iface=None, out_iface=None) is answer


@pytest.mark.parametrize("backend", Backend)
def test_a_broken_chain_of_headers_drops_in_legacy_and_misses_in_nft(backend: Backend) -> None:
    expected = HOTDROP if backend is Backend.LEGACY else False
    assert ask("-p tcp", CUT6["options, one byte"], backend=backend) is expected
    assert ask("! -p tcp", CUT6["options, one byte"], backend=backend) is expected


@pytest.mark.parametrize(
    ("rule", "packet", "reason"),
    [
        ("! -s 10.0.0.5", v4(), "source is 10.0.0.5"),
        ("! -d 10.1.0.0/16", v4(), "destination 10.1.0.9 is in 10.1.0.0/16"),
        ("-s 0.0.0.9/0.0.0.255", v4(), "source 10.0.0.5 is not in 0.0.0.9/0.0.0.255"),
        ("-s fd00::/127", v6(), "source fd00::5 is not in fd00::/127"),
        ("! -p udp", v4(), "protocol is udp"),
        ("-p ah", v6(), "protocol is udp, not ah"),
        ("-f", v4(), "the packet is no fragment"),
        ("-f", v4(more_fragments=True), "the packet is a first fragment"),
        ("! -f", later(17, 3, b""), "the packet is a later fragment (offset 24)"),
        ("-o e1", v4(), "there is no output interface here"),
        ("! -i e0", v4(), "input interface is e0"),
    ],
)
def test_reasons(rule: str, packet: object, reason: str) -> None:
    assert why(rule, packet) == reason  # type: ignore[arg-type]


def test_the_reason_for_a_broken_chain() -> None:
    assert why("-p tcp", CUT6["options, one byte"]) == "the chain of extension headers is broken"
