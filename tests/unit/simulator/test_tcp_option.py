"""TCP options as the kernel walks them."""

from __future__ import annotations

import pytest

from tortie.simulator.tcp_option import has_option, mss_of, option_starts


@pytest.mark.parametrize(
    ("options", "starts"),
    [
        (b"", []),
        (b"\1\1\0\1", [(0, 1), (1, 1), (2, 1), (3, 1)]),
        (b"\2\4\5\xb4", [(0, 4)]),
        (b"\2\0\2\4\5\xb4\1\1", [(0, 1), (1, 1), (2, 4), (6, 1), (7, 1)]),
        (b"\1\1\1\x08", [(0, 1), (1, 1), (2, 1), (3, 1)]),
        (b"\x08\x0a\0\0", [(0, 10)]),
    ],
    ids=["none", "single bytes", "one", "a length of 0", "cut before its length", "longer than the header"],
)
def test_places_and_lengths(options: bytes, starts: list[tuple[int, int]]) -> None:
    assert list(option_starts(options)) == starts


def test_only_options_that_the_walk_comes_by_are_there() -> None:
    assert has_option(b"\x08\4\2\2", 8) is True
    assert has_option(b"\x08\4\2\2", 2) is False


@pytest.mark.parametrize(
    ("options", "mss"), [(b"\2\4\5\xb4", 1460), (b"\1\1\2\4", None), (b"\2\3\5\xb4", None), (b"\1\2\4\0\5\1\1\1", 5)]
)
def test_announced_mss(options: bytes, mss: int | None) -> None:
    assert mss_of(options) == mss
