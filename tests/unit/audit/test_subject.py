"""Chains and sets in the user's words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.render.test_ruleset import BUSY, CONFIG, STATE, rendered
from tortie.audit.subject import name_subjects
from tortie.calc.view import ActivePolicy
from tortie.net.address import IPFamily
from tortie.netfilter.hook import TableName

SUBJECTS = name_subjects(BUSY, replace(STATE, ipvs=True), CONFIG)
CHAINS = {
    "cali-tw-cali11": "workload ns/a (cali11), ingress",
    "cali-fw-cali2": "workload ns/c (cali2), egress",
    "cali-sm-cali2": "workload ns/c (cali2), endpoint mark",
    "cali-fh-eth0": "host endpoint host (eth0), ingress",
    "cali-thfw-eth0": "host endpoint host (eth0), forwarded egress",
    "cali-fh-any-interface-at-all": "host endpoint all (any-interface-at-all), ingress",
    "cali-pi-default.normal": "policy default.normal, ingress",
    "cali-po-ns/default.p": "policy ns/default.p, egress",
    "cali-pro-kns.ns": "profile kns.ns, egress",
}


@pytest.mark.parametrize(("chain", "subject"), CHAINS.items())
def test_a_chain(chain: str, subject: str) -> None:
    assert SUBJECTS.chains[chain] == subject


def test_every_chain_of_an_endpoint_or_of_rules_has_a_subject() -> None:
    """Those that have none are static ones and dispatchers."""
    made = rendered().families.values()
    names = {name for family in made for table in family.tables.values() for name in table.chains}
    anonymous = names - SUBJECTS.chains.keys()
    assert len(anonymous) > 20
    assert not [name for name in anonymous if "-eth0" in name or "-cali" in name]
    assert not [name for name in anonymous if name.startswith(("cali-pi-", "cali-po-", "cali-pri-", "cali-pro-"))]


def test_a_long_name_is_found_by_its_digest() -> None:
    view = replace(BUSY, policies=(*BUSY.policies, ActivePolicy("default/knp.default.allow-dns")))
    subjects = name_subjects(view, STATE, CONFIG)
    assert subjects.chains["cali-pi-_N0mE1uEul9nsAbL_P-4"] == "policy default/knp.default.allow-dns, ingress"


def test_a_set_is_named_by_those_who_look_into_it() -> None:
    expected = "policy default.forward, policy default.normal, policy default.predns and 2 more"
    assert SUBJECTS.ip_sets == {"cali40s:a": expected, "cali60s:a": expected}


def test_static_chains_are_nobodys() -> None:
    assert "cali-INPUT" in rendered().families[IPFamily.V4].tables[TableName.FILTER].chains
    assert "cali-INPUT" not in SUBJECTS.chains
