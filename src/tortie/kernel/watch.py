"""What the kernel tells by itself: links and addresses that change; routes, settings, nf_tables that somebody touched.

Links and routes come by rtnetlink (pyroute2). Settings of interfaces, which pyroute2 does not read, and nf_tables have
sockets of their own. Of nf_tables only the names of tables and the process that changed them are read, and told when a
transaction is over; who wrote a setting the kernel does not say. iptables' legacy tables and ip sets tell nothing. Lost
messages are an event of their own: whoever hears of it reads everything again.

Sources: rtnetlink(7); linux/netconf.h (which settings are told), net/ipv4/devinet.c (inet_netconf_notify_devconf);
linux/netfilter/nf_tables.h (NFT_MSG_NEWGEN ends a transaction and names the process), net/netfilter/nf_tables_api.c
(nf_tables_gen_notify).
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from tortie.net.address import Address, IPFamily, parse_address
from tortie.net.error import InvalidInput
from tortie.net.node import Link

IFF_UP, IFF_RUNNING = 0x1, 0x40
MAIN_TABLE = 254
_NETLINK_NETFILTER = 12
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_NFNLGRP_NFTABLES = 7
_SUBSYSTEM_NFTABLES = 10
_NEWGEN = 15
_GEN_PROCESS, _GEN_PROGRAM = 2, 3
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_FAMILIES = {socket.AF_INET: IPFamily.V4, socket.AF_INET6: IPFamily.V6}
_RECEIVE_BUFFER = 8 << 20
_SO_RCVBUFFORCE = 33


@dataclass(frozen=True, slots=True)
class LinkSeen:
    """A link as it is now; `running` means that it is up and connected."""

    name: str
    running: bool
    addresses: frozenset[Address]


@dataclass(frozen=True, slots=True)
class LinkGone:
    """A link that is no more, or goes by another name now."""

    name: str


@dataclass(frozen=True, slots=True)
class RouteTouched:
    """A route of the main table by a device was added or removed, by the process of this number (0: the kernel)."""

    device: str
    process: int


@dataclass(frozen=True, slots=True)
class SettingTouched:
    """Settings of a device were written: `forwarding`, `rp_filter` or `proxy` (ARP or NDP), and what they are now."""

    device: str
    values: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class TablesTouched:
    """A transaction changed these nf_tables tables; `program` is the name of the process."""

    tables: frozenset[tuple[IPFamily, str]]
    process: int
    program: str


@dataclass(frozen=True, slots=True)
class MessagesLost:
    """The kernel had more to tell than there was room for."""

    what: str


KernelEvent: TypeAlias = LinkSeen | LinkGone | RouteTouched | SettingTouched | TablesTouched | MessagesLost
"""Readers end in `assert_never`."""


# --- links and routes --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Device:
    name: str
    running: bool
    addresses: set[Address]

    def seen(self) -> LinkSeen:
        return LinkSeen(self.name, self.running, frozenset(self.addresses))


class LinkTable:
    """Links by number, kept up to date by messages; what changes comes out as events."""

    def __init__(self, links: Iterable[Link] = ()) -> None:
        self._devices: dict[int, _Device] = {}
        self.take(links)

    def take(self, links: Iterable[Link]) -> None:
        """Starts over from a full list."""
        self._devices = {
            link.index: _Device(
                link.name,
                link.up and link.carrier,
                {Address(one.prefix.family, one.prefix.address) for one in link.addresses},
            )
            for link in links
        }

    def name_of(self, index: int) -> str | None:
        """The name of a link, None for one that was not seen."""
        device = self._devices.get(index)
        return None if device is None else device.name

    def feed(self, message: Mapping[str, Any]) -> Iterator[KernelEvent]:
        """What a message of rtnetlink, as pyroute2 reads it, tells."""
        match message["event"]:
            case "RTM_NEWLINK":
                yield from self._link(message)
            case "RTM_DELLINK":
                device = self._devices.pop(message["index"], None)
                if device is not None:
                    yield LinkGone(device.name)
            case "RTM_NEWADDR" | "RTM_DELADDR":
                yield from self._address(message)
            case "RTM_NEWROUTE" | "RTM_DELROUTE":
                device = self._devices.get(_attribute(message, "RTA_OIF"))
                if message["table"] == MAIN_TABLE and device is not None:
                    yield RouteTouched(device.name, message["header"]["pid"])
            case _:
                return

    def _link(self, message: Mapping[str, Any]) -> Iterator[KernelEvent]:
        index, name = message["index"], _attribute(message, "IFLA_IFNAME")
        if message["family"] != socket.AF_UNSPEC or name is None:  # a bridge's news about its ports
            return
        running = message["flags"] & (IFF_UP | IFF_RUNNING) == IFF_UP | IFF_RUNNING
        before = self._devices.get(index)
        if before is not None and before.name != name:
            yield LinkGone(before.name)
        if before is None or (before.name, before.running) != (name, running):
            device = _Device(name, running, before.addresses if before is not None else set())
            self._devices[index] = device
            yield device.seen()

    def _address(self, message: Mapping[str, Any]) -> Iterator[KernelEvent]:
        device = self._devices.get(message["index"])
        text = _attribute(message, "IFA_LOCAL") or _attribute(message, "IFA_ADDRESS")
        if device is None or text is None or message["family"] not in _FAMILIES:
            return
        try:
            address = parse_address(text)
        except InvalidInput:
            return
        before = len(device.addresses)
        if message["event"] == "RTM_NEWADDR":
            device.addresses.add(address)
        else:
            device.addresses.discard(address)
        if len(device.addresses) != before:
            yield device.seen()


def _attribute(message: Mapping[str, Any], name: str) -> Any:
    """The first attribute of a name, as pyroute2 lists them."""
    return next((value for key, value, *_ in message["attrs"] if key == name), None)


async def watch_links(table: LinkTable) -> AsyncIterator[KernelEvent]:
    """Changes of links and routes from the moment of the first `anext`; ends never."""
    from pyroute2 import AsyncIPRoute  # type: ignore[import-untyped]
    from pyroute2.netlink import rtnl  # type: ignore[import-untyped]

    groups = (
        rtnl.RTMGRP_LINK
        | rtnl.RTMGRP_IPV4_IFADDR
        | rtnl.RTMGRP_IPV6_IFADDR
        | rtnl.RTMGRP_IPV4_ROUTE
        | rtnl.RTMGRP_IPV6_ROUTE
    )
    async with AsyncIPRoute(rcvbuf=_RECEIVE_BUFFER) as route:
        await route.bind(groups=groups)
        while True:
            try:
                async for message in route.get():
                    for event in table.feed(message):
                        yield event
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                yield MessagesLost("routes")


# --- settings ----------------------------------------------------------------------------------------------------

_NEW_NETCONF = 80
_NETCONF_GROUPS = 1 << 23 | 1 << 24
"""RTNLGRP_IPV4_NETCONF and RTNLGRP_IPV6_NETCONF of linux/rtnetlink.h, as bits."""
_NETCONF_INDEX = 1
_NETCONF_NAMES = {2: "forwarding", 3: "rp_filter", 5: "proxy"}
_NETCONF_HEADER_SIZE = 4


def settings_touched(data: bytes, table: LinkTable) -> Iterator[SettingTouched]:
    """What a datagram tells about settings of links that are known."""
    for kind, body in _messages(data):
        if kind != _NEW_NETCONF:
            continue
        attributes = _attributes(body[_NETCONF_HEADER_SIZE:])
        numbers = {key: int.from_bytes(value, sys.byteorder, signed=True) for key, value in attributes.items()}
        name = table.name_of(numbers.get(_NETCONF_INDEX, 0))
        values = tuple((word, numbers[key]) for key, word in _NETCONF_NAMES.items() if key in numbers)
        if name is not None and values:
            yield SettingTouched(name, values)


async def watch_settings(table: LinkTable) -> AsyncIterator[KernelEvent]:
    """Settings of links as they are written, from the moment of the first `anext`; ends never."""
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    with link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        link.bind((0, _NETCONF_GROUPS))
        async for data in _datagrams(link):
            if data is None:
                yield MessagesLost("settings")
                continue
            for event in settings_touched(data, table):
                yield event


async def _datagrams(link: socket.socket) -> AsyncIterator[bytes | None]:
    """What comes by a socket; None where something was lost."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            yield await loop.sock_recv(link, 1 << 18)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            yield None


