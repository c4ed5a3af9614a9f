"""Where the kernel's account of one packet and the simulator's differ.

Compared are the rules that matched with the mark at each, policies and chain ends, where the packet ended, the outgoing
device and the whole outgoing packet, the sender's errno, and the connection's entry. Left out is only what the kernel
draws at random or counts up by itself: the IP identification and flow label of packets it makes.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from tests.kernel.oracle.outcome import UNNAMED, Departure, KernelStep, KernelWalk, Origin, Outcome, StepKind
from tests.kernel.recipe import read_packet, whole_packet
from tortie.net.address import IPFamily
from tortie.net.packet import Packet
from tortie.net.protocol import AH, ICMP, ICMPV6, TCP, UDP
from tortie.net.wire import FRAGMENT, ROUTING
from tortie.netfilter.conntrack import ConnEntry
from tortie.netfilter.hook import Backend, Hook
from tortie.simulator.trace import Cause, ChainStep, Disposition, Egress, NoteStep, RuleStep, Trace

SimStep = RuleStep | ChainStep
_ON_THE_WIRE = (Disposition.FORWARDED, Disposition.SENT)
_NETFILTER_DROP = "NETFILTER_DROP"
_NETFILTER_CAUSES = frozenset({Cause.RULE, Cause.CHAIN_POLICY, Cause.HOTDROP, Cause.CONNTRACK, Cause.NAT})


def compare_steps(kernel: Sequence[KernelStep], trace: Trace, backend: Backend) -> list[str]:
    """The first place where the two lists of steps part, as one remark; nothing when they agree."""
    expected = [step for step in kernel if step.backend is backend]
    said = _told_steps(trace, backend)
    at = 0
    for position, step in enumerate(said):
        if at < len(expected) and not _same_step(expected[at], step) and _drops_copy(expected[at], trace):
            at += 1
        if at < len(expected) and _same_step(expected[at], step):
            at += 1
        elif not (isinstance(step, RuleStep) and step.maybe):
            seen = str(expected[at]) if at < len(expected) else "nothing more"
            return [f"step {position + 1}: kernel {seen}, simulator {_step_text(step, backend)}"]
    if at == len(expected) - 1 and _is_hotdrop(expected[at], trace):
        return []
    if at < len(expected):
        return [f"step {len(said) + 1}: kernel {expected[at]}, simulator nothing more"]
    return []


def _told_steps(trace: Trace, backend: Backend) -> list[SimStep]:
    """The steps of which the kernel's trace tells too."""
    said = [step for step in trace.steps if isinstance(step, RuleStep | ChainStep) and step.backend is backend]
    said = [step for step in said if not isinstance(step, RuleStep) or step.matched]
    if backend is Backend.NFT:
        said = [step for step in said if not (isinstance(step, ChainStep) and step.policy is None)]
    return said


def _drops_copy(step: KernelStep, trace: Trace) -> bool:
    """The same for the copy that a node hears of its own multicast, which does not end the walk."""
    heard = step.backend is Backend.NFT and step.hook in (Hook.PREROUTING, Hook.INPUT)
    return heard and any(isinstance(one, NoteStep) and one.text.startswith("the copy is dropped") for one in trace.steps)


def _is_hotdrop(step: KernelStep, trace: Trace) -> bool:
    """nft shows the rule whose match dropped the packet as if it had matched (nft_match_eval in nft_compat.c)."""
    by = trace.decided_by
    if step.backend is not Backend.NFT or by.cause is not Cause.HOTDROP or by.table is None:
        return False
    return (step.table, step.chain, step.number) == (by.table.value, by.chain, by.number)


def _same_step(kernel: KernelStep, step: SimStep) -> bool:
    if (kernel.table, kernel.chain, kernel.number, kernel.hook) != (step.table.value, step.chain, step.number, step.hook):
        return False
    if isinstance(step, RuleStep):
        mark = step.mark_before if kernel.backend is Backend.LEGACY else step.mark
        return kernel.kind is StepKind.RULE and kernel.mark == mark
    kind = StepKind.RETURN if step.policy is None else StepKind.POLICY
    return kernel.kind is kind and kernel.mark == step.mark


