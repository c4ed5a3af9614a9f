"""Which steps and departures belong to the injected packet, and which to packets the node made because of it.

The trace mixes them. They are told apart by what they are: an answer is never of the same kind as what it answers (an
ICMP error is not answered by an ICMP error, a RST not by a RST), and NAT never changes a packet's kind. Copies made by
TEE and answers of listening sockets can be of the same kind; they start at OUTPUT while the packet itself is elsewhere.

Invariant: a raw table exists, so the first sighting of a packet that reaches any hook is its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tests.kernel.oracle.outcome import Departure, KernelStep, KernelWalk, Kind, Origin
from tests.kernel.oracle.trace import Sighting
from tortie.net.protocol import ICMP, ICMPV6, TCP, UDP
from tortie.netfilter.hook import Hook

_EXTENSIONS = frozenset({0, 43, 60, 51, 135})
_FRAGMENT = 44
_RST, _ACK, _SYN = 4, 16, 2
_ICMP_ERRORS = {4: frozenset({3, 4, 5, 11, 12}), 6: frozenset({1, 2, 3, 4})}
_ICMP_REPLIES = {4: frozenset({0, 14, 16, 18}), 6: frozenset({129, 140})}


def packet_kind(data: bytes) -> Kind:
    """The kind of a packet; OTHER where the bytes end too early to say."""
    version = data[0] >> 4 if data else 0
    if version == 4 and len(data) >= 20:
        proto, body = data[9], data[(data[0] & 15) * 4 :]
        later = bool(int.from_bytes(data[6:8], "big") & 0x1FFF)
    elif version == 6 and len(data) >= 40:
        proto, body, later = _behind_extensions(data)
    else:
        return Kind.OTHER
    if later:
        return Kind.LATER_FRAGMENT
    if proto == (ICMP if version == 4 else ICMPV6) and body:
        if body[0] in _ICMP_ERRORS[version]:
            return Kind.ICMP_ERROR
        return Kind.ICMP_REPLY if body[0] in _ICMP_REPLIES[version] else Kind.OTHER
    if proto == TCP and len(body) > 13:
        if body[13] & _RST:
            return Kind.RESET
        return Kind.HANDSHAKE_ANSWER if body[13] & (_SYN | _ACK) == _SYN | _ACK else Kind.OTHER
    return Kind.OTHER


def _behind_extensions(data: bytes) -> tuple[int, bytes, bool]:
    proto, at = data[6], 40
    while proto in _EXTENSIONS or proto == _FRAGMENT:
        if at + 8 > len(data):
            break
        if proto == _FRAGMENT:
            size = 8
            if int.from_bytes(data[at + 2 : at + 4], "big") & 0xFFF8:
                return data[at], b"", True
        else:
            size = (data[at + 1] + 2) * 4 if proto == 51 else (data[at + 1] + 1) * 8
        proto, at = data[at], at + size
    return proto, data[at:], False


def packet_keys(data: bytes) -> tuple[int, int] | None:
    """Both ports of a packet of which at least the headers are there, or twice its ICMP identifier; None without."""
    if data[0] >> 4 == 4:
        proto, body = data[9], data[(data[0] & 15) * 4 :]
    else:
        proto, body, _ = _behind_extensions(data)
    at = {ICMP: (4, 4), ICMPV6: (4, 4), TCP: (0, 2), UDP: (0, 2)}.get(proto)
    if at is None or len(body) < 8:
        return None
    return int.from_bytes(body[at[0] : at[0] + 2], "big"), int.from_bytes(body[at[1] : at[1] + 2], "big")


@dataclass(slots=True)
class _Group:
    origin: Origin
    kind: Kind
    sightings: list[Sighting] = field(default_factory=list)

    @property
    def steps(self) -> tuple[KernelStep, ...]:
        return tuple(sighting.step for sighting in self.sightings)

    @property
    def seen(self) -> list[bytes]:
        return [sighting.data for sighting in self.sightings if sighting.data is not None]

    @property
    def icmp_type(self) -> int | None:
        return packet_icmp_type(self.sightings[0].data or b"") if self.sightings else None


def separate(
    legacy: Sequence[Sighting], nft: Sequence[Sighting] | None, injected: bytes, *, local: bool
) -> tuple[KernelWalk, ...]:
    """Walks with the steps of one back-end, the injected packet's first, even when nothing was seen of it.

    The legacy trace is always there (of an empty raw table at least) and shows whole packets; with `nft` given, the steps
    are nft's and the bytes those that the legacy trace saw of the same packet.
    """
    start = Hook.OUTPUT if local else Hook.PREROUTING
    kind = packet_kind(injected)
    if legacy and legacy[0].step.hook is start:
        kind = packet_kind(legacy[0].data or b"")
    elif nft and nft[0].step.hook is start and nft[0].data is not None and not _has_extensions(nft[0].data):
        kind = packet_kind(nft[0].data)
    groups = _legacy_groups(legacy, kind, local)
    if nft is None:
        return tuple(_walk(group, group.steps) for group in groups)
    stepped = _nft_groups(nft, kind, local=local, copied=any(group.origin is Origin.COPY for group in groups))
    walks = []
    for group in groups:
        twin = next((other for other in stepped if _is_twin(group, other)), None)
        if twin is not None:
            stepped.remove(twin)
        walk = _walk(group, twin.steps if twin is not None else ())
        if twin is not None and twin.sightings and twin.sightings[0].start_mark is not None:
            walk = replace(walk, first_mark=twin.sightings[0].start_mark)
        if twin is not None and twin.seen:
            walk = replace(walk, last_keys=packet_keys(twin.seen[-1]))
        walks.append(walk)
    return (*walks, *(KernelWalk(group.origin, group.kind, group.steps) for group in stepped))


def _is_twin(group: _Group, other: _Group) -> bool:
    """True for the same packet in the other trace, which may have seen the fragment that became the whole packet."""
    if group.origin is not other.origin:
        return False
    return group.origin is Origin.INJECTED or (group.kind is other.kind and group.icmp_type == other.icmp_type)


def _walk(group: _Group, steps: tuple[KernelStep, ...]) -> KernelWalk:
    seen = group.seen
    if not seen:
        return KernelWalk(group.origin, group.kind, steps)
    places = [sighting.step.hook for sighting in group.sightings]
    hooks = tuple(hook for hook, before in zip(places, [None, *places], strict=False) if hook is not before)
    first = group.sightings[0].step
    return KernelWalk(
        group.origin, group.kind, steps, seen[0], seen[-1], first.mark, hooks, first.out_iface, packet_keys(seen[-1])
    )


_WHOLE = (Kind.OTHER, Kind.HANDSHAKE_ANSWER)
"""What fragments may turn out to be once they are put together."""


def _legacy_groups(sightings: Sequence[Sighting], own_kind: Kind, local: bool) -> list[_Group]:
    own = _Group(Origin.INJECTED, own_kind)
    others: list[_Group] = []
    closed: set[int] = set()
    for sighting in sightings:
        kind = packet_kind(sighting.data or b"")
        if own.kind is Kind.LATER_FRAGMENT and sighting.step.hook is Hook.INPUT and kind in _WHOLE:
            # Fragments for the node are put together between PREROUTING and INPUT.
            own.kind = kind
        copy = _in_copy([group for group in others if id(group) not in closed], sighting)
        if kind is not own.kind:
            _made(others, kind, sighting).sightings.append(sighting)
        elif copy is None and sighting.step.hook is Hook.OUTPUT and (not local or _has_left_output(own)):
            others.append(_Group(Origin.COPY, kind, [sighting]))
        else:
            if copy is None:
                # A copy is made and gone before its original goes on.
                closed.update(id(group) for group in others if group.origin is Origin.COPY)
            (copy or own).sightings.append(sighting)
    return [own, *others]


def _made(groups: list[_Group], kind: Kind, sighting: Sighting) -> _Group:
    """The newest packet of a kind, or a new one when this sighting starts another packet of that kind."""
    icmp_type = packet_icmp_type(sighting.data or b"")
    for group in reversed(groups):
        if group.kind is kind and group.origin is Origin.MADE and group.icmp_type == icmp_type:
            if sighting.step.hook is Hook.OUTPUT and _has_left_output(group):
                break
            return group
    groups.append(_Group(Origin.MADE, kind))
    return groups[-1]


def packet_icmp_type(data: bytes) -> int | None:
    """What tells two ICMP errors about one packet apart: a redirect and an unreachable, say."""
    at = (data[0] & 15) * 4 if data and data[0] >> 4 == 4 else 40
    return data[at] if packet_kind(data) is Kind.ICMP_ERROR and len(data) > at else None


def _has_left_output(group: _Group) -> bool:
    return any(sighting.step.hook is not Hook.OUTPUT for sighting in group.sightings)


_ONWARD = frozenset({(Hook.OUTPUT, Hook.OUTPUT), (Hook.OUTPUT, Hook.POSTROUTING), (Hook.POSTROUTING, Hook.POSTROUTING)})


def _in_copy(groups: list[_Group], sighting: Sighting) -> _Group | None:
    """The copy that this sighting continues: it goes on at OUTPUT or POSTROUTING by the copy's own device."""
    for group in reversed(groups):
        if group.origin is Origin.COPY:
            last = group.sightings[-1].step
            onward = (last.hook, sighting.step.hook) in _ONWARD and last.out_iface == sighting.step.out_iface
            return group if onward else None
    return None


