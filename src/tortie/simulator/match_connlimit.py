"""`-m connlimit`: how many connections of an address a rule has counted.

Each rule keeps a list of its own, grouped by masked address and zone, that no snapshot shows. A connection's packet is put
into it until the connection is confirmed; what has ended or left the table is taken out. How exactly differs by kernel:
until 6.18 every packet was put in that was not there, later ones of confirmed connections are not, and then a list may be
empty, whereupon the packet is dropped. Within one tick of the kernel's clock nothing is taken out, and a connection that
meets the rule twice before it is confirmed may count twice.

So the number has bounds: at least those that are in the list by every kernel's account, at most all that could be. Between
them the answer is a doubt, and where even this packet's own connection need not be in the list, the doubt includes a drop.

Sources: net/netfilter/xt_connlimit.c, nf_conncount.c (Linux 4.15 to 6.18).
"""

from __future__ import annotations

from tortie.net.address import format_address, prefix_mask
from tortie.netfilter.conntrack import TcpState
from tortie.netfilter.hook import TableName
from tortie.netfilter.match import ConnlimitMatch
from tortie.simulator.answer import HOTDROP, Answer, Doubt, DoubtKind
from tortie.simulator.connection import Connection
from tortie.simulator.conntrack import packet_tuple
from tortie.simulator.context import Context
from tortie.simulator.match_header import Holds
from tortie.simulator.session import ConnKey, Counted, Place, Session
from tortie.simulator.skb import Skb

_CLOSED = (TcpState.TIME_WAIT, TcpState.CLOSE)
_MOMENT_S = 0.02
"""Two ticks of the slowest kernel: as long may an entry be listed whose connection never came to be."""


def compile_connlimit(match: ConnlimitMatch, context: Context) -> Holds:
    """`-m connlimit`, above or up to a number of connections."""
    mask = prefix_mask(context.family, match.mask_length)
    place, limit = context.place, match.limit
    wanted = match.above is not match.inverted

    def test(skb: Skb) -> Answer:
        key = _key(skb)
        if key is None:
            return HOTDROP
        address = (skb.packet.dst if match.by_destination else skb.packet.src) & mask
        text = f"{format_address(context.family, address)}/{match.mask_length}"
        why = f"the rule has counted {'more than' if wanted else 'at most'} {limit} connections of {text}"
        drop = f"the rule has counted no connection of {text}, and drops the packet for that"
        if skb.connection is None and skb.template is not None:
            return Doubt(DoubtKind.UNKNOWN, why, drop=drop)
        least, most = _count(skb, place, (address, _zone(skb.connection)), mask, key)
        if least > limit:
            return wanted
        sure = not wanted if skb.session.connections_known and most <= limit else None
        if least:
            return sure if sure is not None else Doubt(DoubtKind.CHANCE, why)
        return Doubt(DoubtKind.CHANCE, why, drop=drop, otherwise=sure)

    return test


def _key(skb: Skb) -> ConnKey | None:
    """What a packet is listed under: its connection, or its own tuple where it has none."""
    connection = skb.connection
    if connection is not None:
        return connection.original, connection.zone_original
    found = packet_tuple(skb.packet)
    return (found, 0) if found is not None else None


def _zone(connection: Connection | None) -> int:
    return connection.zone_original or connection.zone_reply if connection is not None else 0


def _count(skb: Skb, place: Place, group: tuple[int, int], mask: int, key: ConnKey) -> tuple[int, int]:
    """The least and the most that the list of a group can hold once this packet has been put in, which it is."""
    session, connection = skb.session, skb.connection
    now = session.clock_s
    listed = [
        one for one in session.counted.get(place, ()) if now - one.when_s < _MOMENT_S or session.peek(one.key) is not None
    ]
    is_new = not connection.confirmed if connection is not None else session.peek(key) is None
    if is_new:
        listed.append(Counted(group, key, now))
    session.counted[place] = tuple(listed)
    of_group = [one.key for one in listed if one.group == group]
    distinct = set(of_group)
    least = sum(1 for one in distinct if (is_new and one == key) or _is_open(session, one))
    possible = _possible(session, group[0], mask, twice=place[0] == TableName.RAW.value)
    most = len(distinct | possible.keys() | {key}) + sum(possible.values()) + len(of_group) - len(distinct)
    return least, most


def _is_open(session: Session, key: ConnKey) -> bool:
    found = session.peek(key)
    return found is not None and found.tcp_state not in _CLOSED


def _possible(session: Session, address: int, mask: int, *, twice: bool) -> dict[ConnKey, int]:
    """Connections with an end in a group, as these could be listed; how often more than once.

    Before tracking, in raw, a packet has only its own tuple, so that both directions of a connection may be there.
    """
    found = {}
    for connection in session.connections:
        original, reply = connection.original, connection.reply
        sides = [address in (one.src & mask, one.dst & mask) for one in (original, reply)]
        if any(sides):
            found[original, connection.zone_original] = int(twice)
    return found
