"""A kernel node as the simulator sees it: the tools' own output, read by Tortie's own parsers.

So a differential test covers the whole way from `iptables-save`, `ipset save` and `ip -j` to a verdict.
"""

from __future__ import annotations

from pathlib import Path

from tests.kernel.oracle.node import KernelNode
from tortie.codec.ipset import parse_ipsets
from tortie.codec.node import parse_links, parse_policy_rules, parse_routes
from tortie.codec.save import parse_save
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend
from tortie.netfilter.snapshot import Snapshot

_SYSCTL_ROOTS = ("net/ipv4", "net/ipv6", "net/netfilter")
_UNREADABLE = frozenset({"flush", "stable_secret"})
_SUBTREES = ("conf", "icmp")


def read_texts(node: KernelNode) -> dict[str, str]:
    """Everything that a simulation needs, as the tools print it."""
    texts = {
        "addr": node.run("ip", "-j", "addr"),
        "ipset": node.run("ipset", "save"),
        "sysctl": _read_sysctls(node),
    }
    backends = (Backend.LEGACY, Backend.NFT) if node.backend is Backend.NFT else (Backend.LEGACY,)
    for family in IPFamily:
        version = f"-{family.value}"
        texts[f"route{version}"] = node.run("ip", "-j", version, "route", "show", "table", "all")
        texts[f"rule{version}"] = node.run("ip", "-j", version, "rule")
        for backend in backends:
            texts[f"{backend.value}{version}"] = node.save(family, backend)
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
    """As `sysctl` prints them: dots for slashes, and slashes for the dots of a device's name."""
    lines = []
    with node.namespace:
        for root in _SYSCTL_ROOTS:
            base = Path("/proc/sys") / root
            places = [base, *(base / part for part in _SUBTREES if (base / part).is_dir())]
            places += sorted((base / "conf").iterdir()) if (base / "conf").is_dir() else []
            for place in places:
                for file in place.iterdir():
                    if file.is_file() and file.name not in _UNREADABLE:
                        try:
                            value = file.read_text()
                        except OSError:
                            continue
                        name = str(file.relative_to("/proc/sys")).replace(".", "\0").replace("/", ".").replace("\0", "/")
                        lines.append(f"{name} = {value.strip()}\n")
    return "".join(lines)
