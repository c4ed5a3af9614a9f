"""Plans for a node's network: one leads there, a second has nothing to do, and what is not ours stays as it was."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.contract.network import MAC, NOTHING, OTHER_MAC
from tests.examples import examples
from tests.fakes.network import FakeNetwork
from tortie.kernel.network import Network
from tortie.net.address import Address, IPFamily, Prefix
from tortie.reconcile.network import (
    DeviceRoute,
    ForgetConnections,
    ForwardingEntry,
    StaticNeighbour,
    VxlanDevice,
    WantedNetwork,
    plan_network,
)

DEVICES = ("cali1", "cali2", "cali3")
hosts = st.builds(lambda last: Prefix(IPFamily.V4, 0x0A410000 + last, 32), st.integers(1, 6))
hosts |= st.builds(lambda last: Prefix(IPFamily.V6, (0xFD << 120) + last, 128), st.integers(1, 3))
nodes = st.integers(2, 5)


def _address(value: int) -> Address:
    return Address(IPFamily.V4, value)


@st.composite
def wanted_networks(draw: st.DrawFn) -> WantedNetwork:
    owners = draw(st.dictionaries(hosts, st.sampled_from(DEVICES), max_size=6))
    routes = [DeviceRoute(prefix, device) for prefix, device in owners.items()]
    neighbours = [
        StaticNeighbour(device, Address(IPFamily.V4, prefix.address), MAC)
        for prefix, device in owners.items()
        if prefix.family is IPFamily.V4
    ]
    if draw(st.booleans()):
        return replace(NOTHING, routes=tuple(routes), neighbours=tuple(neighbours), keeps_vxlan=draw(st.booleans()))
    name, own = NOTHING.vxlan_name, _address(0x0A420000)
    vni, mtu = draw(st.integers(1, 2)), draw(st.integers(1400, 1401))
    for number in sorted(draw(st.sets(nodes))):
        block = Prefix(IPFamily.V4, 0x0A430000 + (number << 8), 24)
        routes.append(DeviceRoute(block, name, _address(own.value + number)))
        neighbours.append(StaticNeighbour(name, _address(own.value + number), OTHER_MAC))
    entries = (ForwardingEntry(name, OTHER_MAC, _address(0x0A140000 + number)) for number in draw(st.sets(nodes)))
    return replace(
        NOTHING,
        vxlan=VxlanDevice(name, vni, 4789, mtu, MAC, "eth0", _address(0x0A140001), own),
        keeps_vxlan=True,
        routes=tuple(routes),
        neighbours=tuple(neighbours),
        forwarding=tuple(sorted(entries, key=lambda entry: entry.remote.value)),
    )


FOREIGN = Prefix(IPFamily.V4, 0x0A630000, 16)


def _fake(folder: str) -> FakeNetwork:
    made = FakeNetwork(Path(folder))
    made.add_link("eth0", "10.20.0.1/24")
    for device in DEVICES:
        made.add_link(device)
    made.routes[FOREIGN] = {"dst": "10.99.0.0/16", "dev": "eth0", "scope": "0", "flags": []}
    return made


def _bring(fake: FakeNetwork, wanted: WantedNetwork, before: frozenset[Address] = frozenset()) -> int:
    network = Network(fake, fake.sysctls)
    plan = plan_network(wanted, network.read(wanted), before)
    assert network.carry_out(plan.steps) == ()
    assert plan_network(wanted, network.read(wanted)).steps == ()
    return len([step for step in plan.steps if not isinstance(step, ForgetConnections)])


def _state(fake: FakeNetwork) -> object:
    links = {name: (link.mtu, link.mac, link.addresses, link.info) for name, link in fake.links.items()}
    # The kernel keeps permanent neighbours of workloads' interfaces until those go; they are only ever added to.
    tunnel = {key: mac for key, mac in fake.neighbours.items() if key[0] == NOTHING.vxlan_name}
    return links, fake.routes, tunnel, fake.forwarding


@examples(25)
@given(st.lists(wanted_networks(), min_size=1, max_size=3), st.sampled_from(DEVICES))
def test_the_way_does_not_count_and_the_second_plan_is_empty(wanted: list[WantedNetwork], flapping: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        one, other = _fake(f"{folder}/1"), _fake(f"{folder}/2")
        for each in wanted:
            _bring(one, each)
            one.remove_link(flapping)
            one.add_link(flapping)
            _bring(one, each)
        assert one.routes[FOREIGN]["dev"] == "eth0"
        if wanted[-1].vxlan is None and wanted[-1].keeps_vxlan:
            return  # a tunnel that is kept is whatever it was before
        _bring(other, wanted[-1])
        assert _state(one) == _state(other)


@examples(25)
@given(wanted_networks(), wanted_networks())
def test_who_left_is_forgotten_and_who_stays_is_not(first: WantedNetwork, second: WantedNetwork) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fake = _fake(folder)
        _bring(fake, first)
        fake.forgotten.clear()
        _bring(fake, second)
    homes = [{r.destination: r.device for r in one.routes if one.owns(r.device)} for one in (first, second)]
    left = {str(Address(d.family, d.address)) for d, device in homes[0].items() if homes[1].get(d) != device}
    assert {line.split()[1] for line in fake.forgotten} == left
