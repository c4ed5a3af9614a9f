"""Walking packets: loading a node and one trace, then the packets of a capture."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path

from bench.calico_node import make_node, pod_address
from bench.measure import Figure, seconds
from tortie.codec.snapshot import parse_snapshot
from tortie.net.address import IPFamily, parse_address
from tortie.net.packet import Packet
from tortie.net.pcap import parse_capture
from tortie.net.wire import format_packet
from tortie.simulator.walk import Arrival, Node, walk

_WORKLOADS = 250
_PACKETS = 100_000
_CAPTURE_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
_SYN = 2


def figures(folder: Path) -> Iterator[Figure]:
    """One trace, then many."""
    made = make_node(_WORKLOADS)
    files = made.files()
    loading = seconds(lambda: Node.from_snapshot(parse_snapshot(files, "bench")), runs=3)
    yield Figure(f"loading a node of {_WORKLOADS} workloads, {made.rule_count:,} rules", f"{loading:.2f} s")
    packet = _packet(random.Random(0))
    arrival = Arrival(packet, "eth0")

    def first_trace() -> float:
        node = Node.from_snapshot(parse_snapshot(files, "bench"))
        walk(node, Arrival(_packet(random.Random(1)), "eth0"), keep_steps=False)
        return seconds(lambda: walk(node, arrival), runs=1)

    cold = sorted(first_trace() for _ in range(3))[1]
    yield Figure("  one trace with all steps after loading", f"{cold * 1e3:.2f} ms", "under 5 ms", cold < 0.005)
    node = Node.from_snapshot(parse_snapshot(files, "bench"))
    warm = seconds(lambda: [walk(node, arrival) for _ in range(100)]) / 100
    yield Figure("  the same trace again", f"{warm * 1e3:.2f} ms")
    yield from _capture_figures(node)


def _capture_figures(node: Node) -> Iterator[Figure]:
    capture = make_capture(_PACKETS)

    def trace_all() -> None:
        session = node.session()
        for frame in parse_capture(capture):
            assert frame.packet is not None
            walk(node, Arrival(frame.packet, "eth0"), session, keep_steps=False)

    taken = seconds(trace_all, runs=3)
    rate = _PACKETS / taken
    yield Figure(
        f"tracing {_PACKETS:,} packets of a capture", f"{rate:,.0f} a second", "at least 20,000 a second", rate >= 20_000
    )


def make_capture(packets: int) -> bytes:
    """A raw-IP capture of packets from outside to the node's pods: new connections and later packets of them."""
    draw = random.Random(7)
    parts = [_CAPTURE_HEADER]
    flows = [_packet(draw) for _ in range(packets // 10)]
    for number in range(packets):
        data = format_packet(flows[draw.randrange(len(flows))])
        parts.append(struct.pack("<IIII", number // 1000, number % 1000 * 1000, len(data), len(data)) + data)
    return b"".join(parts)


def _packet(draw: random.Random) -> Packet:
    source = parse_address("10.244.200.0").value + draw.randrange(1 << 12)
    port = draw.choice([80, 443, 8000, 53, 22])
    proto = draw.choice([6, 6, 6, 17])
    pod = pod_address(draw.randrange(_WORKLOADS))
    flags = _SYN if proto == 6 else 0
    return Packet(IPFamily.V4, source, pod, proto, sport=draw.randrange(1024, 65536), dport=port, tcp_flags=flags)
