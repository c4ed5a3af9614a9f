"""TUN and TAP devices as the node's interfaces, and the node's own raw sockets.

Writing to such a device is an arrival, reading from it a departure. Raw sockets send what the node itself makes, with a
mark, an owner, a bound device; other raw sockets receive a copy of what is delivered to the node and so prove that a
packet went through INPUT. Both kinds leave the node's behaviour alone: the kernel looks for a real socket all the same.

Sources: Documentation/networking/tuntap.rst, raw(7), net/netfilter/xt_owner.c (the owner is the file's fsuid).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator

from tests.kernel.oracle.namespace import Namespace
from tortie.net.address import IPFamily, format_address

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_TAP, _IFF_NO_PI = 0x1, 0x2, 0x1000
_SO_MARK = 36
_IP_PROTOCOL = 52
_NEIGHBOUR_HOP_LIMIT = 255
_IGMP_HEADER_WORDS = 6
_ETHER_HEADER = 14
_ETHER_TYPES = {4: b"\x08\x00", 6: b"\x86\xdd"}
_MTU_DISCOVER = {IPFamily.V4: (socket.IPPROTO_IP, 10), IPFamily.V6: (socket.IPPROTO_IPV6, 23)}
_DISCOVER_BY_INTERFACE = 4
_FREEBIND = {IPFamily.V4: (socket.IPPROTO_IP, 15), IPFamily.V6: (socket.IPPROTO_IPV6, 78)}
_LIBC = ctypes.CDLL(None, use_errno=True)
_AF = {IPFamily.V4: socket.AF_INET, IPFamily.V6: socket.AF_INET6}
_TAPPED = (socket.IPPROTO_TCP, socket.IPPROTO_UDP)
_IPV6_RECVPKTINFO, _IPV6_PKTINFO = 49, 50
_IPV6_RECVHOPLIMIT, _IPV6_HOPLIMIT = 51, 52
_IPV6_RECVTCLASS, _IPV6_TCLASS = 66, 67


class CannotBind(Exception):
    """No socket can have this source address (multicast, or a broadcast address)."""


class Tun:
    """One TUN device of a namespace, or an Ethernet device (TAP) of this address."""

    def __init__(self, namespace: Namespace, name: str, mac: bytes = b"") -> None:
        self.name = name
        self._mac = mac
        with namespace:
            self._fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            flags = (_IFF_TAP if mac else _IFF_TUN) | _IFF_NO_PI
            fcntl.ioctl(self._fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))

    def arrive(self, data: bytes, mac_source: bytes = b"", mac_destination: bytes = b"") -> str | None:
        """Lets a packet arrive, on Ethernet in a frame; the name of the error when the device refuses it."""
        frame = b""
        if self._mac:
            frame = (mac_destination or self._mac) + mac_source + _ETHER_TYPES[data[0] >> 4]
        try:
            os.write(self._fd, frame + data)
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        return None

    def departures(self) -> Iterator[bytes]:
        """What has left by this device, without neighbour discovery, MLD and IGMP of the node itself."""
        while True:
            try:
                data = os.read(self._fd, 0x11000)
            except BlockingIOError:
                return
            packet = data[_ETHER_HEADER:] if self._mac else data
            if not is_noise(packet):
                yield packet

    def close(self) -> None:
        """Removes the device."""
        os.close(self._fd)


def is_noise(data: bytes) -> bool:
    """True for what a node says by itself: neighbour discovery of its links, MLD (behind a hop-by-hop header), IGMP."""
    if data[0] >> 4 == 4:
        return data[9] == socket.IPPROTO_IGMP and data[8] == 1 and data[0] & 15 == _IGMP_HEADER_WORDS
    if data[6] == socket.IPPROTO_ICMPV6 and len(data) > 40:
        linked = data[8:10] == b"\xfe\x80" or not any(data[8:24])
        return 133 <= data[40] <= 136 and data[7] == _NEIGHBOUR_HOP_LIMIT and linked
    return data[6] == 0 and len(data) > 48 and data[40] == socket.IPPROTO_ICMPV6 and data[48] in (130, 131, 132, 143)


class LocalSender:
    """Sends packets of the node itself by raw sockets, one for each owner, device and address bound."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._sockets: dict[tuple[IPFamily, int, int, str, int], socket.socket] = {}

    def send(
        self, data: bytes, *, mark: int = 0, uid: int = 0, gid: int = 0, device: str = "", bound: bool = False
    ) -> str | None:
        """Sends a packet with its IP header; returns the name of the error, None when it was taken.

        `bound` binds the socket to the packet's source, so that the first routing decision knows it; `CannotBind` when
        that is impossible.
        """
        family = IPFamily(data[0] >> 4)
        width, at = (4, 12) if family is IPFamily.V4 else (16, 8)
        source = int.from_bytes(data[at : at + width], "big")
        target = int.from_bytes(data[at + width : at + 2 * width], "big")
        try:
            if source == 0:
                # The kernel would fill in a source of its own.
                raise CannotBind("no source")
            raw = self._socket(family, uid, gid, device, source if bound else 0)
            raw.setsockopt(socket.SOL_SOCKET, _SO_MARK, mark)
            # Routing knows the socket's TOS, not the header's.
            if family is IPFamily.V4:
                raw.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, data[1])
            else:
                raw.setsockopt(socket.IPPROTO_IPV6, _IPV6_TCLASS, int.from_bytes(data[:2], "big") >> 4 & 0xFF)
            _send(raw, family, data, format_address(family, target))
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        return None

    def close(self) -> None:
        """Closes all sockets."""
        for raw in self._sockets.values():
            raw.close()
        self._sockets.clear()

    def _socket(self, family: IPFamily, uid: int, gid: int, device: str, source: int) -> socket.socket:
        key = family, uid, gid, device, source
        known = self._sockets.get(key)
        if known is not None:
            return known
        with self._namespace:
            _LIBC.setfsgid(gid)
            _LIBC.setfsuid(uid)
            try:
                raw = socket.socket(_AF[family], socket.SOCK_RAW, socket.IPPROTO_RAW)
            finally:
                _LIBC.setfsuid(0)
                _LIBC.setfsgid(0)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if device:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
        if source:
            raw.setsockopt(*_FREEBIND[family], 1)
            try:
                if _has_no_binding(family, source):
                    raise OSError(errno.EADDRNOTAVAIL, "binding this address leaves the source open")
                raw.bind((format_address(family, source), 0))
            except OSError as error:
                raw.close()
                raise CannotBind(str(error)) from error
        self._sockets[key] = raw
        return raw


