"""Writes a document as JSON piece by piece, so that one of very many steps need not be held as text."""

from __future__ import annotations

import json
from typing import Any

import click

_PIECES = 20_000
"""Pieces that are joined before they are written."""


def write_document(document: dict[str, Any]) -> None:
    """Writes a document to standard output, indented, with a newline behind it."""
    waiting: list[str] = []
    for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(document):
        waiting.append(piece)
        if len(waiting) >= _PIECES:
            click.echo("".join(waiting), nl=False)
            waiting.clear()
    click.echo("".join(waiting))
