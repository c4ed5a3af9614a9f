"""Tests of bytes: the specification's vectors, and reasons."""

from __future__ import annotations

import pytest

from tests.cases.matches import v4
from tests.match_builder import ask, why
from tortie.simulator.answer import Doubt, DoubtKind

TEXT_AT_32 = v4(payload=b"abcdNEEDLE")


@pytest.mark.parametrize(
    ("options", "answer"),
    [("--from 40", False), ("--to 30", False), ("--from 32 --to 38", True), ("--from 32 --to 37", False), ("", True)],
    ids=["V97 from", "V97 to", "exactly", "one byte short", "anywhere"],
)
def test_texts(options: str, answer: bool) -> None:
    assert ask(f"-m string --string NEEDLE --algo bm {options}".rstrip(), TEXT_AT_32) is answer


def test_v98_a_place_beyond_the_packet() -> None:
    assert ask('-m u32 --u32 "100=0"') is False
    assert ask('-m u32 ! --u32 "100=0"') is True


def test_a_pinned_program_is_the_kernel_s_secret() -> None:
    answer = ask("-m bpf --object-pinned /sys/fs/bpf/x")
    assert answer == Doubt(DoubtKind.UNKNOWN, "the BPF program /sys/fs/bpf/x takes the packet")


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ('-m u32 --u32 "100=0"', "the place lies beyond the end of the packet"),
        ('-m u32 --u32 "6&0xFF=17 && 6&0xFF=6"', "the value at that place is 0x11"),
        ('-m u32 ! --u32 "6&0xFF=17"', "the bytes are those that the rule excludes"),
        ("-m string --string x --algo bm", "the text is not in the packet"),
        ("-m string ! --string NEEDLE --algo bm", "the text is in the packet"),
        ("-m string --string NEEDLE --algo kmp --to 30", "the text is not in the packet from byte 0 to 30"),
        ('-m bpf --bytecode "1,6 0 0 0"', "the BPF program does not take the packet"),
    ],
)
def test_reasons(rule: str, reason: str) -> None:
    assert why(rule, TEXT_AT_32) == reason
