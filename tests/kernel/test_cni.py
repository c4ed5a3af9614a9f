"""The CNI plugin on the real kernel: what ADD makes, CHECK finds and DEL leaves; also when something goes wrong halfway."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.cni_runtime import PLUGIN, Container, Runtime, cnitool
from tests.kernel.oracle.namespace import Namespace
from tortie.cni.call import Call, Command
from tortie.cni.endpoint import workload_of
from tortie.model.workload_name import pod_interface

RESOURCES = """apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: n1}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: four}
spec: {cidr: 10.65.0.0/24}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: six}
spec: {cidr: "fd65::/120"}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {serviceAccountName: clerk, containers: [{ports: [{name: http, containerPort: 80}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop, labels: {app: client}}
"""
HOST_NAME = pod_interface("shop", "web")
UPLINK = (
    "link set lo up",
    "link add up0 type bridge",
    "addr add 10.0.0.1/24 dev up0",
    "addr add fd00::1/64 dev up0 nodad",
    "link set up0 up",
    "route add default via 10.0.0.254 dev up0",  # proxy ARP answers for what the host could forward to
)


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    (tmp_path / "resources").mkdir()
    (tmp_path / "resources" / "all.yaml").write_text(RESOURCES)
    host = Namespace()
    for line in UPLINK:
        host.run(["ip", *line.split()])
    # IPv6 is forwarded by the node or not at all, whatever an interface says; the node's agent sees to that
    host.write_sysctls([("net/ipv6/conf/all/forwarding", "1")])
    yield Runtime(
        host,
        {
            "cniVersion": "0.4.0",
            "name": "net",
            "type": "tortie-cni",
            "nodename": "n1",
            "datastore_type": "directory",
            "datastore_dir": str(tmp_path / "resources"),
            "ipam_dir": str(tmp_path / "ipam"),
            "policy": {"type": "k8s"},
            "ipam": {"type": "calico-ipam", "assign_ipv6": "true"},
        },
    )
    host.close()


@pytest.fixture
def container() -> Iterator[Container]:
    made = Container("0123456789abcdef")
    yield made
    made.namespace.close()


@pytest.fixture
def other() -> Iterator[Container]:
    made = Container("fedcba9876543210")
    yield made
    made.namespace.close()


def _endpoint(runtime: Runtime, name: str = "shop.n1-k8s-web-eth0") -> dict[str, Any] | None:
    path = Path(runtime.config["datastore_dir"]) / "workloadendpoints" / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def _held(runtime: Runtime) -> int:
    """How many addresses are taken."""
    files = Path(runtime.config["ipam_dir"]).glob("assignment/*/block/*.json")
    return sum(slot is not None for file in files for slot in json.loads(file.read_text())["allocations"])


def _addresses(entries: Any) -> set[str]:
    found = (info for entry in entries for info in entry.get("addr_info", ()) if info["scope"] == "global")
    return {f"{info['local']}/{info['prefixlen']}" for info in found}


def test_add_makes_both_ends_as_calico_does(runtime: Runtime, container: Container) -> None:
    answer = runtime.call("ADD", container, pod="shop/web")
    assert answer.document["interfaces"] == [{"name": HOST_NAME}]
    four, six = answer.addresses
    assert four.endswith("/32")
    assert six.endswith("/128")
    (inside,) = container.ip("addr", "show", "dev", "eth0")
    assert _addresses([inside]) == {four, six}
    assert {"default via 169.254.1.1 dev eth0", "169.254.1.1 dev eth0 scope link"} == {
        line.strip() for line in container.namespace.run(["ip", "route"]).splitlines()
    }
    (outside,) = runtime.ip("link", "show", "dev", HOST_NAME)
    assert outside["address"] == "ee:ee:ee:ee:ee:ee"
    assert f"{four[:-3]} dev {HOST_NAME} scope link" in runtime.host.run(["ip", "route"])
    assert f"{six[:-4]} dev {HOST_NAME}" in runtime.host.run(["ip", "-6", "route"])
    sysctls = {name: runtime.host.read_sysctl(f"net/ipv4/conf/{HOST_NAME}/{name}") for name in ("proxy_arp", "forwarding")}
    assert sysctls == {"proxy_arp": "1", "forwarding": "1"}
    assert runtime.host.read_sysctl(f"net/ipv6/conf/{HOST_NAME}/proxy_ndp") == "1"
    endpoint = _endpoint(runtime)
    assert endpoint is not None
    assert endpoint["spec"]["mac"] == inside["address"]
    assert endpoint["spec"]["ipNetworks"] == [four, six]
    assert endpoint["spec"]["profiles"] == ["kns.shop", "ksa.shop.clerk"]


def test_an_mtu_is_of_both_ends(runtime: Runtime, container: Container) -> None:
    runtime.config["mtu"] = 1410
    runtime.call("ADD", container, pod="shop/web")
    assert container.ip("link", "show", "dev", "eth0")[0]["mtu"] == 1410
    assert runtime.ip("link", "show", "dev", HOST_NAME)[0]["mtu"] == 1410


@pytest.mark.parametrize("version", ["0.3.1", "0.4.0", "1.0.0"])
def test_two_pods_reach_each_other_and_the_host_in_both_families(
    runtime: Runtime, container: Container, other: Container, version: str
) -> None:
    runtime.config["cniVersion"] = version
    web = runtime.call("ADD", container, pod="shop/web").addresses
    client = runtime.call("ADD", other, pod="shop/client").addresses
    for family, address in zip((socket.AF_INET, socket.AF_INET6), web, strict=True):
        text = address.partition("/")[0]
        assert _connects(container.namespace, other.namespace, family, text)
        assert _connects(container.namespace, runtime.host, family, text)
    assert client != web


def _connects(server: Namespace, client: Namespace, family: int, address: str) -> bool:
    """Whether a connection to an address inside the server's namespace comes about, with data in both directions."""
    with server:
        listener = socket.create_server((address, 8080), family=family)
    with client:
        sender = socket.socket(family)
    with listener, sender:
        listener.settimeout(10)
        sender.settimeout(10)
        sender.connect((address, 8080))  # ends when the kernel has answered for the listener
        connection, _ = listener.accept()
        with connection:
            sender.sendall(b"hello")
            connection.sendall(connection.recv(10))
            return sender.recv(10) == b"hello"


def test_adding_again_changes_nothing_that_counts(runtime: Runtime, container: Container) -> None:
    first = runtime.call("ADD", container, pod="shop/web")
    held = _held(runtime)
    second = runtime.call("ADD", container, pod="shop/web")
    assert second.document == first.document
    assert (_held(runtime), runtime.interfaces()) == (held, [HOST_NAME])
    assert _addresses(container.ip("addr", "show", "dev", "eth0")) == set(first.addresses)


def test_deleting_leaves_nothing_and_may_come_twice(runtime: Runtime, container: Container) -> None:
    runtime.call("ADD", container, pod="shop/web")
    for _ in range(2):
        assert runtime.call("DEL", container, pod="shop/web").code == 0
        assert (runtime.interfaces(), _endpoint(runtime), _held(runtime)) == ([], None, 0)
        assert [entry["ifname"] for entry in container.ip("link")] == ["lo"]


def test_deleting_works_when_the_namespace_is_gone(runtime: Runtime, container: Container) -> None:
    runtime.call("ADD", container, pod="shop/web")
    assert runtime.call("DEL", container, pod="shop/web", CNI_NETNS="").code == 0
    assert (runtime.interfaces(), _endpoint(runtime), _held(runtime)) == ([], None, 0)
    assert runtime.call("DEL", container, pod="shop/web", CNI_NETNS="/run/netns/gone").code == 0


def test_a_pod_that_was_made_anew_outlives_the_deletion_of_the_old_one(
    runtime: Runtime, container: Container, other: Container
) -> None:
    runtime.call("ADD", container, pod="shop/web")
    new = runtime.call("ADD", other, pod="shop/web")
    assert runtime.call("DEL", container, pod="shop/web").code == 0
    endpoint = _endpoint(runtime)
    assert endpoint is not None
    assert endpoint["spec"]["containerID"] == other.id
    assert endpoint["spec"]["ipNetworks"] == new.addresses
    assert runtime.interfaces() == [HOST_NAME]
    assert _held(runtime) == 2


def test_a_pod_that_is_deleted_while_it_is_made_anew_keeps_the_new_container(
    runtime: Runtime, container: Container, other: Container
) -> None:
    """Both calls at once, as a runtime may send them that gave up on the first."""
    runtime.call("ADD", container, pod="shop/web")
    with ThreadPoolExecutor(2) as both:
        deleted = both.submit(runtime.call, "DEL", container, pod="shop/web")
        added = both.submit(runtime.call, "ADD", other, pod="shop/web")
        assert (deleted.result().code, added.result().code) == (0, 0)
    endpoint = _endpoint(runtime)
    assert endpoint is not None
    assert endpoint["spec"]["containerID"] == other.id
    assert runtime.interfaces() == [HOST_NAME]
    assert _held(runtime) == 2


def test_deleting_works_when_the_namespace_is_a_mere_file(runtime: Runtime, container: Container, tmp_path: Path) -> None:
    """What is left where a namespace was mounted and is no more."""
    runtime.call("ADD", container, pod="shop/web")
    (tmp_path / "gone").write_text("")
    assert runtime.call("DEL", container, pod="shop/web", CNI_NETNS=str(tmp_path / "gone")).code == 0
    assert (runtime.interfaces(), _endpoint(runtime), _held(runtime)) == ([], None, 0)


DAMAGE: dict[str, tuple[Callable[[Runtime, Container], object], str]] = {
    "an address gone": (
        lambda runtime, container: container.namespace.run(["ip", "addr", "flush", "dev", "eth0", "scope", "global"]),
        "is not on eth0",
    ),
    "the default route gone": (
        lambda runtime, container: container.namespace.run(["ip", "route", "del", "default"]),
        "the container has no default route on eth0",
    ),
    "the host's route gone": (
        lambda runtime, container: runtime.host.run(["ip", "route", "flush", "dev", HOST_NAME]),
        f"on {HOST_NAME}",
    ),
    "both ends gone": (
        lambda runtime, container: runtime.host.run(["ip", "link", "del", HOST_NAME]),
        f"interface {HOST_NAME} is not there",
    ),
    "the endpoint gone": (
        lambda runtime, container: next(Path(runtime.config["datastore_dir"]).glob("workloadendpoints/*")).unlink(),
        "WorkloadEndpoint(shop/n1-k8s-web-eth0) is not there",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_check_finds_what_is_missing(
    runtime: Runtime, container: Container, damage: Callable[[Runtime, Container], object], message: str
) -> None:
    result = runtime.call("ADD", container, pod="shop/web").document
    assert runtime.call("CHECK", container, pod="shop/web", previous=result).code == 0
    damage(runtime, container)
    answer = runtime.call("CHECK", container, pod="shop/web", previous=result)
    assert answer.code == 1
    assert message in answer.document["msg"]


def test_check_is_none_of_older_versions(runtime: Runtime, container: Container) -> None:
    runtime.config["cniVersion"] = "0.3.1"
    answer = runtime.call("CHECK", container, pod="shop/web", previous={})
    assert (answer.code, answer.document["code"]) == (1, 1)


# --- failures ----------------------------------------------------------------------------------------------------


def _taken_route(runtime: Runtime, container: Container) -> None:
    """Somebody else has a route to every address that could be given."""
    runtime.host.run(["ip", "link", "add", "else", "type", "bridge"])
    runtime.host.run(["ip", "link", "set", "else", "up"])
    batch = "".join(f"route add 10.65.0.{last} dev else scope link\n" for last in range(256))
    runtime.host.run(["ip", "-batch", "-"], batch)


def _taken_name(runtime: Runtime, container: Container) -> None:
    """The container has an eth0 already."""
    container.namespace.run(["ip", "link", "add", "eth0", "type", "bridge"])


def _read_only(runtime: Runtime, container: Container) -> None:
    """The folder that endpoints are written to is a file."""
    (Path(runtime.config["datastore_dir"]) / "workloadendpoints").write_text("")


FAILURES = {
    "a route that is somebody else's": (_taken_route, "exists already on else"),
    "an interface that is there already": (_taken_name, "File exists"),
    "an endpoint that cannot be written": (_read_only, "workloadendpoints"),
}


@pytest.mark.parametrize(("trouble", "message"), FAILURES.values(), ids=FAILURES)
def test_an_addition_that_fails_leaves_nothing(
    runtime: Runtime, container: Container, trouble: Callable[[Runtime, Container], None], message: str
) -> None:
    trouble(runtime, container)
    before = runtime.interfaces(), [entry["ifname"] for entry in container.ip("link")]
    answer = runtime.call("ADD", container, pod="shop/web")
    assert answer.code == 1
    assert message in answer.document["msg"]
    assert (runtime.interfaces(), [entry["ifname"] for entry in container.ip("link")]) == before
    assert (_endpoint(runtime), _held(runtime)) == (None, 0)


UNREADY = {
    "no such namespace": ({"CNI_NETNS": "/run/netns/nobody"}, {}, 4, "failed to open netns"),
    "a namespace that is none": ({"CNI_NETNS": "/etc/hostname"}, {}, 4, "failed to open netns"),
    "a datastore that is not there": ({}, {"datastore_dir": "/nobody"}, 100, "/nobody: No such file or directory"),
    "no etcd": ({}, {"datastore_type": "etcdv3"}, 100, "no etcd endpoints specified"),
}


@pytest.mark.parametrize(("environment", "config", "number", "message"), UNREADY.values(), ids=UNREADY)
def test_what_cannot_be_done_is_an_error_object(
    runtime: Runtime, container: Container, environment: dict[str, str], config: dict[str, Any], number: int, message: str
) -> None:
    runtime.config |= config
    answer = runtime.call("ADD", container, pod="shop/web", **environment)
    assert (answer.code, answer.document["code"]) == (1, number)
    assert message in answer.document["msg"]


def test_a_pod_that_nobody_knows(runtime: Runtime, container: Container) -> None:
    answer = runtime.call("ADD", container, pod="shop/nobody")
    assert (answer.code, answer.document["msg"]) == (1, 'pods "nobody" not found')
    assert runtime.interfaces() == []


# --- containers that are no pods ---------------------------------------------------------------------------------


def test_a_plain_container_gets_the_networks_profile(runtime: Runtime, container: Container) -> None:
    del runtime.config["policy"]
    answer = runtime.call("ADD", container)
    name = workload_of(Call(Command.ADD, container.id, "", "eth0"), "n1").name
    endpoint = _endpoint(runtime, f"default.{name}")
    assert endpoint is not None
    assert endpoint["spec"]["profiles"] == ["net"]
    assert answer.document["interfaces"] == [{"name": "cali0123456789a"}]
    assert (Path(runtime.config["datastore_dir"]) / "profiles" / "net.json").exists()
    again = runtime.call("ADD", container)
    assert again.document == answer.document
    assert runtime.call("DEL", container).code == 0
    assert (runtime.interfaces(), _held(runtime)) == ([], 0)


# --- the reference tool ------------------------------------------------------------------------------------------


def test_the_reference_tool_attaches_checks_and_detaches(runtime: Runtime, container: Container, tmp_path: Path) -> None:
    tool = cnitool()
    if tool is None:
        pytest.skip("cnitool is not there and cannot be built without Go")
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "net.conflist").write_text(json.dumps({"cniVersion": "0.4.0", "name": "net", "plugins": [runtime.config]}))

    def run(command: str) -> str:
        environment = {
            "CNI_PATH": str(PLUGIN.parent),
            "NETCONFPATH": str(folder),
            "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web",
        }
        with runtime.host:
            done = subprocess.run(
                [str(tool), command, "net", container.path],
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"} | environment,
            )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    result = json.loads(run("add"))
    assert [entry["address"] for entry in result["ips"]] == _endpoint(runtime)["spec"]["ipNetworks"]  # type: ignore[index]
    run("check")
    run("del")
    assert (runtime.interfaces(), _endpoint(runtime), _held(runtime)) == ([], None, 0)
