"""The simulator's front door: a snapshot becomes a `Node`, a packet's `Arrival` becomes a `Walk`.

A walk is run once for each combination of things the snapshot cannot decide (`choice`); each run works in a child of the
session, and the first outcome's changes become the session's, so that the next packet meets the connection this one made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.net.packet import Packet
from tortie.net.protocol import DCCP
from tortie.netfilter.conntrack import ConnEntry
from tortie.netfilter.match import CtState, Direction
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.answer import DoubtKind
from tortie.simulator.bridge import bridge_of, receive_frame
from tortie.simulator.choice import Chooser, explore
from tortie.simulator.hooks import FamilyNode, compile_family
from tortie.simulator.ipset import index_sets
from tortie.simulator.nat import Manipulation, PickPort
from tortie.simulator.path import Arrived, enter, send, send_reply
from tortie.simulator.release import DCCP_GONE, is_older, release_of
from tortie.simulator.reply import Reply
from tortie.simulator.run import Ended, Run, SendAnswer
from tortie.simulator.session import Session, load_connections
from tortie.simulator.skb import Skb, Socket
from tortie.simulator.trace import Cause, DecidedBy, Disposition, Trace, Verdict, Walk

MOST_ANSWERS = 8
"""Answers to answers are followed this deep."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A packet and how it meets the node."""

    packet: Packet
    in_iface: str | None = None
    """Device it comes in by, empty when that is not known; None for a packet the node makes itself."""
    mark: int = 0
    out_iface: str | None = None
    """Device a local packet's socket is bound to; for others, where it would leave, used only without routes."""
    socket: Socket | None = None
    """Sending socket of a local packet, None when nothing is known of it."""
    mac_source: bytes | None = None
    """Source address of the Ethernet frame: six bytes, None when not known."""
    mac_destination: bytes | None = None
    """Destination address of the frame, which decides what a bridge does with it."""
    frame_type: str | None = "unicast"
    """unicast, broadcast, multicast or otherhost; None when not known."""
    state: CtState | None = None
    """Conntrack state to take instead of looking the packet up."""
    about: tuple[ConnEntry, Direction] | None = None
    """For an ICMP error that the node sends: connection and direction of the packet it is about (icmp_glue_bits)."""


class Node:
    """A snapshot ready for any number of packets."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._families: dict[IPFamily, FamilyNode] = {}
        self._sets = index_sets(snapshot.ip_sets)

    @classmethod
    def from_snapshot(cls, snapshot: Snapshot) -> Node:
        """Makes a snapshot ready; each family's rules are compiled when its first packet comes."""
        return cls(snapshot)

    def family(self, family: IPFamily) -> FamilyNode:
        """The part of one family."""
        found = self._families.get(family)
        if found is None:
            found = self._families[family] = compile_family(self.snapshot, family)
        return found

    def session(self, *, clock_s: float = 0.0, connections: Iterable[ConnEntry] | None = None) -> Session:
        """A fresh table of connections, sets and memories as the snapshot has them; `clock_s` is seconds since 1970.

        With `connections` it has those of the snapshot's alone, for who knows that a packet can meet no others.
        """
        entries = self.snapshot.connections
        session = Session(
            self._sets,
            clock_s=clock_s,
            connections_known=entries is not None,
            release=release_of(self.snapshot.sysctls),
        )
        load_connections(session, (entries or ()) if connections is None else connections)
        return session


def walk(
    node: Node,
    arrival: Arrival,
    session: Session | None = None,
    *,
    assume: Mapping[str, str] | None = None,
    keep_steps: bool = True,
    keep_misses: bool = True,
    pick: PickPort | None = None,
) -> Walk:
    """Walks one packet through a node and returns every outcome it can have.

    `session` is changed as the first outcome says; without one the packet meets the node as the snapshot shows it.
    `assume` decides choices by subject; `pick` chooses among ports that the kernel would draw at random. Without
    `keep_misses` steps of rules that missed say only in which chain, so that they cost nothing where they are many.
    """
    result, sessions = walk_all(
        node, arrival, session, assume=assume, keep_steps=keep_steps, keep_misses=keep_misses, pick=pick
    )
    sessions[0].commit()
    return result


def walk_all(
    node: Node,
    arrival: Arrival,
    session: Session | None = None,
    *,
    assume: Mapping[str, str] | None = None,
    keep_steps: bool = True,
    keep_misses: bool = True,
    pick: PickPort | None = None,
) -> tuple[Walk, tuple[Session, ...]]:
    """As `walk`, but commits nothing: the sessions stand beside the outcomes, and the caller commits one of them."""
    root = node.session() if session is None else session
    family = node.family(arrival.packet.family)
    _check_interface(node, arrival)

    def one(chooser: Chooser) -> tuple[Trace, Session]:
        child = root.begin()
        run = Run(child, chooser, pick or _lowest, _answering(family), keep_steps=keep_steps, keep_misses=keep_misses)
        return _walk_once(family, arrival, run), child

    results, cut = explore(one, assume)
    outcomes = tuple(trace for trace, _ in results)
    return Walk(outcomes, _sum_up(outcomes, cut=cut), not cut), tuple(child for _, child in results)


def _lowest(manipulation: Manipulation, low: int, high: int) -> int:
    return low


def _check_interface(node: Node, arrival: Arrival) -> None:
    links = node.snapshot.links
    for name in (arrival.in_iface, arrival.out_iface):
        if name and links is not None and name not in node.family(arrival.packet.family).router.link_names:
            raise InvalidInput(
                f"no interface {name!r} on this node", remedy=f"it has {', '.join(link.name for link in links[:20])}"
            )


