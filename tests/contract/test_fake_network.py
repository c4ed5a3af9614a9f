"""The fake network passes the suite of the real one, with IPIP and without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.network import IpipContract, NetworkContract, refusal_without_ipip
from tests.fakes.network import FakeNetwork
from tortie.kernel.network import Network


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


class TestFakeIpip(IpipContract):
    @pytest.fixture(autouse=True)
    def ipip(self, fake: FakeNetwork) -> None:
        fake.modules |= {"ipip"}


def test_without_ipip_in_the_kernel_the_refusal_says_what_to_do(network: Network) -> None:
    assert "load it, or turn IpInIpEnabled off" in refusal_without_ipip(network)
