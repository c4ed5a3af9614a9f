"""A surprising fact of the kernel as a value: rules, a node, packets, and what was observed, in the spec's notation.

A path names every step of the tables that the vector loads: `filter:FWD:3` is rule 3 of FORWARD, `P4` the policy after
three rules, `R2` the end of a user chain with one; a table stays until another is named. Hits are a path without policies
and ends. Ends and answers are written as `e1 10.0.0.5:1>10.1.0.9:2`, `here 10.0.0.5:1>10.0.0.1:2` for what reaches a
socket of the node, `gone` or the name of an error; words may follow: `ttl 63`, `tos 16`, `flags RST+ACK`, `icmp 3/3`,
`quoting 10.0.0.5:1>10.1.0.9:2`, `quoted-ttl 63`. A port may be a range, with one port that it is not (`1024-65535!5000`),
or `@1`, the source port of packet 1 as it left. `parse_path`, `path_of` and `is_like` read and compare this notation.

Source: spec netfilter 14, whose numbers the vectors bear.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from msgspec.structs import replace

from tests.cases.match_case import BOTH
from tests.kernel.oracle.outcome import KernelStep, StepKind
from tests.kernel.recipe import read_packet
from tests.kernel.scenario import Interface, Recipe, Scenario, Shot, Topology
from tortie.net.address import IPFamily, format_address
from tortie.net.packet import Packet, describe_packet
from tortie.netfilter.hook import BUILTIN_CHAINS, Backend, TableName

V4, V6 = IPFamily.V4, IPFamily.V6
Place: TypeAlias = tuple[str, str, str]
"""Table, chain, and the number with its letter."""
_SHORT = {"PRE": "PREROUTING", "IN": "INPUT", "FWD": "FORWARD", "OUT": "OUTPUT", "POST": "POSTROUTING"}
_LETTER = {StepKind.RULE: "", StepKind.POLICY: "P", StepKind.RETURN: "R"}
_MARKED = {
    V4: (
        "route add default via 10.1.0.254 dev e1",
        "route add default via 10.3.0.254 dev e3 table 100",
        "route add unreachable default table 101",
        "route add blackhole default table 102",
        "rule add fwmark 0x64 table 100",
        "rule add fwmark 0x65 table 101",
        "rule add fwmark 0x66 table 102",
        "route add 50.1.1.0/24 via 10.2.0.254 dev e2",
        "route add unreachable 60.1.0.0/16",
        "route add blackhole 60.2.0.0/16",
        "route add prohibit 60.3.0.0/16",
    ),
    V6: (
        "route add default via fd00:1::254 dev e1",
        "route add default via fd00:3::254 dev e3 table 100",
        "rule add fwmark 0x64 table 100",
    ),
}
NODE = Topology(
    tuple(Interface(f"e{number}", (f"10.{number}.0.1/24", f"fd00:{number}::1/64")) for number in range(4)), _MARKED
)
"""The spec's test bed with its default route, and with routes by mark."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One packet and what was observed of it; what is None is not part of the fact."""

    recipe: Recipe
    end: str
    path: str | None = None
    hits: str | None = None
    made: tuple[str, ...] | None = None
    """Packets the node made because of this one, where they left."""
    made_path: str | None = None
    """The path of the first of them, whether it left or not."""
    drop: str | None = None
    """A drop reason that the kernel has to name."""
    tracked: bool | None = None
    """Whether the packet made an entry in the connection table."""


@dataclass(frozen=True, slots=True)
class Vector:
    """`name` is the spec's number, with a word where the fact has several sides; rules are restore lines by table."""

    name: str
    fact: str
    rules: Mapping[str, Sequence[str]]
    seen: tuple[Seen, ...]
    topology: Topology = NODE
    sysctls: tuple[tuple[str, str], ...] = ()
    ip_sets: str = ""
    family: IPFamily = V4
    backends: tuple[Backend, ...] = field(default=BOTH)

    def scenario(self, backend: Backend) -> Scenario:
        """The vector as what kernel and simulator are asked; packets are numbered from 0."""
        return Scenario(
            name=f"{self.name} {backend.value}",
            backend=backend,
            topology=self.topology,
            rules={self.family: restore_text(self.rules)} if self.rules else {},
            shots=tuple(Shot(key, one.recipe) for key, one in enumerate(self.seen)),
            ip_sets=self.ip_sets,
            sysctls=self.sysctls,
        )


