"""Brings a laboratory up: wires first, closed by agents next, then pods, then routes; it is ready when all of that is.

Every program is the one that a real node runs, started as on a real node: `tortie agent`, `tortie-cni` for each pod as a
container runtime calls it, BIRD on what `tortie bgp` writes, a real etcd. Whatever fails, what was made is taken away.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Container, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tortie.kernel.refusal import KernelRefused
from tortie.kernel.run import Ran
from tortie.lab.cluster import check_given, lab_resources, manifests
from tortie.lab.etcd import plain_list
from tortie.lab.machine import Machine, runs
from tortie.lab.topology import LabPod, Topology
from tortie.model.endpoint import WorkloadEndpoint
from tortie.model.read import Resources, parse_resources
from tortie.net.address import Address, Prefix, parse_prefix
from tortie.net.error import InvalidInput
from tortie.source.tree import read_file, reading_order, scan_tree

PATIENCE_S = 60.0
"""Seconds that each thing is waited for: an agent, a session, routes."""
_TURN_S = 0.1
_LARGEST_FILE = 64 << 20
_HANDS = 3
"""So many containers are attached at a time; each is a program of its own, on few cores."""
ROUTER, ETCD = "router", "etcd"
RECORD = "laboratory.json"
_FEWEST_SPEAKERS = 2
_FORWARD = {"net/ipv4/ip_forward": "1"}
_SILENT = {"net/ipv4/conf/all/send_redirects": "0", "net/ipv4/conf/default/send_redirects": "0"}
"""A router that tells nobody of a shorter way: a packet would then take another one than the packet before."""
_STRICT = {"net/ipv4/conf/all/rp_filter": "1", "net/ipv4/conf/default/rp_filter": "1"}
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Attached:
    """A pod that is up: its container and addresses."""

    pod: LabPod
    container: str
    networks: tuple[Prefix, ...]


@dataclass(frozen=True, slots=True)
class Laboratory:
    """A topology on a machine."""

    topology: Topology
    machine: Machine
    patience_s: float = PATIENCE_S

    @property
    def resources(self) -> Path:
        """The directory of resources, which is the datastore unless that is etcd."""
        return self.machine.state / "resources"

    @property
    def environment(self) -> dict[str, str]:
        """Where programs on nodes find the datastore."""
        if self.topology.datastore != "etcd":
            return {}
        url = f"http://{self.topology.etcd_address}:2379"
        # The last is for where the machine has a calicoctl.cfg, which counts more than the environment.
        return {"DATASTORE_TYPE": "etcdv3", "ETCD_ENDPOINTS": url, "FELIX_ETCDENDPOINTS": url}

    def folder(self, what: str) -> Path:
        """The files of a node."""
        return self.machine.state / "nodes" / what

    def record(self) -> Path:
        """The file that says what is up."""
        return self.machine.state / RECORD

    def wait(self, reached: Callable[[], bool], problem: Callable[[], str], pid: int = 0) -> None:
        """Waits for what a process does, if one is given; raises `KernelRefused` when it has ended or takes too long."""
        end = time.monotonic() + self.patience_s
        while not reached():
            if time.monotonic() > end or (pid and not runs(pid)):
                raise KernelRefused(["waiting"], problem())
            time.sleep(_TURN_S)


def bring_up(lab: Laboratory, given: Resources, files: Iterable[Path], say: Say) -> None:
    """Makes all of it and waits until it is ready.

    Raises `InvalidInput` when it is up already or a file has what it makes itself, `KernelRefused` and `OSError` when
    something cannot be made; then nothing of it is left.
    """
    check_given(lab.topology, given)
    check_programs(lab.topology)
    try:
        if lab.machine.namespaces():
            raise FileExistsError
        lab.machine.state.mkdir(parents=True)  # of two commands only one can
    except FileExistsError:
        name = lab.topology.name
        raise InvalidInput(
            f"laboratory {name} is there already, or a part of it", remedy=f"tortie lab down {name}"
        ) from None
    with lab.machine.hold():
        _make(lab, given, files, say)


def _make(lab: Laboratory, given: Resources, files: Iterable[Path], say: Say) -> None:
    try:
        say("networks")
        make_networks(lab)
        say("datastore")
        make_datastore(lab, given, files)
        say("agents")
        agents = {node.name: start_agent(lab, node.name) for node in lab.topology.nodes}
        for name, pid in agents.items():
            wait_for_agent(lab, name, pid)
        say("pods")
        attached = attach_pods(lab)
        say("routes")
        start_routing(lab)
        write_record(lab, attached)
        wait_for_sessions(lab)
        wait_for_routes(lab, attached)
        wait_for_endpoints(lab, attached)
        add_services(lab, attached)
    except BaseException:
        try:
            lab.machine.remove()
        except (KernelRefused, OSError) as problem:  # why it failed matters more
            say(f"not everything could be taken away: {problem}")
        raise


def check_programs(topology: Topology, path: str = "") -> None:
    """Raises `KernelRefused` for a program that is needed and not in `path`, by default where the system has them."""
    wanted = ["ip", "iptables", "ipset", "bird", "birdc"] + (["etcd"] if topology.datastore == "etcd" else [])
    path = path or os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    for program in wanted:
        if shutil.which(program, path=path) is None:
            raise KernelRefused([program], "not installed")


# --- networks ----------------------------------------------------------------------------------------------------


def make_networks(lab: Laboratory) -> None:
    """A switch for each network, and on it what is in it."""
    machine, topology = lab.machine, lab.topology
    for name in topology.networks:
        machine.add_namespace(_switch(name))
        machine.batch(_switch(name), ["link add br0 type bridge", "link set br0 up"])
    addresses = topology.node_addresses()
    if topology.router is not None:
        machine.add_namespace(ROUTER)
        machine.write_sysctls(ROUTER, _FORWARD | _SILENT)
        for place, (name, network) in enumerate(topology.networks.items()):
            _plug(machine, name, ROUTER, f"eth{place}", network.router, network.subnet)
    for node in topology.nodes:
        machine.add_namespace(node.name)
        machine.write_sysctls(node.name, _FORWARD | _STRICT)
        _plug(machine, node.network, node.name, "eth0", addresses[node.name], topology.networks[node.network].subnet)
        add_default(lab, node.name, node.network)
    for host in topology.hosts:
        machine.add_namespace(host.name)
        _plug(machine, host.network, host.name, "eth0", host.address, topology.networks[host.network].subnet)
        add_default(lab, host.name, host.network)


def _switch(network: str) -> str:
    return f"switch:{network}"  # no node or host can be called so


def _plug(machine: Machine, network: str, what: str, interface: str, address: Address, subnet: Prefix) -> None:
    port = f"p{hashlib.sha256(f'{what}/{interface}'.encode()).hexdigest()[:10]}"
    machine.connect(port, _switch(network), what, interface)
    machine.batch(what, [f"addr add {address}/{subnet.length} dev {interface}", f"link set {interface} up"])


def add_default(lab: Laboratory, what: str, network: str) -> None:
    """Everything else by way of the router; where there is none it leads nowhere, and proxy ARP has something to go by."""
    gateway = lab.topology.networks[network].router
    lab.machine.batch(what, [f"route add default via {gateway} dev eth0"])


# --- datastore and agents ----------------------------------------------------------------------------------------


def make_datastore(lab: Laboratory, given: Resources, files: Iterable[Path]) -> None:
    """Writes all resources where the agents will read them."""
    lab.resources.mkdir()
    made = list(lab_resources(lab.topology, given))
    _write_list(lab.resources / "laboratory.json", made)
    _write_list(lab.resources / "manifests.json", list(manifests(lab.topology)))
    for place, path in enumerate(files):
        target = lab.resources / "given" / f"{place}-{path.name}"
        if path.is_dir():
            shutil.copytree(path, target)
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copy(path, target)
    if lab.topology.datastore == "etcd":
        _start_etcd(lab)


def _write_list(path: Path, items: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=1))


def _start_etcd(lab: Laboratory) -> None:
    """A server on the first network, with the resources in it."""
    machine, address = lab.machine, lab.topology.etcd_address
    name, network = next(iter(lab.topology.networks.items()))
    machine.add_namespace(ETCD)
    _plug(machine, name, ETCD, "eth0", address, network.subnet)
    add_default(lab, ETCD, name)
    client, peer = f"http://{address}:2379", "http://127.0.0.1:2380"
    command = [
        *("etcd", "--data-dir", str(machine.state / "etcd"), "--unsafe-no-fsync"),
        *("--listen-client-urls", client, "--advertise-client-urls", client),
        *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"),
    ]
    server = machine.start(ETCD, command, machine.state / "etcd.log")
    # Kubernetes' own objects are not kept in etcd, but what Calico's controllers make of them is.
    resources = [one for one in read_resources(lab.resources) if not isinstance(one, WorkloadEndpoint)]
    text = json.dumps(plain_list(resources)).encode()
    last = ""

    def is_written() -> bool:
        nonlocal last
        ran = ask_etcd(lab, "write", text)
        last = ran.complaint
        return ran.code == 0

    lab.wait(
        is_written, lambda: f"etcd does not take the resources: {last or _log_end(machine.state / 'etcd.log')}", server
    )


def ask_etcd(lab: Laboratory, command: str, data: bytes = b"") -> Ran:
    """Runs a command of `tortie.lab.etcd` where the laboratory's etcd is."""
    return lab.machine.run_program(ETCD, lab.environment, [sys.executable, "-m", "tortie.lab.etcd", command], data)


