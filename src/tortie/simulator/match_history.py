"""Tests decided by chance, by the clock's past, or by what the rule has seen before (spec: netfilter 7.6).

What a snapshot does not hold (tokens left in a bucket, a counter of packets) makes the answer a doubt, unless the session
has followed it from the start: `initial_memory` is what a freshly loaded rule remembers. Matches that are asked here
change the session, as they change the kernel's state, whether or not the rest of the rule holds.

Sources: net/netfilter/xt_limit.c, xt_hashlimit.c, xt_statistic.c, xt_quota.c, xt_recent.c.
"""

from __future__ import annotations

from tortie.net.address import IPFamily, format_address
from tortie.net.packet import Packet
from tortie.net.protocol import AH, DCCP, ESP, SCTP, TCP, UDP, UDPLITE
from tortie.netfilter.match import HashlimitMatch, LimitMatch, Match, QuotaMatch, RecentMatch, Side, StatisticMatch
from tortie.simulator.answer import HOTDROP, Answer, Doubt, DoubtKind
from tortie.simulator.context import Context
from tortie.simulator.ipv6_header import protocol_behind, transport_bytes
from tortie.simulator.match_header import Holds, always, never
from tortie.simulator.session import Session
from tortie.simulator.skb import Skb

_CERTAIN = 0x80000000
"""The threshold of `--probability 1`: a 31-bit random number is always below it."""
_PORTS_AT = {TCP: 0, UDP: 0, DCCP: 0, ESP: 0, SCTP: 0, UDPLITE: 0, AH: 4}
"""Where hashlimit finds ports (proto_ports_offset in include/linux/skbuff.h)."""


def initial_memory(match: Match) -> float | None:
    """What a match remembers when its rule has just been loaded (`Session.memory`); None when it has no such memory."""
    if isinstance(match, StatisticMatch) and match.every is not None:
        return match.every - 1 - (match.packet or 0)
    return match.quota if isinstance(match, QuotaMatch) else None


# --- buckets -----------------------------------------------------------------------------------------------------


def compile_limit(match: LimitMatch) -> Holds:
    """`-m limit`."""
    doubt = Doubt(DoubtKind.CHANCE, f"limit {match.rate} has tokens left")
    return lambda _: doubt


def compile_hashlimit(match: HashlimitMatch) -> Holds:
    """`-m hashlimit`; a packet too short for the ports it is grouped by is dropped (hashlimit_init_dst)."""
    doubt = Doubt(DoubtKind.CHANCE, f"its group in {match.name} is {'above' if match.above else 'within'} {match.rate}")
    if not {"srcport", "dstport"} & set(match.modes):
        return lambda _: doubt
    return lambda skb: doubt if _has_group(skb.packet) else HOTDROP


def _has_group(packet: Packet) -> bool:
    proto = protocol_behind(packet) if packet.family is IPFamily.V6 else packet.proto
    if proto is None or (proto == 59 and packet.family is IPFamily.V6):
        return False
    place = _PORTS_AT.get(proto)
    return place is None or packet.transport is None or len(transport_bytes(packet)) >= place + 4


# --- statistic ---------------------------------------------------------------------------------------------------


def compile_statistic(match: StatisticMatch, context: Context) -> Holds:
    """`-m statistic`."""
    if match.every is not None:
        return _compile_nth(match, match.every, context)
    threshold = match.probability or 0
    if threshold <= 0 or threshold >= _CERTAIN:
        return always if (threshold > 0) is not match.inverted else never
    chance = threshold / _CERTAIN
    if match.inverted:
        chance = 1 - chance
    doubt = Doubt(DoubtKind.CHANCE, f"chance of {chance:.4g}", chance)
    return lambda _: doubt


def _compile_nth(match: StatisticMatch, every: int, context: Context) -> Holds:
    place, inverted = context.place, match.inverted
    chance = 1 - 1 / every if inverted else 1 / every
    doubt = Doubt(DoubtKind.CHANCE, f"it is {'not ' if inverted else ''}the one of every {every} packets", chance)
    if every == 1:
        return never if inverted else always

    def test(skb: Skb) -> Answer:
        memory = skb.session.memory
        count = memory.get(place)
        if count is None:
            return doubt
        memory[place] = 0 if count >= every - 1 else count + 1
        return (memory[place] == 0) is not inverted

    return test


