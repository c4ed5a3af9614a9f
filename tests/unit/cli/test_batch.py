from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.test_trace import node, tortie
from tests.unit.simulator.test_document import VALIDATOR

__all__ = ["node"]

LINES = """\
# what the monitoring sends
tcp 10.0.0.5:40000 10.1.0.9:80

udp 10.0.0.5:1 10.1.0.9:53 -i eth0
tcp 10.0.0.5:1 10.1.0.9:22 --payload 'GET /'
"""


def documents(stdout: str) -> list[dict[str, Any]]:
    made = [json.loads(line) for line in stdout.splitlines()]
    for document in made:
        VALIDATOR.validate(document)
    return made


def test_a_document_comes_out_for_every_packet_with_its_line(node: Path) -> None:
    found = tortie("-n", node, "--batch", "-", text=LINES)
    assert found.exit_code == 0, found.output
    assert [(made["line"], made["verdict"]) for made in documents(found.stdout)] == [
        (2, "ACCEPT"),
        (4, "REJECT"),
        (5, "MAYBE"),
    ]


def test_lines_come_from_a_file_as_well(node: Path, tmp_path: Path) -> None:
    (tmp_path / "packets").write_text(LINES)
    assert (
        tortie("-n", node, "--batch", tmp_path / "packets").stdout == tortie("-n", node, "--batch", "-", text=LINES).stdout
    )


def test_a_bad_line_is_told_and_the_others_go_on(node: Path) -> None:
    found = tortie(
        "-n", node, "--batch", "-", text="tcp nonsense\nudp 10.0.0.5:1 10.1.0.9:53\ntcp 10.0.0.5 10.1.0.9:80 --mrk 1\n"
    )
    assert found.exit_code == 2
    first, second, third = documents(found.stdout)
    assert (first["line"], first["error"]) == (1, "a packet is said in three words, not 2: PROTO SRC[:PORT] DST[:PORT]")
    assert (second["line"], second["verdict"]) == (2, "REJECT")
    assert (third["error"], third["remedy"]) == ("no such option: --mrk", "did you mean --mark?")


def test_bytes_that_are_no_text_are_a_bad_line(node: Path, tmp_path: Path) -> None:
    (tmp_path / "packets").write_bytes(b"tcp \xff 10.1.0.9:80\n")
    found = tortie("-n", node, "--batch", tmp_path / "packets")
    assert found.exit_code == 2
    assert "not an IP address" in documents(found.stdout)[0]["error"]


CONVERSATION = "tcp 10.0.0.5:7 10.1.0.9:80\ntcp 10.1.0.9:80 10.0.0.5:7 --tcp-flags SA\n"


@pytest.mark.parametrize(("option", "verdict"), [("--stateless", "REJECT"), ("--stateful", "ACCEPT")])
def test_connections_live_on_when_told(node: Path, option: str, verdict: str) -> None:
    found = tortie("-n", node, "--batch", "-", option, text=CONVERSATION)
    assert [made["verdict"] for made in documents(found.stdout)] == ["ACCEPT", verdict]


def test_brief_leaves_out_the_steps(node: Path) -> None:
    found = tortie("-n", node, "--batch", "-", "--brief", text=LINES)
    made = documents(found.stdout)
    assert all("steps" not in one for one in made)
    assert made[1]["decided_by"]["rule"] == 5


def test_edits_hold_for_every_line(node: Path) -> None:
    found = tortie("-n", node, "--batch", "-", "--edit", "-I FORWARD 1 -j DROP", text=LINES)
    assert {made["verdict"] for made in documents(found.stdout)} == {"DROP"}


def test_the_time_may_be_said_per_line(node: Path) -> None:
    rule = "-I FORWARD 1 -m time --timestart 12:00 --timestop 13:00 -j DROP"
    lines = "udp 10.0.0.5:1 10.1.0.9:53 --time 2024-05-01T12:30:00\nudp 10.0.0.5:1 10.1.0.9:53 --time 2024-05-01T13:30:00\n"
    found = tortie("-n", node, "--batch", "-", "--edit", rule, text=lines)
    assert [made["verdict"] for made in documents(found.stdout)] == ["DROP", "REJECT"]
