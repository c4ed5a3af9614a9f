"""The kernel's bucket of ICMP errors for each receiver, which no sysctl of a namespace switches off.

An IPv4 error that routing makes costs one of five tokens; one comes back each second (ip_error in net/ipv4/route.c). When
a receiver has had that many, a missing error says nothing. Redirects to one receiver come more and more rarely: after the
first, a missing one says nothing either (ip_rt_send_redirect).
"""

from __future__ import annotations

import time

from tortie.net.address import IPFamily
from tortie.net.packet import Packet

BURST = 5
_REFILL_S = 60.0
_REDIRECT = 5


class Patience:
    """Counts the errors a node made, by receiver."""

    def __init__(self) -> None:
        self._sent: dict[tuple[int, bool], list[float]] = {}

    def note(self, error: Packet) -> None:
        """An error was sent."""
        if error.family is IPFamily.V4 and error.is_icmp:
            self._sent.setdefault((error.dst, error.icmp_type == _REDIRECT), []).append(time.monotonic())

    def spent(self, error: Packet) -> bool:
        """True when the receiver may have had its share, so that this error need not have been sent."""
        now = time.monotonic()
        redirect = error.icmp_type == _REDIRECT
        recent = [when for when in self._sent.get((error.dst, redirect), ()) if now - when < _REFILL_S]
        return error.family is IPFamily.V4 and error.is_icmp and len(recent) >= (1 if redirect else BURST)
