"""Real BIRDs on the configuration that is made of resources: who learns which route, and what survives a change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.bird_network import BIRD1, BIRD2, BirdNetwork, BirdNode, Version, wait_for_sessions, wait_until
from tests.unit.bgp.cluster import affinity, cluster, configuration, node, peer, pool
from tortie.kernel.bird import BirdChange
from tortie.kernel.refusal import KernelRefused
from tortie.model.read import Resources

NAMES = "abc"
CLUSTER = (
    *(node(name, f"ipv4Address: 10.0.0.{index}/24") for index, name in enumerate(NAMES, start=1)),
    pool("pods", "10.65.0.0/16"),
    *(affinity(name, f"10.65.{index}.0/26") for index, name in enumerate(NAMES, start=1)),
)


@pytest.fixture(params=[pytest.param(BIRD1, id="bird 1.6"), pytest.param(BIRD2, id="bird 2")])
def version(request: pytest.FixtureRequest) -> Version:
    found: Version = request.param
    if found.missing is not None:
        pytest.skip(found.missing)
    return found


@pytest.fixture
def network(tmp_path: Path) -> Iterator[BirdNetwork]:
    with BirdNetwork(tmp_path) as made:
        yield made


def _started(network: BirdNetwork, version: Version, resources: Resources, names: str = NAMES) -> list[BirdNode]:
    nodes = [network.add(name, f"10.0.0.{NAMES.index(name) + 1}/24", version=version) for name in names]
    for one in nodes:
        assert one.configure(resources) == BirdChange(written=True, reloaded=False)
        one.start()
    return nodes


def _wait_for_routes(one: BirdNode, *routes: str) -> None:
    wait_until(lambda: one.routes() == sorted(routes), lambda: (one.name, one.routes(), one.asked("show", "protocols")))


def test_every_node_of_a_mesh_learns_the_others_blocks_and_blackholes_its_own(
    network: BirdNetwork, version: Version
) -> None:
    first, second, third = _started(network, version, cluster(*CLUSTER))
    own, borrowed = "10.65.1.5", "10.65.2.9"
    for address in (own, borrowed):  # as the agent routes to workloads
        first.namespace.run(["ip", "route", "add", address, "dev", "lo", "scope", "link", "proto", "boot"])
    _wait_for_routes(
        first, "blackhole 10.65.1.0/26", "10.65.2.0/26 via 10.0.0.2 dev eth0", "10.65.3.0/26 via 10.0.0.3 dev eth0"
    )
    _wait_for_routes(
        third,
        "10.65.1.0/26 via 10.0.0.1 dev eth0",
        "10.65.2.0/26 via 10.0.0.2 dev eth0",
        f"{borrowed} via 10.0.0.1 dev eth0",  # in another node's block, so on its own; `own` is in the first node's
        "blackhole 10.65.3.0/26",
    )
    wait_for_sessions(second, "Mesh_10_0_0_1", "Mesh_10_0_0_3")


def test_a_route_reflector_takes_the_place_of_the_mesh(network: BirdNetwork, version: Version) -> None:
    reflector = node("c", "ipv4Address: 10.0.0.3/24, routeReflectorClusterID: 1.1.1.1", "reflector: 'yes'")
    rest = (*CLUSTER[:2], *CLUSTER[3:], configuration("default", "nodeToNodeMeshEnabled: false"))
    peering = peer("rr", "nodeSelector: '!has(reflector)'", "peerSelector: has(reflector)")
    first, second, _ = _started(network, version, cluster(reflector, *rest, peering))
    _wait_for_routes(
        first, "blackhole 10.65.1.0/26", "10.65.2.0/26 via 10.0.0.2 dev eth0", "10.65.3.0/26 via 10.0.0.3 dev eth0"
    )
    wait_for_sessions(second, "Node_10_0_0_3")


ROUTER = {
    BIRD2.main_file: """router id 10.0.0.254;
