"""What a resource may say about itself (spec: model 1.1)."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.model.metadata import Metadata
from tortie.model.problem import FieldProblem, format_path
from tortie.model.reader import read_value


def test_what_is_kept() -> None:
    found = read_value(
        Metadata,
        {
            "name": "a",
            "namespace": "ns",
            "labels": {"a": "b", "number": 1},
            "annotations": {"x.y/z": "text"},
            "uid": "u",
            "creationTimestamp": "2019-06-17T09:30:12Z",
            "resourceVersion": 7,
        },
    )
    assert found == Metadata(
        "a",
        "ns",
        labels={"a": "b", "number": "1"},
        annotations={"x.y/z": "text"},
        uid="u",
        creation_timestamp="2019-06-17T09:30:12Z",
        resource_version="7",
    )


@pytest.mark.parametrize("field", Metadata.NOT_KEPT)
def test_other_fields_of_kubernetes_are_known_and_not_kept(field: str) -> None:
    assert read_value(Metadata, {"name": "a", field: {"any": ["thing"]}}) == Metadata("a")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no name": ({}, "name: the resource has no name"),
    "a name in capitals": ({"name": "A"}, "name: 'A': name must consist of lower case alphanumeric characters, '-' or '.'"),
    "a name too long": ({"name": "a" * 255}, "name: name is too long by 2 bytes"),
    "a label's key": ({"name": "a", "labels": {"a b": ""}}, "labels['a b']: 'a b' is not a label's name"),
    "a label's value": ({"name": "a", "labels": {"a": "b c"}}, "labels.a: 'b c' is not a label's value"),
    "an annotation's key": (
        {"name": "a", "annotations": {"a b": ""}},
        "annotations['a b']: 'a b' is not an annotation's name",
    ),
    "annotations too large": (
        {"name": "a", "annotations": {"abc": "x" * 262144}},
        "annotations: total size of annotations is too large by 3 bytes",
    ),
    "an unknown field": ({"name": "a", "label": {}}, "label: unknown field 'label'"),
    "labels that are none": ({"name": "a", "labels": ["b"]}, "labels: expected fields, not a list"),
}


@pytest.mark.parametrize(("data", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(FieldProblem) as refusal:
        read_value(Metadata, data)
    assert f"{format_path(refusal.value.path)}: {refusal.value.message}".startswith(message)


def test_a_generated_name_is_answered_as_calico_does() -> None:
    with pytest.raises(FieldProblem) as refusal:
        read_value(Metadata, {"generateName": "a-"})
    assert refusal.value.remedy == "GenerateName is not supported"


def test_capitals_in_an_annotations_name_do_not_count() -> None:
    assert read_value(Metadata, {"name": "a", "annotations": {"X.Y/Z": ""}}).annotations == {"X.Y/Z": ""}


def test_names_and_annotations_may_be_as_large_as_the_largest() -> None:
    annotations = {"abc": "x" * (262144 - 3)}
    assert read_value(Metadata, {"name": "a" * 253, "annotations": annotations}).annotations == annotations
