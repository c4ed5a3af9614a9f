"""A whole node: which chains stand in which table, and that nothing depends on order (spec: rules 6, 12)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tortie.calc.view import (
    ActivePolicy,
    ActiveProfile,
    ActiveRule,
    EndpointTier,
    HostEndpoint,
    IPPool,
    NatMapping,
    NetSet,
    NodeView,
    RuleSide,
    WorkloadEndpoint,
    WorkloadId,
)
from tortie.net.address import IPFamily, parse_address, parse_prefix
from tortie.netfilter.hook import BUILTIN_CHAINS, Backend, TableName
from tortie.netfilter.match import CommentMatch, MarkMatch, SetMatch
from tortie.netfilter.rule import Chain, Rule, Ruleset, Table
from tortie.netfilter.target import Accept, Drop, Goto, Jump, MarkTarget
from tortie.render.config import RenderConfig
from tortie.render.ruleset import Rendering, complete_ruleset, render_node
from tortie.render.state import NodeInterface, NodeState

V4, V6 = IPFamily.V4, IPFamily.V6
RAW, MANGLE, NAT, FILTER = TableName.RAW, TableName.MANGLE, TableName.NAT, TableName.FILTER
EMPTY = NodeView("node-1")
CONFIG = RenderConfig()
ETH0 = NodeInterface("eth0", frozenset({parse_address("10.20.0.11")}))
STATE = NodeState((ETH0,))

AT_START = {
    RAW: "PREROUTING OUTPUT failsafe-in failsafe-out from-host-endpoint to-host-endpoint",
    MANGLE: "PREROUTING failsafe-in from-host-endpoint",
    NAT: "PREROUTING POSTROUTING OUTPUT fip-dnat fip-snat nat-outgoing",
    FILTER: "INPUT FORWARD OUTPUT wl-to-host failsafe-in failsafe-out from-wl-dispatch to-wl-dispatch "
    "from-host-endpoint to-host-endpoint from-hep-forward to-hep-forward",
}
IPVS = " forward-check forward-endpoint-mark set-endpoint-mark from-endpoint-mark"


@pytest.mark.parametrize("family", [V4, V6])
@pytest.mark.parametrize("ipvs", [False, True])
@pytest.mark.parametrize("table", AT_START)
def test_chains_after_start(table: TableName, ipvs: bool, family: IPFamily) -> None:
    expected = AT_START[table] + (IPVS if ipvs and table is FILTER else "")
    rendered = render_node(EMPTY, replace(STATE, ipvs=ipvs), CONFIG)
    assert set(rendered.families[family].tables[table].chains) == {f"cali-{word}" for word in expected.split()}


def test_without_ipv6_support_there_is_no_ipv6_at_all() -> None:
    assert list(render_node(EMPTY, STATE, replace(CONFIG, ipv6_support=False)).families) == [V4]


# --- a busy node -------------------------------------------------------------------------------------------------

RULES = (ActiveRule(source=RuleSide(ip_sets=("s:a",))),)
POLICIES = ("default.forward", "default.normal", "default.predns", "default.untracked", "ns/default.p")
TIER = (EndpointTier(("ns/default.p", "default.normal"), ("default.normal",)),)


def workload(pod: str, interface: str, **more: object) -> WorkloadEndpoint:
    values = {"profiles": ("kns.ns",), "tiers": TIER} | more
    return WorkloadEndpoint(WorkloadId("k8s", pod, "eth0"), interface, **values)  # type: ignore[arg-type]


BUSY = NodeView(
    "node-1",
    workloads=(
        workload("ns/a", "cali11", nats=(NatMapping(parse_address("172.16.1.3"), parse_address("10.65.0.2")),)),
        workload("ns/b", "cali12"),
        workload("ns/c", "cali2", active=False),
    ),
    host_endpoints=(
        HostEndpoint(
            "host",
            "eth0",
            tiers=TIER,
            untracked_tiers=(EndpointTier(("default.untracked",), ("default.untracked",)),),
            pre_dnat_tiers=(EndpointTier(("default.predns",)),),
            forward_tiers=(EndpointTier(("default.forward",)),),
        ),
        HostEndpoint("all", "*", pre_dnat_tiers=(EndpointTier(("default.predns",)),)),
    ),
    policies=tuple(ActivePolicy(name, RULES, RULES) for name in POLICIES),
    profiles=(ActiveProfile("kns.ns", (ActiveRule(),), (ActiveRule(),)),),
    ip_sets=(NetSet("s:a", frozenset({parse_prefix("10.65.0.0/24"), parse_prefix("fd00::/64")})),),
    pools=(IPPool(parse_prefix("10.65.0.0/16"), True),),
)


def rendered(view: NodeView = BUSY, *, ipvs: bool = True, config: RenderConfig = CONFIG) -> Rendering:
    return render_node(view, replace(STATE, ipvs=ipvs), config)


def test_policies_stand_in_three_tables_and_profiles_in_filter() -> None:
    for family in rendered().families.values():
        for table in (RAW, MANGLE, FILTER):
            chains = family.tables[table].chains
            assert {name for name in chains if name.startswith(("cali-pi-", "cali-po-"))} == {
                prefix + name for prefix in ("cali-pi-", "cali-po-") for name in POLICIES
            }
            assert ("cali-pri-kns.ns" in chains) == (table is FILTER)


def test_endpoint_chains() -> None:
    tables = rendered().families[V4].tables
    prefixes = ("cali-tw-", "cali-fw-", "cali-th-", "cali-fh-", "cali-thfw-", "cali-fhfw-", "cali-sm-")
    found = {table: {name for name in tables[table].chains if name.startswith(prefixes)} for table in (RAW, MANGLE, FILTER)}
    assert found == {
        RAW: {"cali-th-eth0", "cali-fh-eth0"},
        MANGLE: {"cali-fh-eth0", "cali-fh-any-interface-at-all"},
        FILTER: {f"cali-{kind}-{name}" for kind in ("tw", "fw", "sm") for name in ("cali11", "cali12", "cali2")}
        | {f"cali-{kind}-eth0" for kind in ("th", "fh", "thfw", "fhfw", "sm")},
    }


def test_without_ipvs_there_are_no_marks() -> None:
    made = rendered(ipvs=False)
    assert made.endpoint_marks == {}
    assert not any("mark" in name or "-sm-" in name for name in made.families[V4].tables[FILTER].chains)


def test_marks_in_use_are_kept() -> None:
    state = replace(STATE, ipvs=True, endpoint_marks={"cali2": 0x200000})
    assert render_node(BUSY, state, CONFIG).endpoint_marks["cali2"] == 0x200000


@pytest.mark.parametrize("family", [V4, V6])
def test_whatever_a_rule_names_is_there(family: IPFamily) -> None:
    made = rendered().families[family]
    for table in made.tables.values():
        for chain in table.chains.values():
            for rule in chain.rules:
                if isinstance(rule.target, Jump | Goto):
                    assert rule.target.chain in table.chains
                for match in rule.matches:
                    if isinstance(match, SetMatch):
                        assert match.name in made.ip_sets
        for rules in table.hooks.values():
            for rule in rules:
                assert isinstance(rule.target, Jump) and rule.target.chain in table.chains


@pytest.mark.parametrize("family", [V4, V6])
def test_every_chain_is_reached_from_a_hook_but_for_policies_of_other_tables(family: IPFamily) -> None:
    for table in rendered().families[family].tables.values():
        reached: set[str] = set()
        todo = [rule for rules in table.hooks.values() for rule in rules]
        while todo:
            target = todo.pop().target
            if isinstance(target, Jump | Goto) and target.chain not in reached:
                reached.add(target.chain)
                todo += table.chains[target.chain].rules
        unreached = {name for name in set(table.chains) - reached if not name.startswith(("cali-pi-", "cali-po-"))}
        assert unreached == set()


def test_only_bits_of_the_mask_are_tested_or_set() -> None:
    mask = 0x00F0F0F0
    for family in rendered(config=replace(CONFIG, mark_mask=mask)).families.values():
        rules = [rule for table in family.tables.values() for chain in table.chains.values() for rule in chain.rules]
        tested = [match.mask for rule in rules for match in rule.matches if isinstance(match, MarkMatch)]
        changed = [rule.target.mask | rule.target.value for rule in rules if isinstance(rule.target, MarkTarget)]
        assert tested and changed
        assert all(bits and not bits & ~mask for bits in (*tested, *changed))


def test_nothing_depends_on_the_order_of_the_view() -> None:
    turned = replace(
        BUSY,
        workloads=BUSY.workloads[::-1],
        host_endpoints=BUSY.host_endpoints[::-1],
        policies=BUSY.policies[::-1],
        ip_sets=BUSY.ip_sets[::-1],
        pools=BUSY.pools[::-1],
    )
    assert rendered(turned) == rendered()


# --- what cannot be rendered -------------------------------------------------------------------------------------


@pytest.mark.parametrize("interface", ["sixteen-letters-", "has blank", "a/b", "cali+", 'cali"', "caliä", ""])
def test_an_interface_that_no_rule_can_name_is_left_out_with_a_remark(interface: str) -> None:
    made = rendered(replace(BUSY, workloads=(*BUSY.workloads, workload("ns/odd", interface))))
    assert made.families == rendered().families
    assert len(made.remarks) == 1 and "ns/odd" in made.remarks[0]


def test_of_two_workloads_on_one_interface_the_lowest_id_counts() -> None:
    made = rendered(replace(BUSY, workloads=(workload("ns/z", "cali11", active=False), *BUSY.workloads)))
    assert made.families == rendered().families
    assert made.remarks == ("workload ns/z: its interface cali11 belongs to ns/a",)


@pytest.mark.parametrize(
    ("view", "message"),
    [
        (replace(BUSY, policies=BUSY.policies[1:]), "policy 'default.forward'"),
        (replace(BUSY, profiles=()), "profile 'kns.ns'"),
        (replace(BUSY, ip_sets=()), "ip set 's:a'"),
    ],
)
def test_a_view_that_names_what_it_does_not_contain_is_refused(view: NodeView, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rendered(view)


# --- in a kernel's tables ----------------------------------------------------------------------------------------

FOREIGN = Rule((CommentMatch("foreign"),), Accept())
AROUND = Ruleset(
    V4,
    Backend.NFT,
    {
        FILTER: Table(
            FILTER,
            {
                "INPUT": Chain("INPUT", policy="DROP"),
                "FORWARD": Chain("FORWARD", (FOREIGN,), policy="DROP"),
                "other": Chain("other", (Rule((), Drop()),)),
            },
        )
    },
)


@pytest.mark.parametrize(("mode", "ours_first"), [("insert", True), ("append", False)])
def test_hooks_stand_before_or_behind_foreign_rules(mode: str, ours_first: bool) -> None:
    ours = rendered(config=replace(CONFIG, chain_insert_mode=mode)).families[V4]
    table = complete_ruleset(ours, Backend.NFT, AROUND).tables[FILTER]
    (hook,) = ours.tables[FILTER].hooks["FORWARD"]
    assert table.chains["FORWARD"].rules == ((hook, FOREIGN) if ours_first else (FOREIGN, hook))
    assert (table.chains["FORWARD"].policy, table.chains["OUTPUT"].policy) == ("DROP", "ACCEPT")
    assert table.chains["other"] == AROUND.tables[FILTER].chains["other"]


def test_into_nothing_every_kernel_chain_is_made() -> None:
    made = complete_ruleset(rendered().families[V6], Backend.LEGACY)
    assert (made.family, made.backend) == (V6, Backend.LEGACY)
    for name, table in made.tables.items():
        for hook in BUILTIN_CHAINS[name]:
            assert table.chains[hook.value].policy == "ACCEPT"
