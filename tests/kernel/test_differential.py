"""The simulator agrees with the kernel: drawn nodes, rules and packets, both families, both back-ends.

Every packet is compared in all that the two can tell: verdict, rules in order, marks, the packet as it leaves, the device,
what a sender is told, what the node answers, the connection. The same numbers give the same scenarios in every run; `make
hunt` draws new ones. What is known to differ stands in `tests/known_differences.yaml`, with its reason, and has to differ.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Protocol

import pytest
import yaml

from tests.kernel.differential import Judge
from tests.kernel.generate.scenario import PACKETS, SCENARIOS_PER_TOPOLOGY, draw_scenario
from tests.kernel.generate.shaped_rules import draw_shaped_scenario
from tests.kernel.scenario import Scenario
from tests.kernel.scenario_file import parse_scenario


class Draw(Protocol):
    """Draws scenario number `seed`."""

    def __call__(self, seed: int, *, packets: int = PACKETS) -> Scenario:
        """With at least so many packets."""


DRAWN: dict[str, Draw] = {"free": draw_scenario, "shaped": draw_shaped_scenario}
BLOCKS = 10
LEAST_RULESETS, LEAST_PACKETS = 150, 3000
KNOWN: dict[str, str] = yaml.safe_load((Path(__file__).parents[1] / "known_differences.yaml").read_text()) or {}
"""Scenario to the reason why it differs."""
FOUND = sorted((Path(__file__).parents[1] / "cases" / "found").glob("*.json"))
"""What `make hunt` found, made small: each was mended in the simulator or, where it had told wrongly, in the oracle."""

_seen: Counter[str] = Counter()


@pytest.mark.parametrize("block", range(BLOCKS))
@pytest.mark.parametrize("style", DRAWN)
def test_every_packet_meets_the_same_fate_on_both_sides(style: str, block: int) -> None:
    with Judge() as judge:
        for seed in range(block * SCENARIOS_PER_TOPOLOGY, (block + 1) * SCENARIOS_PER_TOPOLOGY):
            scenario = DRAWN[style](seed)
            report = judge.judge(scenario)
            assert report.refused is None, f"{scenario.name}: {report.refused}"
            _seen.update(rulesets=1, packets=report.packets, unknown=sum(report.unknown.values()))
            differs = bool(report.mismatches)
            if scenario.name in KNOWN:
                assert differs, f"{scenario.name} agrees now: take it out of known_differences.yaml"
                continue
            texts = [f"packet {one.key}: {'; '.join(one.remarks)}\n{one.account}" for one in report.mismatches]
            assert not differs, f"{scenario.name}\n" + "\n".join(texts)


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_what_once_differed_agrees(path: Path) -> None:
    with Judge() as judge:
        report = judge.judge(parse_scenario(path.read_text()))
    assert report.packets
    assert not report.unknown
    assert [(one.key, one.remarks) for one in report.mismatches] == []


def test_there_were_enough_of_them() -> None:
    if not _seen:
        pytest.skip("the scenarios were not run beside this test")
    assert _seen["rulesets"] >= LEAST_RULESETS
    assert _seen["packets"] >= LEAST_PACKETS
    assert _seen["unknown"] * 20 < _seen["packets"], "what is unknown stays the exception"
