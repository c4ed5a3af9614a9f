"""Packets of the kernel's own trace, each beside the simulator's walk of it.

Each packet of the log is shown like a trace, its rules taken from the snapshot; then the packet of its first line is walked
by the simulator, and the two are compared. What the snapshot cannot decide the log may: the outcome that agrees is the one
that happened, and its changes are what the next packet meets. Where the packet agrees only as one of a connection that the
snapshot does not hold any more, that is said.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec

from tortie.cli.terminal import Line, Style, find_paper, plain, write_lines
from tortie.cli.trace_text import View, outcome_line, step_lines
from tortie.net.error import InvalidInput
from tortie.net.packet import Packet, describe_packet
from tortie.netfilter.hook import Hook
from tortie.netfilter.logged import LoggedStep
from tortie.netfilter.match import CtState
from tortie.simulator.document import SCHEMA, Document, packet_document, step_document, trace_document
from tortie.simulator.logged_walk import (
    Agreement,
    LogEntry,
    compare,
    entry_steps,
    find_arrival,
    first_packet,
    join_steps,
    missed_reason,
    split_ways,
)
from tortie.simulator.session import Session
from tortie.simulator.summary import Naming
from tortie.simulator.trace import ChainStep, RuleStep, Step, Trace
from tortie.simulator.walk import Arrival, Node, walk_all

_STATES = (None, CtState.ESTABLISHED, CtState.RELATED, CtState.INVALID)
"""What a packet may be to connection tracking, the snapshot's own answer first."""


@dataclass(frozen=True, slots=True)
class Explained:
    """One packet of a log; `trace` is the simulator's walk that is nearest to it, None when it could not be walked."""

    entries: tuple[LogEntry, ...]
    trace: Trace | None = None
    agreement: Agreement | None = None
    problem: str = ""
    taken_as: tuple[str, ...] = ()
    """What the log does not tell and was taken for granted: the protocol, the conntrack state that makes them agree."""

    @property
    def lines(self) -> tuple[int, int]:
        """First and last line in the log."""
        return self.entries[0].logged.line, self.entries[-1].logged.line

    @property
    def difference(self) -> str:
        """Where the two part, with the reason why the simulator missed the rule; empty when they agree."""
        if self.agreement is None or self.agreement.agrees:
            return ""
        place = self.agreement.place
        why = missed_reason(self.entries[place], self.trace.steps) if place is not None and self.trace is not None else ""
        return f"{self.agreement.text}: {why}" if why else self.agreement.text


@dataclass(frozen=True, slots=True)
class _Expected:
    """A way that the simulator already walked and the log will show later: an answer, or the packet back on `lo`."""

    packet: Packet
    steps: tuple[Step, ...]
    trace: Trace


class LogExplainer:
    """Walks the packets of a log one after the other over one session."""

    def __init__(self, node: Node, *, clock_s: float) -> None:
        self._node = node
        self._session: Session = node.session(clock_s=clock_s)
        self._expected: list[_Expected] = []

    def explain(self, group: Sequence[LoggedStep]) -> Explained:
        """One packet of the log."""
        entries = join_steps(group, self._node.snapshot.rulesets)
        packet, assumed = first_packet(entries)
        if packet is None:
            return Explained(entries, problem="the log does not show enough of the packet to walk it")
        found = self._find_expected(entries, packet)
        if found is None:
            arrival = find_arrival(entries, packet)
            if isinstance(arrival, str):
                return Explained(entries, problem=arrival)
            found = self._walk(entries, arrival, group[0].mark or 0)
        return replace(found, taken_as=(*((assumed,) if assumed else ()), *found.taken_as))

    def _find_expected(self, entries: tuple[LogEntry, ...], packet: Packet) -> Explained | None:
        for number, expected in enumerate(self._expected):
            if _headers(expected.packet) == _headers(packet):
                agreement = compare(entries, expected.steps)
                if agreement.agrees:
                    del self._expected[number]
                    return Explained(entries, expected.trace, agreement)
        return None

    def _walk(self, entries: tuple[LogEntry, ...], arrival: Arrival, mark: int) -> Explained:
        """The outcome nearest to the log: of the packet as it is, else as one of a connection that the snapshot lacks."""
        best: tuple[tuple[bool, int], Explained, Session] | None = None
        try:
            for state in _STATES:
                for one, session in self._outcomes(entries, arrival, mark, state):
                    assert one.agreement is not None
                    rank = (one.agreement.agrees, one.agreement.matched if state is None else -1)
                    if best is None or rank > best[0]:
                        best = rank, one, session
                assert best is not None
                if best[0][0]:
                    break
        except InvalidInput as error:
            return Explained(entries, problem=error.message)
        assert best is not None and best[1].trace is not None
        best[2].commit()
        self._expect(best[1].trace)
        return best[1]

    def _outcomes(
        self, entries: tuple[LogEntry, ...], arrival: Arrival, mark: int, state: CtState | None
    ) -> Iterator[tuple[Explained, Session]]:
        """Every outcome beside the log; the packet starts with the mark of the first line, or without one."""
        for start in dict.fromkeys((mark, 0)):
            walked, sessions = walk_all(self._node, replace(arrival, mark=start, state=state), self._session)
            for trace, session in zip(walked.outcomes, sessions, strict=True):
                steps = trace.steps if _starts_anew(entries) else split_ways(trace.steps)[0]
                taken_as = () if state is None else (state.value,)
                yield Explained(entries, trace, compare(entries, steps), taken_as=taken_as), session

    def _expect(self, trace: Trace) -> None:
        for way in split_ways(trace.steps)[1:]:
            first = next(step for step in way if isinstance(step, RuleStep | ChainStep))
            self._expected.append(_Expected(first.packet, way, trace))
        for answer in trace.answers:
            self._expected.append(_Expected(answer.packet, split_ways(answer.steps)[0], answer))
            self._expect(answer)


