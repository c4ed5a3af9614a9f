"""Puts the fragments of one packet together: the receiver's side of what leaves the node in pieces."""

from __future__ import annotations

from collections.abc import Sequence

from tortie.net.wire import internet_checksum

_FRAGMENT = 44
_EXTENSIONS = frozenset({0, 43, 60})


def reassemble(pieces: Sequence[bytes]) -> bytes | None:
    """The whole packet, or None when the pieces do not make one; headers are those of the first piece."""
    if not pieces or any(len(piece) < 20 for piece in pieces):
        return None
    return _reassemble_v4(pieces) if pieces[0][0] >> 4 == 4 else _reassemble_v6(pieces)


def _join(parts: list[tuple[int, bool, bytes]]) -> bytes | None:
    parts.sort()
    body = b""
    for offset, _, data in parts:
        if offset != len(body):
            return None
        body += data
    return None if not parts or parts[-1][1] else body


def _reassemble_v4(pieces: Sequence[bytes]) -> bytes | None:
    parts = []
    head = b""
    for piece in pieces:
        size = (piece[0] & 15) * 4
        word = int.from_bytes(piece[6:8], "big")
        parts.append(((word & 0x1FFF) * 8, bool(word & 0x2000), piece[size:]))
        if not word & 0x1FFF:
            head = piece[:size]
    body = _join(parts)
    if body is None or not head:
        return None
    bare = head[:2] + (len(head) + len(body)).to_bytes(2, "big") + head[4:6] + bytes([head[6] & 0x40, 0]) + head[8:10]
    bare += b"\0\0" + head[12:]
    return bare[:10] + internet_checksum(bare).to_bytes(2, "big") + bare[12:] + body


def _reassemble_v6(pieces: Sequence[bytes]) -> bytes | None:
    parts = []
    head = b""
    for piece in pieces:
        number, at, pointer = piece[6], 40, 6
        while number in _EXTENSIONS and at + 8 <= len(piece):
            number, pointer, at = piece[at], at, at + (piece[at + 1] + 1) * 8
        if number != _FRAGMENT or at + 8 > len(piece):
            return None
        word = int.from_bytes(piece[at + 2 : at + 4], "big")
        parts.append((word & 0xFFF8, bool(word & 1), piece[at + 8 :]))
        if not word & 0xFFF8:
            head = piece[:pointer] + piece[at : at + 1] + piece[pointer + 1 : at]
    body = _join(parts)
    if body is None or not head:
        return None
    return head[:4] + (len(head) - 40 + len(body)).to_bytes(2, "big") + head[6:] + body
