"""The kernel and the simulator asked the same questions, packet by packet.

`Judge` runs scenarios on a real node and beside it in the simulator, which reads the node as any other: from what the
tools print. Both keep their connections from packet to packet. The simulator may have several outcomes; the kernel has to
agree with one, and that one's session goes on. Where the kernel draws a random port, the simulator is told which.

`python -m tests.kernel.differential FILE` replays a scenario file and prints both accounts.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Protocol

from tests.kernel.compare import compare_connections, compare_copied, compare_made, compare_own, is_stamped
from tests.kernel.oracle.device import CannotBind
from tests.kernel.oracle.netlink import MessagesLost
from tests.kernel.oracle.node import KernelNode, Refused, mac_bytes
from tests.kernel.oracle.outcome import EventKind, KernelWalk, Kind, Origin, Outcome
from tests.kernel.oracle.separate import packet_icmp_type, packet_kind
from tests.kernel.patience import Patience
from tests.kernel.recipe import Memory, make, read_packet
from tests.kernel.scenario import NEIGHBOUR_MAC, Given, Scenario, Topology
from tests.kernel.scenario_file import parse_scenario
from tests.kernel.snapshot import SnapshotReader, parse_snapshot
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.net.packet import Packet
from tortie.net.protocol import ICMP, ICMPV6, TCP, UDP, UDPLITE
from tortie.net.wire import format_packet
from tortie.netfilter.conntrack import ConnEntry, ConnTuple
from tortie.netfilter.hook import Backend
from tortie.netfilter.match import Direction
from tortie.simulator.nat import Manipulation
from tortie.simulator.path import REDIRECT_NOTE
from tortie.simulator.session import Session
from tortie.simulator.skb import Socket
from tortie.simulator.trace import ConntrackStep, Disposition, NoteStep, RouteStep, Trace, Verdict
from tortie.simulator.walk import Arrival, Node, walk_all

_REDIRECT = 5
_CONNLIMIT_PAUSE_S = 0.012
"""connlimit forgets connections that never came to be no sooner than in the next jiffy (nf_conncount.c)."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One packet on which the two disagree; `key` is None when the scenario as a whole is concerned."""

    key: int | None
    remarks: tuple[str, ...]
    account: str
    """Both sides' accounts, for people."""


@dataclass(slots=True)
class Report:
    """What a scenario showed."""

    packets: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    """Why the simulator could not say, where it could not."""
    mismatches: list[Mismatch] = field(default_factory=list)
    refused: str | None = None
    left_out: int = 0
    """Recipes without an ingredient."""
    not_compared: Counter[str] = field(default_factory=Counter)
    """What of a packet was not compared, and why, where the oracle cannot tell."""


class Connections(Protocol):
    """The kernel's table of connections."""

    def find(self, conn_tuple: ConnTuple, zone: int = 0) -> ConnEntry | None:
        """The entry that has this tuple in a zone."""


class Witness(Protocol):
    """Who says what a kernel does: a real node, or what one said once."""

    backend: Backend
    patience: Patience

    @property
    def connections(self) -> Connections:
        """The table as it is after the last packet."""

    def connection_count(self) -> int:
        """How many connections there are."""

    def inject(self, given: Given) -> Outcome:
        """What became of a packet."""

    def moment(self) -> float:
        """Seconds since 1970."""


class TextReader(Protocol):
    """Reads the witness's node as the tools print it."""

    def read(self, *, network_changed: bool) -> dict[str, str]:
        """Texts by name."""


