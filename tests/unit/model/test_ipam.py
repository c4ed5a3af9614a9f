"""The kinds of address management (spec: model 1.16)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.model_value import read_spec, refusal_of_spec
from tortie.model.ipam import AllocationAttribute, BlockAffinity, IPAMBlock, IPAMConfig, IPAMHandle

BLOCK: dict[str, Any] = {
    "cidr": "10.0.0.0/30",
    "affinity": "host:n",
    "allocations": [0, None, None, None],
    "unallocated": [1, 2, 3],
    "attributes": [{"handle_id": "h", "secondary": {"pod": "p"}}],
    "Deleted": True,
}


def test_a_block() -> None:
    spec = read_spec(IPAMBlock, BLOCK).spec
    assert (str(spec.cidr), spec.affinity, spec.deleted) == ("10.0.0.0/30", "host:n", True)
    assert (spec.allocations, spec.unallocated) == ((0, None, None, None), (1, 2, 3))
    assert spec.attributes == (AllocationAttribute("h", {"pod": "p"}),)


@pytest.mark.parametrize(
    ("allocations", "message"),
    [
        ([1], "spec.allocations[0]: there is no attribute 1"),
        ([None] * 5, "spec.allocations: there are more allocations than addresses in 10.0.0.0/30"),
    ],
)
def test_refused_blocks(allocations: list[int | None], message: str) -> None:
    assert refusal_of_spec(IPAMBlock, BLOCK | {"allocations": allocations}) == message


def test_the_other_kinds() -> None:
    affinity = read_spec(BlockAffinity, {"cidr": "10.0.0.0/26", "node": "n", "state": "confirmed", "deleted": "false"})
    assert (affinity.spec.node, affinity.spec.state, affinity.spec.deleted) == ("n", "confirmed", "false")
    assert read_spec(IPAMHandle, {"handleID": "h", "block": {"10.0.0.0/26": 2}}).spec.block == {"10.0.0.0/26": 2}
    assert read_spec(IPAMConfig, {"strictAffinity": True}).spec.strict_affinity