protocol device { }
protocol kernel { ipv4 { import none; export where source != RTS_DEVICE; }; }
protocol direct { ipv4; }
protocol static { ipv4; route 0.0.0.0/0 blackhole; }
template bgp rack { local 10.0.0.254 as 65000; ipv4 { import all; export where net = 0.0.0.0/0; }; connect retry time 2; }
protocol bgp a from rack { neighbor 10.0.0.1 as 64512; multihop; }
protocol bgp b from rack { neighbor 10.0.0.2 as 64512; multihop; }
"""
}


def test_a_router_of_another_as_gives_its_default_route_and_learns_the_blocks(
    network: BirdNetwork, version: Version
) -> None:
    if BIRD2.missing is not None:
        pytest.skip(BIRD2.missing)
    resources = cluster(*CLUSTER, peer("tor", "peerIP: 10.0.0.254", "asNumber: 65000"))
    first, second, _ = _started(network, version, resources)  # all, or recovery would wait four minutes for the third
    router = network.add("tor", "10.0.0.254/24", version=BIRD2)
    router.program(ROUTER)
    router.start()
    blocks = {
        "10.65.1.0/26",
        "10.65.2.0/26",
        "10.65.3.0/26",
    }  # each from all nodes, which tell each other's blocks too, as Calico's do
    wait_until(lambda: {route.split()[0] for route in router.routes() if " via 10.0.0." in route} == blocks, router.routes)
    _wait_for_routes(
        first,
        "blackhole 10.65.1.0/26",
        "10.65.2.0/26 via 10.0.0.2 dev eth0",
        "10.65.3.0/26 via 10.0.0.3 dev eth0",
        "default via 10.0.0.254 dev eth0",
    )
    wait_for_sessions(second, "Mesh_10_0_0_1", "Mesh_10_0_0_3", "Global_10_0_0_254")


def test_a_change_keeps_sessions_and_routes(network: BirdNetwork, version: Version) -> None:
    first, second, third = _started(network, version, cluster(*CLUSTER))
    for number, one in enumerate((first, second, third), 1):
        wait_for_sessions(one, *(f"Mesh_10_0_0_{other}" for other in (1, 2, 3) if other != number))
    before = first.established()
    more = cluster(*CLUSTER, affinity("a", "10.65.9.0/26"), pool("other", "10.66.0.0/24"))
    assert first.configure(more) == BirdChange(written=True, reloaded=True)
    _wait_for_routes(
        second,
        "10.65.1.0/26 via 10.0.0.1 dev eth0",
        "10.65.3.0/26 via 10.0.0.3 dev eth0",
        "10.65.9.0/26 via 10.0.0.1 dev eth0",
        "blackhole 10.65.2.0/26",
    )
    assert first.established() == before
    assert first.configure(more) == BirdChange(written=False, reloaded=False)


def test_routes_outlive_a_daemon_that_is_killed_and_comes_back(network: BirdNetwork, version: Version) -> None:
    first, second, _ = _started(network, version, cluster(*CLUSTER))
    learned = "10.65.1.0/26 via 10.0.0.1 dev eth0"
    wait_until(lambda: learned in second.routes(), second.routes)
    first.kill()
    assert learned in second.routes()
    first.start()
    wait_until(lambda: len(first.established()) == 2, lambda: first.asked("show", "protocols"))
    assert learned in second.routes()


def test_what_bird_refuses_is_named_and_changes_nothing(network: BirdNetwork, version: Version) -> None:
    (first,) = _started(network, version, cluster(*CLUSTER), "a")
    files = version.files(cluster(*CLUSTER), "a")
    before = {path.name: path.read_text() for path in first.folder.iterdir() if path.name in files}
    bad = files | {version.main_file: files[version.main_file] + "protocol bgp { neighbor nobody; }\n"}
    line = len(bad[version.main_file].splitlines())
    with pytest.raises(KernelRefused, match=rf"{version.main_file}:{line}: .*protocol bgp \{{ neighbor nobody; \}}"):
        first.program(bad)
    assert {path.name: path.read_text() for path in first.folder.iterdir() if path.name in files} == before


def test_files_are_written_for_a_daemon_that_left_its_socket_behind(network: BirdNetwork, version: Version) -> None:
    (first,) = _started(network, version, cluster(*CLUSTER), "a")
    wait_until((first.folder / "ctl").exists, lambda: "no control socket")
    first.kill()
    assert (first.folder / "ctl").exists()
    assert first.configure(cluster(*CLUSTER, pool("other", "10.66.0.0/24"))) == BirdChange(written=True, reloaded=False)
