"""`tortie trace --pcap`: what becomes of every packet of a capture.

Packets are walked in the capture's order over one table of connections, at the capture's times. A capture holds what
passed a device in both directions, so every frame is placed first (`Placer`): what the node itself made is walked as its
own; what it forwarded is left out on its way out, because it was seen on its way in. Steps are kept only for packets asked
for, and with resources for all, since the policy behind a walk is read off them.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tortie.cli.arrival import check_interface, infer_interface, is_own_address, usual_frame_type
from tortie.cli.edit import apply_edits
from tortie.cli.exit_code import EXIT_PASSED
from tortie.cli.node_source import load_node_snapshot, parse_assumptions, read_bytes, source_name, tell_snapshot_notes
from tortie.cli.terminal import Line, Style, find_paper, plain, write_lines
from tortie.cli.trace_option import TraceRequest
from tortie.cli.trace_text import VERDICT_STYLES, View, outcome_line, walk_lines
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.net.packet import Packet, describe_packet
from tortie.net.pcap import Frame, parse_capture
from tortie.simulator.document import SCHEMA, Document, brief_document, walk_document
from tortie.simulator.summary import Naming, read_naming
from tortie.simulator.trace import DecidedBy, Disposition, Trace, Verdict, Walk
from tortie.simulator.walk import Arrival, Node, walk

if TYPE_CHECKING:
    from tortie.cli.trace_policy import NodePolicy

LEAVING = "already leaving this node"
OTHER_HOST = "addressed to another machine"


@dataclass(frozen=True, slots=True)
class Traced:
    """One frame of a capture: its walk, or why there is none; `remark` is what to know about the packet there is."""

    number: int
    time_s: float
    walk: Walk | None
    left_out: str = ""
    remark: str = ""
    full: bool = False


class Placer:
    """Tells by which device a captured packet entered the node."""

    def __init__(self, node: Node, in_iface: str | None) -> None:
        links, neighbours = node.snapshot.links or (), node.snapshot.neighbours or ()
        check_interface(in_iface, node.snapshot.links)
        self._node = node
        self._in_iface = in_iface
        self._names = {link.name for link in links}
        self._own_macs = {link.mac for link in links if link.mac is not None and any(link.mac)}
        devices: dict[bytes, set[str]] = {}
        for neighbour in neighbours:
            if neighbour.mac is not None:
                devices.setdefault(neighbour.mac, set()).add(neighbour.dev)
        self._device_of_mac = {mac: next(iter(names)) for mac, names in devices.items() if len(names) == 1}
        self._device_of_source: dict[tuple[IPFamily, int], str] = {}
        self._own: dict[tuple[IPFamily, int], bool] = {}

    def place(self, frame: Frame, packet: Packet) -> Arrival | str:
        """The packet's arrival, or why there is none; raises `InvalidInput` when the snapshot cannot tell the device."""
        mac = frame.mac_source
        sent = frame.outgoing is True or mac in self._own_macs
        if self._is_own(packet) and (sent or (mac is None and frame.outgoing is None)):
            return Arrival(packet)
        if sent:
            return LEAVING
        if self._in_iface is None and self._is_for_another(frame):
            return OTHER_HOST
        frame_type = frame.frame_type or usual_frame_type(packet, self._node.snapshot.links)
        return Arrival(packet, self._device(frame, packet), mac_source=mac, frame_type=frame_type)

    def _is_for_another(self, frame: Frame) -> bool:
        """True for a unicast Ethernet frame to an address that no device of the node has."""
        ethernet = frame.mac_source is not None and frame.data[6:12] == frame.mac_source
        return ethernet and frame.frame_type == "unicast" and bool(self._own_macs) and frame.data[:6] not in self._own_macs

    def _device(self, frame: Frame, packet: Packet) -> str:
        """The device asked for, the one captured on, the sender's, or the one by which the source would be answered."""
        if self._in_iface is not None:
            return self._in_iface
        if frame.iface in self._names and not frame.vlans:
            assert frame.iface is not None
            return frame.iface
        if frame.mac_source is not None and frame.mac_source in self._device_of_mac:
            return self._device_of_mac[frame.mac_source]
        source = (packet.family, packet.src)
        found = self._device_of_source.get(source)
        if found is None:
            found = self._device_of_source[source] = infer_interface(self._node, packet)[0]
        return found

    def _is_own(self, packet: Packet) -> bool:
        source = (packet.family, packet.src)
        found = self._own.get(source)
        if found is None:
            found = self._own[source] = is_own_address(self._node, packet.family, packet.src)
        return found


