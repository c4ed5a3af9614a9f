"""What an audit of a whole node finds, and that it finds nothing where nothing is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.golden.render.test_vectors import ENDPOINTS
from tests.unit.render.test_ruleset import BUSY, rendered
from tortie.audit.finding import Finding, FindingKind
from tortie.audit.node import audit_node
from tortie.codec.ipset import parse_ipsets
from tortie.codec.rule import parse_rule
from tortie.codec.save import parse_save
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend, TableName
from tortie.netfilter.ipset import IPSet
from tortie.netfilter.rule import Chain, Rule, Ruleset
from tortie.netfilter.target import Accept
from tortie.render.hash import numbered_chain
from tortie.render.ruleset import complete_ruleset

V4 = IPFamily.V4
FILTER, RAW, NAT = TableName.FILTER, TableName.RAW, TableName.NAT
SNAPSHOT = Path(__file__).parents[3] / "examples" / "reference-node" / "snapshot"
MADE = replace(rendered(BUSY), families={V4: rendered(BUSY).families[V4]})
RULES = complete_ruleset(MADE.families[V4], Backend.NFT)
SETS = MADE.families[V4].ip_sets


def changed(table: TableName, chain: str, change: Callable[[tuple[Rule, ...]], tuple[Rule, ...]]) -> Ruleset:
    """The node's rules with one chain's changed."""
    held = RULES.tables[table]
    before = held.chains.get(chain, Chain(chain))
    chains = {**held.chains, chain: replace(before, rules=change(before.rules))}
    return replace(RULES, tables={**RULES.tables, table: replace(held, chains=chains)})


def found(*rulesets: Ruleset, sets: dict[str, IPSet] | None = None) -> list[str]:
    return [f"{finding.kind.value}: {finding}" for finding in audit_node(rulesets, sets).findings]


def rule(text: str) -> Rule:
    return parse_rule(text, V4)


def test_a_rendered_node_is_in_order() -> None:
    audit = audit_node([RULES], SETS, MADE)
    assert audit.findings == ()
    assert audit.fitting == audit.rules > 200


def test_a_node_without_calico_has_nothing_to_audit() -> None:
    empty = Ruleset(V4, Backend.LEGACY, {})
    assert audit_node([empty], {}).findings == ()


def test_the_reference_node_is_in_order() -> None:
    files = {IPFamily.V4: "iptables-save", IPFamily.V6: "ip6tables-save"}
    rulesets = [parse_save((SNAPSHOT / file).read_text(), family).ruleset for family, file in files.items()]
    audit = audit_node(rulesets, parse_ipsets((SNAPSHOT / "ipset-save").read_text()))
    assert audit.findings == ()
    assert audit.fitting == audit.rules > 500


HOOK = RULES.tables[FILTER].chains["FORWARD"].rules[0]
FOREIGN = rule("-s 10.9.9.9/32 -j ACCEPT")
FENCE = rule('-m comment --comment "cali:closed-while-changing" -j DROP')
CASES: dict[str, tuple[Ruleset, list[str]]] = {
    "an edited rule": (
        changed(FILTER, "cali-wl-to-host", lambda rules: (replace(rules[0], target=Accept()), *rules[1:])),
        [
            "rule: IPv4 filter cali-wl-to-host rule 1 (nft): does not fit its hash: it was edited, or a rule",
            "unjudged: IPv4 filter cali-wl-to-host (nft): rules 2 to 2 cannot be judged",
        ],
    ),
    "a foreign rule in a chain of ours": (
        changed(FILTER, "cali-FORWARD", lambda rules: (*rules, FOREIGN)),
        ["foreign-rule: IPv4 filter cali-FORWARD rule 7 (nft): carries no hash: -s 10.9.9.9/32 -j ACCEPT"],
    ),
    "a hook that is gone": (
        changed(FILTER, "FORWARD", lambda rules: ()),
        [
            "unreached: IPv4 filter cali-FORWARD (nft): no rule leads to this chain",
            "hook: IPv4 filter FORWARD (nft): no rule jumps to cali-FORWARD: it sees no packet",
        ],
    ),
    "a hook behind others": (
        changed(FILTER, "FORWARD", lambda rules: (FOREIGN, *rules, FOREIGN)),
        ["hook: IPv4 filter FORWARD rule 2 (nft): the hook stands neither first nor last"],
    ),
    "a hook at the end": (
        changed(FILTER, "FORWARD", lambda rules: (FOREIGN, *rules)),
        ["hook: IPv4 filter FORWARD rule 2 (nft): the hook stands behind foreign rules, which is right only with"],
    ),
    "a hook twice": (
        changed(FILTER, "FORWARD", lambda rules: (*rules, *rules)),
        ["hook: IPv4 filter FORWARD rule 2 (nft): the hook stands here a second time"],
    ),
    "a stale hook": (
        changed(FILTER, "INPUT", lambda rules: (*rules, HOOK)),
        ["hook: IPv4 filter INPUT rule 2 (nft): not a hook of Felix 3.7: -m comment"],
    ),
    "a fence": (
        changed(RAW, "PREROUTING", lambda rules: (*rules, FENCE)),
        ["hook: IPv4 raw PREROUTING rule 2 (nft): closes the chain while it changes; an interrupted write left it"],
    ),
    "Felix 1": (
        changed(NAT, "felix-PREROUTING", lambda _: (FOREIGN,)),
        ["old-version: IPv4 nat felix-PREROUTING (nft): a chain of Felix 1"],
    ),
    "rules without hashes": (
        changed(NAT, "cali-fip-snat", lambda _: (FOREIGN,)),
        [
            "foreign-rule: IPv4 nat cali-fip-snat rule 1 (nft): carries no hash: ",
            "old-version: IPv4 nat cali-fip-snat (nft): no rule carries a hash",
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("ruleset", "expected"), CASES.values(), ids=CASES)
def test_rules_hooks_and_chains(ruleset: Ruleset, expected: list[str]) -> None:
    told = found(ruleset)
    assert len(told) == len(expected)
    assert all(one.startswith(start) for one, start in zip(told, expected, strict=True)), told


def test_rules_in_both_back_ends() -> None:
    told = found(RULES, replace(RULES, backend=Backend.LEGACY))
    assert told == ["both-backends: IPv4: chains of ours are in both back-ends, and both act on every packet"]


def test_a_workload_chain_of_felix_before_3_7_4() -> None:
    name, rules = next((n.partition(":")[0], r) for n, r in ENDPOINTS.items() if n.startswith("cali-fw"))
    old = [one for one in rules if "originating in pods" not in one.words]
    told = found(changed(FILTER, name, lambda _: numbered_chain(name, old).rules))
    assert (
        f"old-version: IPv4 filter {name} (nft): of Felix 3.7.3 or older: no drops of tunnel packets from workloads" in told
    )


def members(count: int, size: int, name: str = "cali40s:a") -> dict[str, IPSet]:
    lines = [f"create {name} hash:net family inet maxelem {size}"]
    return parse_ipsets("\n".join([*lines, *(f"add {name} 10.0.0.{number}" for number in range(count))]))


SET_CASES: dict[str, tuple[dict[str, IPSet], list[str]]] = {
    "missing": ({n: s for n, s in SETS.items() if n != "cali40s:a"}, ["set cali40s:a is missing"]),
    "full": ({**SETS, **members(10, 10)}, ["set cali40s:a is full: 10 members of 10"]),
    "nearly full": ({**SETS, **members(9, 10)}, ["set cali40s:a is nearly full: 9 members of 10"]),
    "temporary": ({**SETS, **members(1, 9, "cali4t3")}, ["set cali4t3 is a temporary one that an interrupted write left"]),
    "unused": ({**SETS, **members(1, 9, "cali40s:b")}, ["no rule looks into set cali40s:b"]),
    "another's": ({**SETS, **members(9, 9, "theirs")}, []),
}


@pytest.mark.parametrize(("sets", "expected"), SET_CASES.values(), ids=SET_CASES)
def test_sets(sets: dict[str, IPSet], expected: list[str]) -> None:
    findings = audit_node([RULES], sets).findings
    assert {finding.kind for finding in findings} <= {FindingKind.SET}
    assert [finding.text for finding in findings] == expected


def test_what_differs_from_a_rendering() -> None:
    chains = RULES.tables[FILTER].chains
    tables = {
        **RULES.tables,
        FILTER: replace(
            RULES.tables[FILTER],
            chains={
                **{name: chain for name, chain in chains.items() if name != "cali-tw-cali2"},
                "cali-mine": Chain("cali-mine"),
                "cali-fw-cali12": replace(chains["cali-fw-cali12"], rules=chains["cali-fw-cali12"].rules[:-1]),
            },
        ),
    }
    sets = {
        **{n: s for n, s in SETS.items() if n != "cali40this-host"},
        **members(2, 1048576),
        **members(1, 9, "cali40s:b"),
    }
    findings = audit_node([replace(RULES, tables=tables)], sets, MADE).findings
    told = [str(finding) for finding in findings if finding.kind is FindingKind.DIFFERENCE]
    assert told == [
        "IPv4 filter cali-fw-cali12 rule 12 (nft): the first of the rules that differ is `nothing` and should be "
        '`-m comment --comment "cali:0fvP91YnAA84h6qL" -m comment --comment "Drop if no profiles matched" -j DROP`',
        "IPv4 filter cali-tw-cali2 (nft): the chain is missing",
        "IPv4 filter cali-mine (nft): the chain should not be there",
        "IPv4: set cali40s:a has 2 members too many and lacks 1",
        "IPv4: set cali40this-host is missing",
        "IPv4: set cali40s:b should not be there",
    ]


def test_a_set_of_another_type_than_rendered() -> None:
    other = parse_ipsets("create cali40s:a hash:ip family inet")
    findings: tuple[Finding, ...] = audit_node([RULES], {**SETS, **other}, MADE).findings
    assert "IPv4: set cali40s:a is a hash:ip, not a hash:net" in [str(finding) for finding in findings]
