"""What a walk tells: the ordered steps of one packet, its verdict, and what decided it.

A `Trace` is one outcome. A `Walk` holds all outcomes a packet can have on a node: usually one, more where chance, history
or something Tortie cannot know decides. Steps are values; how they are shown is the command line's business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from tortie.net.packet import Packet
from tortie.netfilter.conntrack import ConnEntry
from tortie.netfilter.hook import Backend, Hook, TableName
from tortie.netfilter.match import CtState, Direction
from tortie.netfilter.rule import Rule
from tortie.simulator.choice import Condition
from tortie.simulator.route import RouteDecision


class Verdict(Enum):
    """What became of the packet. REJECT is a drop that answers the sender."""

    ACCEPT = "ACCEPT"
    DROP = "DROP"
    REJECT = "REJECT"
    UNKNOWN = "UNKNOWN"
    """The snapshot does not hold what decides."""
    MAYBE = "MAYBE"
    """Chance or history decides."""


class Disposition(Enum):
    """Where the packet ended."""

    FORWARDED = "forwarded"
    DELIVERED = "delivered"
    """To the node itself."""
    SENT = "sent"
    """Made by the node and out on a wire."""
    DROPPED = "dropped"
    HELD = "held"
    """A fragment kept until its packet is whole."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RuleStep:
    """A rule was looked at. `mark` and `packet` are those after the rule; `reason` tells why it missed or hit."""

    hook: Hook
    table: TableName
    chain: str
    number: int
    """1-based."""
    rule: Rule
    matched: bool
    reason: str
    effect: str
    """What the target did, empty for a miss."""
    mark_before: int
    mark: int
    packet: Packet
    depth: int
    backend: Backend
    maybe: bool = False
    """True when it is not known whether the rule matched, and it makes no difference to the packet."""


@dataclass(frozen=True, slots=True)
class ChainStep:
    """The end of a chain: a built-in chain's policy, or the return from a user chain."""

    hook: Hook
    table: TableName
    chain: str
    number: int
    """Rules in the chain plus one, as the kernel's own trace counts."""
    policy: str | None
    """ACCEPT or DROP for a built-in chain, None for a return."""
    mark: int
    packet: Packet
    depth: int
    backend: Backend


@dataclass(frozen=True, slots=True)
class ConntrackStep:
    """Connection tracking looked at the packet (or confirmed its connection)."""

    hook: Hook
    state: CtState | None
    direction: Direction | None
    connection: ConnEntry | None
    text: str
    mark: int


@dataclass(frozen=True, slots=True)
class NatStep:
    """An address or port was rewritten, or a NAT side was decided without a change (`before` equals `after`)."""

    hook: Hook
    before: Packet
    after: Packet
    text: str
    mark: int
    random_ports: tuple[int, int] | None = None
    """The new port is any of these, chosen at random by the kernel; `after` shows one of them."""


@dataclass(frozen=True, slots=True)
class RouteStep:
    """A routing decision; `stage` is input, output or re-route."""

    stage: str
    decision: RouteDecision
    mark: int


@dataclass(frozen=True, slots=True)
class NoteStep:
    """Anything else that happened between the tables: hop limit, fragments, loopback, a skipped table."""

    hook: Hook | None
    text: str
    mark: int


Step: TypeAlias = RuleStep | ChainStep | ConntrackStep | NatStep | RouteStep | NoteStep


class Cause(Enum):
    """The kind of thing that decided a packet's fate."""

    RULE = "rule"
    CHAIN_POLICY = "chain_policy"
    ROUTE = "route"
    RP_FILTER = "rp_filter"
    SYSCTL = "sysctl"
    CONNTRACK = "conntrack"
    NAT = "nat"
    HEADER = "header"
    """Hop limit, size, or an address no node accepts."""
    HOTDROP = "hotdrop"
    """A match dropped the packet because it is too short for it."""
    MISSING = "missing"
    """The snapshot lacks what decides."""


@dataclass(frozen=True, slots=True)
class DecidedBy:
    """What decided: a rule (`number` set), a chain's policy, or something outside the tables."""

    cause: Cause
    text: str
    hook: Hook | None = None
    table: TableName | None = None
    chain: str | None = None
    number: int | None = None
    backend: Backend | None = None


@dataclass(frozen=True, slots=True)
class Egress:
    """The packet as it leaves the node, or as the local socket gets it (`iface` is then the input interface).

    `iface` is empty when it is not known.
    """

    iface: str
    packet: Packet
    mark: int
    random_sport: tuple[int, int] | None = None
    random_dport: tuple[int, int] | None = None
    source_known: bool = True
    """False when the source was masqueraded and the snapshot does not hold the addresses to tell to what."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One outcome of one packet."""

    packet: Packet
    in_iface: str | None
    """None for a packet the node makes itself."""
    verdict: Verdict
    disposition: Disposition
    decided_by: DecidedBy
    steps: tuple[Step, ...] = ()
    out: Egress | None = None
    connection: ConnEntry | None = None
    """The connection tracking entry after the packet, when there is one in the table; left out where no steps are kept."""
    conditions: tuple[Condition, ...] = ()
    assumptions: tuple[str, ...] = ()
    answers: tuple[Trace, ...] = field(default=())
    """Packets the node made because of this one (REJECT's answer, ICMP errors), each with its own walk."""
    errno: str | None = None
    """What the sending program of a local packet gets, when the send fails."""


@dataclass(frozen=True, slots=True)
class Walk:
    """All outcomes of one packet; `verdict` sums them up."""

    outcomes: tuple[Trace, ...]
    verdict: Verdict
    complete: bool = True
    """False when there were more outcomes than are listed."""

    @property
    def trace(self) -> Trace:
        """The first outcome, which is the only one when nothing is in doubt."""
        return self.outcomes[0]
