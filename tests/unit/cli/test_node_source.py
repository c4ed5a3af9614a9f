from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests import trace_values
from tortie.cli.node_source import (
    SLOW_BYTES,
    check_assumptions,
    load_node_snapshot,
    parse_assumptions,
    read_bytes,
    read_text,
    snapshot_size,
)
from tortie.net.error import InvalidInput
from tortie.simulator.trace import Walk

OPEN = trace_values.ALL["rejected-or-not"]
"""Depends on `filter:FORWARD:1`, match or miss."""


def test_assumptions_are_subject_and_option() -> None:
    assert parse_assumptions(["filter:FORWARD:1=match", "route=eth0"]) == {"filter:FORWARD:1": "match", "route": "eth0"}


def test_a_chain_may_have_an_equals_sign_in_its_name() -> None:
    assert parse_assumptions(["filter:a=b:1=miss"]) == {"filter:a=b:1": "miss"}


@pytest.mark.parametrize("value", ["nonsense", "=match", "filter:FORWARD:1=", "="])
def test_nonsense_is_refused(value: str) -> None:
    with pytest.raises(InvalidInput, match="not an assumption"):
        parse_assumptions([value])


def _assumed(walk: Walk) -> Walk:
    trace = walk.outcomes[0]
    return replace(
        walk, outcomes=(replace(trace, conditions=tuple(replace(one, assumed=True) for one in trace.conditions)),)
    )


def test_an_assumption_that_decided_something_is_fine() -> None:
    check_assumptions({"filter:FORWARD:1": "match"}, [_assumed(OPEN)])
    check_assumptions({}, [OPEN])


@pytest.mark.parametrize(
    ("assumed", "walk", "message", "remedy"),
    [
        ({"filter:FORWARD:1": "maybe"}, OPEN, "no such option", "one of match, miss"),
        ({"filter:FORWARD:9": "match"}, OPEN, "does not depend on it", "it depends on filter:FORWARD:1"),
        ({"route": "eth0"}, trace_values.ALL["forwarded"], "leaves nothing open", None),
    ],
    ids=["option", "subject", "nothing"],
)
def test_an_assumption_that_decided_nothing_is_refused(
    assumed: dict[str, str], walk: Walk, message: str, remedy: str | None
) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        check_assumptions(assumed, [walk])
    assert caught.value.remedy == remedy


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(InvalidInput) as caught:
            read_bytes(str(path))
        assert caught.value.source == str(path)


def test_bytes_that_are_no_text_are_found_by_line(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"tcp\nudp\n\xff\n")
    with pytest.raises(InvalidInput, match="not UTF-8 text") as caught:
        read_text(str(tmp_path / "list"))
    assert caught.value.line == 3


def test_a_closed_stdin_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InvalidInput, match="stdin is closed"):
        read_bytes("-")


def test_the_size_of_a_snapshot_is_that_of_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "iptables-save").write_text("x" * 100)
    (tmp_path / "ipset-save").write_text("x" * 10)
    assert snapshot_size(str(tmp_path)) == 110
    assert snapshot_size(str(tmp_path / "ipset-save")) == 10
    assert snapshot_size(str(tmp_path / "nothing")) == 0


@pytest.mark.parametrize(
    ("size", "terminal", "told"), [(SLOW_BYTES, True, True), (10, True, False), (SLOW_BYTES, False, False)]
)
def test_a_long_read_shows_a_sign_of_life_on_a_terminal(
    size: int,
    terminal: bool,
    told: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "iptables-save"
    path.write_text("*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n# " + "x" * size + "\n")
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert load_node_snapshot(str(path)).rulesets
    assert ("reading" in capsys.readouterr().err) is told
