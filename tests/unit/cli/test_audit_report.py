"""An audit as lines: gravest first, what is the same in several tables once, and what was looked at."""

from __future__ import annotations

import pytest

from tortie.audit.era import Era
from tortie.audit.finding import Audit, AuditedChain, Finding, FindingKind, Place, Severity
from tortie.cli.audit_report import audit_lines, find_owners, finding_owner
from tortie.cli.terminal import Paper, write_lines
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend, TableName

V4, V6 = IPFamily.V4, IPFamily.V6
NFT, RAW, MANGLE, FILTER = Backend.NFT, TableName.RAW, TableName.MANGLE, TableName.FILTER
OWNERS = find_owners(None)


def at(family: IPFamily, table: TableName, chain: str = "cali-pi-default.x", rule: int | None = 1) -> Place:
    return Place(family, NFT, table, chain, rule)


def wrong(place: Place, text: str = "wrong", severity: Severity = Severity.ERROR) -> Finding:
    return Finding(FindingKind.RULE, place, text, severity)


def lines(*findings: Finding, chains: tuple[AuditedChain, ...] = ()) -> list[str]:
    return write_lines(audit_lines(Audit(findings, chains), OWNERS), Paper()).splitlines()


EVERYWHERE = [at(family, table) for family in IPFamily for table in (RAW, MANGLE, FILTER)]
TOGETHER: dict[str, tuple[list[Place], str]] = {
    "one": ([at(V4, RAW)], "IPv4 raw cali-pi-default.x rule 1 (nft)"),
    "tables": ([at(V4, RAW), at(V4, FILTER)], "IPv4 raw, filter cali-pi-default.x rule 1 (nft)"),
    "families": ([at(V4, RAW), at(V6, RAW)], "IPv4 and IPv6 raw cali-pi-default.x rule 1 (nft)"),
    "everywhere": (EVERYWHERE, "IPv4 and IPv6 raw, mangle, filter cali-pi-default.x rule 1 (nft)"),
    "unevenly": (
        [at(V4, RAW), at(V4, FILTER), at(V6, FILTER)],
        "IPv4 raw, filter; IPv6 filter cali-pi-default.x rule 1 (nft)",
    ),
    "families alone": ([Place(V4), Place(V6)], "IPv4 and IPv6"),
}


@pytest.mark.parametrize(("places", "text"), TOGETHER.values(), ids=TOGETHER)
def test_what_is_the_same_in_several_tables_is_one_line(places: list[Place], text: str) -> None:
    owner = "" if places[0].chain is None else "GlobalNetworkPolicy x, ingress: "
    found = lines(*(wrong(place) for place in places))
    assert found[0] == f"error    {owner}{text}: wrong"
    assert found[1] == ""


@pytest.mark.parametrize(
    "other",
    [wrong(at(V4, FILTER), "worse"), wrong(at(V4, FILTER, rule=2)), wrong(at(V4, FILTER), severity=Severity.NOTE)],
    ids=["other words", "another rule", "other gravity"],
)
def test_what_differs_has_a_line_of_its_own(other: Finding) -> None:
    assert len(lines(wrong(at(V4, RAW)), other)) == 4


def test_the_gravest_come_first_and_are_counted() -> None:
    found = lines(
        wrong(Place(), "open", Severity.NOTE),
        wrong(Place(), "left over", Severity.WARNING),
        *(wrong(at(family, RAW)) for family in IPFamily),
    )
    assert [line.split()[0] for line in found[:3]] == ["error", "warning", "note"]
    assert found[4] == "2 errors, 1 warning, 1 note; no chain of Calico's is on this node"


def test_what_was_looked_at_ends_the_text() -> None:
    chains = tuple(
        AuditedChain(at(V4, FILTER), rules, fitting, era)
        for rules, fitting, era in ((3, 3, Era.WORDS_OF_3_7), (2, 1, Era.NOT_KNOWN), (0, 0, Era.WORDS_OF_3_7))
    )
    assert lines(chains=chains) == [
        "nothing is wrong: 4 of 5 rules in 3 chains fit their hashes",
        "chains by who made them: 2 Felix 3.7 by their words, 1 not to be told, with rules that do not fit",
    ]


def test_where_most_rules_do_not_fit_another_felix_may_have_made_them() -> None:
    found = lines(wrong(at(V4, FILTER)), chains=(AuditedChain(at(V4, FILTER), 9, 4, Era.NOT_KNOWN),))
    assert found[2].startswith("1 error; 4 of 9 rules in ")
    assert found[2].endswith("; most do not, so another version of Felix than 3.7 may have made them")


OWNED: dict[str, tuple[Place, str | None]] = {
    "a policy's chain": (at(V4, RAW), "GlobalNetworkPolicy x"),
    "a workload's chain": (at(V4, FILTER, "cali-tw-cali1"), "interface cali1"),
    "a static chain": (at(V4, FILTER, "cali-INPUT"), None),
    "a kernel chain": (at(V4, FILTER, "INPUT"), None),
    "a well-known set": (Place(V4, ip_set="cali40this-host"), "addresses of this node"),
    "a set that nobody knows": (Place(V4, ip_set="cali40s:abc"), None),
    "a family": (Place(V4), None),
}


@pytest.mark.parametrize(("place", "name"), OWNED.values(), ids=OWNED)
def test_what_a_finding_is_about_as_far_as_names_tell(place: Place, name: str | None) -> None:
    owned = finding_owner(wrong(place), OWNERS)
    assert (None if owned is None else owned[0].name) == name
