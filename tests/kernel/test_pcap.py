"""What tcpdump captures of real packets, in every link type it offers, is read as the packets that were sent."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.oracle.device import Tun
from tests.kernel.oracle.namespace import Namespace
from tortie.net.packet import Packet
from tortie.net.pcap import parse_capture
from tortie.net.protocol import UDP

CAPTURES = {
    "ethernet": ("-i", "e0"),
    "raw": ("-i", "tun0"),
    "cooked": ("-i", "any", "-y", "LINUX_SLL"),
    "cooked 2": ("-i", "any", "-y", "LINUX_SLL2"),
    "loopback": ("-i", "lo"),
    "cut short": ("-i", "e0", "-s", "70"),
}
SEND = """
import socket
for family, target in ((socket.AF_INET, "{v4}"), (socket.AF_INET6, "{v6}")):
    socket.socket(family, socket.SOCK_DGRAM).sendto(b"x" * 200, (target, 4242))
"""


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    if shutil.which("tcpdump") is None:
        pytest.skip("tcpdump is not installed")
    made = Namespace()
    tun = Tun(made, "tun0")
    for line in (
        "sysctl -q -w net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.addr_gen_mode=1",
        "ip link set lo up",
        "ip link add e0 type veth peer name p0",
        "ip link set e0 up",
        "ip link set p0 up",
        "ip link set tun0 up",
        "ip addr add 10.0.0.1/24 dev e0",
        "ip addr add fd00::1/64 dev e0 nodad",
        "ip neigh add 10.0.0.2 lladdr 00:11:22:33:44:55 dev e0",
        "ip neigh add fd00::2 lladdr 00:11:22:33:44:55 dev e0",
        "ip addr add 10.1.0.1/24 dev tun0",
        "ip addr add fd01::1/64 dev tun0",
    ):
        made.run(line.split())
    yield made
    tun.close()
    made.close()


@pytest.mark.parametrize("options", CAPTURES.values(), ids=CAPTURES.keys())
def test_a_capture_of_two_datagrams(namespace: Namespace, tmp_path: Path, options: tuple[str, ...]) -> None:
    path = tmp_path / "capture"
    command = ["tcpdump", "-U", "-n", "-Z", "root", "-w", str(path), "--immediate-mode", *options, "udp", "port", "4242"]
    # "any" sees each packet twice: leaving by e0 and arriving at p0.
    command[1:1] = ["-c", "4" if "any" in options else "2"]
    near = {"lo": ("127.0.0.1", "::1"), "tun0": ("10.1.0.2", "fd01::2")}.get(options[1], ("10.0.0.2", "fd00::2"))
    with namespace:
        tool = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tool.stderr is not None
    while "listening" not in (line := tool.stderr.readline()):
        assert line, "tcpdump ended"
    namespace.run(["python3", "-c", SEND.format(v4=near[0], v6=near[1])])
    tool.wait(10)
    tool.stderr.close()
    frames = [frame for frame in parse_capture(path.read_bytes()) if frame.packet is not None]
    families = {frame.packet.family.value: frame.packet for frame in frames if frame.packet is not None}
    assert families.keys() == {4, 6}
    for packet in families.values():
        _is_the_datagram(packet, cut="-s" in options)


def _is_the_datagram(packet: Packet, *, cut: bool) -> None:
    assert (packet.proto, packet.dport, packet.checksum_ok, len(packet.payload)) == (UDP, 4242, True, 200)
    if not cut:
        assert packet.payload == b"x" * 200
        assert packet.checksum is None
