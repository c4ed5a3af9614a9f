"""The tables of a view, and what is told of them."""

from __future__ import annotations

from tests.calc_builder import host_endpoint, workload
from tortie.calc.change import Changes, MemberChange
from tortie.calc.endpoint import Tiers, workload_id
from tortie.calc.in_force import InForce
from tortie.calc.ordered import Ordered
from tortie.calc.tunnel import NetworkKey, network_key
from tortie.calc.view import EndpointTier, IPPool, VxlanRoute
from tortie.net.address import parse_prefix

TIERS = Tiers(normal=(EndpointTier(("p",)),), forward=(EndpointTier(("q",)),))


def take(tables: InForce) -> Changes:
    return tables.take_changes({}, Ordered[NetworkKey, VxlanRoute](), frozenset())


def test_endpoints_are_told_by_what_they_are_known_by() -> None:
    tables, pod, host = InForce(), workload("a"), host_endpoint("h")
    tables.set_endpoint(pod, TIERS)
    tables.set_endpoint(host, TIERS)
    assert take(tables) == Changes(workloads=frozenset({workload_id(pod)}), host_endpoints=frozenset({"h"}))
    assert [one.tiers for one in tables.workloads.values()] == [TIERS.normal]
    assert [one.forward_tiers for one in tables.host_endpoints.values()] == [TIERS.forward]
    tables.set_endpoint(pod, TIERS)
    assert not take(tables)
    tables.set_endpoint(pod, None)
    assert take(tables) == Changes(workloads=frozenset({workload_id(pod)}))


def test_pools_and_routes_are_told_by_their_networks() -> None:
    tables, net = InForce(), parse_prefix("fd00::/48")
    tables.pools.set(network_key(net), IPPool(net))
    assert take(tables) == Changes(pools=frozenset({net}))


def test_what_others_found_is_told_with_it() -> None:
    sets = {"s:x": MemberChange(frozenset({1}))}
    changes = InForce().take_changes(sets, Ordered[NetworkKey, VxlanRoute](), frozenset({"A"}))
    assert changes == Changes(ip_sets=sets, config=frozenset({"A"}))
