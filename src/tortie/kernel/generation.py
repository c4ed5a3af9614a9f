"""The number of the kernel's nf_tables rules: it is another one after every change of them, whoever made it.

So a reading whose number is still the kernel's need not be made again. Nothing of the kind exists for legacy tables.

Source: linux/netfilter/nf_tables.h (NFT_MSG_GETGEN, NFTA_GEN_ID), nf_tables_api.c (nf_tables_getgen; each commit takes the
next number but 0, and each network namespace has its own).
"""

from __future__ import annotations

import socket
import struct

_NETLINK_NETFILTER = 12
_GET_GENERATION = 10 << 8 | 16
"""Subsystem nf_tables, message NFT_MSG_GETGEN."""
_NEW_GENERATION = 10 << 8 | 15
_REQUEST = 1
_GENERATION_ID = 1
_HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence number, port."""
_FAMILY = struct.pack("=BBH", 0, 0, 0)
"""struct nfgenmsg."""
_TIMEOUT_S = 1.0


def nft_generation() -> int | None:
    """The number of this network namespace's rules; None where the kernel does not tell."""
    request = _HEADER.pack(_HEADER.size + len(_FAMILY), _GET_GENERATION, _REQUEST, 1, 0) + _FAMILY
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as kernel:
            kernel.settimeout(_TIMEOUT_S)
            kernel.bind((0, 0))
            kernel.send(request)
            return generation_of(kernel.recv(8192))
    except OSError:
        return None


def generation_of(answer: bytes) -> int | None:
    """The number in an answer of the kernel; None in any other message."""
    if len(answer) < _HEADER.size:
        return None
    length, kind, *_ = _HEADER.unpack_from(answer)
    place = _HEADER.size + len(_FAMILY)
    while kind == _NEW_GENERATION and place + 4 <= min(length, len(answer)):
        size, attribute = struct.unpack_from("=HH", answer, place)
        if attribute == _GENERATION_ID and size == 8 and place + 8 <= len(answer):
            return int.from_bytes(answer[place + 4 : place + 8], "big")
        place += max(size + 3 & ~3, 4)
    return None
