"""The real agent on a real kernel: what it programs, repairs and survives, seen by packets and by the kernel's lists."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.etcd_server import EtcdServer, etcd_server
from tests.fakes.kubernetes_api import api_server
from tests.fakes.kubernetes_store import KINDS, Store
from tests.kernel.agent_node import NODE, PROFILE, AgentNode, allow_from, workload
from tests.kernel.conversation import kill_again_and_again
from tests.kernel.lock import locked_tables
from tests.kernel.oracle.namespace import Namespace
from tortie.model.workload_name import pod_interface

PODS = {"a": 2, "b": 3, "c": 4}


both_backends = pytest.mark.parametrize("node", ["legacy", "nft"], indirect=True)


@pytest.fixture
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AgentNode]:
    made = AgentNode(tmp_path, getattr(request, "param", "nft"))
    try:
        for name, number in PODS.items():
            made.add_pod(name, number)
        made.write("cluster.yaml", PROFILE, *(workload(name, number) for name, number in PODS.items()))
        made.write("policy.yaml", allow_from("p", "a", "b", 7000))
        yield made
    finally:
        made.close()


@both_backends
def test_killed_at_any_time_it_loses_no_packet_and_lets_none_through(node: AgentNode) -> None:
    kill_again_and_again(node, random.Random(node.backend), rounds=5)


def test_a_start_a_restart_and_an_end_change_nothing_that_is_right(node: AgentNode) -> None:
    node.start()
    node.until(node.is_ready)
    before = node.rules("cali-FORWARD"), node.tool("ipset", "save"), node.tool("ip", "route")
    assert node.end() == 0
    assert (node.rules("cali-FORWARD"), node.tool("ipset", "save"), node.tool("ip", "route")) == before
    node.start()
    node.until(node.is_ready)
    assert "programmed steps" not in node.log.read_text().partition("ending; what is programmed stays")[2]
    node.end()
    node.resources.rename(node.folder / "elsewhere")
    node.start()
    node.until(lambda: node.status().get("datastoreLost") is not None)
    time.sleep(1)
    assert (node.rules("cali-FORWARD"), node.tool("ipset", "save"), node.tool("ip", "route")) == before
    (node.folder / "elsewhere").rename(node.resources)
    node.until(node.is_ready)


@both_backends
def test_damage_is_repaired_within_a_second_where_the_kernel_tells(node: AgentNode) -> None:
    node.environment["FELIX_IPTABLESPOSTWRITECHECKINTERVALSECS"] = "100"  # so that no check by the clock helps
    node.start()
    node.until(node.is_ready)
    time.sleep(1.5)
    rules = node.rules("cali-FORWARD")
    assert rules
    route = "10.65.0.2 dev cali2 scope link"
    node.tool("ip", "route", "delete", "10.65.0.2")
    assert node.until(lambda: route in node.tool("ip", "route"), 2) < 1
    node.node.write_sysctls([("net/ipv4/conf/cali2/rp_filter", "0")])
    assert node.until(lambda: node.node.read_sysctl("net/ipv4/conf/cali2/rp_filter") == "1", 3) < 1.5
    allowed = 1.5 if node.backend == "nft" else 2.5  # the kernel tells, or sizes are looked at every second; and a pass
    for meddling in (("-F", "cali-FORWARD"), ("-D", "FORWARD", "1"), ("-I", "FORWARD", "-j", "ACCEPT")):
        hook = node.rules("FORWARD")[:1]
        node.tool(f"iptables-{node.backend}", *meddling)
        assert (
            node.until(lambda hook=hook: (node.rules("FORWARD")[:1], node.rules("cali-FORWARD")) == (hook, rules), 4)
            < allowed
        )
        time.sleep(1.1)


def test_a_route_that_the_kernel_refuses_is_an_error_of_its_endpoint_and_tried_again(node: AgentNode) -> None:
    node.tool("ip", "route", "add", "10.65.0.2/32", "dev", "eth0")
    node.start()
    node.until(node.is_ready)
    node.until(lambda: bool(node.status()["problems"]))
    assert node.status()["workloadEndpoints"] == {
        "k8s/prod/a/eth0": "error", "k8s/prod/b/eth0": "up", "k8s/prod/c/eth0": "up",
    }  # fmt: skip
    assert "File exists" in node.status()["problems"][0]
    node.write("policy.yaml", allow_from("p", "a", "b", 7001))
    assert node.until(lambda: any("7001" in rule for rule in _policy_rules(node, "cali-tw-cali3"))) < 2
    assert 1 <= node.log.read_text().count("not programmed: ip route add 10.65.0.2/32") <= 4
    node.tool("ip", "route", "delete", "10.65.0.2/32", "dev", "eth0")
    node.until(lambda: "10.65.0.2 dev cali2 scope link" in node.tool("ip", "route"))
    node.until(lambda: node.status()["workloadEndpoints"]["k8s/prod/a/eth0"] == "up" and not node.status()["problems"])


def test_an_interface_that_comes_back_is_set_up_again(node: AgentNode) -> None:
    node.start()
    node.until(node.is_ready)
    node.tool("ip", "link", "delete", "cali2")
    node.until(lambda: node.status()["workloadEndpoints"]["k8s/prod/a/eth0"] == "down")
    node.pods.pop("a").close()
    node.add_pod("a", 2)
    node.until(lambda: "10.65.0.2 dev cali2 scope link" in node.tool("ip", "route"))
    assert node.node.read_sysctl("net/ipv4/conf/cali2/proxy_arp") == "1"
    node.until(lambda: node.status()["workloadEndpoints"]["k8s/prod/a/eth0"] == "up")


def test_a_bad_resource_closes_what_it_is_about_and_the_rest_goes_on(node: AgentNode) -> None:
    node.start()
    node.until(node.is_ready)
    node.write("policy.yaml", allow_from("p", "a", "b", 7000).replace("Allow", "Alow"))
    node.until(lambda: bool(node.status().get("unreadable")))
    node.until(lambda: any("DROP" in rule for rule in _policy_rules(node, "cali-tw-cali3")))
    assert node.is_ready()
    assert not _policy_rules(node, "cali-tw-cali2") and node.rules("cali-tw-cali2")
    assert "NetworkPolicy(prod/p)" in node.log.read_text()
    node.write("policy.yaml", allow_from("p", "a", "b", 7001))
    node.until(lambda: any("7001" in rule for rule in _policy_rules(node, "cali-tw-cali3")))
    node.until(lambda: not node.status()["unreadable"])


def _policy_rules(node: AgentNode, chain: str) -> list[str]:
    jumps = [rule.split()[-1] for rule in node.rules(chain) if "-j cali-pi-" in rule]
    return [rule for jump in jumps for rule in node.rules(jump)]


def test_one_command_tells_how_it_is(node: AgentNode) -> None:
    node.start()
    node.until(node.is_ready)
    told = subprocess.run(
        ["tortie", "status", "--status-file", str(node.status_file)], capture_output=True, text=True, check=False,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    assert "3 up" in told.stdout and "as the datastore says" in told.stdout


def test_a_program_that_fights_for_the_first_place_is_named_and_not_fought_for_ever(node: AgentNode) -> None:
    node.start()
    node.until(node.is_ready)
    theirs = ["-j", "ACCEPT", "-m", "comment", "--comment", "me-first"]
    stop = threading.Event()
    struck = 0

    def fight() -> None:
        nonlocal struck
        while not stop.wait(0.02):
            if "me-first" not in "".join(node.rules("FORWARD")[:1]):
                node.tool("iptables-nft", "-I", "FORWARD", *theirs)
                struck += 1

    fighter = threading.Thread(target=fight)
    fighter.start()
    try:
        node.until(lambda: "repairs are made more slowly from now on" in node.log.read_text(), 30)
        time.sleep(4)
        passes = node.log.read_text().partition("more slowly")[2].count("programmed steps=")
        # After one second, two, four …; each may be struck while it makes sure, and then writes again a few times.
        assert passes <= 8 and struck < 60  # at ten passes a second it would be forty
    finally:
        stop.set()
        fighter.join()
    (line,) = [line for line in node.log.read_text().splitlines() if "more slowly" in line]
    assert "iptables -t filter FORWARD:" in line and "me-first" in line
    assert "by=" in line and "iptables" in line.partition("by=")[2]


@pytest.mark.parametrize("node", ["legacy"], indirect=True)
def test_a_lock_that_another_program_holds_is_waited_for(node: AgentNode) -> None:
    node.environment["FELIX_HEALTHENABLED"] = "true"
    node.start()
    node.until(node.is_ready)
    with locked_tables(node):
        node.write("policy.yaml", allow_from("p", "a", "b", 7001))
        time.sleep(2.5)
        assert node.health("liveness") == 204
        assert len(_waiting_tools(node)) == 1  # one waits; the other family's turn comes after it
        assert not any("7001" in rule for rule in _policy_rules(node, "cali-tw-cali3"))
    took = node.until(lambda: any("7001" in rule for rule in _policy_rules(node, "cali-tw-cali3")))
    assert took < 1.5
    assert "not programmed" not in node.log.read_text()


def _waiting_tools(node: AgentNode) -> list[str]:
    """Tools for rules that the agent has running."""
    assert node.agent is not None
    listed = subprocess.run(
        ["ps", "-o", "args=", "--ppid", str(node.agent.pid)], capture_output=True, text=True, check=False
    )
    return [line for line in listed.stdout.splitlines() if "tables" in line]


@pytest.mark.etcd
def test_from_etcd_through_the_times_that_it_is_down(node: AgentNode) -> None:
    with node.node, etcd_server() as server:
        node.source = "etcd"
        node.environment |= {"ETCD_ENDPOINTS": server.endpoint, "FELIX_ENDPOINTREPORTINGENABLED": "true"}
        put(node, server, PROFILE, workload("a", 2), workload("b", 3), allow_from("p", "a", "b", 7000))
        node.start()
        node.until(node.is_ready)
        assert any("7000" in rule for rule in _policy_rules(node, "cali-tw-cali3"))
        status = f"/calico/felix/v2/no-region/host/{NODE}/workload/k8s/prod%2fa/endpoint/eth0"
        node.until(lambda: '"up"' in etcdctl(server, "get", "--print-value-only", status))
        server.kill()
        node.until(lambda: node.status()["datastoreLost"] is not None)
        node.tool("iptables-nft", "-F", "cali-tw-cali3")
        node.until(lambda: any("7000" in rule for rule in _policy_rules(node, "cali-tw-cali3")))
        server.start()
        put(node, server, allow_from("p", "a", "b", 7001))
        node.until(lambda: any("7001" in rule for rule in _policy_rules(node, "cali-tw-cali3")), 30)
        etcdctl(server, "put", "/calico/resources/v3/projectcalico.org/networkpolicies/prod/default.p", "{broken")
        node.until(lambda: any("DROP" in rule for rule in _policy_rules(node, "cali-tw-cali3")))
        assert node.is_ready()
        assert node.agent is not None
        node.agent.send_signal(signal.SIGSTOP)  # What happens now is history that is thrown away before it is asked for.
        server.kill()
        server.start()
        put(node, server, allow_from("p", "a", "b", 7002))
        server.compact()
        node.agent.send_signal(signal.SIGCONT)
        node.until(lambda: any("7002" in rule for rule in _policy_rules(node, "cali-tw-cali3")), 30)
        server.kill()
        assert node.end() == 0
        before = node.rules("cali-FORWARD"), node.tool("ipset", "save"), node.tool("ip", "route")
        node.start()
        node.until(lambda: node.agent is not None and node.status().get("pid") == node.agent.pid)
        node.until(lambda: node.status()["datastoreLost"] is not None)
        assert not node.is_ready()
        assert (node.rules("cali-FORWARD"), node.tool("ipset", "save"), node.tool("ip", "route")) == before
        server.start()
        node.until(node.is_ready, 30)
        assert (node.rules("cali-FORWARD"), node.tool("ipset", "save"), node.tool("ip", "route")) == before


def etcdctl(server: EtcdServer, *words: str) -> str:
    command = ["etcdctl", "--endpoints", server.endpoint, *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "ETCDCTL_API": "3"}
    ).stdout


def put(node: AgentNode, server: EtcdServer, *texts: str) -> None:
    """Writes resources as `tortie apply -f` does."""
    path = node.folder / "put.yaml"
    path.write_text("---\n".join(texts))
    command = [sys.executable, "-c", "from tortie.cli.main import main; main()", "apply", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "ETCD_ENDPOINTS": server.endpoint})


# --- the Kubernetes API --------------------------------------------------------------------------------------------


class ApiServerThread:
    """The stand-in for an API server (tests/fakes), in a thread that is inside a namespace."""

    def __init__(self, namespace: Namespace) -> None:
        self.store = Store()
        self._namespace = namespace
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.url = ""

    def __enter__(self) -> ApiServerThread:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        with self._namespace:
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        async with api_server(self.store) as server:
            self.url = server.url
            self._started.set()
            await self._stop.wait()

    def create(self, kind: str, data: dict[str, Any], namespace: str = "") -> None:
        """An object as kubectl would make it."""
        (known,) = (one for one in KINDS if one.kind == kind and one.group in ("", "networking.k8s.io"))
        version = f"{known.group}/{known.version}" if known.group else known.version
        whole = {"apiVersion": version, "kind": kind, **data}

        async def do() -> None:
            self.store.create(known, namespace, whole)

        asyncio.run_coroutine_threadsafe(do(), self._loop).result(10)


def test_pods_and_policies_of_the_kubernetes_api(node: AgentNode) -> None:
    interface = pod_interface("prod", "web")
    node.tool("ip", "link", "set", "cali2", "name", interface)
    with ApiServerThread(node.node) as server:
        server.create("Node", {"metadata": {"name": NODE}, "status": {}})
        server.create("Namespace", {"metadata": {"name": "prod"}})
        server.create("ServiceAccount", {"metadata": {"name": "default", "namespace": "prod"}}, "prod")
        pod = {
            "metadata": {"name": "web", "namespace": "prod", "labels": {"app": "web"}},
            "spec": {"nodeName": NODE, "serviceAccountName": "default", "containers": []},
            "status": {"phase": "Running", "podIP": "10.65.0.2"},
        }
        server.create("Pod", pod, "prod")
        node.source = "kubernetes"
        node.environment |= {"K8S_API_ENDPOINT": server.url}
        node.start()
        node.until(node.is_ready)
        assert f"10.65.0.2 dev {interface} scope link" in node.tool("ip", "route")
        ports = [{"protocol": "TCP", "port": 8080}]
        policy = {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"ports": ports}]}
        server.create("NetworkPolicy", {"metadata": {"name": "p", "namespace": "prod"}, "spec": policy}, "prod")
        node.until(lambda: any("8080" in rule for rule in _policy_rules(node, f"cali-tw-{interface}")))
        assert node.end() == 0