def _nft_groups(sightings: Sequence[Sighting], own_kind: Kind, *, local: bool, copied: bool) -> list[_Group]:
    """Groups of an nft trace: packets are numbered there, anew on `lo`; `copied` says that there are copies."""
    own = _Group(Origin.INJECTED, own_kind)
    groups = [own]
    own_numbers: set[int] = set()
    copies: dict[int, _Group] = {}
    for sighting in sightings:
        number = sighting.packet_number or 0
        kind = own_kind
        if sighting.data is not None and not _has_extensions(sighting.data):
            kind = packet_kind(sighting.data)
        if own.kind is Kind.LATER_FRAGMENT and sighting.step.hook is Hook.INPUT and kind in _WHOLE:
            own.kind = kind
        if kind is not own.kind:
            _made(groups, kind, sighting).sightings.append(sighting)
        elif number in copies:
            copies[number].sightings.append(sighting)
        elif number not in own_numbers and _starts_copy(sighting.step.hook, own, local=local, copied=copied):
            copies[number] = _Group(Origin.COPY, kind, [sighting])
            groups.append(copies[number])
        else:
            own_numbers.add(number)
            own.sightings.append(sighting)
    return groups


def _starts_copy(hook: Hook, own: _Group, *, local: bool, copied: bool) -> bool:
    """True when a packet seen for the first time, at this hook, is a copy of the injected one."""
    if hook is Hook.OUTPUT:
        return not local or bool(own.sightings)
    return hook is Hook.POSTROUTING and copied and bool(own.sightings)


