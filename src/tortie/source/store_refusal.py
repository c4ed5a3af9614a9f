"""What a datastore of resources refuses, in the words of Calico 3.7's client (spec: model 1.3).

These are answers about one resource, not about the datastore: the next resource may well be written.
"""

from __future__ import annotations

from enum import Enum

from tortie.model.read import Key


class Why(Enum):
    """Why a resource was not read or written."""

    MISSING = "does not exist"
    EXISTS = "already exists"
    CONFLICT = "conflict"
    UNSUPPORTED = "not supported"


class StoreRefused(Exception):
    """A resource is not as the caller took it to be, or the operation is none for it; `str` has Calico's words."""

    def __init__(self, why: Why, key: Key, message: str) -> None:
        super().__init__(message)
        self.why = why
        self.key = key


def missing(key: Key, reason: str = "<nil>") -> StoreRefused:
    """There is no such resource. etcd gives no reason, which Calico's client shows as Go shows nothing."""
    return StoreRefused(Why.MISSING, key, f"resource does not exist: {key} with error: {reason}")


def exists(key: Key) -> StoreRefused:
    """There is such a resource already."""
    return StoreRefused(Why.EXISTS, key, f"resource already exists: {key}")


def conflict(key: Key) -> StoreRefused:
    """The resource is not what it was when it was read."""
    return StoreRefused(Why.CONFLICT, key, f"update conflict: {key}")


def unsupported(key: Key, operation: str, reason: str = "") -> StoreRefused:
    """The operation is none for this resource."""
    message = f"operation {operation} is not supported on {key}"
    return StoreRefused(Why.UNSUPPORTED, key, f"{message}: {reason}" if reason else message)