# --- nf_tables ---------------------------------------------------------------------------------------------------


class Transactions:
    """Puts the messages of nf_tables together to transactions."""

    def __init__(self) -> None:
        self._tables: set[tuple[IPFamily, str]] = set()

    def feed(self, data: bytes) -> Iterator[TablesTouched]:
        """What a datagram tells; of a transaction that is not over nothing is told yet."""
        for kind, body in _messages(data):
            if kind >> 8 != _SUBSYSTEM_NFTABLES or len(body) < 4:
                continue
            attributes = _attributes(body[4:])
            if kind & 0xFF == _NEWGEN:
                yield from self._ended(attributes)
                continue
            family, name = _FAMILIES.get(body[0]), attributes.get(1, b"").rstrip(b"\0")  # type: ignore[call-overload]
            if family is not None and name:
                self._tables.add((family, name.decode(errors="replace")))

    def _ended(self, attributes: Mapping[int, bytes]) -> Iterator[TablesTouched]:
        tables, self._tables = frozenset(self._tables), set()
        process = attributes.get(_GEN_PROCESS, b"")
        program = attributes.get(_GEN_PROGRAM, b"").rstrip(b"\0").decode(errors="replace")
        yield TablesTouched(tables, int.from_bytes(process, "big"), program)


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place + _HEADER.size <= len(data):
        size, kind, _, _, _ = _HEADER.unpack_from(data, place)
        if size < _HEADER.size:
            return
        yield kind, data[place + _HEADER.size : place + size]
        place += (size + 3) & ~3


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    place = 0
    while place + _ATTRIBUTE.size <= len(data):
        size, number = _ATTRIBUTE.unpack_from(data, place)
        if size < _ATTRIBUTE.size:
            break
        found[number & 0x3FFF] = data[place + _ATTRIBUTE.size : place + size]
        place += (size + 3) & ~3
    return found


async def watch_tables() -> AsyncIterator[KernelEvent]:
    """Transactions of nf_tables from the moment of the first `anext`; ends when the kernel has no nf_tables."""
    try:
        link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _NETLINK_NETFILTER)
    except OSError:
        return
    with link:
        try:
            link.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
            link.bind((0, 0))
            link.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _NFNLGRP_NFTABLES)
        except OSError:
            return
        transactions = Transactions()
        async for data in _datagrams(link):
            if data is None:
                transactions = Transactions()
                yield MessagesLost("nf_tables")
                continue
            for event in transactions.feed(data):
                yield event
