"""What Calico 3.7 keeps under a key of etcd, to resources and back (spec: model 8.2, 8.6).

A value must be of the kind and name that its key says: one that says something else is nobody's. Unknown fields are
refused, where Calico passes over them: one that narrows a rule, written by a later Calico, would leave the rule wider than
it was meant. The revision is no part of the value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tortie.model.ipam import BlockAffinity, IPAMBlock, IPAMConfig, IPAMHandle
from tortie.model.json_text import parse_json
from tortie.model.problem import FieldProblem, field_problem
from tortie.model.read import Key
from tortie.model.resource import CALICO_VERSION, STORED_VERSION, PassedOver, ReadOptions, Resource, read_resource
from tortie.model.writer import plain_resource, plain_value
from tortie.net.error import InvalidInput
from tortie.source.etcd_key import IPAM_HANDLES, parse_ipam_key, parse_key, stored_name


def parse_value(key_text: str, value: bytes) -> Resource:
    """The resource under a key; raises `InvalidInput` that names the key. The key must be a resource's."""
    key = parse_key(key_text)
    assert key is not None, key_text
    try:
        data = parse_json(_decoded(value)) if value or key.kind != "BlockAffinity" else {}
        if type(data) is not dict:
            raise FieldProblem("expected an object")
        return _read(key_text, key, data)
    except InvalidInput as error:
        raise field_problem(error).resolved(source=key_text, line=None, subject=str(key)) from None


def readable(key_text: str, value: bytes) -> Any:
    """As much of a bad value as can be told: an object as users know it, or the text; None when it is another key's."""
    text = value.decode(errors="replace")
    try:
        data = parse_json(text)
    except InvalidInput:
        return text
    if type(data) is not dict:
        return text
    key = parse_key(key_text)
    if key is None:
        return data
    if key.kind in _IPAM:
        return None
    try:
        return _with_shown_name(key, data)
    except FieldProblem:
        return None


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"not JSON: {error}") from None


def _read(key_text: str, key: Key, data: dict[str, Any]) -> Resource:
    if key.kind in _IPAM:
        whole = {"apiVersion": STORED_VERSION, "kind": key.kind, "metadata": {"name": key.name}}
        whole["spec"] = _IPAM[key.kind](key_text, data)
    else:
        whole = _with_shown_name(key, data)
    resource = read_resource(whole, ReadOptions())
    assert not isinstance(resource, PassedOver)
    return replace(resource, metadata=replace(resource.metadata, resource_version=""))


def _with_shown_name(key: Key, data: dict[str, Any]) -> dict[str, Any]:
    """The object under the name that users see; raises `FieldProblem` when it is not the one that the key names."""
    if data.get("apiVersion") != CALICO_VERSION or data.get("kind") != key.kind:
        message = f"its key is that of a {key.kind} of {CALICO_VERSION}, it says {data.get('kind')!r} of "
        raise FieldProblem(f"{message}{data.get('apiVersion')!r}")
    metadata = data.get("metadata")
    if type(metadata) is not dict:
        raise FieldProblem("metadata is missing")
    for field, expected in (("name", stored_name(key.kind, key.name)), ("namespace", key.namespace)):
        if (metadata.get(field) or "") != expected:
            raise FieldProblem(f"its key says {expected!r}, it says {metadata.get(field)!r}", path=("metadata", field))
    return data | {"metadata": metadata | {"name": key.name}}


# --- IPAM: fields of the value, and what they are in the resource ---------------------------------------------------


def _block(key_text: str, data: dict[str, Any]) -> dict[str, Any]:
    found = parse_ipam_key(key_text)
    assert found is not None
    if data.get("cidr") != str(found[1]):
        raise FieldProblem(f"its key says {found[1]}, it says {data.get('cidr')!r}", path=("cidr",))
    return {_renamed(name, deleted="Deleted"): value for name, value in data.items()}


def _affinity(key_text: str, data: dict[str, Any]) -> dict[str, Any]:
    found = parse_ipam_key(key_text)
    assert found is not None
    _refuse_others(data, "state", "deleted")
    deleted = "true" if data.get("deleted") else "false"
    return {"cidr": str(found[1]), "node": found[0], "state": data.get("state") or "confirmed", "deleted": deleted}


def _handle(key_text: str, data: dict[str, Any]) -> dict[str, Any]:
    _refuse_others(data, "block", "deleted")
    return {"handleID": key_text.removeprefix(IPAM_HANDLES), "block": data.get("block")}


def _config(key_text: str, data: dict[str, Any]) -> dict[str, Any]:
    del key_text
    names = {"strict_affinity": "strictAffinity", "auto_allocate_blocks": "autoAllocateBlocks"}
    return {names.get(name, name): value for name, value in data.items()}


def _renamed(name: str, **names: str) -> str:
    return names.get(name, name)


def _refuse_others(data: dict[str, Any], *known: str) -> None:
    for name in data:
        if name not in known:
            raise FieldProblem(f"unknown field {name!r}", path=(name,))


_IPAM = {"IPAMBlock": _block, "BlockAffinity": _affinity, "IPAMHandle": _handle, "IPAMConfig": _config}


_METADATA = ("name", "generateName", "namespace", "uid", "creationTimestamp", "labels", "annotations")
"""In this order Go writes what a resource keeps of itself (Kubernetes 1.14, apimachinery meta/v1 ObjectMeta)."""

# --- writing -----------------------------------------------------------------------------------------------------


def format_value(resource: Resource) -> bytes:
    """What Calico 3.7 keeps of a resource, without its revision."""
    return format_object(_plain(resource))


def format_object(data: Mapping[str, Any]) -> bytes:
    """An object's text as Calico's own writer spells it: no blanks, `<`, `>` and `&` escaped (Go's encoding/json)."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text.encode()


def _plain(resource: Resource) -> dict[str, Any]:
    match resource:
        case IPAMBlock(spec=spec):
            return {
                "cidr": str(spec.cidr),
                "affinity": spec.affinity,
                "strictAffinity": spec.strict_affinity,
                "allocations": list(spec.allocations),
                "unallocated": list(spec.unallocated),
                "attributes": [
                    {"handle_id": attribute.handle_id, "secondary": dict(attribute.secondary)}
                    for attribute in spec.attributes
                ],
                "deleted": spec.deleted,
            }
        case BlockAffinity(spec=spec):
            return {"state": spec.state, "deleted": spec.deleted == "true"}
        case IPAMHandle(spec=spec):
            return {"block": dict(spec.block), "deleted": False}
        case IPAMConfig(spec=spec):
            return {
                name: True
                for name, value in (
                    ("strict_affinity", spec.strict_affinity),
                    ("auto_allocate_blocks", spec.auto_allocate_blocks),
                )
                if value
            }
        case _:
            kind = type(resource).__name__
            data = plain_resource(replace(resource, metadata=replace(resource.metadata, resource_version="")))
            metadata = data["metadata"] | {"name": stored_name(kind, resource.metadata.name)}
            metadata.setdefault("creationTimestamp", None)
            metadata = {name: metadata[name] for name in _METADATA if name in metadata}
            spec_data: dict[str, Any] = data.get("spec") or plain_value(resource.spec)
            return data | {"metadata": metadata, "spec": spec_data}
