"""The classic BPF machine: what a snapshot tells it, and where programs end."""

from __future__ import annotations

import pytest

from tests.cases.matches import v4
from tests.match_builder import Question
from tortie.net.node import Link
from tortie.simulator.answer import Answer, Doubt, DoubtKind
from tortie.simulator.bpf import Instruction, run_program

ANCILLARY, NETWORK, LINK = 0xFFFFF000, 0xFFF00000, 0xFFE00000
LOAD_WORD, LOAD_BYTE, RETURN_A, RETURN = (0x20, 0, 0), (0x30, 0, 0), (0x16, 0, 0, 0), (0x06, 0, 0)
DOUBT = "the BPF program takes the packet, for which it looks at "


def run(*program: Instruction, **fields: object) -> Answer:
    question = Question("-p udp")
    return run_program(program, question.skb(v4(), **fields), (Link("e0", 7),))


def equals(value: int) -> tuple[Instruction, ...]:
    """Takes the packet when the accumulator has this value."""
    return (0x15, 0, 1, value), (*RETURN, 1), (*RETURN, 0)


@pytest.mark.parametrize(
    ("name", "program", "answer"),
    [
        ("a byte", ((*LOAD_BYTE, 9), *equals(17)), True),
        ("by the network header", ((*LOAD_BYTE, NETWORK + 9), *equals(17)), True),
        ("beyond the end", ((*LOAD_WORD, 26), (*RETURN, 1)), False),
        ("division by zero", ((0x00, 0, 0, 4), (0x3C, 0, 0, 0), (*RETURN, 1)), False),
        ("remainder by zero", ((0x00, 0, 0, 4), (0x9C, 0, 0, 0), (*RETURN, 1)), False),
        ("the mark", ((*LOAD_WORD, ANCILLARY + 20), *equals(5)), True),
        ("the device", ((*LOAD_WORD, ANCILLARY + 8), *equals(7)), True),
        ("the frame's type", ((*LOAD_WORD, ANCILLARY + 4), *equals(0)), True),
        (
            "a random number",
            ((*LOAD_WORD, ANCILLARY + 56), RETURN_A),
            Doubt(DoubtKind.UNKNOWN, DOUBT + "something that is no part of the packet"),
        ),
        ("the frame's header", ((*LOAD_WORD, LINK), RETURN_A), Doubt(DoubtKind.UNKNOWN, DOUBT + "the frame's header")),
        ("wraps at 32 bits", ((0x00, 0, 0, 0xFFFFFFFF), (0x04, 0, 0, 2), *equals(1)), True),
        ("negation", ((0x00, 0, 0, 1), (0x84, 0, 0, 0), *equals(0xFFFFFFFF)), True),
        ("shift by the index", ((0x01, 0, 0, 4), (0x00, 0, 0, 1), (0x6C, 0, 0, 0), *equals(16)), True),
        ("memory", ((0x00, 0, 0, 9), (0x02, 0, 0, 3), (0x00, 0, 0, 0), (0x61, 0, 0, 3), (0x87, 0, 0, 0), *equals(9)), True),
        ("a jump", ((0x05, 0, 0, 1), (*RETURN, 0), (*RETURN, 1)), True),
        ("header length", ((0xB1, 0, 0, 0), (0x87, 0, 0, 0), *equals(20)), True),
        ("packet length", ((0x80, 0, 0, 0), *equals(28)), True),
        ("greater", ((0x80, 0, 0, 0), (0x25, 0, 1, 27), (*RETURN, 1), (*RETURN, 0)), True),
        ("a bit", ((0x80, 0, 0, 0), (0x45, 0, 1, 3), (*RETURN, 1), (*RETURN, 0)), False),
        ("no return", (), False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_programs(name: str, program: tuple[Instruction, ...], answer: Answer) -> None:
    assert run(*program, mark=5) == answer


def test_a_frame_type_that_is_not_known_is_a_doubt() -> None:
    assert isinstance(run((*LOAD_WORD, ANCILLARY + 4), RETURN_A, frame_type=None), Doubt)
