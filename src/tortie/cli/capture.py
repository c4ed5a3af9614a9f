"""`tortie trace --pcap`: what becomes of every packet of a capture.

Packets are walked in the capture's order over one table of connections, at the capture's times. A capture holds what
passed a device in both directions, so every frame is placed first: what carries one of the node's own MAC addresses or
sources was sent by the node; of that, what the node itself made is walked as its own, and what it forwarded is left out,
because it was seen on its way out. Steps are kept only for packets asked for.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tortie.cli.arrival import check_interface, infer_interface, is_own_address, usual_frame_type
from tortie.cli.edit import apply_edits
from tortie.cli.exit_code import EXIT_PASSED
from tortie.cli.node_source import load_node_snapshot, parse_assumptions, read_bytes
from tortie.cli.terminal import Line, Style, find_paper, plain, write_lines
from tortie.cli.trace_option import TraceRequest
from tortie.cli.trace_text import VERDICT_STYLES, View, outcome_line, walk_lines
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.net.packet import Packet, describe_packet
from tortie.net.pcap import Frame, parse_capture
from tortie.simulator.document import SCHEMA, Document, brief_document, walk_document
from tortie.simulator.summary import Naming, read_naming
from tortie.simulator.trace import DecidedBy, Disposition, Verdict, Walk
from tortie.simulator.walk import Arrival, Node, walk

if TYPE_CHECKING:
    from tortie.simulator.session import Session

LEAVING = "already leaving this node"


@dataclass(frozen=True, slots=True)
class Traced:
    """One frame of a capture: its walk, or why there is none."""

    number: int
    time_s: float
    walk: Walk | None
    problem: str = ""
    full: bool = False


class Placer:
    """Tells by which device a captured packet entered the node."""

    def __init__(self, node: Node, in_iface: str | None) -> None:
        links, neighbours = node.snapshot.links or (), node.snapshot.neighbours or ()
        check_interface(in_iface, node.snapshot.links)
        self._node = node
        self._in_iface = in_iface
        self._own_macs = {link.mac for link in links if link.mac is not None and any(link.mac)}
        devices: dict[bytes, set[str]] = {}
        for neighbour in neighbours:
            if neighbour.mac is not None:
                devices.setdefault(neighbour.mac, set()).add(neighbour.dev)
        self._device_of_mac = {mac: next(iter(names)) for mac, names in devices.items() if len(names) == 1}
        self._device_of_source: dict[tuple[IPFamily, int], str] = {}
        self._own: dict[tuple[IPFamily, int], bool] = {}

    def place(self, frame: Frame, packet: Packet) -> Arrival | None:
        """The packet's arrival, None when it was on its way out; raises `InvalidInput` when the snapshot cannot tell."""
        sent = frame.mac_source in self._own_macs
        if self._is_own(packet) and (sent or frame.mac_source is None):
            return Arrival(packet)
        if sent:
            return None
        frame_type = frame.frame_type or usual_frame_type(packet, self._node.snapshot.links)
        return Arrival(packet, self._device(frame, packet), mac_source=frame.mac_source, frame_type=frame_type)

    def _device(self, frame: Frame, packet: Packet) -> str:
        if self._in_iface is not None:
            return self._in_iface
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
) -> Iterator[Traced]:
    """Walks the packets of a capture; numbers count from 1 as other tools count frames."""
    placer = Placer(node, in_iface)
    root: Session = node.session()
    for number, frame in enumerate(frames, 1):
        if frame.packet is None:
            yield Traced(number, frame.time_s, None, frame.problem or "no IP packet")
            continue
        try:
            arrival = placer.place(frame, frame.packet)
        except InvalidInput as error:
            yield Traced(number, frame.time_s, None, str(error))
            continue
        if arrival is None:
            yield Traced(number, frame.time_s, None, LEAVING)
            continue
        session = root if stateful else root.begin()
        session.clock_s = frame.time_s
        full = number in wanted
        yield Traced(number, frame.time_s, walk(node, arrival, session, assume=assume, keep_steps=full), "", full)


