"""Readers of the kernel's two rule traces: TRACE messages of the legacy tables by NFLOG, and nftables' own.

Both start for every packet whose trace bit is set, which `TRACE_RULESET` does for all packets at the first priority of
PREROUTING and OUTPUT, before any table; it changes nothing else. All messages of a packet's walk are there when the call
that injected it returns (spec: kernel-oracle 1).

Sources: net/netfilter/nfnetlink_log.c, net/netfilter/nf_tables_trace.c, and the observations in spec kernel-oracle 3, 5.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from tests.kernel.oracle.netlink import Attributes, NetfilterSocket, attribute
from tests.kernel.oracle.outcome import KernelStep, StepKind
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend, Hook

TRACE_TABLE = "tortie_trace"
_NOISE = "icmpv6 type { 130, 131, 132, 133, 134, 135, 136, 143 } accept;"
TRACE_RULESET = "".join(
    f"table {family} {TRACE_TABLE} {{\n"
    "  chain pre { type filter hook prerouting priority -500; meta nftrace set 1; }\n"
    f"  chain out {{ type filter hook output priority -500; {noise} meta nftrace set 1; }}\n"
    "}\n"
    for family, noise in (("ip", ""), ("ip6", _NOISE))
)
"""nft text that switches the trace on; what the node itself says for neighbour discovery and MLD is left out."""

_LOG_SUBSYSTEM, _LOG_PACKET, _LOG_CONFIG = 4, 0, 1
_NFT_SUBSYSTEM, _NFT_TRACE, _NFT_TRACE_GROUP = 10, 17, 9
_COPY_LENGTH = 0xFFFF - 64
_HOOKS = (Hook.PREROUTING, Hook.INPUT, Hook.FORWARD, Hook.OUTPUT, Hook.POSTROUTING)
_FAMILIES = {2: IPFamily.V4, 10: IPFamily.V6}
_NFT_POLICY, _NFT_RETURN, _NFT_RULE = 1, 2, 3

RuleCounts = Mapping[tuple[IPFamily, str, str], int]
"""Family, table and chain to the number of rules."""
RuleHandles = Mapping[tuple[IPFamily, str, str, int], int]
"""Family, table, chain and handle to the rule's number."""
InterfaceNames = Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Sighting:
    """A step with the packet as it was then and nft's number for the packet.

    NFLOG shows the whole packet; nft the headers as they were at the start of the base chain.
    """

    step: KernelStep
    data: bytes | None = None
    packet_number: int | None = None
    start_mark: int | None = None
    """The packet's mark before any table of this hook, where nft shows it."""


def _number(attributes: Attributes, which: int) -> int:
    value = attributes.get(which)
    return 0 if value is None else int.from_bytes(value, "big")


class LegacyTrace:
    """Reads TRACE lines from NFLOG group 0 of the namespace the thread is in when it is made."""

    def __init__(self) -> None:
        self._socket = NetfilterSocket()
        self._socket.request(_LOG_SUBSYSTEM, _LOG_CONFIG, 0, 0, attribute(1, b"\x01"))
        self._socket.request(_LOG_SUBSYSTEM, _LOG_CONFIG, 0, 0, attribute(2, struct.pack("!IBB", _COPY_LENGTH, 2, 0)))

    def close(self) -> None:
        """Stops listening."""
        self._socket.close()

    def read(self, counts: RuleCounts, names: InterfaceNames) -> list[Sighting]:
        """Every step that has arrived; `MessagesLost` when some did not."""
        found = []
        for message in self._socket.drain():
            if (message.subsystem, message.number) == (_LOG_SUBSYSTEM, _LOG_PACKET):
                prefix = message.attributes.get(10, b"").rstrip(b"\0").decode("utf-8", "surrogateescape").strip()
                if prefix.startswith("TRACE: "):
                    found.append(_legacy_sighting(prefix[7:], message.family, message.attributes, counts, names))
        return found


def _legacy_sighting(
    text: str, family_number: int, attributes: Attributes, counts: RuleCounts, names: InterfaceNames
) -> Sighting:
    family = _FAMILIES[family_number]
    table, rest = text.split(":", 1)
    chain, word, digits = rest.rsplit(":", 2)
    number = int(digits)
    # An unconditional ACCEPT, DROP or RETURN is reported as policy or return with its own number.
    kind = StepKind.RULE if number <= counts.get((family, table, chain), 0) else StepKind(word)
    step = KernelStep(
        family=family,
        backend=Backend.LEGACY,
        hook=_HOOKS[attributes[1][2]],
        table=table,
        chain=chain,
        number=number,
        kind=kind,
        mark=_number(attributes, 2),
        in_iface=names.get(_number(attributes, 4), ""),
        out_iface=names.get(_number(attributes, 5), ""),
    )
    return Sighting(step, attributes.get(9, b""))


