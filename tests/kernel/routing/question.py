"""Routing questions as values, and the kernel's answers to them by RTM_GETROUTE.

With an input interface the kernel runs its real input routing over a made-up packet, source checks included; without one
its output routing. Errors come back as errno, without the reason. One question is one message on a netlink socket.

Source: inet_rtm_getroute in net/ipv4/route.c, inet6_rtm_getroute in net/ipv6/route.c, linux/rtnetlink.h.
"""

from __future__ import annotations

import errno
import socket
import struct
from dataclasses import dataclass

from tests.kernel.oracle.namespace import Namespace
from tests.kernel.oracle.netlink import attribute, parse_attributes
from tortie.net.address import Address, IPFamily, format_address

_RTM_GETROUTE = 26
_NLM_F_REQUEST = 1
_NLMSG_ERROR = 2
_LOOKUP_TABLE = 0x1000
_RTA_DST, _RTA_SRC, _RTA_IIF, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC = 1, 2, 3, 4, 5, 7
_RTA_TABLE, _RTA_MARK, _RTA_VIA, _RTA_UID, _RTA_PROTO, _RTA_SPORT, _RTA_DPORT = 15, 16, 18, 25, 27, 28, 29
_ROUTE = struct.Struct("=BBBBBBBBI")
"""struct rtmsg: family, lengths of destination and source, TOS, table, protocol, scope, type, flags."""
_AF = {IPFamily.V4: socket.AF_INET, IPFamily.V6: socket.AF_INET6}
_TYPES = {1: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast", 6: "blackhole", 7: "unreachable",
          8: "prohibit", 9: "throw"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """One question; `src` 0 and empty names stand for nothing given."""

    family: IPFamily
    dst: int
    src: int = 0
    iif: str = ""
    oif: str = ""
    mark: int = 0
    tos: int = 0
    uid: int = 0
    proto: int = socket.IPPROTO_UDP
    sport: int = 0
    dport: int = 0

    def __str__(self) -> str:
        words = [f"{format_address(self.family, self.src)} > {format_address(self.family, self.dst)}"]
        for name in ("iif", "oif", "mark", "tos", "uid", "sport", "dport"):
            if getattr(self, name):
                words.append(f"{name} {getattr(self, name)}")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the kernel said: an errno, or the kind of route, its device, gateway, source and table."""

    errno: str = ""
    kind: str = ""
    device: str = ""
    gateway: Address | None = None
    source: int | None = None
    table: int = 0


class RouteAsker:
    """A netlink socket of one namespace."""

    def __init__(self, namespace: Namespace) -> None:
        with namespace:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
            self._socket.bind((0, 0))
            self._names = dict(socket.if_nameindex())
        self._numbers = {name: index for index, name in self._names.items()}
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def ask(self, question: Question) -> Answer:
        """Sends one question and reads its answer."""
        self._sequence += 1
        body = self._body(question)
        head = struct.pack("=IHHII", 16 + len(body), _RTM_GETROUTE, _NLM_F_REQUEST, self._sequence, 0)
        self._socket.send(head + body)
        data = self._socket.recv(1 << 16)
        size, kind = struct.unpack_from("=IH", data)
        if kind == _NLMSG_ERROR:
            return Answer(errno.errorcode[-struct.unpack_from("=i", data, 16)[0]])
        return self._read(question.family, data, size)

    def _body(self, question: Question) -> bytes:
        family = question.family
        width = family.bits // 8
        parts = [
            _ROUTE.pack(
                _AF[family], family.bits, family.bits if question.src else 0, question.tos, 0, 0, 0, 0, _LOOKUP_TABLE
            ),
            attribute(_RTA_DST, question.dst.to_bytes(width, "big")),
        ]  # fmt: skip
        if question.src:
            parts.append(attribute(_RTA_SRC, question.src.to_bytes(width, "big")))
        for name, kind in ((question.iif, _RTA_IIF), (question.oif, _RTA_OIF)):
            if name:
                parts.append(attribute(kind, struct.pack("=I", self._numbers[name])))
        parts.append(attribute(_RTA_MARK, struct.pack("=I", question.mark)))
        parts.append(attribute(_RTA_UID, struct.pack("=I", question.uid)))
        parts.append(attribute(_RTA_PROTO, struct.pack("=B", question.proto)))
        for port, kind in ((question.sport, _RTA_SPORT), (question.dport, _RTA_DPORT)):
            if port:
                parts.append(attribute(kind, struct.pack("!H", port)))
        return b"".join(parts)

    def _read(self, family: IPFamily, data: bytes, size: int) -> Answer:
        table, _, _, kind = struct.unpack_from("=BBBB", data, 20)
        found = parse_attributes(data, 28, size)
        gateway = None
        if _RTA_GATEWAY in found:
            gateway = Address(family, int.from_bytes(found[_RTA_GATEWAY], "big"))
        elif _RTA_VIA in found:
            gateway = Address(IPFamily.V6, int.from_bytes(found[_RTA_VIA][2:], "big"))
        if _RTA_TABLE in found:
            table = struct.unpack("=I", found[_RTA_TABLE])[0]
        device = self._names[struct.unpack("=I", found[_RTA_OIF])[0]] if _RTA_OIF in found else ""
        source = int.from_bytes(found[_RTA_PREFSRC], "big") if _RTA_PREFSRC in found else None
        return Answer("", _TYPES.get(kind, str(kind)), device, gateway, source, table)
