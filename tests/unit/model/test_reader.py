"""Plain data becomes dataclasses by their annotations, or is refused with the way to what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, ClassVar

import pytest

from tortie.model.problem import FieldProblem, format_path
from tortie.model.reader import Named, Reads, json_name, read_bool, read_float, read_int, read_text, read_value


class Colour(Enum):
    RED = "Red"
    GREEN = "Green"


def read_even(data: Any) -> int:
    if data % 2:
        raise FieldProblem("odd", remedy="add one")
    return int(data)


@dataclass(frozen=True, slots=True)
class Inner:
    """A value with a check of its own."""

    low: int = 0
    high: int = 0

    def problems(self) -> Iterator[FieldProblem]:
        if self.low > self.high:
            yield FieldProblem("upside down", path=("low",))
            yield FieldProblem("never told")


@dataclass(frozen=True, slots=True)
class Outer:
    """One field of each kind."""

    NOT_KEPT: ClassVar[tuple[str, ...]] = ("old",)

    must: str
    flag: bool = False
    count: int | None = None
    order: float | None = None
    colour: Colour = Colour.RED
    inner: Inner | None = None
    inners: tuple[Inner, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    even_number: Annotated[int, Reads(read_even)] = 0
    shout: Annotated[str, Named("SHOUT")] = ""
    optional: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Lenient:
    """Passes over what it does not know."""

    UNKNOWN_IGNORED: ClassVar[bool] = True
    SCALARS_EXACT: ClassVar[bool] = True

    text: str = ""


ACCEPTED: dict[str, tuple[dict[str, Any], Outer]] = {
    "only what must be": ({"must": "a"}, Outer("a")),
    "null is absent": ({"must": "a", "flag": None, "count": None, "inner": None, "labels": None}, Outer("a")),
    "not kept": ({"must": "a", "old": {"any": 1}}, Outer("a")),
    "camel case": ({"must": "a", "evenNumber": 2}, Outer("a", even_number=2)),
    "a name of its own": ({"must": "a", "SHOUT": "b"}, Outer("a", shout="b")),
    "an enumeration": ({"must": "a", "colour": "Green"}, Outer("a", colour=Colour.GREEN)),
    "nested": ({"must": "a", "inner": {"high": 2}}, Outer("a", inner=Inner(0, 2))),
    "a list": ({"must": "a", "inners": [{}, {"high": 1}]}, Outer("a", inners=(Inner(), Inner(0, 1)))),
    "a list with nothing in it": ({"must": "a", "optional": [1, None]}, Outer("a", optional=(1, None))),
    "a mapping": (
        {"must": "a", "labels": {"x": "y", "n": 1, "t": True}},
        Outer("a", labels={"x": "y", "n": "1", "t": "true"}),
    ),
    "whole numbers as floats": ({"must": "a", "count": 3.0, "order": 3}, Outer("a", count=3, order=3.0)),
}  # fmt: skip


@pytest.mark.parametrize(("data", "value"), ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(data: dict[str, Any], value: Outer) -> None:
    assert read_value(Outer, data) == value


REFUSED: dict[str, tuple[Any, str, str | None]] = {
    "no fields": ([], ": expected fields, not a list", None),
    "missing": ({}, ": must is missing", None),
    "null where something must be": ({"must": None}, ": must is missing", None),
    "unknown": ({"must": "a", "colur": "Red"}, "colur: unknown field 'colur'", "did you mean colour?"),
    "unknown, like nothing": (
        {"must": "a", "zzz": 1},
        "zzz: unknown field 'zzz'",
        "there are SHOUT, colour, count, evenNumber, flag, inner, inners, labels, must, old, optional, order",
    ),
    "other capitals": ({"must": "a", "Flag": True}, "Flag: unknown field 'Flag'", "did you mean flag?"),
    "text for a truth value": ({"must": "a", "flag": "true"}, "flag: expected true or false, not 'true'", None),
    "text for a number": ({"must": "a", "count": "3"}, "count: expected a whole number, not '3'", None),
    "a truth value for a number": ({"must": "a", "count": True}, "count: expected a whole number, not true", None),
    "a fraction": ({"must": "a", "count": 1.5}, "count: expected a whole number, not 1.5", None),
    "more than 64 bits": ({"must": "a", "count": 2**63}, f"count: expected a whole number, not {2**63}", None),
    "no number": ({"must": "a", "order": float("nan")}, "order: expected a number, not nan", None),
    "no such word": ({"must": "a", "colour": "red"}, "colour: 'red' is not one of Red, Green", "did you mean Red?"),
    "what its reader refuses": ({"must": "a", "evenNumber": 3}, "evenNumber: odd", "add one"),
    "a check": ({"must": "a", "inner": {"low": 1}}, "inner.low: upside down", None),
    "a check inside a list": ({"must": "a", "inners": [{}, {"low": 1}]}, "inners[1].low: upside down", None),
    "no list": ({"must": "a", "inners": {}}, "inners: expected a list, not fields", None),
    "nothing in a list": ({"must": "a", "inners": [None]}, "inners[0]: expected fields, not nothing", None),
    "no text in a mapping": ({"must": "a", "labels": {"x": ["y"]}}, "labels.x: expected text, not a list", None),
    "something long": ({"must": "a", "flag": "x" * 200}, f"flag: expected true or false, not '{'x' * 76}...", None),
}


@pytest.mark.parametrize(("data", "message", "remedy"), REFUSED.values(), ids=REFUSED)
def test_refused(data: Any, message: str, remedy: str | None) -> None:
    with pytest.raises(FieldProblem) as refusal:
        read_value(Outer, data)
    assert (f"{format_path(refusal.value.path)}: {refusal.value.message}", refusal.value.remedy) == (message, remedy)


def test_a_lenient_class_passes_over_what_it_does_not_know_and_takes_only_text_for_text() -> None:
    assert read_value(Lenient, {"text": "a", "more": 1}) == Lenient("a")
    with pytest.raises(FieldProblem) as refusal:
        read_value(Lenient, {"text": 1})
    assert (refusal.value.message, refusal.value.remedy) == ("expected text, not 1", "put it in quotes")


TEXTS = {
    "text": ("a", "a"),
    "nothing": (None, ""),
    "true": (True, "true"),
    "a number": (-7, "-7"),
    "a fraction": (1.5, "1.5"),
    "in single precision": (0.1, "0.1"),
    "a large float": (1e21, "1e+21"),
    "a small float": (0.00001, "1e-05"),
    "six digits before the point": (123456.0, "123456"),
    "infinite": (float("inf"), "+Inf"),
    "beyond single precision": (-1e300, "-Inf"),
    "no number": (float("nan"), "NaN"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "text"), TEXTS.values(), ids=TEXTS)
def test_scalars_where_text_is_expected_are_what_go_makes_of_them(data: Any, text: str) -> None:
    assert read_text(data) == text


@pytest.mark.parametrize("read", [read_bool, read_int, read_float, read_text])
@pytest.mark.parametrize("data", [[], {}], ids=["list", "fields"])
def test_containers_are_no_scalars(read: Callable[[Any], Any], data: Any) -> None:
    with pytest.raises(FieldProblem):
        read(data)


def test_names_in_json_are_in_camel_case() -> None:
    assert [json_name(name) for name in ("order", "as_number", "ipv4_vxlan_tunnel_addr")] == [
        "order",
        "asNumber",
        "ipv4VxlanTunnelAddr",
    ]
