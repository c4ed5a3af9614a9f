"""Reads rule vectors: `[chain]` starts a chain, `#` a note on it; each further line is a hash and Felix's words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tortie.render.hash import rule_hashes
from tortie.render.text import FelixRule


@dataclass(frozen=True, slots=True)
class Vector:
    """One chain as the original renders it; `note` says from what."""

    chain: str
    note: str
    lines: tuple[tuple[str, str], ...]
    """(hash, words) of each rule."""


def read_vectors(name: str) -> dict[str, Vector]:
    """The vectors of a file by their heading."""
    found: dict[str, Vector] = {}
    for block in (Path(__file__).parent / f"{name}.vectors").read_text().split("\n["):
        heading, *lines = block.removeprefix("[").splitlines()
        chain, _, note = heading.partition("]")
        assert heading not in found
        note = note.partition("#")[2].strip()
        pairs = tuple((line[:16], line[18:]) for line in lines if line)
        found[f"{chain}: {note}" if note else chain] = Vector(chain, note, pairs)
    return found


def printed(chain: str, rules: Iterable[FelixRule]) -> tuple[tuple[str, str], ...]:
    """What was rendered, in the form of a vector's lines."""
    words = [rule.words for rule in rules]
    return tuple(zip(rule_hashes(chain, words), words, strict=True))
