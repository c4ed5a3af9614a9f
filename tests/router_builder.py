"""Routers from a few words, for tests of routing.

Unless a test says otherwise the node is the test bed of the netfilter specification: e0 to e3 with 10.N.0.1/24 and
fd00:N::1/64, forwarding on, rp_filter off. Routes and rules are written as `ip` prints them, one to a line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tortie.net.address import Address, IPFamily, parse_address, parse_prefix
from tortie.net.node import InterfaceAddress, Link, Neighbour, NextHop, PolicyRule, Route, RouteType, RuleAction
from tortie.net.packet import Packet
from tortie.net.protocol import UDP, parse_protocol
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.policy import default_rules
from tortie.simulator.route import RouteDecision, Router

V4, V6 = IPFamily.V4, IPFamily.V6

BED = {f"e{n}": f"10.{n}.0.1/24 fd00:{n}::1/64" for n in range(4)}
DEFAULT = "default via 10.1.0.254 dev e1"
_ZERO = ("accept_local", "route_localnet", "src_valid_mark", "bc_forwarding", "rp_filter", "mc_forwarding")
_KEYS = {**dict.fromkeys(_ZERO, "0"), "forwarding": "1", "send_redirects": "1", "shared_media": "1"}


def value(text: str) -> int:
    """An address as a number; the empty text is 0."""
    return parse_address(text).value if text else 0


def interface_address(text: str) -> InterfaceAddress:
    """`ADDRESS/LENGTH` with flags behind commas: a scope, `secondary`, `deprecated`, `tentative`, `peer=A/N`, `brd=A`."""
    word, *flags = text.split(",")
    options = dict(flag.split("=") for flag in flags if "=" in flag)
    scope = next((flag for flag in flags if flag in ("link", "host", "site")), "global")
    return InterfaceAddress(
        parse_prefix(word),
        scope,
        "secondary" in flags,
        value(options["brd"]) if "brd" in options else None,
        parse_prefix(options["peer"]) if "peer" in options else None,
        "deprecated" in flags,
        "tentative" in flags,
    )


def links(devices: Mapping[str, str], down: tuple[str, ...] = ()) -> tuple[Link, ...]:
    """`lo` and devices with their addresses."""
    own = tuple(interface_address(text) for text in ("127.0.0.1/8,host", "::1/128,host"))
    found = [Link("lo", 1, mtu=65536, loopback=True, link_type="loopback", addresses=own)]
    for number, (name, text) in enumerate(devices.items(), 2):
        addresses = tuple(map(interface_address, text.split()))
        found.append(Link(name, number, up=name not in down, addresses=addresses))
    return tuple(found)


def connected(found: tuple[Link, ...]) -> list[Route]:
    """The routes that the kernel adds for addresses of devices that are up."""
    return [
        Route(
            (own.peer or own.prefix).network, (NextHop(link.name),), metric=256 if own.prefix.family is V6 else 0,
            scope="link" if own.prefix.family is V4 else "global", protocol="kernel",
            prefsrc=Address(V4, own.prefix.address) if own.prefix.family is V4 else None,
        )
        for link in found
        for own in link.addresses
        if link.up and not link.loopback and not own.secondary and own.prefix.length < own.prefix.family.bits
    ]  # fmt: skip


def route(text: str, family: IPFamily = V4) -> Route:
    """One route; next hops of a multipath route follow the word `nexthop`."""
    words = text.split()
    kind = RouteType.UNICAST
    if words[0] in {one.value for one in RouteType}:
        kind = RouteType(words.pop(0))
    target = words.pop(0)
    prefix = parse_prefix(("0.0.0.0/0" if family is V4 else "::/0") if target == "default" else target).network
    parts = " ".join(words).split("nexthop")
    options = _options(parts[0].split())
    hops = [_options(part.split()) for part in parts[1:]] or [options]
    return Route(
        prefix,
        tuple(_hop(hop) for hop in hops if "dev" in hop),
        kind,
        options.get("table", "main"),
        int(options.get("metric", "0" if family is V4 else "1024")),
        int(options.get("tos", "0"), 0),
        options.get("scope", "global"),
        options.get("proto", "boot"),
        parse_address(options["src"]) if "src" in options else None,
        parse_prefix(options["from"]) if "from" in options else None,
        options.get("pref", "medium"),
        int(options["mtu"]) if "mtu" in options else None,
        int(options["nhid"]) if "nhid" in options else None,
    )


_FLAGS = ("onlink", "dead", "linkdown")


def _options(words: list[str]) -> dict[str, str]:
    found = {word: "" for word in words if word in _FLAGS}
    rest = [word for word in words if word not in _FLAGS]
    return {**found, **dict(zip(rest[::2], rest[1::2], strict=True))}


def _hop(options: Mapping[str, str]) -> NextHop:
    return NextHop(
        options.get("dev"), parse_address(options["via"]) if "via" in options else None, int(options.get("weight", "1")),
        "onlink" in options, "dead" in options, "linkdown" in options, options.get("encap"),
    )  # fmt: skip


def rule(text: str, family: IPFamily = V4) -> PolicyRule:
    """One policy rule: `PRIORITY: [not] SELECTORS ACTION`."""
    priority, _, rest = text.partition(":")
    made = PolicyRule(family, int(priority), table=None)
    words = rest.split()
    if words[0] == "not":
        made, words = replace(made, negated=True), words[1:]
    while words:
        word = words.pop(0)
        if word in ("nop", "unreachable", "prohibit", "blackhole"):
            made = replace(made, action=RuleAction(word))
        else:
            made = _with_option(made, word, words.pop(0))
    return made


def _with_option(made: PolicyRule, word: str, text: str) -> PolicyRule:
    match word:
        case "from" | "to":
            prefix = None if text == "all" else parse_prefix(text)
            return replace(made, source=prefix) if word == "from" else replace(made, destination=prefix)
        case "fwmark":
            mark, _, mask = text.partition("/")
            return replace(made, mark=int(mark, 0), mark_mask=int(mask or "0xffffffff", 0))
        case "tos":
            return replace(made, tos=int(text, 0))
        case "iif" | "oif":
            return replace(made, in_iface=text) if word == "iif" else replace(made, out_iface=text)
        case "uidrange" | "sport" | "dport":
            low, _, high = text.partition("-")
            both = int(low), int(high or low)
            name = "uid_range" if word == "uidrange" else word
            return replace(made, **{name: both})
        case "ipproto":
            return replace(made, ip_proto=parse_protocol(text))
        case "lookup":
            return replace(made, table=text)
        case "goto":
            return replace(made, action=RuleAction.GOTO, goto=int(text))
        case "suppress_prefixlength":
            return replace(made, suppress_prefix_length=int(text))
        case "suppress_ifgroup":
            return replace(made, suppress_group=int(text))
        case _:
            return replace(made, unsupported=(*made.unsupported, word))


def settings(changes: Mapping[str, str] | None = None, devices: Mapping[str, str] = BED) -> dict[str, str]:
    """Sysctls as most nodes have them; `changes` name IPv4 ones as `e0.rp_filter` and all others in full."""
    found = {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}
    for name in ("all", "lo", *devices):
        found |= {f"net.ipv4.conf.{name}.{key}": value for key, value in _KEYS.items()}
    found["net.ipv4.conf.all.send_redirects"] = found["net.ipv4.conf.all.shared_media"] = "0"
    for name, text in (changes or {}).items():
        found[name if name.startswith("net.") else f"net.ipv4.conf.{name}"] = text
    return found


def snapshot(
    routes: str = DEFAULT,
    rules: str = "",
    *,
    family: IPFamily = V4,
    devices: Mapping[str, str] = BED,
    down: tuple[str, ...] = (),
    sysctls: Mapping[str, str] | None = None,
    neighbours: tuple[Neighbour, ...] = (),
) -> Snapshot:
    """A node's routing state; routes of the table local and of connected networks are added."""
    made = links(devices, down)
    given = [route(line, family) for line in routes.splitlines() if line.strip()]
    every = [*given, *(one for one in connected(made) if one.prefix.family is family)]
    policy = (*default_rules(family), *(rule(line, family) for line in rules.splitlines() if line.strip()))
    return Snapshot(
        "test",
        links=made,
        routes={family: tuple(every)},
        policy_rules={family: tuple(sorted(policy, key=lambda one: one.priority))},
        sysctls=settings(sysctls, devices),
        neighbours=neighbours,
    )


def router(routes: str = DEFAULT, rules: str = "", *, family: IPFamily = V4, **more: object) -> Router:
    """The router of `snapshot` with the same arguments."""
    return Router(snapshot(routes, rules, family=family, **more), family)  # type: ignore[arg-type]


def packet(src: str, dst: str, *, proto: int = UDP, sport: int = 1000, dport: int = 53, tos: int = 0) -> Packet:
    """A packet between two addresses."""
    return Packet(parse_address(dst).family, value(src), value(dst), proto, sport, dport, tos=tos)


def arrives(made: Router, src: str, dst: str, iface: str = "e0", *, mark: int = 0, **more: int) -> RouteDecision:
    """The only decision for a packet that comes in."""
    (decision,) = made.route_input(packet(src, dst, **more), iface, mark)
    return decision


def sends(made: Router, dst: str, src: str = "", **more: object) -> RouteDecision:
    """The only decision for a packet of the node itself."""
    (decision,) = made.route_output(value(dst), value(src), **more)  # type: ignore[arg-type]
    return decision