def _step_text(step: SimStep, backend: Backend) -> str:
    place = f"{step.hook.value}/{step.chain}" if step.chain != step.hook.value else step.chain
    if isinstance(step, RuleStep):
        mark = step.mark_before if backend is Backend.LEGACY else step.mark
        return f"{step.table.value}:{place}:{step.number}" + (f"({mark:#x})" if mark else "")
    letter = "R" if step.policy is None else "P"
    return f"{step.table.value}:{place}:{letter}{step.number}" + (f"({step.mark:#x})" if step.mark else "")


def compare_own(outcome: Outcome, trace: Trace, backend: Backend, *, local: bool) -> list[str]:
    """Everything about the injected packet itself but its connection."""
    found = compare_steps(outcome.own.steps, trace, backend)
    found += _compare_end(outcome, trace)
    if local and outcome.errno != trace.errno:
        found.append(f"errno: kernel {outcome.errno}, simulator {trace.errno}")
    return found


def compare_copied(outcome: Outcome, trace: Trace, copies: Sequence[Trace], backend: Backend) -> list[str]:
    """As `compare_own` for a packet that TEE copied, and for the copies.

    Nothing in the kernel's account tells a packet from its copy, so the steps of all are compared as one bag, and so is
    what left.
    """
    kernel = [step for walk in outcome.walks if walk.origin is not Origin.MADE for step in walk.steps]
    left = [step for step in kernel if step.backend is backend]
    found = []
    for one in (trace, *copies):
        for step in _told_steps(one, backend):
            same = next((step_ for step_ in left if _same_step(step_, step)), None)
            if same is not None:
                left.remove(same)
            elif not (isinstance(step, RuleStep) and step.maybe):
                found.append(f"copied packet: simulator has {_step_text(step, backend)}, the kernel not")
    found += [f"copied packet: kernel has {step}, the simulator not" for step in left if not _is_hotdrop(step, trace)]
    return found[:1] or _compare_departures_of_copied(outcome, (trace, *copies))


def _compare_departures_of_copied(outcome: Outcome, traces: Sequence[Trace]) -> list[str]:
    expected = [one.out for one in traces if one.disposition in _ON_THE_WIRE and one.out is not None]
    gone = [one for one in outcome.departures if one.origin is not Origin.MADE]
    packets = [(one.iface, read_packet(one.data)) for one in gone]
    if any(packet is None or packet.is_fragment for _, packet in packets):
        kernel, simulator = ({one.iface for one in found} for found in (gone, expected))
        return [] if kernel == simulator else [f"copied packet leaves: kernel by {kernel}, simulator by {simulator}"]
    for out in expected:
        same = next((one for one in packets if _leaves_as(one, out)), None)
        if same is None:
            return [f"copied packet leaves: kernel not, simulator {_out_text(out)}"]
        packets.remove(same)
    return [f"copied packet leaves: kernel by {iface}: {packet}, simulator not" for iface, packet in packets]


def _leaves_as(departure: tuple[str, Packet | None], out: Egress) -> bool:
    iface, packet = departure
    return iface == out.iface and packet is not None and not compare_packets(packet, _without_lone_fragment(out.packet), "")


def _compare_end(outcome: Outcome, trace: Trace) -> list[str]:
    sent = outcome.sent
    delivered = [one for one in outcome.delivered if one.origin is Origin.INJECTED]
    if trace.disposition in _ON_THE_WIRE:
        if not sent:
            return [f"end: kernel {_end_text(outcome)}, simulator {trace.disposition.value} by {_out_text(trace.out)}"]
        return _compare_departure(sent, trace.out)
    if sent:
        return [f"end: kernel sent it by {sent[0].iface}, simulator {_decided_text(trace)}"]
    if trace.disposition is Disposition.DELIVERED:
        return _compare_delivery(outcome, delivered, trace)
    if delivered:
        return [f"end: kernel delivered it, simulator {_decided_text(trace)}"]
    return _compare_drop(outcome, trace)


