"""What an audit of a whole node finds, and that it finds nothing where nothing is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.audited_node import FILTER, FOREIGN, MADE, MANGLE, NAT, RAW, RULES, SETS, V4, changed, told, with_chains
from tests.unit.render.test_ruleset import BUSY, rendered
from tortie.audit.era import Era
from tortie.audit.finding import Finding, FindingKind, Place, Severity, gravest_first
from tortie.audit.node import audit_node
from tortie.calc.view import ActivePolicy, ActiveRule, RuleAction
from tortie.codec.ipset import parse_ipsets
from tortie.codec.save import parse_save
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend, TableName
from tortie.netfilter.rule import Chain, Rule, Ruleset, Table
from tortie.netfilter.target import Accept
from tortie.render.config import RenderConfig, parse_config
from tortie.render.ruleset import complete_ruleset

SNAPSHOT = Path(__file__).parents[3] / "examples" / "reference-node" / "snapshot"


def test_a_rendered_node_is_in_order() -> None:
    audit = audit_node([RULES], SETS, MADE)
    assert audit.findings == ()
    assert audit.fitting == audit.rules > 200


def test_a_node_without_calico_has_nothing_to_audit() -> None:
    empty = [Ruleset(family, Backend.LEGACY, {}) for family in IPFamily]
    assert audit_node(empty, {}).findings == ()


def test_the_reference_node_is_in_order() -> None:
    files = {IPFamily.V4: "iptables-save", IPFamily.V6: "ip6tables-save"}
    rulesets = [parse_save((SNAPSHOT / file).read_text(), family).ruleset for family, file in files.items()]
    audit = audit_node(rulesets, parse_ipsets((SNAPSHOT / "ipset-save").read_text()))
    assert audit.findings == ()
    assert audit.fitting == audit.rules > 500
    assert audit.eras.keys() == {Era.SINCE_3_7_4, Era.WORDS_OF_3_7, Era.EMPTY}
    assert audit.eras[Era.SINCE_3_7_4] == 2 * 5  # a chain from each pod, in both families


CONFIGS = {
    "plain": {},
    "IPIP": {"IpInIpEnabled": "true", "IpInIpTunnelAddr": "10.65.0.1"},
    "VXLAN": {"VXLANEnabled": "true", "IPv4VXLANTunnelAddr": "10.65.0.3", "VXLANPort": "8472", "VXLANVNI": "7"},
    "RETURN": {"IptablesFilterAllowAction": "RETURN", "IptablesMangleAllowAction": "RETURN"},
    "RETURN to hosts": {"IptablesFilterAllowAction": "RETURN", "DefaultEndpointToHostAction": "RETURN"},
    "OpenStack": {"MetadataAddr": "10.0.0.1", "InterfacePrefix": "cali,tap"},
    "NAT ports": {"NATPortRange": "32768:65000", "IptablesNATOutgoingInterfaceFilter": "eth+"},
    "small mask": {"IptablesMarkMask": "0xf8000000"},
    "many node ports": {"KubeNodePortRanges": ",".join(f"{port}:{port + 5}" for port in range(1000, 1200, 10))},
    "no conntrack check": {"DisableConntrackInvalidCheck": "true"},
    "no failsafe ports": {"FailsafeInboundHostPorts": "none", "FailsafeOutboundHostPorts": "none"},
    "appended": {"ChainInsertMode": "append"},
}  # fmt: skip


@pytest.mark.parametrize("felix_exact", [True, False], ids=["as Felix", "corrected"])
@pytest.mark.parametrize("ipvs", [True, False], ids=["IPVS", "no IPVS"])
@pytest.mark.parametrize("parameters", CONFIGS.values(), ids=CONFIGS)
def test_a_rendered_node_is_in_order_however_it_is_configured(
    parameters: dict[str, str], ipvs: bool, felix_exact: bool
) -> None:
    config, warnings = parse_config(parameters, felix_exact=felix_exact)
    assert warnings == ()
    made = rendered(BUSY, ipvs=ipvs, config=config)
    rulesets = [complete_ruleset(family, Backend.LEGACY) for family in made.families.values()]
    sets = {name: one for family in made.families.values() for name, one in family.ip_sets.items()}
    alone, compared = audit_node(rulesets, sets), audit_node(rulesets, sets, made)
    assert alone.findings == compared.findings == ()
    assert alone.fitting == alone.rules > 300


def edited(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    return (replace(rules[0], target=Accept()), *rules[1:])


OTHERS_HASH = RULES.tables[FILTER].chains["cali-FORWARD"].rules[0]
CASES: dict[str, tuple[Ruleset, list[str]]] = {
    "an edited rule": (
        changed(FILTER, "cali-wl-to-host", edited),
        ["error rule: IPv4 filter cali-wl-to-host rule 1 (nft): does not fit its hash: it was edited, or a rule"],
    ),
    "a foreign rule in a chain of ours": (
        changed(FILTER, "cali-FORWARD", lambda rules: (*rules, FOREIGN)),
        ["error foreign-rule: IPv4 filter cali-FORWARD rule 7 (nft): carries no hash: -s 10.9.9.9/32 -j ACCEPT"],
    ),
    "a foreign rule in a chain that is else empty": (
        changed(NAT, "cali-fip-snat", lambda _: (FOREIGN,)),
        ["error foreign-rule: IPv4 nat cali-fip-snat rule 1 (nft): carries no hash: -s 10.9.9.9/32 -j ACCEPT"],
    ),
    "a rule twice": (
        changed(FILTER, "cali-FORWARD", lambda rules: (*rules[:2], rules[0], *rules[2:])),
        ["error rule: IPv4 filter cali-FORWARD rule 3 (nft): stands in the chain a second time"],
    ),
    "another chain's rule": (
        changed(FILTER, "cali-OUTPUT", lambda rules: (OTHERS_HASH, *rules)),
        ["error rule: IPv4 filter cali-OUTPUT rule 1 (nft): has a hash that belongs to no place in this chain"],
    ),
    "the last rule gone": (
        changed(FILTER, "cali-FORWARD", lambda rules: rules[:-1]),
        ["error missing: IPv4 filter cali-FORWARD (nft): rules are missing at the end of the chain"],
    ),
    "a chain emptied": (
        changed(MANGLE, "cali-PREROUTING", lambda _: ()),
        [
            "error missing: IPv4 mangle cali-PREROUTING (nft): rules of Felix are missing, all of them",
            "warning unreached: IPv4 mangle cali-from-host-endpoint (nft): no rule leads to this chain",
        ],
    ),
    "a chain gone": (
        with_chains(RAW, {"cali-failsafe-in": None}),
        ["error missing: IPv4 raw cali-failsafe-in (nft): the chain is missing"],
    ),
    "a whole table gone": (
        replace(RULES, tables={name: table for name, table in RULES.tables.items() if name is not RAW}),
        ["error missing: IPv4 raw (nft): none of Felix's chains is there"],
    ),
    "a chain that nobody jumps to": (
        with_chains(FILTER, {"cali-pri-old": Chain("cali-pri-old")}),
        ["warning unreached: IPv4 filter cali-pri-old (nft): no rule leads to this chain"],
    ),
    "Felix 1": (
        changed(NAT, "felix-PREROUTING", lambda _: (FOREIGN,)),
        ["warning old-version: IPv4 nat felix-PREROUTING (nft): the chain is of Felix 1"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("ruleset", "expected"), CASES.values(), ids=CASES)
def test_rules_and_chains(ruleset: Ruleset, expected: list[str]) -> None:
    found = told(ruleset)
    assert len(found) == len(expected), found
    assert all(one.startswith(start) for one, start in zip(found, expected, strict=True)), found


def test_rules_without_any_hash_are_of_an_old_felix() -> None:
    """And cannot be told from foreign ones."""
    bare = {name: replace(chain, rules=()) for name, chain in RULES.tables[NAT].chains.items()}
    bare["cali-fip-snat"] = Chain("cali-fip-snat", (FOREIGN,))
    found = told(with_chains(NAT, bare))
    assert "warning old-version: IPv4 nat cali-fip-snat (nft): the chain is of a Felix before rules carried hashes" in found


def test_rules_in_both_back_ends() -> None:
    assert told(RULES, replace(RULES, backend=Backend.LEGACY)) == [
        "error both-backends: IPv4: chains of ours are in both back-ends, and both act on every packet"
    ]


def test_where_an_edit_hides_others_it_says_so() -> None:
    (found,) = told(changed(FILTER, "cali-FORWARD", edited))
    assert found.endswith("; so nothing can be said of rules 2 to 6")


def test_rules_behind_a_log_prefix_that_the_kernel_cut_cannot_be_judged() -> None:
    """And are no error: whoever configured such a prefix did nothing wrong."""
    policy = ActivePolicy("default.normal", (ActiveRule(RuleAction.LOG), ActiveRule(RuleAction.DENY)))
    view = replace(BUSY, policies=(*(one for one in BUSY.policies if one.name != policy.name), policy))
    made = rendered(view, config=RenderConfig(log_prefix="a prefix that is longer than 27 bytes"))
    only = replace(made, families={V4: made.families[V4]})
    ruleset = complete_ruleset(made.families[V4], Backend.NFT)
    empty = Ruleset(IPFamily.V6, Backend.NFT, {})
    alone = audit_node([ruleset, empty], made.families[V4].ip_sets)
    assert [(finding.severity, finding.kind) for finding in alone.findings] == [(Severity.NOTE, FindingKind.UNJUDGED)] * 3
    assert alone.findings[0].text.startswith("cannot be judged, since the kernel cut its log prefix off: ")
    assert alone.findings[0].text.endswith("; so nothing can be said of rule 2")
    assert audit_node([ruleset, empty], made.families[V4].ip_sets, only).findings == ()


# --- against a rendering -----------------------------------------------------------------------------------------

COMPARED: dict[str, tuple[Ruleset, list[str]]] = {
    "right": (RULES, []),
    "an edited rule": (
        changed(FILTER, "cali-wl-to-host", edited),
        [
            "IPv4 filter cali-wl-to-host rule 1 (nft): edited: is `-j ACCEPT` and should be `-j cali-from-wl-dispatch`",
        ],
    ),
    "a chain gone": (
        with_chains(FILTER, {"cali-tw-cali2": None}),
        ["IPv4 filter cali-tw-cali2 (nft): the chain is missing"],
    ),
    "a chain too many": (
        with_chains(FILTER, {"cali-mine": Chain("cali-mine")}),
        ["IPv4 filter cali-mine (nft): the chain should not be there"],
    ),
    "a chain of Felix 1": (
        with_chains(FILTER, {"felix-INPUT": Chain("felix-INPUT")}),
        ["IPv4 filter felix-INPUT (nft): the chain is of Felix 1"],
    ),
    "a whole table gone": (
        replace(RULES, tables={name: table for name, table in RULES.tables.items() if name is not RAW}),
        ["IPv4 raw (nft): none of Felix's chains is there"],
    ),
}


@pytest.mark.parametrize(("ruleset", "expected"), COMPARED.values(), ids=COMPARED)
def test_what_differs_from_a_rendering(ruleset: Ruleset, expected: list[str]) -> None:
    assert [str(finding) for finding in audit_node([ruleset], SETS, MADE).findings] == expected


def test_a_rendered_family_without_any_rules_is_told() -> None:
    empty = Ruleset(V4, Backend.NFT, {})
    assert told(empty, sets=SETS, compared=True) == ["error difference: IPv4: none of the rendered chains is there"]


def test_what_was_not_read_is_told() -> None:
    assert told(sets=SETS, compared=True) == ["note unjudged: IPv4: its rules were not read"]
    unread = ["note unjudged: IPv6: its rules were not read", "note unjudged: the ip sets were not read"]
    assert [str(finding) for finding in audit_node([RULES], None).findings] == [one.partition(": ")[2] for one in unread]
    hidden = replace(RULES, tables={**RULES.tables, RAW: Table(RAW, {}, opaque="# Table `raw' is incompatible")})
    assert told(hidden) == ["note unjudged: IPv4 raw (nft): iptables cannot show its rules"]


def test_the_gravest_come_first_and_else_order_stays() -> None:
    given = [
        Finding(FindingKind.SET, Place(), text, severity)
        for text, severity in (("a", Severity.NOTE), ("b", Severity.ERROR), ("c", Severity.WARNING), ("d", Severity.ERROR))
    ]
    assert [finding.text for finding in gravest_first(given)] == ["b", "d", "c", "a"]


def test_every_chain_of_ours_is_counted_with_its_era() -> None:
    audit = audit_node([RULES], SETS)
    tables = [table for table in RULES.tables.values() if table.name in TableName]
    assert len(audit.chains) == sum(name.startswith("cali-") for table in tables for name in table.chains)
    assert sum(audit.eras.values()) == len(audit.chains)
