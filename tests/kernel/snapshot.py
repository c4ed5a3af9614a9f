"""A kernel node as the simulator sees it: the tools' own output, read by Tortie's own parsers.

So a differential test covers the whole way from `iptables-save`, `ipset save` and `ip -j` to a verdict.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from tests.kernel.oracle.node import KernelNode
from tortie.codec.ipset import parse_ipsets
from tortie.codec.node import parse_links, parse_policy_rules, parse_routes
from tortie.codec.save import parse_save
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.setting import COMBINATION

_GLOBAL_SYSCTLS = ("net/ipv4", "net/ipv6", "net/netfilter", "net/ipv6/icmp")
_DEVICE_SYSCTLS = ("net/ipv4/conf", "net/ipv6/conf")


class SnapshotReader:
    """Reads one node again and again; what no scenario changes is asked for only once."""

    def __init__(self, node: KernelNode) -> None:
        self._node = node
        self._network: dict[str, str] = {}

    def read(self, *, network_changed: bool) -> dict[str, str]:
        """Everything that a simulation needs, as the tools print it."""
        node = self._node
        if network_changed or not self._network:
            self._network = _read_network(node)
        texts = {**self._network, "ipset": node.run("ipset", "save"), "sysctl": _read_sysctls(node)}
        for (family, backend), text in node.saved.items():
            texts[f"{backend.value}-{family.value}"] = text
        if network_changed:
            self._network = {}
        return texts


def _read_network(node: KernelNode) -> dict[str, str]:
    texts = {"addr": node.run("ip", "-j", "addr")}
    for family in IPFamily:
        version = f"-{family.value}"
        texts[f"route{version}"] = node.run("ip", "-j", version, "route", "show", "table", "all")
        texts[f"rule{version}"] = node.run("ip", "-j", version, "rule")
    return texts


def parse_snapshot(texts: dict[str, str]) -> Snapshot:
    """The snapshot that the texts tell; raises `InvalidInput` where Tortie cannot read one."""
    rulesets = tuple(
        parse_save(texts[f"{backend.value}-{family.value}"], family, backend=backend).ruleset
        for backend in Backend
        for family in IPFamily
        if f"{backend.value}-{family.value}" in texts
    )
    return Snapshot(
        name="kernel",
        rulesets=rulesets,
        ip_sets=parse_ipsets(texts["ipset"]),
        links=parse_links(texts["addr"]),
        routes={family: parse_routes(texts[f"route-{family.value}"], family) for family in IPFamily},
        policy_rules={family: parse_policy_rules(texts[f"rule-{family.value}"], family) for family in IPFamily},
        neighbours=(),
        sysctls=dict(line.split(" = ", 1) for line in texts["sysctl"].splitlines()),
        connections=(),
    )


def _read_sysctls(node: KernelNode) -> str:
    """As `sysctl` prints them: dots for slashes, and slashes for the dots of a device's name. Only what Tortie reads."""
    lines = []
    with node.namespace:
        for path in _sysctl_paths():
            name = path.removeprefix("/proc/sys/").replace(".", "\0").replace("/", ".").replace("\0", "/")
            with open(path) as file:
                lines.append(f"{name} = {file.read().strip()}\n")
    return "".join(lines)


def _sysctl_paths() -> Iterator[str]:
    yield "/proc/sys/kernel/osrelease"
    for place in _GLOBAL_SYSCTLS:
        for name in os.listdir(f"/proc/sys/{place}"):
            path = f"/proc/sys/{place}/{name}"
            if name.startswith(("nf_conntrack_", "icmp_", "fwmark_", "ip_forward", "ip_default")) and os.path.isfile(path):
                yield path
    for place, family in zip(_DEVICE_SYSCTLS, IPFamily, strict=True):
        known = COMBINATION[family]
        for device in sorted(os.listdir(f"/proc/sys/{place}")):
            for name in known:
                path = f"/proc/sys/{place}/{device}/{name}"
                if os.path.exists(path):
                    yield path
