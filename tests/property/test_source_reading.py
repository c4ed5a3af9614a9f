"""Whatever places hold, sources make definitions of it and nothing else happens."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from tortie.model.event import Refused
from tortie.model.read import key_of
from tortie.model.resource import KINDS, ReadOptions
from tortie.net.error import InvalidInput
from tortie.source.etcd import PREFIXES, read_entry
from tortie.source.etcd_client import Entry
from tortie.source.etcd_key import IPAM_PLURALS, PLURALS, RESOURCES
from tortie.source.ledger import Ledger, Place
from tortie.source.reading import Definition, read_object, read_text

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
words = st.sampled_from((*KINDS, "Pod", "Namespace", "ServiceAccount", "Tier", "List", "PodList"))
versions = st.sampled_from(("projectcalico.org/v3", "crd.projectcalico.org/v1", "v1", "networking.k8s.io/v1"))
metadata = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(("a", "default.a", "n-k8s-a-eth0", "A_", "")) | plain,
        "namespace": plain,
        "labels": plain,
    },
)
objects = st.fixed_dictionaries(
    {}, optional={"apiVersion": versions | plain, "kind": words | plain, "metadata": metadata | plain, "spec": plain}
)
"""Objects that are nearly resources."""
keys = st.one_of(
    st.builds("{}{}".format, st.sampled_from(PREFIXES), st.text(max_size=20)),
    st.builds(
        f"{RESOURCES}{{}}/{{}}".format, st.sampled_from([*PLURALS.values(), *IPAM_PLURALS.values()]), st.text(max_size=9)
    ),
    st.sampled_from(
        (
            f"{RESOURCES}nodes/a",
            f"{RESOURCES}networkpolicies/ns/default.a",
            "/calico/ipam/v2/host/n/ipv4/block/10.0.0.0-26",
            "/calico/ipam/v2/assignment/ipv6/block/fd00::-122",
            "/calico/ipam/v2/config",
        )
    ),
)
values = st.one_of(st.binary(max_size=20), st.one_of(objects, plain).map(lambda data: json.dumps(data).encode()))


def check(definitions: tuple[Definition, ...]) -> None:
    """Definitions are whole, can be told, and can be shown."""
    for definition in definitions:
        if isinstance(definition.content, InvalidInput):
            assert definition.content.source
        else:
            assert definition.key == key_of(definition.content)
    ledger = Ledger()
    ledger.put("p", Place(definitions))
    for event in ledger.changes():
        if isinstance(event, Refused):
            str(event.problem).encode()
            str(event.key).encode()


@given(keys, values)
@example(f"{RESOURCES}nodes/a", b"[" * 100_000)
@example(f"{RESOURCES}nodes/a", b'{"a":' * 100_000)
def test_entries_of_etcd(key: str, value: bytes) -> None:
    check(tuple(read_entry(Entry(key, value, 1, 2, 1))))


@given(objects)
def test_objects_of_the_api(data: dict[str, Any]) -> None:
    check(read_object("p", data, ReadOptions()))


@given(st.lists(objects.map(json.dumps) | st.text(max_size=20), max_size=4).map("\n---\n".join))
def test_texts_of_files(text: str) -> None:
    check(tuple(read_text("p", text, ReadOptions())))
