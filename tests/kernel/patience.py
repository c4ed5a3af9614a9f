"""The kernel's bucket of ICMP errors for each receiver, which no sysctl of a namespace switches off.

An IPv4 error that routing makes costs one of five tokens; one comes back each second (ip_error in net/ipv4/route.c). When
a receiver has had that many, a missing error says nothing. Redirects to one receiver come more and more rarely, and empty
the bucket: after the first, no missing error says anything (ip_rt_send_redirect), however long ago it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tortie.net.address import IPFamily
from tortie.net.packet import Packet

BURST = 5
_REFILL_S = 60.0
_REDIRECT = 5


class Patience:
    """Counts the errors a node made, by receiver."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sent: dict[tuple[int, bool], list[float]] = {}

    def note(self, error: Packet) -> None:
        """An error was sent."""
        if error.family is IPFamily.V4 and error.is_icmp:
            self._sent.setdefault((error.dst, error.icmp_type == _REDIRECT), []).append(self._clock())

    def spent(self, error: Packet) -> bool:
        """True when the receiver may have had its share, so that this error need not have been sent."""
        redirect = error.icmp_type == _REDIRECT
        if error.family is not IPFamily.V4 or not error.is_icmp:
            return False
        return self._recent(error.dst, redirect=True) > 0 or (
            not redirect and self._recent(error.dst, redirect=False) >= BURST
        )

    def _recent(self, receiver: int, *, redirect: bool) -> int:
        now = self._clock()
        return sum(1 for when in self._sent.get((receiver, redirect), ()) if now - when < _REFILL_S)
