"""Random nodes for routing questions: devices, addresses, tables, rules and settings that collide on purpose.

Everything is drawn from small pools of nested prefixes and neighbouring addresses, so that a random question meets
several routes and rules at once. Commands that the kernel refuses (a gateway nobody reaches, an address twice) are left out
by `ip -force`: what stands then is read back from the kernel.
"""

from __future__ import annotations

import random
import socket
from dataclasses import dataclass

from tests.kernel.routing.question import Question
from tortie.net.address import Address, IPFamily, parse_address

DEVICES = ("e0", "e1", "e2", "e3")

_SUBNETS = {
    IPFamily.V4: (
        "10.0.0.0/24",
        "10.0.0.0/16",
        "10.1.0.0/24",
        "10.1.0.128/25",
        "10.2.0.0/30",
        "10.3.0.0/31",
        "10.4.0.1/32",
    ),
    IPFamily.V6: ("fd00::/64", "fd00::/48", "fd00:0:0:1::/64", "fd00:0:0:2::/120", "fd00:0:0:3::/127", "fe80::/64"),
}
_TARGETS = {
    IPFamily.V4: (
        "0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/16", "10.0.0.0/24", "10.0.0.64/26", "10.0.0.7/32", "10.1.0.0/24",
        "10.2.0.0/24", "10.9.0.0/16", "20.0.0.0/8", "20.1.0.0/16", "20.1.0.0/17", "20.1.2.0/24", "20.1.2.3/32",
        "127.3.0.0/16", "224.0.0.0/4",
    ),
    IPFamily.V6: (
        "::/0", "fd00::/16", "fd00::/32", "fd00::/64", "fd00:0:0:1::/64", "fd00::40/122", "2001:db8::/32",
        "2001:db8:1::/48", "2001:db8:1::/49", "2001:db8:1:2::/64", "2001:db8:1:2::3/128", "2002::/16",
    ),
}  # fmt: skip
_HOSTS = {
    IPFamily.V4: (
        "10.0.0.1", "10.0.0.2", "10.0.0.5", "10.0.0.7", "10.0.0.70", "10.0.0.0", "10.0.0.255", "10.0.255.255", "10.0.1.1",
        "10.1.0.1", "10.1.0.130", "10.1.0.129", "10.1.0.255", "10.2.0.1", "10.2.0.2", "10.2.0.3", "10.2.0.9", "10.3.0.0",
        "10.3.0.1", "10.4.0.1", "10.9.9.9", "20.0.0.1", "20.1.0.1", "20.1.2.1", "20.1.2.3", "20.1.200.1", "99.0.0.1",
        "127.0.0.1", "127.3.0.1", "127.255.255.255", "224.0.0.1", "224.0.0.9", "239.1.1.1", "240.0.0.1", "0.1.2.3",
        "169.254.1.1", "255.255.255.255", "0.0.0.0",
    ),
    IPFamily.V6: (
        "fd00::1", "fd00::2", "fd00::5", "fd00::41", "fd00::", "fd00:0:0:1::1", "fd00:0:0:1::9", "fd00:0:0:2::1",
        "fd00:0:0:2::2", "fd00:0:0:3::", "fd00:0:0:3::1", "fd00:1::1", "2001:db8::1", "2001:db8:1::1", "2001:db8:1:2::1",
        "2001:db8:1:2::3", "2001:db8:1:8000::1", "2002::1", "3ffe::1", "fe80::1", "fe80::2", "fe80::9", "::1", "ff02::1",
        "ff02::2", "ff05::9", "::ffff:10.0.0.1",
    ),
}  # fmt: skip
_GATEWAYS = {
    IPFamily.V4: ("10.0.0.5", "10.0.0.7", "10.1.0.130", "10.1.0.9", "10.2.0.2", "10.3.0.0", "10.0.0.1", "20.1.2.1"),
    IPFamily.V6: ("fd00::5", "fd00::7", "fd00:0:0:1::9", "fd00:0:0:2::2", "fe80::9", "fe80::2", "fd00:0:0:3::"),
}
_MARKS = (0, 1, 2, 3, 0x10, 0x11)
_TOS = (0, 0x04, 0x08, 0x10, 0x1C, 0x12, 0xB8, 0x20, 0x90)
_TABLES = ("100", "100", "200", "main", "main", "main", "local", "default")
_SETTINGS = {
    "ipv4": {
        "rp_filter": (0, 0, 0, 1, 2), "accept_local": (0, 0, 0, 1), "route_localnet": (0, 0, 0, 1),
        "forwarding": (1, 1, 1, 0), "src_valid_mark": (0, 1), "bc_forwarding": (0, 0, 1),
        "send_redirects": (0, 1), "shared_media": (0, 1),
        "ignore_routes_with_linkdown": (0, 0, 1),
    },
    "ipv6": {"ignore_routes_with_linkdown": (0, 0, 1), "force_forwarding": (0, 0, 1), "use_oif_addrs_only": (0, 0, 0, 1)},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """A node as lines for `ip -batch`, by family where they need one, and sysctls by path below /proc/sys."""

    links: tuple[str, ...]
    commands: tuple[tuple[IPFamily, str], ...]
    sysctls: tuple[tuple[str, str], ...]
    down: tuple[str, ...]
    """Lines run last."""
    unplugged: frozenset[str]
    """Devices that never have a carrier."""


def draw_plan(rng: random.Random) -> Plan:
    """A node; one in three has the kernel's own policy rules only."""
    # Source-specific routes may get lost when routes beside them go with their device (fib6_repair_tree).
    down = tuple(f"link set {name} down" for name in DEVICES if rng.random() < 0.05)
    links = ["link set lo up"]
    for name in DEVICES:
        group = rng.choice((0, 0, 7))
        links.append(f"link set {name} group {group} up")
    commands: list[tuple[IPFamily, str]] = []
    ruled = rng.random() < 0.67
    for family in IPFamily:
        commands += [(family, line) for line in _addresses(rng, family)]
        commands += [(family, _route(rng, family, sources=not down)) for _ in range(rng.randrange(3, 30))]
        if ruled:
            commands += [(family, _rule(rng, family)) for _ in range(rng.randrange(1, 8))]
            if rng.random() < 0.15:
                commands += [(family, "rule del pref 0"), (family, f"rule add pref {rng.randrange(50, 150)} lookup local")]
    unplugged = frozenset(name for name in DEVICES if rng.random() < 0.1)
    return Plan(tuple(links), tuple(commands), tuple(_sysctls(rng)), down, unplugged)


def _addresses(rng: random.Random, family: IPFamily) -> list[str]:
    lines = []
    for name in DEVICES:
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            subnet = rng.choice(_SUBNETS[family])
            network, length = subnet.split("/")
            value = parse_address(network).value
            host = rng.choice((1, 2, 5)) if int(length) < (31 if family is IPFamily.V4 else 127) else rng.choice((0, 1))
            if int(length) == family.bits:
                host = 0
            word = str(Address(family, value + host))
            extra = ""
            if family is IPFamily.V4:
                extra = rng.choice(
                    ("", "", "", " scope link", " scope host", " brd +", " noprefixroute", f" peer 10.8.0.{host}/30")
                )
                if "peer" in extra:
                    lines.append(f"addr add {word}{extra} dev {name}")
                    continue
            else:
                extra = " nodad" + rng.choice(("", "", " noprefixroute", " preferred_lft 0"))
            lines.append(f"addr add {word}/{length}{extra} dev {name}")
    return lines


def _route(rng: random.Random, family: IPFamily, *, sources: bool) -> str:
    kind = rng.choice(("",) * 9 + ("unreachable", "prohibit", "blackhole", "throw", "local", "broadcast"))
    if family is IPFamily.V6 and kind == "broadcast":
        kind = "anycast"
    words = ["route", rng.choice(("add", "append", "append", "prepend"))]
    target = rng.choice(_TARGETS[family])
    words += [kind, target] if kind else [target]
    if family is IPFamily.V6 and sources and rng.random() < 0.15:
        words += ["from", rng.choice(("fd00::/64", "fd00::/16", "fd00::5/128", "2001:db8::/32"))]
    hops: list[str] = []
    if not kind:
        hops = _hops(rng, family)
    elif kind in ("local", "broadcast", "anycast"):
        hops = ["dev", rng.choice((*DEVICES, "lo"))]
    words += ["table", rng.choice(_TABLES)]
    if rng.random() < 0.4:
        words += ["metric", rng.choice(("5", "5", "10", "1024"))]
    if family is IPFamily.V4 and rng.random() < 0.25:
        words += ["tos", hex(rng.choice((0x04, 0x08, 0x10, 0x1C, 0x20, 0xB8)))]
    # Hops added one by one may differ in these; a dump shows the first one's.
    joining = family is IPFamily.V6 and hops[:1] == ["via"]
    if family is IPFamily.V6 and not joining and rng.random() < 0.2:
        words += ["pref", rng.choice(("low", "medium", "high"))]
    if not kind and rng.random() < 0.15:
        words += ["mtu", "1400"]
    if not joining and rng.random() < 0.15:
        words += ["src", rng.choice(_HOSTS[family][:9])]
    if family is IPFamily.V4 and rng.random() < 0.1:
        words += ["scope", rng.choice(("link", "host", "global"))]
    if family is IPFamily.V6 and hops[:1] != ["via"]:
        # A route between the hops of a multipath route is missing in the kernel's dump (fib6_dump_node).
        words[1] = "add"
    return " ".join((*words, *hops))


def _hops(rng: random.Random, family: IPFamily) -> list[str]:
    def one() -> list[str]:
        device = rng.choice(DEVICES)
        how = rng.random()
        if how < 0.25:
            return ["dev", device]
        gateway = rng.choice(_GATEWAYS[family])
        if how < 0.6:
            return ["via", gateway] if "fe80" not in gateway else ["via", gateway, "dev", device]
        if family is IPFamily.V4 and how < 0.65:
            return ["via", "inet6", rng.choice(("fe80::9", "fd00::5")), "dev", device]
        return ["via", gateway, "dev", device, *(["onlink"] if how < 0.9 else [])]

    if rng.random() < 0.75:
        return one()
    return [
        word for _ in range(rng.choice((2, 2, 3))) for word in ("nexthop", *one(), "weight", rng.choice(("1", "1", "3")))
    ]


def _rule(rng: random.Random, family: IPFamily) -> str:
    words = ["rule", "add", *(["not"] if rng.random() < 0.1 else [])]
    if rng.random() < 0.3:
        words += ["from", rng.choice(_TARGETS[family])]
    if rng.random() < 0.25:
        words += ["to", rng.choice(_TARGETS[family])]
    if rng.random() < 0.35:
        words += ["fwmark", rng.choice(("1", "2", "0x10/0x10", "0/0x1", "3/0x3"))]
    if rng.random() < 0.15:
        words += ["tos", rng.choice(("0x10", "0x04", "0x1c", "0xb8"))]
    if rng.random() < 0.25:
        words += ["iif", rng.choice((*DEVICES, "lo", "gone"))]
    if rng.random() < 0.15:
        words += ["oif", rng.choice(DEVICES)]
    if rng.random() < 0.1:
        words += ["uidrange", rng.choice(("0-0", "1000-2000", "0-1500"))]
    if rng.random() < 0.15:
        words += ["ipproto", rng.choice(("tcp", "udp"))]
    if rng.random() < 0.15:
        words += [rng.choice(("sport", "dport")), rng.choice(("53", "100-200", "1-65535"))]
    words += ["pref", str(rng.choice((10, 20, 30, 40, 100, 32766, 40000)))]
    how = rng.random()
    if how < 0.65:
        words += ["lookup", rng.choice(("100", "200", "100", "main", "local", "default", "300"))]
        if rng.random() < 0.3:
            words += ["suppress_prefixlength", rng.choice(("0", "8", "16", "32"))]
        if rng.random() < 0.15:
            words += ["suppress_ifgroup", rng.choice(("7", "0"))]
    elif how < 0.8:
        words += ["goto", rng.choice(("30", "40", "100", "32766", "555"))]
    else:
        words += [rng.choice(("unreachable", "prohibit", "blackhole", "nop"))]
    return " ".join(words)


def _sysctls(rng: random.Random) -> list[tuple[str, str]]:
    found = [("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", rng.choice(("1", "1", "1", "0")))]
    for family, keys in _SETTINGS.items():
        for key, values in keys.items():
            for name in ("all", *DEVICES):
                if key in ("forwarding", "force_forwarding") and name == "all":
                    continue
                if rng.random() < 0.5:
                    value = 0 if name == "all" and rng.random() < 0.6 else rng.choice(values)
                    found.append((f"net/{family}/conf/{name}/{key}", str(value)))
    return found


def draw_question(rng: random.Random, family: IPFamily, marks: tuple[int, ...] = _MARKS) -> Question:
    """A question; half of them about packets that come in."""
    hosts = _HOSTS[family]
    incoming = rng.random() < 0.55
    proto = rng.choice((socket.IPPROTO_UDP, socket.IPPROTO_UDP, socket.IPPROTO_TCP))
    return Question(
        family,
        parse_address(rng.choice(hosts)).value,
        parse_address(rng.choice(hosts)).value if incoming or rng.random() < 0.6 else 0,
        rng.choice(DEVICES) if incoming else "",
        "" if incoming or rng.random() < 0.7 else rng.choice((*DEVICES, "lo")),
        rng.choice(marks) if rng.random() < 0.6 else 0,
        rng.choice(_TOS) if rng.random() < 0.4 else 0,
        0 if incoming else rng.choice((0, 0, 1000, 3000)),
        proto,
        rng.choice((53, 150, 9999)),
        rng.choice((53, 150, 9999)),
    )
