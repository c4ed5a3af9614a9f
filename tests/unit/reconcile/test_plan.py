"""Whole plans as lines: what is touched, in which order, and when a fence is put up."""

from __future__ import annotations

import pytest

from tests.table_text import FENCE, FILTER, MANGLE, NAT, OURS, RAW, V4, Texts, held, plan_lines, ruleset, sets, wanted
from tortie.codec.ipset import parse_ipsets
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import TableName
from tortie.netfilter.ipset import IPSet
from tortie.reconcile.plan import plan, plan_removal
from tortie.reconcile.step import Plan, TableEdit
from tortie.reconcile.wanted import Held, WantedFamily

HOOK = "-m comment --comment our_h -j our-x"
IN, OUT = "-m set --match-set our4s src", "-m set ! --match-set our4s src"
ALLOW, DENY = f"{IN} -j ACCEPT", f"{IN} -j DROP"
Tables = dict[TableName, Texts]


def x(*rules: str, **more: list[str]) -> Tables:
    """filter with the hook and a chain of these rules."""
    return {FILTER: {"FORWARD": [HOOK], "our-x": list(rules), **{f"our-{name}": given for name, given in more.items()}}}


def lines(before: Tables, after: Tables, old_sets: str = "", new_sets: str = "") -> list[str]:
    return plan_lines(plan([wanted(after, new_sets)], held(before, old_sets), OURS))


def test_nothing_to_do() -> None:
    same = x(ALLOW, "-j DROP")
    assert plan([wanted(same, "our4s: 10.0.0.1")], held(same, "our4s: 10.0.0.1"), OURS) == Plan()


def test_sets_come_before_rules_that_name_them_and_go_after() -> None:
    before = x("-m set --match-set our4old src -j ACCEPT", "-j DROP")
    assert lines(before, x(ALLOW, "-j DROP"), "our4old: 10.0.0.9", "our4s: 10.0.0.1") == [
        "create our4s hash:net family inet maxelem 100",
        "add our4s 10.0.0.1 -exist",
        f"filter -R our-x 1 {ALLOW}",
        "destroy our4old",
    ]


def test_into_an_empty_kernel_in_the_order_of_the_path() -> None:
    everything: Tables = {name: {"OUTPUT": [HOOK], "our-x": []} for name in (FILTER, NAT, MANGLE, RAW)}
    made = plan([wanted(everything)], held(), OURS)
    assert [step.table for step in made.steps if isinstance(step, TableEdit)] == [RAW, MANGLE, NAT, FILTER]


# --- members under rules that stay ---------------------------------------------------------------------------------

MEMBERS: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "who is allowed: first out, then in": ((ALLOW, "-j DROP"), ["del our4s 10.0.0.1 -exist", "add our4s 10.0.0.2 -exist"]),
    "who is denied: first in, then out": ((DENY, "-j ACCEPT"), ["add our4s 10.0.0.2 -exist", "del our4s 10.0.0.1 -exist"]),
    "both: at once": (
        (f"-i a {ALLOW}", DENY),
        [
            "create our4t0 hash:net family inet maxelem 100",
            "add our4t0 10.0.0.2 -exist",
            "swap our4s our4t0",
            "destroy our4t0",
        ],
    ),
}


@pytest.mark.parametrize(("rules", "expected"), MEMBERS.values(), ids=MEMBERS)
def test_members(rules: tuple[str, ...], expected: list[str]) -> None:
    assert lines(x(*rules), x(*rules), "our4s: 10.0.0.1", "our4s: 10.0.0.2") == expected


def test_what_closes_goes_before_rules_and_what_opens_after() -> None:
    before, after = x(ALLOW, "-j DROP"), x(ALLOW, "-p tcp -j ACCEPT", "-j DROP")
    assert lines(before, after, "our4s: 10.0.0.1", "our4s: 10.0.0.2") == [
        "del our4s 10.0.0.1 -exist",
        "filter -I our-x 2 -p tcp -j ACCEPT",
        "add our4s 10.0.0.2 -exist",
    ]


def test_a_member_that_an_old_rule_allows_and_a_new_rule_denies() -> None:
    """Added before, the old rules would let it in; after, the new rules deny it in time."""
    before, after = x(ALLOW, "-j DROP"), x(DENY, "-j ACCEPT")
    fence = f"{FENCE} -j DROP"
    assert lines(before, after, "our4s: 10.0.0.1", "our4s: 10.0.0.1 10.0.0.2") == [
        f"filter -I our-x 1 {fence}",
        "add our4s 10.0.0.2 -exist",
        "filter :our-x - -",
        f"filter -A our-x {DENY}",
        "filter -A our-x -j ACCEPT",
    ]


