"""Every pair, every probe: what the kernel did, what the simulator says, what policy means; the three must agree.

Snapshots are taken before anything is tried, so that no try meets another's connections. A pair on which the three do not
agree is tried once more by itself before it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from tortie.codec.snapshot import parse_snapshot
from tortie.kernel.namespace import inside
from tortie.kernel.read import read_node
from tortie.kernel.refusal import KernelRefused
from tortie.kernel.run import run_tool
from tortie.lab.outage import lost_nodes
from tortie.lab.policy import Meaning, Policy
from tortie.lab.prediction import Prediction, Predictor
from tortie.lab.probe import Outcome, serving
from tortie.lab.station import Kind, Station, Target, stations_of, targets_of
from tortie.lab.up import ROUTER, Laboratory, ask_etcd, bird_process, read_record, read_resources, status
from tortie.model.read import Resources, parse_resources
from tortie.model.workload_name import pod_interface
from tortie.net.error import InvalidInput
from tortie.simulator.walk import Node

PATIENT_S = 4.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One try with its three answers."""

    station: Station
    target: Target
    outcome: Outcome
    prediction: Prediction
    meaning: Meaning

    @property
    def agrees(self) -> bool:
        """Whether all three say the same; an answer that is not known agrees with nothing."""
        return self.outcome.connected is self.prediction.connects and self.outcome.connected is self.meaning.allows


@dataclass(frozen=True, slots=True)
class Question:
    """Which tries are to be shown with all their walks: by the names of both ends, and the probe."""

    station: str
    target: str
    probe: str

    def asks(self, station: Station, target: Target) -> bool:
        """Whether it is about a try."""
        return (self.station, self.target, self.probe) == (station.name, target.name, str(target.probe))


def verify(lab: Laboratory, say: Callable[[str], None], shown: Sequence[Question] = ()) -> tuple[Finding, ...]:
    """Tries everything; the predictions of tries that disagree, and of those to be `shown`, have all their walks.

    Raises `InvalidInput` when the laboratory is not up or not whole, or nothing is tried that is to be shown;
    `KernelRefused` and `OSError` when a node cannot be read.
    """
    attached = read_record(lab)
    stations = stations_of(lab.topology, attached)
    check_whole(lab, stations)
    for problem in ailments(lab):
        say(problem)
    targets = tuple(targets_of(lab.topology, stations))
    pairs = _pairs(lab, stations, targets)
    for question in shown:
        _check_question(question, pairs)
    say("snapshots")
    predictor = make_predictor(lab, stations)
    policy = Policy(lab.topology, lab_state(lab), pod_interfaces(stations))
    lost = lost_nodes(lab)
    if lost:
        say(f"lost, and left out with their pods: {', '.join(sorted(lost))}")
    say(f"{len(pairs)} tries")
    with serving(lab.machine, stations, targets) as prober:
        outcomes = prober.probe(pairs)
        findings = [_finding(pair, outcome, predictor, policy) for pair, outcome in zip(pairs, outcomes, strict=True)]
        doubtful = [place for place, finding in enumerate(findings) if not finding.agrees]
        if doubtful:
            say(f"{len(doubtful)} once more")
        for place in doubtful:
            (outcome,) = prober.probe([pairs[place]], PATIENT_S)
            findings[place] = _finding(pairs[place], outcome, predictor, policy)
    return tuple(_with_walks(finding, predictor, shown) for finding in findings)


def _pairs(lab: Laboratory, stations: Iterable[Station], targets: Iterable[Target]) -> list[tuple[Station, Target]]:
    """Who tries what: everybody everything but itself, without the nodes that are lost and their pods."""
    lost = lost_nodes(lab)
    known = tuple(targets)
    return [
        (one, target)
        for one in stations
        for target in known
        if target.behind != one and target.via != one.name and not lost & {one.node, target.behind.node, target.via}
    ]


