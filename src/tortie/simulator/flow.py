"""A conversation: the first packet, the answer to it, and the next packet, over one session.

The answer is made from the packet as it really left, the way the other side would make it, and arrives where the first
packet went. What the other side does beyond answering is not known, so a flow says whether the node lets both directions
through, not whether anybody listens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from msgspec import structs

from tortie.net.address import IPFamily
from tortie.net.packet import Packet
from tortie.net.protocol import ICMP, ICMPV6, SCTP, TCP
from tortie.simulator.nat import PickPort
from tortie.simulator.session import Session
from tortie.simulator.trace import Disposition, Trace, Verdict, Walk
from tortie.simulator.tracking_table import ICMP_INVERSE, ICMP_OPENERS, ICMPV6_INVERSE, ICMPV6_OPENERS
from tortie.simulator.walk import Arrival, Node, walk, walk_all

_SYN, _ACK = 2, 16
_HOP_LIMIT = 64
_SCTP_INIT_ACK = b"\x02\0\0\x04"


MOST_FOLLOWED = 16
"""After this many outcomes of the first packet the others are not followed any more, and the flow says so."""


@dataclass(frozen=True, slots=True)
class Flow:
    """The three walks of a conversation; a later one is None when an earlier packet does not get through."""

    first: Walk
    reply: Walk | None
    again: Walk | None
    works: bool | None
    """True when both directions pass, False when one certainly does not, None when that is not known."""
    text: str


def walk_flow(
    node: Node,
    arrival: Arrival,
    session: Session | None = None,
    *,
    assume: Mapping[str, str] | None = None,
    keep_steps: bool = True,
    keep_misses: bool = True,
    pick: PickPort | None = None,
) -> Flow:
    """Walks a packet, and for every outcome that it has its answer and the next packet of the same sender.

    The walks that are told belong to the first outcome; where the conversations differ, to the first that does not work.
    """
    session = node.session() if session is None else session
    first, sessions = walk_all(
        node, arrival, session, assume=assume, keep_steps=keep_steps, keep_misses=keep_misses, pick=pick
    )
    stopped = _stopped(first, "the first packet")
    if stopped is not None:
        sessions[0].commit()
        return Flow(first, None, None, *stopped)
    ask = partial(walk, node, assume=assume, keep_steps=keep_steps, keep_misses=keep_misses, pick=pick)
    flows = []
    for trace, after in list(zip(first.outcomes, sessions, strict=True))[:MOST_FOLLOWED]:
        flows.append(_follow(first, trace, arrival, after, ask))
    sessions[0].commit()
    return _summed_up(flows)


def _follow(first: Walk, trace: Trace, arrival: Arrival, session: Session, ask: Callable[..., Walk]) -> Flow:
    """The rest of a conversation after one outcome of its first packet."""
    answer = answer_arrival(trace)
    if answer is None:
        return Flow(first, None, None, True, "the packet gets through; nothing answers such a packet")
    reply = ask(answer, session)
    stopped = _stopped(reply, "the answer")
    if stopped is not None:
        return Flow(first, reply, None, *stopped)
    following = replace(arrival, packet=following_packet(arrival.packet), state=None)
    again = ask(following, session)
    stopped = _stopped(again, "the next packet")
    if stopped is not None:
        return Flow(first, reply, again, *stopped)
    return Flow(first, reply, again, True, "both directions get through")


def _summed_up(flows: list[Flow]) -> Flow:
    """One flow for all outcomes that were followed: theirs if they agree, else the first that does not work, and which."""
    first = flows[0]
    if len(first.first.outcomes) == 1:
        return first
    if any(flow.works is not first.works for flow in flows):
        number, flow = next((number, flow) for number, flow in enumerate(flows, 1) if not flow.works)
        return replace(flow, works=None, text=f"outcomes differ; after outcome {number} {flow.text}")
    total = len(first.first.outcomes)
    if len(flows) < total:
        return replace(
            first, works=None if first.works else first.works, text=f"{first.text} (after {len(flows)} of {total} outcomes)"
        )
    return replace(first, text=f"{first.text} (after each of the {total} outcomes)")


def _stopped(step: Walk, what: str) -> tuple[bool | None, str] | None:
    match step.verdict:
        case Verdict.ACCEPT:
            return None
        case Verdict.UNKNOWN:
            return None, f"what becomes of {what} is not known"
        case Verdict.MAYBE:
            return None, f"what becomes of {what} depends on chance or history"
        case Verdict.DROP | Verdict.REJECT:
            return False, f"{what} does not get through"


def answer_arrival(trace: Trace) -> Arrival | None:
    """The other side's answer to a packet that got through, or None for packets that nobody answers."""
    assert trace.out is not None
    packet = answer_packet(trace.out.packet)
    if packet is None:
        return None
    if trace.disposition is Disposition.DELIVERED:
        return Arrival(packet)
    return Arrival(packet, trace.out.iface)


def answer_packet(packet: Packet) -> Packet | None:
    """What the receiver of a packet sends back: SYN+ACK, an echo reply, a datagram from its port."""
    if packet.transport is not None and packet.is_fragment:
        return None
    back = structs.replace(
        packet, src=packet.dst, dst=packet.src, sport=packet.dport, dport=packet.sport, ttl=_HOP_LIMIT, options=b""
    )
    if packet.proto == TCP:
        acknowledged = (packet.tcp_seq + len(packet.payload) + 1) & 0xFFFFFFFF
        flags = _SYN | _ACK if packet.tcp_flags & _SYN else _ACK
        return structs.replace(
            back, tcp_flags=flags, tcp_seq=packet.tcp_ack, tcp_ack=acknowledged, tcp_options=b"", payload=b""
        )
    if packet.proto in (ICMP, ICMPV6):
        v4 = packet.family is IPFamily.V4
        if not packet.is_icmp or packet.icmp_type not in (ICMP_OPENERS if v4 else ICMPV6_OPENERS):
            return None
        return structs.replace(back, icmp_type=(ICMP_INVERSE if v4 else ICMPV6_INVERSE)[packet.icmp_type])
    if packet.proto == SCTP:
        return structs.replace(back, payload=_SCTP_INIT_ACK)
    return back


def following_packet(packet: Packet) -> Packet:
    """The sender's next packet once the answer is there: an ACK after a SYN, else one more like the first."""
    if packet.proto == TCP and packet.tcp_flags & _SYN:
        return structs.replace(
            packet, tcp_flags=_ACK, tcp_seq=(packet.tcp_seq + 1) & 0xFFFFFFFF, tcp_ack=1, tcp_options=b""
        )
    return packet