def _answering(family: FamilyNode) -> SendAnswer:
    """Sends what a packet makes the node send, and what that makes it send, down to a depth."""

    def send_answer(cause: Run, about: Skb, reply: Reply) -> None:
        copied = reply.gateway is not None
        # Copies are not copied again (in_nf_duplicate in nf_dup_ipv4.c).
        if depth[0] == MOST_ANSWERS or (copied and copying) or _is_mute(about, reply):
            return
        depth[0] += 1
        if copied:
            copying.append(reply)
        child = cause.child()
        skb = Skb(reply.packet, cause.session, mark=reply.mark)
        skb.frame_type = about.frame_type if copied else "unicast"
        cause.answers.append(_finish(child, skb, None, lambda: send_reply(child, skb, family, reply)))
        depth[0] -= 1
        if copied:
            copying.pop()

    depth = [0]
    copying: list[Reply] = []
    return send_answer


def _walk_once(family: FamilyNode, arrival: Arrival, run: Run) -> Trace:
    session = run.session
    in_iface = None if arrival.in_iface == "" else arrival.in_iface or ""
    skb = Skb(arrival.packet, session, in_iface=in_iface, mark=arrival.mark)
    skb.assumed_state = arrival.state
    skb.mac_source, skb.mac_destination, skb.frame_type = arrival.mac_source, arrival.mac_destination, arrival.frame_type
    skb.bound_iface = arrival.out_iface
    skb.socket = arrival.socket
    skb.socket_known = arrival.socket is not None
    if arrival.about is not None:
        _attach(skb, *arrival.about)
    for remark in family.remarks:
        run.assume(remark)
    if arrival.packet.proto == DCCP:
        if is_older(session.release, DCCP_GONE):
            text = "this kernel is older than Linux 6.16 and follows DCCP in its own way, which is not simulated"
            return _unknown(arrival, text)
        if session.release is None:
            run.assume("the kernel is Linux 6.16 or newer: an older one follows DCCP in its own way")
    if family.tracking and not session.connections_known and arrival.state is None:
        run.assume("no conntrack table in the snapshot: the packet is taken to be the first of its connection")
    if not family.rules_known:
        return _unknown(arrival, f"the snapshot holds no rules for IPv{family.family.value}")
    if arrival.in_iface is None:
        return _finish(run, skb, None, lambda: send(run, skb, family))
    bridge = bridge_of(family, arrival.in_iface)
    if bridge is not None:
        return _finish(run, skb, arrival.in_iface, lambda: receive_frame(run, skb, family, bridge, arrival.mac_destination))
    return _finish(run, skb, arrival.in_iface, lambda: enter(run, skb, family))


def _unknown(arrival: Arrival, why: str) -> Trace:
    decided_by = DecidedBy(Cause.MISSING, why)
    return Trace(arrival.packet, arrival.in_iface, Verdict.UNKNOWN, Disposition.UNKNOWN, decided_by)


def _is_mute(about: Skb, reply: Reply) -> bool:
    """While the node sends an ICMP message of its own it cannot make another (icmp_xmit_lock, icmpv6_xmit_lock)."""
    own = about.local_output and about.socket is not None and not about.socket.has_file
    return own and about.packet.is_icmp and reply.gateway is None and reply.packet.is_icmp


def _attach(skb: Skb, entry: ConnEntry, direction: Direction) -> None:
    """Makes a packet part of the connection of the one it answers, before any table sees it."""
    found = skb.session.find(entry.original, entry.zone_original, entry.zone_reply)
    if found is not None:
        skb.connection, skb.ct_state = found[0], CtState.RELATED
        skb.ct_direction = Direction.REPLY if direction is Direction.ORIGINAL else Direction.ORIGINAL


def _finish(run: Run, skb: Skb, in_iface: str | None, go: Callable[[], Arrived]) -> Trace:
    """Runs a packet's way to its end and makes the trace of it."""
    packet = skb.packet
    out = errno = None
    try:
        arrived = go()
    except Ended as ended:
        verdict, disposition, decided_by, errno = ended.verdict, ended.disposition, ended.decided_by, ended.errno
        if verdict is Verdict.UNKNOWN:
            disposition = Disposition.UNKNOWN
    else:
        verdict, disposition, out = Verdict.ACCEPT, arrived.disposition, arrived.out
        decided_by = run.decided_by or DecidedBy(Cause.ROUTE, "no table had a say")
    connection = skb.connection
    return Trace(
        packet,
        in_iface,
        verdict,
        disposition,
        decided_by,
        tuple(run.steps or ()),
        out,
        connection.entry() if connection is not None and connection.confirmed and run.steps is not None else None,
        tuple(run.chooser.taken),
        tuple(run.assumptions),
        tuple(run.answers),
        errno if in_iface is None else None,
    )


def _sum_up(outcomes: tuple[Trace, ...], *, cut: bool) -> Verdict:
    """One verdict for all outcomes: theirs if they agree, else why they differ."""
    verdicts = {trace.verdict for trace in outcomes}
    if len(verdicts) == 1 and not cut:
        return outcomes[0].verdict
    conditions = (condition for trace in outcomes for condition in trace.conditions if not condition.assumed)
    unknown = any(condition.kind is DoubtKind.UNKNOWN for condition in conditions)
    return Verdict.UNKNOWN if unknown or Verdict.UNKNOWN in verdicts else Verdict.MAYBE
