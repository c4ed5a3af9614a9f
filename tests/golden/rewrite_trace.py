"""Writes the golden files of traces anew: `python -m tests.golden.rewrite_trace`; look at the difference like at code.

Every text is made twice, so that what changes from run to run cannot become golden.
"""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from tests import trace_values
from tests.explained_cluster import explained
from tests.reference_builder import WORLD, global_policy, host, policy, read, resource
from tortie.cli.arrival import plan_arrival
from tortie.cli.main import main as command_line
from tortie.cli.packet_option import parse_packet_words, split_words
from tortie.cli.snapshot_file import load_snapshot
from tortie.cli.terminal import Paper, write_lines
from tortie.cli.trace_policy import NodePolicy, Policy, head_lines, policy_lines
from tortie.cli.trace_text import View, flow_lines, walk_lines
from tortie.simulator.flow import walk_flow
from tortie.simulator.summary import read_naming
from tortie.simulator.walk import Node

REFERENCE = Path(__file__).parents[2] / "examples" / "reference-node" / "snapshot"
JOURNEYS = {
    "to-workload": "tcp 192.170.140.66:40001 192.170.21.3:80 -i eth0",
    "closed-port": "tcp 192.170.140.66:40007 192.170.21.3:8080 -i eth0",
    "masqueraded": "tcp 192.170.80.2:40003 203.0.113.10:443 -i docker0",
    "from-the-node": "tcp 10.20.0.11:40005 10.20.0.12:6443",
    "no-such-pod": "tcp 192.170.140.66:40012 192.170.21.9:80 -i eth0",
}
UNWELCOME = {"not-selected": "tcp 192.170.21.3:40009 192.170.21.4:5432 -i cali551b05c3e54"}
RESOURCES = ("-r", str(REFERENCE.parent / "resources"), "--node", "reference")
POLICIES = (
    policy("out", "a", "{selector: role == 'front', types: [Egress], egress: [{action: Deny, protocol: TCP}]}")
    + policy("in", "b", "{types: [Ingress], ingress: [{action: Allow, protocol: TCP, destination: {ports: [sql]}}]}")
    + policy("friends", "b", "{types: [Ingress], ingress: [{action: Allow, source: {selector: kind == 'friend'}}]}")
    + resource("NetworkSet", "friends", "{nets: [192.0.2.7/32]}", namespace="b", labels="{kind: friend}")
    + host("eth", "interfaceName: eth0, expectedIPs: [10.20.0.1]")
    + global_policy(
        "untracked",
        "{selector: has(host), applyOnForward: true, doNotTrack: true,"
        " ingress: [{action: Allow, protocol: UDP, destination: {ports: [53]}}, {action: Deny, protocol: SCTP}]}",
    )
)
SMALL_CLUSTER = {
    "two-places": ("tcp 10.65.0.2:1000 10.65.0.3:80", "cali1"),
    "a-stranger": ("tcp 192.0.2.1:1000 10.65.0.3:80", "eth0"),
    "untracked-denies": ("sctp 192.0.2.1:1000 10.65.0.3:80", "eth0"),
    "untracked-answer": ("udp 192.0.2.1:1000 10.20.0.1:53", "eth0"),
    "no-endpoint": ("tcp 10.65.0.9:1000 10.65.1.2:80", "cali9"),
    "to-its-host": ("udp 10.65.0.2:1000 10.20.0.1:80", "cali1"),
    "through": ("tcp 192.0.2.1:1000 10.65.0.3:5432", "eth0"),
}
FOLDER = Path(__file__).parent / "trace"
PAPERS = {"plain": Paper(), "narrow": Paper(60), "colour": Paper(100, colour=True)}
VIEWS = {"": View(trace_values.NAMING), "-misses": View(trace_values.NAMING, misses=True)}


def cases() -> dict[str, str]:
    """File name to text: every hand-built walk as it is usually shown, one of them on other paper and in full."""
    texts = {
        f"{name}.txt": write_lines(walk_lines(walk, VIEWS[""]), PAPERS["plain"]) for name, walk in trace_values.ALL.items()
    }
    one = trace_values.ALL["dropped-by-policy"]
    for paper in ("narrow", "colour"):
        texts[f"dropped-by-policy-{paper}.txt"] = write_lines(walk_lines(one, VIEWS[""]), PAPERS[paper])
    texts["dropped-by-policy-misses.txt"] = write_lines(walk_lines(one, VIEWS["-misses"]), PAPERS["plain"])
    return texts | _reference_texts() | _policy_texts()


def _reference_texts() -> dict[str, str]:
    """Packets of the reference node, with the conversation: what a user of the README sees."""
    snapshot = load_snapshot(str(REFERENCE))
    node, view = Node.from_snapshot(snapshot), View(read_naming(snapshot.rulesets))
    texts = {}
    for name, line in JOURNEYS.items():
        planned = plan_arrival(parse_packet_words(*split_words(line)), node)
        flow = walk_flow(node, planned.arrival)
        lines = [*walk_lines(flow.first, view, notes=planned.notes), *flow_lines(flow, view, full=False)]
        texts[f"reference-{name}.txt"] = write_lines(lines, PAPERS["plain"])
    return texts


def _policy_texts() -> dict[str, str]:
    """What `-r` adds: packets of the reference node in full, and what is said of a small cluster in short."""
    texts = {}
    for name in ("closed-port", "not-selected"):
        command = ["trace", "-n", str(REFERENCE), *RESOURCES, *(JOURNEYS | UNWELCOME)[name].split()]
        texts[f"policy-{name}.txt"] = CliRunner().invoke(command_line, command, catch_exceptions=False).stdout
    for name, (packet, in_iface) in SMALL_CLUSTER.items():
        seen = explained(read(WORLD, POLICIES), packet, in_iface)
        policy = Policy(NodePolicy(seen.explainer), seen.explanation)
        texts[f"policy-{name}.txt"] = write_lines([*head_lines(policy), *policy_lines(policy)], PAPERS["plain"])
    return texts


def main() -> None:
    """Makes all texts twice, compares, writes."""
    texts = cases()
    if texts != cases():
        raise SystemExit("the same walk gave two texts")
    for old in FOLDER.glob("*.txt"):
        old.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
