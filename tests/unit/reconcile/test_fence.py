"""A fence drops what meets a change, and only that."""

from __future__ import annotations

from tests.table_text import FENCE, FILTER, MANGLE, NAT, OURS, RAW, V4, Texts, rules, table, texts
from tortie.netfilter.hook import TableName
from tortie.reconcile.difference import Difference, differences
from tortie.reconcile.fence import fenced_table, in_own_chains, translation_fences, with_front_rules

HOOK = "-m comment --comment our_h -j our-x"
ALLOW = "-s 10.0.0.1/32 -p tcp -m comment --comment our_1 -m set --match-set s src -m multiport --dports 80 -j ACCEPT"
ESTABLISHED = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"


def fenced(
    old: Texts, new: Texts | None = None, *, sets: str = "", leaving: str = "", name: TableName = FILTER
) -> dict[str, list[str]]:
    before = table(name, old)
    changes = [] if new is None else differences(before, table(name, new))
    made = fenced_table(before, changes, OURS, V4, sets=frozenset(sets.split()), leaving=frozenset(leaving.split()))
    return {chain: texts(made.chains[chain]) for chain in made.chains if made.chains[chain].rules}


def test_a_change_is_guarded_by_its_rules_tests_behind_what_stands_in_front() -> None:
    old: Texts = {"FORWARD": [HOOK], "our-x": [ESTABLISHED, "-i a -p tcp -m tcp --dport 80 -j ACCEPT", "-j DROP"]}
    new: Texts = {"FORWARD": [HOOK], "our-x": [ESTABLISHED, "-i a -s 10.0.0.0/8 -j ACCEPT", "-j DROP"]}
    assert fenced(old, new)["our-x"] == [
        ESTABLISHED,
        f"-i a -p tcp {FENCE} -m tcp --dport 80 -j DROP",
        f"-s 10.0.0.0/8 -i a {FENCE} -j DROP",
        *old["our-x"][1:],
    ]


def test_tests_that_may_answer_otherwise_are_left_out() -> None:
    old: Texts = {"FORWARD": [HOOK], "our-x": []}
    new: Texts = {"FORWARD": [HOOK], "our-x": ["-p udp -m set --match-set s src -m limit --limit 3/sec -j DROP"]}
    assert fenced(old, new)["our-x"] == [f"-p udp {FENCE} -j DROP"]


def test_where_everything_is_dropped_no_second_fence_is_needed() -> None:
    old: Texts = {"FORWARD": [HOOK], "our-x": ["-j our-y", ALLOW], "our-y": []}
    new: Texts = {"FORWARD": [HOOK], "our-x": ["-j our-z", ALLOW], "our-z": []}
    assert fenced(old, new, sets="s")["our-x"] == [f"{FENCE} -j DROP", "-j our-y", ALLOW]


def test_rules_that_look_into_a_changing_set_are_guarded_where_packets_reach_them() -> None:
    old: Texts = {"FORWARD": [HOOK], "our-x": [ESTABLISHED, ALLOW], "our-unreached": [ALLOW]}
    made = fenced(old, sets="s")
    assert made["our-x"] == [ESTABLISHED, f"-s 10.0.0.1/32 -p tcp {FENCE} -m multiport --dports 80 -j DROP", ALLOW]
    assert made["our-unreached"] == [ALLOW]


def test_rules_that_name_a_leaving_set_go_everywhere_but_from_foreign_rules() -> None:
    old: Texts = {
        "FORWARD": [
            HOOK,
            "-m set --match-set s src -j DROP",
            "-m comment --comment our_2 -m set --match-set s src -j DROP",
        ],
        "our-x": [ALLOW, ESTABLISHED],
        "our-unreached": [ALLOW],
    }
    made = fenced(old, leaving="s")
    assert made == {
        "FORWARD": [HOOK, "-m set --match-set s src -j DROP"],
        "our-x": [f"-s 10.0.0.1/32 -p tcp {FENCE} -m multiport --dports 80 -j DROP", ESTABLISHED],
    }


def test_nat_gets_no_drop() -> None:
    old: Texts = {"POSTROUTING": [HOOK], "our-x": ["-m set --match-set s src -j MASQUERADE"]}
    assert fenced(old, sets="s", name=NAT) == old
    assert fenced(old, leaving="s", name=NAT) == {"POSTROUTING": [HOOK]}


def test_interfaces_that_keep_their_chain_are_sent_there() -> None:
    leaves: Texts = {"our-1": [ESTABLISHED], "our-2": [ESTABLISHED], "our-3": [ESTABLISHED]}
    old: Texts = {"FORWARD": [HOOK], "our-x": ["-i a1 -g our-1", "-j DROP"], **leaves}
    new: Texts = {
        "FORWARD": [HOOK],
        "our-x": ["-i a+ -g our-t", "-i b -g our-3", "-j DROP"],
        "our-t": ["-i a1 -g our-1", "-i a2 -g our-2"],
        **leaves,
    }
    assert fenced(old, new)["our-x"] == [
        f"-i a1 {FENCE} -g our-1",
        f"-i a+ {FENCE} -j DROP",
        f"-i b {FENCE} -j DROP",
        *old["our-x"],
    ]


def test_kernel_chains_have_no_fence() -> None:
    changes = [Difference("FORWARD", 0, rules(HOOK), ()), Difference("our-x", 0, rules(ALLOW), ())]
    assert [change.chain for change in in_own_chains(changes, FILTER)] == ["our-x"]
    assert fenced({"FORWARD": [HOOK], "our-x": []}, {"our-x": []}) == {"FORWARD": [HOOK]}


def test_what_nat_would_send_elsewhere_is_dropped_in_mangle_unless_its_connection_has_settled_it() -> None:
    found = {"PREROUTING": rules("-d 10.9.0.1/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1")}
    made = with_front_rules(table(MANGLE, {"PREROUTING": ["-j ACCEPT"]}), translation_fences(found, OURS))
    assert texts(made.chains["PREROUTING"]) == [
        f"-d 10.9.0.1/32 -p tcp {FENCE} -m tcp --dport 80 -m conntrack --ctstate NEW,RELATED -j DROP",
        "-j ACCEPT",
    ]


def test_fences_work_in_raw() -> None:
    old: Texts = {"PREROUTING": [HOOK], "our-x": [ALLOW]}
    assert len(fenced(old, sets="s", name=RAW)["our-x"]) == 2