def read_resources(directory: Path) -> Resources:
    """All resources in the files below a directory; raises `InvalidInput` and `OSError`."""
    root = str(directory)
    paths = sorted(scan_tree(root).files, key=lambda path: reading_order(root, path))
    return parse_resources((path, read_file(path, _LARGEST_FILE)) for path in paths)


def tortie(name: str = "tortie") -> str:
    """The path of one of our own programs, beside this Python."""
    return str(Path(sys.executable).with_name(name))


def start_agent(lab: Laboratory, node: str) -> int:
    """Starts a node's agent; returns its number. Raises `OSError`."""
    folder = lab.folder(node)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "status.json").unlink(missing_ok=True)
    (folder / "felix.cfg").touch()
    source = "etcd" if lab.topology.datastore == "etcd" else str(lab.resources)
    own = ["--config", str(folder / "felix.cfg"), "--status-file", str(folder / "status.json")]
    command = [tortie(), "agent", "--source", source, "--node", node, *own]
    return lab.machine.start(node, command, folder / "agent.log", lab.environment | agent_environment(lab, node))


def agent_environment(lab: Laboratory, node: str) -> dict[str, str]:
    """What an agent on a machine with others needs: a lock of its own, no file of the machine's."""
    return {"XTABLES_LOCKFILE": str(lab.folder(node) / "xtables.lock"), "FELIX_HEALTHENABLED": "false"}


