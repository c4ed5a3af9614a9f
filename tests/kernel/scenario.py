"""A scenario: a node, its rules, and packets that meet them, as one value that can be written down and read back.

Packets are either given as bytes or made from what really left the node before: an answer, an ICMP error about it, the
next segment. Since NAT may choose random ports, only such recipes make a scenario repeatable. A recipe refers to packets
by key; when what it needs never left, the packet is left out. Everything is text and numbers so that a scenario file can
be read, edited and shrunk by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend

NEIGHBOUR_MAC = "02:00:00:00:00:99"
"""Who sends frames unless said."""


@dataclass(frozen=True, slots=True)
class Interface:
    """A device of the node: `addresses` as `ip addr add` takes them, with further words (`10.0.0.1/24 scope link`).

    One with a `mac` is Ethernet, where all that the node sends goes to itself: nothing is asked of neighbours.
    """

    name: str
    addresses: tuple[str, ...] = ()
    mtu: int = 1500
    mac: str = ""


@dataclass(frozen=True, slots=True)
class Topology:
    """Interfaces in the order they are made, and lines for `ip -batch` of each family, run after the interfaces are up."""

    interfaces: tuple[Interface, ...]
    commands: Mapping[IPFamily, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Given:
    """A packet as bytes, arriving at `in_iface` or (None) sent by the node with these socket options."""

    data: bytes
    in_iface: str | None
    mark: int = 0
    uid: int = 0
    gid: int = 0
    device: str = ""
    bound: bool = True
    """The socket is bound to the packet's source address, so that routing knows it from the start."""
    mac_source: str = ""
    """Who sent the frame that an Ethernet device gets; empty for `NEIGHBOUR_MAC`."""
    mac_destination: str = ""
    """Whom it is for; empty for the device."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same packet once more."""

    of: int


@dataclass(frozen=True, slots=True)
class Follow:
    """The same headers once more with other TCP flags or another payload."""

    of: int
    tcp_flags: int | None = None
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver of packet `to`, as it left the node, would answer; arrives where that one left unless said.

    TCP sequence numbers fit. `other_port` makes it come from a port that nobody asked.
    """

    to: int
    tcp_flags: int = 0x12
    payload: bytes = b""
    in_iface: str | None = None
    other_port: int | None = None


@dataclass(frozen=True, slots=True)
class ErrorAbout:
    """An ICMP error quoting packet `about` as it left; sent by its receiver, or by the router `sender`."""

    about: int
    icmp_type: int
    icmp_code: int
    rest: int = 0
    sender: str | None = None
    to: str | None = None
    """Another destination than the quoted packet's source."""
    quote_length: int = 28


Recipe: TypeAlias = Given | Repeat | Follow | Answer | ErrorAbout


@dataclass(frozen=True, slots=True)
class Shot:
    """One packet of a scenario; `key` names it for recipes."""

    key: int
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything needed to ask the kernel and the simulator the same questions. Rules and sets are restore text."""

    name: str
    backend: Backend
    topology: Topology
    rules: Mapping[IPFamily, str]
    shots: tuple[Shot, ...]
    ip_sets: str = ""
    sysctls: tuple[tuple[str, str], ...] = ()
    """Paths below /proc/sys and values, written in order after the interfaces are up."""
