"""The kernel's bucket of ICMP errors for each receiver, which no sysctl of a namespace switches off.

An IPv4 error that routing makes, and every redirect, costs one of five tokens; one comes back each second (ip_error and
ip_rt_send_redirect in net/ipv4/route.c). When a receiver has had that many, a missing error says nothing.
"""

from __future__ import annotations

import time

from tortie.net.address import IPFamily
from tortie.net.packet import Packet

BURST = 5
_REFILL_S = 60.0


class Patience:
    """Counts the errors a node made, by receiver."""

    def __init__(self) -> None:
        self._sent: dict[int, list[float]] = {}

    def note(self, error: Packet) -> None:
        """An error was sent."""
        if error.family is IPFamily.V4 and error.is_icmp:
            self._sent.setdefault(error.dst, []).append(time.monotonic())

    def spent(self, error: Packet) -> bool:
        """True when the receiver may have had its share, so that this error need not have been sent."""
        now = time.monotonic()
        recent = [when for when in self._sent.get(error.dst, ()) if now - when < _REFILL_S]
        return error.family is IPFamily.V4 and error.is_icmp and len(recent) >= BURST