def _compare_departure(sent: Sequence[Departure], out: Egress | None) -> list[str]:
    assert out is not None
    found = []
    if any(departure.iface != out.iface for departure in sent):
        found.append(f"device: kernel {sent[0].iface}, simulator {out.iface}")
    packet = whole_packet([departure.data for departure in sent])
    if packet is None:
        return [*found, f"departure: kernel sent {len(sent)} pieces that make no packet"]
    return found + compare_packets(_without_lone_fragment(packet), _without_lone_fragment(out.packet), "departure")


def _without_lone_fragment(packet: Packet) -> Packet:
    """The packet without the header of an IPv6 fragment that is all of it: a reassembled packet may leave as one."""
    if packet.is_fragment or not any(number == FRAGMENT for number, _ in packet.extensions):
        return packet
    kept = tuple(entry for entry in packet.extensions if entry[0] != FRAGMENT)
    return replace(packet, extensions=kept, identification=0)


def _compare_delivery(outcome: Outcome, delivered: Sequence[Departure], trace: Trace) -> list[str]:
    assert trace.out is not None
    packet = trace.out.packet
    if not _is_tapped(packet):
        # Only the way through INPUT shows.
        if _NETFILTER_DROP in outcome.drops and len(outcome.walks) == 1:
            return ["end: kernel dropped it in netfilter, simulator delivered"]
        return []
    if not delivered:
        return [f"end: kernel {_end_text(outcome)}, simulator delivered {packet}"]
    got = read_packet(delivered[0].data)
    if got is None:
        return []
    if packet.family is IPFamily.V6:
        # The kernel hands IPv6 packets out without their headers (`device.DeliveryTap`).
        got, packet = (replace(one, flow_label=0, extensions=(), identification=0) for one in (got, packet))
    return compare_packets(got, packet, "delivery")


def _is_tapped(packet: Packet) -> bool:
    """True when the node's raw sockets show such a packet.

    Not behind an AH header, which the kernel has no handler for, not fragments, which IPv6 puts together after INPUT, not
    neighbour discovery (`device.DeliveryTap`), not ICMP with a cut header or ICMPv6 with a wrong checksum, nor what is
    sent to a group by way of a routing header (ipv6_rthdr_rcv).
    """
    if packet.dst >> 120 == 0xFF and any(number == ROUTING for number, _ in packet.extensions):
        return False
    if any(number == AH for number, _ in packet.extensions) or packet.is_fragment:
        return False
    if packet.proto in (ICMP, ICMPV6) and packet.transport is not None:
        return False
    if packet.proto == ICMPV6 and not packet.checksum_ok:
        return False
    if packet.family is IPFamily.V6 and packet.is_icmp and (130 <= packet.icmp_type <= 136 or packet.icmp_type == 143):
        return False
    return packet.proto in (TCP, UDP, ICMP if packet.family is IPFamily.V4 else ICMPV6)


def _compare_drop(outcome: Outcome, trace: Trace) -> list[str]:
    reasons = [reason for reason in outcome.drops if reason != UNNAMED]
    if trace.disposition is not Disposition.DROPPED or not reasons or len(outcome.walks) > 1 or outcome.errno:
        return []
    if reached(outcome.own, Hook.OUTPUT) and reached(outcome.own, Hook.PREROUTING):
        # It came back, perhaps as a copy whose reason this is.
        return []
    kernel = _NETFILTER_DROP in reasons
    if kernel is not (trace.decided_by.cause in _NETFILTER_CAUSES):
        return [f"drop reason: kernel {', '.join(outcome.drops)}, simulator {_decided_text(trace)}"]
    return []


def _end_text(outcome: Outcome) -> str:
    if outcome.sent:
        return f"sent it by {outcome.sent[0].iface}"
    if any(one.origin is Origin.INJECTED for one in outcome.delivered):
        return "delivered it"
    return "dropped it" + (f" ({', '.join(outcome.drops)})" if outcome.drops else "")