def _starts_anew(entries: Sequence[LogEntry]) -> bool:
    """True when the log shows both ways of a packet that comes back on `lo` as one, as nf_tables' numbers do."""
    hooks = [entry.hook for entry in entries]
    return Hook.PREROUTING in hooks and hooks[0] is Hook.OUTPUT


def _headers(packet: Packet) -> tuple[object, ...]:
    """What is the same in the simulator's answer and in the kernel's."""
    return (
        packet.family, packet.src, packet.dst, packet.proto, packet.sport, packet.dport, packet.icmp_type, packet.icmp_code,
    )  # fmt: skip


# --- showing -----------------------------------------------------------------------------------------------------


def write_text(found: Iterator[Explained], view: View, color: str) -> list[Explained]:
    """Writes every packet for people, and how many agree; returns all of them."""
    paper = find_paper(color)
    shown: list[Explained] = []
    for number, one in enumerate(found, 1):
        shown.append(one)
        sys.stdout.write(write_lines(explained_lines(one, view, number), paper))
    sys.stdout.write(write_lines(tally_lines(shown), paper))
    return shown


def write_json(found: Iterator[Explained], naming: Naming) -> list[Explained]:
    """Writes a document a packet, each on one line; returns all of them."""
    encoder = msgspec.json.Encoder()
    shown: list[Explained] = []
    for one in found:
        shown.append(one)
        sys.stdout.write(encoder.encode(explained_document(one, naming)).decode() + "\n")
    return shown


def explained_lines(one: Explained, view: View, number: int) -> Iterator[Line]:
    """One packet: its way as the kernel told it, what the simulator says, and whether they agree."""
    first, last = one.lines
    where = f"line {first}" if first == last else f"lines {first}-{last}"
    yield Line(((f"packet {number}: {_describe(one)}", Style.HEAD), (f", {where}", Style.FAINT)))
    if not view.brief:
        yield Line()
        yield from step_lines(entry_steps(one.entries), view)
        yield Line()
    yield Line((("log       ", Style.HEAD), (f"ends with {one.entries[-1].name}", Style.PLAIN)), hang=10)
    if one.trace is not None:
        yield Line((("simulator ", Style.HEAD), *outcome_line(one.trace, view.naming).pieces), hang=10)
    yield _agreement_line(one)
    yield Line()


def _agreement_line(one: Explained) -> Line:

    if one.agreement is None:
        return Line((("NOT COMPARED", Style.DOUBT), (f": {one.problem}", Style.PLAIN)), hang=2)
    if one.agreement.agrees:
        rest = f", taking it as {' and '.join(one.taken_as)}" if one.taken_as else ""
        return Line((("AGREES", Style.GOOD), (rest, Style.PLAIN)), hang=2)
    place = one.agreement.place
    where = f" at line {one.entries[place].logged.line}" if place is not None else ""
    return Line((("DISAGREES", Style.BAD), (f"{where}: {one.difference}", Style.PLAIN)), hang=2)


def _describe(one: Explained) -> str:
    """The packet as the log first shows it."""
    logged, packet = one.entries[0].logged.packet, first_packet(one.entries)[0]
    if packet is None or logged is None:
        return "not shown by the log"
    way = f"arrives on {logged.in_iface}" if logged.in_iface else "made by this node"
    return f"{describe_packet(packet)}, {way}"


def tally_lines(found: list[Explained]) -> Iterator[Line]:
    """How many packets agree."""
    agree = sum(one.agreement is not None and one.agreement.agrees for one in found)
    differ = sum(one.agreement is not None and not one.agreement.agrees for one in found)
    words = [f"{agree} agree" if agree != 1 else "1 agrees", f"{differ} disagree" if differ != 1 else "1 disagrees"]
    if agree + differ < len(found):
        words.append(f"{len(found) - agree - differ} could not be compared")
    yield plain(f"{len(found)} packet{'' if len(found) == 1 else 's'} in the log: {', '.join(words)}")


def explained_document(one: Explained, naming: Naming) -> Document:
    """One packet as plain values."""
    logged = one.entries[0].logged
    packet = first_packet(one.entries)[0]
    place = one.agreement.place if one.agreement is not None else None
    return {
        "schema": SCHEMA,
        "origin": logged.origin.value,
        "lines": list(one.lines),
        "packet": None if packet is None else packet_document(packet),
        "log": [step_document(step, naming) for step in entry_steps(one.entries)],
        "agrees": None if one.agreement is None else one.agreement.agrees,
        "difference": one.difference or one.problem or None,
        "difference_line": None if place is None else one.entries[place].logged.line,
        "taken_as": list(one.taken_as),
        "simulator": None if one.trace is None else trace_document(one.trace, naming),
    }