def _send(raw: socket.socket, family: IPFamily, data: bytes, target: str) -> None:
    """Tells routing the packet's protocol, which it does not see in a header that is given (raw_sendmsg, rawv6_sendmsg)."""
    if family is IPFamily.V4:
        protocol = (socket.IPPROTO_IP, _IP_PROTOCOL, struct.pack("=i", data[9] or socket.IPPROTO_RAW))
        raw.sendmsg([data], [protocol], 0, (target, 0))
    else:
        raw.sendto(data, (target, data[6]))


def _has_no_binding(family: IPFamily, source: int) -> bool:
    """Multicast and broadcast addresses: the socket then keeps no source (raw_bind in net/ipv4/raw.c)."""
    return family is IPFamily.V4 and (source >> 28 >= 14 or source & 255 == 255)


class DeliveryTap:
    """Gets a copy of every TCP, UDP and ICMP packet that is delivered to the node.

    IPv4 packets come whole. Of IPv6 ones the kernel hands out the fields of the header and what follows all headers; they
    are put together again without extension headers and with flow label 0.
    """

    def __init__(self, namespace: Namespace) -> None:
        self._sockets: list[tuple[IPFamily, int, socket.socket]] = []
        with namespace:
            for family, protocols in (
                (IPFamily.V4, (*_TAPPED, socket.IPPROTO_ICMP)),
                (IPFamily.V6, (*_TAPPED, socket.IPPROTO_ICMPV6)),
            ):
                for proto in protocols:
                    tap = socket.socket(_AF[family], socket.SOCK_RAW, proto)
                    tap.setblocking(False)
                    # Otherwise the tap would make the node learn path MTUs from ICMP errors (raw_err in net/ipv4/raw.c).
                    tap.setsockopt(*_MTU_DISCOVER[family], _DISCOVER_BY_INTERFACE)
                    if family is IPFamily.V6:
                        for option in (_IPV6_RECVPKTINFO, _IPV6_RECVHOPLIMIT, _IPV6_RECVTCLASS):
                            tap.setsockopt(socket.IPPROTO_IPV6, option, 1)
                    self._sockets.append((family, proto, tap))

    def read(self) -> Iterator[bytes]:
        """Everything delivered since the last call."""
        for family, proto, tap in self._sockets:
            while True:
                try:
                    data, extra, _, sender = tap.recvmsg(0x11000, 256)
                except BlockingIOError:
                    break
                except OSError:
                    # An ICMP error about a packet of this protocol is reported here too; it is no delivery.
                    continue
                if family is IPFamily.V4:
                    yield data
                elif not (proto == socket.IPPROTO_ICMPV6 and data and (130 <= data[0] <= 136 or data[0] == 143)):
                    yield _ipv6_packet(proto, data, sender[0], extra)

    def close(self) -> None:
        """Closes all sockets."""
        for _, _, tap in self._sockets:
            tap.close()


def _ipv6_packet(proto: int, body: bytes, sender: str, extra: list[tuple[int, int, bytes]]) -> bytes:
    facts = {kind: value for _, kind, value in extra}
    (limit,) = struct.unpack("=i", facts[_IPV6_HOPLIMIT])
    (traffic_class,) = struct.unpack("=i", facts[_IPV6_TCLASS])
    head = struct.pack("!IHBB", 6 << 28 | traffic_class << 20, len(body), proto, limit)
    source = socket.inet_pton(socket.AF_INET6, sender.partition("%")[0])
    return head + source + facts[_IPV6_PKTINFO][:16] + body
