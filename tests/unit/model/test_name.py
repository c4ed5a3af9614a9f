"""Which texts may be names, labels, ports and interfaces (spec: model 1.1, 1.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tortie.model import name
from tortie.net.error import InvalidInput

CHECKS: list[tuple[Callable[[str], bool], list[str], list[str]]] = [
    (name.is_dns_label, ["a", "a-b", "0a", "a" * 63], ["", "A", "-a", "a-", "a.b", "a_b", "a" * 64, "a\n"]),
    (name.is_name, ["a", "a.b-c.d", "1.2"], ["", "a..b", ".a", "a.", "A", "a_b", "a.-b"]),
    (name.is_port_name, ["http", "a", "1a", "a" * 15], ["", "80", "a--b", "-a", "a-", "HTTP", "a" * 16, "a.b"]),
    (
        name.is_qualified_name,
        ["a", "A_b.c-d", "projectcalico.org/namespace", "a" * 63, "x.y/" + "a" * 63],
        ["", "a/", "/a", "a/b/c", "-a", "a-", "a" * 64, "A.b/c", "a b", "a" * 254 + "/b"],
    ),
    (name.is_label_value, ["", "a", "A_b.c-d", "a" * 63], ["-a", "a-", "a/b", "a" * 64, "a b", "ä"]),
]


@pytest.mark.parametrize(("check", "good", "bad"), CHECKS, ids=lambda part: getattr(part, "__name__", ""))
def test_checks(check: Callable[[str], bool], good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not check(text)] == []
    assert [text for text in bad if check(text)] == []


READERS: dict[str, tuple[Callable[[Any], str], list[Any], list[Any]]] = {
    "name": (name.read_name, ["", "a.b"], ["A", "a b", ["a"]]),
    "required name": (name.read_required_name, ["a.b"], ["", "A"]),
    "interface": (name.read_interface, ["", "*", "eth0", "cali_1.2-3", "a" * 15], ["a" * 16, "a b", "a:b", "**", "ä"]),
    "interface filter": (name.read_interface_filter, ["", "eth+", "eth0:1", "a" * 15], ["a" * 16, "*", "a/b"]),
    "container id": (name.read_container_id, ["", "aB-3"], ["-a", "a-", "a_b", "a.b"]),
    "port name": (name.read_port_name, ["http"], ["", "80", "HTTP"]),
}


@pytest.mark.parametrize(("read", "good", "bad"), READERS.values(), ids=READERS)
def test_readers(read: Callable[[Any], str], good: list[Any], bad: list[Any]) -> None:
    assert [read(data) for data in good] == good
    for data in bad:
        with pytest.raises(InvalidInput):
            read(data)


def test_a_number_where_a_name_may_be_is_its_text() -> None:
    """As Go's reader of YAML has it: `name: 1` names `1`."""
    assert name.read_name(1) == "1"


def test_the_first_bad_label_is_told_with_its_key() -> None:
    found = name.label_problem({"a": "b", "c": "d e", "f g": ""})
    assert found is not None
    assert (found.path, found.message) == (("c",), "'d e' is not a label's value")
    found = name.label_problem({"f g": ""})
    assert found is not None
    assert (found.path, found.message) == (("f g",), "'f g' is not a label's name")
    assert name.label_problem({"a": "", "b.c/d": "e"}) is None
