"""Which tools are asked with which arguments, and what becomes of their complaints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.tools import FakeTools
from tests.table_text import FENCE, FILTER, V4, V6, rules, sets
from tortie.kernel.refusal import KernelRefused
from tortie.kernel.run import Ran
from tortie.kernel.tables import LOCK_WAIT, MANY_LINES, Tables, detect_backend
from tortie.netfilter.hook import BUILTIN_CHAINS, Backend
from tortie.netfilter.rule import Chain, Ruleset, Table
from tortie.reconcile.step import AppendRule, CreateSet, DestroySet, MakeChain, Plan, SetEdit, TableEdit
from tortie.reconcile.wanted import Held

LEGACY, NFT = Backend.LEGACY, Backend.NFT
ADDS = TableEdit(V4, LEGACY, FILTER, (MakeChain("cali-x"), AppendRule("cali-x", rules("-j DROP")[0])))
MAKES = SetEdit((CreateSet(sets("cali40x:")["cali40x"]),))


class Answers:
    """Answers each command by its first fitting beginning, and keeps what was asked."""

    def __init__(self, answers: dict[str, Ran]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, command: Sequence[str], data: bytes = b"") -> Ran:
        text = " ".join(command)
        self.asked.append(text)
        return next((ran for start, ran in self.answers.items() if text.startswith(start)), Ran(0))


@pytest.mark.parametrize(
    ("version", "expected"),
    [(b"iptables v1.8.9 (nf_tables)", NFT), (b"iptables v1.8.9 (legacy)", LEGACY), (b"iptables v1.6.1", LEGACY)],
)
def test_the_back_end_of_plain_iptables(version: bytes, expected: Backend) -> None:
    assert detect_backend(Answers({"iptables --version": Ran(0, version)})) is expected


def test_without_iptables_there_is_no_back_end() -> None:
    with pytest.raises(KernelRefused, match="`iptables --version`: not installed"):
        detect_backend(Answers({"iptables": Ran(127)}))


def test_tools_of_the_back_end_are_used() -> None:
    run = Answers({})
    tables = Tables(run, NFT, [V4, V6])
    tables.read()
    tables.carry_out(Plan((ADDS,)))
    assert [text for text in run.asked if "--version" not in text] == [
        "ipset save",
        "iptables-nft-save",
        "ip6tables-nft-save",
        f"iptables-nft-restore --noflush {' '.join(LOCK_WAIT)}",
    ]


def test_plain_tools_are_used_where_they_are_the_only_ones() -> None:
    run = Answers({"iptables-legacy": Ran(127), "iptables --version": Ran(0, b"iptables v1.6.1")})
    tables = Tables(run, LEGACY, [V4])
    tables.read()
    tables.carry_out(Plan((ADDS,)))
    assert run.asked[-1] == "iptables-restore --noflush"
    assert "iptables-save" in run.asked


def test_plain_tools_of_the_other_back_end_are_refused() -> None:
    run = Answers({"iptables-nft": Ran(127), "iptables --version": Ran(0, b"iptables v1.8.9 (legacy)")})
    with pytest.raises(KernelRefused, match="`iptables-save`: writes to the other back-end, not to nft"):
        Tables(run, NFT, [V4]).read()


@pytest.mark.parametrize(("version", "options"), [(b"v1.6.1", ()), (b"v1.6.2", LOCK_WAIT), (b"unreadable", LOCK_WAIT)])
def test_the_lock_is_waited_for_by_versions_that_can(version: bytes, options: tuple[str, ...]) -> None:
    run = Answers({"iptables --version": Ran(0, version)})
    Tables(run, LEGACY, [V4]).carry_out(Plan((ADDS,)))
    assert run.asked[-1] == " ".join(["iptables-legacy-restore", "--noflush", *options])


COMPLAINTS = {
    "legacy, a line": ("iptables-restore: line 3 failed\n", "-A cali-x -j DROP", "line 3 failed"),
    "legacy, an option": (
        "iptables-restore v1.8.9 (legacy): Set x doesn't exist.\n\nError occurred at line: 3\nTry `x -h'\n",
        "-A cali-x -j DROP",
        "iptables-restore v1.8.9 (legacy): Set x doesn't exist.; Error occurred at line: 3",
    ),
    "legacy, the whole table": ("iptables-restore: line 4 failed\n", "COMMIT", "line 4 failed"),
    "nft": (
        "iptables-nft-restore v1.8.9 (nf_tables): \nline 2: CHAIN_ADD failed (Device busy): chain cali-x\n",
        ":cali-x - -",
        "line 2: CHAIN_ADD failed (Device busy): chain cali-x",
    ),
    "no line": ("Another app is currently holding the xtables lock.\n", None, "Another app"),
    "nothing": ("", None, "exit code 4"),
}


@pytest.mark.parametrize(("error", "line", "message"), COMPLAINTS.values(), ids=COMPLAINTS)
def test_complaints_name_the_line(error: str, line: str | None, message: str) -> None:
    run = Answers({"iptables-legacy-restore --noflush": Ran(4, error=error)})
    with pytest.raises(KernelRefused) as refusal:
        Tables(run, LEGACY, [V4]).carry_out(Plan((ADDS,)))
    assert refusal.value.line == line
    assert message in str(refusal.value)


def test_sets_that_complain_stop_the_plan() -> None:
    run = Answers({"ipset restore": Ran(1, error="ipset v7.17: Error in line 1: Set cannot be created\n")})
    with pytest.raises(KernelRefused, match="Set cannot be created") as refusal:
        Tables(run, LEGACY, [V4]).carry_out(Plan((MAKES, ADDS)))
    assert refusal.value.line == "create cali40x hash:net family inet maxelem 100"
    assert not any("restore" in text for text in run.asked if text.startswith("iptables"))


@pytest.mark.parametrize(
    ("code", "error", "told"),
    [
        (1, "iptables: No chain/target/match by that name.", r"ended well but changed nothing \(at `IPv4 filter"),
        (4, "Another app is currently holding the xtables lock.", "Another app is currently holding"),
    ],
    ids=["not there", "not to be seen"],
)
def test_rules_that_sets_rely_on_are_looked_at_first(code: int, error: str, told: str) -> None:
    run = Answers({"iptables-legacy --wait": Ran(code, error=error)})
    with pytest.raises(KernelRefused, match=told):
        Tables(run, LEGACY, [V4]).carry_out(Plan((ADDS, SetEdit((DestroySet("cali40x"),)))))
    assert run.asked[-1] == "iptables-legacy --wait 10 --wait-interval 50000 -t filter -S cali-x"


def test_a_fence_is_looked_at_before_going_on() -> None:
    fence = TableEdit(V4, LEGACY, FILTER, (AppendRule("cali-x", rules(f"{FENCE} -j DROP")[0]),), fence=True)
    run = Answers({"iptables-legacy --wait": Ran(0, b"-A cali-x -m comment --comment our_fence -j DROP\n")})
    Tables(run, LEGACY, [V4]).carry_out(Plan((fence, ADDS)))
    asked = [text for text in run.asked if "--version" not in text]
    assert [text.split()[0].rpartition("-")[2] for text in asked] == ["restore", "legacy", "restore"]


def test_a_reading_that_fails_is_refused() -> None:
    with pytest.raises(KernelRefused, match="`ipset save`: not installed"):
        Tables(FakeTools(missing=("ipset",)), LEGACY, [V4]).read()


# --- reading again -----------------------------------------------------------------------------------------------

SHOWN = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [%d:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"


class Counting(Answers):
    """Shows other counters each time; the number of the rules is `number`."""

    number = 5

    def __call__(self, command: Sequence[str], data: bytes = b"") -> Ran:
        shown = super().__call__(command, data)
        return Ran(0, (SHOWN % len(self.asked)).encode()) if command[0].endswith("save") else shown

    def listings(self) -> int:
        return sum(text.endswith("-save") for text in self.asked)


def test_a_listing_that_shows_the_same_is_not_parsed_again() -> None:
    tables = Tables(Counting({}), NFT, [V4])
    assert tables.read().rulesets[V4] is tables.read().rulesets[V4]


def test_without_another_number_rules_are_not_listed_again() -> None:
    run = Counting({})
    tables = Tables(run, NFT, [V4], generation=lambda: run.number)
    first = tables.read()
    assert tables.read() == first
    assert run.listings() == 1
    run.number += 1
    assert tables.read() == first
    assert run.listings() == 2


def test_a_number_that_changes_while_rules_are_listed_says_nothing() -> None:
    run = Counting({})
    numbers = iter(range(100))
    tables = Tables(run, NFT, [V4], generation=lambda: next(numbers))
    tables.read()
    tables.read()
    assert run.listings() == 2


def test_what_was_planned_is_known_when_it_is_listed() -> None:
    run = FakeTools(plain=NFT)
    tables = Tables(run, NFT, [V4])
    held = tables.read()
    after = tables_after(held)
    edit = TableEdit(V4, NFT, FILTER, (MakeChain("cali-x"), AppendRule("cali-x", rules("-j DROP")[0])))
    tables.carry_out(Plan((edit,), after={V4: after}))
    assert tables.read().rulesets[V4] is after


def test_what_was_planned_and_is_not_there_is_read() -> None:
    run = FakeTools(plain=NFT)
    tables = Tables(run, NFT, [V4])
    after = tables_after(tables.read())
    tables.carry_out(Plan((TableEdit(V4, NFT, FILTER, (MakeChain("cali-x"),)),), after={V4: after}))
    read = tables.read().rulesets[V4]
    assert read.tables[FILTER].chains["cali-x"].rules == ()


def tables_after(held: Held) -> Ruleset:
    """What is held once filter has a chain with one rule."""
    builtin = {hook.value: Chain(hook.value, policy="ACCEPT") for hook in BUILTIN_CHAINS[FILTER]}
    chains = builtin | {"cali-x": Chain("cali-x", rules("-j DROP"))}
    return replace(held.rulesets[V4], tables={FILTER: Table(FILTER, chains)})


@pytest.mark.parametrize(("lines", "expected"), [(MANY_LINES, [2]), (1, [])], ids=["many lines", "few lines"])
def test_families_are_written_side_by_side_where_it_pays_and_sets_behind_both(lines: int, expected: list[int]) -> None:
    shown = Ran(0, b":cali-x - [0:0]\n-A cali-x -j DROP\n")
    run = Answers({"iptables-legacy-save": shown, "ip6tables-legacy-save": shown})
    jobs: list[int] = []

    def together(given: Sequence[Callable[[], Any]]) -> list[Any]:
        jobs.append(len(given))
        return [job() for job in given]

    many = replace(ADDS, edits=ADDS.edits + (ADDS.edits[-1],) * lines)
    plan = Plan((many, replace(ADDS, family=V6), ADDS, MAKES))
    Tables(run, LEGACY, [V4, V6], together=together).carry_out(plan)
    assert jobs == expected
    written = [text.split()[0] for text in run.asked if "restore" in text and "--version" not in text]
    assert written == ["iptables-legacy-restore"] * 2 + ["ip6tables-legacy-restore", "ipset"]
