"""What a node should have beside rules and sets: routes, neighbours, settings and tunnel devices, as values and their plan.

What is ours is told by looks: unicast routes of the main table by a device whose name starts with a prefix of ours, all
routes and permanent neighbours of the VXLAN device, and tunnel devices by their names (spec: model 7.1, 7.6, 7.7). Routes
are compared by destination alone: one that is there for a wanted destination is kept, whoever made it. Devices that are
missing or down are passed over; whoever plans is told when they come up, and plans again.

A plan is in four parts, to be carried out in that order. Settings come before rules that let traffic of a workload through
(its source addresses are checked by then), routes after them. Conversations of an address that left are forgotten before
the address may come back elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from tortie.net.address import Address, IPFamily, Prefix
from tortie.net.node import Link, Neighbour, Route, RouteType

LINK_LOCAL = Prefix(IPFamily.V6, 0xFE80 << 112, 64)
"""`fe80::/64`, which the kernel makes on every interface and which stays (spec: model 7.1)."""

# --- what is wanted ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeviceRoute:
    """A route of the main table: to what is on the link, or by a gateway that counts as on the link."""

    destination: Prefix
    device: str
    gateway: Address | None = None


@dataclass(frozen=True, slots=True)
class StaticNeighbour:
    """A permanent entry of the ARP or neighbour table."""

    device: str
    address: Address
    mac: bytes


@dataclass(frozen=True, slots=True)
class ForwardingEntry:
    """A permanent entry of a VXLAN device: frames to `mac` go to the node `remote`."""

    device: str
    mac: bytes
    remote: Address


@dataclass(frozen=True, slots=True)
class Setting:
    """A file below /proc/sys and what it should hold; one of a `device` is passed over while that is down."""

    path: str
    value: str
    device: str | None = None


@dataclass(frozen=True, slots=True)
class VxlanDevice:
    """A VXLAN device over `parent`, with its MTU in bytes and its one IPv4 address."""

    name: str
    vni: int
    port: int
    mtu: int
    mac: bytes
    parent: str
    local: Address
    address: Address


@dataclass(frozen=True, slots=True)
class IpipDevice:
    """The IPIP device with its MTU in bytes; without an `address` it has none."""

    name: str
    mtu: int
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class WantedNetwork:
    """All of ours. With `vxlan` None the device goes, unless `keeps_vxlan`: it is wanted, but not known well enough yet."""

    interface_prefixes: tuple[str, ...]
    vxlan_name: str
    routes: tuple[DeviceRoute, ...] = ()
    neighbours: tuple[StaticNeighbour, ...] = ()
    forwarding: tuple[ForwardingEntry, ...] = ()
    settings: tuple[Setting, ...] = ()
    vxlan: VxlanDevice | None = None
    keeps_vxlan: bool = False
    ipip: IpipDevice | None = None
    families: tuple[IPFamily, ...] = (IPFamily.V4, IPFamily.V6)
    new_devices: frozenset[str] = frozenset()
    """Devices seen only just now: what routes they have is let alone until their owner had time to tell."""

    def owns(self, device: str | None) -> bool:
        """True for a workload's interface."""
        return device is not None and device.startswith(self.interface_prefixes)


# --- what is held ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VxlanFacts:
    """What of a VXLAN device can only be changed by making it anew; `plain` is false with options that ours never has."""

    vni: int | None
    port: int | None
    parent: str | None
    local: Address | None
    plain: bool = True


