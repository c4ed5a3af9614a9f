"""What a walk has settled at its forks, so that it neither asks again nor contradicts itself.

Where a part of the snapshot is missing many rules put the same question to it: whether an address is in a set, whether the
packet leaves by some device. Every outcome takes one answer, and later questions that follow from it are answered by it.
Without this a packet could leave by two devices at once in one outcome, and outcomes would double with every rule.

Only what cannot change while the packet is on its way is remembered. Chance and history are asked anew each time, and so is
everything about a match that Tortie does not know.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from tortie.netfilter.match import AddrtypeMatch, Match, OutInterfaceMatch, SetMatch, Side
from tortie.simulator.skb import Skb

_LOCAL = ("LOCAL",)


class Learned:
    """The answers one walk has taken."""

    __slots__ = ("_facts",)

    def __init__(self) -> None:
        self._facts: dict[Hashable, bool] = {}

    def answer(self, match: Match, skb: Skb) -> bool | None:
        """Whether the match holds by what was settled before; None when that does not tell."""
        if isinstance(match, OutInterfaceMatch):
            found = _leaves_by(match.name, skb.out_clues)
            return None if found is None else found is not match.inverted
        fact = _fact(match, skb)
        if fact is None:
            return None
        key, inverted = fact
        found = self._facts.get(key)
        return None if found is None else found is not inverted

    def note(self, match: Match, skb: Skb, *, holds: bool) -> None:
        """Remembers that a match was taken to hold, or not to; a device that is named is known from then on."""
        if isinstance(match, OutInterfaceMatch):
            positive = holds is not match.inverted
            skb.out_clues = (*skb.out_clues, (match.name, positive))
            if positive and not match.name.endswith("+"):
                skb.out_iface = match.name
            return
        fact = _fact(match, skb)
        if fact is not None:
            key, inverted = fact
            self._facts[key] = holds is not inverted

    def is_local(self, address: int) -> bool | None:
        """Whether an address was taken to be the node's own; None when that was not asked."""
        return self._facts.get(_own(address))

    def note_local(self, address: int, *, holds: bool) -> None:
        """Remembers whether an address is taken to be the node's own."""
        self._facts[_own(address)] = holds

    def forget(self) -> None:
        """After a target of unknown effect, which may have changed anything."""
        self._facts.clear()


def _own(address: int) -> Hashable:
    return (AddrtypeMatch, address, _LOCAL)


def _fact(match: Match, skb: Skb) -> tuple[Hashable, bool] | None:
    """The question that a match puts, and whether it asks for the opposite; None for one that is asked anew each time."""
    match match:
        case SetMatch() if match.packets is None and match.bytes is None:
            sets = skb.session.sets
            if sets is not None and match.name in sets:
                return None
            plain = replace(match, inverted=False, update_counters=True, update_subcounters=True)
            return (plain, _looked_up(match.sides, skb)), match.inverted
        case AddrtypeMatch() if not (match.limit_iface_in or match.limit_iface_out):
            tests = [
                (address, test)
                for address, test in ((skb.packet.src, match.source), (skb.packet.dst, match.destination))
                if test is not None
            ]
            if len(tests) != 1:
                return None
            address, test = tests[0]
            return (AddrtypeMatch, address, test.value), test.inverted
        case _:
            return None


def _looked_up(sides: tuple[Side, ...], skb: Skb) -> Hashable:
    """All that a set of unknown type may look at: one end for one dimension, else also the mark and the devices."""
    packet = skb.packet
    ends = (packet.src, packet.sport), (packet.dst, packet.dport)
    if len(sides) == 1:
        return packet.proto, ends[sides[0] is not Side.SRC]
    return packet.proto, ends, skb.mark, skb.in_iface, skb.out_iface


def _leaves_by(name: str, clues: tuple[tuple[str, bool], ...]) -> bool | None:
    """Whether the device is `name` (with `+`: begins so), by what is known of it; None when it may be either."""
    prefix = name[:-1] if name.endswith("+") else None
    for clue, positive in clues:
        if not clue.endswith("+"):
            # One that was named would be known, so this one it is not.
            if name == clue:
                return False
            continue
        begin = clue[:-1]
        if not positive:
            if (name if prefix is None else prefix).startswith(begin):
                return False
        elif prefix is not None and begin.startswith(prefix):
            return True
        elif not (name if prefix is None else prefix).startswith(begin):
            return False
    return None
