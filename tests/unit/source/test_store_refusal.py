"""What a datastore refuses, in the words of Calico's client (spec: model 1.3)."""

from __future__ import annotations

import pytest

from tortie.model.read import Key
from tortie.source.store_refusal import StoreRefused, Why, conflict, exists, missing, unsupported

POOL, POLICY = Key("IPPool", "", "p"), Key("NetworkPolicy", "ns", "web")


@pytest.mark.parametrize(
    ("refusal", "why", "message"),
    [
        (missing(POOL), Why.MISSING, "resource does not exist: IPPool(p) with error: <nil>"),
        (missing(POOL, "gone"), Why.MISSING, "resource does not exist: IPPool(p) with error: gone"),
        (exists(POLICY), Why.EXISTS, "resource already exists: NetworkPolicy(ns/web)"),
        (conflict(POLICY), Why.CONFLICT, "update conflict: NetworkPolicy(ns/web)"),
        (unsupported(POOL, "get"), Why.UNSUPPORTED, "operation get is not supported on IPPool(p)"),
        (unsupported(POOL, "get", "no"), Why.UNSUPPORTED, "operation get is not supported on IPPool(p): no"),
    ],
    ids=str,
)
def test_the_words_are_calicos(refusal: StoreRefused, why: Why, message: str) -> None:
    assert (refusal.why, str(refusal)) == (why, message)
    assert refusal.key in (POOL, POLICY)
