"""What is wrong with a field is told with the way to it, the place in the file, and what may have been meant."""

from __future__ import annotations

import pytest

from tortie.model.problem import FieldProblem, Path, field_problem, format_path, nearest
from tortie.net.error import InvalidInput

PATHS: dict[str, Path] = {
    "": (),
    "spec.ingress[0].source": ("spec", "ingress", 0, "source"),
    "metadata.labels['projectcalico.org/namespace']": ("metadata", "labels", "projectcalico.org/namespace"),
    "spec.nat-outgoing": ("spec", "nat-outgoing"),
    "[3]": (3,),
    "['']": ("",),
}


@pytest.mark.parametrize(("text", "path"), PATHS.items())
def test_a_way_is_written_as_people_write_it(text: str, path: Path) -> None:
    assert format_path(path) == text


def test_a_problem_is_seen_from_further_out() -> None:
    found = FieldProblem("too big", path=("port",), remedy="use less").inside("spec", "ports", 1)
    assert (found.path, found.message, found.remedy) == (("spec", "ports", 1, "port"), "too big", "use less")


def test_in_the_end_it_names_file_line_object_and_field() -> None:
    problem = FieldProblem("too big", path=("spec", "port"), remedy="use less")
    found = problem.resolved(source="a.yaml", line=7, subject="HostEndpoint(a)")
    assert str(found) == "a.yaml:7: HostEndpoint(a) spec.port: too big (use less)"
    assert type(found) is InvalidInput


def test_a_problem_of_the_whole_object_has_no_field() -> None:
    assert str(FieldProblem("no object").resolved(source="a.yaml", line=1)) == "a.yaml:1: no object"


def test_any_error_about_a_value_can_be_given_a_way() -> None:
    found = field_problem(InvalidInput("not an address", remedy="write 10.0.0.1")).inside("peerIP")
    assert (found.path, found.message, found.remedy) == (("peerIP",), "not an address", "write 10.0.0.1")
    problem = FieldProblem("x", path=("a",))
    assert field_problem(problem) is problem


NEAR = {
    "selektor": "did you mean selector?",
    "SELECTOR": "did you mean selector?",
    "notselector": "did you mean notSelector?",
    "colour": None,
}


@pytest.mark.parametrize(("name", "remedy"), NEAR.items())
def test_what_may_have_been_meant(name: str, remedy: str | None) -> None:
    assert nearest(name, ("selector", "notSelector", "nets")) == remedy
