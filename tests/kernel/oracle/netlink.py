"""NETLINK_NETFILTER at the level of messages and attributes: as much as the oracle needs, no more.

Source: linux/netlink.h, linux/netfilter/nfnetlink.h. Header fields are in host order, attribute values of netfilter
in network order.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

NETLINK_NETFILTER = 12
SOL_NETLINK = 270
ADD_MEMBERSHIP = 1
SO_RCVBUFFORCE = 33
REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
_NESTED = 0x8000
_HEADER = struct.Struct("=IHHII")
_GENERIC = struct.Struct("=BBH")
_ATTRIBUTE = struct.Struct("=HH")
RECEIVE_BUFFER = 64 << 20

Attributes = dict[int, bytes]


class MessagesLost(Exception):
    """The kernel had no room for a message: what was read is not the whole story."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message: subsystem and message number, flags, address family, body from the first attribute on."""

    subsystem: int
    number: int
    flags: int
    family: int
    attributes: Attributes


def attribute(number: int, value: bytes) -> bytes:
    """One attribute, padded."""
    size = 4 + len(value)
    return _ATTRIBUTE.pack(size, number) + value + bytes(-size % 4)


def nested(number: int, *inner: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(number | _NESTED, b"".join(inner))


def parse_attributes(data: bytes, start: int = 0, end: int | None = None) -> Attributes:
    """Reads attributes into a dict; of repeated ones the last stays."""
    found: Attributes = {}
    end = len(data) if end is None else end
    while start + 4 <= end:
        size, number = _ATTRIBUTE.unpack_from(data, start)
        if size < 4:
            break
        found[number & 0x3FFF] = data[start + 4 : start + size]
        start += (size + 3) & ~3
    return found


class NetfilterSocket:
    """A NETLINK_NETFILTER socket in the namespace the thread is in when it is made."""

    def __init__(self, *groups: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        self._socket.bind((0, 0))
        for group in groups:
            self._socket.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)
        self._socket.setblocking(False)
        self._sequence = 0

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()

    def drain(self) -> Iterator[Message]:
        """Everything that has arrived; raises `MessagesLost` when the kernel dropped some."""
        while True:
            try:
                data = self._socket.recv(1 << 18)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    raise MessagesLost from None
                raise
            yield from _messages(data)

    def request(
        self, subsystem: int, number: int, family: int, resource: int, body: bytes, flags: int = 0
    ) -> list[Message]:
        """Sends a request and returns what comes back before its acknowledgement; raises OSError for the kernel's errno."""
        self._sequence += 1
        payload = _GENERIC.pack(family, 0, socket.htons(resource)) + body
        header = _HEADER.pack(16 + len(payload), subsystem << 8 | number, REQUEST | ACK | flags, self._sequence, 0)
        self._socket.send(header + payload)
        answers: list[Message] = []
        self._socket.setblocking(True)
        try:
            while True:
                data = self._socket.recv(1 << 18)
                for start, size, kind, sequence in _frames(data):
                    if sequence != self._sequence:
                        continue
                    if kind in (NLMSG_ERROR, NLMSG_DONE):
                        code = struct.unpack_from("=i", data, start + 16)[0]
                        if code:
                            raise OSError(-code, os.strerror(-code))
                        return answers
                    answers.append(_message(data, start, size, kind))
        finally:
            self._socket.setblocking(False)


def _frames(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    start = 0
    while start + 16 <= len(data):
        size, kind, _, sequence, _ = _HEADER.unpack_from(data, start)
        if size < 16:
            return
        yield start, size, kind, sequence
        start += (size + 3) & ~3


def _messages(data: bytes) -> Iterator[Message]:
    for start, size, kind, _ in _frames(data):
        if kind >= 16 and size >= 20:
            yield _message(data, start, size, kind)


def _message(data: bytes, start: int, size: int, kind: int) -> Message:
    flags = struct.unpack_from("=H", data, start + 6)[0]
    return Message(kind >> 8, kind & 255, flags, data[start + 16], parse_attributes(data, start + 20, start + size))
