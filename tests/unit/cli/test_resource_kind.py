"""What users may call kinds of resources (spec: model 1.4)."""

from __future__ import annotations

import pytest

from tortie.cli.resource_kind import ALIASES, find_kind
from tortie.net.error import InvalidInput
from tortie.source.etcd_key import PLURALS


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("no", "Node"),
        ("IPPools", "IPPool"),
        ("pol", "NetworkPolicy"),
        ("gnp", "GlobalNetworkPolicy"),
        ("netsets", "NetworkSet"),
        ("gnetsets", "GlobalNetworkSet"),
        ("bps", "BGPPeer"),
        ("WEP", "WorkloadEndpoint"),
    ],
)
def test_words_of_calicoctl(word: str, kind: str) -> None:
    assert find_kind(word) == kind


def test_every_kind_in_etcd_has_words_and_no_word_has_two() -> None:
    assert ALIASES.keys() == PLURALS.keys()
    words = [word for aliases in ALIASES.values() for word in aliases]
    assert len(set(words)) == len(words)
    assert all(kind.lower() in aliases and PLURALS[kind] in aliases for kind, aliases in ALIASES.items())


@pytest.mark.parametrize(
    ("word", "remedy"), [("ippol", "did you mean ippool?"), ("secret", "one of bgpconfiguration, bgppeer")]
)
def test_another_word_is_refused(word: str, remedy: str) -> None:
    with pytest.raises(InvalidInput, match=f"resource type '{word}' is not supported") as refusal:
        find_kind(word)
    assert remedy in (refusal.value.remedy or "")