class Judge:
    """Keeps one node alive for scenarios of the same topology and back-end; a context manager."""

    def __init__(self, witness: Callable[[KernelNode], Witness] = lambda node: node) -> None:
        self._witness = witness
        """What the packets go through; a recorder stands between."""
        self.last_texts: dict[str, str] = {}
        """The last scenario's node as its tools printed it."""
        self._node: KernelNode | None = None
        self._reader: SnapshotReader | None = None

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self._close()

    def _close(self) -> None:
        if self._node is not None:
            self._node.close()
            self._node = None

    def judge(self, scenario: Scenario) -> Report:
        """Runs one scenario on both sides; stops at its first mismatch."""
        report = Report()
        try:
            node = self._node_for(scenario)
            node.prepare(scenario.rules, scenario.ip_sets, scenario.sysctls)
        except Refused as refusal:
            report.refused = str(refusal)
            return report
        try:
            run_scenario(self._witness(node), self, scenario, report)
        except BaseException:
            self._close()
            raise
        node.clear()
        return report

    def read(self, *, network_changed: bool) -> dict[str, str]:
        """Reads the node that is asked now."""
        assert self._reader is not None
        self.last_texts = self._reader.read(network_changed=network_changed)
        return self.last_texts

    def _node_for(self, scenario: Scenario) -> KernelNode:
        node = self._node
        if node is None or node.topology != scenario.topology or node.backend is not scenario.backend:
            self._close()
            node = self._node = KernelNode(scenario.topology, scenario.backend, drop_reasons=True)
            self._reader = SnapshotReader(node)
        return node


def run_scenario(node: Witness, reader: TextReader, scenario: Scenario, report: Report) -> None:
    """Judges packet after packet until the two disagree."""
    # Forwarding brings and takes IPv6 anycast routes.
    changed = any("forward" in name for name, _ in scenario.sysctls)
    try:
        simulated = Node.from_snapshot(parse_snapshot(reader.read(network_changed=changed)))
    except InvalidInput as error:
        report.mismatches.append(Mismatch(None, (f"the node's own text is refused: {error}",), ""))
        return
    session = simulated.session(clock_s=node.moment())
    memory = Memory()
    patience = node.patience
    pause_s = _CONNLIMIT_PAUSE_S if any("connlimit" in text for text in scenario.rules.values()) else 0.0
    for shot in scenario.shots:
        given = make(shot.recipe, memory)
        if given is None:
            report.left_out += 1
            continue
        time.sleep(pause_s)
        try:
            outcome = node.inject(given)
        except CannotBind:
            report.left_out += 1
            continue
        except MessagesLost:
            report.not_compared["the kernel had no room for a message of its trace"] += 1
            return
        memory.keep(shot.key, given, outcome)
        report.packets += 1
        session.clock_s = node.moment()
        trial = _Trial(node, simulated, session, given, outcome, patience, scenario.topology)
        agreed = trial.judge()
        report.not_compared += trial.not_compared
        trial.note_limited_errors()
        if not agreed:
            if trial.unknown:
                report.unknown[trial.unknown] += 1
            else:
                report.mismatches.append(Mismatch(shot.key, tuple(trial.remarks), trial.account()))
            return


