"""The agent: how soon what is written stands in the kernel, what it costs when nothing happens, how large it gets.

Runs a real agent on a node of its own (a network namespace), so it needs root; without it there are no figures. Resources
come from a directory, or from etcd. Times are from the moment when a file is in its place to the moment when the agent has
made sure that the kernel holds the rule.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.measure import Figure
from tests.etcd_server import etcd_server
from tests.kernel.agent_node import NODE, AgentNode
from tests.requirement import missing_for_etcd, missing_for_kernel

WORKLOADS, POLICIES = 250, 1000
LARGE_POLICIES, LARGE_ENDPOINTS = 10_000, 100_000
SAMPLES = 30
IDLE_S = 30.0
CHURNED, CHURN_RATE = 1000, 50
_POLICY_KEY = "/calico/resources/v3/projectcalico.org/networkpolicies/ns0/default.p0"
_TICKS = os.sysconf("SC_CLK_TCK")


def figures(folder: Path) -> Iterator[Figure]:
    """All figures of the agent, or one line that says why there are none."""
    missing = missing_for_kernel()
    if missing is not None:
        yield Figure("agent", f"not measured: {missing}")
        return
    for backend in ("nft", "legacy"):
        yield from _figures_of(_node(folder / backend, backend, POLICIES, 0), backend)
    if missing_for_etcd() is None:
        yield from _etcd_figures(_node(folder / "etcd", "nft", POLICIES, 0))
    yield from _large_figures(_node(folder / "large", "nft", LARGE_POLICIES, LARGE_ENDPOINTS))


def _figures_of(node: AgentNode, backend: str) -> Iterator[Figure]:
    try:
        node.start()
        node.until(node.is_ready, 120)
        time.sleep(3)
        size = f"{WORKLOADS} workloads, {POLICIES} policies, {backend}"
        yield _latency(node, f"directory, {size}", lambda policy: node.write("policy-0.json", json.dumps(policy)))
        if backend == "nft":
            yield from _idle_figures(node, size)
        yield from _churn_figures(node, size)
    finally:
        node.close()


def _etcd_figures(node: AgentNode) -> Iterator[Figure]:
    """The same from etcd, to which `tortie apply -f` wrote everything."""
    try:
        with node.node, etcd_server() as server:
            environment = {**os.environ, "ETCD_ENDPOINTS": server.endpoint, "ETCDCTL_API": "3"}
            node.environment["ETCD_ENDPOINTS"] = server.endpoint
            tortie = [sys.executable, "-c", "from tortie.cli.main import main; main()", "apply", "-f"]
            subprocess.run([*tortie, str(node.resources)], check=True, capture_output=True, env=environment)
            node.source = "etcd"
            node.start()
            node.until(node.is_ready, 120)
            time.sleep(3)

            def put(policy: dict[str, Any]) -> None:
                policy["metadata"]["name"] = "default.p0"
                words = ["etcdctl", "--endpoints", server.endpoint, "put", _POLICY_KEY, json.dumps(policy)]
                subprocess.run(words, check=True, capture_output=True, env=environment)

            yield _latency(node, f"etcd, {WORKLOADS} workloads, {POLICIES} policies, nft", put)
    finally:
        node.close()


def _latency(node: AgentNode, size: str, write: Callable[[dict[str, Any]], object]) -> Figure:
    times = sorted(_written_to_programmed(node, 20_000 + number, write) for number in range(SAMPLES))
    worst = times[int(len(times) * 0.99) - 1]
    return Figure(
        f"policy written to rule in the kernel ({size})", f"{statistics.median(times):.2f} s, 99 %: {worst:.2f} s"
    )


def _large_figures(node: AgentNode) -> Iterator[Figure]:
    try:
        size = f"{LARGE_POLICIES:,} policies, {LARGE_ENDPOINTS:,} endpoints of other nodes"
        start = time.monotonic()
        node.start()
        node.until(lambda: node.status().get("inSync", False), 300)
        yield Figure(f"start to in-sync ({size})", f"{time.monotonic() - start:.0f} s")
        node.until(node.is_ready, 300)
        yield Figure(f"start to everything programmed ({size})", f"{time.monotonic() - start:.0f} s")
        time.sleep(5)
        yield Figure(f"memory ({size})", f"{_memory_mb(node):.0f} MB")
    finally:
        node.close()


# --- what is measured --------------------------------------------------------------------------------------------


def _written_to_programmed(node: AgentNode, port: int, write: Callable[[dict[str, Any]], object]) -> float:
    """Until the agent says that it was programmed, which it says when it has looked again; listing rules takes too long."""
    with node.log.open() as log:
        log.seek(0, os.SEEK_END)
        write(_policy(0, port))
        start = time.monotonic()
        node.until(lambda: "INFO    programmed" in log.readline(), 30)
        taken = time.monotonic() - start
    if not _holds(node, _policy_chain(node), str(port)):
        raise AssertionError("programmed, but not there")
    return taken


def _policy_chain(node: AgentNode) -> str:
    """The chain of the policy that is changed; its name follows from the policy's."""
    from tortie.render.endpoint import policy_chain

    return policy_chain("ns0/default.p0", inbound=True)


