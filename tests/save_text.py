"""iptables-save text as lines by table, for comparing two prints without parsing rules."""

from __future__ import annotations

import re

_COUNTERS = re.compile(r"\[\d+:\d+\]$")


def read_tables(text: str) -> dict[str, list[str]]:
    """Chain lines and rule lines of each table, in printed order; comments and COMMIT are left out."""
    tables: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("*"):
            lines = tables.setdefault(line[1:], [])
        elif line and not line.startswith("#") and line != "COMMIT":
            lines.append(line)
    return tables


def without_counters(tables: dict[str, list[str]]) -> dict[str, list[str]]:
    """The same with every chain's counters at zero, as a new kernel has them."""
    return {
        table: [_COUNTERS.sub("[0:0]", line) if line.startswith(":") else line for line in lines]
        for table, lines in tables.items()
    }