def _has_extensions(headers: bytes) -> bool:
    """True where nft leaves headers out between the IPv6 header and the transport header; no answer has any."""
    return headers[0] >> 4 == 6 and (headers[6] in _EXTENSIONS or headers[6] == _FRAGMENT)


def _last_device(walk: KernelWalk) -> str:
    return walk.steps[-1].out_iface if walk.steps else ""


def _went_out(walk: KernelWalk) -> bool:
    return any(step.hook is Hook.POSTROUTING for step in walk.steps)


def _datagram(data: bytes) -> bytes:
    """What all fragments of one packet share: addresses and identification."""
    if data[0] >> 4 == 4:
        return data[12:20] + data[4:6]
    return data[8:40] + (data[44:48] if data[6] == _FRAGMENT else b"")


def assign_departures(departures: Sequence[tuple[str, bytes]], walks: Sequence[KernelWalk]) -> tuple[Departure, ...]:
    """Says whose departures these are: by kind, and between packets of one kind by the device."""
    own = walks[0]
    own_kind = packet_kind(own.last) if own.last is not None else None
    copies = [walk for walk in walks[1:] if walk.origin is Origin.COPY]
    found = []
    of_datagram: dict[bytes, Origin] = {}
    gone = _went_out(own)
    copied = [
        (copy.last, _last_device(copy))
        for copy in copies
        if copy.last is not None and (copy.last != own.last or _went_out(copy) or not gone)
    ]
    for iface, data in departures:
        kind = packet_kind(data)
        origin = Origin.MADE
        datagram = _datagram(data)
        if kind is Kind.LATER_FRAGMENT and datagram in of_datagram:
            origin = of_datagram[datagram]
        elif kind in (Kind.LATER_FRAGMENT, own_kind or kind) or (own_kind is Kind.LATER_FRAGMENT and kind is Kind.OTHER):
            origin = Origin.INJECTED
            other_way = any(_last_device(copy) == iface for copy in copies) and _last_device(own) != iface
            if (data, iface) in copied or other_way:
                # Copies are not translated: they leave as they were last seen.
                origin = Origin.COPY
                copied = [one for one in copied if one != (data, iface)]
        of_datagram[datagram] = origin
        found.append(Departure(iface, data, origin))
    return tuple(found)
