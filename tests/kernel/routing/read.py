"""The routing state of a namespace as a snapshot: what `ip -j` prints and what /proc/sys holds."""

from __future__ import annotations

import os
import time

from tests.kernel.oracle.namespace import Namespace
from tortie.codec.node import parse_links, parse_neighbours, parse_policy_rules, parse_routes
from tortie.net.address import IPFamily
from tortie.netfilter.snapshot import Snapshot

_SINGLE = ("ip_forward", "fwmark_reflect", "icmp_errors_use_inbound_ifaddr")


def read_snapshot(namespace: Namespace, *, sysctls: dict[str, str] | None = None) -> Snapshot:
    """Everything that routing looks at; `sysctls` spares reading them anew."""

    def ask(*command: str) -> str:
        return namespace.run(("ip", "-j", *command))

    return Snapshot(
        "kernel",
        links=parse_links(ask("addr"), ask("-d", "link")),
        routes={f: parse_routes(ask(f"-{f.value}", "route", "show", "table", "all"), f) for f in IPFamily},
        policy_rules={f: parse_policy_rules(ask(f"-{f.value}", "rule"), f) for f in IPFamily},
        neighbours=parse_neighbours(ask("neigh")),
        sysctls=read_sysctls(namespace) if sysctls is None else sysctls,
    )


def settle(namespace: Namespace) -> None:
    """Waits until IPv6 addresses are in use: the kernel adds their routes by a work queue, nodad or not."""
    before = ""
    for _ in range(200):
        after = namespace.run(("ip", "-6", "route", "show", "table", "all")) + namespace.run(("ip", "-6", "addr"))
        if after == before:
            return
        before = after
        time.sleep(0.002)


def read_sysctls(namespace: Namespace) -> dict[str, str]:
    """The settings of every device, and the few others that routing reads, by their dotted names."""
    found: dict[str, str] = {}
    with namespace:
        for family in ("ipv4", "ipv6"):
            root = f"/proc/sys/net/{family}"
            paths = [(f"net.{family}.{name}", f"{root}/{name}") for name in _SINGLE]
            for device in os.listdir(f"{root}/conf"):
                prefix = f"net.{family}.conf.{device.replace('.', '/')}"
                paths += [(f"{prefix}.{key}", f"{root}/conf/{device}/{key}") for key in os.listdir(f"{root}/conf/{device}")]
            for name, path in paths:
                try:
                    with open(path) as file:
                        found[name] = file.read().strip()
                except OSError:
                    continue
    return found
