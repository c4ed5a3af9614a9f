"""Who talks to whom: stations in order, and every way by which one can be reached."""

from __future__ import annotations

from tests.unit.lab import laboratory
from tortie.lab.station import Kind, stations_of, targets_of
from tortie.lab.topology import parse_topology
from tortie.lab.up import pod_namespace

TOPOLOGY = laboratory.topology()
STATIONS = stations_of(TOPOLOGY, laboratory.attached(TOPOLOGY))


def test_pods_come_first_then_nodes_then_hosts() -> None:
    assert [(one.name, one.kind, str(one.address), one.node, one.network) for one in STATIONS] == [
        ("shop/web", Kind.POD, "10.65.0.1", "n1", ""),
        ("shop/near", Kind.POD, "10.65.0.2", "n1", ""),
        ("shop/far", Kind.POD, "10.65.1.1", "n2", ""),
        ("n1", Kind.NODE, "10.10.0.1", "n1", "fabric"),
        ("n2", Kind.NODE, "10.10.0.2", "n2", "fabric"),
        ("office", Kind.HOST, "192.0.2.7", "", "outside"),
    ]


def test_no_two_stations_share_a_namespace() -> None:
    text = laboratory.TOPOLOGY.replace("{name: near, namespace: shop,", "{name: web, namespace: shop-x,")
    text = text.replace("{name: far, namespace: shop,", "{name: x-web, namespace: shop,")
    found = parse_topology(text, "lab.yaml")
    names = [pod_namespace(pod) for pod in found.all_pods] + [node.name for node in found.nodes]
    assert len(set(names)) == len(names)


def test_everybody_is_a_target_by_every_probe() -> None:
    targets = list(targets_of(TOPOLOGY, STATIONS))
    plain = {(one.name, str(one.probe)) for one in targets if one.name in {station.name for station in STATIONS}}
    assert len(plain) == len(STATIONS) * 2


def test_a_floating_address_leads_to_its_pod() -> None:
    found = [one for one in targets_of(TOPOLOGY, STATIONS) if "(" in one.name]
    assert [(one.name, str(one.address), one.behind.name, str(one.probe), one.via) for one in found] == [
        ("shop/web (10.67.0.10)", "10.67.0.10", "shop/web", "tcp/80", ""),
        ("shop/web (10.67.0.10)", "10.67.0.10", "shop/web", "icmp", ""),
    ]


def test_a_service_is_at_every_node() -> None:
    found = [one for one in targets_of(TOPOLOGY, STATIONS) if "@" in one.name]
    assert [(one.name, str(one.address), str(one.probe), one.behind.name, one.port, one.via) for one in found] == [
        ("web@n1", "10.10.0.1", "tcp/30080", "shop/web", 80, "n1"),
        ("web@n2", "10.10.0.2", "tcp/30080", "shop/web", 80, "n2"),
    ]
