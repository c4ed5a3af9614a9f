"""The kernel's connection table by ctnetlink: events, one entry by its tuple, deleting.

Source: linux/netfilter/nfnetlink_conntrack.h, linux/netfilter/nf_conntrack_common.h.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable

from tests.kernel.oracle.netlink import Attributes, Message, NetfilterSocket, attribute, nested, parse_attributes
from tests.kernel.oracle.outcome import ConnEvent, EventKind
from tortie.net.address import IPFamily
from tortie.net.protocol import GRE, ICMP, ICMPV6, PORT_PROTOCOLS
from tortie.netfilter.conntrack import ConnEntry, ConnTuple, TcpState

_SUBSYSTEM = 1
_NEW, _GET, _DELETE = 0, 1, 2
_EXCLUSIVE_CREATE = 0x600
_GROUPS = (1, 2, 3)
_FAMILY_NUMBER = {IPFamily.V4: socket.AF_INET, IPFamily.V6: socket.AF_INET6}

EXPECTED, SEEN_REPLY, ASSURED, CONFIRMED = 0x1, 0x2, 0x4, 0x8
SRC_NAT, DST_NAT = 0x10, 0x20
_TCP_STATES = (
    TcpState.NONE, TcpState.SYN_SENT, TcpState.SYN_RECV, TcpState.ESTABLISHED, TcpState.FIN_WAIT, TcpState.CLOSE_WAIT,
    TcpState.LAST_ACK, TcpState.TIME_WAIT, TcpState.CLOSE, TcpState.SYN_SENT2,
)  # fmt: skip


class ConnectionTable:
    """Talks to the connection table of the namespace the thread is in when it is made."""

    def __init__(self) -> None:
        self._events = NetfilterSocket(*_GROUPS)
        self._requests = NetfilterSocket()

    def close(self) -> None:
        """Stops listening."""
        self._events.close()
        self._requests.close()

    def events(self) -> list[ConnEvent]:
        """Events that have arrived; `MessagesLost` when some did not."""
        found = []
        for message in self._events.drain():
            if message.subsystem == _SUBSYSTEM:
                kind = EventKind.DESTROY
                if message.number == _NEW:
                    kind = EventKind.NEW if message.flags & _EXCLUSIVE_CREATE else EventKind.UPDATE
                entry, status = _entry(message)
                found.append(ConnEvent(kind, entry, status))
        return found

    def find(self, conn_tuple: ConnTuple, zone: int = 0) -> ConnEntry | None:
        """The entry that has this tuple, in either direction, in a zone; None when there is none."""
        body = nested(1, *_tuple_attributes(conn_tuple))
        if zone:
            body += attribute(18, struct.pack("!H", zone))
        try:
            answers = self._requests.request(_SUBSYSTEM, _GET, _FAMILY_NUMBER[conn_tuple.family], 0, body)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        return _entry(answers[0])[0]

    def delete(self, entries: Iterable[ConnEntry]) -> None:
        """Deletes entries; those that are gone already do not matter."""
        for entry in entries:
            body = nested(1, *_tuple_attributes(entry.original))
            if entry.zone_original:
                body += attribute(18, struct.pack("!H", entry.zone_original))
            try:
                self._requests.request(_SUBSYSTEM, _DELETE, _FAMILY_NUMBER[entry.original.family], 0, body)
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise

    def flush(self) -> None:
        """Deletes every entry: walks the whole hash table, some ten milliseconds."""
        self._requests.request(_SUBSYSTEM, _DELETE, 0, 0, b"")


def _tuple_attributes(conn_tuple: ConnTuple) -> tuple[bytes, bytes]:
    width = conn_tuple.family.bits // 8
    first = 1 if conn_tuple.family is IPFamily.V4 else 3
    addresses = nested(
        1,
        attribute(first, conn_tuple.src.to_bytes(width, "big")),
        attribute(first + 1, conn_tuple.dst.to_bytes(width, "big")),
    )
    keys = [attribute(1, bytes([conn_tuple.proto]))]
    if conn_tuple.proto in PORT_PROTOCOLS or conn_tuple.proto == GRE:
        keys += [attribute(2, struct.pack("!H", conn_tuple.src_key)), attribute(3, struct.pack("!H", conn_tuple.dst_key))]
    elif conn_tuple.proto in (ICMP, ICMPV6):
        number = 4 if conn_tuple.proto == ICMP else 7
        keys += [
            attribute(number, struct.pack("!H", conn_tuple.src_key)),
            attribute(number + 1, bytes([conn_tuple.dst_key >> 8])),
            attribute(number + 2, bytes([conn_tuple.dst_key & 255])),
        ]
    return addresses, nested(2, *keys)


def _tuple(data: bytes, zone: int) -> tuple[ConnTuple, int]:
    parts = parse_attributes(data)
    addresses, keys = parse_attributes(parts[1]), parse_attributes(parts[2])
    family, first = (IPFamily.V4, 1) if 1 in addresses else (IPFamily.V6, 3)
    proto = keys[1][0]
    if proto in (ICMP, ICMPV6) and (number := 4 if proto == ICMP else 7) in keys:
        src_key = int.from_bytes(keys[number], "big")
        dst_key = keys[number + 1][0] << 8 | keys[number + 2][0]
    else:
        src_key, dst_key = (int.from_bytes(keys.get(which, b"\0"), "big") for which in (2, 3))
    found = ConnTuple(
        family,
        proto,
        int.from_bytes(addresses[first], "big"),
        int.from_bytes(addresses[first + 1], "big"),
        src_key,
        dst_key,
    )
    return found, int.from_bytes(parts[3], "big") if 3 in parts else zone


def _entry(message: Message) -> tuple[ConnEntry, int]:
    attributes = message.attributes
    status = _number(attributes, 3) or 0
    zone = _number(attributes, 18) or 0
    has_own = any(3 in parse_attributes(attributes[which]) for which in (1, 2))
    original, zone_original = _tuple(attributes[1], 0 if has_own else zone)
    reply, zone_reply = _tuple(attributes[2], 0 if has_own else zone)
    helper = parse_attributes(attributes[5]).get(1) if 5 in attributes else None
    entry = ConnEntry(
        original=original,
        reply=reply,
        mark=_number(attributes, 8) or 0,
        zone_original=zone_original,
        zone_reply=zone_reply,
        seen_reply=bool(status & SEEN_REPLY),
        assured=bool(status & ASSURED),
        confirmed=bool(status & CONFIRMED),
        expected=bool(status & EXPECTED),
        src_nat=bool(status & SRC_NAT),
        dst_nat=bool(status & DST_NAT),
        state=_tcp_state(attributes),
        timeout_s=_number(attributes, 7),
        helper=helper.rstrip(b"\0").decode() if helper else None,
        id=_number(attributes, 12),
    )
    return entry, status


def _number(attributes: Attributes, which: int) -> int | None:
    return int.from_bytes(attributes[which], "big") if which in attributes else None


def _tcp_state(attributes: Attributes) -> str | None:
    if 4 not in attributes:
        return None
    tcp = parse_attributes(attributes[4]).get(1)
    if tcp is None:
        return None
    state = parse_attributes(tcp).get(1)
    return _TCP_STATES[state[0]].value if state and state[0] < len(_TCP_STATES) else None
