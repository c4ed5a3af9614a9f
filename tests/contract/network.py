"""What programming a node's network must do, whichever kernel it is: the suite that the fake and the real one both pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tortie.kernel.network import Network
from tortie.net.address import Address, IPFamily, parse_address, parse_prefix
from tortie.net.node import RouteType
from tortie.reconcile.network import (
    AddRoute,
    DeviceRoute,
    ForgetConnections,
    ForwardingEntry,
    IpipDevice,
    MakeIpip,
    NetworkPlan,
    Setting,
    StaticNeighbour,
    VxlanDevice,
    WantedNetwork,
    plan_network,
)

MAC = bytes.fromhex("66aabbccddee")
OTHER_MAC = bytes.fromhex("66aabbccdd01")


def host(text: str, device: str) -> DeviceRoute:
    return DeviceRoute(parse_prefix(text), device)


NOTHING = WantedNetwork(("cali",), "vxlan.calico")
PODS = replace(
    NOTHING,
    routes=(host("10.65.0.2/32", "cali1"), host("10.65.0.3/32", "cali2"), host("fd00:65::2/128", "cali1")),
    neighbours=(StaticNeighbour("cali1", parse_address("10.65.0.2"), MAC),),
    settings=(
        Setting("net/ipv4/conf/cali1/rp_filter", "1", "cali1"),
        Setting("net/ipv4/conf/cali1/proxy_arp", "1", "cali1"),
        Setting("net/ipv4/neigh/cali1/proxy_delay", "0", "cali1"),
        Setting("net/ipv6/conf/cali1/proxy_ndp", "1", "cali1"),
    ),
)
TUNNEL = replace(
    NOTHING,
    vxlan=VxlanDevice(
        "vxlan.calico", 4096, 4789, 1410, MAC, "eth0", parse_address("10.20.0.1"), parse_address("10.65.0.0")
    ),
    routes=(DeviceRoute(parse_prefix("10.65.1.0/26"), "vxlan.calico", parse_address("10.65.1.0")),),
    neighbours=(StaticNeighbour("vxlan.calico", parse_address("10.65.1.0"), OTHER_MAC),),
    forwarding=(ForwardingEntry("vxlan.calico", OTHER_MAC, parse_address("10.20.0.2")),),
)
IPIP = replace(NOTHING, ipip=IpipDevice("tunl0", 1440, parse_address("10.65.0.5")))


def routed(network: Network, wanted: WantedNetwork = NOTHING) -> set[tuple[str, str]]:
    """Destinations and devices of ours in the main table, those of the kernel's own left out."""
    held = network.read(wanted)
    return {
        (str(route.prefix), str(route.next_hops[0].dev))
        for route in held.routes
        if route.type is RouteType.UNICAST and route.protocol != "kernel"
    }


