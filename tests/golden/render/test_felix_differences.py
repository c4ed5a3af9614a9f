"""The packets that tell Tortie from Felix 3.7.5, each walked through both renderings (docs/felix-differences.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.felix_difference import CASES, Case
from tests.rendered_node import accepted, rendered_node
from tortie.simulator.flow import walk_flow
from tortie.simulator.trace import Verdict
from tortie.simulator.walk import Arrival, walk

PAGE = Path(__file__).parents[3] / "docs" / "felix-differences.md"


@pytest.mark.parametrize("felix_exact", [True, False], ids=["Felix", "Tortie"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_packets_get_through_as_the_page_says(case: Case, felix_exact: bool) -> None:
    node = rendered_node(
        case.node_view(felix_exact=felix_exact),
        case.config(felix_exact=felix_exact),
        routes=case.routes,
        hosts=case.hosts,
        ipvs=case.ipvs,
    )
    for trial in case.trials:
        expected = trial.gets_through(felix_exact=felix_exact)
        if trial.answer_by is not None:
            flow = walk_flow(node, Arrival(trial.packet))
            assert flow.first.verdict is Verdict.ACCEPT
            assert flow.works is expected, trial
        elif trial.in_iface is None:
            assert (walk(node, Arrival(trial.packet)).verdict is Verdict.ACCEPT) is expected, trial
        else:
            assert accepted(node, trial.packet, trial.in_iface) is expected, trial


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_case_has_a_packet_that_tells(case: Case) -> None:
    assert any(trial.in_felix is not trial.in_tortie for trial in case.trials)


@pytest.mark.parametrize("name", CASES)
def test_every_case_stands_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE.read_text()