class NftTrace:
    """Reads nftables' trace messages in the namespace the thread is in when it is made."""

    def __init__(self) -> None:
        self._socket = NetfilterSocket(_NFT_TRACE_GROUP)

    def close(self) -> None:
        """Stops listening."""
        self._socket.close()

    def read(self, counts: RuleCounts, handles: RuleHandles, names: InterfaceNames) -> list[Sighting]:
        """Every rule and policy step that has arrived; `MessagesLost` when some did not."""
        found: list[Sighting] = []
        hooks: dict[int, Hook] = {}
        headers: dict[int, bytes] = {}
        marks: dict[int, int] = {}
        devices: dict[int, tuple[str, str]] = {}
        for message in self._socket.drain():
            if (message.subsystem, message.number) != (_NFT_SUBSYSTEM, _NFT_TRACE):
                continue
            attributes = message.attributes
            table, chain = _text(attributes, 1), _text(attributes, 2)
            packet_number = _number(attributes, 6)
            if 8 in attributes:
                # Headers and devices are told once for each base chain.
                headers[packet_number] = attributes[8] + attributes.get(9, b"")
                devices[packet_number] = (
                    names.get(_number(attributes, 10), ""),
                    names.get(_number(attributes, 12), ""),
                )
            if table == TRACE_TABLE:
                marks[packet_number] = _number(attributes, 14)
                continue
            if chain in Hook.__members__:
                hooks[packet_number] = Hook[chain]
            family = _FAMILIES[message.family]
            kind, number = _nft_kind(attributes, family, table, chain, counts, handles)
            if kind is None:
                continue
            step = KernelStep(
                family=family,
                backend=Backend.NFT,
                hook=hooks[packet_number],
                table=table,
                chain=chain,
                number=number,
                kind=kind,
                mark=_number(attributes, 14),
                in_iface=devices.get(packet_number, ("", ""))[0],
                out_iface=devices.get(packet_number, ("", ""))[1],
            )
            found.append(Sighting(step, headers.get(packet_number), packet_number, marks.get(packet_number)))
        return found


def _text(attributes: Attributes, which: int) -> str:
    return attributes.get(which, b"").rstrip(b"\0").decode("utf-8", "surrogateescape")


def _nft_kind(
    attributes: Attributes, family: IPFamily, table: str, chain: str, counts: RuleCounts, handles: RuleHandles
) -> tuple[StepKind | None, int]:
    kind = _number(attributes, 4)
    if kind == _NFT_POLICY:
        return StepKind.POLICY, counts.get((family, table, chain), 0) + 1
    # A rule that returns is told as a return by older kernels (6.1); the end of a chain, told so too, is no rule.
    if kind in (_NFT_RULE, _NFT_RETURN) and 3 in attributes:
        return StepKind.RULE, handles[family, table, chain, _number(attributes, 3)]
    return None, 0


def count_rules(texts: Mapping[IPFamily, str]) -> dict[tuple[IPFamily, str, str], int]:
    """Rules of every chain in iptables-save texts."""
    counts: dict[tuple[IPFamily, str, str], int] = {}
    for family, text in texts.items():
        table = ""
        for line in text.splitlines():
            if line.startswith("*"):
                table = line[1:]
            elif line.startswith("-A "):
                key = family, table, line.split(" ", 2)[1]
                counts[key] = counts.get(key, 0) + 1
    return counts


_CHAIN = re.compile(r"\tchain (\S+) \{")
_HANDLE = re.compile(r"# handle (\d+)$")
_TABLE = re.compile(r"table (ip6?) (\S+) \{")


def number_handles(listing: str) -> dict[tuple[IPFamily, str, str, int], int]:
    """Rule numbers by handle, from `nft -a list ruleset`: rules are listed in order."""
    found: dict[tuple[IPFamily, str, str, int], int] = {}
    family, table, chain, number = IPFamily.V4, "", "", 0
    for line in listing.splitlines():
        if head := _TABLE.match(line):
            family, table = (IPFamily.V4 if head[1] == "ip" else IPFamily.V6), head[2]
        elif head := _CHAIN.match(line):
            chain, number = head[1], 0
        elif line.startswith("\t\t") and (handle := _HANDLE.search(line)):
            number += 1
            found[family, table, chain, int(handle[1])] = number
    return found
