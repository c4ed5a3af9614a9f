"""The simulator agrees with what real kernels did to whole scenarios of packets, asked without one.

`python -m tests.kernel.recording` records anew, as root.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernel.recipe import read_packet
from tests.kernel.recording import FOLDER, RECORDED, Recording, load
from tests.kernel.scenario import Given
from tests.kernel.snapshot import parse_snapshot
from tortie.simulator.skb import Socket
from tortie.simulator.trace import Trace
from tortie.simulator.walk import Arrival, Node, walk

RECORDINGS = [(path.parent.name, one) for path in sorted(FOLDER.glob("*/packets.json.gz")) for one in load(path)]


def _name(value: object) -> str:
    return value.scenario.name if isinstance(value, Recording) else str(value)


@pytest.mark.parametrize(("release", "recording"), RECORDINGS, ids=_name)
def test_simulator_agrees_with_what_the_kernel_did(release: str, recording: Recording) -> None:
    report = recording.judge()
    texts = [f"packet {one.key}: {'; '.join(one.remarks)}\n{one.account}" for one in report.mismatches]
    assert not texts, f"Linux {release}, {recording.scenario.name}\n" + "\n".join(texts)
    assert report.packets


@pytest.mark.parametrize(("release", "recording"), RECORDINGS, ids=_name)
def test_walks_without_steps_end_as_those_with_them(release: str, recording: Recording) -> None:
    """Also when packets come again, and what became of their like is remembered (`memo`)."""
    node = Node.from_snapshot(parse_snapshot(recording.texts))
    told, quick = node.session(clock_s=1.7e9), node.session(clock_s=1.7e9)
    given = [shot.recipe for shot in recording.scenario.shots if isinstance(shot.recipe, Given)]
    for one in (*given, *given):
        packet = read_packet(one.data)
        if packet is None:
            continue
        arrival = Arrival(
            packet, one.in_iface, mark=one.mark, out_iface=one.device or None, socket=Socket(one.uid, one.gid)
        )
        with_steps, without = walk(node, arrival, told), walk(node, arrival, quick, keep_steps=False)
        assert [_end(trace) for trace in with_steps.outcomes] == [_end(trace) for trace in without.outcomes]


def _end(trace: Trace) -> tuple[object, ...]:
    return trace.verdict, trace.disposition, trace.decided_by, trace.out, trace.conditions, trace.errno


def test_all_scenarios_have_been_recorded() -> None:
    assert {path.name for path in FOLDER.glob("*/packets.json.gz")}
    assert len(RECORDINGS) >= len(RECORDED)


def test_the_folder_is_where_the_recorder_writes() -> None:
    assert Path(__file__).parent == FOLDER
