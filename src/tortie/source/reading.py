"""What one place of a datastore says: resources, and what is wrong there, each with the key that it is about.

The key of something bad is what it says of itself, as far as that goes: whoever hears of it can then close what depends on
the resource that should have been there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tortie.model.document import Document, parse_documents
from tortie.model.name import is_name
from tortie.model.policy import shown_name
from tortie.model.problem import field_problem
from tortie.model.read import Key, key_of
from tortie.model.resource import (
    CALICO_VERSION,
    KINDS,
    STORED_VERSION,
    PassedOver,
    ReadOptions,
    Resource,
    describe,
    is_namespaced,
    read_resource,
)
from tortie.model.workload_name import (
    KUBERNETES,
    NAMESPACE_PROFILE_PREFIX,
    SERVICE_ACCOUNT_PROFILE_PREFIX,
    WorkloadIdentifiers,
    format_workload_name,
    workload_name_problem,
)
from tortie.net.error import InvalidInput


@dataclass(frozen=True, slots=True)
class Definition:
    """One thing that a place says: a resource, or what is wrong; a resource always has its key.

    `where` is for messages that point here, `revision` the datastore's or empty. Of what is wrong, `data` is the object as
    far as it is one, or the text that is none; `superfluous` is what nobody misses (see `tortie.model.event.Refused`).
    """

    key: Key | None
    content: Resource | InvalidInput
    where: str
    revision: str = ""
    data: Any = None
    superfluous: bool = False

    def problem(self, message: str, remedy: str) -> InvalidInput:
        """An error about this definition, at its place."""
        source, _, line = self.where.rpartition(":")
        at_line = int(line) if source and line.isdigit() else None
        return InvalidInput(
            f"{self.key}: {message}", source=self.where if at_line is None else source, line=at_line, remedy=remedy
        )


def without_revision(resource: Resource) -> Resource:
    """The resource as it compares with others: two that differ in their revision alone are the same."""
    if not resource.metadata.resource_version:
        return resource
    return replace(resource, metadata=replace(resource.metadata, resource_version=""))


def read_text(place: str, text: str, options: ReadOptions) -> Iterator[Definition]:
    """What a file says, document by document; what comes behind a line that makes no sense is not known.

    A place is refused once without a key: when there is more to refuse so, its data is the text from the first of it on.
    """
    found: list[Definition] = []
    try:
        for document in parse_documents(text):
            found += _read_document(place, document, options)
    except InvalidInput as error:
        found.append(Definition(None, error.at(source=place), place, data=text))
    nameless = [definition for definition in found if definition.key is None]
    for definition in found:
        yield replace(definition, data=text) if len(nameless) > 1 and definition.key is None else definition


def _read_document(place: str, document: Document, options: ReadOptions) -> Iterator[Definition]:
    where = f"{place}:{document.line}"
    try:
        resource = read_resource(document.data, options)
    except InvalidInput as error:
        problem, key = field_problem(error), claimed_key(document.data, options)
        line = document.line_of(problem.path)
        resolved = problem.resolved(source=place, line=line, subject=_subject(document.data, key))
        yield Definition(key, resolved, where, data=document.data)
        return
    if not isinstance(resource, PassedOver):
        yield Definition(key_of(resource), without_revision(resource), where)


def read_object(place: str, data: dict[str, Any], options: ReadOptions) -> tuple[Definition, ...]:
    """What an object of the Kubernetes API is to Calico: one definition, or none."""
    metadata = data.get("metadata")
    revision = metadata.get("resourceVersion") if type(metadata) is dict else ""
    try:
        resource = read_resource(data, options)
    except InvalidInput as error:
        key = claimed_key(data, options)
        problem = field_problem(error).resolved(source=place, line=None, subject=_subject(data, key))
        return (Definition(key, problem, place, str(revision or ""), data),)
    if isinstance(resource, PassedOver):
        return ()
    return (Definition(key_of(resource), without_revision(resource), place, str(revision or "")),)


def _subject(data: Any, key: Key | None) -> str:
    """What a message calls an object: a resource of Calico by the name that users see, others by what they say."""
    return str(key) if key is not None and key.kind == data.get("kind") else describe(data)


def claimed_key(data: Any, options: ReadOptions) -> Key | None:
    """The resource that an object, however bad, says it is; None when it does not say so, or not in words that can be."""
    if type(data) is not dict or type(data.get("metadata")) is not dict:
        return None
    version, kind, metadata = data.get("apiVersion"), data.get("kind"), data["metadata"]
    name, namespace = metadata.get("name"), metadata.get("namespace") or options.namespace
    if type(kind) is not str or type(name) is not str or not is_name(name) or type(namespace) is not str:
        return None
    if version in (CALICO_VERSION, STORED_VERSION) and kind in KINDS:
        if version == STORED_VERSION and kind in ("NetworkPolicy", "GlobalNetworkPolicy"):
            name = shown_name(name)
        return Key(kind, namespace if is_namespaced(KINDS[kind]) else "", name)
    match version, kind:
        case "v1", "Namespace":
            return Key("Profile", "", NAMESPACE_PROFILE_PREFIX + name)
        case "v1", "ServiceAccount":
            return Key("Profile", "", f"{SERVICE_ACCOUNT_PROFILE_PREFIX}{namespace}.{name}")
        case "v1", "Node":
            return Key("Node", "", name)
        case "v1", "Pod":
            return _pod_key(data, namespace, name)
        case (("networking.k8s.io/v1" | "extensions/v1beta1"), "NetworkPolicy"):
            return Key("NetworkPolicy", namespace, f"knp.default.{name}")
        case _:
            return None


def _pod_key(data: dict[str, Any], namespace: str, name: str) -> Key | None:
    spec = data.get("spec")
    node = spec.get("nodeName") if type(spec) is dict else None
    if type(node) is not str:
        return None
    identifiers = WorkloadIdentifiers(node=node, orchestrator=KUBERNETES, pod=name, endpoint="eth0")
    if workload_name_problem(identifiers) is not None:
        return None
    return Key("WorkloadEndpoint", namespace, format_workload_name(identifiers))