def status(lab: Laboratory, node: str) -> dict[str, Any]:
    """What a node's agent says of itself; empty before it has."""
    try:
        found: dict[str, Any] = json.loads((lab.folder(node) / "status.json").read_text())
    except (OSError, ValueError):
        return {}
    return found


def wait_for_agent(lab: Laboratory, node: str, pid: int) -> None:
    """Waits until an agent has programmed what it read; raises `KernelRefused` with the end of its log."""
    lab.wait(
        lambda: bool(status(lab, node).get("ready")),
        lambda: f"the agent of {node} is not ready: {_agent_words(lab, node)}",
        pid,
    )


def _agent_words(lab: Laboratory, node: str) -> str:
    return _log_end(lab.folder(node) / "agent.log")


def _log_end(path: Path) -> str:
    """The last line of a log that tells of an error, or the last at all."""
    try:
        lines = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        return "no log"
    errors = [line for line in lines if " ERROR " in line]
    return (errors or lines or ["it has said nothing"])[-1]


# --- pods --------------------------------------------------------------------------------------------------------


def cni_config(lab: Laboratory, node: str) -> dict[str, Any]:
    """The network's configuration as a runtime on a node hands it over."""
    datastore: dict[str, Any] = {
        "datastore_type": "directory",
        "datastore_dir": str(lab.resources),
        "ipam_dir": str(lab.machine.state / "ipam"),
        "policy": {"type": "k8s"},
    }
    if lab.topology.datastore == "etcd":
        datastore = {"datastore_type": "etcdv3", "etcd_endpoints": lab.environment["ETCD_ENDPOINTS"]}
        datastore |= {"policy": {"type": "k8s"}, "manifests_dir": str(lab.resources)}
    return {
        "cniVersion": "0.4.0",
        "name": "lab",
        "type": "tortie-cni",
        "nodename": node,
        "ipam": {"type": "calico-ipam"},
        "feature_control": {"floating_ips": True},
    } | datastore


