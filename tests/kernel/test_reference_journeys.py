"""The reference node's journeys on a real kernel: the same rules, marks, changes and ends as Tortie says from the snapshot.

The node is built from the snapshot's own words; the packets are those of examples/reference-node/README.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from tests.kernel.compare import compare_own
from tests.kernel.oracle.node import KernelNode
from tests.kernel.scenario import Given, Interface, Topology
from tortie.cli.packet_option import parse_packet_words
from tortie.codec.snapshot import parse_snapshot
from tortie.net.address import IPFamily
from tortie.net.node import RouteType
from tortie.net.wire import format_packet
from tortie.netfilter.hook import Backend
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.walk import Arrival, Node, walk

EXAMPLE = Path(__file__).parents[2] / "examples" / "reference-node"
FILES = {path.name: path.read_bytes() for path in (EXAMPLE / "snapshot").iterdir()}
JOURNEYS = re.findall(r"(tcp \S+ \S+:\d+(?: -i \w+)?)(?:\n|`)", (EXAMPLE / "README.md").read_text())


def snapshot_without_connections(backend: Backend) -> Snapshot:
    """As the example has it, except that a new kernel node knows no connections and either back-end may hold the rules."""
    snapshot = parse_snapshot(FILES, "reference")
    rulesets = tuple(replace(ruleset, backend=backend) for ruleset in snapshot.rulesets)
    return replace(snapshot, rulesets=rulesets, connections=())


def topology(snapshot: Snapshot) -> Topology:
    """TUN devices in place of the node's links, with the IPv4 addresses and routes of its main table."""
    assert snapshot.links is not None
    links = [link for link in snapshot.links if not link.loopback and link.master is None]
    commands = [f"link set {link.name} down" for link in links if not link.up]
    for route in snapshot.routes[IPFamily.V4]:
        if route.table != "main" or route.protocol == "kernel":
            continue
        kind = "" if route.type is RouteType.UNICAST else f"{route.type.value} "
        ways = "".join(
            (f" via {hop.gateway}" if hop.gateway else "") + f" dev {hop.dev}" for hop in route.next_hops if hop.dev
        )
        commands.append(f"route add {kind}{route.prefix}{ways} scope {route.scope}")
    interfaces = [
        Interface(
            link.name,
            tuple(str(address.prefix) for address in link.addresses if address.prefix.family is IPFamily.V4),
        )
        for link in links
    ]
    return Topology(tuple(interfaces), {IPFamily.V4: tuple(commands)})


@pytest.fixture(scope="module", params=[Backend.LEGACY, Backend.NFT], ids=lambda backend: backend.value)
def both(request: pytest.FixtureRequest) -> Iterator[tuple[KernelNode, Node]]:
    snapshot = snapshot_without_connections(request.param)
    kernel = KernelNode(topology(snapshot), request.param, drop_reasons=True)
    rules = {IPFamily.V4: FILES["iptables-save"].decode(), IPFamily.V6: FILES["ip6tables-save"].decode()}
    kernel.prepare(rules, FILES["ipset-save"].decode(), [("net/ipv4/conf/all/rp_filter", "1")])
    yield kernel, Node.from_snapshot(snapshot)
    kernel.close()


def test_the_example_tells_all_its_journeys() -> None:
    assert len(JOURNEYS) == 9


@pytest.mark.parametrize("journey", JOURNEYS)
def test_a_journey_is_the_same_on_the_kernel(both: tuple[KernelNode, Node], journey: str) -> None:
    kernel, node = both
    words, _, in_iface = journey.partition(" -i ")
    packet = structs.replace(parse_packet_words(tuple(words.split()), {}).packet, identification=1)
    outcome = kernel.inject(Given(format_packet(packet), in_iface or None))
    (trace,) = walk(node, Arrival(packet, in_iface or None)).outcomes
    assert compare_own(outcome, trace, kernel.backend, local=not in_iface) == []
    assert len(outcome.own.steps) > 5
