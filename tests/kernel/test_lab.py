"""Whole laboratories: kernel, simulator and policy agree; nothing is left, whatever happened; what is wrong is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.bird_network import BIRD2
from tests.kernel.laboratory import Laboratory
from tortie.cli.exit_code import EXIT_INTERRUPTED
from tortie.kernel.namespace import inside

pytestmark = pytest.mark.skipif(BIRD2.missing is not None, reason=str(BIRD2.missing))
Make = Callable[..., Laboratory]
ROOT = Path(__file__).parents[2]
SMALL: dict[str, Any] = {
    "nodes": [{"name": "n1"}],
    "pods": [{"name": "web", "namespace": "shop", "node": "n1"}],
    "probes": ["tcp/80"],
}


@pytest.fixture
def laboratories() -> Iterator[list[Laboratory]]:
    made: list[Laboratory] = []
    yield made
    for one in made:
        one.close()


@pytest.fixture
def example(laboratories: list[Laboratory], tmp_path: Path) -> Make:
    def make(name: str, **changed: Any) -> Laboratory:
        laboratories.append(Laboratory.example(tmp_path, name, **changed))
        return laboratories[-1]

    return make


@pytest.fixture
def small(laboratories: list[Laboratory], tmp_path: Path) -> Make:
    def make(resources: str = "", **changed: Any) -> Laboratory:
        files = {"more.yaml": resources} if resources else {}
        given = {"resources": ["more.yaml"]} if resources else {}
        laboratories.append(Laboratory.of(tmp_path, {**SMALL, **given, **changed}, files))
        return laboratories[-1]

    return make


def _up(lab: Laboratory) -> None:
    said = lab.up()
    assert said.code == 0, said.error


def _connected(tries: dict[tuple[str, str, str], dict[str, Any]]) -> set[tuple[str, str, str]]:
    assert [one for one in tries.values() if not one["agree"]] == []
    return {key for key, one in tries.items() if one["connected"]}


WEB = "shop/web"


def test_all_three_agree_a_disagreement_is_shown_and_nothing_is_left(example: Make) -> None:
    lab = example("allow-web")
    _up(lab)
    connected = _connected(lab.tries())
    assert {key[0] for key in connected if key[1:] == (WEB, "tcp/80")} == {
        *("shop/client", "shop/client-far", "n1", "n2", "internet")
    }
    assert {key[0] for key in connected if key[1:] == (WEB, "tcp/8080")} == {"n1"}, "the pod's own node, always"

    shown = lab.verify("--show", "internet", WEB, "tcp/80")
    assert shown.code == 0
    assert "the first packet, at router: tcp 192.0.2.7:" in shown.out
    assert "the answer, at n1: " in shown.out
    assert "\npolicy ingress of pod shop/web: Kubernetes NetworkPolicy shop/allow-web rule 1 allows it\n" in shown.out
    matrix = shown.out.partition("\ninternet to ")[0]
    for page in ("README.md", "docs/lab.md"):
        assert f"\n{matrix}\n" in (ROOT / page).read_text(), page
    assert shown.out.splitlines()[-1] == "90 tries, 49 connected, 41 not; kernel, simulator and policy agree on all"

    # Policy changes and no agent is awake to follow: what nodes do is no longer what policy means.
    agents = [json.loads(path.read_text())["pid"] for path in lab.machine.state.glob("nodes/*/status.json")]
    assert len(agents) == 2
    for pid in agents:
        os.kill(pid, signal.SIGSTOP)
    (policy,) = lab.machine.state.glob("resources/given/*policy.yaml")
    policy.write_text(policy.read_text().replace("port: 80}", "port: 8080}"))
    said = lab.verify()
    assert said.code == 1
    assert "internet to shop/web tcp/80:\n  kernel     connects:\n  simulator  connects: both directions" in said.out
    assert "\n  policy     does not: n1: " in said.out
    assert "the next packet, at n1: tcp 192.0.2.7:" in said.out
    assert said.out.splitlines()[-1].endswith("they DISAGREE on 8")

    assert lab.down().code == 0
    assert lab.remains() == []
    assert lab.run("down", lab.name).code == 2


def test_what_the_simulator_does_not_know_of_is_found(small: Make) -> None:
    lab = small(hosts=[{"name": "office", "address": "10.10.0.9"}])
    _up(lab)
    with inside(lab.machine.path("switch:fabric")):  # no node's rules and routes: a fabric that keeps its ports apart
        ports = _ports()
        assert len(ports) == 2
        for port in ports:
            subprocess.run(["bridge", "link", "set", "dev", port, "isolated", "on"], check=True)
    said = lab.verify()
    assert said.code == 1
    assert "office to n1 tcp/80:\n  kernel     does not: " in said.out
    assert "\n  simulator  connects: both directions get through\n  policy     connects: " in said.out
    assert "the next packet, at n1: tcp 10.10.0.9:" in said.out


def _ports() -> list[str]:
    """The ports of the bridge in this namespace."""
    shown = subprocess.run(["ip", "-j", "link", "show", "master", "br0"], capture_output=True, text=True, check=True)
    return [entry["ifname"] for entry in json.loads(shown.stdout)]


@pytest.mark.parametrize("step", ["networks", "datastore", "agents", "pods", "routes"])
def test_what_a_killed_command_leaves_is_taken_away(small: Make, step: str) -> None:
    lab = small()
    lab.up_until(step)
    assert lab.remains() != []
    assert lab.up().code == 2, "it is there already, in part"
    assert lab.down().code == 0
    assert lab.remains() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_takes_away_what_it_made(small: Make, number: signal.Signals) -> None:
    lab = small()
    assert lab.up_until("agents", number) == EXIT_INTERRUPTED
    assert lab.remains() == []


POOL = """apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: tiny}
spec: {cidr: 10.65.0.0/31, blockSize: 31}
"""
BAD_POOL = {"cni.projectcalico.org/ipv4pools": '["nobody"]'}
NO_BIRD = (
    "unshare",
    "-m",
    "sh",
    "-c",
    'mount --bind /dev/null "$(command -v bird || echo /usr/sbin/bird)"; exec "$@"',
    "sh",
)
FALSE_IPSET = (*NO_BIRD[:4], 'mount --bind /bin/false "$(command -v ipset)"; exec "$@"', "sh")
FAILURES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a pod that asks for a pool that is not there": (
        {"pods": [{**SMALL["pods"][0], "annotations": BAD_POOL}]},
        {},
        'ADD of shop/web on n1: error parsing pool "nobody": there is no pool of this name',
    ),
    "a pool that is used up": (
        {"resources": POOL, "pods": [{**SMALL["pods"][0], "count": 3}]},
        {},
        "failed to request 1 IPv4 addresses. IPAM allocated only 0",
    ),
    "no BIRD": ({}, {"before": NO_BIRD}, "`bird`: not installed"),
    "an agent that cannot work": (
        {},
        {"words": ("--patience", "4"), "before": FALSE_IPSET},
        "the agent of n1 is not ready: ",
    ),
}


@pytest.mark.parametrize(("given", "call", "message"), FAILURES.values(), ids=FAILURES)
def test_what_fails_leaves_nothing_and_says_why(
    small: Make, given: dict[str, Any], call: dict[str, Any], message: str
) -> None:
    lab = small(**given)
    said = lab.up(*call.get("words", ()), before=call.get("before", ()))
    assert said.code == 1
    assert message in said.error
    assert lab.remains() == []


def test_of_two_commands_one_is_told_so(small: Make) -> None:
    lab = small()
    _up(lab)
    with lab.machine.hold():
        said = lab.down()
    assert said.code == 2
    assert f"laboratory {lab.name} is in use by another command" in said.error
    assert lab.machine.namespaces() != []


def test_a_port_that_is_birds_cannot_be_tried(small: Make) -> None:
    lab = small(nodes=[{"name": "n1"}, {"name": "n2"}], probes=["tcp/179"])
    _up(lab)
    said = lab.verify()
    assert (said.code, "port 179 of n1: Address already in use" in said.error) == (1, True)


def test_a_laboratory_that_is_half_dead(small: Make) -> None:
    lab = small()
    _up(lab)
    (agent,) = lab.machine.state.glob("nodes/*/status.json")
    os.kill(json.loads(agent.read_text())["pid"], signal.SIGKILL)
    said = lab.verify()
    assert "n1: its agent does not run, so its rules may be those of before" in said.error
    assert said.code == 0, "the kernel goes on without it"
    gone = lab.machine.namespace("pod:shop:web")
    subprocess.run(["ip", "netns", "del", gone], check=True)
    said = lab.verify()
    assert (said.code, f"is not whole: there is no namespace {gone}" in said.error) == (2, True)
    assert lab.down().code == 0
    assert lab.remains() == []


def test_a_port_of_every_node_that_one_network_outside_may_use(example: Make) -> None:
    lab = example("pre-dnat")
    _up(lab)
    connected = _connected(lab.tries())
    assert {("partner", "web@n1", "tcp/30080"), ("partner", "web@n2", "tcp/30080")} <= connected
    assert not {key for key in connected if key[0] == "stranger" and key[1].startswith("web@")}


def test_two_autonomous_systems(example: Make) -> None:
    lab = example("two-as")
    _up(lab)
    connected = _connected(lab.tries())
    assert {("shop/far", WEB, "tcp/80"), ("shop/client", WEB, "tcp/80")} <= connected
    assert ("internet", WEB, "tcp/80") not in connected


@pytest.mark.etcd
def test_a_node_that_is_lost_and_back_with_etcd(example: Make) -> None:
    lab = example(
        "node-lost",
        datastore="etcd",
        nodes=[{"name": "n1"}, {"name": "n2"}],
        pods=[
            {"name": "web", "namespace": "shop", "node": "n1", "labels": {"app": "web"}},
            {"name": "client", "namespace": "shop", "node": "n2"},
        ],
    )
    # What a shell of a real cluster says of that is nothing to a laboratory.
    lab.environment |= {"FELIX_INTERFACEPREFIX": "tap", "ETCD_USERNAME": "root", "ETCD_PASSWORD": "x"}
    lab.environment |= {"FELIX_DEFAULTENDPOINTTOHOSTACTION": "ACCEPT", "CALICO_ETCD_ENDPOINTS": "http://10.255.0.1:2379"}
    _up(lab)
    both = _connected(lab.tries())
    assert ("shop/client", WEB, "tcp/80") in both
    assert lab.run("lose", str(lab.file), "n2").code == 0
    left = lab.tries()
    assert {name for key in left for name in key[:2]} == {WEB, "n1"}
    _connected(left)
    assert lab.run("restore", str(lab.file), "n2").code == 0
    assert _connected(lab.tries()) == both
