"""Where chains, rules and sets come from."""

from __future__ import annotations

import pytest

from tests.explained_cluster import basis_of
from tests.reference_builder import WORLD, global_policy, host, policy, profile, read, workload
from tortie.explain.origin import Origins, Owner, RuleOrigin, Stage, tracked
from tortie.net.address import IPFamily
from tortie.netfilter.hook import TableName
from tortie.netfilter.match import CommentMatch
from tortie.netfilter.rule import Rule
from tortie.netfilter.target import Drop, Jump

LONG = "a-policy-with-a-rather-long-name"
PORTS = ", ".join(str(port) for port in range(1, 20))
MANY = f"{{action: Allow, protocol: TCP, source: {{nets: [10.0.0.0/8, 172.16.0.0/12]}}, destination: {{ports: [{PORTS}]}}}}"
BASIS = basis_of(
    read(
        WORLD,
        policy(
            LONG,
            "a",
            f"{{ingress: [{{action: Log}}, {{action: Allow, ipVersion: 6}}, {MANY},"
            " {action: Deny, source: {selector: role == 'back'}}]}",
        ),
        policy("p", "b", "{ingress: [{action: Allow, protocol: TCP, destination: {selector: has(role), ports: [sql]}}]}"),
        global_policy("early", "{selector: has(host), applyOnForward: true, preDNAT: true, ingress: [{action: Allow}]}"),
        global_policy("raw", "{selector: has(host), applyOnForward: true, doNotTrack: true, egress: [{action: Allow}]}"),
        host("eth", "interfaceName: eth0, expectedIPs: [10.20.0.1]"),
        profile("pass", rules="ingress: [{action: Pass}, {action: Allow}]"),
        workload("x", "a", "cali12", "10.65.0.8", more="profiles: [pass, gone]"),
    )
)
ORIGINS = Origins(BASIS)
FILTER = TableName.FILTER


def numbers(chain: str, family: IPFamily = IPFamily.V4) -> list[int | None]:
    """Which rule of its policy each rule of a chain is of."""
    rules = BASIS.rendering.families[family].tables[FILTER].chains[chain].rules
    found = [ORIGINS.of_rule(family, FILTER, chain, number, rule) for number, rule in enumerate(rules, 1)]
    assert all(origin is not None and origin.rendered for origin in found)
    return [None if origin is None else origin.rule for origin in found]


def chain_of(policy_name: str) -> str:
    return next(
        name
        for name in BASIS.rendering.families[IPFamily.V4].tables[FILTER].chains
        if ORIGINS.of_chain(FILTER, name).name == policy_name and ORIGINS.of_chain(FILTER, name).direction == "ingress"
    )


def test_one_rule_of_a_policy_may_be_none_one_or_many() -> None:
    chain = chain_of(f"a/default.{LONG}")
    assert chain.startswith("cali-pi-_"), "the chain's name does not tell"
    found = numbers(chain)
    assert (found[0], found[-1]) == (1, 4)
    assert 2 not in found and found.count(3) > 4 and found == sorted(found, key=lambda number: number or 0)
    assert numbers(chain, IPFamily.V6) == [1, 2, 2, 4], "a rule for one family is none in the other"


def test_a_rule_in_front_of_a_profiles_is_no_rule_of_it() -> None:
    """The pass bit is cleared before a profile that passes (docs/felix-differences.md)."""
    assert numbers(chain_of("pass")) == [None, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("table", "chain", "owner", "title", "direction", "stage"),
    [
        (FILTER, "cali-tw-cali1", Owner.WORKLOAD, "pod a/web", "ingress", Stage.NORMAL),
        (FILTER, "cali-fw-cali1", Owner.WORKLOAD, "pod a/web", "egress", Stage.NORMAL),
        (FILTER, "cali-fh-eth0", Owner.HOST_ENDPOINT, "HostEndpoint eth", "ingress", Stage.NORMAL),
        (FILTER, "cali-thfw-eth0", Owner.HOST_ENDPOINT, "HostEndpoint eth", "egress", Stage.FORWARD),
        (TableName.RAW, "cali-fh-eth0", Owner.HOST_ENDPOINT, "HostEndpoint eth", "ingress", Stage.UNTRACKED),
        (TableName.RAW, "cali-th-eth0", Owner.HOST_ENDPOINT, "HostEndpoint eth", "egress", Stage.UNTRACKED),
        (TableName.MANGLE, "cali-fh-eth0", Owner.HOST_ENDPOINT, "HostEndpoint eth", "ingress", Stage.PRE_DNAT),
        (FILTER, "cali-pi-default.early", Owner.POLICY, "GlobalNetworkPolicy early", "ingress", Stage.PRE_DNAT),
        (FILTER, "cali-po-default.raw", Owner.POLICY, "GlobalNetworkPolicy raw", "egress", Stage.UNTRACKED),
        (FILTER, "cali-pri-kns.a", Owner.PROFILE, "Namespace a", "ingress", None),
        (FILTER, "cali-FORWARD", Owner.NODE, "every node", None, None),
        (FILTER, "cali-failsafe-in", Owner.NODE, "every node", None, None),
    ],
)
def test_a_chain_has_an_owner(
    table: TableName, chain: str, owner: Owner, title: str, direction: str | None, stage: Stage | None
) -> None:
    found = ORIGINS.of_chain(table, chain)
    assert (found.owner, found.title, found.direction, found.stage) == (owner, title, direction, stage)


