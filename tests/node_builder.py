"""A node from a few words, for tests of the simulator.

Unless a test says otherwise the node is the test bed of the netfilter specification: e0 to e3 with 10.N.0.1/24 and
fd00:N::1/64, forwarding on, reverse-path filter off. Rules are written as for iptables-restore; a table that is not named
does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping

from tortie.codec.ipset import parse_ipsets
from tortie.codec.ipvs import parse_ipvs
from tortie.codec.save import parse_save
from tortie.net.address import Address, IPFamily, parse_address, parse_prefix
from tortie.net.node import InterfaceAddress, Link, NextHop, PolicyRule, Route, RouteType
from tortie.net.packet import Packet
from tortie.net.protocol import ICMP, ICMPV6, parse_protocol
from tortie.netfilter.conntrack import ConnEntry
from tortie.netfilter.hook import Backend
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.trace import ChainStep, RuleStep, Trace, Walk
from tortie.simulator.walk import Arrival, Node, walk

V4, V6 = IPFamily.V4, IPFamily.V6

FORWARDING = {
    "net.ipv4.ip_forward": "1",
    "net.ipv4.conf.all.forwarding": "1",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    "net.ipv6.conf.all.forwarding": "1",
}
BED = "e0 10.0.0.1/24 fd00::1/64; e1 10.1.0.1/24 fd00:1::1/64; e2 10.2.0.1/24 fd00:2::1/64; e3 10.3.0.1/24 fd00:3::1/64"
EMPTY = "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n"
_POLICIES = (
    (V4, 0, "local"), (V4, 32766, "main"), (V4, 32767, "default"), (V6, 0, "local"), (V6, 32766, "main"),
)  # fmt: skip
_FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32}


def node(
    rules: str = EMPTY,
    rules6: str = EMPTY,
    *,
    links: str = BED,
    routes: str = "",
    policy: tuple[PolicyRule, ...] = (),
    sets: str = "",
    sysctls: Mapping[str, str] | None = None,
    connections: tuple[ConnEntry, ...] = (),
    backend: Backend = Backend.LEGACY,
    ipvs: str | None = None,
    extra_links: tuple[Link, ...] = (),
) -> Node:
    """A node; `links` is `NAME ADDRESS… ; …`, `routes` is `PREFIX [via GATEWAY] dev NAME [table TABLE] ; …`."""
    made = (*_links(links), *extra_links)
    given = [_route(words.split()) for words in routes.split(";") if words.strip()]
    direct = [
        Route(entry.prefix.network, (NextHop(link.name),), scope="link", protocol="kernel")
        for link in made
        for entry in link.addresses
        if not link.loopback
    ]
    return Node.from_snapshot(
        Snapshot(
            "test",
            tuple(
                parse_save(_whole(text), family, backend=backend).ruleset for text, family in ((rules, V4), (rules6, V6))
            ),
            ip_sets=parse_ipsets(sets) if sets else {},
            links=made,
            routes={family: tuple(r for r in (*given, *direct) if r.prefix.family is family) for family in IPFamily},
            policy_rules={
                family: tuple(
                    sorted(
                        (
                            *(PolicyRule(family, priority, table=name) for of, priority, name in _POLICIES if of is family),
                            *(rule for rule in policy if rule.family is family),
                        ),
                        key=lambda rule: rule.priority,
                    )
                )
                for family in IPFamily
            },
            neighbours=(),
            sysctls={**FORWARDING, **(sysctls or {})},
            connections=connections,
            ipvs=parse_ipvs(ipvs) if ipvs is not None else None,
        )
    )


def _whole(text: str) -> str:
    """Puts a COMMIT behind every table that has none."""
    lines: list[str] = []
    inside = False
    for line in map(str.strip, text.strip().splitlines()):
        if line.startswith("*"):
            lines += ["COMMIT"] if inside else []
            inside = True
        elif line == "COMMIT":
            inside = False
        lines.append(line)
    return "\n".join([*lines, *(["COMMIT"] if inside else [])]) + "\n"


def _links(text: str) -> list[Link]:
    loopback = (InterfaceAddress(parse_prefix("127.0.0.1/8"), "host"), InterfaceAddress(parse_prefix("::1/128"), "host"))
    links = [Link("lo", 1, loopback=True, link_type="loopback", mtu=65536, addresses=loopback)]
    for index, words in enumerate((part.split() for part in text.split(";") if part.strip()), 2):
        addresses = tuple(_address(word) for word in words[1:])
        links.append(Link(words[0], index, addresses=addresses))
    return links


def _address(word: str) -> InterfaceAddress:
    prefix = parse_prefix(word)
    broadcast = None
    if prefix.family is V4 and prefix.length < 31:
        broadcast = prefix.address | (prefix.mask ^ V4.all_ones)
    return InterfaceAddress(prefix, broadcast=broadcast)


def _route(words: list[str]) -> Route:
    kind = RouteType(words.pop(0)) if words[0] in {one.value for one in RouteType} else RouteType.UNICAST
    prefix, options = parse_prefix(words[0]), dict(zip(words[1::2], words[2::2], strict=True))
    gateway = parse_address(options["via"]) if "via" in options else None
    hops = (NextHop(options["dev"], gateway),) if "dev" in options else ()
    return Route(prefix, hops, kind, table=options.get("table", "main"), metric=int(options.get("metric", 0)))


def address(text: str) -> Address:
    """An address of either family."""
    return parse_address(text)


def packet(proto: str, source: str, destination: str, flags: str = "S", **fields: object) -> Packet:
    """A packet by the words of the command line: `packet("tcp", "10.0.0.5:1000", "10.1.0.9:80")`."""
    (src, sport), (dst, dport) = _end(source), _end(destination)
    number = parse_protocol(proto)
    if number == ICMP and src.family is V6:
        number = ICMPV6
    given: dict[str, object] = {"tcp_flags": sum(_FLAGS[flag] for flag in flags)} if number == 6 else {}
    if number in (ICMP, ICMPV6):
        given["icmp_type"] = 8 if src.family is V4 else 128
    return Packet(src.family, src.value, dst.value, number, sport=sport, dport=dport, **{**given, **fields})  # type: ignore[arg-type]


def _end(text: str) -> tuple[Address, int]:
    if text.startswith("["):
        inside, _, port = text[1:].partition("]")
        return parse_address(inside), int(port.lstrip(":") or 0)
    if text.count(":") == 1:
        inside, _, port = text.partition(":")
        return parse_address(inside), int(port)
    return parse_address(text), 0


def walk_packet(made: Node, sent: Packet, in_iface: str | None = "e0", **options: object) -> Walk:
    """Walks one packet that comes in by e0, or another device, or from the node itself (None)."""
    return walk(made, Arrival(sent, in_iface, **options))  # type: ignore[arg-type]


def hits(trace: Trace) -> list[str]:
    """The path in the specification's words: `filter:FORWARD:3`, `filter:FORWARD:P4` a policy, `filter:X:R2` a return."""
    found = []
    for step in trace.steps:
        if isinstance(step, RuleStep) and step.matched:
            found.append(f"{step.table.value}:{step.chain}:{step.number}")
        elif isinstance(step, ChainStep):
            letter = "R" if step.policy is None else "P"
            found.append(f"{step.table.value}:{step.chain}:{letter}{step.number}")
    return found


def left_as(trace: Trace) -> str:
    """How the packet left: `e1 10.0.0.5:1>10.1.0.9:2`."""
    assert trace.out is not None
    sent = trace.out.packet
    ends = [str(Address(sent.family, value)) for value in (sent.src, sent.dst)]
    if sent.has_ports:
        ends = [f"{ends[0]}:{sent.sport}", f"{ends[1]}:{sent.dport}"]
    return f"{trace.out.iface} {'>'.join(ends)}"