class _Trial:
    """One packet: the kernel's outcome against every outcome of the simulator."""

    def __init__(
        self,
        node: Witness,
        simulated: Node,
        session: Session,
        given: Given,
        outcome: Outcome,
        patience: Patience,
        topology: Topology,
    ) -> None:
        self._patience = patience
        self._topology = topology
        self._node = node
        self._simulated = simulated
        self._session = session
        self._given = given
        self._outcome = outcome
        self._backend = node.backend
        self._answered: list[Trace] = []
        self._unpredicted: list[KernelWalk] = []
        injected = read_packet(given.data)
        self._stamped = injected is not None and is_stamped(injected.options)
        self.trace: Trace | None = None
        self.remarks: list[str] = []
        self.unknown = ""
        """Why the simulator could not say, when that is why nothing agreed."""
        self.not_compared: Counter[str] = Counter()
        """What the oracle could not tell."""

    def judge(self) -> bool:
        """True when one outcome of the simulator is what the kernel did; the session then has followed it."""
        packet = read_packet(self._given.data)
        if packet is None:
            return self._judge_unread()
        if not self._choose(self._arrival(packet)):
            return False
        if not self._judge_local_answers():
            return False
        assert self.trace is not None
        self.remarks = self._compare_connection(self.trace, self._session)
        return not self.remarks and self._judge_connection_count()

    def _judge_unread(self) -> bool:
        """Bytes that the parser refuses are bytes that no table of the kernel sees either."""
        seen = self._outcome.own.steps or self._outcome.sent or self._outcome.delivered
        if seen and self._given.in_iface is not None:
            self.remarks.append("the packet is refused as unreadable, but the kernel handled it")
            return False
        return True

    def _arrival(self, packet: Packet) -> Arrival:
        given = self._given
        if given.in_iface is not None:
            return self._frame(Arrival(packet, given.in_iface))
        socket = Socket(uid=given.uid, gid=given.gid)
        return Arrival(packet, None, mark=given.mark, out_iface=given.device or None, socket=socket)

    def _frame(self, arrival: Arrival) -> Arrival:
        own = next(one.mac for one in self._topology.interfaces if one.name == arrival.in_iface)
        if not own:
            return arrival
        source, target = self._given.mac_source or NEIGHBOUR_MAC, self._given.mac_destination or own
        return replace(
            arrival,
            mac_source=mac_bytes(source),
            mac_destination=mac_bytes(target),
            frame_type=_frame_type(mac_bytes(target), mac_bytes(own)),
        )

    def _choose(self, arrival: Arrival) -> bool:
        result, sessions = walk_all(self._simulated, arrival, self._session, pick=self._pick)
        best: tuple[list[str], Trace] | None = None
        for trace, session in zip(result.outcomes, sessions, strict=True):
            remarks = self._differences(trace, session)
            if not remarks:
                session.commit()
                self.trace = trace
                return True
            if best is None or len(remarks) < len(best[0]):
                best = remarks, trace
        assert best is not None
        self.remarks, self.trace = best
        doubtful = [trace for trace in result.outcomes if trace.verdict is Verdict.UNKNOWN]
        if doubtful:
            self.unknown = doubtful[0].decided_by.text
        return False

    def _pick(self, manipulation: Manipulation, low: int, high: int) -> int:
        """The port that the kernel drew, as far as its new connection tells."""
        source = manipulation is Manipulation.SOURCE
        for event in self._outcome.events:
            if event.kind is EventKind.NEW:
                reply = event.entry.reply
                key = reply.dst_key if source and reply.proto not in (ICMP, ICMPV6) else reply.src_key
                if low <= key <= high:
                    return key
        for quoted in self._quoted():
            key = quoted.icmp_rest >> 16 if quoted.is_icmp else quoted.sport if source else quoted.dport
            if low <= key <= high:
                return key
        if (keys := self._outcome.own.last_keys) is not None and low <= keys[not source] <= high:
            return keys[not source]
        return low

    def _quoted(self) -> Iterator[Packet]:
        """What errors of the node quote: the packet as it was, also where no connection came to be."""
        for walk in self._outcome.walks[1:]:
            error = read_packet(walk.first) if walk.kind is Kind.ICMP_ERROR and walk.first is not None else None
            quoted = read_packet(error.payload) if error is not None else None
            if quoted is not None and (quoted.has_ports or quoted.is_icmp):
                yield quoted

    def _differences(self, trace: Trace, session: Session) -> list[str]:
        copies = [answer for answer in trace.answers if _is_copy(answer, trace)]
        if copies:
            remarks = compare_copied(self._outcome, trace, copies, self._backend)
        else:
            remarks = compare_own(self._outcome, trace, self._backend, local=self._given.in_iface is None)
        remarks += self._compare_answers(trace)
        # What the node's own sockets answer changes the connection further; it is then compared afterwards.
        return remarks if remarks or self._unpredicted else self._compare_connection(trace, session)

    def _compare_connection(self, trace: Trace, session: Session) -> list[str]:
        """The connection of a packet as it is now, on both sides."""
        if trace.connection is None:
            return []
        before = trace.connection
        found = session.find(before.original, before.zone_original, before.zone_reply)
        kernel = self._node.connections.find(before.original, before.zone_original)
        return compare_connections(kernel, found[0].entry() if found is not None else None)

    def _compare_answers(self, trace: Trace) -> list[str]:
        """Pairs what the simulator says the node makes with what the kernel made, in order of kind."""
        copies = [answer for answer in trace.answers if _is_copy(answer, trace)]
        unpaired = [walk for walk in self._outcome.walks[1:] if not (copies and walk.origin is Origin.COPY)]
        remarks: list[str] = []
        for answer, nested in _all_answers(trace):
            if answer in copies:
                continue
            walk = _walk_of(answer, unpaired)
            if walk is None:
                remarks += self._missing(answer, limited=not nested and _is_limited(answer, trace))
                continue
            unpaired.remove(walk)
            # What quotes an answer quotes a checksum that the kernel had not finished.
            stamped = self._stamped or nested
            remarks += compare_made(walk, self._outcome.departures, answer, self._backend, stamped=stamped)
        self._unpredicted = unpaired
        heard = any(one.origin is Origin.INJECTED for one in self._outcome.delivered)
        if unpaired and trace.disposition is not Disposition.DELIVERED and not heard:
            first = unpaired[0].first
            made = read_packet(first) if first is not None else None
            remarks.append(f"answer: the kernel made {made}, the simulator none")
        return remarks

    # --- packets of the node's own sockets -----------------------------------------------------------------------

    def _judge_local_answers(self) -> bool:
        while self._unpredicted:
            walk = self._unpredicted.pop(0)
            packet = read_packet(walk.first, unfinished_checksums=True) if walk.first is not None else None
            if packet is None:
                continue
            # Over IPv6 sockets answer by the device whose address was asked, whatever the routes say (tcp_v6_send_response,
            # icmpv6_echo_reply); echoes of what went to a group or an anycast address even as if they were bound to it.
            ways: list[tuple[str | None, bool]] = [(None, False)]
            if packet.family is IPFamily.V6:
                # The device is asked for, which policy rules see even where another one is taken in the end.
                asked = dict.fromkeys(name for name in (self._given.in_iface, walk.first_out) if name)
                ways += [(name, bound) for name in asked for bound in (False, True)]
            remarks: list[str] = []
            for device, bound in ways:
                answered = self._judge_local_answer(walk, packet, device, bound=bound)
                if not answered:
                    break
                remarks = remarks or answered
            else:
                self.remarks = [f"local socket's {remark}" for remark in remarks]
                return False
        return True

    def _judge_local_answer(self, walk: KernelWalk, packet: Packet, device: str | None, *, bound: bool) -> list[str]:
        arrival = Arrival(
            packet,
            None,
            mark=walk.first_mark,
            out_iface=device,
            # A RST over IPv6 has no socket (tcp_v6_send_response); that nothing is known of it leaves both answers open.
            socket=None if bound or (packet.family is IPFamily.V6 and packet.proto == TCP) else Socket(has_file=False),
            about=self._connection_of_error(walk.kind),
        )
        result, sessions = walk_all(self._simulated, arrival, self._session, pick=self._pick)
        best: list[str] | None = None
        unpredicted = tuple(self._unpredicted)
        for trace, session in zip(result.outcomes, sessions, strict=True):
            self._unpredicted = list(unpredicted)
            remarks = compare_made(walk, self._outcome.departures, trace, self._backend, stamped=self._stamped)
            remarks += self._compare_further_answers(trace) if not remarks else []
            if not remarks:
                session.commit()
                self._answered.append(trace)
                return []
            best = remarks if best is None or len(remarks) < len(best) else best
        self._answered.append(result.outcomes[0])
        return best or ["no outcome"]

    def _compare_further_answers(self, trace: Trace) -> list[str]:
        """What the node makes because of an answer of its own, such as REJECT's to a RST."""
        remarks: list[str] = []
        for answer, _ in _all_answers(trace):
            walk = _walk_of(answer, self._unpredicted)
            if walk is not None:
                self._unpredicted.remove(walk)
                # It quotes a packet whose checksum the kernel had not finished.
                remarks += compare_made(walk, self._outcome.departures, answer, self._backend, stamped=True)
            else:
                remarks += self._missing(answer, limited=False)
        return remarks

    def _missing(self, answer: Trace, *, limited: bool) -> list[str]:
        """What is to be said of an answer that the kernel did not make, or made without anybody seeing it."""
        if not answer.steps or not _seen_somewhere(answer):
            return []
        if limited and self._patience.spent(answer.packet.dst):
            self.not_compared["an ICMP error that the kernel may have withheld: its receiver had several"] += 1
            return []
        return [f"answer: the kernel made none, the simulator {answer.packet}"]

    def note_limited_errors(self) -> None:
        """Remembers what this packet has used up of the kernel's limits on errors."""
        trace = self.trace
        if trace is None or trace.packet.family is IPFamily.V6:
            return
        if _refusal(trace):
            self._patience.note_refusal(trace.packet.src)
        if any(isinstance(step, NoteStep) and step.text.endswith(REDIRECT_NOTE) for step in trace.steps):
            # It counts also where no error may be sent about the packet.
            self._patience.note_redirect(trace.packet.src)

    def _connection_of_error(self, kind: Kind) -> tuple[ConnEntry, Direction] | None:
        """Connection and direction of the delivered packet, which the kernel gives to ICMP errors about it."""
        assert self.trace is not None
        tracked = [step for step in self.trace.steps if isinstance(step, ConntrackStep)]
        if kind is not Kind.ICMP_ERROR or self.trace.connection is None or not tracked or tracked[-1].direction is None:
            return None
        if self.trace.connection.original.proto in (UDP, UDPLITE):
            # UDP lets go of the connection before it looks for a socket (nf_reset_ct in __udp4_lib_rcv, __udp6_lib_rcv).
            return None
        return self.trace.connection, tracked[-1].direction

    def _judge_connection_count(self) -> bool:
        kernel, simulator = self._node.connection_count(), len(self._session.connections)
        if kernel != simulator:
            self.remarks.append(f"connections: kernel has {kernel}, simulator {simulator}")
            return False
        return True

    # --- telling -------------------------------------------------------------------------------------------------

    def account(self) -> str:
        """Both accounts, line by line."""
        lines = [f"packet {read_packet(self._given.data)} {_where(self._given)}", "kernel:"]
        lines += [f"  {line}" for line in _outcome_lines(self._outcome)]
        lines.append("simulator:")
        if self.trace is not None:
            lines += [f"  {line}" for line in _trace_lines(self.trace)]
        for trace in self._answered:
            lines += [f"  then {line}" for line in _trace_lines(trace)]
        return "\n".join(lines)


