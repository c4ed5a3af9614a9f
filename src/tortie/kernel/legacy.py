"""The sizes of iptables' legacy tables, asked of the kernel itself in a few microseconds.

Legacy tables tell nobody when they change, and printing one takes time. But the kernel says at once how many entries a
table has, how many bytes, and where each of its chains begins; whoever adds, removes or flushes rules changes that. A rule
that is exchanged for another of the same size does not show, nor do counters.

Source: linux/netfilter_ipv4/ip_tables.h and netfilter_ipv6/ip6_tables.h (IPT_SO_GET_INFO, struct ipt_getinfo);
net/ipv4/netfilter/ip_tables.c (get_info).
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

from tortie.net.address import IPFamily

_GET_INFO = 64
_INFO = struct.Struct("=32s I 5I 5I I I")
_LEVELS = {IPFamily.V4: (socket.AF_INET, socket.SOL_IP), IPFamily.V6: (socket.AF_INET6, socket.IPPROTO_IPV6)}
_LIBC = ctypes.CDLL(None, use_errno=True)

_LISTS = {IPFamily.V4: "/proc/thread-self/net/ip_tables_names", IPFamily.V6: "/proc/thread-self/net/ip6_tables_names"}

TableSize = tuple[int, ...]
"""Where chains begin, number of entries, bytes."""


def table_sizes(family: IPFamily, tables: Iterable[str]) -> dict[str, TableSize]:
    """The sizes of those of the tables that there are, by name; nothing where the kernel may not be asked.

    A table that nobody used before would be made by asking (spec: netfilter 1.2), so only those are asked for that /proc
    lists.
    """
    try:
        listed = Path(_LISTS[family]).read_text().split()
    except OSError:
        return {}
    tables = [name for name in tables if name in listed]
    kind, level = _LEVELS[family]
    try:
        asked = socket.socket(kind, socket.SOCK_RAW, socket.IPPROTO_RAW)
    except OSError:
        return {}
    found = {}
    with asked:
        for name in tables:
            buffer = ctypes.create_string_buffer(_INFO.pack(name.encode(), *[0] * 13), _INFO.size)
            length = ctypes.c_uint32(_INFO.size)
            failed = _LIBC.getsockopt(asked.fileno(), level, _GET_INFO, buffer, ctypes.byref(length))
            if failed:
                ctypes.set_errno(0)
                continue
            found[name] = _INFO.unpack(buffer.raw)[1:]
    return found
