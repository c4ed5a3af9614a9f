"""What the kernel answered for one packet, as values.

An `Outcome` separates what happened to the packet itself from what happened to packets the node made because of it (ICMP
errors, RST, REJECT's answers, copies). Steps are those of the kernel's own rule trace; nothing here is interpreted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tortie.net.address import IPFamily
from tortie.netfilter.conntrack import ConnEntry
from tortie.netfilter.hook import Backend, Hook


class StepKind(Enum):
    """What a line of the trace stands for."""

    RULE = "rule"
    POLICY = "policy"
    RETURN = "return"
    """The end of a user chain was reached."""


@dataclass(frozen=True, slots=True)
class KernelStep:
    """One line of the trace. Only rules that match are in it.

    `mark` is the packet's mark before the rule's target in the legacy back-end, after it in nft (spec: kernel-oracle 3.2,
    5). `number` counts from 1; a policy and a chain's end have the number of rules plus one. Interfaces are empty where the
    hook has none.
    """

    family: IPFamily
    backend: Backend
    hook: Hook
    table: str
    chain: str
    number: int
    kind: StepKind
    mark: int
    in_iface: str
    out_iface: str

    def __str__(self) -> str:
        tail = {StepKind.RULE: "", StepKind.POLICY: "P", StepKind.RETURN: "R"}[self.kind]
        mark = f"({self.mark:#x})" if self.mark else ""
        place = f"{self.hook.value}/{self.chain}" if self.chain != self.hook.value else self.chain
        return f"{self.table}:{place}:{tail}{self.number}{mark}"


class Origin(Enum):
    """Where a packet came from."""

    INJECTED = "injected"
    MADE = "made"
    """By the kernel, in answer to the injected one."""
    COPY = "copy"
    """By TEE."""


class Kind(Enum):
    """What a packet is, as far as answers are concerned."""

    ICMP_ERROR = "ICMP error"
    ICMP_REPLY = "ICMP reply"
    RESET = "RST"
    HANDSHAKE_ANSWER = "SYN+ACK"
    OTHER = "other"
    LATER_FRAGMENT = "later fragment"


@dataclass(frozen=True, slots=True)
class KernelWalk:
    """The steps of one packet in order, and its bytes at the first and the last step (None without a step).

    `first_mark` is its mark at the first step.
    """

    origin: Origin
    kind: Kind
    steps: tuple[KernelStep, ...]
    first: bytes | None = None
    last: bytes | None = None
    first_mark: int = 0
    hooks: tuple[Hook, ...] = ()
    """Where the packet was seen, in order and each stay once; also where the back-end under test has no chain."""
    first_out: str = ""
    """The output device at the first step."""
    last_keys: tuple[int, int] | None = None
    """Ports (or twice the ICMP identifier) at the last step, in either back-end's account."""


@dataclass(frozen=True, slots=True)
class Departure:
    """A packet that left the node, or (`delivered`) reached a socket of the node."""

    iface: str
    data: bytes
    origin: Origin
    frame_type: int | None = None
    """Ethernet type of the frame, where there is Ethernet."""
    destination_mac: bytes | None = None


class EventKind(Enum):
    """Conntrack events."""

    NEW = "NEW"
    UPDATE = "UPDATE"
    DESTROY = "DESTROY"


@dataclass(frozen=True, slots=True)
class ConnEvent:
    """A conntrack event with the entry as it was then; `status` are the raw bits (spec: netfilter 4.10)."""

    kind: EventKind
    entry: ConnEntry
    status: int


UNNAMED = "NOT_SPECIFIED"
"""What the kernel calls every reason that has no name."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything the kernel showed for one packet."""

    walks: tuple[KernelWalk, ...]
    """The injected packet's own walk first; then those of packets made by the kernel, in order of appearance."""
    departures: tuple[Departure, ...] = ()
    delivered: tuple[Departure, ...] = ()
    """What raw sockets of the node got: the proof that a packet went through INPUT."""
    errno: str | None = None
    """Name of the error a local sender got."""
    events: tuple[ConnEvent, ...] = ()
    drops: tuple[str, ...] = ()
    """Drop reasons of the kernel (skb:kfree_skb), when they were asked for."""
    drop_names: frozenset[str] = frozenset()
    """The reasons that the kernel has a name for."""

    def dropped_for(self, reason: str) -> bool:
        """True when this was told as a reason; a kernel that has no name for it tells of none in particular."""
        return (reason if reason in self.drop_names else UNNAMED) in self.drops

    @property
    def own(self) -> KernelWalk:
        """The injected packet's walk."""
        return self.walks[0]

    @property
    def sent(self) -> tuple[Departure, ...]:
        """The injected packet where it left: several when it was fragmented."""
        return tuple(departure for departure in self.departures if departure.origin is Origin.INJECTED)
