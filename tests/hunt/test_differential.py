"""A long search for packets on which simulator and kernel disagree: new scenarios in every run, until it is stopped.

Each disagreement is made as small as it gets and written to `FINDINGS`; `python -m tests.kernel.differential FILE` shows it
again. `TORTIE_HUNT_PACKETS` ends the search after so many packets.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.kernel.differential import Judge, Mismatch, Report
from tests.kernel.generate.scenario import SCENARIOS_PER_TOPOLOGY
from tests.kernel.scenario import Scenario
from tests.kernel.scenario_file import format_scenario
from tests.kernel.shrink import mismatch_kind, shrink
from tests.kernel.test_differential import DRAWN
from tests.requirement import missing_for_kernel

pytestmark = [
    pytest.mark.skipif(missing_for_kernel() is not None, reason=str(missing_for_kernel())),
    pytest.mark.timeout(0),
]

FINDINGS = Path(os.environ.get("TORTIE_FINDINGS", "findings"))
PACKETS = int(os.environ.get("TORTIE_HUNT_PACKETS", "0"))
"""0 is without end."""
PACKETS_PER_RULESET = 60
"""Making a ruleset costs as much as fifty packets, so each gets more of them than in a test that has to be short."""


@dataclass(slots=True)
class _Tally:
    """What a search has seen so far."""

    packets: int = 0
    rulesets: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    not_compared: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    start: float = field(default_factory=time.monotonic)

    def add(self, report: Report) -> None:
        """Counts a ruleset in."""
        self.packets += report.packets
        self.rulesets += 1
        self.unknown += report.unknown
        self.not_compared += report.not_compared

    def __str__(self) -> str:
        rate = self.packets / (time.monotonic() - self.start)
        seen = f"{self.packets:,} packets, {self.rulesets:,} rulesets, {len(self.findings)} findings"
        return f"{seen}, {self.unknown.total()} unknown, {self.not_compared.total()} not compared, {rate:.0f} a second"


def _smallest(judge: Judge, scenario: Scenario, remark: str) -> Scenario:
    kind = mismatch_kind(remark)

    def still_fails(smaller: Scenario) -> bool:
        found = judge.judge(smaller).mismatches
        return bool(found) and mismatch_kind(found[0].remarks[0]) == kind

    return shrink(scenario, still_fails)


def _keep(judge: Judge, scenario: Scenario, style: str, seed: int, mismatch: Mismatch) -> str:
    """Writes a finding as it was and as small as it gets, with the account of the first time; returns a line about it."""
    FINDINGS.mkdir(exist_ok=True, parents=True)
    path = FINDINGS / f"{style}-{seed}.txt"
    text = f"packet {mismatch.key}: " + "; ".join(mismatch.remarks)
    path.with_suffix(".account").write_text(f"{text}\n{mismatch.account}\n")
    path.with_suffix(".whole").write_text(format_scenario(scenario))
    path.write_text(format_scenario(_smallest(judge, scenario, mismatch.remarks[0])))
    return f"{path}: {text[:200]}"


def test_simulator_against_kernel() -> None:
    tally = _Tally()
    first = random.SystemRandom().randrange(1 << 40)
    while not PACKETS or tally.packets < PACKETS:
        for style, draw in DRAWN.items():
            with Judge() as judge:
                for seed in range(first, first + SCENARIOS_PER_TOPOLOGY):
                    scenario = draw(seed, packets=PACKETS_PER_RULESET)
                    report = judge.judge(scenario)
                    tally.add(report)
                    if report.mismatches:
                        tally.findings.append(_keep(judge, scenario, style, seed, report.mismatches[0]))
        first += SCENARIOS_PER_TOPOLOGY
        sys.stderr.write(f"\r{tally} ")
    for why, count in (tally.unknown + tally.not_compared).most_common():
        sys.stderr.write(f"\n{count:>7} {why}")
    assert not tally.findings, "\n".join(tally.findings)
