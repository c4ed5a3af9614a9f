"""The kernel's bucket of ICMP errors for each sender, which no sysctl of a namespace switches off.

An IPv4 packet that routing refuses costs its sender one of five tokens, whether or not an error about it is sent; one comes
back each second (ip_error in net/ipv4/route.c). When a sender has had that many, a missing error says nothing. Redirects
to one sender come more and more rarely, and empty the bucket: after the first, no missing error says anything
(ip_rt_send_redirect), however long ago it was. Errors of other causes (REJECT, TTL, MTU) have no such limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable

BURST = 5
_REFILL_S = 60.0


class Patience:
    """Counts what a node has refused its senders."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._refused: dict[int, list[float]] = {}
        self._redirected: set[int] = set()

    def note_refusal(self, sender: int) -> None:
        """Routing refused a packet of this sender."""
        self._refused.setdefault(sender, []).append(self._clock())

    def note_redirect(self, sender: int) -> None:
        """This sender was, or may have been, told of a better way."""
        self._redirected.add(sender)

    def spent(self, sender: int) -> bool:
        """True when the sender may have had its share, so that the next error or redirect need not have been sent."""
        now = self._clock()
        recent = sum(1 for when in self._refused.get(sender, ()) if now - when < _REFILL_S)
        return sender in self._redirected or recent >= BURST
