"""Frames that cross a bridge, asked of the real kernel by its counters: which rules of mangle see them, and as what.

The node has the bridge br0 (10.0.0.1) with ports b0 and b1, and the device x0 (10.1.0.1). All are Ethernet: TAP devices.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cases.matches import v4
from tests.kernel.oracle.namespace import Namespace
from tests.kernel.snapshot import parse_snapshot
from tortie.net.packet import Packet
from tortie.net.wire import format_packet
from tortie.netfilter.hook import Backend
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.trace import RuleStep
from tortie.simulator.walk import Arrival, Node, walk

_TUNSETIFF, _TAP_WITHOUT_HEADER = 0x400454CA, 0x1002
BRIDGE_MAC, X0_MAC, HOST_MAC, OTHER_MAC, FAR_MAC = (bytes([2, 0, 0, 0, 0, last]) for last in (1, 2, 0x55, 0x66, 0x99))
LINKS = f"""link set lo up
link add br0 type bridge
link set b0 master br0
link set b1 master br0
link set br0 address {BRIDGE_MAC.hex(":")}
link set br0 up
link set b0 up
link set b1 up
link set x0 address {X0_MAC.hex(":")}
link set x0 up
addr add 10.0.0.1/24 dev br0
addr add 10.1.0.1/24 dev x0
neigh add 10.1.0.9 dev x0 lladdr {FAR_MAC.hex(":")}
neigh add 10.0.0.5 dev br0 lladdr {HOST_MAC.hex(":")}
"""
SETS = """create s hash:net,iface
add s 10.0.0.0/24,physdev:b0
add s 10.1.0.0/24,physdev:b1
create i hash:net,iface
add i 10.0.0.0/24,br0
add i 10.1.0.0/16,b1
create m bitmap:ip,mac range 10.0.0.0/24
add m 10.0.0.5
"""
TESTS = [
    *(
        f"-m physdev {options}"
        for options in (
            "--physdev-in b0", "! --physdev-in b0", "--physdev-in b1", "! --physdev-in b1", "--physdev-in b+",
            "--physdev-is-in", "! --physdev-is-in", "--physdev-is-out", "! --physdev-is-out", "--physdev-is-bridged",
            "! --physdev-is-bridged", "--physdev-out b1", "! --physdev-out b1", "--physdev-out b0", "! --physdev-out b0",
            "--physdev-in b0 --physdev-out b1",
        )
    ),
    *(f"-m set --match-set {flags}" for flags in ("s src,src", "s dst,dst", "i src,src", "s src,dst", "m src,src")),
    "-i br0", "-i b0", "-i x0", "! -i br0", "-o br0", "-o b1", "-o x0", "! -o br0",
    "-m mac --mac-source 02:00:00:00:00:55", "-m mac ! --mac-source 02:00:00:00:00:55", "-m pkttype --pkt-type unicast",
]  # fmt: skip
FLOWS: dict[str, tuple[str, bytes, bytes, Packet]] = {
    "bridged": ("b0", HOST_MAC, OTHER_MAC, v4(dst="10.0.0.6")),
    "from the bridge on": ("b0", HOST_MAC, BRIDGE_MAC, v4()),
    "to the bridge": ("x0", FAR_MAC, X0_MAC, v4(src="10.1.0.9", dst="10.0.0.5")),
    "to the node": ("b0", HOST_MAC, BRIDGE_MAC, v4(dst="10.0.0.1")),
}
"""Device, source and destination of the frame, and the packet."""
COUNTED = re.compile(r"^\[(\d+):\d+\] -A (\S+)", re.MULTILINE)


class BridgeNode:
    """A node with a bridge in a namespace of its own."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.namespace = Namespace()
        self._lock = Path(tempfile.mkdtemp(prefix="xtables-lock-")) / "lock"
        self.taps = {name: self._tap(name) for name in ("b0", "b1", "x0")}
        self.run("ip", "-batch", "-", text=LINKS)
        self.namespace.write_sysctls([("net/ipv4/ip_forward", "1"), ("net/ipv4/conf/all/rp_filter", "0")])
        self.namespace.write_sysctls((f"net/ipv4/conf/{name}/rp_filter", "0") for name in ("br0", "b0", "b1", "x0"))
        self.run("ipset", "restore", text=SETS)
        lines = []
        for chain in ("PREROUTING", "INPUT", "FORWARD", "POSTROUTING"):
            # Chains of their own, as the tools let some tests stand only where they make sense.
            lines += [f":{chain}-T - [0:0]", f"-A {chain} -p udp -j {chain}-T"]
            lines += [f"-A {chain}-T {test}" for test in TESTS if chain != "POSTROUTING" or "-m mac" not in test]
        self.run(f"iptables-{backend.value}-restore", text="*mangle\n" + "\n".join(lines) + "\nCOMMIT\n")

    def _tap(self, name: str) -> int:
        with self.namespace:
            found = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(found, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TAP_WITHOUT_HEADER))
        return found

    def run(self, *command: str, text: str | None = None) -> str:
        return self.namespace.run(command, text, environment={"XTABLES_LOCKFILE": str(self._lock)})

    def snapshot(self) -> Snapshot:
        texts = {
            "addr": self.run("ip", "-j", "-d", "addr"),
            "ipset": self.run("ipset", "save"),
            "sysctl": self.run("sysctl", "net.ipv4", "net.bridge"),
            f"{self.backend.value}-4": self.run(f"iptables-{self.backend.value}-save"),
        }
        for version in ("4", "6"):
            texts[f"route-{version}"] = self.run("ip", "-j", f"-{version}", "route", "show", "table", "all")
            texts[f"rule-{version}"] = self.run("ip", "-j", f"-{version}", "rule")
        return replace(parse_snapshot(texts), connections=())

    def ask(self, iface: str, source: bytes, destination: bytes, packet: Packet) -> set[tuple[str, int]]:
        """Chains and numbers of the rules that counted the packet."""
        before = self._counters()
        os.write(self.taps[iface], destination + source + b"\x08\x00" + format_packet(packet))
        after = self._counters()
        return {place for place in after if after[place] > before[place]}

    def _counters(self) -> dict[tuple[str, int], int]:
        found: dict[tuple[str, int], int] = {}
        numbers: dict[str, int] = {}
        for count, chain in COUNTED.findall(self.run(f"iptables-{self.backend.value}-save", "-c")):
            numbers[chain] = numbers.get(chain, 0) + 1
            found[chain, numbers[chain]] = int(count)
        return found

    def close(self) -> None:
        for tap in self.taps.values():
            os.close(tap)
        self.namespace.close()
        self._lock.unlink(missing_ok=True)
        self._lock.parent.rmdir()


@pytest.fixture(scope="module", params=Backend, ids=lambda backend: backend.value)
def node(request: pytest.FixtureRequest) -> Iterator[BridgeNode]:
    made = BridgeNode(request.param)
    yield made
    made.close()


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("switch", ["1", "0"], ids=["tables called", "tables not called"])
def test_rules_see_frames_of_a_bridge(node: BridgeNode, flow: str, switch: str) -> None:
    iface, source, destination, packet = FLOWS[flow]
    try:
        node.namespace.write_sysctls([("net/bridge/bridge-nf-call-iptables", switch)])
    except OSError:
        pytest.skip("the kernel has no bridge netfilter")
    # The bridge learns where the other host is.
    os.write(
        node.taps["b1"],
        b"\xff" * 6 + OTHER_MAC + b"\x08\x00" + format_packet(v4(src="10.0.0.6", dst="10.0.0.255", proto=6)),
    )
    simulated = Node.from_snapshot(node.snapshot())
    arrival = Arrival(packet, iface, mac_source=source, mac_destination=destination)
    trace = walk(simulated, arrival).trace
    hits = {(step.chain, step.number) for step in trace.steps if isinstance(step, RuleStep) and step.matched}
    assert hits == node.ask(iface, source, destination, packet)
