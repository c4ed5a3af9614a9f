"""A long search for packets on which simulator and kernel disagree: new scenarios in every run, until it is stopped.

Each disagreement is made as small as it gets and written to `FINDINGS`; `python -m tests.kernel.differential FILE` shows it
again. `TORTIE_HUNT_PACKETS` ends the search after so many packets.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

import pytest

from tests.kernel.differential import Judge
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


def _smallest(judge: Judge, scenario: Scenario, remark: str) -> Scenario:
    kind = mismatch_kind(remark)

    def still_fails(smaller: Scenario) -> bool:
        found = judge.judge(smaller).mismatches
        return bool(found) and mismatch_kind(found[0].remarks[0]) == kind

    return shrink(scenario, still_fails)


def test_simulator_against_kernel() -> None:
    packets = scenarios = 0
    findings: list[str] = []
    start, first = time.monotonic(), random.SystemRandom().randrange(1 << 40)
    while not PACKETS or packets < PACKETS:
        for style, draw in DRAWN.items():
            with Judge() as judge:
                for seed in range(first, first + SCENARIOS_PER_TOPOLOGY):
                    scenario = draw(seed)
                    report = judge.judge(scenario)
                    packets, scenarios = packets + report.packets, scenarios + 1
                    if report.mismatches:
                        FINDINGS.mkdir(exist_ok=True)
                        path = FINDINGS / f"{style}-{seed}.txt"
                        path.write_text(format_scenario(_smallest(judge, scenario, report.mismatches[0].remarks[0])))
                        findings.append(f"{path}: {'; '.join(report.mismatches[0].remarks)[:200]}")
        first += SCENARIOS_PER_TOPOLOGY
        rate = packets / (time.monotonic() - start)
        sys.stderr.write(f"\r{packets:,} packets, {scenarios:,} rulesets, {len(findings)} findings, {rate:.0f} a second ")
    assert not findings, "\n".join(findings)
