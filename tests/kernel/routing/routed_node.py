"""Nodes made from a plan: a bare one for questions by netlink, and one with rules and listeners for real packets."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.kernel.oracle.device import Tun
from tests.kernel.oracle.namespace import Namespace
from tests.kernel.oracle.node import KernelNode
from tests.kernel.routing.question import RouteAsker
from tests.kernel.routing.read import read_snapshot, settle
from tests.kernel.routing.topology import DEVICES, Plan
from tests.kernel.scenario import Interface, Topology
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.route import Router

_QUIET = (
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv6/conf/all/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/router_solicitations", "0"),
    ("net/ipv6/conf/default/addr_gen_mode", "1"),
    ("net/ipv6/conf/default/keep_addr_on_down", "1"),
)


@dataclass(frozen=True, slots=True)
class Bare:
    """A node that is only asked about routes."""

    snapshot: Snapshot
    routers: dict[IPFamily, Router]
    asker: RouteAsker


@dataclass(frozen=True, slots=True)
class Listening:
    """A node that packets are sent through."""

    snapshot: Snapshot
    routers: dict[IPFamily, Router]
    node: KernelNode

    @property
    def usable(self) -> tuple[str, ...]:
        """Devices that packets can come in by."""
        return tuple(link.name for link in self.snapshot.links or () if link.up and link.name in DEVICES)


@contextmanager
def bare_node(plan: Plan) -> Iterator[Bare]:
    """A namespace with the plan's devices, addresses, routes and rules."""
    namespace = Namespace()
    namespace.write_sysctls(_QUIET)
    tuns = []
    for name in DEVICES:
        if name in plan.unplugged:
            namespace.run(("ip", "tuntap", "add", name, "mode", "tun"))
        else:
            tuns.append(Tun(namespace, name))
    _configure(namespace, plan)
    snapshot = read_snapshot(namespace)
    asker = RouteAsker(namespace)
    try:
        yield Bare(snapshot, {family: Router(snapshot, family) for family in IPFamily}, asker)
    finally:
        asker.close()
        for tun in tuns:
            tun.close()
        namespace.close()


@contextmanager
def listening_node(plan: Plan) -> Iterator[Listening]:
    """The same with all of the oracle; devices always have a carrier here."""
    node = KernelNode(Topology(tuple(Interface(name) for name in DEVICES)), Backend.LEGACY, drop_reasons=True)
    try:
        node.namespace.write_sysctls((f"net/ipv6/conf/{name}/keep_addr_on_down", "1") for name in DEVICES)
        _configure(node.namespace, plan)
        snapshot = read_snapshot(node.namespace)
        yield Listening(snapshot, {family: Router(snapshot, family) for family in IPFamily}, node)
    finally:
        node.close()


def _configure(namespace: Namespace, plan: Plan) -> None:
    namespace.write_sysctls(one for one in plan.sysctls if not namespace.lacks_sysctl(one[0]))
    _batch(namespace, (), plan.links)
    for family in IPFamily:
        _batch(namespace, (f"-{family.value}",), [line for owner, line in plan.commands if owner is family])
    _batch(namespace, (), plan.down)
    settle(namespace)


def _batch(namespace: Namespace, options: Sequence[str], lines: Sequence[str]) -> None:
    """Runs lines of which the kernel may refuse some; one that `ip` cannot read is our mistake."""
    with namespace:
        done = subprocess.run(
            ("ip", *options, "-force", "-batch", "-"), input="".join(f"{line}\n" for line in lines), text=True,
            capture_output=True, check=False,
        )  # fmt: skip
    complaints = [
        line for line in done.stderr.splitlines() if "is expected" in line or "garbage" in line or "unknown" in line
    ]
    assert not complaints, complaints
