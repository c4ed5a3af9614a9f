"""The simulator agrees with what real kernels did to whole scenarios of packets, asked without one.

`python -m tests.kernel.recording` records anew, as root.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernel.recording import FOLDER, RECORDED, Recording, load

RECORDINGS = [(path.parent.name, one) for path in sorted(FOLDER.glob("*/packets.json.gz")) for one in load(path)]


def _name(value: object) -> str:
    return value.scenario.name if isinstance(value, Recording) else str(value)


@pytest.mark.parametrize(("release", "recording"), RECORDINGS, ids=_name)
def test_simulator_agrees_with_what_the_kernel_did(release: str, recording: Recording) -> None:
    report = recording.judge()
    texts = [f"packet {one.key}: {'; '.join(one.remarks)}\n{one.account}" for one in report.mismatches]
    assert not texts, f"Linux {release}, {recording.scenario.name}\n" + "\n".join(texts)
    assert report.packets


def test_all_scenarios_have_been_recorded() -> None:
    assert {path.name for path in FOLDER.glob("*/packets.json.gz")}
    assert len(RECORDINGS) >= len(RECORDED)


def test_the_folder_is_where_the_recorder_writes() -> None:
    assert Path(__file__).parent == FOLDER
