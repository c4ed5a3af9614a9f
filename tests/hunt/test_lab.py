"""Every laboratory of the examples, one after the other, and one of three nodes and thirty pods: the three must agree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.laboratory import POLICY, TOPOLOGY
from tests.kernel.laboratory import EXAMPLES, Laboratory
from tests.requirement import missing_for_kernel

pytestmark = pytest.mark.skipif(missing_for_kernel() is not None, reason=f"laboratories: {missing_for_kernel()}")
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/lab.yaml"))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[tuple[Path, list[Laboratory]]]:
    made: list[Laboratory] = []
    yield tmp_path, made
    for one in made:
        one.close()


def _agrees_and_leaves_nothing(lab: Laboratory) -> None:
    up = lab.up()
    assert up.code == 0, up.error
    said = lab.verify()
    assert said.code == 0, said.out
    assert lab.down().code == 0
    assert lab.remains() == []


@pytest.mark.parametrize("datastore", ["directory", "etcd"])
@pytest.mark.parametrize("name", NAMES)
def test_an_example(name: str, datastore: str, folder: tuple[Path, list[Laboratory]]) -> None:
    home, made = folder
    made.append(Laboratory.example(home, name, datastore=datastore))
    _agrees_and_leaves_nothing(made[0])


def test_three_nodes_and_thirty_pods(folder: tuple[Path, list[Laboratory]]) -> None:
    home, made = folder
    made.append(Laboratory.of(home, TOPOLOGY, {"policy.yaml": POLICY}))
    _agrees_and_leaves_nothing(made[0])


def test_every_example_is_there() -> None:
    assert len(NAMES) == 9
