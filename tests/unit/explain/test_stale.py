"""Where a node is not as the resources have it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.explained_cluster import basis_of, node_of
from tests.reference_builder import WORLD, policy, read
from tortie.explain.stale import Differences, find_differences
from tortie.net.address import IPFamily
from tortie.netfilter.hook import TableName
from tortie.netfilter.rule import Chain, Rule, Ruleset
from tortie.netfilter.snapshot import Snapshot
from tortie.netfilter.target import Drop

RESOURCES = read(WORLD, policy("p", "a", "{ingress: [{action: Allow, source: {selector: role == 'front'}}]}"))
RENDERING = basis_of(RESOURCES).rendering
SNAPSHOT = node_of(RESOURCES).node.snapshot
SET = next(name for name, one in (SNAPSHOT.ip_sets or {}).items() if name.startswith("cali40s:") and one.entries)


def with_chains(change: dict[str, Chain | None]) -> Snapshot:
    """The snapshot with chains of IPv4's filter table changed, added or taken away."""

    def changed(ruleset: Ruleset) -> Ruleset:
        if ruleset.family is not IPFamily.V4:
            return ruleset
        table = ruleset.tables[TableName.FILTER]
        chains = {name: chain for name, chain in ({**table.chains, **change}).items() if chain is not None}
        return replace(ruleset, tables={**ruleset.tables, TableName.FILTER: replace(table, chains=chains)})

    return replace(SNAPSHOT, rulesets=tuple(changed(ruleset) for ruleset in SNAPSHOT.rulesets))


def test_a_node_as_rendered_has_no_differences() -> None:
    assert not find_differences(RENDERING, SNAPSHOT)


@pytest.mark.parametrize(
    ("change", "chains"),
    [
        ({"cali-tw-cali1": Chain("cali-tw-cali1")}, ("filter cali-tw-cali1",)),
        ({"cali-tw-cali1": None}, ("filter cali-tw-cali1",)),
        ({"cali-tw-old": Chain("cali-tw-old")}, ("filter cali-tw-old",)),
        ({"FORWARD": Chain("FORWARD", policy="ACCEPT")}, ("filter FORWARD",)),
        ({"KUBE-FORWARD": Chain("KUBE-FORWARD", (Rule((), Drop()),))}, ()),
    ],
    ids=["edited", "missing", "left over", "hook gone", "foreign"],
)
def test_chains_that_differ_are_named(change: dict[str, Chain | None], chains: tuple[str, ...]) -> None:
    assert find_differences(RENDERING, with_chains(change)) == Differences(chains)


def test_sets_that_differ_are_named() -> None:
    sets = dict(SNAPSHOT.ip_sets or {})
    emptied = {**sets, SET: replace(sets[SET], entries=())}
    assert find_differences(RENDERING, replace(SNAPSHOT, ip_sets=emptied)) == Differences(sets=(SET,))
    del sets[SET]
    assert find_differences(RENDERING, replace(SNAPSHOT, ip_sets=sets)) == Differences(sets=(SET,))
    assert not find_differences(RENDERING, replace(SNAPSHOT, ip_sets=None)), "what was not read is not different"


def test_a_node_without_calico_is_told_as_such() -> None:
    bare = replace(SNAPSHOT, rulesets=tuple(replace(one, tables={}) for one in SNAPSHOT.rulesets))
    assert find_differences(RENDERING, bare) == Differences(absent=True)


@pytest.mark.parametrize(
    ("differences", "words"),
    [
        (Differences(absent=True), "the node has no rules of Calico's"),
        (Differences(("a",)), "1 chain (a) of the node is not as these resources have it"),
        (
            Differences(("a", "b", "c", "d"), ("s",)),
            "4 chains (a, b, c, …) and 1 set (s) of the node are not as these resources have it",
        ),
    ],
)
def test_differences_are_told_in_short(differences: Differences, words: str) -> None:
    assert str(differences) == words
