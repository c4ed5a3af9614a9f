"""IPIP on a kernel that has it: the device of a node, and what goes between two nodes through it.

Routes over `tunl0` are BIRD's (spec: model 7.6, 9.6), so these tests add them as it does.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.network import NOTHING, IpipContract, NetworkContract, refusal_without_ipip
from tests.kernel.agent_node import NODE, PROFILE, AgentNode, udp_socket, workload
from tests.kernel.oracle.namespace import Namespace, ToolFailed
from tests.kernel.test_network import LINKS, NetworkInside
from tortie.kernel.network import Network
from tortie.net.address import parse_address
from tortie.reconcile.network import IpipDevice, WantedNetwork

HERE, THERE, STRANGER = "10.20.0.1", "10.20.0.2", "10.20.0.9"
OWN, REMOTE = "10.65.0.0", "10.65.1.0"
PORT = 7000
WAIT_S = 100.0
"""A machine that is emulated takes its time."""
_ETHER_HEADER = 14
_ETHER_IPV4 = b"\x08\x00"
_EVERY_PROTOCOL = 3
_IPIP = 4
_NO_IPIP = "this kernel has no IPIP (CONFIG_NET_IPIP)"

NODES = f"""\
apiVersion: projectcalico.org/v3
kind: Node
metadata: {{name: {NODE}}}
spec: {{bgp: {{ipv4Address: {HERE}/24, ipv4IPIPTunnelAddr: {OWN}}}}}
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {{name: node-2}}
spec: {{bgp: {{ipv4Address: {THERE}/24, ipv4IPIPTunnelAddr: {REMOTE}}}}}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {{name: pool}}
spec: {{cidr: 10.65.0.0/16, ipipMode: Always}}
"""


def _has_ipip() -> bool:
    """Asked in a namespace of its own, where the device is there as soon as the module is loaded."""
    namespace = Namespace()
    try:
        namespace.run(["ip", "tunnel", "add", "tunl0", "mode", "ipip"])
    except ToolFailed as refused:
        return "File exists" in str(refused)
    finally:
        namespace.close()
    return True


@pytest.fixture(scope="module")
def ipip() -> None:
    if not _has_ipip():
        pytest.skip(_NO_IPIP)


@pytest.fixture
def network() -> Iterator[Network]:
    namespace = Namespace()
    namespace.run(["ip", "-batch", "-"], LINKS)
    yield NetworkInside(namespace)
    namespace.close()


@pytest.mark.usefixtures("ipip")
class TestRealIpip(IpipContract):
    pass


def test_without_ipip_in_the_kernel_the_refusal_says_what_to_do(network: Network) -> None:
    if _has_ipip():
        pytest.skip("this kernel has IPIP")
    assert "load it, or turn IpInIpEnabled off" in refusal_without_ipip(network)


@pytest.fixture
def nodes(ipip: None) -> Iterator[tuple[Namespace, Namespace]]:
    """Two nodes on one wire, each with its device and the route to the other's block."""
    here, there = Namespace(), Namespace()
    peer = ["peer", "name", "eth0", "netns", f"/proc/self/fd/{there.descriptor}"]
    with here:
        subprocess.run(["ip", "link", "add", "eth0", "type", "veth", *peer], check=True, pass_fds=(there.descriptor,))
    for node, address, own in ((here, HERE, OWN), (there, THERE, REMOTE)):
        node.run(["ip", "-batch", "-"], f"link set lo up\nlink set eth0 up\naddress add {address}/24 dev eth0\n")
        NetworkContract.settle(NetworkInside(node), _tunnel(own))
    _add_route(here, "10.65.1.0/26", THERE)
    _add_route(there, "10.65.0.0/26", HERE)
    yield here, there
    here.close()
    there.close()


def _tunnel(address: str, mtu: int = 1440) -> WantedNetwork:
    return WantedNetwork(("cali",), "vxlan.calico", ipip=IpipDevice("tunl0", mtu, parse_address(address)))


def _add_route(node: Namespace, block: str, gateway: str) -> None:
    node.run(["ip", "route", "add", block, "via", gateway, "dev", "tunl0", "onlink", "proto", "bird"])


def _listening(node: Namespace, device: str) -> socket.socket:
    """Hears every frame of a device, whichever way it goes; for one protocol that would be arrivals alone (packet(7))."""
    with node:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    made.bind((device, _EVERY_PROTOCOL))
    made.settimeout(WAIT_S)
    return made


def _wrapped(wire: socket.socket) -> tuple[str, str, bytes]:
    """The next IPIP packet on the wire: outer source and destination, and what is in it."""
    while True:
        frame = wire.recv(2000)
        packet = frame[_ETHER_HEADER:]
        if frame[12:14] == _ETHER_IPV4 and packet[9] == _IPIP:
            return socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20]), packet[20:]


