"""`tortie ipam`: its tables, and how bad input ends; the rest is over a real etcd (tests/contract/)."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from tortie.cli.ipam import format_grid
from tortie.cli.main import main


def test_a_grid_has_its_headings_in_the_middle() -> None:
    assert format_grid([("IP", "LONG HEADING"), ("10.0.0.1", "x")]) == (
        "+----------+--------------+\n"
        "|    IP    | LONG HEADING |\n"
        "+----------+--------------+\n"
        "| 10.0.0.1 | x            |\n"
        "+----------+--------------+\n"
    )


def test_a_grid_without_rows_is_a_heading() -> None:
    assert format_grid([("IP",)]) == "+----+\n| IP |\n+----+\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("show", "--ip", "10.0.0"), "not an IP address: '10.0.0'"),
        (("show", "--ip", "10.0.0.1", "--show-blocks"), "these options exclude each other"),
        (("show", "--show-borrowed", "--show-blocks"), "these options exclude each other"),
        (("release",), "Missing option '--ip'"),
        (("release", "--ip", "x"), "not an IP address: 'x'"),
        (("show",), "no etcd endpoints specified"),
        (("show", "-c", "/nothing.cfg"), "/nothing.cfg: cannot be read"),
    ],
)
def test_bad_input_is_one_line(words: tuple[str, ...], message: str) -> None:
    found = CliRunner().invoke(main, ["ipam", *words], env={"ETCD_ENDPOINTS": ""})
    assert found.exit_code == 2
    assert message in found.stderr
    assert found.stderr.count("\n") == 1
