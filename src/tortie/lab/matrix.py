"""What verification found: a matrix of who reaches whom, one try with all three answers, and all of it as plain data.

A row for each station, a column for each target; a cell has a sign for each probe.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tortie.lab.verify import Finding

REACHED, CLOSED, DISAGREES, ITSELF = "+", ".", "!", " "
MOST_SHOWN = 10
"""Of the tries on which the three disagree."""


def matrix_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """The matrix, and what its signs mean."""
    probes = list(dict.fromkeys(str(finding.target.probe) for finding in findings))
    stations = list(dict.fromkeys(finding.station.name for finding in findings))
    targets = dict.fromkeys(finding.target.name for finding in findings)
    columns = [*(name for name in stations if name in targets), *(name for name in targets if name not in stations)]
    cells = {(one.station.name, one.target.name, str(one.target.probe)): one for one in findings}

    def sign(station: str, column: str, probe: str) -> str:
        found = cells.get((station, column, probe))
        return ITSELF if found is None else _sign(found)

    by_column = {
        column: [probe for probe in probes if any((one, column, probe) in cells for one in stations)] for column in columns
    }
    yield f"cells: {' '.join(probes)}, each {REACHED} reached, {CLOSED} closed, {DISAGREES} the three disagree"
    width = max(len(name) for name in ("to", *stations))
    for number, column in enumerate(columns, start=1):
        yield f"{'':{width}}  {number:>3} {column}"
    heads = [f"{number:^{max(len(by_column[column]), len(str(number)))}}" for number, column in enumerate(columns, start=1)]
    yield f"{'from':{width}}  {' '.join(heads)}".rstrip()
    for station in stations:
        shown = [
            f"{''.join(sign(station, column, probe) for probe in by_column[column]):^{len(head)}}"
            for column, head in zip(columns, heads, strict=True)
        ]
        yield f"{station:{width}}  {' '.join(shown)}".rstrip()


def _sign(finding: Finding) -> str:
    if not finding.agrees:
        return DISAGREES
    return REACHED if finding.outcome.connected else CLOSED


def summary_line(findings: Sequence[Finding]) -> str:
    """How many tries there were, and what came of them."""
    reached = sum(finding.outcome.connected for finding in findings)
    wrong = sum(not finding.agrees for finding in findings)
    said = "kernel, simulator and policy agree on all" if not wrong else f"they DISAGREE on {wrong}"
    return f"{len(findings)} tries, {reached} connected, {len(findings) - reached} not; {said}"


def answer_lines(finding: Finding) -> Iterator[str]:
    """One try with its three answers."""
    yield f"{finding.station.name} to {finding.target.name} {finding.target.probe}:"
    yield f"  kernel     {_word(finding.outcome.connected)} {finding.outcome.word}".rstrip()
    yield f"  simulator  {_word(finding.prediction.connects)} {finding.prediction.why}"
    yield f"  policy     {_word(finding.meaning.allows)} {finding.meaning.why}"


def _word(answer: bool | None) -> str:
    return "cannot tell:" if answer is None else "connects:" if answer else "does not:"


def document(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Every try as plain data."""
    return [
        {
            "from": finding.station.name,
            "to": finding.target.name,
            "probe": str(finding.target.probe),
            "connected": finding.outcome.connected,
            "predicted": finding.prediction.connects,
            "predictedBecause": finding.prediction.why,
            "allowed": finding.meaning.allows,
            "allowedBecause": finding.meaning.why,
            "agree": finding.agrees,
        }
        for finding in findings
    ]
