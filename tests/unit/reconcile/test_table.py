"""What a table should become: ours as wanted, foreign rules where they are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.table_text import FILTER, OURS, RAW, V4, Texts, ruleset, table, texts, wanted
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import Backend
from tortie.netfilter.rule import Rule, Ruleset, Table
from tortie.reconcile.ownership import Ownership
from tortie.reconcile.table import Completion, complete_table, held_table
from tortie.reconcile.wanted import WantedFamily

HOOK = "-m comment --comment our_hook -j our-x"
WANTED: Texts = {"FORWARD": [HOOK], "our-x": ["-j DROP"]}

FORWARDS = {
    "nothing": ([], [HOOK]),
    "right": ([HOOK, "-j A"], [HOOK, "-j A"]),
    "behind a foreign rule": (["-j A", HOOK, "-j B"], [HOOK, "-j A", "-j B"]),
    "twice": ([HOOK, "-j A", HOOK], [HOOK, "-j A"]),
    "a stale hash": (["-m comment --comment our_old -j our-x", "-j A"], [HOOK, "-j A"]),
    "an old version's": (["-j A", "-j elder-x"], [HOOK, "-j A"]),
}


@pytest.mark.parametrize(("before", "after"), FORWARDS.values(), ids=FORWARDS)
def test_hooks_go_in_front(before: list[str], after: list[str]) -> None:
    held = table(FILTER, {"FORWARD": before, "A": [], "B": [], "elder-x": []})
    made, remarks = complete_table(held, wanted({FILTER: WANTED}), OURS)
    assert texts(made.chains["FORWARD"]) == after
    assert remarks == ()


def test_hooks_go_behind_when_asked() -> None:
    held = table(FILTER, {"FORWARD": [HOOK, "-j A"], "A": []})
    made, _ = complete_table(held, wanted({FILTER: WANTED}, append=True), OURS)
    assert texts(made.chains["FORWARD"]) == ["-j A", HOOK]


def test_our_rules_leave_chains_where_nothing_is_wanted() -> None:
    held = table(FILTER, {"INPUT": [HOOK], "foreign": ["-j A", HOOK], "A": [], "our-x": []})
    made, _ = complete_table(held, wanted({FILTER: WANTED}), OURS)
    assert texts(made.chains["INPUT"]) == []
    assert texts(made.chains["foreign"]) == ["-j A"]


def test_chains_that_nobody_wants_go_unless_a_foreign_rule_goes_to_them() -> None:
    held = table(FILTER, {"FORWARD": ["-g our-kept"], "our-kept": ["-j ACCEPT"], "our-gone": [], "elder-x": []})
    made, remarks = complete_table(held, wanted({FILTER: WANTED}), OURS)
    assert {name for name in made.chains if OURS.owns_chain(name)} == {"our-x", "our-kept"}
    assert texts(made.chains["our-kept"]) == []
    assert remarks == ("IPv4 filter: chain our-kept stays, empty: a rule in FORWARD goes to it",)


def test_what_is_right_is_the_same_object() -> None:
    held = table(FILTER, {**WANTED, "foreign": ["-j DROP"]})
    made, _ = complete_table(held, wanted({FILTER: WANTED}), OURS)
    assert all(made.chains[name] is chain for name, chain in held.chains.items())


def test_a_table_that_is_right_is_the_same_object() -> None:
    held = table(FILTER, {"FORWARD": [HOOK, "-j DROP"], **WANTED})
    assert complete_table(held, wanted({FILTER: WANTED}), OURS) == (held, ())
    assert complete_table(held, wanted({FILTER: WANTED}), OURS)[0] is held


KEPT = {"FORWARD": ["-g our-kept"], "our-kept": []}
ASKED: dict[str, tuple[Table, WantedFamily]] = {
    "right": (table(FILTER, {"FORWARD": [HOOK], **WANTED}), wanted({FILTER: WANTED})),
    "the same in other objects": (table(FILTER, {"FORWARD": [HOOK], **WANTED}), wanted({FILTER: WANTED})),
    "a rule less": (table(FILTER, {"FORWARD": [HOOK], "our-x": []}), wanted({FILTER: WANTED})),
    "other hooks": (table(FILTER, {"FORWARD": ["-j A", HOOK], "A": [], **WANTED}), wanted({FILTER: WANTED})),
    "hooks behind": (table(FILTER, {"FORWARD": ["-j A", HOOK], "A": [], **WANTED}), wanted({FILTER: WANTED}, append=True)),
    "nothing wanted": (table(FILTER, {"FORWARD": [HOOK], **WANTED}), wanted({FILTER: {}})),
    "a chain that stays": (table(FILTER, KEPT), wanted({FILTER: WANTED})),
}


@pytest.mark.parametrize("second", ASKED)
@pytest.mark.parametrize("first", ASKED)
def test_what_was_asked_before_changes_no_answer(first: str, second: str) -> None:
    completion = Completion()
    for name in (first, second, first):
        held, asked = ASKED[name]
        assert completion.of(held, asked, OURS) == complete_table(held, asked, OURS)


def test_a_failure_is_not_taken_for_an_answer() -> None:
    class Broken(Ownership):
        def owns_chain(self, name: str) -> bool:
            raise LookupError(name)

    right, wrong = ASKED["right"], ASKED["a rule less"]
    completion = Completion()
    completion.of(*right, OURS)
    broken = Broken(OURS.chain_prefixes, OURS.set_patterns, OURS.rule_comment, OURS.temporary_sets, OURS.fence_comment)
    with pytest.raises(LookupError):
        completion.of(*wrong, broken)
    assert completion.of(*wrong, OURS) == complete_table(*wrong, OURS)


def test_afterwards_chains_of_ours_are_those_that_are_wanted() -> None:
    held, asked = table(FILTER, {"FORWARD": ["-j A"], "A": [], **WANTED}), wanted({FILTER: WANTED})
    completion = Completion()
    made, _ = completion.of(held, asked, OURS)
    assert completion.after == made
    assert completion.after.chains["our-x"] is asked.tables[FILTER].chains["our-x"]
    assert completion.of(completion.after, asked, OURS)[0] is completion.after


def test_chains_that_were_found_to_be_equal_are_not_compared_again() -> None:
    class Counted(tuple[Rule, ...]):
        """Rules that count how often they are compared."""

        times = 0

        def __ne__(self, other: object) -> bool:
            Counted.times += 1
            return super().__ne__(other)

        __hash__ = tuple.__hash__

    held, asked = table(FILTER, {"FORWARD": [], **WANTED}), wanted({FILTER: WANTED})
    held = replace(held, chains={name: replace(one, rules=Counted(one.rules)) for name, one in held.chains.items()})
    completion = Completion()
    for _ in range(3):
        completion.of(replace(held), asked, OURS)
    assert Counted.times == 1


def test_a_table_that_is_not_there_has_empty_kernel_chains() -> None:
    made = held_table(ruleset({}), RAW)
    assert [(name, chain.policy, chain.rules) for name, chain in made.chains.items()] == [
        ("PREROUTING", "ACCEPT", ()),
        ("OUTPUT", "ACCEPT", ()),
    ]


def test_a_table_that_iptables_cannot_print_is_refused() -> None:
    opaque = Ruleset(V4, Backend.NFT, {FILTER: Table(FILTER, {}, opaque="# Table `filter' is incompatible")})
    with pytest.raises(InvalidInput, match=r"table filter of IPv4 \(nft\).*nft list ruleset"):
        held_table(opaque, FILTER)
