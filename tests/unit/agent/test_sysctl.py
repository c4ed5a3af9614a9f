"""Settings of interfaces (spec: model 7.2)."""

from __future__ import annotations

import pytest

from tortie.agent.sysctl import loose_source_check, node_settings, workload_settings
from tortie.net.address import IPFamily
from tortie.reconcile.network import Setting


def test_a_workloads_interface_in_the_order_of_writing() -> None:
    settings = workload_settings(["cali1"], (IPFamily.V4, IPFamily.V6))
    assert [f"{setting.path} {setting.value}" for setting in settings] == [
        "net/ipv4/conf/cali1/rp_filter 1",
        "net/ipv4/conf/cali1/route_localnet 1",
        "net/ipv4/neigh/cali1/proxy_delay 0",
        "net/ipv4/conf/cali1/proxy_arp 1",
        "net/ipv4/conf/cali1/forwarding 1",
        "net/ipv6/conf/cali1/proxy_ndp 1",
        "net/ipv6/conf/cali1/forwarding 1",
    ]
    assert {setting.device for setting in settings} == {"cali1"}


def test_without_ipv6_its_settings_are_let_alone() -> None:
    assert not [s for s in workload_settings(["cali1"], (IPFamily.V4,)) if "ipv6" in s.path]


def test_what_interfaces_start_with() -> None:
    assert node_settings() == (Setting("net/ipv4/conf/default/rp_filter", "1"),)


@pytest.mark.parametrize(
    ("value", "ignore", "loose"),
    [("0", False, False), ("1", False, False), ("2", False, True), ("2", True, False), (None, False, False)],
)
def test_a_loose_check_for_all_interfaces_is_a_problem(value: str | None, ignore: bool, loose: bool) -> None:
    assert (loose_source_check(value, ignore=ignore) is not None) is loose
