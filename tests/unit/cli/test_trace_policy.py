"""`tortie trace -r`: policy in text and in the document, on the reference node and on changed ones."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.explained_cluster import basis_of, node_of
from tests.reference_builder import WORLD, profile, read, workload
from tests.unit.cli.test_capture import frame, written
from tests.unit.simulator.test_document import VALIDATOR
from tortie.cli.main import main
from tortie.cli.packet_option import parse_packet_words
from tortie.cli.trace_option import TraceRequest
from tortie.cli.trace_policy import find_policy
from tortie.explain.world import Question, ask, programmed
from tortie.render.config import parse_config
from tortie.render.ruleset import render_node
from tortie.simulator.walk import Arrival, Node

EXAMPLE = Path(__file__).parents[3] / "examples" / "reference-node"
SNAPSHOT, RESOURCES = EXAMPLE / "snapshot", EXAMPLE / "resources"
CLOSED = ("tcp", "192.170.140.66:40007", "192.170.21.3:8080", "-i", "eth0")
OPEN = ("tcp", "192.170.140.66:40001", "192.170.21.3:80", "-i", "eth0")
NOT_SELECTED = ("tcp", "192.170.21.3:40009", "192.170.21.4:5432", "-i", "cali551b05c3e54")


def tortie(*words: str | Path, node: Path = SNAPSHOT) -> Result:
    command = ["trace", "-n", str(node), "-r", str(RESOURCES), "--node", "reference", *map(str, words)]
    return CliRunner().invoke(main, command, catch_exceptions=False)


def document(*words: str, node: Path = SNAPSHOT) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(tortie(*words, "--json", node=node).stdout)
    VALIDATOR.validate(made)
    return made


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the reference node's snapshot, to be spoiled."""
    return Path(shutil.copytree(SNAPSHOT, tmp_path / "node"))


def test_the_last_lines_tell_policy_and_what_would_let_the_packet_through() -> None:
    found = tortie(*CLOSED)
    assert found.exit_code == 1
    assert found.stdout.split("\n\n")[-1].splitlines() == [
        "policy ingress of pod shop/web: selected by 1 policy, which does not allow tcp/8080 from pod default/client-2"
        " to pod shop/web",
        "       Kubernetes NetworkPolicy shop/web  rule 1 allows tcp/80; the destination port is 8080",
        "change any of these lets it through (rendered, and walked again with its answer), smallest first:",
        "       1 Kubernetes NetworkPolicy shop/web, ingress rule 1: add port 8080",
        "       2 Kubernetes NetworkPolicy shop/web: add an ingress rule that allows tcp/8080 from 192.170.140.66/32",
        "       3 a new NetworkPolicy shop/allow-tcp-8080-ingress for app == 'web', whose ingress rule allows tcp/8080"
        " from any namespace and projectcalico.org/namespace == 'default' && app == 'client'",
    ]


def test_who_is_at_the_ends_stands_under_the_packet() -> None:
    assert tortie(*OPEN).stdout.splitlines()[1:5] == [
        "source: 192.170.140.66 is pod default/client-2 on node-2",
        "destination: 192.170.21.3 is pod shop/web",
        "in: eth0 is HostEndpoint reference-eth0",
        "out: cali551b05c3e54 is pod shop/web",
    ]


def test_steps_name_the_rule_of_the_policy_the_pod_and_the_selector() -> None:
    text = tortie(*NOT_SELECTED, "--misses").stdout
    assert "# egress of pod shop/web; Calico: from workload cali551b05c3e54" in text
    assert "# Namespace shop, egress rule 1; mark 0x0 -> 0x10000 (accept)" in text
    missed = next(line for line in text.splitlines() if "cali-pi-shop/knp.default.db:1 " in line)
    assert "Kubernetes NetworkPolicy shop/db, ingress rule 1; cali40s:" in missed
    assert 'is (projectcalico.org/namespace == "shop" && ' in missed


def test_what_allowed_a_packet_is_told_by_policy() -> None:
    found = tortie(*OPEN, "--brief")
    assert found.exit_code == 0
    assert found.stdout.splitlines()[-2:] == [
        "policy ingress of HostEndpoint reference-eth0 (eth0) for forwarded traffic:"
        " no policy applies to forwarded traffic, so it passes",
        "policy ingress of pod shop/web: Kubernetes NetworkPolicy shop/web rule 1 allows it",
    ]