def test_packets_for_a_remote_block_are_wrapped_and_unwrapped(nodes: tuple[Namespace, Namespace]) -> None:
    here, there = nodes
    with (
        _listening(here, "eth0") as wire,
        udp_socket(here, OWN, PORT) as asking,
        udp_socket(there, REMOTE, PORT) as hearing,
    ):
        hearing.settimeout(WAIT_S)
        asking.settimeout(WAIT_S)
        asking.sendto(b"question", (REMOTE, PORT))
        outer_source, outer_destination, inner = _wrapped(wire)
        assert (outer_source, outer_destination) == (HERE, THERE)
        assert (inner[12:16], inner[16:20]) == (socket.inet_aton(OWN), socket.inet_aton(REMOTE))
        assert inner.endswith(b"question")
        assert hearing.recvfrom(100) == (b"question", (OWN, PORT))
        hearing.sendto(b"answer", (OWN, PORT))
        assert asking.recvfrom(100) == (b"answer", (REMOTE, PORT))


def test_the_mtu_is_what_fits_into_the_tunnel(nodes: tuple[Namespace, Namespace]) -> None:
    here, _ = nodes
    NetworkContract.settle(NetworkInside(here), _tunnel(OWN, mtu=1000))
    headers = 28
    with udp_socket(here, OWN, PORT) as asking:
        asking.setsockopt(socket.IPPROTO_IP, 10, 2)
        assert asking.sendto(bytes(1000 - headers), (REMOTE, PORT)) == 1000 - headers
        with pytest.raises(OSError, match="Message too long"):
            asking.sendto(bytes(1001 - headers), (REMOTE, PORT))


def test_routes_of_somebody_else_over_the_tunnel_stay(nodes: tuple[Namespace, Namespace]) -> None:
    here, _ = nodes
    NetworkContract.settle(NetworkInside(here), _tunnel(OWN))
    NetworkContract.settle(NetworkInside(here), NOTHING)
    assert "10.65.1.0/26 via 10.20.0.2 dev tunl0 proto bird onlink" in here.run(["ip", "route"])


# --- the agent ---


@pytest.fixture
def agent(ipip: None, tmp_path: Path) -> Iterator[AgentNode]:
    made = AgentNode(tmp_path, environment={"FELIX_IPINIPENABLED": "true"})
    try:
        made.add_pod("a", 2)
        made.write("cluster.yaml", PROFILE, NODES, workload("a", 2))
        made.start()
        made.until(made.is_ready, WAIT_S)
        _add_route(made.node, "10.65.1.0/26", THERE)
        yield made
    finally:
        made.close()


def test_the_agent_lets_other_nodes_through_the_tunnel_and_nobody_else(agent: AgentNode) -> None:
    with udp_socket(agent.pods["a"], "10.65.0.2", PORT) as pod, _listening(agent.node, "eth0peer") as wire:
        pod.settimeout(WAIT_S)
        for outer, word in ((STRANGER, b"stranger"), (THERE, b"node")):
            _arrive(agent, wire, _ipip_packet(outer, HERE, _udp_packet("10.65.1.2", "10.65.0.2", word)))
        assert pod.recvfrom(100) == (b"node", ("10.65.1.2", PORT))
        agent.node.run(["ip", "neigh", "replace", THERE, "lladdr", "02:00:00:00:00:02", "dev", "eth0", "nud", "permanent"])
        pod.sendto(b"answer", ("10.65.1.2", PORT))
        outer_source, outer_destination, inner = _wrapped_from(wire, HERE)
        assert (outer_source, outer_destination) == (HERE, THERE)
        assert inner.endswith(b"answer")


def test_the_agent_repairs_the_tunnel(agent: AgentNode) -> None:
    agent.tool("ip", "address", "flush", "dev", "tunl0")
    agent.tool("ip", "link", "set", "tunl0", "mtu", "1000")

    def repaired() -> bool:
        text = agent.tool("ip", "address", "show", "dev", "tunl0")
        return f"{OWN}/32" in text and "mtu 1440" in text

    agent.until(repaired, WAIT_S, "tunl0 is right again")


def _wrapped_from(wire: socket.socket, source: str) -> tuple[str, str, bytes]:
    while True:
        found = _wrapped(wire)
        if found[0] == source:
            return found


def _arrive(node: AgentNode, wire: socket.socket, packet: bytes) -> None:
    mac = json.loads(node.tool("ip", "-json", "link", "show", "dev", "eth0"))[0]["address"]
    wire.send(bytes.fromhex(mac.replace(":", "")) + bytes.fromhex("020000000002") + _ETHER_IPV4 + packet)


def _ipip_packet(source: str, destination: str, inner: bytes) -> bytes:
    return _ipv4(source, destination, _IPIP, inner)


def _udp_packet(source: str, destination: str, data: bytes) -> bytes:
    # Without a checksum, which IPv4 allows.
    return _ipv4(source, destination, socket.IPPROTO_UDP, struct.pack("!4H", PORT, PORT, 8 + len(data), 0) + data)


def _ipv4(source: str, destination: str, protocol: int, data: bytes) -> bytes:
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), 0, 0, 64, protocol, 0) + addresses
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return header[:10] + struct.pack("!H", total ^ 0xFFFF) + header[12:] + data
