"""Documents written piece by piece are the same text."""

from __future__ import annotations

import json

import pytest

from tests.node_builder import node, packet, walk_packet
from tortie.cli import document_text
from tortie.simulator.document import walk_document
from tortie.simulator.summary import read_naming

RULES = "*filter\n:FORWARD ACCEPT\n" + "".join(f"-A FORWARD -s 10.9.0.{number}\n" for number in range(50))


def test_a_document_is_written_as_json_writes_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = node(RULES)
    walk = walk_packet(made, packet("udp", "10.0.0.5:1", "10.1.0.9:2"))
    naming = read_naming(made.snapshot.rulesets)
    monkeypatch.setattr(document_text, "_PIECES", 10)
    document_text.write_document(walk_document(walk, naming, lazily=True))
    assert capsys.readouterr().out == json.dumps(walk_document(walk, naming), indent=2, ensure_ascii=False) + "\n"