@pytest.mark.parametrize("more", [(), ("--brief",), ("--one",)], ids=["full", "brief", "one"])
def test_the_document_has_a_policy_that_fits_the_schema(more: tuple[str, ...]) -> None:
    policy = document(*NOT_SELECTED, *more)["policy"]
    assert policy["verdict"]["cause"] == "no_policy_allows" and policy["stale"] is None
    assert [change["resources"][0]["kind"] for change in policy["changes"]] == ["label", "rule", "policy"]


def test_every_rule_of_calicos_has_an_origin_in_the_document() -> None:
    steps = [step for step in document(*OPEN)["steps"] if step["kind"] == "rule"]
    ours = [step for step in steps if step["chain"].startswith("cali-")]
    assert ours and all(step["origin"]["rendered"] for step in ours)
    rules = {(step["origin"]["owner"]["title"], step["origin"]["rule"]) for step in ours if step["origin"]["rule"]}
    assert rules == {("Kubernetes NetworkPolicy shop/web", 1)}
    assert all("origin" not in step for step in json.loads(plain("--json"))["steps"])


def plain(*words: str) -> str:
    """The same packet without resources."""
    return CliRunner().invoke(main, ["trace", "-n", str(SNAPSHOT), *OPEN, *words], catch_exceptions=False).stdout


def test_an_edited_rule_is_not_attributed_and_the_resources_are_called_stale(copy: Path) -> None:
    save = copy / "iptables-save"
    save.write_text(save.read_text().replace("--dports 80 ", "--dports 81 "))
    text = tortie(*OPEN, "--misses", node=copy).stdout
    (missed,) = (line for line in text.splitlines() if "cali-pi-shop/knp.default.web:1 " in line and "dports 81" in line)
    assert missed.endswith("; not as these resources have it")
    assert "stale: 3 chains (raw cali-pi-shop/knp.default.web, " in text
    assert "policy the node drops it, and rules as these resources mean them would let it through" in text
    policy = document(*OPEN, node=copy)["policy"]
    assert (policy["verdict"]["cause"], policy["passes_as_meant"], policy["changes"]) == ("not_rendered", True, [])


def test_what_is_dropped_by_chance_is_explained_for_when_it_is() -> None:
    service = ("tcp", "192.170.21.2:40007", "10.96.71.20:80", "-i", "calia7a3e029a7b")
    policy = document(*service, "--edit", "-I cali-tw-cali551b05c3e54 1 -j DROP")["policy"]
    assert policy["when"] == ["IPVS (rr) gives the connection to 192.170.21.3:80"]
    assert (policy["verdict"]["cause"], policy["passes_as_meant"]) == ("not_rendered", True)
    assert {end["what"]: end["who"] for end in policy["ends"]}["destination after NAT"] == ["pod shop/web"]
    assert document(*service)["policy"]["when"] == []


def test_a_single_rules_file_is_enough(copy: Path) -> None:
    found = tortie(*CLOSED, "-o", "cali551b05c3e54", "--brief", node=copy / "iptables-save")
    assert "Kubernetes NetworkPolicy shop/web, ingress rule 1: add port 8080" in found.stdout
    assert "stale" not in found.stdout


@pytest.mark.parametrize("more", [(), ("--brief",)], ids=["full", "brief"])
def test_every_packet_of_a_batch_has_its_policy(more: tuple[str, ...], tmp_path: Path) -> None:
    packets = (CLOSED, OPEN, NOT_SELECTED)
    (tmp_path / "packets").write_text("".join(" ".join(words) + "\n" for words in packets))
    found = tortie("--batch", tmp_path / "packets", *more)
    assert found.exit_code == 0
    documents = [json.loads(line) for line in found.stdout.splitlines()]
    for one, words in zip(documents, packets, strict=True):
        VALIDATOR.validate(one)
        alone = document(*words, "--one", *more)
        # Single packets come with changes that were tried; all else is the same.
        assert {**one["policy"], "changes": [], "changes_complete": None} == {
            **alone["policy"], "changes": [], "changes_complete": None
        }  # fmt: skip
        assert one["policy"]["changes_complete"] is (one["verdict"] == "ACCEPT")
        assert one.get("steps") is None or [step.get("origin") for step in one["steps"]] == [
            step.get("origin") for step in alone["steps"]
        ]


