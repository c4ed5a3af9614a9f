"""Whether membership opens or closes, proven through marks, jumps and returns, or not claimed."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from tests.table_text import FILTER, RAW, Texts, rules, table
from tests.unit.render.test_ruleset import BUSY, rendered
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend, TableName
from tortie.netfilter.match import MarkMatch
from tortie.reconcile.monotone import Mark, Monotony, SetUse, reads_marks
from tortie.render.ruleset import complete_ruleset

OPENS, CLOSES, NEITHER, BOTH = SetUse(True, False), SetUse(False, True), SetUse(False, False), SetUse(True, True)
IN, OUT = "-m set --match-set s src", "-m set ! --match-set s src"
SET_A, SET_P = "-j MARK --set-xmark 0x1/0x1", "-j MARK --set-xmark 0x2/0x2"
IF_A, IF_P = "-m mark --mark 0x1/0x1", "-m mark --mark 0x2/0x2"
NO_P = "-m mark --mark 0x0/0x2"

HOOK: Texts = {"FORWARD": ["-j our-x"]}
POLICY: Texts = {
    "FORWARD": ["-j our-e", f"{IF_A} -j ACCEPT"],
    "our-e": [
        "-m conntrack --ctstate ESTABLISHED -j ACCEPT", "-j MARK --set-xmark 0x0/0x1", "-j MARK --set-xmark 0x0/0x2",
        f"{NO_P} -j our-p", f"{IF_A} -j RETURN", f"{NO_P} -j our-q", f"{IF_A} -j RETURN", f"{NO_P} -j DROP",
        "-j our-profile", f"{IF_A} -j RETURN", "-j DROP",
    ],
    "our-profile": ["-s 10.0.0.0/8 -j MARK --set-xmark 0x1/0x1", f"{IF_A} -j RETURN"],
}  # fmt: skip
"""How Calico asks policy: bit 1 is accepted, bit 2 passed on to the profiles."""


def policy(*first: str, then: tuple[str, ...] = ()) -> Texts:
    return {**POLICY, "our-p": list(first), "our-q": list(then)}


CASES: dict[str, tuple[Texts, SetUse]] = {
    "not named": ({}, BOTH),
    "accepted": ({"FORWARD": [f"{IN} -j ACCEPT", "-j DROP"]}, OPENS),
    "dropped": ({"FORWARD": [f"{IN} -j DROP"]}, CLOSES),
    "rejected": ({"FORWARD": [f"{IN} -j REJECT"]}, CLOSES),
    "all but members accepted": ({"FORWARD": [f"{OUT} -j ACCEPT"]}, CLOSES),
    "all but members dropped": ({"FORWARD": [f"{OUT} -j DROP"]}, OPENS),
    "only logged": ({"FORWARD": [f"{IN} -j LOG"]}, BOTH),
    "accepted here, dropped there": ({"FORWARD": [f"-i a {IN} -j ACCEPT", f"{IN} -j DROP"]}, NEITHER),
    "in a chain that none reaches": ({"our-x": [f"{IN} -j DROP"]}, BOTH),
    "saved from a drop by a return": ({**HOOK, "our-x": [f"{IN} -j RETURN", "-j DROP"]}, OPENS),
    "kept from an accept by a return": ({**HOOK, "our-x": [f"{IN} -j RETURN", "-j ACCEPT"]}, CLOSES),
    "a return with both behind": ({**HOOK, "our-x": [f"{IN} -j RETURN", "-i a -j ACCEPT", "-j DROP"]}, NEITHER),
    "to a chain that only drops": ({"FORWARD": [f"{IN} -j our-x"], "our-x": ["-i a -j DROP"]}, CLOSES),
    "to a chain that drops all": ({"FORWARD": [f"{IN} -g our-x"], "our-x": ["-j DROP"]}, CLOSES),
    "to a chain with both": ({"FORWARD": [f"{IN} -j our-x"], "our-x": ["-i a -j DROP", "-j ACCEPT"]}, NEITHER),
    "to an unknown target": ({"FORWARD": [f"{IN} -j NOVEL"]}, NEITHER),
    "in a test that cannot be read": ({"FORWARD": ["-m novel --of s -j DROP"]}, NEITHER),
    "counting members": ({"FORWARD": [f"{IN} --packets-gt 5 -j DROP"]}, NEITHER),
    "looking twice, once inverted": ({"FORWARD": [f"{IN} -m set ! --match-set s dst -j DROP"]}, NEITHER),
    "under a mark that cannot be": ({"FORWARD": [f"{IF_A} -m mark --mark 0x0/0x1 {IN} -j DROP"]}, BOTH),
    "marked, and nobody looks": ({"FORWARD": [f"{IN} {SET_A}"]}, BOTH),
    "marked, and dropped for it": ({"FORWARD": [f"{IN} {SET_A}", f"{IF_A} -j DROP"]}, CLOSES),
    "marked, and let through for it": ({"FORWARD": [f"{IN} {SET_A}", f"{IF_A} -j ACCEPT", "-j DROP"]}, OPENS),
    "marked, but cleared": ({"FORWARD": [f"{IN} {SET_A}", "-j MARK --set-xmark 0x0/0x1", f"{IF_A} -j DROP"]}, BOTH),
    "marked, then both ways": ({"FORWARD": [f"{IN} {SET_A}", f"{IF_A} -i a -j ACCEPT", f"{IF_A} -j DROP"]}, NEITHER),
    "bits turned over": ({"FORWARD": [f"{IN} -j MARK --set-xmark 0x1/0x0", f"{IF_A} -j DROP"]}, NEITHER),
    "allowed by a policy": (policy(f"{IN} {SET_A}", f"{IF_A} -j RETURN"), OPENS),
    "allowed by the second policy": (policy(then=(f"{IN} {SET_A}", f"{IF_A} -j RETURN")), OPENS),
    "denied by a policy": (policy(f"{IN} -j DROP", SET_A), CLOSES),
    "all but members allowed": (policy(f"{OUT} {SET_A}", f"{IF_A} -j RETURN"), CLOSES),
    "allowed in front of a deny": (policy(f"{IN} {SET_A}", f"{IF_A} -j RETURN", "-j DROP"), OPENS),
    "passed on instead of dropped": (policy(f"{IN} {SET_P}", f"{IF_P} -j RETURN", "-i a -j DROP"), OPENS),
    "passed on past a policy that allows": (policy(f"{IN} {SET_P}", f"{IF_P} -j RETURN", then=(SET_A,)), CLOSES),
    "passed on past one that allows some": (policy(f"{IN} {SET_P}", f"{IF_P} -j RETURN", then=(f"-i a {SET_A}",)), NEITHER),
    "allowed, denied elsewhere": (policy(f"{IN} {SET_A}", f"{IF_A} -j RETURN", then=(f"{IN} -j DROP",)), NEITHER),
    "by a scratch bit": (
        policy(
            "-j MARK --set-xmark 0x0/0x4", f"{IN} -j MARK --set-xmark 0x4/0x4",
            f"-i a -m mark --mark 0x4/0x4 {SET_A}", f"{IF_A} -j RETURN",
        ),
        OPENS,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("chains", "expected"), CASES.values(), ids=CASES)
def test_uses_in_filter(chains: Texts, expected: SetUse) -> None:
    assert Monotony(table(FILTER, chains), last_say=True, later_bits=0).use_of("s") == expected


def test_marks_that_later_tables_read_are_an_effect() -> None:
    marked = table(FILTER, {"FORWARD": [f"{IN} {SET_A}"]})
    assert Monotony(marked, last_say=True, later_bits=0x1).use_of("s") == NEITHER
    assert Monotony(marked, last_say=True, later_bits=0x2).use_of("s") == BOTH


def test_acceptance_is_not_best_where_later_tables_can_drop() -> None:
    early = table(RAW, {"PREROUTING": [f"{IN} -j ACCEPT"]})
    assert Monotony(early, last_say=False, later_bits=0xFFFFFFFF).use_of("s") == NEITHER
    closing = table(RAW, {"PREROUTING": [f"{IN} -j DROP"]})
    assert Monotony(closing, last_say=False, later_bits=0xFFFFFFFF).use_of("s") == CLOSES


def test_what_is_taken_over_from_another_version_changes_no_answer() -> None:
    """Chains of two versions that are equal are one object, as they are in what is planned."""
    tables = {name: table(FILTER, texts) for name, (texts, _) in CASES.items()}
    before = {name: Monotony(one, last_say=True, later_bits=0) for name, one in tables.items()}
    for name, proofs in before.items():
        assert proofs.use_of("s") == CASES[name][1]
    for (name, one), (other, proofs) in product(tables.items(), before.items()):
        held = tables[other].chains
        chains = {key: held[key] if held.get(key) == chain else chain for key, chain in one.chains.items()}
        again = Monotony(replace(one, chains=chains), last_say=True, later_bits=0, like=proofs)
        assert again.use_of("s") == CASES[name][1], (name, other)


def test_only_chains_that_lead_to_other_chains_than_before_are_followed_again() -> None:
    one = table(FILTER, policy(f"{IN} {SET_A}", then=(f"{OUT} {SET_A}",)))
    before = Monotony(one, last_say=True, later_bits=0)
    before.use_of("s")
    other = replace(one, chains={**one.chains, "our-q": table(FILTER, {"our-q": []}).chains["our-q"]})
    known = {key[0] for key in Monotony(other, last_say=True, later_bits=0, like=before)._ends}
    assert "our-profile" in known
    assert known.isdisjoint({"our-q", "our-e", "FORWARD"})


def test_every_set_of_a_rendered_node_that_allows_is_proven() -> None:
    made = complete_ruleset(rendered(BUSY, ipvs=True).families[IPFamily.V4], Backend.LEGACY)
    proofs = Monotony(made.tables[TableName.FILTER], last_say=True, later_bits=0)
    assert proofs.names("cali40s:a") and not proofs.names("cali40masq-ipam-pools")
    assert proofs.use_of("cali40s:a") == OPENS


@pytest.mark.parametrize(
    ("text", "holds", "mark", "expected"),
    [
        ("0x1/0x1", True, Mark(), Mark(1, 1)),
        ("0x1/0x1", False, Mark(), Mark(0, 1)),
        ("0x0/0x3", True, Mark(), Mark(0, 3)),
        ("0x0/0x3", False, Mark(), Mark()),
        ("0x0/0x3", False, Mark(0, 1), Mark(2, 3)),
        ("0x1/0x1", True, Mark(0, 1), None),
        ("0x1/0x1", False, Mark(1, 1), None),
        ("0x1/0x1", True, Mark(1, 1), Mark(1, 1)),
        ("0x5/0x1", True, Mark(), None),
        ("! 0x1/0x1", True, Mark(), Mark(0, 1)),
        ("! 0x1/0x1", False, Mark(), Mark(1, 1)),
    ],
)
def test_what_a_test_tells_of_the_mark(text: str, holds: bool, mark: Mark, expected: Mark | None) -> None:
    value, _, mask = text.removeprefix("! ").partition("/")
    match = MarkMatch(int(value, 16), int(mask, 16), inverted=text.startswith("!"))
    assert mark.assume(match, holds) == expected


def test_bits_that_rules_read() -> None:
    made = table(FILTER, {**HOOK, "our-x": [IF_A], "our-y": [IF_P]})
    assert (reads_marks(made), reads_marks(made, ("INPUT",)), len(rules(IF_A))) == (1, 0, 1)