def _check_question(question: Question, pairs: Iterable[tuple[Station, Target]]) -> None:
    tried = {(one.name, target.name, str(target.probe)) for one, target in pairs}
    if (question.station, question.target, question.probe) in tried:
        return
    for place, word in enumerate((question.station, question.target, question.probe)):
        known = dict.fromkeys(one[place] for one in sorted(tried))
        if word not in known:
            raise InvalidInput(f"--show: nothing is tried that has {word!r} there", remedy=f"one of {', '.join(known)}")
    raise InvalidInput(f"--show: {question.probe} is not tried from {question.station} to {question.target}")


def check_whole(lab: Laboratory, stations: Iterable[Station]) -> None:
    """Raises `InvalidInput` when a namespace is gone that must be there."""
    there = set(lab.machine.namespaces())
    wanted = [station.namespace for station in stations] + ([ROUTER] if lab.topology.router is not None else [])
    gone = [what for what in wanted if lab.machine.namespace(what) not in there]
    if gone:
        name = lab.topology.name
        names = ", ".join(lab.machine.namespace(what) for what in gone)
        remedy = f"tortie lab down {name}, then up"
        raise InvalidInput(f"laboratory {name} is not whole: there is no namespace {names}", remedy=remedy)


def ailments(lab: Laboratory) -> Iterator[str]:
    """What does not run that should, on nodes that are not lost; rules and routes may be those of before."""
    for node in lab.topology.nodes:
        if node.name in lost_nodes(lab):
            continue
        running = set(lab.machine.processes([lab.machine.namespace(node.name)]))
        if status(lab, node.name).get("pid") not in running:
            yield f"{node.name}: its agent does not run, so its rules may be those of before"
        if bird_process(lab, node.name) not in running:
            yield f"{node.name}: its BIRD does not run, so routes may be missing"


def _with_walks(finding: Finding, predictor: Predictor, shown: Iterable[Question]) -> Finding:
    if finding.agrees and not any(question.asks(finding.station, finding.target) for question in shown):
        return finding
    prediction = predictor.predict(finding.station, finding.target, finding.outcome, with_hops=True)
    return replace(finding, prediction=prediction)


def _finding(pair: tuple[Station, Target], outcome: Outcome, predictor: Predictor, policy: Policy) -> Finding:
    station, target = pair
    prediction = predictor.predict(station, target, outcome)
    return Finding(station, target, outcome, prediction, policy.meaning(station, target, outcome))


def pod_interfaces(stations: Iterable[Station]) -> dict[str, str]:
    """The node's end of each pod's interface."""
    found = {}
    for station in stations:
        if station.kind is Kind.POD:
            namespace, _, name = station.name.partition("/")
            found[station.name] = pod_interface(namespace, name)
    return found


def make_predictor(lab: Laboratory, stations: tuple[Station, ...]) -> Predictor:
    """Reads all nodes, the router among them."""
    names = [node.name for node in lab.topology.nodes] + ([ROUTER] if lab.topology.router is not None else [])
    interfaces = pod_interfaces(stations)
    return Predictor(
        lab.topology,
        {name: Node.from_snapshot(parse_snapshot(_read(lab, name), name)) for name in names},
        stations,
        {(one.node, interfaces[one.name]): one for one in stations if one.kind is Kind.POD},
        {name: f"eth{place}" for place, name in enumerate(lab.topology.networks)},
    )


def _read(lab: Laboratory, what: str) -> dict[str, bytes]:
    with inside(lab.machine.path(what)):
        return read_node(run_tool)


def lab_state(lab: Laboratory) -> Resources:
    """All resources as they are now, the endpoints that were attached among them; raises `InvalidInput` and `OSError`."""
    if lab.topology.datastore == "directory":
        return read_resources(lab.resources)
    return _etcd_resources(lab)


def _etcd_resources(lab: Laboratory) -> Resources:
    """The resources of the files, and the endpoints that etcd has."""
    ran = ask_etcd(lab, "endpoints")
    if ran.code:
        raise KernelRefused(["tortie.lab.etcd"], ran.complaint)
    texts = [(str(path), path.read_text()) for path in sorted(lab.resources.rglob("*")) if path.is_file()]
    return parse_resources([*texts, ("etcd", ran.out.decode())])