def test_sets_that_no_packet_is_asked_about_change_at_once() -> None:
    same = {
        **x("-j DROP"),
        RAW: {"our-unreached": [ALLOW, DENY]},
        NAT: {"POSTROUTING": [HOOK], "our-x": [f"{IN} -j MASQUERADE"]},
    }
    assert lines(same, same, "our4s: 10.0.0.1", "our4s: 10.0.0.2") == [
        "del our4s 10.0.0.1 -exist",
        "add our4s 10.0.0.2 -exist",
    ]


def test_a_set_that_new_rules_do_not_ask_changes_after_them() -> None:
    before, after = x(f"-i a {ALLOW}", DENY), x("-j DROP", unreached=[ALLOW])
    assert lines(before, after, "our4s: 10.0.0.1", "our4s: 10.0.0.2")[-2:] == [
        "del our4s 10.0.0.1 -exist",
        "add our4s 10.0.0.2 -exist",
    ]


# --- fences ----------------------------------------------------------------------------------------------------------


def test_two_tables_that_change_what_packets_meet_are_changed_behind_a_fence() -> None:
    before: Tables = {**x("-j DROP"), RAW: {"PREROUTING": [HOOK], "our-x": ["-i a -j DROP"]}}
    after: Tables = {**x("-p tcp -j ACCEPT", "-j DROP"), RAW: {"PREROUTING": [HOOK], "our-x": ["-i b -j DROP"]}}
    assert lines(before, after) == [
        f"raw -I our-x 1 -i b {FENCE} -j DROP",
        f"raw -I our-x 1 -i a {FENCE} -j DROP",
        "filter -I our-x 1 -p tcp -j ACCEPT",
        "raw :our-x - -",
        "raw -A our-x -i b -j DROP",
    ]


def test_of_the_tables_that_change_all_but_one_are_fenced_and_none_that_stays() -> None:
    def tables(rule: str) -> Tables:
        return {**x("-j ACCEPT"), **{name: {"PREROUTING": [HOOK], "our-x": [rule]} for name in (RAW, MANGLE)}}

    assert lines(tables("-i a -j DROP"), tables("-i b -j DROP")) == [
        f"mangle -I our-x 1 -i b {FENCE} -j DROP",
        f"mangle -I our-x 1 -i a {FENCE} -j DROP",
        "raw :our-x - -",
        "raw -A our-x -i b -j DROP",
        "mangle :our-x - -",
        "mangle -A our-x -i b -j DROP",
    ]


def test_chains_that_no_hook_leads_to_need_no_fence() -> None:
    before: Tables = {**x("-j DROP"), RAW: {"PREROUTING": [HOOK], "our-x": [], "our-p": ["-i a -j DROP"]}}
    after: Tables = {**x("-j ACCEPT"), RAW: {"PREROUTING": [HOOK], "our-x": [], "our-p": ["-i b -j DROP"]}}
    assert not any("our_fence" in line for line in lines(before, after))


def test_a_floating_address_and_its_policy_change_behind_a_fence_in_mangle() -> None:
    dnat = "-d 10.9.0.1/32 -j DNAT --to-destination 10.0.0.1"
    hooks: Texts = {"PREROUTING": [HOOK], "OUTPUT": [HOOK]}
    before: Tables = {**x("-j DROP"), MANGLE: {}, NAT: {**hooks, "our-x": []}}
    after: Tables = {**x("-j ACCEPT"), MANGLE: {}, NAT: {**hooks, "our-x": [dnat]}}
    drop = f"-d 10.9.0.1/32 {FENCE} -m conntrack --ctstate NEW,RELATED -j DROP"
    assert lines(before, after) == [
        f"mangle -I PREROUTING 1 {drop}",
        f"mangle -I OUTPUT 1 {drop}",
        f"nat -A our-x {dnat}",
        "filter :our-x - -",
        "filter -A our-x -j ACCEPT",
        f"mangle -D PREROUTING {drop}",
        f"mangle -D OUTPUT {drop}",
    ]


def test_a_fence_that_a_crash_left_is_used_and_taken_away() -> None:
    dnat = f"-d 10.9.0.1/32 {FENCE} -j DROP"
    fenced: Tables = {**x(f"{FENCE} -j DROP", "-j ACCEPT"), MANGLE: {"PREROUTING": [dnat]}}
    assert lines(fenced, {**x("-j ACCEPT"), MANGLE: {}}) == [f"mangle -D PREROUTING {dnat}", "filter -D our-x 1"]


