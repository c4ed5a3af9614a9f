"""The fewest labels that make a selector select."""

from __future__ import annotations

import pytest

from tortie.explain.label import apply_edit, describe_edit, smallest_edit
from tortie.selector.parse import parse_selector

OWN = {"app": "web", "tier": "front", "projectcalico.org/namespace": "a"}
INHERITED = {"pcns.team": "red", "zone": "x"}


@pytest.mark.parametrize(
    ("selector", "edit"),
    [
        ("app == 'api'", [("app", "api")]),
        ("has(extra)", [("extra", "true")]),
        ("!has(tier)", [("tier", None)]),
        ("app != 'web'", [("app", None)]),
        ("app in {'b', 'a'}", [("app", "a")]),
        ("app not in {'web'}", [("app", None)]),
        ("app == 'api' && tier == 'back'", [("app", "api"), ("tier", "back")]),
        ("(app == 'api' && tier == 'back') || role == 'x'", [("role", "x")]),
        ("tier == 'front' && app == 'api'", [("app", "api")]),
        ("!(app == 'web' || tier == 'front')", [("app", None), ("tier", None)]),
        ("name starts with 'db'", [("name", "db")]),
        ("zone == 'y'", [("zone", "y")]),
        ("projectcalico.org/namespace == 'a' && app == 'api'", [("app", "api")]),
    ],
)
def test_a_selector_is_made_to_hold(selector: str, edit: list[tuple[str, str | None]]) -> None:
    assert smallest_edit(parse_selector(selector), OWN, INHERITED) == tuple(edit)


@pytest.mark.parametrize(
    "selector",
    [
        "projectcalico.org/namespace == 'b'",
        "pcns.team == 'blue'",
        "!all()",
        "!has(zone)",
        "app == 'a' && app == 'b'",
        "app == 'not a label value'",
        "app == 'web'",
    ],
    ids=["Calico's own", "a namespace's", "nothing", "handed on", "contradiction", "no value", "holds already"],
)
def test_what_labels_of_ones_own_cannot_do_is_not_told(selector: str) -> None:
    assert smallest_edit(parse_selector(selector), OWN, INHERITED) is None


def test_a_long_choice_ends() -> None:
    text = " && ".join(f"(a{n} == 'x' || b{n} == 'y')" for n in range(12))
    edit = smallest_edit(parse_selector(text), {}, {})
    assert edit is not None and len(edit) == 12


def test_an_edit_changes_only_what_it_says() -> None:
    assert apply_edit({"a": "1", "b": "2"}, (("a", None), ("c", "3"))) == {"b": "2", "c": "3"}
    assert apply_edit({"b": "2"}, (("a", None),)) is None
    assert describe_edit((("a", None), ("c", "3"))) == "no label a and label c=3"