class NetworkContract:
    """Tests of `Network` and `plan_network`; a subclass has `network` with eth0 (10.20.0.1/24), cali1 and cali2, all up."""

    @staticmethod
    def settle(network: Network, wanted: WantedNetwork, before: frozenset[Address] = frozenset()) -> NetworkPlan:
        """Plans and carries out; nothing is refused, and nothing is left to do."""
        made = plan_network(wanted, network.read(wanted), before)
        assert network.carry_out(made.steps) == ()
        assert plan_network(wanted, network.read(wanted)).steps == ()
        return made

    def test_workloads_get_routes_neighbours_and_settings(self, network: Network) -> None:
        self.settle(network, PODS)
        assert routed(network) == {
            ("10.65.0.2/32", "cali1"), ("10.65.0.3/32", "cali2"), ("fd00:65::2/128", "cali1"),
        }  # fmt: skip
        held = network.read(PODS)
        assert {(n.dev, str(n.address), n.mac) for n in held.neighbours} == {("cali1", "10.65.0.2", MAC)}
        assert held.settings == {setting.path: setting.value for setting in PODS.settings}

    def test_an_address_that_moves_is_forgotten_in_between(self, network: Network) -> None:
        self.settle(network, PODS)
        moved = replace(PODS, routes=(host("10.65.0.2/32", "cali2"),), neighbours=())
        plan = self.settle(network, moved)
        assert ForgetConnections(parse_address("10.65.0.2")) in plan.forgetting
        assert routed(network) == {("10.65.0.2/32", "cali2")}

    def test_routes_of_new_devices_are_let_alone(self, network: Network) -> None:
        self.settle(network, PODS)
        self.settle(network, replace(NOTHING, new_devices=frozenset({"cali1"})))
        assert routed(network) == {("10.65.0.2/32", "cali1"), ("fd00:65::2/128", "cali1")}
        self.settle(network, NOTHING)
        assert routed(network) == set()

    def test_routes_by_other_devices_are_let_alone(self, network: Network) -> None:
        assert network.carry_out([AddRoute(host("10.99.0.0/24", "eth0"))]) == ()
        self.settle(network, PODS)
        self.settle(network, NOTHING)
        assert routed(network) == {("10.99.0.0/24", "eth0")}

    def test_a_destination_of_another_device_is_refused_and_the_rest_goes_on(self, network: Network) -> None:
        assert network.carry_out([AddRoute(host("10.65.0.2/32", "eth0"))]) == ()
        plan = plan_network(PODS, network.read(PODS))
        (failed,) = network.carry_out(plan.steps)
        assert failed.step == AddRoute(host("10.65.0.2/32", "cali1"))
        assert failed.message == "File exists"
        assert ("10.65.0.3/32", "cali2") in routed(network)

    def test_devices_that_are_down_are_passed_over(self, network: Network, set_link: Callable[[str, bool], None]) -> None:
        set_link("cali2", False)
        self.settle(network, PODS)
        assert ("10.65.0.3/32", "cali2") not in routed(network)
        set_link("cali2", True)
        self.settle(network, PODS)
        assert ("10.65.0.3/32", "cali2") in routed(network)

    def test_a_tunnel_with_all_that_belongs_to_it(self, network: Network) -> None:
        self.settle(network, TUNNEL)
        held = network.read(TUNNEL)
        link = held.links["vxlan.calico"]
        assert (link.mtu, link.mac, link.up) == (1410, MAC, True)
        assert [str(one.prefix) for one in link.addresses if one.prefix.family.value == 4] == ["10.65.0.0/32"]
        (route,) = [route for route in held.routes if route.prefix == parse_prefix("10.65.1.0/26")]
        assert (route.next_hops[0].gateway, route.next_hops[0].onlink) == (parse_address("10.65.1.0"), True)

    def test_a_tunnel_that_changes_loses_what_is_stale(self, network: Network) -> None:
        self.settle(network, TUNNEL)
        assert TUNNEL.vxlan is not None
        other = replace(
            TUNNEL,
            vxlan=replace(TUNNEL.vxlan, mtu=1400, address=parse_address("10.65.0.1"), mac=OTHER_MAC),
            routes=(),
            neighbours=(),
            forwarding=(),
        )
        self.settle(network, other)
        held = network.read(other)
        assert not held.forwarding and not [one for one in held.neighbours if one.dev == "vxlan.calico" and one.mac]
        assert (held.links["vxlan.calico"].mtu, held.links["vxlan.calico"].mac) == (1400, OTHER_MAC)

    def test_a_tunnel_with_another_number_is_made_anew(self, network: Network) -> None:
        self.settle(network, TUNNEL)
        assert TUNNEL.vxlan is not None
        before = network.read(TUNNEL).links["vxlan.calico"].index
        other = replace(TUNNEL, vxlan=replace(TUNNEL.vxlan, vni=4097))
        self.settle(network, other)
        held = network.read(other)
        assert held.links["vxlan.calico"].index != before
        assert held.vxlan is not None and held.vxlan.vni == 4097

    def test_a_tunnel_that_is_not_wanted_goes_unless_it_is_kept(self, network: Network) -> None:
        self.settle(network, TUNNEL)
        self.settle(network, replace(NOTHING, keeps_vxlan=True))
        assert "vxlan.calico" in network.read(NOTHING).links
        self.settle(network, NOTHING)
        assert "vxlan.calico" not in network.read(NOTHING).links

    @pytest.mark.parametrize("path", ["net/ipv4/conf/cali9/rp_filter", "net/ipv4/conf/cali1/none"])
    def test_a_setting_that_is_not_there_is_a_failure(self, network: Network, path: str) -> None:
        wanted = replace(NOTHING, settings=(Setting(path, "1"),))
        (failed,) = network.carry_out(plan_network(wanted, network.read(wanted)).steps)
        assert failed.message == "No such file or directory"


class IpipContract:
    """Tests over a kernel that has IPIP; `network` is as above."""

    def test_the_device_with_its_only_address(self, network: Network) -> None:
        NetworkContract.settle(network, IPIP)
        link = network.read(IPIP).links["tunl0"]
        addresses = [str(one.prefix) for one in link.addresses if one.prefix.family is IPFamily.V4]
        assert (link.mtu, link.up, addresses) == (1440, True, ["10.65.0.5/32"])

    def test_a_device_that_loading_the_module_made_is_no_failure(self, network: Network) -> None:
        """Whoever asks for the first device of the kind finds that it is there (ip_tunnel_init_net in ip_tunnel.c)."""
        device = IpipDevice("tunl0", 1440)
        assert network.carry_out([MakeIpip(device)]) == network.carry_out([MakeIpip(device)]) == ()

    def test_address_and_mtu_follow(self, network: Network) -> None:
        NetworkContract.settle(network, IPIP)
        other = replace(NOTHING, ipip=IpipDevice("tunl0", 1400, parse_address("10.65.0.6")))
        NetworkContract.settle(network, other)
        link = network.read(other).links["tunl0"]
        assert (link.mtu, [str(one.prefix) for one in link.addresses]) == (1400, ["10.65.0.6/32"])
        NetworkContract.settle(network, replace(NOTHING, ipip=IpipDevice("tunl0", 1400)))
        assert not network.read(NOTHING).links["tunl0"].addresses

    def test_it_is_let_alone_when_ipip_is_off(self, network: Network) -> None:
        NetworkContract.settle(network, IPIP)
        NetworkContract.settle(network, NOTHING)
        assert network.read(NOTHING).links["tunl0"].up


def refusal_without_ipip(network: Network) -> str:
    """What a kernel that has no IPIP is reported to have said."""
    failed = network.carry_out(plan_network(IPIP, network.read(IPIP)).steps)
    return failed[0].message if failed else ""
