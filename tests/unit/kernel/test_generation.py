"""The number of nf_tables' rules as the kernel answers it."""

from __future__ import annotations

import pytest

from tortie.kernel.generation import generation_of

ANSWER = bytes.fromhex("2c0000000f0a00000100000012340000000000000800010000000007080002000000022b0700030078780000")
"""nlmsghdr, nfgenmsg, NFTA_GEN_ID 7, NFTA_GEN_PROC_PID, NFTA_GEN_PROC_NAME: what Linux 6.18 answers."""


def test_the_number_is_found_among_the_attributes() -> None:
    assert generation_of(ANSWER) == 7


def test_also_behind_others() -> None:
    assert generation_of(ANSWER[:20] + ANSWER[28:44] + ANSWER[20:28]) == 7


OTHERS = {
    "nothing": b"",
    "a refusal": bytes.fromhex(
        "24000000020000000100000012340000ffffffff1400000010 0a0100010000000000000000".replace(" ", "")
    ),
    "no attributes": bytes.fromhex("140000000f0a0000010000001234000000000000"),
    "cut short": ANSWER[:26],
    "an attribute of no length": ANSWER[:20] + bytes(8) + ANSWER[28:],
}


@pytest.mark.parametrize("answer", OTHERS.values(), ids=OTHERS)
def test_anything_else_tells_nothing(answer: bytes) -> None:
    assert generation_of(answer) is None