def _frame_type(target: bytes, own: bytes) -> str:
    """eth_skb_pkt_type."""
    if target == own:
        return "unicast"
    if target == b"\xff" * 6:
        return "broadcast"
    return "multicast" if target[0] & 1 else "otherhost"


def _refusal(trace: Trace) -> bool:
    """True when routing refused the packet that came in, and would tell its sender."""
    routed = [step.decision for step in trace.steps if isinstance(step, RouteStep) and step.stage == "input"]
    return bool(routed) and routed[-1].icmp is not None


def _is_redirect(packet: Packet) -> bool:
    return packet.family is IPFamily.V4 and packet.is_icmp and packet.icmp_type == _REDIRECT


def _is_limited(answer: Trace, about: Trace) -> bool:
    """True for the errors that the kernel counts by receiver (`patience`)."""
    packet = answer.packet
    return packet.family is IPFamily.V4 and packet.is_icmp and (_is_redirect(packet) or _refusal(about))


def _is_copy(answer: Trace, about: Trace) -> bool:
    """True for what TEE sent: other answers are errors and resets, and never to their like (`separate`)."""
    kind = packet_kind(format_packet(answer.packet))
    return kind not in (Kind.ICMP_ERROR, Kind.RESET) or kind is packet_kind(format_packet(about.packet))