def trace_frames(
    node: Node,
    frames: Iterable[Frame],
    *,
    in_iface: str | None = None,
    wanted: frozenset[int] = frozenset(),
    assume: dict[str, str] | None = None,
    stateful: bool = True,
    keep_steps: bool = False,
) -> Iterator[Traced]:
    """Walks the packets of a capture; numbers count from 1 as other tools count frames.

    Steps of packets that are not `wanted` are there with `keep_steps`, but for rules that missed.
    """
    placer = Placer(node, in_iface)
    root = node.session()
    for number, frame in enumerate(frames, 1):
        packet, full = frame.packet, number in wanted
        if packet is None:
            yield Traced(number, frame.time_s, None, frame.problem or "no IP packet", full=full)
            continue
        try:
            arrival = placer.place(frame, packet)
        except InvalidInput as error:
            arrival = str(error)
        if isinstance(arrival, str):
            yield Traced(number, frame.time_s, None, arrival, full=full)
            continue
        session = root if stateful else root.begin()
        session.clock_s = frame.time_s
        found = walk(node, arrival, session, assume=assume, keep_steps=full or keep_steps, keep_misses=full)
        yield Traced(number, frame.time_s, found, "", frame.problem or "", full)


# --- summing up --------------------------------------------------------------------------------------------------

_Fate = tuple[Verdict, Disposition, DecidedBy, str]
"""The last is the device a packet leaves by."""


@dataclass(slots=True)
class _Group:
    """Packets of one fate: how many, and the first of them."""

    first: Traced
    walk: Walk
    count: int = 0


@dataclass(slots=True)
class Tally:
    """Counts packets by what became of them and what decided it."""

    total: int = 0
    groups: dict[_Fate, _Group] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    remarked: int = 0

    @property
    def walked(self) -> int:
        """How many were walked."""
        return self.total - self.left_out.total()

    def add(self, traced: Traced) -> None:
        """Counts one frame."""
        self.total += 1
        if traced.walk is None:
            self.left_out[traced.left_out] += 1
            return
        self.remarked += bool(traced.remark)
        trace = traced.walk.trace
        device = trace.out.iface if trace.out is not None else ""
        key = (traced.walk.verdict, trace.disposition, trace.decided_by, device)
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = _Group(traced, traced.walk)
        group.count += 1


_MOST_REASONS = 10
_ORDER = (Verdict.DROP, Verdict.REJECT, Verdict.UNKNOWN, Verdict.MAYBE, Verdict.ACCEPT)


def tally_lines(tally: Tally, naming: Naming, name: str, policy: NodePolicy | None = None) -> Iterator[Line]:
    """The summary: what did not get through first, then by number; of each fate the first packet and what policy says."""
    yield plain(f"{name}: {tally.total} frames, {tally.walked} walked", style=Style.HEAD)
    fates = sorted(tally.groups.items(), key=lambda item: (_ORDER.index(item[0][0]), -item[1].count))
    for (verdict, *_), group in fates:
        yield Line()
        label = f"{group.count:>8}  {verdict.value:<8}"
        yield Line(((label, VERDICT_STYLES[verdict]), *outcome_line(_unchanged(group.walk.trace), naming).pieces), hang=18)
        first = f"first: packet {group.first.number}, {describe_packet(group.walk.trace.packet)}"
        yield plain(first, indent=18, style=Style.FAINT)
        told = None if policy is None else policy.attribute(group.walk).verdict
        if told is not None:
            yield plain(f"policy: {told.text}", indent=18)
    if tally.left_out or tally.remarked:
        yield Line()
    for reason, count in tally.left_out.most_common(_MOST_REASONS):
        yield Line(((f"{count:>8}  left out", Style.FAINT), (f"  {reason}", Style.PLAIN)), hang=20)
    others = sorted(tally.left_out.values())[:-_MOST_REASONS]
    if len(tally.left_out) > _MOST_REASONS:
        yield Line(((f"{sum(others):>8}  left out", Style.FAINT), ("  for other reasons", Style.PLAIN)))
    if tally.remarked:
        text = "  walked though the capture cut them short; missing bytes count as zeros"
        yield Line(((f"{tally.remarked:>8}", Style.FAINT), (text, Style.PLAIN)))


