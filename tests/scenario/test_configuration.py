"""Parameters: where they come from, which wins, what a change does and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenario.world import PROFILE, World, configuration, fake_node, resources, workload
from tortie.agent.command import Level
from tortie.agent.configuring import RESTART_CODE

WEB = workload("web", "cali1", "10.65.0.2")
OWN = configuration("{}").replace("name: default", "name: node.node-1")


def world_with(tmp_path: Path, **local: str) -> World:
    tools = fake_node(tmp_path)
    tools.network.add_link("cali1")
    return World(tools, local)


def own(fields: str) -> str:
    return configuration(fields).replace("name: default", "name: node.node-1")


@pytest.mark.parametrize(
    ("local", "given", "prefix"),
    [
        ({}, (), "calico-packet"),
        ({}, (configuration("logPrefix: cluster"),), "cluster"),
        ({}, (configuration("logPrefix: cluster"), own("logPrefix: node")), "node"),
        ({"LogPrefix": "here"}, (configuration("logPrefix: cluster"), own("logPrefix: node")), "here"),
    ],
    ids=["default", "cluster", "node over cluster", "local over node"],
)
def test_who_wins(tmp_path: Path, local: dict[str, str], given: tuple[str, ...], prefix: str) -> None:
    world = world_with(tmp_path, **local).sync(PROFILE, WEB, *given)
    assert world.state.config is not None
    assert world.state.config.log_prefix == prefix


def test_a_change_takes_effect_at_once_and_is_told(tmp_path: Path) -> None:
    world = world_with(tmp_path).sync(PROFILE, WEB)
    assert (world.chain("cali-wl-to-host") or [])[
        -1
    ] == '-m comment --comment "Configured DefaultEndpointToHostAction" -j DROP'
    world.tell(*resources(configuration("defaultEndpointToHostAction: Return"))).wait(0.3)
    assert (world.chain("cali-wl-to-host") or [])[-1].endswith("-j RETURN")
    assert "parameter DefaultEndpointToHostAction takes effect now" in world.told(Level.INFO)
    assert world.ended is None


def test_an_interval_that_was_never_begins_when_it_is_set(tmp_path: Path) -> None:
    world = world_with(tmp_path).sync(PROFILE, WEB, configuration("ipsetsRefreshInterval: 0s")).wait(200)
    world.tools.tables.kernel.ipset("del cali40this-host 10.20.0.1")
    world.tell(*resources(configuration("ipsetsRefreshInterval: 5s"))).wait(0.01)
    world.tools.tables.kernel.ipset("add cali40this-host 10.9.9.9")
    world.wait(20)
    held = {str(entry.parts[0]) for entry in world.tools.tables.kernel.ip_sets["cali40this-host"].entries}
    assert "10.20.0.1/32" in held and "10.9.9.9/32" not in held
    passes = len(world.passes)
    assert len(world.wait(60).passes) - passes >= 10


def test_a_parameter_that_needs_a_restart_says_so_and_gets_one(tmp_path: Path) -> None:
    world = world_with(tmp_path).sync(PROFILE, WEB, configuration("healthPort: 9099"))
    world.tell(*resources(configuration("healthPort: 9098")))
    assert "parameter HealthPort takes effect after a restart" in world.told(Level.INFO)
    assert world.ended is not None
    assert world.ended.code == RESTART_CODE == 129
    assert "HealthPort" in world.ended.why


def test_a_parameter_that_counts_for_nothing_says_so(tmp_path: Path) -> None:
    world = world_with(tmp_path).sync(PROFILE, WEB, configuration("xdpEnabled: true"))
    assert "parameter XDPEnabled has no effect in Tortie" in world.told(Level.INFO)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("LOGSEVERITYSCREN", " (did you mean LogSeverityScreen?)"),
        ("WireguardListeningPort", ""),
    ],
)
def test_a_parameter_that_nobody_knows_is_named_and_does_nothing(tmp_path: Path, name: str, words: str) -> None:
    world = world_with(tmp_path, **{name: "x"}).sync(PROFILE)
    assert f"parameter {name} is none of Felix 3.7 and has no effect{words}" in world.told(Level.WARNING)
    assert not [line for line in world.told(Level.INFO) if name in line]
    assert world.state.ready


def test_what_felix_knows_and_tortie_does_without_is_no_mistake(tmp_path: Path) -> None:
    world = world_with(tmp_path, TyphaK8sServiceName="calico-typha").sync(PROFILE)
    assert "parameter TyphaK8sServiceName has no effect in Tortie" in world.told(Level.INFO)
    assert not world.told(Level.WARNING)


def test_before_everything_was_told_no_restart_is_needed(tmp_path: Path) -> None:
    world = world_with(tmp_path).tell(*resources(configuration("healthPort: 9098"))).sync(PROFILE)
    assert world.ended is None
    assert world.state.settings.health_port == 9098


def test_a_local_parameter_hides_changes_in_the_datastore(tmp_path: Path) -> None:
    world = world_with(tmp_path, HealthPort="9000").sync(PROFILE, configuration("healthPort: 9098"))
    world.tell(*resources(configuration("healthPort: 9097"))).wait(1)
    assert world.ended is None
    assert world.state.settings.health_port == 9000


def test_a_value_that_felix_does_not_start_with_leaves_the_configuration_before(tmp_path: Path) -> None:
    world = world_with(tmp_path).sync(PROFILE, WEB, configuration("defaultEndpointToHostAction: Return"))
    bad = configuration("defaultEndpointToHostAction: Return").replace(
        "metadata: {name: default}",
        "metadata: {name: default, annotations: {config.projectcalico.org/InterfacePrefix: '!'}}",
    )
    world.tell(*resources(bad)).wait(1)
    assert world.state.config is not None
    assert world.state.config.interface_prefixes == ("cali",)
    assert any("the one before stays in force" in line for line in world.told(Level.ERROR))
    assert world.ended is None


def test_a_bad_local_value_that_felix_does_not_start_with_keeps_everything_as_it_is(tmp_path: Path) -> None:
    world = world_with(tmp_path, InterfacePrefix="!").sync(PROFILE, WEB).wait(60)
    assert world.passes == []
    assert "InterfacePrefix" in (world.statuses[-1].held_back or "")


def test_a_bad_value_of_another_parameter_is_replaced_by_its_default(tmp_path: Path) -> None:
    world = world_with(tmp_path, IpsetsRefreshInterval="often").sync(PROFILE)
    assert world.state.settings.ipsets_refresh_s == 10
    assert any("IpsetsRefreshInterval" in line for line in world.told(Level.WARNING))
    assert not any("takes effect" in line for line in world.told(Level.INFO)), "it does not"


def test_the_nodes_own_tunnel_address_is_a_parameter(tmp_path: Path) -> None:
    node = (
        "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {{name: {}}}\n"
        "spec: {{bgp: {{ipv4Address: 10.20.0.1/24, ipv4IPIPTunnelAddr: 10.65.0.5}}}}\n"
    )
    world = world_with(tmp_path)
    world.tools.network.modules |= {"ipip"}
    world.sync(PROFILE, configuration("ipipEnabled: true"), node.format("node-1"))
    assert world.tools.network.links["tunl0"].addresses == ["10.65.0.5/32"]
    assert "10.20.0.1/32" in {str(e.parts[0]) for e in world.tools.tables.kernel.ip_sets["cali40all-hosts-net"].entries}


def test_vxlan_between_two_nodes(tmp_path: Path) -> None:
    node = (
        "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {{name: node-{0}}}\n"
        "spec: {{bgp: {{ipv4Address: 10.20.0.{0}/24}}, ipv4VXLANTunnelAddr: 10.65.{0}.0}}\n"
    )
    pool = (
        "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: p}\n"
        "spec: {cidr: 10.65.0.0/16, vxlanMode: Always}\n"
    )
    world = world_with(tmp_path).sync(
        PROFILE, WEB, configuration("vxlanEnabled: true"), pool, node.format(1), node.format(2)
    )
    network = world.tools.network
    assert network.links["vxlan.calico"].addresses == ["10.65.1.0/32"]
    assert ("vxlan.calico", "10.65.2.0") in network.neighbours
    assert [(device, remote) for device, _, remote in network.forwarding] == [("vxlan.calico", "10.20.0.2")]
    world.tell(*resources(configuration("vxlanEnabled: false"))).wait(1)
    assert "vxlan.calico" not in network.links


LIVE = (
    "interfacePrefix: 'cali,tap'",
    "interfaceExclude: 'eth0'",
    "chainInsertMode: Append",
    "defaultEndpointToHostAction: Accept",
    "iptablesFilterAllowAction: Return",
    "iptablesMangleAllowAction: Return",
    "iptablesMarkMask: 0xff00",
    "maxIpsetSize: 4096",
    "logPrefix: other",
    "disableConntrackInvalidCheck: true",
    "failsafeInboundHostPorts: [{protocol: TCP, port: 2222}]",
    "failsafeOutboundHostPorts: []",
    "kubeNodePortRanges: ['1000:2000']",
    "natPortRange: '3000:4000'",
    "iptablesNATOutgoingInterfaceFilter: eth0",
    "vxlanEnabled: true",
    "externalNodesList: [10.9.0.0/16]",
    "metadataPort: 99",
)


@pytest.mark.parametrize("ipvs", [False, True], ids=["", "ipvs"])
@pytest.mark.parametrize("fields", LIVE)
def test_a_parameter_that_changes_leads_where_it_would_have_led_from_the_start(
    tmp_path: Path, fields: str, ipvs: bool
) -> None:
    held = []
    for name, changes in (("change", (configuration("logPrefix: one"), configuration(fields))), ("start", ())):
        tools = fake_node(tmp_path / name)
        for device in ("cali1", "kube-ipvs0") if ipvs else ("cali1",):
            tools.network.add_link(device)
        world = World(tools)
        for text in changes:
            world.sync(PROFILE, WEB, text)
        world.sync(PROFILE, WEB, configuration(fields)).wait(12)
        assert world.ended is None and not world.state.problems
        held.append((tools.tables.kernel.ip_sets, tools.tables.kernel.rulesets, world.routes()))
    assert held[0] == held[1]
