"""TCP options, walked as the kernel walks them: kinds 0 and 1 are one byte long, a length of 0 counts as 1.

Sources: tcp_find_option in net/netfilter/xt_tcpudp.c, optlen in xt_TCPMSS.c and xt_TCPOPTSTRIP.c.
"""

from __future__ import annotations

from collections.abc import Iterator

NOP = 1
MSS = 2
MSS_LENGTH = 4


def option_starts(options: bytes) -> Iterator[tuple[int, int]]:
    """Place and length of every option; the last one may say more bytes than there are."""
    place = 0
    while place < len(options):
        length = 1
        if options[place] > NOP and place + 1 < len(options):
            length = options[place + 1] or 1
        yield place, length
        place += length


def has_option(options: bytes, kind: int) -> bool:
    """True when an option of this kind stands where the kernel's walk comes by."""
    return any(options[place] == kind for place, _ in option_starts(options))


def mss_of(options: bytes) -> int | None:
    """The maximum segment size that the options announce, None when they do not."""
    for place, _ in option_starts(options):
        if options[place] == MSS and options[place + 1 : place + 2] == b"\x04" and len(options) - place >= MSS_LENGTH:
            return int.from_bytes(options[place + 2 : place + 4], "big")
    return None