# --- quota -------------------------------------------------------------------------------------------------------


def compile_quota(match: QuotaMatch, context: Context) -> Holds:
    """`-m quota`: a packet that does not fit ends the quota for good."""
    place, most, inverted = context.place, match.quota, match.inverted
    doubt = Doubt(DoubtKind.CHANCE, f"the quota of {most} bytes is {'used up' if inverted else 'not used up'}")

    def test(skb: Skb) -> Answer:
        memory = skb.session.memory
        left = memory.get(place)
        length = skb.packet.length
        if left is None and length <= most:
            return doubt
        fits = left is not None and left >= length
        memory[place] = left - length if left is not None and fits else 0
        return fits is not inverted

    return test


# --- recent ------------------------------------------------------------------------------------------------------

PARTLY_KNOWN = -1
"""Key in a list of `Session.recent` that says that addresses which are not in it may be there all the same."""
_MOST_ADDRESSES = 100
_MOST_STAMPS = 256
"""The kernel keeps at least as many times as a rule can ask for, which is at most this many."""


def compile_recent(match: RecentMatch, context: Context) -> Holds:
    """`-m recent`: a list known to the session is exact; of another one only what the session put there itself."""
    mask = context.family.all_ones if match.mask is None else match.mask
    name, inverted, source = match.name, match.inverted, match.side is Side.SRC
    doubt = Doubt(DoubtKind.CHANCE, f"list {name} {'does not hold' if inverted else 'holds'} the address")

    def test(skb: Skb) -> Answer:
        packet, session = skb.packet, skb.session
        address = (packet.src if source else packet.dst) & mask
        if match.command == "set":
            _see(session, name, address)
            return not inverted
        held = _is_held(match, session, address)
        if held is None:
            return doubt
        if match.command == "remove":
            if held:
                _forget(session, name, address)
            return held is not inverted
        answer = held is not inverted
        seen = session.recent.get(name, {}).get(address)
        if seen and match.reap:
            session.recent[name][address] = _young(seen, session.clock_s, match.seconds)
        if seen and match.command == "update" and answer:
            _see(session, name, address)
        return answer

    return test


def _is_held(match: RecentMatch, session: Session, address: int) -> bool | None:
    """Whether the list holds the address often and recently enough; None when that is not known."""
    known = session.recent.get(match.name)
    if known is None:
        return None
    seen = known.get(address)
    if seen is None:
        return None if PARTLY_KNOWN in known else False
    if not seen:
        return False
    if match.ttl:
        return None
    if match.command == "remove":
        return True
    young = _young(seen, session.clock_s, match.seconds)
    if len(young) >= (match.hitcount or 1):
        return True
    return None if PARTLY_KNOWN in known else False


def _young(seen: tuple[float, ...], now: float, seconds: int | None) -> tuple[float, ...]:
    return seen if not seconds else tuple(stamp for stamp in seen if now - stamp <= seconds)


def _see(session: Session, name: str, address: int) -> None:
    known = session.recent.setdefault(name, {PARTLY_KNOWN: ()})
    seen = known.pop(address, None)
    if seen is None and PARTLY_KNOWN not in known and len(known) >= _MOST_ADDRESSES:
        known.pop(next(iter(known)))
    known[address] = (*(seen or ()), session.clock_s)[-_MOST_STAMPS:]


def _forget(session: Session, name: str, address: int) -> None:
    known = session.recent[name]
    if PARTLY_KNOWN in known:
        known[address] = ()
    else:
        known.pop(address, None)


def explain_recent(match: RecentMatch, skb: Skb, context: Context) -> str:
    """Why `-m recent` missed."""
    packet = skb.packet
    address = packet.src if match.side is Side.SRC else packet.dst
    text = format_address(context.family, address if match.mask is None else address & match.mask)
    if match.command == "set":
        return f"{text} is put into list {match.name}"
    often = f" {match.hitcount} times" if match.hitcount else ""
    recently = f" within {match.seconds} seconds" if match.seconds else ""
    return f"{text} is {'' if match.inverted else 'not '}in list {match.name}{often}{recently}"
