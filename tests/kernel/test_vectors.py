"""The kernel's surprising facts (spec: netfilter 14): the kernel shows them, and the simulator agrees with the kernel.

Facts that a ruleset and packets can show are rows of the tables `tests.cases.vectors`, `vectors_nat`, `vectors_rule` and
`vectors_generator`. The others are tests of their own below: V04, V49, V76 and V89 change the node between packets, V13 is
not in what iptables-save prints, V96 needs Ethernet, and V94, V95 and V100 are refused before there is a packet.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cases import vectors, vectors_nat, vectors_rule
from tests.cases.match_case import LEGACY, NFT
from tests.cases.vector import (
    NODE,
    V4,
    Seen,
    Vector,
    is_like,
    only_rules,
    parse_path,
    path_of,
    restore_text,
    without_returns,
)
from tests.cases.vector_builder import NEW, udp
from tests.cases.vectors_generator import GENERATOR_VECTORS
from tests.kernel.compare import compare_own
from tests.kernel.differential import Judge
from tests.kernel.iptables_tools import Tools
from tests.kernel.oracle.namespace import Namespace
from tests.kernel.oracle.node import KernelNode
from tests.kernel.oracle.outcome import Departure, EventKind, KernelStep, Kind, Origin, Outcome
from tests.kernel.recipe import Memory, make, read_packet, whole_packet
from tests.kernel.scenario import Given, Interface, Topology
from tests.kernel.snapshot import SnapshotReader, parse_snapshot
from tests.kernel.test_bridge import FLOWS, BridgeNode
from tortie.codec.command import apply_command
from tortie.codec.save import parse_save
from tortie.net.error import InvalidInput
from tortie.net.packet import Packet
from tortie.net.wire import format_packet
from tortie.netfilter.conntrack import ConnEntry
from tortie.netfilter.hook import Backend, TableName
from tortie.netfilter.rule import Ruleset
from tortie.simulator.release import DNAT_IN_ORDER, RELEASE_SETTING, is_older, release_of
from tortie.simulator.session import Session
from tortie.simulator.trace import Cause, Disposition, RuleStep, Trace
from tortie.simulator.walk import Arrival, Node, walk

TABLE = (*vectors.VECTORS, *vectors_nat.VECTORS, *vectors_rule.VECTORS, *GENERATOR_VECTORS)
OWN_TESTS = ("V04", "V13", "V49", "V76", "V89", "V94", "V95", "V96", "V100")
"""Facts that are no rows, for the reasons above."""
LAST = 107
NEWER = {"V44": DNAT_IN_ORDER}
"""Facts that older kernels lack, with the first release that has them; the simulator agrees with either."""
KERNEL = release_of({RELEASE_SETTING: os.uname().release})


class Nodes:
    """One kernel node for each topology and back-end, made when it is first asked for."""

    def __init__(self) -> None:
        self._made: list[KernelNode] = []

    def of(self, topology: Topology, backend: Backend) -> KernelNode:
        """The node of a topology."""
        for node in self._made:
            if (node.topology, node.backend) == (topology, backend):
                return node
        self._made.append(KernelNode(topology, backend, drop_reasons=True))
        return self._made[-1]

    def close(self) -> None:
        """Gives all nodes back."""
        for node in self._made:
            node.close()


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    made = Nodes()
    yield made
    made.close()


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge() as made:
        yield made


def _each() -> list[object]:
    """Vectors with their back-ends; those of one node follow each other, as a judge keeps one node at a time."""
    pairs = [(vector, backend) for backend in Backend for vector in TABLE if backend in vector.backends]
    order = {
        id(topology): place for place, topology in enumerate({id(one.topology): one.topology for one in TABLE}.values())
    }
    pairs.sort(key=lambda pair: (pair[1].value, order[id(pair[0].topology)]))
    return [pytest.param(vector, backend, id=f"{vector.name}-{backend.value}") for vector, backend in pairs]


def test_no_fact_is_left_out() -> None:
    told = {vector.name.split()[0] for vector in TABLE} | set(OWN_TESTS)
    assert told == {f"V{number:02}" for number in range(1, LAST + 1)}


@pytest.mark.parametrize(("vector", "backend"), _each())
def test_the_kernel_does_what_is_written(nodes: Nodes, vector: Vector, backend: Backend) -> None:
    if vector.name in NEWER and is_older(KERNEL, NEWER[vector.name]):
        pytest.skip(f"{vector.name} is so from Linux {'.'.join(map(str, NEWER[vector.name]))} on")
    node = nodes.of(vector.topology, backend)
    scenario = vector.scenario(backend)
    node.prepare(scenario.rules, scenario.ip_sets, scenario.sysctls)
    memory = Memory()
    ports: dict[int, int] = {}
    try:
        for shot, seen in zip(scenario.shots, vector.seen, strict=True):
            given = make(shot.recipe, memory)
            assert given is not None
            outcome = node.inject(given)
            memory.keep(shot.key, given, outcome)
            where = f"{vector.name}: {vector.fact}; packet {shot.key}"
            _check(vector, backend, seen, outcome, ports, where)
            packet = whole_packet([one.data for one in outcome.sent])
            if packet is not None:
                ports[shot.key] = packet.sport
    finally:
        node.clear()


def _check(vector: Vector, backend: Backend, seen: Seen, outcome: Outcome, ports: dict[int, int], where: str) -> None:
    tables = tuple(vector.rules)
    path = path_of(outcome.own.steps, backend, tables)
    if seen.path is not None:
        assert path == _wanted(seen.path, backend), where
    if seen.hits is not None:
        assert only_rules(path) == parse_path(seen.hits), where
    assert _ends_as(seen.end, outcome, ports), f"{where}: {_told(outcome)}"
    if seen.made is not None:
        left = [one for one in outcome.departures if one.origin is Origin.MADE]
        assert len(left) == len(seen.made), f"{where}: {_told(outcome)}"
        for text, one in zip(seen.made, left, strict=True):
            assert _is_departure(text, one, ports), f"{where}: {text}: {_told(outcome)}"
    if seen.made_path is not None:
        made: Sequence[KernelStep] = outcome.walks[1].steps
        assert path_of(made, backend, tables) == _wanted(seen.made_path, backend), where
    if seen.drop is not None:
        assert outcome.dropped_for(seen.drop), f"{where}: {_told(outcome)}"
    if seen.tracked is not None:
        assert any(event.kind is EventKind.NEW for event in outcome.events) == seen.tracked, where


def _wanted(text: str, backend: Backend) -> list[tuple[str, str, str]]:
    path = parse_path(text)
    return without_returns(path) if backend is Backend.NFT else path


def _ends_as(text: str, outcome: Outcome, ports: dict[int, int]) -> bool:
    # What a last fragment completes is of another kind than the fragment, so that the oracle does not know whose it is.
    whole = outcome.own.kind is Kind.LATER_FRAGMENT
    delivered = [one for one in outcome.delivered if whole or one.origin is Origin.INJECTED]
    name, _, rest = text.partition(" ")
    if not rest:
        return not outcome.sent and not delivered and outcome.errno == (None if name == "gone" else name)
    if name == "here":
        packet = read_packet(delivered[0].data) if delivered and not outcome.sent else None
        return packet is not None and is_like(text, "here", packet, ports)
    packet = whole_packet([one.data for one in outcome.sent])
    return packet is not None and is_like(text, outcome.sent[0].iface, packet, ports) and outcome.errno is None


def _is_departure(text: str, departure: Departure, ports: dict[int, int]) -> bool:
    packet = read_packet(departure.data)
    return packet is not None and is_like(text, departure.iface, packet, ports)


def _told(outcome: Outcome) -> str:
    left = [f"{one.origin.value} {one.iface} {read_packet(one.data)}" for one in outcome.departures]
    here = [str(read_packet(one.data)) for one in outcome.delivered]
    return f"left {left}, delivered {here}, errno {outcome.errno}, drops {outcome.drops}"


@pytest.mark.parametrize(("vector", "backend"), _each())
def test_the_simulator_agrees(judge: Judge, vector: Vector, backend: Backend) -> None:
    report = judge.judge(vector.scenario(backend))
    assert report.refused is None
    assert [f"{'; '.join(one.remarks)}\n{one.account}" for one in report.mismatches] == []
    assert report.unknown == {}
    assert report.packets == len(vector.seen)


# --- the node changes between packets ----------------------------------------------------------------------------


def _simulated(node: KernelNode, connections: Sequence[ConnEntry] = ()) -> Node:
    snapshot = parse_snapshot(SnapshotReader(node).read(network_changed=True))
    return Node.from_snapshot(replace(snapshot, connections=tuple(connections)))


def _walk(node: Node, given: Given, session: Session | None = None) -> Trace:
    packet = read_packet(given.data)
    assert packet is not None
    return walk(node, Arrival(packet, given.in_iface), session).trace


def _left(outcome: Outcome) -> tuple[str, Packet] | None:
    packet = whole_packet([one.data for one in outcome.sent])
    return (outcome.sent[0].iface, packet) if packet is not None else None


def _simulated_left(trace: Trace) -> tuple[str, Packet] | None:
    return (trace.out.iface, trace.out.packet) if trace.out is not None else None


@pytest.mark.parametrize("backend", Backend)
def test_v04_without_nat_rules_a_translated_connection_passes_as_it_is(nodes: Nodes, backend: Backend) -> None:
    node = nodes.of(NODE, backend)
    node.prepare({V4: restore_text({"nat": ["-A PREROUTING -p udp -j DNAT --to-destination 10.1.0.77"]})})
    try:
        first = node.inject(udp())
        assert _ends_as("e1 10.0.0.5:1>10.1.0.77:2", first, {})
        before = [event.entry for event in first.events]
        node.run(f"iptables-{backend.value}-restore", text=restore_text({"nat": []}))
        node.refresh()
        second = node.inject(udp())
        assert _ends_as("e1 10.0.0.5:1>10.1.0.9:2", second, {})
        assert second.events == ()
        assert _simulated_left(_walk(_simulated(node, before), udp())) == _left(second)
    finally:
        node.clear()


@pytest.mark.parametrize(
    ("target", "ends"),
    [
        ("MASQUERADE", ("gone", "e2 10.2.0.1:1>90.1.1.1:2")),
        ("SNAT --to-source 10.1.0.1", ("e2 10.1.0.1:1>90.1.1.1:2", "e2 10.1.0.1:1>90.1.1.1:2")),
    ],
)
def test_v49_a_masqueraded_connection_ends_when_its_route_moves(target: str, ends: tuple[str, ...]) -> None:
    interfaces = tuple(Interface(f"e{number}", (f"10.{number}.0.1/24",)) for number in range(3))
    node = KernelNode(Topology(interfaces, {V4: ("route add 90.0.0.0/8 via 10.1.0.254",)}), Backend.LEGACY)
    packet = udp(dst="90.1.1.1")
    try:
        node.prepare({V4: restore_text({"nat": [f"-A POSTROUTING -j {target}"]})})
        simulated = _simulated(node)
        session = simulated.session()
        assert _ends_as("e1 10.1.0.1:1>90.1.1.1:2", node.inject(packet), {})
        _walk(simulated, packet, session)
        node.run("ip", "route", "replace", "90.0.0.0/8", "via", "10.2.0.254")
        simulated = _simulated(node)
        for end in ends:
            outcome = node.inject(packet)
            assert _ends_as(end, outcome, {}), _told(outcome)
            assert _simulated_left(_walk(simulated, packet, session)) == _left(outcome)
    finally:
        node.close()


@pytest.mark.parametrize("last", Backend)
def test_v76_of_two_backends_the_one_registered_last_runs_first(last: Backend) -> None:
    first = next(backend for backend in Backend if backend is not last)
    node = KernelNode(NODE, Backend.NFT)
    text = restore_text({"filter": ["-A FORWARD -p udp -j DROP"]})
    try:
        for backend in (first, last):
            node.run(f"iptables-{backend.value}-restore", text=text)
        node.refresh()
        assert _ends_as("gone", node.inject(udp()), {})
        counted = {backend: "[1:28] -A FORWARD" in node.save(V4, backend, counters=True) for backend in Backend}
        assert counted == {last: True, first: False}
        snapshot = parse_snapshot(SnapshotReader(node).read(network_changed=True))
        ordered = sorted(snapshot.rulesets, key=lambda one: one.backend is not last)
        trace = _walk(Node.from_snapshot(replace(snapshot, rulesets=tuple(ordered))), udp())
        assert trace.decided_by.backend is last
    finally:
        node.close()


def test_v89_a_reply_without_its_entry_is_new_and_the_nodes_own(nodes: Nodes) -> None:
    node = nodes.of(NODE, Backend.LEGACY)
    rules = {"nat": ["-A POSTROUTING -j SNAT --to-source 10.1.0.1"], "filter": [f"-A INPUT {NEW}"]}
    node.prepare({V4: restore_text(rules)})
    reply = udp("10.1.0.9", "10.1.0.1", 53, 5000, "e1")
    try:
        sent = node.inject(udp(sport=5000, dport=53))
        assert _ends_as("e1 10.1.0.1:5000>10.1.0.9:53", sent, {})
        node.connections.delete([event.entry for event in sent.events])
        node.connections.events()
        outcome = node.inject(reply)
        assert _ends_as("here 10.1.0.9:53>10.1.0.1:5000", outcome, {})
        path = path_of(outcome.own.steps, Backend.LEGACY, tuple(rules))
        assert path == parse_path("nat:PRE:P1 filter:IN:1 IN:P2 nat:IN:P1")
        trace = _walk(_simulated(node), reply)
        assert compare_own(outcome, trace, Backend.LEGACY, local=False) == []
    finally:
        node.clear()


# --- what needs other means --------------------------------------------------------------------------------------


def test_v13_no_device_is_not_any_and_save_does_not_print_that(nodes: Nodes) -> None:
    node = nodes.of(NODE, Backend.LEGACY)
    command = "-A PREROUTING ! -i + -j MARK --set-mark 1"
    node.prepare({V4: restore_text({"mangle": [command]})})
    try:
        outcome = node.inject(udp())
        assert only_rules(path_of(outcome.own.steps, Backend.LEGACY, ("mangle",))) == []
        assert "-A PREROUTING -j MARK --set-xmark 0x1/0xffffffff\n" in node.save(V4, Backend.LEGACY)
        rules = apply_command(Ruleset(V4, Backend.LEGACY, {}), f"-t mangle {command}")
        snapshot = parse_snapshot(SnapshotReader(node).read(network_changed=True))
        trace = _walk(Node.from_snapshot(replace(snapshot, rulesets=(rules,), connections=())), udp())
        assert not any(isinstance(step, RuleStep) and step.matched for step in trace.steps)
        assert _simulated_left(trace) == _left(outcome)
    finally:
        node.clear()


@pytest.mark.parametrize("backend", Backend)
def test_v96_tables_called_for_a_bridge_drop_its_frames(backend: Backend) -> None:
    node = BridgeNode(backend)
    text = restore_text({"filter": [":FORWARD DROP"]})
    iface, source, destination, packet = FLOWS["bridged"]
    frame = destination + source + b"\x08\x00" + format_packet(packet)
    try:
        node.run(f"iptables-{backend.value}-restore", text=text)
        for switch, crosses in (("0", True), ("1", False)):
            try:
                node.namespace.write_sysctls([("net/bridge/bridge-nf-call-iptables", switch)])
            except OSError:
                pytest.skip("the kernel has no bridge netfilter")
            _read_frames(node, "b1")
            os.write(node.taps[iface], frame)
            assert (frame in _read_frames(node, "b1")) is crosses
            arrival = Arrival(packet, iface, mac_source=source, mac_destination=destination)
            trace = walk(Node.from_snapshot(node.snapshot()), arrival).trace
            assert (trace.disposition is not Disposition.DROPPED) is crosses
            by = trace.decided_by
            assert crosses or (by.table, by.chain, by.cause) == (TableName.FILTER, "FORWARD", Cause.CHAIN_POLICY)
    finally:
        node.close()


def _read_frames(node: BridgeNode, name: str) -> list[bytes]:
    frames = []
    while True:
        try:
            frames.append(os.read(node.taps[name], 2048))
        except BlockingIOError:
            return frames


def _nested(count: int) -> str:
    """FORWARD of mangle, and chains c1 to cN that call each other but are not called."""
    lines = [f"-A c{number} -j c{number + 1}" for number in range(1, count)]
    return restore_text({"mangle": [*lines, f"-A c{count} -p udp"]})


@pytest.mark.parametrize(("backend", "count", "loads"), [(NFT, 15, True), (NFT, 16, False), (LEGACY, 500, True)])
def test_v94_depth_of_chains(tmp_path: Path, backend: Backend, count: int, loads: bool) -> None:
    rules = parse_save(_nested(count), V4, backend=backend).ruleset
    with _tools(backend, tmp_path) as tools:
        assert tools.restore(_nested(count)) is None
        assert (tools.command(["-t", "mangle", "-A", "FORWARD", "-j", "c1"]) is None) is loads
    with nullcontext() if loads else pytest.raises(InvalidInput):
        apply_command(rules, "-t mangle -A FORWARD -j c1")


@pytest.mark.parametrize("backend", Backend)
@pytest.mark.parametrize(
    ("name", "accepted", "refused"),
    [
        ("V95", ("-t nat -N X", "-t nat -A X -j MASQUERADE"), "-t nat -A PREROUTING -j X"),
        ("V100", (), "-t filter -A FORWARD ! -p tcp -m multiport --dports 53"),
    ],
)
def test_what_the_tools_refuse(
    tmp_path: Path, backend: Backend, name: str, accepted: tuple[str, ...], refused: str
) -> None:
    rules = Ruleset(V4, backend, {})
    with _tools(backend, tmp_path) as tools:
        for command in accepted:
            assert tools.command(command.split()) is None, name
            rules = apply_command(rules, command)
        assert tools.command(refused.split()) is not None, name
    with pytest.raises(InvalidInput):
        apply_command(rules, refused)


@contextmanager
def _tools(backend: Backend, directory: Path) -> Iterator[Tools]:
    made = Tools(V4, backend, Namespace(), directory / "xtables.lock")
    try:
        yield made
    finally:
        made.close()
