"""Resources for the datastore from files, in the order in which they stand there.

Everything is read and checked before anything is written. Kubernetes' own objects are refused: they are not the datastore's
to keep. For deleting, only what an object is called counts, whatever else is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tortie.cli.resource_files import read_texts
from tortie.model.document import Document, parse_documents
from tortie.model.problem import FieldProblem, field_problem
from tortie.model.read import Key, key_of
from tortie.model.reader import read_text
from tortie.model.resource import (
    CALICO_VERSION,
    KINDS,
    PassedOver,
    ReadOptions,
    Resource,
    describe,
    is_namespaced,
    read_resource,
)
from tortie.net.error import InvalidInput

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Named:
    """A resource by its name, and by its revision if one was given."""

    key: Key
    revision: str = ""


def read_file_resources(paths: Sequence[str], namespace: str) -> list[Resource]:
    """The resources in files and directories; raises `InvalidInput` at the first that is not valid."""

    def read(data: Any) -> Resource:
        _refuse_foreign(data)
        resource = read_resource(data, ReadOptions(namespace=namespace))
        assert not isinstance(resource, PassedOver)
        return resource

    return _once([(key_of(resource), place, resource) for place, resource in _read(paths, read)], paths)


def read_file_names(paths: Sequence[str], namespace: str) -> list[Named]:
    """What resources in files and directories are called; raises `InvalidInput` at the first that does not say."""

    def read(data: Any) -> Named:
        _refuse_foreign(data)
        metadata = data.get("metadata")
        if type(metadata) is not dict:
            raise FieldProblem("metadata is missing", path=("metadata",))
        # Read as text before they are asked for truth: in YAML the plain words n and no are false, and names all the same.
        name, own, revision = (read_text(metadata.get(field)) for field in ("name", "namespace", "resourceVersion"))
        if not name and data["kind"] == "WorkloadEndpoint":
            resource = read_resource(data, ReadOptions(namespace=namespace))
            assert not isinstance(resource, PassedOver)
            return Named(key_of(resource), revision)
        if not name:
            raise FieldProblem("the resource has no name", path=("metadata", "name"))
        inside = (own or namespace) if is_namespaced(KINDS[data["kind"]]) else ""
        return Named(Key(data["kind"], inside, name), revision)

    return _once([(named.key, place, named) for place, named in _read(paths, read)], paths)


def _refuse_foreign(data: Any) -> None:
    """Only resources of Calico's own version have a place in its datastore."""
    if type(data) is dict and data.get("apiVersion") == CALICO_VERSION and data.get("kind") in KINDS:
        return
    result = read_resource(data, ReadOptions())  # says what is wrong, if it is a mistake
    reason = result.reason if isinstance(result, PassedOver) and result.reason else "this is not the datastore's to keep"
    raise FieldProblem(reason, path=("apiVersion",), remedy=f"resources here are {CALICO_VERSION}'s")


def _read(paths: Iterable[str], read: Callable[[Any], T]) -> Iterator[tuple[str, T]]:
    for source, text in read_texts(paths):
        for document in _documents(source, text):
            try:
                yield f"{source}:{document.line}", read(document.data)
            except InvalidInput as error:
                problem = field_problem(error)
                line = document.line_of(problem.path)
                raise problem.resolved(source=source, line=line, subject=describe(document.data)) from None


def _documents(source: str, text: str) -> Iterator[Document]:
    try:
        yield from parse_documents(text)
    except InvalidInput as error:
        raise error.at(source=source) from None


def _once(found: list[tuple[Key, str, T]], paths: Sequence[str]) -> list[T]:
    """Each resource once; raises `InvalidInput` for one that is there twice: which of them is meant?"""
    places: dict[Key, str] = {}
    for key, place, _ in found:
        if key in places:
            raise InvalidInput(f"{place}: {key}: already defined at {places[key]}", remedy="leave one of them out")
        places[key] = place
    if not found:
        names = ("stdin" if path == "-" else path for path in paths)
        raise InvalidInput("No resources specified in file", source=", ".join(names))
    return [value for _, _, value in found]
