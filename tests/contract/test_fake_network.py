"""The fake network passes the suite of the real one; and where the real kernel here has no IPIP, the fake has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract.network import NOTHING, NetworkContract
from tests.fakes.network import FakeNetwork
from tortie.kernel.network import Network
from tortie.net.address import parse_address
from tortie.reconcile.network import IpipDevice


@pytest.fixture
def fake(tmp_path: Path) -> FakeNetwork:
    made = FakeNetwork(tmp_path)
    made.add_link("eth0", "10.20.0.1/24")
    made.add_link("cali1")
    made.add_link("cali2")
    return made


@pytest.fixture
def network(fake: FakeNetwork) -> Network:
    return Network(fake, fake.sysctls)


@pytest.fixture
def set_link(fake: FakeNetwork) -> Callable[[str, bool], None]:
    return fake.set_up


class TestFakeNetwork(NetworkContract):
    pass


def test_ipip_where_the_kernel_has_it(fake: FakeNetwork, network: Network) -> None:
    fake.modules |= {"ipip"}
    wanted = replace(NOTHING, ipip=IpipDevice("tunl0", 1440, parse_address("10.65.0.5")))
    NetworkContract.settle(network, wanted)
    link = network.read(wanted).links["tunl0"]
    assert (link.mtu, link.up, [str(one.prefix) for one in link.addresses]) == (1440, True, ["10.65.0.5/32"])
    NetworkContract.settle(network, replace(NOTHING, ipip=IpipDevice("tunl0", 1440)))
    assert not network.read(NOTHING).links["tunl0"].addresses
