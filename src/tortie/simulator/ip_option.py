"""Options of IPv4 headers: which there are, and which of them this node writes into (RFC 791)."""

from __future__ import annotations

from collections.abc import Iterator

_END, _NO_OPERATION, _RECORD_ROUTE, _TIMESTAMP = 0, 1, 7, 68
_PRESPECIFIED = 3


def read_options(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and whole bytes of each option, up to the end of the list or the first that is broken."""
    at = 0
    while at < len(data) and data[at] != _END:
        length = 1 if data[at] == _NO_OPERATION else data[at + 1] if at + 1 < len(data) else 0
        if length < 1 or (length < 2 and data[at] != _NO_OPERATION):
            yield data[at], data[at : at + 1]
            return
        yield data[at], data[at : at + length]
        at += length


def is_written_into(data: bytes) -> bool:
    """True when the kernel changes these options as it takes the packet in (__ip_options_compile)."""
    for kind, option in read_options(data):
        if len(option) < 3 or kind not in (_RECORD_ROUTE, _TIMESTAMP):
            continue
        if option[2] <= len(option):
            return True
        if kind == _TIMESTAMP and option[3] & 15 != _PRESPECIFIED:
            # There is no room: the header counts those that found none.
            return True
    return False
