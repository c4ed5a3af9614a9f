"""Every target a rule can have, as values.

One class per target; `Jump` and `Goto` name chains. What a target does is decided by the simulator, how it is written by
`codec`. `Target` is the closed union that every reader must exhaust; an unknown target is an `OpaqueTarget`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from tortie.net.address import AddressMask
from tortie.netfilter.match import IntRange, Side


@dataclass(frozen=True, slots=True)
class Accept:
    """Ends this table at this hook; later tables and hooks still run."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Ends everything."""


@dataclass(frozen=True, slots=True)
class Return:
    """Back to the rule after the last jump; in a built-in chain the chain's policy."""


@dataclass(frozen=True, slots=True)
class Queue:
    """The old `QUEUE` target (legacy only)."""


@dataclass(frozen=True, slots=True)
class Jump:
    """`-j chain`."""

    chain: str


@dataclass(frozen=True, slots=True)
class Goto:
    """`-g chain`: as a jump that leaves no return point."""

    chain: str


@dataclass(frozen=True, slots=True)
class MarkTarget:
    """`MARK`: new = (old AND NOT mask) XOR value."""

    value: int
    mask: int


@dataclass(frozen=True, slots=True)
class ConnmarkSet:
    """`CONNMARK --set-xmark`: new = (old AND NOT mask) XOR value, on the connection's mark."""

    value: int
    mask: int


@dataclass(frozen=True, slots=True)
class ConnmarkSave:
    """`CONNMARK --save-mark`: ct = (ct AND NOT ct_mask) XOR (mark AND nf_mask)."""

    nf_mask: int = 0xFFFFFFFF
    ct_mask: int = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class ConnmarkRestore:
    """`CONNMARK --restore-mark`: mark = (mark AND NOT nf_mask) XOR (ct AND ct_mask)."""

    nf_mask: int = 0xFFFFFFFF
    ct_mask: int = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Reject:
    """`REJECT --reject-with`: the full name iptables prints, such as `icmp-port-unreachable` or `tcp-reset`."""

    reject_with: str


@dataclass(frozen=True, slots=True)
class NatRange:
    """Where NAT may go: addresses and ports, each from a range or None for unchanged; `base_port` shifts a DNAT range."""

    low: int | None = None
    high: int | None = None
    low_port: int | None = None
    high_port: int | None = None
    base_port: int | None = None


@dataclass(frozen=True, slots=True)
class Snat:
    """`SNAT --to-source`."""

    range: NatRange
    random: bool = False
    random_fully: bool = False
    persistent: bool = False


@dataclass(frozen=True, slots=True)
class Dnat:
    """`DNAT --to-destination`."""

    range: NatRange
    random: bool = False
    persistent: bool = False


@dataclass(frozen=True, slots=True)
class Masquerade:
    """`MASQUERADE`: source becomes an address of the output device."""

    ports: IntRange | None = None
    random: bool = False
    random_fully: bool = False


@dataclass(frozen=True, slots=True)
class Redirect:
    """`REDIRECT`: destination becomes this node."""

    ports: IntRange | None = None
    random: bool = False


@dataclass(frozen=True, slots=True)
class Netmap:
    """`NETMAP --to`: the network part is replaced, host bits stay."""

    net: AddressMask


class LogFlag(Enum):
    """Options of LOG that take no value, in printed order."""

    TCP_SEQUENCE = "log-tcp-sequence"
    TCP_OPTIONS = "log-tcp-options"
    IP_OPTIONS = "log-ip-options"
    UID = "log-uid"
    MACDECODE = "log-macdecode"


@dataclass(frozen=True, slots=True)
class Log:
    """`LOG`: writes to the kernel log, the packet goes on."""

    prefix: str = ""
    level: int = 4
    flags: frozenset[LogFlag] = frozenset()


@dataclass(frozen=True, slots=True)
class Nflog:
    """`NFLOG`."""

    group: int = 0
    prefix: str = ""
    size: int | None = None
    range: int | None = None
    threshold: int | None = None


@dataclass(frozen=True, slots=True)
class Nfqueue:
    """`NFQUEUE`: queues `low` to `high`."""

    low: int = 0
    high: int = 0
    bypass: bool = False
    cpu_fanout: bool = False