def test_the_sum_of_a_capture_tells_policy_for_the_first_packet_of_each_fate(tmp_path: Path) -> None:
    packets = (CLOSED, OPEN, CLOSED)
    capture = written(tmp_path / "capture.pcap", *(frame(" ".join(words[:3])) for words in packets))
    lines = tortie("--pcap", capture, "-i", "eth0").stdout.splitlines()
    assert [line.strip() for line in lines if "policy: " in line] == [
        "policy: ingress of pod shop/web: selected by 1 policy, which does not allow tcp/8080 from pod default/client-2"
        " to pod shop/web"
    ]
    documents = [json.loads(line) for line in tortie("--pcap", capture, "-i", "eth0", "--json").stdout.splitlines()]
    for one in documents:
        VALIDATOR.validate(one)
    causes = [one["policy"]["verdict"] and one["policy"]["verdict"]["cause"] for one in documents]
    assert causes == ["no_policy_allows", None, "no_policy_allows"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-n", "SNAP", "--node", "a", *CLOSED], "--node names a node in resources"),
        (["-n", "SNAP", "-r", "RES", *CLOSED], "a snapshot does not say which node it is of (say it with --node NAME)"),
        (
            ["-n", "SNAP", "-r", "RES", "--node", "referense", *CLOSED],
            "no resource names the node referense (did you mean reference?)",
        ),
        (["-n", "SNAP", "-r", "RES", "--node", "nope", *CLOSED], "the node nope (they name node-2, node-3, reference)"),
        (["-n", "SNAP", "-r", "/nowhere", "--node", "a", *CLOSED], "/nowhere: No such file or directory"),
        (["-n", "-", "-r", "-", "--node", "a", *CLOSED], "stdin (-) can be read only once"),
    ],
    ids=["no resources", "no name", "a wrong name", "another name", "no directory", "stdin twice"],
)
def test_bad_input_is_one_line(words: list[str], message: str) -> None:
    places = {"SNAP": str(SNAPSHOT), "RES": str(RESOURCES)}
    found = CliRunner().invoke(main, ["trace", *(places.get(word, word) for word in words)], catch_exceptions=False)
    assert found.exit_code == 2
    assert message in found.stderr and found.stderr.count("\n") == 1


@pytest.mark.parametrize("felix_exact", [True, False], ids=["Felix 3.7.5", "Tortie"])
def test_whoever_programmed_the_node_its_rules_are_attributed(felix_exact: bool, tmp_path: Path) -> None:
    """Felix and Tortie write a profile that passes differently (docs/felix-differences.md)."""
    text = WORLD + profile("pass", rules="ingress: [{action: Pass}, {action: Allow, protocol: UDP}]")
    text += workload("x", "a", "cali12", "10.65.0.8", labels="{app: x}", more="profiles: [pass]")
    (tmp_path / "resources.yaml").write_text(text)
    basis = basis_of(read(text))
    config, _ = parse_config(basis.view.config, felix_exact=felix_exact)
    snapshot = programmed(node_of(read(text)).node.snapshot, render_node(basis.view, basis.state, config))
    packet = parse_packet_words(("tcp", "10.65.1.2:1000", "10.65.0.8:80"), {}).packet
    question = Question(Arrival(packet, in_iface="eth0"))
    request = TraceRequest(resources=(str(tmp_path),), node="a snapshot", node_name="node-1")
    policy = find_policy(request, snapshot, question, ask(question, Node.from_snapshot(snapshot)))
    assert policy.node.explainer.basis.config.felix_exact is felix_exact
    assert not policy.explanation.differences
    assert policy.explanation.solutions


def test_a_trace_without_resources_loads_nothing_of_calicos() -> None:
    """So that it starts as fast as before; in a process of its own, since this one has loaded everything."""
    script = (
        "import sys\nfrom click.testing import CliRunner\nfrom tortie.cli.main import main\n"
        f"CliRunner().invoke(main, {['trace', '-n', str(SNAPSHOT), *OPEN]!r}, catch_exceptions=False)\n"
        "print([name for name in sys.modules if name.startswith(('tortie.explain', 'tortie.model', 'tortie.render'))])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