def _out_text(out: Egress | None) -> str:
    return f"{out.iface}: {out.packet}" if out is not None else "nothing"


def _decided_text(trace: Trace) -> str:
    return f"{trace.disposition.value}: {trace.decided_by.text}"


def compare_packets(kernel: Packet, simulator: Packet, what: str) -> list[str]:
    """The fields in which two packets differ; a wrong checksum only has to stay wrong."""
    if not kernel.checksum_ok and not simulator.checksum_ok:
        kernel, simulator = (replace(one, checksum=None) for one in (kernel, simulator))
    if is_stamped(kernel.options) and is_stamped(simulator.options):
        kernel, simulator = (replace(one, options=b"") for one in (kernel, simulator))
    if kernel == simulator:
        return []
    return [
        f"{what} {name}: kernel {getattr(kernel, name)!r}, simulator {getattr(simulator, name)!r}"
        for name in Packet.__struct_fields__
        if getattr(kernel, name) != getattr(simulator, name)
    ]


def is_stamped(options: bytes) -> bool:
    """True for IPv4 options that routers write into: record route and timestamp (RFC 791)."""
    return options[:1] in (b"\x07", b"\x44")


def compare_made(
    walk: KernelWalk, departures: Sequence[Departure], answer: Trace, backend: Backend, *, stamped: bool = False
) -> list[str]:
    """A packet that the kernel made, against the answer that the simulator says it makes.

    `stamped` says that it is about a packet in whose options routers write; those come back in the answer and its quote.
    """
    found = compare_steps(walk.steps, answer, backend)
    # The kernel leaves the checksum of a RST to the device.
    first = read_packet(walk.first, unfinished_checksums=True) if walk.first is not None else None
    if first is not None:
        if walk.origin is Origin.MADE:
            first = _unnumbered(first)
            said = _unnumbered(answer.packet)
            if stamped:
                first, said = (replace(one, options=b"", payload=b"") for one in (first, said))
            found += compare_packets(first, said, "answer")
        else:
            found += compare_packets(first, answer.packet, "copy")
    left = [departure for departure in departures if departure.origin is walk.origin]
    if answer.disposition in _ON_THE_WIRE:
        assert answer.out is not None
        fitting = [departure for departure in left if departure.iface == answer.out.iface]
        if not fitting:
            found.append(
                f"answer's end: kernel {'another device' if left else 'dropped it'}, simulator {_out_text(answer.out)}"
            )
        elif len(fitting) == 1 and walk.origin is Origin.MADE and not stamped:
            packet = read_packet(fitting[0].data, unfinished_checksums=True)
            if packet is not None:
                found += compare_packets(_unnumbered(packet), _unnumbered(answer.out.packet), "answer's departure")
    return [f"answer: {remark}" for remark in found]


def _unnumbered(packet: Packet) -> Packet:
    return replace(packet, identification=0, flow_label=0)


def compare_connections(kernel: ConnEntry | None, simulator: ConnEntry | None) -> list[str]:
    """The fields in which two entries differ. UDP is ASSURED by age, which nobody waits for here."""
    if kernel is None or simulator is None:
        return [] if kernel is simulator else [f"connection: kernel has {kernel}, simulator {simulator}"]
    names = [
        "original",
        "reply",
        "mark",
        "zone_original",
        "zone_reply",
        "seen_reply",
        "confirmed",
        "expected",
        "src_nat",
        "dst_nat",
    ]
    if simulator.original.proto == TCP:
        names += ["assured", "state"]
    return [
        f"connection {name}: kernel {getattr(kernel, name)!r}, simulator {getattr(simulator, name)!r}"
        for name in names
        if getattr(kernel, name) != getattr(simulator, name)
    ]


def reached(walk: KernelWalk, hook: Hook) -> bool:
    """True when the kernel's packet was seen at a hook."""
    return hook in walk.hooks or any(step.hook is hook for step in walk.steps)
