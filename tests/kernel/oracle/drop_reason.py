"""Why the kernel threw a packet away, from its tracepoint skb:kfree_skb.

A packet injected by this thread is handled in this thread's context, so a perf event that follows this thread sees all of
it and nothing else. tracefs is only needed to look the tracepoint up: it is opened without being mounted anywhere, no
trace instance is made, and the event ends with its file descriptor; a crash leaves nothing.

Source: perf_event_open(2), fsopen(2), include/trace/events/skb.h (offsets are read from the kernel's own format file).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import re
import struct

from tortie.net.address import IPFamily

_LIBC = ctypes.CDLL(None, use_errno=True)
_PERF_EVENT_OPEN, _FSOPEN, _FSCONFIG, _FSMOUNT = 298, 430, 431, 432
_FSCONFIG_CMD_CREATE = 6
_TYPE_TRACEPOINT, _SAMPLE_RAW, _RECORD_SAMPLE, _FLAG_CLOEXEC = 2, 1024, 9, 8
_ATTRIBUTE_SIZE = 128
_PAGES = 64
_HEAD, _TAIL = 1024, 1032
_ETHERTYPES = {0x0800: IPFamily.V4, 0x86DD: IPFamily.V6}


class DropReasons:
    """Collects drop reasons of the thread that makes it; raises OSError where the kernel does not offer them."""

    def __init__(self) -> None:
        identity, layout = _tracepoint()
        self._names = {int(number): name for number, name in re.findall(r'\{ (\w+), "(\w+)" \}', layout)}
        self.names = frozenset(self._names.values())
        """The reasons that this kernel has a name for."""
        offsets = {name: int(offset) for name, offset in re.findall(r"(\w+);\toffset:(\d+);", layout)}
        self._protocol, self._reason = offsets["protocol"], offsets["reason"]
        attribute = bytearray(_ATTRIBUTE_SIZE)
        struct.pack_into("=IIQQQ", attribute, 0, _TYPE_TRACEPOINT, _ATTRIBUTE_SIZE, identity, 1, _SAMPLE_RAW)
        buffer = (ctypes.c_char * _ATTRIBUTE_SIZE).from_buffer(attribute)
        self._fd = _LIBC.syscall(_PERF_EVENT_OPEN, buffer, 0, -1, -1, _FLAG_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "perf_event_open")
        self._size = _PAGES * mmap.PAGESIZE
        self._ring = mmap.mmap(self._fd, mmap.PAGESIZE + self._size)

    def close(self) -> None:
        """Ends the event."""
        self._ring.close()
        os.close(self._fd)

    def read(self) -> tuple[str, ...]:
        """Reasons of IP packets since the last call, in order."""
        head, tail = struct.unpack_from("=QQ", self._ring, _HEAD)
        found = []
        while tail < head:
            kind, _, size = struct.unpack("=IHH", self._bytes(tail, 8))
            if kind == _RECORD_SAMPLE:
                raw = self._bytes(tail + 12, size - 12)
                (protocol,) = struct.unpack_from("=H", raw, self._protocol)
                (reason,) = struct.unpack_from("=I", raw, self._reason)
                if protocol in _ETHERTYPES:
                    found.append(self._names.get(reason, str(reason)))
            tail += size
        struct.pack_into("=Q", self._ring, _TAIL, tail)
        return tuple(found)

    def _bytes(self, position: int, size: int) -> bytes:
        start = position % self._size
        first = self._ring[mmap.PAGESIZE + start : mmap.PAGESIZE + min(start + size, self._size)]
        missing = size - len(first)
        return first + self._ring[mmap.PAGESIZE : mmap.PAGESIZE + missing] if missing else first


def _tracepoint() -> tuple[int, str]:
    """Number and format of skb:kfree_skb, read through a tracefs that is mounted nowhere."""
    context = _LIBC.syscall(_FSOPEN, b"tracefs", 1)
    if context < 0:
        raise OSError(ctypes.get_errno(), "fsopen tracefs")
    try:
        if _LIBC.syscall(_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0):
            raise OSError(ctypes.get_errno(), "fsconfig tracefs")
        root = _LIBC.syscall(_FSMOUNT, context, 1, 0)
        if root < 0:
            raise OSError(ctypes.get_errno(), "fsmount tracefs")
        try:
            place = f"/proc/self/fd/{root}/events/skb/kfree_skb"
            with open(f"{place}/id") as number, open(f"{place}/format") as layout:
                return int(number.read()), layout.read()
        finally:
            os.close(root)
    finally:
        os.close(context)
