"""Resources of every kind, drawn from what their fields' annotations take.

A field that reads its own way is drawn from the samples that its reader accepts, so that a new field needs nothing here;
one that accepts none of them fails the strategy. What fields may not say together is left to the caller to throw away.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from tortie.model.metadata import Metadata
from tortie.model.reader import Named, Reads, json_name
from tortie.model.resource import CALICO_VERSION, KINDS, STORED_VERSION, is_namespaced
from tortie.net.error import InvalidInput

_SAMPLES: tuple[Any, ...] = (
    "", "a", "node-1", "web", "eth0", "cali1+", "*", "abc123", "n", "true", "1.10",
    "10.0.0.0/24", "10.0.0.1", "10.0.0.1/32", "10.0.0.7/24", "fd00::1", "fd00::/64", "fd00::5/64", "ee:ee:ee:ee:ee:0f",
    "all()", "has(x) && y != 'z'", "90s", "1m30s", "1500ms", "0s", "TCP", "ICMP", "ICMPv6", "SCTP", "Always", "CrossSubnet",
    "Never", "Info", "Drop", "Accept", "Return", "80:90", "http", 0, 1, 4, 6, 8, 80, 65535, 64512, 4294967295, None,
)  # fmt: skip
_TEXTS = ("a", "x y", "true", "007", "<&>", "é", "k8s,bgp")
_KEYS = ("a", "example.org/b", "10.0.0.0/26")


def plain_resources(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """Objects of a kind, as JSON has them; some say what cannot be said together."""
    cls = KINDS[kind]
    stored = kind.startswith("IPAM") or kind == "BlockAffinity"
    return st.fixed_dictionaries(
        {
            "apiVersion": st.just(STORED_VERSION if stored else CALICO_VERSION),
            "kind": st.just(kind),
            "metadata": _metadata(cls),
            "spec": _struct(get_type_hints(cls, include_extras=True)["spec"]),
        }
    )


def _metadata(cls: type[Any]) -> st.SearchStrategy[dict[str, Any]]:
    names = {"name": st.sampled_from(("default", "a", "node-1"))}
    if cls.__name__ == "WorkloadEndpoint":
        names = {}
    inside = {"namespace": st.sampled_from(("default", "prod"))} if is_namespaced(cls) else {}
    labels = st.dictionaries(st.sampled_from(_KEYS[:2]), st.sampled_from(("", "x", "1", "true")), max_size=2)
    more = {
        "labels": labels,
        "annotations": st.dictionaries(st.sampled_from(_KEYS[:2]), st.sampled_from(_TEXTS), max_size=2),
        "uid": st.just("0-1"),
        "creationTimestamp": st.just("2019-05-01T12:00:00Z"),
        "generateName": st.just("g-"),
    }
    assert more.keys() <= {json_name(field.name) for field in fields(Metadata)}
    return st.fixed_dictionaries(names | inside, optional=more)


@cache
def _struct(cls: type[Any]) -> st.SearchStrategy[dict[str, Any]]:
    hints = get_type_hints(cls, include_extras=True)
    needed: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for field in fields(cls):
        hint = hints[field.name]
        extras = hint.__metadata__ if get_origin(hint) is Annotated else ()
        name = next((extra.name for extra in extras if isinstance(extra, Named)), None) or json_name(field.name)
        must = field.default is MISSING and field.default_factory is MISSING
        (needed if must else optional)[name] = _of(hint)
    return st.fixed_dictionaries(needed, optional=optional)


def _of(hint: Any) -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        parse = next((extra.parse for extra in hint.__metadata__ if isinstance(extra, Reads)), None)
        return _of(arguments[0]) if parse is None else st.sampled_from(_accepted(parse))
    if origin in (Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return _of(inner)
    if origin is tuple:
        return st.lists(_of(arguments[0]), max_size=2)
    if origin is Mapping:
        return st.dictionaries(st.sampled_from(_KEYS), _of(arguments[1]), max_size=2)
    if is_dataclass(hint):
        assert isinstance(hint, type)
        return _struct(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from([member.value for member in hint])
    simple: dict[Any, st.SearchStrategy[Any]] = {
        str: st.sampled_from(_TEXTS),
        bool: st.booleans(),
        int: st.integers(-3, 2**31),
        float: st.floats(-1e6, 1e6),
    }
    return simple[hint]


def _accepted(parse: Any) -> list[Any]:
    """The samples that a field's reader takes."""
    found = []
    for sample in _SAMPLES:
        try:
            parse(sample)
        except InvalidInput:
            continue
        found.append(sample)
    assert found, parse
    return found
