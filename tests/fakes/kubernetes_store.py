"""What an API server of Kubernetes keeps: objects in versions, and the history of changes that watches are told from.

As documented in "Kubernetes API concepts": one counter of versions for all kinds, optimistic locking by resourceVersion,
lists in pages of one state, watches from a version on, and history that ends somewhere.
"""

from __future__ import annotations

import copy
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of objects; built-in kinds leave their type out in lists."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def built_in(self) -> bool:
        return self.group in ("", "networking.k8s.io")


CRD_GROUP = "crd.projectcalico.org"
KINDS = (
    Kind("", "v1", "namespaces", "Namespace", False),
    Kind("", "v1", "nodes", "Node", False),
    Kind("", "v1", "pods", "Pod", True),
    Kind("", "v1", "serviceaccounts", "ServiceAccount", True),
    Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", True),
    *(
        Kind(CRD_GROUP, "v1", plural, kind, plural in ("networkpolicies", "networksets"))
        for plural, kind in (
            ("bgpconfigurations", "BGPConfiguration"),
            ("bgppeers", "BGPPeer"),
            ("blockaffinities", "BlockAffinity"),
            ("clusterinformations", "ClusterInformation"),
            ("felixconfigurations", "FelixConfiguration"),
            ("globalnetworkpolicies", "GlobalNetworkPolicy"),
            ("globalnetworksets", "GlobalNetworkSet"),
            ("hostendpoints", "HostEndpoint"),
            ("ipamblocks", "IPAMBlock"),
            ("ipamconfigs", "IPAMConfig"),
            ("ipamhandles", "IPAMHandle"),
            ("ippools", "IPPool"),
            ("networkpolicies", "NetworkPolicy"),
            ("networksets", "NetworkSet"),
        )
    ),
)
"""What a cluster with Calico 3.7's definitions serves, as far as Calico reads it."""


class StatusError(Exception):
    """An answer that is a Status of failure."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": code,
        }


@dataclass(frozen=True, slots=True)
class Event:
    """A change, as history has it."""

    version: int
    kind: Kind
    type: str
    object: dict[str, Any]


class Store:
    """Objects by kind, namespace and name. Whoever watches is called with each change."""

    def __init__(self) -> None:
        self.version = 1000
        self.oldest = 1000
        """Watches from before this are gone."""
        self.objects: dict[Kind, dict[tuple[str, str], dict[str, Any]]] = {kind: {} for kind in KINDS}
        self.history: list[Event] = []
        self.listeners: list[Callable[[Event], None]] = []

    # --- writing -----------------------------------------------------------------------------------------------

    def create(self, kind: Kind, namespace: str, data: dict[str, Any]) -> dict[str, Any]:
        found = self._checked(kind, namespace, data)
        metadata = found["metadata"]
        if metadata.get("resourceVersion"):
            raise StatusError(400, "BadRequest", "resourceVersion should not be set on objects to be created")
        key = namespace, metadata["name"]
        if key in self.objects[kind]:
            raise StatusError(409, "AlreadyExists", f'{kind.plural} "{metadata["name"]}" already exists')
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": self._time(), "generation": 1}
        return self._record(kind, key, "ADDED", found)

    def replace(self, kind: Kind, namespace: str, name: str, data: dict[str, Any]) -> dict[str, Any]:
        before = self.get(kind, namespace, name)
        found = self._checked(kind, namespace, data)
        metadata = found["metadata"]
        if metadata["name"] != name:
            raise StatusError(400, "BadRequest", "the name of the object does not match the name on the URL")
        if metadata.get("resourceVersion") not in (None, "", before["metadata"]["resourceVersion"]):
            message = f'Operation cannot be fulfilled on {kind.plural} "{name}": the object has been modified'
            raise StatusError(409, "Conflict", message)
        kept = {field: before["metadata"][field] for field in ("uid", "creationTimestamp")}
        found["metadata"] = metadata | kept | {"resourceVersion": before["metadata"]["resourceVersion"]}
        if found == before:
            return before  # An update that changes nothing is no new version.
        return self._record(kind, (namespace, name), "MODIFIED", found)

    def delete(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        return self._record(kind, (namespace, name), "DELETED", copy.deepcopy(self.get(kind, namespace, name)))

    def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        try:
            return self.objects[kind][namespace, name]
        except KeyError:
            raise StatusError(404, "NotFound", f'{kind.plural} "{name}" not found') from None

    def compact(self) -> None:
        """Forgets history: no watch can begin before now."""
        self.oldest = self.version
        self.history = []

    def _checked(self, kind: Kind, namespace: str, data: dict[str, Any]) -> dict[str, Any]:
        found = copy.deepcopy(data)
        if (found.get("apiVersion"), found.get("kind")) != (kind.api_version, kind.kind):
            message = f"the API version in the data ({found.get('apiVersion')}) does not match the expected one"
            raise StatusError(400, "BadRequest", message)
        metadata = found.setdefault("metadata", {})
        name = metadata.get("name")
        if type(name) is not str or _NAME.fullmatch(name) is None:
            raise StatusError(422, "Invalid", f"metadata.name: Invalid value: {name!r}")
        if (metadata.get("namespace") or namespace) != namespace:
            raise StatusError(400, "BadRequest", "the namespace of the object does not match the namespace on the URL")
        if kind.namespaced:
            metadata["namespace"] = namespace
        if kind.built_in:
            _check_built_in(kind, found)
        return found

    def _record(self, kind: Kind, key: tuple[str, str], change: str, data: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        data["metadata"]["resourceVersion"] = str(self.version)
        if change == "DELETED":
            del self.objects[kind][key]
        else:
            self.objects[kind][key] = data
        event = Event(self.version, kind, change, data)
        self.history.append(event)
        for listener in list(self.listeners):
            listener(event)
        return data

    def _time(self) -> str:
        """Of creation, growing with the version."""
        return f"2026-01-01T{self.version // 3600 % 24:02d}:{self.version // 60 % 60:02d}:{self.version % 60:02d}Z"

    # --- reading -----------------------------------------------------------------------------------------------

    def list(self, kind: Kind, namespace: str) -> list[dict[str, Any]]:
        found = self.objects[kind]
        return [copy.deepcopy(found[key]) for key in sorted(found) if namespace in ("", key[0])]

    def since(self, version: int) -> list[Event]:
        """What happened after a version; raises for one that history no longer knows, or not yet."""
        if version < self.oldest:
            raise StatusError(410, "Expired", f"too old resource version: {version} ({self.oldest})")
        if version > self.version:
            raise StatusError(504, "Timeout", f"Too large resource version: {version}, current: {self.version}")
        return [event for event in self.history if event.version > version]


def _check_built_in(kind: Kind, data: dict[str, Any]) -> None:
    """Types of a few fields, which the server knows of its own kinds and not of custom ones."""
    fields: list[tuple[str, type]] = [("spec", dict), ("status", dict)]
    for field, expected in fields:
        if field in data and type(data[field]) is not expected:
            raise StatusError(400, "BadRequest", f"{kind.kind} in version {kind.version} cannot be handled: {field}")
    labels = data["metadata"].get("labels") or {}
    if any(type(value) is not str for value in labels.values()):
        raise StatusError(400, "BadRequest", f"{kind.kind} in version {kind.version} cannot be handled: labels")
