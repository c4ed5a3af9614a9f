"""The real kernel passes the suite of the fake network, and forgets conversations of addresses that left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.contract.network import NetworkContract
from tests.kernel.oracle.namespace import Namespace
from tortie.kernel.network import FailedStep, Network
from tortie.kernel.run import run_tool
from tortie.net.address import parse_address
from tortie.net.node import Link
from tortie.reconcile.network import ForgetConnections, HeldNetwork, NetworkStep, WantedNetwork

LINKS = """\
link set lo up
link add eth0 type veth peer name eth0peer
link set eth0 up
link set eth0peer up
address add 10.20.0.1/24 dev eth0
link add cali1 type veth peer name peer1
link add cali2 type veth peer name peer2
link set cali1 up
link set peer1 up
link set cali2 up
link set peer2 up
"""


class NetworkInside(Network):
    """Reads and writes inside a namespace, settings too, which belong to whoever opens them."""

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(run_tool)
        self._namespace = namespace

    def links(self) -> tuple[Link, ...]:
        with self._namespace:
            return super().links()

    def read(self, wanted: WantedNetwork) -> HeldNetwork:
        with self._namespace:
            return super().read(wanted)

    def carry_out(self, steps: Sequence[NetworkStep]) -> tuple[FailedStep, ...]:
        with self._namespace:
            return super().carry_out(steps)


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    made = Namespace()
    made.run(["ip", "-batch", "-"], LINKS)
    yield made
    made.close()


@pytest.fixture
def network(namespace: Namespace) -> Network:
    return NetworkInside(namespace)


@pytest.fixture
def set_link(namespace: Namespace) -> Callable[[str, bool], None]:
    def set_link(name: str, up: bool) -> None:
        namespace.run(["ip", "link", "set", name, "up" if up else "down"])

    return set_link


class TestRealNetwork(NetworkContract):
    pass


def test_conversations_are_forgotten_in_both_directions(namespace: Namespace, network: Network) -> None:
    for source, destination in (("10.65.0.2", "10.9.9.9"), ("10.8.8.8", "10.65.0.2"), ("10.8.8.8", "10.65.0.3")):
        entry = ["-I", "-p", "tcp", "-s", source, "-d", destination, "--sport", "1000", "--dport", "80"]
        namespace.run(["conntrack", *entry, "--state", "ESTABLISHED", "-t", "600"])
    assert network.carry_out([ForgetConnections(parse_address("10.65.0.2"))]) == ()
    left = namespace.run(["conntrack", "-L"])
    assert "10.65.0.2" not in left and "10.65.0.3" in left
