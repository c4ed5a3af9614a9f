"""Resources of every kind, written and read again: as JSON, as YAML, and as the values that etcd keeps."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.strategies.every_kind import plain_resources
from tortie.model.document import parse_documents
from tortie.model.read import key_of
from tortie.model.resource import CALICO_VERSION, KINDS, STORED_VERSION, PassedOver, ReadOptions, Resource, read_resource
from tortie.model.writer import plain_resource
from tortie.model.yaml_writer import format_yaml
from tortie.net.error import InvalidInput
from tortie.source.etcd_key import PLURALS, resource_key
from tortie.source.etcd_value import format_value, parse_value

ENDPOINT = {"node": "n1", "orchestrator": "k8s", "pod": "p", "endpoint": "eth0", "interfaceName": "cali1"}


def read(plain: dict[str, Any]) -> Resource:
    resource = read_resource(plain, ReadOptions())
    assert not isinstance(resource, PassedOver)
    return resource


def without_what_is_refused(plain: dict[str, Any]) -> Resource:
    """The resource, with fields left out until it can be read: most draws say something that excludes something else."""
    spec = plain["spec"]
    if plain["kind"] == "WorkloadEndpoint":
        spec.update(ENDPOINT)
    for name in [*spec, None]:
        try:
            return read(plain)
        except InvalidInput:
            if name is not None and name not in ENDPOINT:
                spec.pop(name)
    assume(False)
    raise AssertionError


@pytest.mark.parametrize("kind", KINDS)
@settings(examples(25), suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(data=st.data())
def test_what_is_written_reads_as_it_was(kind: str, data: st.DataObject) -> None:
    resource = without_what_is_refused(data.draw(plain_resources(kind)))
    plain = plain_resource(resource, version=CALICO_VERSION if kind in PLURALS else STORED_VERSION)
    for text in (json.dumps(plain), format_yaml(plain)):
        (document,) = parse_documents(text)
        assert read(document.data) == resource
    if kind in PLURALS:
        kept = replace(resource, metadata=replace(resource.metadata, resource_version=""))
        assert parse_value(resource_key(key_of(resource)), format_value(resource)) == kept