def attach_pods(lab: Laboratory) -> tuple[Attached, ...]:
    """Attaches all pods, on several nodes at once; raises `KernelRefused` with the plugin's words."""
    with ThreadPoolExecutor(_HANDS) as hands:
        waiting = [hands.submit(attach_pod, lab, pod) for pod in lab.topology.all_pods]
        try:
            return tuple(one.result() for one in waiting)
        except BaseException:
            hands.shutdown(wait=False, cancel_futures=True)
            raise


def pod_namespace(pod: LabPod) -> str:
    """What a pod's network namespace is called in the laboratory."""
    return f"pod:{pod.namespace}:{pod.name}"


def attach_pod(lab: Laboratory, pod: LabPod) -> Attached:
    """Makes and attaches one pod; raises `KernelRefused` with the plugin's words."""
    lab.machine.add_namespace(pod_namespace(pod))
    container = hashlib.sha256(f"{lab.topology.name}/{pod.namespace}/{pod.name}".encode()).hexdigest()
    document = call_cni(lab, pod, container, "ADD")
    return Attached(pod, container, tuple(parse_prefix(entry["address"]) for entry in document["ips"]))


def call_cni(lab: Laboratory, pod: LabPod, container: str, command: str) -> dict[str, Any]:
    """Calls the plugin as a runtime on the pod's node does."""
    environment = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": container,
        "CNI_NETNS": lab.machine.path(pod_namespace(pod)),
        "CNI_IFNAME": "eth0",
        "CNI_PATH": str(Path(sys.executable).parent),
        "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE={pod.namespace};K8S_POD_NAME={pod.name}",
    }
    config = json.dumps(cni_config(lab, pod.node)).encode()
    ran = lab.machine.run_program(pod.node, environment, [tortie("tortie-cni")], config)
    document: dict[str, Any] = json.loads(ran.out) if ran.out.strip() else {}
    if ran.code:
        message = " ".join(str(document.get(key, "")) for key in ("msg", "details")).strip() or ran.complaint
        raise KernelRefused(["tortie-cni"], f"{command} of {pod.namespace}/{pod.name} on {pod.node}: {message}")
    return document


# --- routes ------------------------------------------------------------------------------------------------------


def start_routing(lab: Laboratory) -> None:
    """Starts BIRD on every node, on what `tortie bgp` writes and keeps up, and on the router if it speaks BGP."""
    for node in lab.topology.nodes:
        start_bird(lab, node.name)
    router = lab.topology.router
    if router is not None and router.as_number is not None:
        folder = lab.folder(ROUTER)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "bird.conf").write_text(router_config(lab.topology))
        lab.machine.start(ROUTER, _bird(folder, recover=False), folder / "bird.log")


def start_bird(lab: Laboratory, node: str) -> None:
    """Starts a node's BIRD and what follows the datastore for it; raises `KernelRefused` and `OSError`."""
    folder = lab.folder(node) / "bird"
    folder.mkdir(parents=True, exist_ok=True)
    directory = lab.topology.datastore == "directory"
    blocks = ["--ipam-dir", str(lab.machine.state / "ipam")] if directory else []
    source = str(lab.resources) if directory else "etcd"
    command = [tortie(), "bgp", "--source", source, "--node", node, "-o", str(folder), *blocks]
    log = lab.folder(node) / "bgp.log"
    writer = lab.machine.start(node, command, log, lab.environment)
    written = folder / "bird.conf"
    lab.wait(written.exists, lambda: f"no configuration of BIRD was written for {node}: {_log_end(log)}", writer)
    lab.machine.start(node, _bird(folder, recover=True), lab.folder(node) / "bird.log")


