"""Tests of what conntrack keeps with a connection beside its state: counters, labels, helper, how many there are.

Sources: net/netfilter/xt_connbytes.c, xt_connlabel.c, xt_helper.c, xt_connlimit.c, nf_conncount.c, xt_cluster.c.
"""

from __future__ import annotations

from tortie.net.address import IPFamily, format_address, prefix_mask
from tortie.netfilter.conntrack import ConnTuple, TcpState
from tortie.netfilter.match import ClusterMatch, ConnbytesMatch, ConnlabelMatch, ConnlimitMatch, HelperMatch
from tortie.simulator.answer import HOTDROP, Answer, Doubt, DoubtKind
from tortie.simulator.connection import Connection
from tortie.simulator.conntrack import packet_tuple
from tortie.simulator.context import Context
from tortie.simulator.match_header import Holds
from tortie.simulator.match_tracking import no_entry
from tortie.simulator.nat import jhash2
from tortie.simulator.session import ConnKey, Session
from tortie.simulator.skb import Skb

_CLOSED = (TcpState.TIME_WAIT, TcpState.CLOSE)
_UNLIMITED = (1 << 64) - 1


# --- counters ----------------------------------------------------------------------------------------------------


def compile_connbytes(match: ConnbytesMatch, context: Context) -> Holds:
    """`-m connbytes`: the current packet is counted already; a connection that was never counted does not match.

    Inverting swaps the bounds, so that one number inverted is the same as not (connbytes_mt).
    """
    uncounted = frozenset(
        (entry.original, entry.zone_original) for entry in context.snapshot.connections or () if entry.packets is None
    )
    high = _UNLIMITED if match.high is None else match.high
    outside = match.inverted and match.low < high

    def test(skb: Skb) -> Answer:
        connection = skb.connection
        if connection is None or (connection.original, connection.zone_original) in uncounted:
            return False
        return (match.low <= seen_amount(match, connection) <= high) is not outside

    return test


def seen_amount(match: ConnbytesMatch, connection: Connection) -> int:
    """Packets, bytes, or bytes for each packet, of the direction that the rule asks for."""
    sides = {"original": (0,), "reply": (1,), "both": (0, 1)}[match.direction]
    packets = sum(connection.packets[side] for side in sides)
    size = sum(connection.bytes[side] for side in sides)
    if match.mode == "packets":
        return packets
    if match.mode == "bytes":
        return size
    return size // packets if packets else 0


def explain_connbytes(match: ConnbytesMatch, skb: Skb) -> str:
    """Why `-m connbytes` missed."""
    if skb.connection is None:
        return no_entry(skb)
    return f"the connection has {seen_amount(match, skb.connection)} {match.mode} ({match.direction})"


# --- labels and helpers ------------------------------------------------------------------------------------------


def compile_connlabel(match: ConnlabelMatch) -> Holds:
    """`-m connlabel`: `--set` puts the label on, which is then there. Labels of read connections are known if listed."""
    label, inverted = match.label, match.inverted
    doubt = Doubt(DoubtKind.UNKNOWN, f"the connection {'lacks' if inverted else 'has'} label {label}")

    def test(skb: Skb) -> Answer:
        connection = skb.connection
        if connection is None:
            return inverted
        if connection.labels is None and connection.from_snapshot:
            return doubt
        labels = _labels(connection)
        if label not in labels and match.set:
            connection.labels = ",".join((*labels, label))
            return not inverted
        return (label in labels) is not inverted

    return test


def _labels(connection: Connection) -> tuple[str, ...]:
    return tuple(connection.labels.split(",")) if connection.labels else ()


def explain_connlabel(match: ConnlabelMatch, skb: Skb) -> str:
    """Why `-m connlabel` missed."""
    if skb.connection is None:
        return no_entry(skb)
    return f"labels of the connection are {skb.connection.labels or 'none'}"


def compile_helper(match: HelperMatch) -> Holds:
    """`-m helper`: the helper of the connection that expected this one; without such a one the answer is inverted."""
    inverted = match.inverted
    doubt = Doubt(DoubtKind.UNKNOWN, f"helper {match.name} {'did not expect' if inverted else 'expected'} the connection")

    def test(skb: Skb) -> Answer:
        connection = skb.connection
        if connection is None or not connection.expected:
            return doubt if connection is not None and connection.from_snapshot else inverted
        return doubt

    return test


# --- how many ----------------------------------------------------------------------------------------------------


