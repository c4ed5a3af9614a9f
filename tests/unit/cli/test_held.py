"""Which back-end of a snapshot is meant, and what it holds."""

from __future__ import annotations

import pytest

from tortie.cli.held import choose_backend, other_backend_remarks, snapshot_held
from tortie.codec.save import parse_save
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import Backend
from tortie.netfilter.rule import Ruleset
from tortie.netfilter.snapshot import Snapshot

V4, V6, LEGACY, NFT = IPFamily.V4, IPFamily.V6, Backend.LEGACY, Backend.NFT
OURS = "*filter\n:cali-FORWARD - [0:0]\nCOMMIT\n"


def rules(backend: Backend, text: str = "*filter\nCOMMIT\n", family: IPFamily = V4) -> Ruleset:
    return parse_save(text, family, backend=backend).ruleset


def snapshot(*rulesets: Ruleset) -> Snapshot:
    return Snapshot("some", rulesets, {})


CHOICES: dict[str, tuple[Snapshot, Backend | None, Backend]] = {
    "as given": (snapshot(rules(LEGACY, OURS)), NFT, NFT),
    "where ours are": (snapshot(rules(LEGACY, OURS), rules(NFT)), None, LEGACY),
    "the only one": (snapshot(rules(NFT)), None, NFT),
}


@pytest.mark.parametrize(("given", "said", "expected"), CHOICES.values(), ids=CHOICES)
def test_the_back_end_that_is_meant(given: Snapshot, said: Backend | None, expected: Backend) -> None:
    assert choose_backend(given, said) is expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (snapshot(), "the snapshot holds no rules"),
        (snapshot(rules(LEGACY), rules(NFT)), "rules of both back-ends"),
        (snapshot(rules(LEGACY, OURS), rules(NFT, OURS)), "rules of both back-ends"),
    ],
    ids=["none", "both without ours", "both with ours"],
)
def test_where_that_cannot_be_told_it_is_asked_for(given: Snapshot, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        choose_backend(given, None)


def test_what_is_held_of_one_back_end() -> None:
    held, remarks = snapshot_held(snapshot(rules(LEGACY, OURS), rules(NFT)), NFT, [V4, V6])
    assert (held.rulesets, held.ip_sets) == ({V4: rules(NFT)}, {})
    assert remarks == ("the snapshot holds no IPv6 rules: what changes there is not known",)


def test_a_family_that_was_read_for_the_other_back_end_holds_nothing() -> None:
    held, remarks = snapshot_held(snapshot(rules(LEGACY, OURS)), NFT, [V4])
    assert (held.rulesets[V4], remarks) == (Ruleset(V4, NFT, {}), ())


def test_without_sets_nothing_can_be_planned() -> None:
    with pytest.raises(InvalidInput, match="the snapshot holds no ip sets"):
        snapshot_held(Snapshot("some", (rules(NFT),)), NFT, [V4])


def test_chains_of_ours_in_the_other_back_end_are_told() -> None:
    (remark,) = other_backend_remarks(snapshot(rules(LEGACY, OURS), rules(NFT, OURS)), NFT)
    assert remark.startswith("IPv4: the legacy back-end holds chains of ours too")
    assert other_backend_remarks(snapshot(rules(NFT, OURS)), NFT) == ()
