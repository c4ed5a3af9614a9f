"""Cases for `tests.cases.match_case` drawn at random: rules on sets that change, and every test of a packet alone.

Addresses, ports and members are few, so that packets hit; the odd packets come from the strategies of `wire`.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.cases.match_case import Case
from tests.cases.matches import later, later6, v4, v6
from tests.strategies.matches import all_matches
from tests.strategies.wire import packets
from tortie.codec.rule import format_match
from tortie.net.address import IPFamily
from tortie.net.packet import Packet
from tortie.net.wire import HOP_BY_HOP
from tortie.netfilter import match as m
from tortie.netfilter.hook import Backend, Hook

T = TypeVar("T")
V4 = IPFamily.V4

# --- sets --------------------------------------------------------------------------------------------------------

TYPES: dict[str, tuple[str, ...]] = {
    "hash:ip": ("ip",),
    "hash:net": ("net",),
    "hash:ip,port": ("ip", "port"),
    "hash:net,port": ("net", "port"),
    "hash:ip,port,ip": ("ip", "port", "ip"),
    "hash:ip,port,net": ("ip", "port", "net"),
    "hash:net,iface": ("net", "iface"),
}
ADDRESSES = {
    IPFamily.V4: (("10.0.0.5", "10.0.0.6", "10.0.1.7"), ("10.1.0.9", "10.1.0.10")),
    IPFamily.V6: (("fd00::5", "fd00::6", "fd00::1:7"), ("fd00:1::9", "fd00:1::a")),
}
LENGTHS = {IPFamily.V4: (1, 8, 9, 15, 16, 24, 30, 31, 32), IPFamily.V6: (1, 16, 31, 32, 48, 64, 112, 127, 128)}
PORTS = ("tcp:80", "udp:80", "tcp:5", "udp:5", "sctp:5", "89:0", "udplite:80", "33:0")


def draw_sets(rng: Random, family: IPFamily, names: list[str]) -> str:
    """The commands that make sets of random types, and sometimes a list `l` of some of them."""
    lines: list[str] = []
    for name in names:
        lines += _draw_set(rng, family, name)
    if len(names) > 1 and rng.random() < 0.6:
        lines.append(f"create l list:set size 8{rng.choice([' counters', ''])}")
        lines += [f"add l {name}" for name in rng.sample(names, rng.randrange(len(names) + 1))]
        names.append("l")
    return "".join(f"{line}\n" for line in lines)


def _draw_set(rng: Random, family: IPFamily, name: str) -> list[str]:
    kind = rng.choice(list(TYPES))
    counters, marks = rng.random() < 0.4, rng.random() < 0.3
    options = " counters" * counters + " skbinfo" * marks + " timeout 100" * (rng.random() < 0.2)
    if kind == "hash:ip" and rng.random() < 0.4:
        options += f" netmask {rng.choice([16, 24, 30] if family is V4 else [32, 64, 112])}"
    word = "inet" if family is V4 else "inet6"
    lines = [f"create {name} {kind} family {word} maxelem {rng.choice([65536, 8])}{options}"]
    for _ in range(rng.randrange(7)):
        element = _draw_element(rng, family, kind)
        extensions = " wildcard" * ("iface" in kind and "physdev" not in element and rng.random() < 0.3)
        extensions += " nomatch" * ("net" in kind and rng.random() < 0.35)
        extensions += f" packets {rng.randrange(4)} bytes {rng.randrange(200)}" if counters else ""
        extensions += f" skbmark {rng.randrange(256):#x}/{rng.choice([15, 255, 0xFFFFFFFF]):#x}" if marks else ""
        lines.append(f"add {name} {element}{extensions} -exist")
    return lines


def _draw_element(rng: Random, family: IPFamily, kind: str) -> str:
    near, far = ADDRESSES[family]
    echo = "icmp:echo-request" if family is V4 else "ipv6-icmp:echo-request"
    draw: dict[str, Callable[[], str]] = {
        "ip": lambda: rng.choice((*near, *far)),
        "net": lambda: f"{rng.choice((*near, *far))}/{rng.choice(LENGTHS[family])}",
        "port": lambda: rng.choice((*PORTS, echo)),
        "iface": lambda: rng.choice(["e0", "e1", "e0", "physdev:e0"]),
    }
    return ",".join(draw[dimension]() for dimension in TYPES[kind])


def draw_set_case(rng: Random, read_sets: Callable[[str], str | None]) -> Case | None:
    """A case of rules that test and change sets; `read_sets` has the kernel print them, None when it refuses them."""
    family = rng.choice(list(IPFamily))
    names = [f"s{number}" for number in range(rng.randrange(1, 5))]
    sets = read_sets(draw_sets(rng, family, names))
    if sets is None:
        return None
    rules = tuple(_draw_set_rule(rng, names) for _ in range(12))
    coming = tuple(_draw_packet(rng, family) for _ in range(12))
    return Case("drawn", rules, coming, sets, family, rng.choice([Hook.PREROUTING, Hook.FORWARD]))


def _draw_set_rule(rng: Random, names: list[str]) -> str:
    name = rng.choice(names)
    flags = ",".join(rng.choice(["src", "dst"]) for _ in range(rng.choice([1, 2, 2, 3, 3])))
    head = rng.choice(["", "", "-p udp ", "-p tcp "])
    chance = rng.random()
    if chance < 0.65:
        counters = ""
        if rng.random() < 0.3:
            counters = rng.choice([" ! --update-counters", " ! --update-subcounters", ""])
            tests = ["--packets-eq", "--packets-lt", "--packets-gt", "--bytes-lt", "--bytes-gt", "! --packets-eq"]
            counters += f" {rng.choice(tests)} {rng.choice([0, 1, 2, 3, 4, 5, 100])}"
        inverted, nomatch = rng.choice(["", "! "]), rng.choice(["", " --return-nomatch"])
        return f"{head}-m set {inverted}--match-set {name} {flags}{nomatch}{counters}"
    if chance < 0.85:
        operation = rng.choice(["add", "add", "del"])
        exist = " --exist" if operation == "add" and rng.random() < 0.5 else ""
        return f"{head}-j SET --{operation}-set {name} {flags}{exist}"
    return f"{head}-j SET --map-set {name} {flags} --map-mark"


def _draw_packet(rng: Random, family: IPFamily) -> Packet:
    near, far = ADDRESSES[family]
    ends = {"src": rng.choice(near), "dst": rng.choice(far)}
    if rng.random() < 0.06:
        return later(17, 2, bytes(8), **ends) if family is V4 else later6(17, 2, bytes(8))
    proto = rng.choice([6, 17, 17, 132, 136, 89, 33, 1 if family is V4 else 58])
    fields: dict[str, object] = {"transport": b"abcdefgh"} if proto == 89 else {}
    if proto in (6, 17, 132, 136, 33):
        fields = {"sport": rng.choice([5, 80]), "dport": rng.choice([5, 80])}
    elif proto in (1, 58):
        fields = {"icmp_type": 8 if proto == 1 else 128}
    return (v4 if family is V4 else v6)(**ends, proto=proto, **fields)


# --- everything about a packet alone -----------------------------------------------------------------------------

_ELSEWHERE = (
    m.ConntrackMatch, m.StateMatch, m.ConnmarkMatch, m.ConnbytesMatch, m.ConnlimitMatch, m.ConnlabelMatch, m.HelperMatch,
    m.ClusterMatch, m.SetMatch, m.SocketMatch, m.OwnerMatch, m.CgroupMatch, m.CpuMatch, m.LimitMatch, m.HashlimitMatch,
    m.OsfMatch, m.NfacctMatch, m.RateestMatch, m.RealmMatch, m.PolicyMatch, m.IpvsMatch, m.StatisticMatch, m.RecentMatch,
    m.AddrtypeMatch, m.RpfilterMatch, m.TimeMatch, m.QuotaMatch, m.BpfMatch, m.Eui64Match, m.CommentMatch, m.OpaqueMatch,
    m.PhysdevMatch,
)  # fmt: skip
"""Matches that need more than the packet."""
_PROTOCOL: dict[type, str] = {
    m.TcpMatch: "tcp", m.UdpMatch: "udp", m.SctpMatch: "sctp", m.DccpMatch: "dccp", m.IcmpMatch: "icmp",
    m.Icmp6Match: "ipv6-icmp", m.TcpmssMatch: "tcp", m.EspMatch: "esp", m.IpcompMatch: "108", m.MhMatch: "mh",
    m.EcnMatch: "tcp",
}  # fmt: skip
"""The protocol that a match needs before it."""


class Pool:
    """Matches and packets of one family, drawn once."""

    def __init__(self, family: IPFamily, start: int, size: int) -> None:
        self.family = family
        self.matches = _collect(
            all_matches(family, ("s",)).filter(lambda one: not isinstance(one, _ELSEWHERE)), start, size
        )
        self.packets = [self._reachable(one) for one in _collect(packets(family), start, size) if _comes_by(one)]

    def _reachable(self, packet: Packet) -> Packet:
        """The packet between the two hosts, so that it is forwarded whatever it is."""
        plain = v4() if self.family is V4 else v6()
        return replace(packet, src=plain.src, dst=plain.dst, ttl=max(packet.ttl, 2), dont_fragment=False, options=b"")

    def rule(self, rng: Random) -> str:
        """A rule of one of the matches."""
        match = rng.choice(self.matches)
        kind = type(match)
        proto = _PROTOCOL.get(kind)
        if kind is m.MultiportMatch:
            proto = rng.choice(["tcp", "udp", "sctp"])
        elif kind is m.AhMatch and self.family is V4:
            proto = "ah"
        return (f"-p {proto} " if proto else "") + format_match(match, self.family)

    def case(self, rng: Random) -> Case:
        """Fifteen rules and twelve packets."""
        rules = tuple(self.rule(rng) for _ in range(15))
        return Case("drawn", rules, tuple(rng.choice(self.packets) for _ in range(12)), family=self.family)


def _is_certain(match: m.Match) -> bool:
    """False for what needs more than the packet, and for two inverted ports, whose meaning in nft is a doubt."""
    if isinstance(match, m.TcpMatch | m.UdpMatch):
        ports = (match.source_ports, match.destination_ports)
        return not all(test is not None and test.inverted for test in ports)
    return not isinstance(match, _ELSEWHERE)


def _comes_by(packet: Packet) -> bool:
    """False for packets whose hop-by-hop header the kernel reads, and may refuse, before any rule."""
    return packet.family is V4 or (packet.proto != HOP_BY_HOP and all(kind != HOP_BY_HOP for kind, _ in packet.extensions))


def _collect(strategy: st.SearchStrategy[T], start: int, size: int) -> list[T]:
    found: list[T] = []

    @seed(start)
    @settings(max_examples=size, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(strategy)
    def take(one: T) -> None:
        found.append(one)

    take()
    return found


# --- comparing ---------------------------------------------------------------------------------------------------


def drops_after_counting(case: Case, backend: Backend, number: int) -> bool:
    """True for rules that legacy counts although they drop: SCTP and DCCP tests inverted (SCCHECK in xt_sctp.c)."""
    words = case.rules[number - 1].split()
    return backend is Backend.LEGACY and "!" in words and ("sctp" in words or "dccp" in words)