def _holds(node: AgentNode, chain: str, text: str) -> bool:
    with node.node:
        ran = subprocess.run(
            [f"iptables-{node.backend}", "-S", chain], capture_output=True, text=True, check=False, env=_environment(node)
        )
    return text in ran.stdout


def _environment(node: AgentNode) -> dict[str, str]:
    return {**os.environ, "XTABLES_LOCKFILE": str(node.folder / "lock")}


def _idle_figures(node: AgentNode, size: str) -> Iterator[Figure]:
    time.sleep(20)  # checks of what was just written become rare
    before, start = _processor_s(node), time.monotonic()
    time.sleep(IDLE_S)
    share = (_processor_s(node) - before) / (time.monotonic() - start)
    yield Figure(f"processor when nothing changes ({size})", f"{share:.1%} of a core", "under 1 %", share < 0.01)
    yield Figure(f"memory ({size})", f"{_memory_mb(node):.0f} MB")


def _processor_s(node: AgentNode) -> float:
    """Processor time of the agent and of all tools that it ran so far, in seconds."""
    assert node.agent is not None
    words = Path(f"/proc/{node.agent.pid}/stat").read_text().rpartition(") ")[2].split()
    return sum(int(word) for word in words[11:15]) / _TICKS


def _memory_mb(node: AgentNode) -> float:
    assert node.agent is not None
    for line in Path(f"/proc/{node.agent.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def _churn_figures(node: AgentNode, size: str) -> Iterator[Figure]:
    """Pods come 50 a second, each with its interface, and go again 5 seconds later; each must have had its route.

    A route comes behind the rules of the same pass, so a pod that has one is done.
    """
    written: dict[int, float] = {}
    start = time.monotonic()
    number = gone = 0
    with _routes_told(node) as routed:
        while gone < CHURNED and time.monotonic() - start < 240:
            now = time.monotonic()
            if number < CHURNED and now - start >= number / CHURN_RATE:
                _add_pod(node, number)
                written[number] = time.monotonic()
                number += 1
            elif gone < number and written[gone] < now - 5 and (gone in routed or written[gone] < now - 30):
                _remove_pod(node, gone)
                gone += 1
            else:
                time.sleep(0.005)
        node.until(lambda: "calix" not in node.node.run(["ip", "route", "show", "scope", "link"]), 60)
    delays = sorted(routed[one] - written[one] for one in routed)
    lost = CHURNED - len(delays)
    worst = delays[int(len(delays) * 0.99) - 1]
    told = f"{lost} lost, pod to rules and route {statistics.median(delays):.2f} s, 99 %: {worst:.2f} s"
    yield Figure(f"{CHURNED} pods churned at {CHURN_RATE} a second ({size})", told, "none lost", lost == 0)


@contextmanager
def _routes_told(node: AgentNode) -> Iterator[dict[int, float]]:
    """When the kernel told of each churned pod's first route."""
    told: dict[int, float] = {}
    with node.node:
        monitor = subprocess.Popen(["ip", "-4", "monitor", "route"], stdout=subprocess.PIPE, text=True)

    def read(lines: Iterable[str]) -> None:
        for line in lines:
            if "dev calix" in line and not line.startswith("Deleted"):
                told.setdefault(int(line.split("dev calix")[1].split()[0]), time.monotonic())

    assert monitor.stdout is not None
    reader = threading.Thread(target=read, args=(monitor.stdout,))
    reader.start()
    try:
        yield told
    finally:
        monitor.terminate()
        reader.join()
        monitor.wait()


def _add_pod(node: AgentNode, number: int) -> None:
    links = f"link add calix{number} type veth peer name peer{number}\n"
    node.node.run(["ip", "-batch", "-"], links + f"link set calix{number} up\nlink set peer{number} up\n")
    node.write(f"churn-{number}.json", json.dumps(_workload(50_000 + number, NODE, f"calix{number}")))


def _remove_pod(node: AgentNode, number: int) -> None:
    (node.resources / f"churn-{number}.json").unlink()
    node.node.run(["ip", "link", "delete", f"calix{number}"])


# --- a cluster ---------------------------------------------------------------------------------------------------


def _node(folder: Path, backend: str, policies: int, endpoints: int) -> AgentNode:
    folder.mkdir()
    node = AgentNode(folder, backend)
    lines = [
        f"link add cali{number} type veth peer name peer-{number}\nlink set cali{number} up\nlink set peer-{number} up\n"
        for number in range(WORKLOADS)
    ]
    node.node.run(["ip", "-batch", "-"], "".join(lines))
    found = [_profile(number) for number in range(100)]
    found += [_policy(number, 80, policies) for number in range(1, policies)]
    found += [_workload(number, NODE, f"cali{number}") for number in range(WORKLOADS)]
    found += [_workload(number, f"node-{2 + number % 200}", f"cali{number}") for number in range(1000, 1000 + endpoints)]
    node.write("cluster.json", json.dumps({"apiVersion": "v1", "kind": "List", "items": found}))
    node.write("policy-0.json", json.dumps(_policy(0, 80)))
    return node


def _object(kind: str, name: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


def _profile(number: int) -> dict[str, Any]:
    rules = [{"action": "Allow"}]
    spec = {"ingress": rules, "egress": rules, "labelsToApply": {"pcns.team": f"t{number}"}}
    return _object("Profile", f"kns.ns{number}", spec)


def _policy(number: int, port: int, policies: int = POLICIES) -> dict[str, Any]:
    """Two policies for each application, of which this node has 250, however many there are in the cluster."""
    source = {"selector": f"role == 'r{number % 50}'"}
    spec = {
        "selector": f"app == 'a{number % (policies // 2)}'",
        "types": ["Ingress"],
        "ingress": [{"action": "Allow", "protocol": "TCP", "source": source, "destination": {"ports": [port]}}],
    }
    return _object("NetworkPolicy", f"p{number}", spec, namespace=f"ns{number % 100}")


def _workload(number: int, node: str, interface: str) -> dict[str, Any]:
    spec = {
        "node": node, "orchestrator": "k8s", "pod": f"pod{number}", "endpoint": "eth0", "interfaceName": interface,
        "ipNetworks": [f"10.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255}/32"],
        "profiles": [f"kns.ns{number % 100}"],
    }  # fmt: skip
    name = f"{node.replace('-', '--')}-k8s-pod{number}-eth0"
    labels = {"app": f"a{number % 500}", "role": f"r{number % 50}"}
    return _object("WorkloadEndpoint", name, spec, namespace=f"ns{number % 100}", labels=labels)
