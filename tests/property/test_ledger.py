"""What is told depends on what places say, never on the way there; and every word of it is news."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.hearing import Hearer, NoSource
from tortie.model.network_set import GlobalNetworkSet
from tortie.model.pool import IPPool
from tortie.model.read import Key, key_of
from tortie.model.reader import read_value
from tortie.net.error import InvalidInput
from tortie.source.ledger import Ledger, Place
from tortie.source.reading import Definition

NAMES = ("a", "b", "c")
PLACES = ("p", "q", "r", "s")
CIDRS = ("10.0.0.0/8", "10.65.0.0/16", "10.65.1.0/24", "10.66.0.0/16", "192.168.0.0/16")


def _set(name: str, net: str) -> Definition:
    found = read_value(GlobalNetworkSet, {"metadata": {"name": name}, "spec": {"nets": [net]}})
    return Definition(key_of(found), found, "f:1")


def _pool(name: str, cidr: str) -> Definition:
    found = read_value(IPPool, {"metadata": {"name": name}, "spec": {"cidr": cidr}})
    return Definition(key_of(found), found, "f:1")


def _bad(kind: str | None, name: str, words: str) -> Definition:
    key = None if kind is None else Key(kind, "", name)
    return Definition(key, InvalidInput(words, source="f"), "f:1")


names, cidrs = st.sampled_from(NAMES), st.sampled_from(CIDRS)
definitions = st.one_of(
    st.builds(_set, names, cidrs),
    st.builds(_pool, names, cidrs),
    st.builds(_bad, st.sampled_from((None, "GlobalNetworkSet", "IPPool")), names, st.sampled_from(("x", "y"))),
)
places = st.one_of(
    st.none(), st.builds(Place, st.lists(definitions, max_size=3).map(tuple), st.integers(min_value=0, max_value=2))
)
steps = st.lists(st.tuples(st.sampled_from(PLACES), places, st.booleans()), max_size=20)
"""A place says something, and whether what there is to tell is asked for then."""


@given(steps)
def test_the_way_does_not_count(taken: list[tuple[str, Place | None, bool]]) -> None:
    ledger, heard = Ledger(), Hearer(NoSource())
    state: dict[str, Place] = {}
    for name, place, ask in taken:
        ledger.put(name, place)
        state.pop(name, None)
        if place is not None:
            state[name] = place
        if ask:
            for event in ledger.changes():
                heard.hear(event)
    for event in ledger.changes():
        heard.hear(event)
    fresh, alone = Ledger(), Hearer(NoSource())
    fresh.replace(dict(reversed(state.items())))
    for event in fresh.changes():
        alone.hear(event)
    assert heard.resources == alone.resources
    assert heard.refused == alone.refused
    assert ledger.changes() == []


@given(steps)
def test_pools_that_stand_share_nothing_and_every_key_is_answered_for(
    taken: list[tuple[str, Place | None, bool]],
) -> None:
    ledger, heard = Ledger(), Hearer(NoSource())
    state: dict[str, Place] = {}
    for name, place, _ in taken:
        ledger.put(name, place)
        state.pop(name, None)
        if place is not None:
            state[name] = place
    for event in ledger.changes():
        heard.hear(event)
    said = {one.key for place in state.values() for one in place.definitions if one.key is not None}
    assert heard.keys | heard.refused_keys == said
    assert not heard.keys & heard.refused_keys
    pools = [pool.spec.cidr for pool in heard.resources.values() if isinstance(pool, IPPool)]
    assert not any(
        one != other and one.length <= other.length and one.contains(other.address) for one in pools for other in pools
    )
    assert len(set(pools)) == len(pools)
