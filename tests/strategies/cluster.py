"""Drawn clusters over few names, labels and addresses, so that what is drawn meets; and changes of them, one at a time."""

from __future__ import annotations

from typing import TypeAlias

from hypothesis import strategies as st

from tests.calc_builder import HERE
from tests.strategies.selector import labels, trees
from tortie.model import v1
from tortie.model.read import Key
from tortie.model.scalar import PortRange
from tortie.net.address import Address, IPFamily, parse_address, parse_prefix

Update: TypeAlias = tuple[Key, v1.Value | None]

NODES = (HERE, "there", "third")
PROFILES = ("kns.a", "ksa.b", "plain")
PORTS = ("http", "dns")
ADDRESSES = tuple(map(parse_address, ("10.0.0.1", "10.0.0.2", "10.0.1.1", "fd00::1")))
NETWORKS = tuple(map(parse_prefix, ("10.0.0.0/24", "10.0.0.1/32", "0.0.0.0/0", "::/0", "fd00::/64")))
_addresses = st.lists(st.sampled_from(ADDRESSES), max_size=2, unique=True).map(tuple)
_networks = st.lists(st.sampled_from(NETWORKS), max_size=2, unique=True).map(tuple)
_profiles = st.lists(st.sampled_from(PROFILES), max_size=3).map(tuple)
_endpoint_ports = st.lists(
    st.builds(v1.EndpointPort, st.sampled_from(PORTS), st.sampled_from(("tcp", "udp")), st.sampled_from((80, 53))),
    max_size=2,
).map(tuple)
_good_labels = labels.map(lambda drawn: {key: value.replace("'", "") for key, value in drawn.items()})

_named_ports = st.lists(
    st.builds(v1.NamedPort, trees, st.sampled_from(("tcp", "udp")), st.sampled_from(PORTS)), max_size=1
).map(tuple)
_sides = st.builds(
    v1.RuleSide,
    nets=st.lists(st.sampled_from(NETWORKS), max_size=1).map(tuple),
    ports=st.lists(st.sampled_from((PortRange(80, 80), PortRange(1, 1024))), max_size=1).map(tuple),
    selector=st.none() | trees,
    named_ports=_named_ports,
    not_selector=st.none() | trees,
    not_named_ports=_named_ports,
)
rules = st.builds(
    v1.Rule,
    st.sampled_from(("allow", "deny", "log", "next-tier")),
    protocol=st.sampled_from(("tcp", "udp", "tcp", 17, None)),
    source=_sides,
    destination=st.just(v1.RuleSide()) | _sides,
)
_few_rules = st.lists(rules, max_size=2).map(tuple)

policies = st.sampled_from(("a", "default.b", "ns/c", "ns/d")).flatmap(
    lambda name: st.builds(
        v1.Policy,
        name=st.just(name),
        namespace=st.just("ns" if "/" in name else ""),
        order=st.sampled_from((None, 0.0, 10.0)),
        selector=trees,
        ingress=st.booleans(),
        egress=st.booleans(),
        inbound=_few_rules,
        outbound=_few_rules,
        untracked=st.booleans(),
        pre_dnat=st.booleans(),
        apply_on_forward=st.booleans(),
    )
)
profiles = st.builds(v1.Profile, st.sampled_from(PROFILES), labels, _few_rules, _few_rules)
workloads = st.builds(
    v1.Workload,
    node=st.sampled_from(NODES),
    orchestrator=st.just("k8s"),
    workload=st.sampled_from(("ns/a", "ns/b", "other/a")),
    endpoint=st.just("eth0"),
    interface=st.sampled_from(("cali1", "cali2", "")),
    labels=labels,
    profiles=_profiles,
    networks=_addresses.map(lambda drawn: tuple(parse_prefix(str(address)) for address in drawn)),
    ports=_endpoint_ports,
)
host_endpoints = st.builds(
    v1.HostEndpoint,
    node=st.sampled_from(NODES),
    name=st.sampled_from(("h", "i")),
    interface=st.sampled_from(("eth0", "*", "")),
    expected_addresses=_addresses,
    labels=_good_labels,
    profiles=_profiles,
    ports=_endpoint_ports,
)
network_sets = st.builds(v1.NetworkSet, st.sampled_from(("n", "ns/m")), _good_labels, _networks)
pools = st.builds(
    v1.Pool,
    st.sampled_from(tuple(map(parse_prefix, ("10.0.0.0/16", "10.0.0.0/24", "fd00::/48")))),
    vxlan_mode=st.sampled_from(("always", "")),
    masquerade=st.booleans(),
)
_tunnel_addresses = st.sampled_from((None, *map(parse_address, ("10.0.9.1", "10.0.9.2"))))
hosts = st.builds(
    v1.Host,
    st.sampled_from(NODES),
    st.sampled_from((None, *map(parse_address, ("172.16.0.1", "172.16.0.2")))),
    vxlan_address=_tunnel_addresses,
)
blocks = st.builds(
    v1.Block,
    st.sampled_from(tuple(map(parse_prefix, ("10.0.0.0/26", "10.0.1.0/26", "10.0.1.1/32")))),
    st.sampled_from((None, *NODES)),
    st.lists(
        st.tuples(st.sampled_from([Address(IPFamily.V4, one.value) for one in ADDRESSES[:3]]), st.sampled_from(NODES)),
        max_size=2,
        unique_by=lambda user: user[0],
    ).map(tuple),
)


def key_of_value(value: v1.Value) -> Key:
    """A key that tells a value from others of a cluster; endpoints may move to another node under theirs."""
    kind = type(value).__name__
    match value:
        case v1.Workload():
            return Key(kind, "", value.workload)
        case v1.Pool() | v1.Block():
            return Key(kind, "", str(value.cidr))
        case _:
            return Key(kind, "", value.name)


values: st.SearchStrategy[v1.Value] = st.one_of(
    policies, profiles, workloads, host_endpoints, network_sets, pools, hosts, blocks
)
updates: st.SearchStrategy[Update] = values.flatmap(
    lambda value: st.sampled_from(((key_of_value(value), value), (key_of_value(value), value), (key_of_value(value), None)))
)
