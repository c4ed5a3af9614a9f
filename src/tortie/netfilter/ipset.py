"""IP sets as values: a type made of dimensions, options, and entries with one part a dimension.

`SetEntry` is what one `add` line says. How lookups work is the simulator's business, the text is `codec`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from tortie.net.address import IPFamily, Prefix


@dataclass(frozen=True, slots=True)
class PortPart:
    """A port dimension: protocol number and port; for ICMP `port` is type * 256 + code, for others 0.

    `proto` is None in bitmap:port, which ignores the protocol (spec: netfilter 8.2).
    """

    proto: int | None
    port: int


@dataclass(frozen=True, slots=True)
class IfacePart:
    """An interface dimension; `physdev` compares the bridge port, `wildcard` makes the name a prefix."""

    name: str
    physdev: bool = False
    wildcard: bool = False


@dataclass(frozen=True, slots=True)
class MacPart:
    """A MAC dimension: six bytes, or None in a bitmap:ip,mac entry that has not learnt one yet."""

    address: bytes | None


@dataclass(frozen=True, slots=True)
class MarkPart:
    """The mark of hash:ip,mark."""

    value: int


@dataclass(frozen=True, slots=True)
class NamePart:
    """The member of a list:set: another set's name."""

    name: str


Part: TypeAlias = Prefix | PortPart | IfacePart | MacPart | MarkPart | NamePart
"""An address dimension is a `Prefix`, of full length for a single address."""


@dataclass(frozen=True, slots=True)
class SetEntry:
    """One element with its extensions; times in seconds, `skb_prio` as (major, minor)."""

    parts: tuple[Part, ...]
    nomatch: bool = False
    timeout_s: int | None = None
    packets: int | None = None
    bytes: int | None = None
    comment: str | None = None
    skb_mark: tuple[int, int] | None = None
    skb_prio: tuple[int, int] | None = None
    skb_queue: int | None = None


SET_DIMENSIONS: dict[str, tuple[str, ...]] = {
    "bitmap:ip": ("ip",),
    "bitmap:ip,mac": ("ip", "mac"),
    "bitmap:port": ("port",),
    "hash:ip": ("ip",),
    "hash:mac": ("mac",),
    "hash:ip,mac": ("ip", "mac"),
    "hash:ip,mark": ("ip", "mark"),
    "hash:net": ("net",),
    "hash:net,net": ("net", "net"),
    "hash:ip,port": ("ip", "port"),
    "hash:net,port": ("net", "port"),
    "hash:ip,port,ip": ("ip", "port", "ip"),
    "hash:ip,port,net": ("ip", "port", "net"),
    "hash:net,port,net": ("net", "port", "net"),
    "hash:net,iface": ("net", "iface"),
    "list:set": ("set",),
}
"""Every set type and what its dimensions hold (ipset(8))."""


@dataclass(frozen=True, slots=True)
class IPSet:
    """A set: `options` are the words of its `create` line after the type, in order, as (name, value or None)."""

    name: str
    type: str
    family: IPFamily | None
    """None for types that have no family (bitmap:*, list:set, hash:mac)."""
    entries: tuple[SetEntry, ...] = ()
    options: Mapping[str, str | None] = field(default_factory=dict)
    revision: int | None = None
    references: int | None = None
    complete: bool = True
    """False when the set may hold more than `entries`: its members were not listed, or some could not be read."""
    unread: tuple[str, ...] = ()
    """Members as text that Tortie does not understand: those of an unknown set type, protocol or extension."""

    @property
    def dimensions(self) -> tuple[str, ...]:
        """What each dimension holds: ip, net, port, iface, mac, mark or set; empty for a type Tortie does not know."""
        return SET_DIMENSIONS.get(self.type, ())