def bird_process(lab: Laboratory, node: str) -> int:
    """The number of a node's BIRD, as it wrote it down; 0 when it has not."""
    try:
        return int((_bird_folder(lab, node) / "bird.pid").read_text())
    except (OSError, ValueError):
        return 0


def _bird(folder: Path, *, recover: bool) -> list[str]:
    words = ["bird", "-f", *(["-R"] if recover else []), "-s", str(folder / "bird.ctl"), "-c", str(folder / "bird.conf")]
    return [*words, "-P", str(folder / "bird.pid")]


def router_config(topology: Topology) -> str:
    """The router's BIRD: it learns from every node of its networks and gives them the way to everything else."""
    assert topology.router is not None
    own = topology.router.as_number
    first = next(iter(topology.networks.values())).router
    lines = [
        f"router id {first};",
        "protocol device { scan time 2; }",
        "protocol direct { ipv4; }",
        "protocol kernel { ipv4 { import none; export where source != RTS_DEVICE; }; scan time 2; }",
        f"template bgp node {{ local as {own}; ipv4 {{ import all; export all; next hop self; }}; connect retry time 2;",
        "  connect delay time 1; error wait time 1,5; multihop; }",
    ]
    default_as = 64512
    addresses = topology.node_addresses()
    for node in topology.nodes:
        number = node.as_number or default_as
        name = f"node_{addresses[node.name]}".replace(".", "_")
        lines.append(f"protocol bgp {name} from node {{ neighbor {addresses[node.name]} as {number}; }}")
    return "".join(f"{line}\n" for line in lines)


def wait_for_sessions(lab: Laboratory, *, without: Container[str] = ()) -> None:
    """Waits until all of BGP's sessions are established, but for those with nodes that are lost."""
    addresses = lab.topology.node_addresses()
    lost = {str(addresses[name]).replace(".", "_") for name in addresses if name in without}
    for what in _speakers(lab, without):
        down: list[str] = []

        def all_up(what: str = what, down: list[str] = down) -> bool:
            control = str(_bird_folder(lab, what) / "bird.ctl")
            said = lab.machine.run(what, ["birdc", "-s", control, "show", "protocols"]).out.decode()
            rows = [line.split() for line in said.splitlines() if " BGP " in line]
            down[:] = [row[0] for row in rows if "Established" not in row and row[0].partition("_")[2] not in lost]
            return bool(rows) and not down

        lab.wait(all_up, lambda what=what, down=down: f"{what} has no session: {', '.join(down) or 'none'}")  # type: ignore[misc]


def _speakers(lab: Laboratory, without: Container[str]) -> list[str]:
    """The namespaces in which BIRD runs."""
    router = lab.topology.router
    found = [node.name for node in lab.topology.nodes if node.name not in without]
    if len(lab.topology.nodes) < _FEWEST_SPEAKERS and (router is None or router.as_number is None):
        return []  # a node alone has nobody to talk to
    return found + ([ROUTER] if router is not None and router.as_number is not None else [])


def _bird_folder(lab: Laboratory, what: str) -> Path:
    return lab.folder(what) if what == ROUTER else lab.folder(what) / "bird"


def wait_for_routes(lab: Laboratory, attached: Iterable[Attached], *, without: Container[str] = ()) -> None:
    """Waits until every node, and a router that speaks BGP, has a way to every pod, but for nodes that are lost."""
    pods = [one for one in attached if one.pod.node not in without]
    for what in _speakers(lab, without):
        missing: list[str] = []

        def all_there(what: str = what, missing: list[str] = missing) -> bool:
            held = json.loads(lab.machine.run(what, ["ip", "-j", "-4", "route"]).out or b"[]")
            ways = [parse_prefix(_whole(entry["dst"])) for entry in held if entry.get("type", "unicast") == "unicast"]
            wanted = [net for one in pods for net in one.networks if one.pod.node != what]
            missing[:] = [str(net) for net in wanted if not any(_leads(way, net) for way in ways)]
            return not missing

        lab.wait(all_there, lambda what=what, missing=missing: f"{what} has no route to {', '.join(missing[:3])}")  # type: ignore[misc]