def test_a_policys_chain_knows_the_resource() -> None:
    key = ORIGINS.of_chain(FILTER, chain_of(f"a/default.{LONG}")).key
    assert key is not None and str(key) == f"NetworkPolicy(a/{LONG})"


def test_sets_are_known_by_what_they_hold() -> None:
    def sets(chain: str) -> list[tuple[str, str | None, str | None]]:
        rules = BASIS.rendering.families[IPFamily.V4].tables[FILTER].chains[chain].rules
        found = (ORIGINS.of_rule(IPFamily.V4, FILTER, chain, number, rule) for number, rule in enumerate(rules, 1))
        return [(one.title, one.selector, one.port) for origin in found if origin for one in origin.sets]

    back = '(projectcalico.org/namespace == "a" && role == "back")'
    assert sets(chain_of(f"a/default.{LONG}")) == [(back, back, None)]
    some = '(projectcalico.org/namespace == "b" && has(role))'
    assert sets(chain_of("b/default.p")) == [(f"port tcp/sql of {some}", some, "tcp/sql")]
    pools = ORIGINS.of_set("cali40all-ipam-pools")
    assert pools is not None and (pools.title, pools.selector) == ("all IP pools", None)
    assert ORIGINS.of_set("cali40gone") is None


RULES = BASIS.rendering.families[IPFamily.V4].tables[FILTER].chains["cali-tw-cali1"].rules


@pytest.mark.parametrize(
    ("chain", "number", "rule", "expected"),
    [
        ("cali-tw-cali1", 1, RULES[0], True),
        ("cali-tw-cali1", 5, RULES[0], True),
        ("cali-tw-cali1", 1, Rule(RULES[0].matches, Drop()), False),
        ("cali-tw-cali1", 1, Rule(RULES[0].matches[1:], RULES[0].target), False),
        ("cali-tw-cali1", 1, Rule((), Drop()), False),
        ("cali-tw-cali7", 1, RULES[0], False),
        ("cali-fw-cali1", 1, RULES[0], False),
        ("INPUT", 1, Rule((CommentMatch("cali:older"),), Jump("cali-INPUT")), False),
        ("INPUT", 1, Rule((), Drop()), None),
        ("KUBE-FORWARD", 1, Rule((), Drop()), None),
    ],
    ids=["as rendered", "moved by others", "edited", "without its hash", "put in", "of an old endpoint", "of another chain",
         "an old hook", "a foreign rule", "a foreign chain"],
)  # fmt: skip
def test_only_a_rule_that_equals_the_rendered_one_is_attributed(
    chain: str, number: int, rule: Rule, expected: bool | None
) -> None:
    found = ORIGINS.of_rule(IPFamily.V4, FILTER, chain, number, rule)
    assert (None if found is None else found.rendered) is expected
    if expected is False:
        assert found == RuleOrigin(rendered=False)


def test_a_hook_is_ours() -> None:
    (hook,) = BASIS.rendering.families[IPFamily.V4].tables[FILTER].hooks["FORWARD"]
    found = ORIGINS.of_rule(IPFamily.V4, FILTER, "FORWARD", 3, hook)
    assert found is not None and found.rendered and found.rule is None
    assert tracked((hook, Rule((), Drop()))) == (hook,)


def test_a_profile_that_nobody_made_is_known_as_such() -> None:
    assert ORIGINS.has_profile("pass") and not ORIGINS.has_profile("gone")
    assert numbers(chain_of("gone")) == [1]
