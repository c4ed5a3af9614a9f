"""Texts to resources, by kind and name, each with where it came from (spec: model 1).

Two resources of one kind and name are refused, whichever way they came: a pod and the workload endpoint that calicoctl
shows for it are the same object. With `keep_going` every problem is collected, and what is good is there. Lines are looked
up only for what is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar, cast

from tortie.model.document import Document, parse_documents
from tortie.model.pool import IPPool
from tortie.model.problem import FieldProblem, field_problem
from tortie.model.resource import PassedOver, ReadOptions, Resource, describe, read_resource, remark_about
from tortie.net.error import InvalidInput

ResourceT = TypeVar("ResourceT", bound=Resource)


class Origin(NamedTuple):
    """Where an object stands: the text's name, and its line from 1."""

    source: str
    line: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line}"


class Key(NamedTuple):
    """What tells resources apart; `namespace` is empty for kinds that have none."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}({self.namespace}/{self.name})" if self.namespace else f"{self.kind}({self.name})"


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about the input that is no error: an object that nothing is made of, or that nobody reads."""

    message: str
    origin: Origin

    def __str__(self) -> str:
        return f"{self.origin}: {self.message}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What could not be read, and why: an object's `data`, or a `text`; neither where there was nothing to look at."""

    problem: InvalidInput
    data: Any = None
    text: str | None = None
    whole: bool = False
    """True when nothing of the text was read; else the documents in front of the one with the problem were."""


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources that were read, by namespace and name: equal inputs in any order are equal here."""

    by_kind: Mapping[type[Any], Mapping[tuple[str, str], Resource]] = field(default_factory=dict)
    """Kind's class to namespace and name to resource."""
    origins: Mapping[Key, Origin] = field(default_factory=dict)
    problems: tuple[InvalidInput, ...] = ()
    """What was wrong, when reading kept going."""
    refusals: tuple[Refusal, ...] = ()
    """The same problems, each with what it was found in."""
    remarks: tuple[Remark, ...] = ()
    keeps_going: bool = False
    """True when problems do not stop anything: what was refused has to be closed (`closing`)."""

    def of(self, cls: type[ResourceT]) -> tuple[ResourceT, ...]:
        """The resources of one kind, by namespace and name."""
        return cast("tuple[ResourceT, ...]", tuple(self.by_kind.get(cls, {}).values()))

    def get(self, cls: type[ResourceT], name: str, namespace: str = "") -> ResourceT | None:
        """The resource of this name, or None."""
        return cast("ResourceT | None", self.by_kind.get(cls, {}).get((namespace, name)))

    def origin(self, resource: Resource) -> Origin | None:
        """Where a resource came from; None if there is none of its kind and name here."""
        return self.origins.get(key_of(resource))

    def __iter__(self) -> Iterator[Resource]:
        for resources in self.by_kind.values():
            yield from resources.values()

    def __len__(self) -> int:
        return sum(map(len, self.by_kind.values()))


def key_of(resource: Resource) -> Key:
    """What a resource is told from others by."""
    return Key(type(resource).__name__, resource.metadata.namespace, resource.metadata.name)


def parse_resources(
    texts: Iterable[tuple[str, str]],
    *,
    options: ReadOptions | None = None,
    keep_going: bool = False,
    reached: Callable[[int], None] = lambda line: None,
) -> Resources:
    """The resources in texts, given as (source, text); a source's name is for messages only.

    `reached` is told the line of each object, from 1, as reading gets there. Raises `InvalidInput`, with source and line,
    at the first thing that is wrong, unless told to keep going.
    """
    reading = _Reading(options or ReadOptions(), keep_going, reached)
    for source, text in texts:
        reading.add_text(source, text)
    reading.check_pools()
    return reading.resources()


class _Reading:
    """Resources so far, each with the document that it came from."""

    def __init__(self, options: ReadOptions, keep_going: bool, reached: Callable[[int], None]) -> None:
        self.reached = reached
        self.options = options
        self.keep_going = keep_going
        self.found: dict[Key, Resource] = {}
        self.documents: dict[Key, tuple[str, Document]] = {}
        self.refusals: list[Refusal] = []
        self.remarks: list[Remark] = []

    def refuse(self, refusal: Refusal) -> None:
        if not self.keep_going:
            raise refusal.problem
        self.refusals.append(refusal)

    def add_text(self, source: str, text: str) -> None:
        try:
            for document in parse_documents(text):
                self.reached(document.line)
                self.add(source, document)
        except InvalidInput as error:
            self.refuse(Refusal(error.at(source=source), text=text))

    def add(self, source: str, document: Document) -> None:
        try:
            resource = read_resource(document.data, self.options)
        except InvalidInput as error:
            self.refuse_field(source, document, field_problem(error), describe(document.data))
            return
        if isinstance(resource, PassedOver):
            if resource.reason is not None:
                self.remarks.append(Remark(resource.reason, Origin(source, document.line)))
            return
        key = key_of(resource)
        if key in self.found:
            problem = FieldProblem(f"already defined at {self.origin(key)}", remedy="leave one of them out")
            self.refuse_field(source, document, problem, str(key))
            return
        self.found[key] = resource
        self.documents[key] = source, document
        remark = remark_about(resource)
        if remark is not None:
            self.remarks.append(Remark(remark, Origin(source, document.line)))

    def refuse_field(self, source: str, document: Document, problem: FieldProblem, subject: str) -> None:
        line = document.line_of(problem.path)
        self.refuse(Refusal(problem.resolved(source=source, line=line, subject=subject), data=document.data))

    def origin(self, key: Key) -> Origin:
        source, document = self.documents[key]
        return Origin(source, document.line)

    def check_pools(self) -> None:
        """No two pools share an address (spec: model 1.12); the later one, as it was read, is the one refused."""
        pools = {key: pool for key, pool in self.found.items() if isinstance(pool, IPPool)}
        for key, earlier in overlapping_pools(pools).items():
            message = f"CIDR overlaps with IPPool({earlier.name}) CIDR {pools[earlier].spec.cidr}"
            source, document = self.documents[key]
            self.refuse_field(source, document, FieldProblem(message, path=("spec", "cidr")), str(key))
            del self.found[key]

    def resources(self) -> Resources:
        by_kind: dict[type[Any], dict[tuple[str, str], Resource]] = {}
        origins: dict[Key, Origin] = {}
        for key in sorted(self.found):
            resource = self.found[key]
            by_kind.setdefault(type(resource), {})[key.namespace, key.name] = resource
            origins[key] = self.origin(key)
        problems = tuple(refusal.problem for refusal in self.refusals)
        return Resources(by_kind, origins, problems, tuple(self.refusals), tuple(self.remarks), self.keep_going)


def overlapping_pools(pools: Mapping[Key, IPPool]) -> dict[Key, Key]:
    """Pools that share addresses with one that was read before them and stays, each with that one."""
    refused: dict[Key, Key] = {}
    kept: dict[tuple[int, int, int], Key] = {}
    inside: dict[tuple[int, int, int], Key] = {}
    for key, pool in pools.items():
        cidr = pool.spec.cidr
        number, family = cidr.family.value, cidr.family
        above = [(number, length, cidr.address >> (family.bits - length)) for length in range(cidr.length, -1, -1)]
        earlier = inside.get(above[0]) or next((kept[place] for place in above if place in kept), None)
        if earlier is not None:
            refused[key] = earlier
            continue
        kept[above[0]] = key
        for place in above:
            inside.setdefault(place, key)
    return refused