def _whole(text: str) -> str:
    return "0.0.0.0/0" if text == "default" else text


def _leads(way: Prefix, net: Prefix) -> bool:
    return way.length > 0 and way.family is net.family and way.contains(net.address)


def wait_for_endpoints(lab: Laboratory, attached: Iterable[Attached], *, without: Container[str] = ()) -> None:
    """Waits until every agent, but for nodes that are lost, calls all of its pods up."""
    pods = list(attached)
    for node in lab.topology.nodes:
        if node.name in without:
            continue
        wanted = {f"k8s/{one.pod.namespace}/{one.pod.name}/eth0" for one in pods if one.pod.node == node.name}

        def all_up(name: str = node.name, wanted: set[str] = wanted) -> bool:
            workloads: Mapping[str, str] = status(lab, name).get("workloadEndpoints", {})
            return wanted <= {key for key, state in workloads.items() if state == "up"}

        lab.wait(all_up, lambda name=node.name: f"the agent of {name} has not set up all pods: {_agent_words(lab, name)}")  # type: ignore[misc]


def add_services(lab: Laboratory, attached: Iterable[Attached]) -> None:
    """What kube-proxy does for NodePorts, on every node, in chains that are not Calico's; raises `KernelRefused`.

    What is translated also leaves from the node's own address, so that answers come back by it.
    """
    addresses = {
        (one.pod.namespace, one.pod.name): Address(net.family, net.address) for one in attached for net in one.networks
    }
    there, back = [], []
    for service in lab.topology.services:
        pod = addresses[service.namespace, service.pod]
        there.append(
            f"-A LAB-NODEPORTS -p tcp -m tcp --dport {service.node_port} -j DNAT --to-destination {pod}:{service.port}"
        )
        back.append(f"-A LAB-BACK -d {pod} -p tcp -m tcp --dport {service.port} -m conntrack --ctstate DNAT -j MASQUERADE")
    if not there:
        return
    jump = "-m addrtype --dst-type LOCAL -j LAB-NODEPORTS"
    lines = (
        *("*nat", ":LAB-NODEPORTS - [0:0]", ":LAB-BACK - [0:0]"),
        *(f"-A PREROUTING {jump}", f"-A OUTPUT {jump}", "-A POSTROUTING -j LAB-BACK", *there, *back, "COMMIT"),
    )
    text = "".join(f"{line}\n" for line in lines)
    for node in lab.topology.nodes:
        words = ["env", f"XTABLES_LOCKFILE={lab.folder(node.name) / 'xtables.lock'}", "iptables-restore", "--noflush"]
        ran = lab.machine.run(node.name, words, text.encode())
        if ran.code:
            raise KernelRefused(words[2:], ran.complaint)


# --- the record --------------------------------------------------------------------------------------------------


def write_record(lab: Laboratory, attached: Iterable[Attached]) -> None:
    """Writes down what is up, for whoever comes later."""
    pods = {
        f"{one.pod.namespace}/{one.pod.name}": {"container": one.container, "networks": [str(net) for net in one.networks]}
        for one in attached
    }
    lab.record().write_text(json.dumps({"pods": pods}, indent=1))


def read_record(lab: Laboratory) -> tuple[Attached, ...]:
    """The pods that are up; raises `InvalidInput` when the laboratory is not."""
    try:
        record = json.loads(lab.record().read_text())
    except (OSError, ValueError):
        name = lab.topology.name
        raise InvalidInput(f"laboratory {name} is not up", remedy="tortie lab up TOPOLOGY.yaml") from None
    found = []
    for pod in lab.topology.all_pods:
        entry = record["pods"].get(f"{pod.namespace}/{pod.name}")
        if entry is None:
            raise InvalidInput(f"laboratory {lab.topology.name} is up without pod {pod.namespace}/{pod.name}")
        found.append(Attached(pod, entry["container"], tuple(parse_prefix(text) for text in entry["networks"])))
    return tuple(found)