# --- summing up --------------------------------------------------------------------------------------------------

_Fate = tuple[Verdict, Disposition, DecidedBy]


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
    problems: Counter[str] = field(default_factory=Counter)

    def add(self, traced: Traced) -> None:
        """Counts one frame."""
        self.total += 1
        if traced.walk is None:
            self.problems[traced.problem] += 1
            return
        trace = traced.walk.trace
        key = (traced.walk.verdict, trace.disposition, trace.decided_by)
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = _Group(traced, traced.walk)
        group.count += 1


_ORDER = (Verdict.DROP, Verdict.REJECT, Verdict.UNKNOWN, Verdict.MAYBE, Verdict.ACCEPT)


def tally_lines(tally: Tally, naming: Naming, name: str) -> Iterator[Line]:
    """The summary: what did not get through first, then by number."""
    yield plain(f"{name}: {tally.total} frames, {tally.total - tally.problems.total()} walked", style=Style.HEAD)
    fates = sorted(tally.groups.items(), key=lambda item: (_ORDER.index(item[0][0]), -item[1].count))
    for (verdict, _, _), group in fates:
        yield Line()
        label = f"{group.count:>8}  {verdict.value:<8}"
        yield Line(((label, VERDICT_STYLES[verdict]), *outcome_line(group.walk.trace, naming).pieces), hang=18)
        first = f"first: packet {group.first.number}, {describe_packet(group.walk.trace.packet)}"
        yield plain(first, indent=18, style=Style.FAINT)
    if tally.problems:
        yield Line()
    for problem, count in tally.problems.most_common():
        yield Line(((f"{count:>8}  left out", Style.FAINT), (f"  {problem}", Style.PLAIN)), hang=20)


def run_capture(request: TraceRequest) -> int:
    """Traces a capture and shows the sum, or one JSON document a packet; raises `InvalidInput` for a file that is none."""
    assert request.pcap is not None
    snapshot = load_node_snapshot(request.node, conntrack=request.conntrack)
    snapshot = apply_edits(snapshot, request.edit, IPFamily.V4)
    found = trace_frames(
        Node.from_snapshot(snapshot),
        _frames(request.pcap),
        in_iface=request.given.get("in_iface"),
        wanted=frozenset(request.packet),
        assume=parse_assumptions(request.assume),
        stateful=request.stateful is not False,
    )
    naming = read_naming(snapshot.rulesets)
    if request.json:
        last = _write_json(found, naming)
    else:
        last = _write_text(found, request, View(naming, misses=request.misses), request.pcap)
    missing = [number for number in request.packet if not 1 <= number <= last]
    if missing:
        raise InvalidInput(f"no packet {missing[0]} in this capture", source=request.pcap, remedy=f"it has {last}")
    return EXIT_PASSED


def _frames(path: str) -> Iterator[Frame]:
    try:
        yield from parse_capture(read_bytes(path))
    except InvalidInput as error:
        raise error.at(source=path) from None


def _write_json(found: Iterable[Traced], naming: Naming) -> int:
    import msgspec

    encoder = msgspec.json.Encoder()
    number = 0
    for traced in found:
        number = traced.number
        sys.stdout.write(encoder.encode(_document(traced, naming)).decode() + "\n")
    return number


def _document(traced: Traced, naming: Naming) -> Document:
    head: Document = {"number": traced.number, "time_s": traced.time_s}
    if traced.walk is None:
        return {"schema": SCHEMA, **head, "left_out": traced.problem}
    return head | (walk_document(traced.walk, naming) if traced.full else brief_document(traced.walk, naming))


def _write_text(found: Iterable[Traced], request: TraceRequest, view: View, name: str) -> int:
    paper = find_paper(request.color)
    tally = Tally()
    for traced in found:
        tally.add(traced)
        if traced.full and traced.walk is not None:
            lines = walk_lines(traced.walk, view, label=f"packet {traced.number}")
            sys.stdout.write(write_lines([*lines, Line()], paper))
    sys.stdout.write(write_lines(tally_lines(tally, view.naming, name), paper))
    return tally.total
