"""What is written of a resource reads as that resource, whatever it is: as a document, and as a value of etcd."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.strategies.selector import trees
from tortie.model.document import parse_documents
from tortie.model.felix_configuration import FelixConfiguration, FelixConfigurationSpec, ProtocolPort
from tortie.model.metadata import Metadata
from tortie.model.policy import NetworkPolicy, NetworkPolicySpec
from tortie.model.read import key_of
from tortie.model.resource import ReadOptions, Resource, read_resource
from tortie.model.rule import Action, EntityRule, HttpMatch, HttpPath, IcmpMatch, PolicyRule, ServiceAccountMatch
from tortie.model.scalar import NamedPort, PortRange, read_duration
from tortie.model.writer import format_duration, plain_resource
from tortie.net.address import IPFamily, Prefix
from tortie.selector.canonical import format_selector
from tortie.source.etcd_key import resource_key
from tortie.source.etcd_value import format_value, parse_value

names = st.from_regex(r"[a-z]([a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True)
selectors = st.one_of(st.just(""), trees.map(format_selector))
ports = st.one_of(
    st.tuples(st.integers(1, 65535), st.integers(1, 65535)).map(lambda pair: PortRange(min(pair), max(pair))),
    st.sampled_from(("web", "db-1")).map(NamedPort),
)
nets = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
    lambda pair: Prefix(IPFamily.V4, pair[0], pair[1]).network
)


def tuples(of: st.SearchStrategy[object], most: int = 2) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(of, max_size=most, unique=True).map(tuple)


entities = st.builds(
    EntityRule,
    nets=tuples(nets),
    not_nets=tuples(nets),
    selector=selectors,
    namespace_selector=selectors,
    not_selector=selectors,
    ports=tuples(ports),
    not_ports=tuples(ports),
    service_accounts=st.none() | st.builds(ServiceAccountMatch, tuples(names), selectors),
)
rules = st.one_of(
    st.builds(
        PolicyRule,
        action=st.sampled_from(Action),
        protocol=st.sampled_from(("TCP", "UDP", 6)),
        not_protocol=st.none() | st.integers(1, 255),
        ip_version=st.none() | st.just(IPFamily.V4),
        source=entities,
        destination=entities,
    ),
    st.builds(
        PolicyRule,
        action=st.just(Action.DENY),
        protocol=st.just("ICMP"),
        icmp=st.none() | st.builds(IcmpMatch, st.integers(0, 254), st.none() | st.integers(0, 255)),
        not_icmp=st.none() | st.builds(IcmpMatch, st.integers(0, 254)),
    ),
    st.builds(
        PolicyRule,
        action=st.just(Action.ALLOW),
        http=st.builds(HttpMatch, tuples(st.sampled_from(("GET", "PUT"))), st.just((HttpPath(prefix="/a"),))),
    ),
)
labels = st.dictionaries(st.sampled_from(("a", "example.org/b")), st.sampled_from(("", "x", "1", "true")), max_size=2)
policies = st.builds(
    NetworkPolicy,
    st.builds(Metadata, name=names, namespace=names, labels=labels, annotations=labels),
    st.builds(
        NetworkPolicySpec,
        order=st.none() | st.floats(-1e6, 1e6).map(lambda number: number + 0.0),
        ingress=tuples(rules),
        egress=tuples(rules.filter(lambda rule: rule.http is None)),
        selector=selectors,
    ),
).map(NetworkPolicy.with_defaults)
switches, numbers = st.none() | st.booleans(), st.none() | st.integers(0, 2**31)
durations = st.none() | st.integers(0, 10**15)
configurations = st.builds(
    FelixConfiguration,
    st.builds(Metadata, name=st.sampled_from(("default", "node.a"))),
    st.builds(
        FelixConfigurationSpec,
        ipv6_support=switches,
        route_refresh_interval=durations,
        xdp_refresh_interval=durations,
        max_ipset_size=numbers,
        vxlan_vni=numbers,
        interface_prefix=names,
        default_endpoint_to_host_action=st.sampled_from(("", "Drop", "Return")),
        failsafe_inbound_host_ports=st.none() | tuples(st.builds(ProtocolPort, st.just("tcp"), st.integers(0, 65535))),
        kube_node_port_ranges=st.none() | tuples(st.integers(1, 65535).map(lambda port: PortRange(port, port))),
        nat_port_range=st.none() | ports,
    ),
)
resources: st.SearchStrategy[Resource] = st.one_of(policies, configurations)


@given(resources)
def test_there_and_back_as_a_document(resource: Resource) -> None:
    (document,) = parse_documents(json.dumps(plain_resource(resource)))
    assert read_resource(document.data, ReadOptions()) == resource


@given(resources)
def test_there_and_back_through_etcd(resource: Resource) -> None:
    assert parse_value(resource_key(key_of(resource)), format_value(resource)) == resource


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_durations_there_and_back(nanoseconds: int) -> None:
    assert read_duration(format_duration(nanoseconds)) == nanoseconds