# --- sets of another kind ---------------------------------------------------------------------------------------------


def of_type(kind: str, members: str = "10.0.0.1") -> dict[str, IPSet]:
    return parse_ipsets(f"create our4s {kind} family inet maxelem 100\nadd our4s {members}")


def test_another_size_takes_a_copy_with_the_same_members() -> None:
    same = x(ALLOW)
    bigger = parse_ipsets("create our4s hash:net family inet maxelem 200\nadd our4s 10.0.0.1")
    made = plan([WantedFamily(V4, wanted(same).tables, bigger)], held(same, "our4s: 10.0.0.1"), OURS)
    assert plan_lines(made) == [
        "create our4t0 hash:net family inet maxelem 200",
        "add our4t0 10.0.0.1 -exist",
        "swap our4s our4t0",
        "destroy our4t0",
    ]


def test_another_type_is_made_while_no_rule_names_the_set() -> None:
    same = {**x(f"-p tcp {ALLOW}"), RAW: {"our-p": [DENY]}}
    made = plan([wanted(same, "our4s: 10.0.0.1")], Held({V4: ruleset(same)}, of_type("hash:ip")), OURS)
    assert plan_lines(made) == [
        "raw :our-p - -",
        "filter :our-x - -",
        f"filter -A our-x -p tcp {FENCE} -j DROP",
        "destroy our4s",
        "create our4s hash:net family inet maxelem 100",
        "add our4s 10.0.0.1 -exist",
        f"raw -A our-p {DENY}",
        "filter :our-x - -",
        f"filter -A our-x -p tcp {ALLOW}",
    ]


def test_another_type_that_no_rule_names_yet_is_made_first() -> None:
    made = plan([wanted(x(ALLOW), "our4s: 10.0.0.1")], Held({V4: ruleset(x("-j DROP"))}, of_type("hash:ip")), OURS)
    assert plan_lines(made)[:3] == [
        "destroy our4s",
        "create our4s hash:net family inet maxelem 100",
        "add our4s 10.0.0.1 -exist",
    ]


def test_another_type_that_a_foreign_rule_names_is_refused() -> None:
    foreign: Tables = {FILTER: {**x(ALLOW)[FILTER], "INPUT": [DENY]}}
    with pytest.raises(InvalidInput, match=r"set our4s has another type.*filter INPUT.*not ours"):
        plan([wanted(x(ALLOW), "our4s: 10.0.0.1")], Held({V4: ruleset(foreign)}, of_type("hash:ip")), OURS)


# --- what others use, what is left over -------------------------------------------------------------------------------


def test_sets_left_over_are_destroyed_but_for_those_that_others_use() -> None:
    foreign: Tables = {FILTER: {"INPUT": ["-m set --match-set our4used src -j DROP"]}}
    ip_sets = sets("our4t7: 10.0.0.1\nour4used:\nour4listed:\nour6six:\ntheirs:")
    ip_sets |= parse_ipsets("create list list:set size 8\nadd list our4listed")
    made = plan([wanted({FILTER: {}})], Held({V4: ruleset(foreign)}, ip_sets), OURS)
    assert plan_lines(made) == ["destroy our4t7"]
    assert made.remarks == (
        "IPv4: set our4used stays: a rule in filter INPUT uses it",
        "IPv4: set our4listed stays: set list uses it",
    )


def test_removal_takes_what_is_ours_and_nothing_else() -> None:
    before: Tables = {
        FILTER: {"FORWARD": ["-j foreign", HOOK], "foreign": ["-j DROP"], "our-x": [ALLOW], "elder-y": []},
        NAT: {"POSTROUTING": ["-s 10.0.0.0/8 -m set --match-set elder-pools src -j MASQUERADE"]},
    }
    made = plan_removal(held(before, "our4s: 10.0.0.1\nelder-pools:\ntheirs:"), OURS)
    assert plan_lines(made) == [
        "filter :our-x - -",
        "filter :elder-y - -",
        f"filter -D FORWARD {HOOK}",
        "filter -X our-x",
        "filter -X elder-y",
        "nat -D POSTROUTING -s 10.0.0.0/8 -m set --match-set elder-pools src -j MASQUERADE",
        "destroy our4s",
    ]


def test_a_family_that_is_not_wanted_is_left_alone() -> None:
    assert plan([], held(x(ALLOW), "our4s: 10.0.0.1"), OURS) == Plan()