def _walk_of(answer: Trace, walks: Sequence[KernelWalk]) -> KernelWalk | None:
    """What the kernel made of an answer's kind; one packet may have errors of several types about it."""
    data = format_packet(answer.packet)
    kind, icmp_type = packet_kind(data), packet_icmp_type(data)
    for walk in walks:
        if walk.kind is kind and (walk.first is None or packet_icmp_type(walk.first) == icmp_type):
            return walk
    return None


def _all_answers(trace: Trace, *, nested: bool = False) -> Iterator[tuple[Trace, bool]]:
    """The packets made because of one; the second value is true for those made because of such a packet."""
    for answer in trace.answers:
        yield answer, nested
        yield from _all_answers(answer, nested=True)


def _seen_somewhere(answer: Trace) -> bool:
    return answer.disposition is not Disposition.DROPPED or any(
        getattr(step, "matched", False) or hasattr(step, "policy") for step in answer.steps
    )


def _where(given: Given) -> str:
    if given.in_iface is not None:
        return " ".join(word for word in ("in", given.in_iface, given.mac_source, given.mac_destination) if word)
    words = ["local"]
    for name in ("mark", "uid", "gid", "device", "bound"):
        value = getattr(given, name)
        if value:
            words.append(f"{name} {value}")
    return " ".join(words)


