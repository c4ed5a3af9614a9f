"""The canonical text of selectors, with the ids that Calico 3.7 makes of it (spec: model 11)."""

from __future__ import annotations

import pytest

from tortie.calc.set_id import selector_set_id
from tortie.selector.canonical import format_selector
from tortie.selector.parse import parse_selector

VECTORS = [
    ("", "all()", "s:5y5I3VdRZfDU01O--xXAPx2yxCQQqMf0M6IWug"),
    (" (all() )", "all()", "s:5y5I3VdRZfDU01O--xXAPx2yxCQQqMf0M6IWug"),
    ("! (has( b)||! has(a ))", "!(has(b) || !has(a))", "s:Iss0uCleLYv1GSv_pNm7hAO58kE9jAx1NKyG3Q"),
    ('! (a == "b"&&! c != "d")', '!(a == "b" && !c != "d")', "s:lh3haoY1ikTRkd4UZu0nWSaIBknYLPJLX16d-w"),
    ("has(a)", "has(a)", "s:JpRGrxZ4kdS6g7WoF-uG_g7qlh2ipw2zGYBMpQ"),
    ("a == 'b'", 'a == "b"', "s:flMh0m0X_BowkAK_W3j3MgH8oQOsj3WxGDoXCQ"),
    ("a in {'d','a','b','a'}", 'a in {"a", "b", "d"}', "s:47Z8J8dfSg-rF2l7gb0UoCWC8HcdwnHgIX8-wA"),
    (
        "role == 'db' && env != \"dev\"",
        '(role == "db" && env != "dev")',
        "s:6bxNOv1u2rar4L57CFjb8CpE_pnmVqspUYbIXA",
    ),
]


@pytest.mark.parametrize(("text", "canonical", "made"), VECTORS)
def test_canonical_text_and_id(text: str, canonical: str, made: str) -> None:
    assert format_selector(parse_selector(text)) == canonical
    assert selector_set_id(canonical) == made


FORMS = {
    "a not in {}": "a not in {}",
    "a contains '\"'": "a contains '\"'",
    "a starts with 'x'": 'a starts with "x"',
    "a endswith 'x'": 'a ends with "x"',
    "(has(a) && has(b)) && has(c)": "((has(a) && has(b)) && has(c))",
    "a in {'é', 'z'}": 'a in {"z", "é"}',
}


@pytest.mark.parametrize("text", FORMS)
def test_canonical_form(text: str) -> None:
    assert format_selector(parse_selector(text)) == FORMS[text]
