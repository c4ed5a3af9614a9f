"""Tests of what conntrack keeps with a connection beside its state: counters, labels, helper.

Sources: net/netfilter/xt_connbytes.c, xt_connlabel.c, xt_helper.c, xt_cluster.c.
"""

from __future__ import annotations

from tortie.net.address import IPFamily
from tortie.netfilter.match import ClusterMatch, ConnbytesMatch, ConnlabelMatch, HelperMatch
from tortie.simulator.answer import Answer, Doubt, DoubtKind
from tortie.simulator.connection import Connection
from tortie.simulator.context import Context
from tortie.simulator.match_header import Holds
from tortie.simulator.match_tracking import no_entry
from tortie.simulator.nat import jhash2
from tortie.simulator.skb import Skb

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
