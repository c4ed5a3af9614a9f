"""How operations ask: each question is one command, each answer is handed back as it came."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from tortie.ipam.block import new_block
from tortie.ipam.command import (
    AffinityKey,
    BlockKey,
    Command,
    Create,
    Delete,
    Entry,
    HandleKey,
    ListAffinities,
    ListBlocks,
    Read,
    ReadBlocks,
    ReadNode,
    ReadPools,
    TooManyClaimants,
    Update,
    create,
    delete,
    list_affinities,
    list_blocks,
    read_affinity,
    read_block,
    read_blocks,
    read_handle,
    read_node,
    read_pools,
    update,
)
from tortie.net.address import IPFamily, parse_prefix

CIDR = parse_prefix("10.0.0.0/30")
BLOCK = new_block(CIDR, "a", strict=False)
ENTRY = Entry(BlockKey(CIDR), BLOCK, "7")


@pytest.mark.parametrize(
    ("question", "command"),
    [
        (read_block(CIDR), Read(BlockKey(CIDR))),
        (read_affinity("a", CIDR), Read(AffinityKey("a", CIDR))),
        (read_handle("h"), Read(HandleKey("h"))),
        (create(BlockKey(CIDR), BLOCK), Create(BlockKey(CIDR), BLOCK)),
        (update(ENTRY, BLOCK), Update(ENTRY, BLOCK)),
        (delete(ENTRY), Delete(ENTRY)),
        (list_blocks(IPFamily.V4), ListBlocks(IPFamily.V4)),
        (read_blocks(IPFamily.V6), ReadBlocks(IPFamily.V6)),
        (list_affinities("a", IPFamily.V4), ListAffinities("a", IPFamily.V4)),
        (read_pools(), ReadPools()),
        (read_node("a"), ReadNode("a")),
    ],
)
def test_a_question_is_one_command(question: Generator[Command, Any, Any], command: Command) -> None:
    assert next(question) == command
    answer = object()
    with pytest.raises(StopIteration) as end:
        question.send(answer)
    assert end.value.value is answer


def test_too_many_claimants_says_what_calico_says() -> None:
    assert str(TooManyClaimants()) == "Max retries hit - excessive concurrent IPAM requests"