def _unchanged(trace: Trace) -> Trace:
    """The outcome without the addresses that NAT gave this one packet, which the others of its fate do not share."""
    if trace.out is None:
        return trace
    out = replace(trace.out, packet=trace.packet, random_sport=None, random_dport=None)
    return replace(trace, out=out)


def run_capture(request: TraceRequest) -> int:
    """Traces a capture and shows the sum, or one JSON document a packet; raises `InvalidInput` for a file that is none."""
    assert request.pcap is not None
    snapshot = load_node_snapshot(request.node, conntrack=request.conntrack)
    tell_snapshot_notes(snapshot)
    snapshot = apply_edits(snapshot, request.edit, IPFamily.V4)
    policy = None
    if request.resources:
        from tortie.cli.trace_policy import read_policy

        policy = read_policy(request, snapshot)
    found = trace_frames(
        Node.from_snapshot(snapshot),
        _frames(request.pcap),
        in_iface=request.given.get("in_iface"),
        wanted=frozenset(request.packet),
        assume=parse_assumptions(request.assume),
        stateful=request.stateful is not False,
        keep_steps=policy is not None,
    )
    naming, name = read_naming(snapshot.rulesets), source_name(request.pcap)
    if request.json:
        tally = _write_json(found, naming, policy)
    else:
        view = View(naming, misses=request.misses, brief=request.brief)
        tally = _write_text(found, request, view, name, policy)
    missing = [number for number in request.packet if not 1 <= number <= tally.total]
    if missing:
        raise InvalidInput(f"no packet {missing[0]} in this capture", source=name, remedy=f"it has {tally.total}")
    if not tally.walked:
        reason, _ = next(iter(tally.left_out.most_common(1)), ("it is empty", 0))
        raise InvalidInput(f"no packet of this capture can be walked: {reason}", source=name)
    return EXIT_PASSED


def _frames(path: str) -> Iterator[Frame]:
    try:
        yield from parse_capture(read_bytes(path))
    except InvalidInput as error:
        raise error.at(source=source_name(path)) from None


def _write_json(found: Iterable[Traced], naming: Naming, policy: NodePolicy | None) -> Tally:
    import msgspec

    if policy is not None:
        naming = replace(naming, origin=policy.step_document)
    encoder = msgspec.json.Encoder()
    tally = Tally()
    for traced in found:
        tally.add(traced)
        sys.stdout.write(encoder.encode(_document(traced, naming, policy)).decode() + "\n")
    return tally


def _document(traced: Traced, naming: Naming, policy: NodePolicy | None) -> Document:
    head: Document = {"number": traced.number, "time_s": traced.time_s}
    if traced.walk is None:
        return {"schema": SCHEMA, **head, "left_out": traced.left_out}
    if traced.remark:
        head["remark"] = traced.remark
    if policy is not None:
        head["policy"] = policy.document(policy.attribute(traced.walk))
    return head | (walk_document(traced.walk, naming) if traced.full else brief_document(traced.walk, naming))


def _write_text(found: Iterable[Traced], request: TraceRequest, view: View, name: str, policy: NodePolicy | None) -> Tally:
    """The packets asked for, then the sum, also of a capture that turns out to be damaged further on."""
    if policy is not None:
        view = replace(view, origin=policy.note)
    paper = find_paper(request.color)
    tally = Tally()
    try:
        for traced in found:
            tally.add(traced)
            if traced.full:
                sys.stdout.write(write_lines([*_full_lines(traced, view), Line()], paper))
    finally:
        if tally.total:
            sys.stdout.write(write_lines(tally_lines(tally, view.naming, name, policy), paper))
    return tally


def _full_lines(traced: Traced, view: View) -> Iterator[Line]:
    if traced.walk is None:
        return iter((plain(f"packet {traced.number}: left out, {traced.left_out}", style=Style.HEAD),))
    notes = (traced.remark,) if traced.remark else ()
    return walk_lines(traced.walk, view, label=f"packet {traced.number}", notes=notes)
