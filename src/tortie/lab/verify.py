"""Every pair, every probe: what the kernel did, what the simulator says, what policy means; the three must agree.

Snapshots are taken before anything is tried, so that no try meets another's connections. A pair on which the three do not
agree is tried once more by itself before it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

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
from tortie.lab.up import ROUTER, Laboratory, ask_etcd, read_record, read_resources
from tortie.model.read import Resources, parse_resources
from tortie.model.workload_name import pod_interface
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


def verify(lab: Laboratory, say: Callable[[str], None]) -> tuple[Finding, ...]:
    """Tries everything. Raises `InvalidInput` when the laboratory is not up, `OSError` when it is not whole."""
    attached = read_record(lab)
    stations = stations_of(lab.topology, attached)
    targets = tuple(targets_of(lab.topology, stations))
    say("snapshots")
    predictor = make_predictor(lab, stations)
    resources = lab_state(lab)
    policy = Policy(lab.topology, resources, pod_interfaces(stations))
    lost = lost_nodes(lab)
    if lost:
        say(f"lost, and left out with their pods: {', '.join(sorted(lost))}")
    pairs = [
        (one, target)
        for one in stations
        for target in targets
        if target.behind != one and target.via != one.name and not lost & {one.node, target.behind.node, target.via}
    ]
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
    return tuple(findings)


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
