"""Whatever somebody did to resources, they are read or refused with file and line, and what is read can be rendered."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.strategies.resource import damaged_texts, edited_texts
from tortie.calc.calculation import calculate
from tortie.model.parameter import felix_parameters
from tortie.model.read import Resources, parse_resources
from tortie.model.resource_conversion import resources_to_v1
from tortie.model.yaml_text import parse_yaml
from tortie.model.yaml_writer import format_yaml
from tortie.net.address import parse_address
from tortie.net.error import InvalidInput
from tortie.render.config import parse_config
from tortie.render.ruleset import render_node
from tortie.render.state import NodeInterface, NodeState

NODE = "reference"
STATE = NodeState((NodeInterface("eth0", frozenset({parse_address("10.20.0.11")})),), ipvs=True)


def read(text: str) -> Resources:
    """The resources of a text, after every problem was checked for its place."""
    found = parse_resources([("drawn", text)], keep_going=True)
    lines = max(1, len(text.splitlines()))
    for problem in found.problems:
        assert type(problem) is InvalidInput
        assert problem.source == "drawn"
        assert problem.line is None or 1 <= problem.line <= lines
    return found


def check_reading(text: str) -> None:
    """Reading that keeps going meets a problem exactly where the strict one stops."""
    found = read(text)
    if not found.problems:
        assert list(parse_resources([("drawn", text)])) == list(found)
        return
    with pytest.raises(InvalidInput) as refusal:
        parse_resources([("drawn", text)])
    assert str(refusal.value) == str(found.problems[0])


def check_rendering(text: str, *, felix_exact: bool) -> None:
    """What is good can be converted, calculated and rendered; only configuration may still be refused."""
    resources = read(text)
    parameters = felix_parameters(resources, NODE)
    cluster = resources_to_v1(resources, felix_exact=felix_exact)
    view = calculate(cluster, NODE, parameters)
    try:
        config, _ = parse_config(parameters, felix_exact=felix_exact)
        render_node(view, STATE, config)
    except InvalidInput:
        return


@examples(150)
@given(edited_texts | damaged_texts)
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    check_reading(text)


@examples(150)
@given(edited_texts, st.booleans())
def test_what_is_read_can_be_rendered(text: str, felix_exact: bool) -> None:
    check_rendering(text, felix_exact=felix_exact)


plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(codec="utf-8"), max_size=12)
    | st.text(alphabet="0123456789xXeE+-._:abfny~<= '\"#&*!|>%@`{}[],?", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@examples(150)
@given(plain_values)
def test_yaml_that_is_written_reads_back(value: Any) -> None:
    """Values on their own are no documents, and nothing at all is no document either."""
    (document,) = parse_yaml(format_yaml({"value": value}))
    assert document.root.data == {"value": value}
