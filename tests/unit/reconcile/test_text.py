"""Steps as the lines that the tools read."""

from __future__ import annotations

import pytest

from tests.table_text import FILTER, V4, rules, sets
from tortie.netfilter.hook import Backend
from tortie.reconcile.step import (
    AddMember,
    AppendRule,
    CreateSet,
    DeleteChain,
    DeleteMember,
    DeletePlace,
    DeleteRule,
    DestroySet,
    Edit,
    InsertRule,
    MakeChain,
    ReplaceRule,
    SetEdit,
    SwapSets,
    TableEdit,
)
from tortie.reconcile.text import describe_step, format_ipset_restore, format_restore, shows, telling_edit

DROP, EMPTY = rules("-s 10.0.0.1/32 -m comment --comment our_a -j DROP", "")
TABLE = TableEdit(
    V4,
    Backend.NFT,
    FILTER,
    (
        MakeChain("our-x"),
        AppendRule("our-x", DROP),
        AppendRule("our-x", EMPTY),
        InsertRule("our-x", 2, DROP),
        ReplaceRule("our-x", 3, DROP),
        DeletePlace("our-x", 4, DROP),
        DeleteRule("FORWARD", DROP),
        DeleteChain("our-y"),
    ),
)
SET = sets("our4x: 10.0.0.0/8 10.1.0.1")["our4x"]


def test_a_table() -> None:
    rule = "-s 10.0.0.1/32 -m comment --comment our_a -j DROP"
    assert format_restore(TABLE).splitlines() == [
        "*filter",
        ":our-x - -",
        f"-A our-x {rule}",
        "-A our-x",
        f"-I our-x 2 {rule}",
        f"-R our-x 3 {rule}",
        "-D our-x 4",
        f"-D FORWARD {rule}",
        "-X our-y",
        "COMMIT",
    ]


def test_sets() -> None:
    commands = (
        CreateSet(SET),
        *(AddMember("our4x", entry) for entry in SET.entries),
        DeleteMember("our4x", SET.entries[0]),
        SwapSets("our4x", "our4t0"),
        DestroySet("our4t0"),
    )
    assert format_ipset_restore(SetEdit(commands)).splitlines() == [
        "create our4x hash:net family inet maxelem 100",
        "add our4x 10.0.0.0/8 -exist",
        "add our4x 10.1.0.1 -exist",
        "del our4x 10.0.0.0/8 -exist",
        "swap our4x our4t0",
        "destroy our4t0",
    ]


def test_a_step_in_a_line() -> None:
    assert describe_step(TABLE) == "IPv4 filter (nft): :our-x - -, and 7 more"
    assert describe_step(SetEdit((DestroySet("our4x"),))) == "ipset: destroy our4x"


RULE = "-s 10.0.0.1/32 -m comment --comment our_a -j DROP"
HELD = f"-N our-x\n-A our-x {RULE}"
TRACES = {
    "a rule that is there": (AppendRule("our-x", DROP), HELD, True),
    "a rule that is not there": (InsertRule("our-x", 1, DROP), "-N our-x", False),
    "a rule of a chain that is not there": (AppendRule("our-x", DROP), None, False),
    "a rule that is gone": (DeletePlace("our-x", 1, DROP), "-N our-x", True),
    "a rule that is still there": (DeleteRule("our-x", DROP), HELD, False),
    "a chain that is there": (MakeChain("our-x"), "-N our-x", True),
    "a chain that is not there": (MakeChain("our-x"), None, False),
    "a chain that is gone": (DeleteChain("our-x"), None, True),
    "a chain that is still there": (DeleteChain("our-x"), "-N our-x", False),
}


@pytest.mark.parametrize(("edit", "listed", "expected"), TRACES.values(), ids=TRACES)
def test_traces_of_an_edit(edit: Edit, listed: str | None, expected: bool) -> None:
    assert shows(edit, V4, listed) is expected


@pytest.mark.parametrize(
    ("edits", "telling"),
    [
        ((MakeChain("our-x"), AppendRule("our-x", DROP)), MakeChain("our-x")),
        ((MakeChain("our-x"), DeleteChain("our-x")), DeleteChain("our-x")),
        ((), None),
    ],
    ids=["the first", "of a chain emptied to be removed, its removal", "nothing"],
)
def test_the_edit_that_tells_whether_all_was_made(edits: tuple[Edit, ...], telling: Edit | None) -> None:
    assert telling_edit(TableEdit(V4, Backend.LEGACY, FILTER, edits)) == telling