def _outcome_lines(outcome: Outcome) -> Iterator[str]:
    for walk in outcome.walks:
        yield f"{walk.origin.value}: {_packet_text(walk)} " + " ".join(str(step) for step in walk.steps)
    for departure in outcome.departures:
        yield f"left by {departure.iface} ({departure.origin.value}): {read_packet(departure.data)}"
    for delivery in outcome.delivered:
        yield f"delivered ({delivery.origin.value}): {read_packet(delivery.data)}"
    for event in outcome.events:
        yield f"{event.kind.value} {event.entry}"
    if outcome.errno or outcome.drops:
        yield f"errno {outcome.errno}, drops {', '.join(outcome.drops)}"


def _packet_text(walk: KernelWalk) -> str:
    return str(read_packet(walk.first)) if walk.origin is not Origin.INJECTED and walk.first is not None else ""


def _trace_lines(trace: Trace) -> Iterator[str]:
    yield f"{trace.packet}: {trace.verdict.value} {trace.disposition.value}, {trace.decided_by.text}, errno {trace.errno}"
    for step in trace.steps:
        match step.__class__.__name__:
            case "RuleStep":
                if getattr(step, "matched", False):
                    yield f"  {_attributes(step, 'hook', 'table', 'chain', 'number', 'effect', 'mark_before')}"
            case "ChainStep":
                yield f"  {_attributes(step, 'hook', 'table', 'chain', 'policy', 'number', 'mark')}"
            case "RouteStep":
                decision = getattr(step, "decision", step)
                yield f"  {_attributes(step, 'stage')} {_attributes(decision, 'kind', 'iface', 'why')}"
            case "ConntrackStep" | "NatStep" | "NoteStep":
                yield f"  {_attributes(step, 'hook', 'text')}"
            case _:
                yield f"  {step}"
    if trace.out is not None:
        yield f"  out {trace.out.iface}: {trace.out.packet}"
    if trace.connection is not None:
        yield f"  {trace.connection}"
    for condition in trace.conditions:
        yield f"  condition: {condition.text}"
    for answer in trace.answers:
        for line in _trace_lines(answer):
            yield f"  answer {line}"


def _attributes(step: object, *names: str) -> str:
    return " ".join(str(getattr(value := getattr(step, name), "value", value)) for name in names)


def replay(path: Path) -> int:
    """Judges a scenario file and prints what it shows; the exit code."""
    with Judge() as judge:
        report = judge.judge(parse_scenario(path.read_text()))
    if report.refused:
        print(f"refused: {report.refused}")
        return 2
    for mismatch in report.mismatches:
        print(f"packet {mismatch.key}:", *mismatch.remarks, sep="\n  ")
        print(mismatch.account)
    print(f"{report.packets} packets, {len(report.mismatches)} mismatches, unknown: {dict(report.unknown)}")
    return 1 if report.mismatches else 0


def main(arguments: Sequence[str]) -> int:
    """Replays every file named on the command line."""
    if not arguments:
        print("usage: python -m tests.kernel.differential FILE...", file=sys.stderr)
        return 2
    return max(replay(Path(name)) for name in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