def restore_text(rules: Mapping[str, Sequence[str]]) -> str:
    """Restore text of tables; built-in chains accept unless a line says otherwise, user chains need no line."""
    lines = []
    for table, given in rules.items():
        heads = {hook.value: f":{hook.value} ACCEPT" for hook in BUILTIN_CHAINS[TableName(table)]}
        for line in given:
            name = line.split()[0 if line.startswith(":") else 1].removeprefix(":")
            if line.startswith(":"):
                heads[name] = line
            else:
                heads.setdefault(name, f":{name} -")
        lines += [f"*{table}", *heads.values(), *(line for line in given if not line.startswith(":")), "COMMIT"]
    return "".join(f"{line}\n" for line in lines)


def parse_path(text: str) -> list[Place]:
    """The steps of a path."""
    found, table = [], ""
    for word in text.split():
        *before, chain, number = word.split(":")
        table = before[0] if before else table
        found.append((table, _SHORT.get(chain, chain), number))
    return found


def path_of(steps: Sequence[KernelStep], backend: Backend, tables: Sequence[str]) -> list[Place]:
    """The steps that the kernel's trace shows in these tables."""
    return [
        (step.table, step.chain, f"{_LETTER[step.kind]}{step.number}")
        for step in steps
        if step.backend is backend and step.table in tables
    ]


def only_rules(path: Sequence[Place]) -> list[Place]:
    """A path without policies and chain ends."""
    return [place for place in path if place[2].isdigit()]


def without_returns(path: Sequence[Place]) -> list[Place]:
    """A path as nft's trace shows it, which says nothing at the end of a user chain."""
    return [place for place in path if not place[2].startswith("R")]


_HOST = r"(?:\[(?P<{0}6>[^\]]+)\]|(?P<{0}>[\d.]+|[0-9a-f]*:[0-9a-f:]*))(?::(?P<{0}_port>[^>]+))?"
_ENDS = re.compile(_HOST.format("src") + ">" + _HOST.format("dst"))


def is_like(text: str, place: str, packet: Packet, ports: Mapping[int, int]) -> bool:
    """True when a packet at a place is what the text says; `ports` are the source ports of earlier packets."""
    name, ends, *words = text.split()
    if name != place or not _has_ends(ends, packet, ports):
        return False
    return all(_has(word, value, packet, ports) for word, value in zip(words[::2], words[1::2], strict=True))


def _has_ends(text: str, packet: Packet, ports: Mapping[int, int]) -> bool:
    found = _ENDS.fullmatch(text)
    assert found is not None, text
    addresses = found["src6"] or found["src"], found["dst6"] or found["dst"]
    if addresses != (format_address(packet.family, packet.src), format_address(packet.family, packet.dst)):
        return False
    return all(
        wanted is None or (packet.has_ports and _is_port(wanted, port, ports))
        for wanted, port in ((found["src_port"], packet.sport), (found["dst_port"], packet.dport))
    )


def _is_port(text: str, port: int, ports: Mapping[int, int]) -> bool:
    if text.startswith("@"):
        return port == ports[int(text[1:])]
    span, _, excluded = text.partition("!")
    low, _, high = span.partition("-")
    return int(low) <= port <= int(high or low) and (not excluded or port != int(excluded))


def _has(word: str, value: str, packet: Packet, ports: Mapping[int, int]) -> bool:
    match word:
        case "ttl":
            return packet.ttl == int(value)
        case "tos":
            return packet.tos == int(value)
        case "flags":
            return f" {value} " in f"{describe_packet(packet)} "
        case "icmp":
            return packet.is_icmp and f"{packet.icmp_type}/{packet.icmp_code}" == value
        case "quoting" | "quoted-ttl":
            quoted = _quoted(packet)
            return quoted.ttl == int(value) if word == "quoted-ttl" else _has_ends(value, quoted, ports)
        case _:
            raise ValueError(f"{word} is no word of an end")


def _quoted(packet: Packet) -> Packet:
    """The packet that an ICMP error quotes; a quotation is cut, so its length is set right first."""
    cut = bytearray(packet.payload)
    if packet.family is V4:
        cut[2:4] = len(cut).to_bytes(2, "big")
    quoted = read_packet(bytes(cut))
    assert quoted is not None
    if quoted.transport is not None and len(quoted.transport) >= 4:
        sport, dport = int.from_bytes(quoted.transport[:2], "big"), int.from_bytes(quoted.transport[2:4], "big")
        quoted = replace(quoted, sport=sport, dport=dport, transport=None)
    return quoted