@dataclass(frozen=True, slots=True)
class HeldNetwork:
    """What the kernel holds: devices by name, routes of the main table, permanent neighbours, settings that were asked."""

    links: Mapping[str, Link] = field(default_factory=dict)
    vxlan: VxlanFacts | None = None
    routes: tuple[Route, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    forwarding: frozenset[ForwardingEntry] = frozenset()
    settings: Mapping[str, str] = field(default_factory=dict)

    def is_up(self, device: str) -> bool:
        """True for a device that is there, up and connected."""
        link = self.links.get(device)
        return link is not None and link.up and link.carrier


# --- steps -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetSetting:
    """Writes a setting."""

    setting: Setting


@dataclass(frozen=True, slots=True)
class MakeVxlan:
    """Makes the device, not yet up."""

    device: VxlanDevice


@dataclass(frozen=True, slots=True)
class MakeIpip:
    """Makes the device, which the kernel does by itself when it loads the module."""

    device: IpipDevice


@dataclass(frozen=True, slots=True)
class DeleteDevice:
    """Removes a device with all its routes and neighbours."""

    device: str


@dataclass(frozen=True, slots=True)
class SetMtu:
    """Sets the largest packet, in bytes."""

    device: str
    mtu: int


@dataclass(frozen=True, slots=True)
class SetMac:
    """Sets the device's own hardware address."""

    device: str
    mac: bytes


@dataclass(frozen=True, slots=True)
class SetUp:
    """Brings a device up."""

    device: str


@dataclass(frozen=True, slots=True)
class AddAddress:
    """Gives a device an address."""

    device: str
    address: Prefix


@dataclass(frozen=True, slots=True)
class DeleteAddress:
    """Takes an address from a device."""

    device: str
    address: Prefix


@dataclass(frozen=True, slots=True)
class AddRoute:
    """Adds a route; the kernel refuses when another device has the destination."""

    route: DeviceRoute


@dataclass(frozen=True, slots=True)
class DeleteRoute:
    """Removes the route to a destination by a device."""

    destination: Prefix
    device: str


@dataclass(frozen=True, slots=True)
class SetNeighbour:
    """Adds or changes a permanent neighbour."""

    neighbour: StaticNeighbour


@dataclass(frozen=True, slots=True)
class DeleteNeighbour:
    """Removes a neighbour."""

    device: str
    address: Address


@dataclass(frozen=True, slots=True)
class AddForwarding:
    """Adds an entry of a VXLAN device."""

    entry: ForwardingEntry


@dataclass(frozen=True, slots=True)
class DeleteForwarding:
    """Removes an entry of a VXLAN device."""

    entry: ForwardingEntry


@dataclass(frozen=True, slots=True)
class ForgetConnections:
    """Removes what conntrack knows of conversations that an address began or answers."""

    address: Address


NetworkStep: TypeAlias = (
    SetSetting
    | MakeVxlan
    | MakeIpip
    | DeleteDevice
    | SetMtu
    | SetMac
    | SetUp
    | AddAddress
    | DeleteAddress
    | AddRoute
    | DeleteRoute
    | SetNeighbour
    | DeleteNeighbour
    | AddForwarding
    | DeleteForwarding
    | ForgetConnections
)
"""One change; readers end in `assert_never`."""


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """The parts of a plan: settings, then (rules may come in between) what goes, what is forgotten, what comes."""

    settings: tuple[NetworkStep, ...] = ()
    leaving: tuple[NetworkStep, ...] = ()
    forgetting: tuple[NetworkStep, ...] = ()
    arriving: tuple[NetworkStep, ...] = ()

    @property
    def steps(self) -> tuple[NetworkStep, ...]:
        """All of it in order."""
        return (*self.settings, *self.leaving, *self.forgetting, *self.arriving)


# --- the plan ----------------------------------------------------------------------------------------------------


def plan_network(wanted: WantedNetwork, held: HeldNetwork, routed_before: frozenset[Address] = frozenset()) -> NetworkPlan:
    """What turns the held state into the wanted one.

    `routed_before` are addresses that a former plan routed to workloads; those that are not wanted any more are forgotten,
    although their routes may have gone with their devices.
    """
    gone = tuple(_stale_routes(wanted, held))
    moved = {host_address(route.destination) for route in gone if wanted.owns(route.device)}
    spared = {host_address(prefix) for prefix, device in simple_routes(held.routes) if device in wanted.new_devices}
    left = routed_before - {host_address(route.destination) for route in wanted.routes} - spared
    forgotten = sorted((address for address in moved | left if address is not None), key=_address_order)
    return NetworkPlan(
        tuple(_settings(wanted, held)),
        (*gone, *_stale_neighbours(wanted, held), *_leaving_vxlan(wanted, held)),
        tuple(ForgetConnections(address) for address in forgotten),
        (*_vxlan(wanted, held), *_ipip(wanted, held), *_missing(wanted, held)),
    )


def host_address(prefix: Prefix) -> Address | None:
    """The address of a route to one host, None for a wider one."""
    return Address(prefix.family, prefix.address) if prefix.length == prefix.family.bits else None


def _address_order(address: Address) -> tuple[int, int]:
    return address.family.value, address.value


def _settings(wanted: WantedNetwork, held: HeldNetwork) -> Iterator[NetworkStep]:
    for setting in wanted.settings:
        if (setting.device is None or held.is_up(setting.device)) and held.settings.get(setting.path) != setting.value:
            yield SetSetting(setting)


def simple_routes(routes: Iterable[Route]) -> Iterator[tuple[Prefix, str]]:
    """Destination and device of the routes that can be ours: unicast, with one next hop, in the main table."""
    for route in routes:
        if route.table == "main" and route.type is RouteType.UNICAST and len(route.next_hops) == 1:
            device = route.next_hops[0].dev
            if device is not None:
                yield route.prefix, device


def _stale_routes(wanted: WantedNetwork, held: HeldNetwork) -> Iterator[DeleteRoute]:
    """Routes by our devices that nobody wants, or wants by another device."""
    expected = {(route.destination, route.device) for route in wanted.routes}
    for destination, device in simple_routes(held.routes):
        vxlan = device == wanted.vxlan_name and (wanted.vxlan is not None or not wanted.keeps_vxlan)
        if not (wanted.owns(device) or vxlan) or destination.family not in wanted.families:
            continue
        spared = destination == LINK_LOCAL or device in wanted.new_devices
        if (destination, device) not in expected and not spared:
            yield DeleteRoute(destination, device)


def _stale_neighbours(wanted: WantedNetwork, held: HeldNetwork) -> Iterator[NetworkStep]:
    """Only those of the VXLAN device are cleaned up (spec: model 7.7)."""
    if wanted.vxlan is None or _must_be_made(wanted.vxlan, held):
        return
    name = wanted.vxlan.name
    expected = {(one.address, one.mac) for one in wanted.neighbours if one.device == name}
    macs = {(one.mac, one.remote) for one in wanted.forwarding}
    for neighbour in held.neighbours:
        if neighbour.dev == name and neighbour.mac is not None and (neighbour.address, neighbour.mac) not in expected:
            yield DeleteNeighbour(name, neighbour.address)
    for entry in sorted(held.forwarding, key=lambda entry: (entry.mac, entry.remote.value)):
        if entry.device == name and (entry.mac, entry.remote) not in macs:
            yield DeleteForwarding(entry)


def _leaving_vxlan(wanted: WantedNetwork, held: HeldNetwork) -> Iterator[NetworkStep]:
    if wanted.vxlan_name not in held.links:
        return
    if wanted.vxlan is None:
        if not wanted.keeps_vxlan:
            yield DeleteDevice(wanted.vxlan_name)
    elif _must_be_made(wanted.vxlan, held):
        yield DeleteDevice(wanted.vxlan_name)


def _must_be_made(device: VxlanDevice, held: HeldNetwork) -> bool:
    """What cannot be changed of a device, of which all must be right (spec: model 7.7)."""
    return held.vxlan != VxlanFacts(device.vni, device.port, device.parent, device.local)


def _vxlan(wanted: WantedNetwork, held: HeldNetwork) -> Iterator[NetworkStep]:
    device = wanted.vxlan
    if device is None or device.parent not in held.links:
        return
    link = held.links.get(device.name)
    if link is None or _must_be_made(device, held):
        yield MakeVxlan(device)
        link = None
    elif link.mac != device.mac:
        yield SetMac(device.name, device.mac)
    yield from _set_up(device.name, device.mtu, device.address, link)


def _ipip(wanted: WantedNetwork, held: HeldNetwork) -> Iterator[NetworkStep]:
    device = wanted.ipip
    if device is None:
        return
    link = held.links.get(device.name)
    if link is None:
        yield MakeIpip(device)
    yield from _set_up(device.name, device.mtu, device.address, link)


def _set_up(name: str, mtu: int, address: Address | None, link: Link | None) -> Iterator[NetworkStep]:
    """The MTU, the one IPv4 address, and that the device is up."""
    if link is None or link.mtu != mtu:
        yield SetMtu(name, mtu)
    wanted = None if address is None else Prefix(address.family, address.value, address.family.bits)
    found = [one.prefix for one in link.addresses if one.prefix.family is IPFamily.V4] if link is not None else []
    for prefix in found:
        if prefix != wanted:
            yield DeleteAddress(name, prefix)
    if wanted is not None and wanted not in found:
        yield AddAddress(name, wanted)
    if link is None or not link.up:
        yield SetUp(name)


def _missing(wanted: WantedNetwork, held: HeldNetwork) -> Iterator[NetworkStep]:
    """Routes, neighbours and entries that are not there, of devices that are."""
    remade = wanted.vxlan is not None and _must_be_made(wanted.vxlan, held)
    here = set(simple_routes(held.routes))
    neighbours = {(one.dev, one.address, one.mac) for one in held.neighbours}
    made = wanted.vxlan is not None and wanted.vxlan.parent in held.links

    def usable(device: str) -> bool:
        return made if device == wanted.vxlan_name else held.is_up(device)

    def anew(device: str) -> bool:
        return remade and device == wanted.vxlan_name

    # The tunnel's neighbours come before routes that lead to them.
    for neighbour in wanted.neighbours:
        known = (neighbour.device, neighbour.address, neighbour.mac) in neighbours
        if usable(neighbour.device) and (not known or anew(neighbour.device)):
            yield SetNeighbour(neighbour)
    for entry in wanted.forwarding:
        if usable(entry.device) and (entry not in held.forwarding or anew(entry.device)):
            yield AddForwarding(entry)
    for route in wanted.routes:
        if usable(route.device) and ((route.destination, route.device) not in here or anew(route.device)):
            yield AddRoute(route)