@dataclass(frozen=True, slots=True)
class CtTarget:
    """`CT`: `zone` is a number or `mark`; `zone_direction` None is both, else `orig` or `reply`."""

    notrack: bool = False
    helper: str | None = None
    timeout: str | None = None
    ct_events: tuple[str, ...] = ()
    exp_events: tuple[str, ...] = ()
    zone: int | str | None = None
    zone_direction: str | None = None


@dataclass(frozen=True, slots=True)
class Notrack:
    """`NOTRACK`, where it is printed under that name."""


@dataclass(frozen=True, slots=True)
class TtlTarget:
    """`TTL` (IPv4): `operation` is set, inc or dec."""

    operation: str
    value: int


@dataclass(frozen=True, slots=True)
class HlTarget:
    """`HL` (IPv6): `operation` is set, inc or dec."""

    operation: str
    value: int


@dataclass(frozen=True, slots=True)
class TosTarget:
    """`TOS`: new = (old AND NOT mask) XOR value."""

    value: int
    mask: int = 0xFF


@dataclass(frozen=True, slots=True)
class DscpTarget:
    """`DSCP`: sets the upper six bits."""

    value: int


@dataclass(frozen=True, slots=True)
class EcnTarget:
    """`ECN`: what to change; all None removes nothing."""

    tcp_remove: bool = False
    cwr: int | None = None
    ece: int | None = None
    ect: int | None = None


@dataclass(frozen=True, slots=True)
class TcpmssTarget:
    """`TCPMSS`: `mss` None clamps to the path MTU."""

    mss: int | None = None


@dataclass(frozen=True, slots=True)
class TcpoptstripTarget:
    """`TCPOPTSTRIP`: option numbers."""

    options: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ChecksumTarget:
    """`CHECKSUM --checksum-fill`."""


@dataclass(frozen=True, slots=True)
class ClassifyTarget:
    """`CLASSIFY --set-class major:minor`."""

    major: int
    minor: int


@dataclass(frozen=True, slots=True)
class TproxyTarget:
    """`TPROXY`: hands the packet to a transparent socket; `address` None is 0.0.0.0 or ::."""

    port: int
    address: int | None = None
    mark_value: int = 0
    mark_mask: int = 0


@dataclass(frozen=True, slots=True)
class TeeTarget:
    """`TEE`: copies the packet to a gateway."""

    gateway: int
    oif: str | None = None


@dataclass(frozen=True, slots=True)
class SetTarget:
    """`SET`: `operation` is add, del or map."""

    operation: str
    name: str
    sides: tuple[Side, ...]
    exist: bool = False
    timeout_s: int | None = None
    map_mark: bool = False
    map_prio: bool = False
    map_queue: bool = False


@dataclass(frozen=True, slots=True)
class TraceTarget:
    """`TRACE`: switches the kernel's rule trace on."""


@dataclass(frozen=True, slots=True)
class AuditTarget:
    """`AUDIT --type`."""

    type: str


@dataclass(frozen=True, slots=True)
class SynproxyTarget:
    """`SYNPROXY`: options in printed order as (name without dashes, value or None)."""

    options: tuple[tuple[str, int | None], ...] = ()


@dataclass(frozen=True, slots=True)
class PlainTarget:
    """A target that Tortie prints back but that has no effect on the path: name and words after it, as printed.

    For HMARK, IDLETIMER, LED, RATEEST, SECMARK, CONNSECMARK, CLUSTERIP, DNPT, SNPT: the simulator decides per name.
    """

    name: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpaqueTarget:
    """A target Tortie does not know: its name and the text after it, as printed."""

    name: str
    text: str


Target: TypeAlias = (
    Accept | Drop | Return | Queue | Jump | Goto
    | MarkTarget | ConnmarkSet | ConnmarkSave | ConnmarkRestore | Reject
    | Snat | Dnat | Masquerade | Redirect | Netmap
    | Log | Nflog | Nfqueue | CtTarget | Notrack
    | TtlTarget | HlTarget | TosTarget | DscpTarget | EcnTarget | TcpmssTarget | TcpoptstripTarget | ChecksumTarget
    | ClassifyTarget | TproxyTarget | TeeTarget | SetTarget | TraceTarget | AuditTarget | SynproxyTarget
    | PlainTarget | OpaqueTarget
)  # fmt: skip
"""Every target there is; readers end in `assert_never`."""