def compile_connlimit(match: ConnlimitMatch, context: Context) -> Holds:
    """`-m connlimit`: connections that came by this rule, grouped by the packet's source or destination.

    The rule's own list is in no snapshot. At least those are in it that the session saw begin here, at most all that
    have the address at either end; between the two the answer is a doubt.
    """
    mask = prefix_mask(context.family, match.mask_length)
    place, limit = context.place, match.limit
    wanted = match.above is not match.inverted

    def test(skb: Skb) -> Answer:
        packet, session = skb.packet, skb.session
        connection = skb.connection
        key = (connection.original, connection.zone_original) if connection is not None else _packet_key(skb)
        if key is None:
            return HOTDROP
        group = (packet.dst if match.by_destination else packet.src) & mask
        least = _counted(session, place, group, key, skb)
        if _is_over(skb) and least == 1 and session.connections_known and _possible(session, key, group, mask) == 1:
            return HOTDROP
        if least > limit:
            return wanted
        if session.connections_known and _possible(session, key, group, mask) <= limit:
            return not wanted
        text = f"{format_address(context.family, group)}/{match.mask_length}"
        return Doubt(
            DoubtKind.CHANCE, f"the rule has counted {'more than' if wanted else 'at most'} {limit} connections of {text}"
        )

    return test


def _is_over(skb: Skb) -> bool:
    """A packet of a connection that has ended counts for nothing, and a count of nothing drops it.

    Only while the connection is in the table: a RST that removes it at once counts. Source: nf_conncount_count_skb in
    nf_conncount.c and connlimit_mt, as observed on Linux 6.18.
    """
    connection = skb.connection
    if connection is None or not connection.confirmed or connection.tcp_state not in _CLOSED or skb.in_iface == "lo":
        return False
    return skb.session.find(connection.original, connection.zone_original, connection.zone_reply) is not None


def _packet_key(skb: Skb) -> ConnKey | None:
    found = packet_tuple(skb.packet)
    return (found, 0) if found is not None else None


def _counted(session: Session, place: tuple[str, str, int, int], group: int, key: ConnKey, skb: Skb) -> int:
    """Adds a connection that begins to the rule's list; returns how many of its group are surely in it."""
    listed = session.counted.get(place, frozenset())
    connection = skb.connection
    if connection is None or not connection.confirmed:
        listed |= {(group, key)}
        session.counted[place] = listed
    return sum(1 for other, one in listed if other == group and (one == key or _is_open(session, one)))


def _is_open(session: Session, key: ConnKey) -> bool:
    found = session.find(key[0], key[1], key[1])
    return found is not None and found[0].tcp_state not in _CLOSED


def _possible(session: Session, key: ConnKey, group: int, mask: int) -> int:
    """How many connections could be in the list of a group: those with the address at any end, and this one."""
    others = sum(
        1
        for connection in session.connections
        if (connection.original, connection.zone_original) != key
        and group in {address & mask for address in _ends(connection.original, connection.reply)}
    )
    return others + 1


def _ends(original: ConnTuple, reply: ConnTuple) -> tuple[int, int, int, int]:
    return original.src, original.dst, reply.src, reply.dst


# --- cluster -----------------------------------------------------------------------------------------------------


def compile_cluster(match: ClusterMatch) -> Holds:
    """`-m cluster`: a hash of the original source; makes a multicast frame to a unicast address a unicast one."""
    inverted = match.inverted
    doubt = Doubt(DoubtKind.UNKNOWN, "the connection that expected this one belongs to this node of the cluster")

    def test(skb: Skb) -> Answer:
        if skb.frame_type == "multicast" and not _is_multicast(skb.packet.family, skb.packet.dst):
            skb.frame_type = "unicast"
        connection = skb.connection
        if connection is None:
            return False
        if connection.expected:
            return doubt
        return bool(1 << cluster_node(match, connection) & match.node_mask) is not inverted

    return test


def cluster_node(match: ClusterMatch, connection: Connection) -> int:
    """The node, counted from 0, that a connection belongs to.

    Only the first four bytes of an IPv6 address are hashed (NF_CT_TUPLE_L3SIZE counts words, and jhash takes bytes).
    """
    source, family = connection.original.src, connection.original.family
    first = (source >> family.bits - 32).to_bytes(4, "big")
    return jhash2((int.from_bytes(first, "little"),), match.seed) * match.total >> 32


def _is_multicast(family: IPFamily, address: int) -> bool:
    return address >> 28 == 0xE if family is IPFamily.V4 else address >> 120 == 0xFF


def explain_cluster(match: ClusterMatch, skb: Skb) -> str:
    """Why `-m cluster` missed."""
    if skb.connection is None:
        return no_entry(skb)
    return f"the connection belongs to node {cluster_node(match, skb.connection) + 1} of {match.total}"
