"""Every test a rule can make, as values.

One class per extension (plus one per header test), holding what the kernel holds: numbers, masks, ranges. `Test` wraps
an option that can be negated on its own; `None` means that the option is not given. What a match means is decided by
the simulator, how it is written by `codec`; neither belongs here. `Match` is the closed union that every reader must
exhaust; a match Tortie cannot read is an `OpaqueMatch` and keeps its text.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeAlias, TypeVar

from tortie.net.address import AddressMask, AddressRange

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Test(Generic[T]):
    """An option's value and whether a `!` stands before the option."""

    __test__ = False  # pytest would otherwise collect it

    value: T
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class IntRange:
    """Whole numbers from `low` to `high`, both included; `low` above `high` holds nothing."""

    low: int
    high: int

    def __contains__(self, number: int) -> bool:
        return self.low <= number <= self.high


class CtState(Enum):
    """States of `-m conntrack --ctstate` and `-m state`, in the order iptables prints them."""

    INVALID = "INVALID"
    NEW = "NEW"
    RELATED = "RELATED"
    ESTABLISHED = "ESTABLISHED"
    UNTRACKED = "UNTRACKED"
    SNAT = "SNAT"
    DNAT = "DNAT"


class CtStatus(Enum):
    """Status bits of `--ctstatus`, in the order iptables prints them; NONE tests an empty bit set."""

    NONE = "NONE"
    EXPECTED = "EXPECTED"
    SEEN_REPLY = "SEEN_REPLY"
    ASSURED = "ASSURED"
    CONFIRMED = "CONFIRMED"


class Direction(Enum):
    """Direction of a packet within its connection."""

    ORIGINAL = "ORIGINAL"
    REPLY = "REPLY"

    __hash__ = object.__hash__


class Compare(Enum):
    """How a counter or hop limit is compared."""

    EQ = "eq"
    LT = "lt"
    GT = "gt"


class Side(Enum):
    """Source or destination, as in `--match-set NAME src,dst`."""

    SRC = "src"
    DST = "dst"


# --- the rule's header -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SourceMatch:
    """`-s`: the source address under a mask."""

    net: AddressMask
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class DestinationMatch:
    """`-d`: the destination address under a mask."""

    net: AddressMask
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class InInterfaceMatch:
    """`-i`: input device; a trailing `+` makes it a prefix."""

    name: str
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class OutInterfaceMatch:
    """`-o`: output device; a trailing `+` makes it a prefix."""

    name: str
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class ProtocolMatch:
    """`-p`: protocol number; in IPv6 the one found behind the extension headers."""

    number: int
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class FragmentMatch:
    """`-f`: second and further fragments (IPv4 only)."""

    inverted: bool = False


# --- layer 4 -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TcpFlagsTest:
    """`--tcp-flags mask comp` as bit sets of the TCP header (FIN is 1)."""

    mask: int
    compare: int


@dataclass(frozen=True, slots=True)
class TcpMatch:
    """`-m tcp`."""

    source_ports: Test[IntRange] | None = None
    destination_ports: Test[IntRange] | None = None
    flags: Test[TcpFlagsTest] | None = None
    option: Test[int] | None = None


@dataclass(frozen=True, slots=True)
class UdpMatch:
    """`-m udp`."""

    source_ports: Test[IntRange] | None = None
    destination_ports: Test[IntRange] | None = None


@dataclass(frozen=True, slots=True)
class SctpChunksTest:
    """`--chunk-types any|all|only CHUNK[:flags],…`: chunk names in order, each with its flag letters (or empty)."""

    mode: str
    chunks: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SctpMatch:
    """`-m sctp`."""

    source_ports: Test[IntRange] | None = None
    destination_ports: Test[IntRange] | None = None
    chunks: Test[SctpChunksTest] | None = None


@dataclass(frozen=True, slots=True)
class DccpMatch:
    """`-m dccp`; `types` are names such as REQUEST."""

    source_ports: Test[IntRange] | None = None
    destination_ports: Test[IntRange] | None = None
    types: Test[tuple[str, ...]] | None = None
    option: Test[int] | None = None


@dataclass(frozen=True, slots=True)
class IcmpMatch:
    """`-m icmp --icmp-type`: type 255 with the full code range is `any` (spec: netfilter 7.2)."""

    type: int
    codes: IntRange
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class Icmp6Match:
    """`-m icmp6 --icmpv6-type`."""

    type: int
    codes: IntRange
    inverted: bool = False


class PortSide(Enum):
    """Which ports `-m multiport` looks at; `value` is the option's name."""

    SOURCE = "sports"
    DESTINATION = "dports"
    EITHER = "ports"


@dataclass(frozen=True, slots=True)
class MultiportMatch:
    """`-m multiport`: up to 15 slots, a range takes two."""

    side: PortSide
    ports: tuple[IntRange, ...]
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class TcpmssMatch:
    """`-m tcpmss --mss`."""

    mss: IntRange
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class AhMatch:
    """`-m ah`: `spi` of IPv4 and IPv6; header length and reserved test only in IPv6."""

    spi: Test[IntRange] | None = None
    length: Test[int] | None = None
    reserved: bool = False


@dataclass(frozen=True, slots=True)
class EspMatch:
    """`-m esp --espspi`."""

    spi: Test[IntRange] | None = None


@dataclass(frozen=True, slots=True)
class IpcompMatch:
    """`-m ipcomp --ipcompspi`."""

    spi: Test[IntRange] | None = None
    reserved: bool = False


# --- layer 3 and 2 -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LengthMatch:
    """`-m length`: IPv4 total length, IPv6 payload length plus 40, in bytes."""

    length: IntRange
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class TtlMatch:
    """`-m ttl` (IPv4); only EQ can be inverted."""

    compare: Compare
    value: int
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class HlMatch:
    """`-m hl` (IPv6); only EQ can be inverted."""

    compare: Compare
    value: int
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class TosMatch:
    """`-m tos`: (tos AND mask) = value."""

    value: int
    mask: int = 0xFF
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class DscpMatch:
    """`-m dscp`: the upper six bits of the TOS byte."""

    value: int
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class EcnMatch:
    """`-m ecn`: the low two bits of the TOS byte, and TCP's CWR and ECE (the test's value is always True)."""

    ect: Test[int] | None = None
    cwr: Test[bool] | None = None
    ece: Test[bool] | None = None


@dataclass(frozen=True, slots=True)
class IprangeMatch:
    """`-m iprange`."""

    source: Test[AddressRange] | None = None
    destination: Test[AddressRange] | None = None


@dataclass(frozen=True, slots=True)
class MacMatch:
    """`-m mac --mac-source`: six bytes."""

    address: bytes
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class PkttypeMatch:
    """`-m pkttype`: `unicast`, `broadcast` or `multicast`, of the frame."""

    type: str
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class AddrtypeMatch:
    """`-m addrtype`: type names such as LOCAL in printed order."""

    source: Test[tuple[str, ...]] | None = None
    destination: Test[tuple[str, ...]] | None = None
    limit_iface_in: bool = False
    limit_iface_out: bool = False


@dataclass(frozen=True, slots=True)
class RpfilterMatch:
    """`-m rpfilter`: the reverse-path test."""

    loose: bool = False
    validmark: bool = False
    accept_local: bool = False
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class PhysdevMatch:
    """`-m physdev`: bridge ports; the `is_*` tests carry True."""

    in_dev: Test[str] | None = None
    out_dev: Test[str] | None = None
    is_in: Test[bool] | None = None
    is_out: Test[bool] | None = None
    is_bridged: Test[bool] | None = None


@dataclass(frozen=True, slots=True)
class DevgroupMatch:
    """`-m devgroup`: group and mask of the devices."""

    source: Test[tuple[int, int]] | None = None
    destination: Test[tuple[int, int]] | None = None


@dataclass(frozen=True, slots=True)
class RealmMatch:
    """`-m realm`: routing realm under a mask."""

    value: int
    mask: int = 0xFFFFFFFF
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class PolicyElement:
    """One element of `-m policy --strict`, or the only one without it."""

    reqid: Test[int] | None = None
    spi: Test[int] | None = None
    proto: Test[int] | None = None
    mode: Test[str] | None = None
    tunnel_source: Test[AddressMask] | None = None
    tunnel_destination: Test[AddressMask] | None = None


@dataclass(frozen=True, slots=True)
class PolicyMatch:
    """`-m policy`: IPsec policy; `direction` is `in` or `out`, `policy` is `ipsec` or `none`."""

    direction: str
    policy: str
    strict: bool = False
    elements: tuple[PolicyElement, ...] = ()


@dataclass(frozen=True, slots=True)
class U32Test:
    """One location of `-m u32`: offset, then operators (`&`, `<<`, `>>`, `@`) with numbers, then value ranges."""

    offset: int
    operations: tuple[tuple[str, int], ...]
    ranges: tuple[IntRange, ...]


@dataclass(frozen=True, slots=True)
class U32Match:
    """`-m u32`: all tests must hold."""

    tests: tuple[U32Test, ...]
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class BpfMatch:
    """`-m bpf`: a classic BPF program as (code, jt, jf, k), or the path of a pinned eBPF object."""

    program: tuple[tuple[int, int, int, int], ...] = ()
    pinned: str | None = None


@dataclass(frozen=True, slots=True)
class StringMatch:
    """`-m string`: `pattern` in raw bytes, offsets counted from the IP header."""

    pattern: bytes
    algorithm: str
    start: int = 0
    end: int = 65535
    ignore_case: bool = False
    inverted: bool = False


# --- IPv6 extension headers --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FragMatch:
    """`-m frag` (IPv6 fragment header)."""

    id: Test[IntRange] | None = None
    length: Test[int] | None = None
    reserved: bool = False
    first: bool = False
    more: bool = False
    last: bool = False


@dataclass(frozen=True, slots=True)
class OptionsMatch:
    """`-m hbh` and `-m dst` (`header` names which): header length and options as (type, length or None)."""

    header: str
    length: Test[int] | None = None
    options: tuple[tuple[int, int | None], ...] = ()


@dataclass(frozen=True, slots=True)
class RtMatch:
    """`-m rt` (IPv6 routing header)."""

    type: Test[int] | None = None
    segments_left: Test[IntRange] | None = None
    length: Test[int] | None = None
    reserved: bool = False
    addresses: tuple[int, ...] = ()
    not_strict: bool = False


@dataclass(frozen=True, slots=True)
class Ipv6headerMatch:
    """`-m ipv6header`: header names in printed order; `soft` asks that they are contained, else exactly these."""

    headers: tuple[str, ...]
    soft: bool = False
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class MhMatch:
    """`-m mh --mh-type` (Mobile IPv6)."""

    types: Test[IntRange] | None = None


@dataclass(frozen=True, slots=True)
class Eui64Match:
    """`-m eui64`."""


@dataclass(frozen=True, slots=True)
class SrhMatch:
    """`-m srh`: options in printed order as (name without dashes, value text or empty, inverted)."""

    options: tuple[tuple[str, str, bool], ...] = ()


# --- marks, tracking, sets, sockets ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CommentMatch:
    """`-m comment`: always true."""

    text: str


@dataclass(frozen=True, slots=True)
class MarkMatch:
    """`-m mark`: (mark AND mask) = value exactly; a value with bits outside the mask never matches."""

    value: int
    mask: int = 0xFFFFFFFF
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class ConnmarkMatch:
    """`-m connmark`: as `MarkMatch`, on the connection's mark; false without a connection, even inverted."""

    value: int
    mask: int = 0xFFFFFFFF
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class ConntrackMatch:
    """`-m conntrack`: each option may be inverted."""

    states: Test[frozenset[CtState]] | None = None
    proto: Test[int] | None = None
    orig_src: Test[AddressMask] | None = None
    orig_dst: Test[AddressMask] | None = None
    reply_src: Test[AddressMask] | None = None
    reply_dst: Test[AddressMask] | None = None
    orig_src_ports: Test[IntRange] | None = None
    orig_dst_ports: Test[IntRange] | None = None
    reply_src_ports: Test[IntRange] | None = None
    reply_dst_ports: Test[IntRange] | None = None
    status: Test[frozenset[CtStatus]] | None = None
    expire: Test[IntRange] | None = None
    direction: Direction | None = None


@dataclass(frozen=True, slots=True)
class StateMatch:
    """`-m state --state`."""

    states: frozenset[CtState]
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class CounterTest:
    """`--packets-eq`, `--bytes-gt` and so on of `-m set`; `!` is only allowed with EQ."""

    compare: Compare
    value: int
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class SetMatch:
    """`-m set --match-set NAME src,dst…`."""

    name: str
    sides: tuple[Side, ...]
    inverted: bool = False
    return_nomatch: bool = False
    update_counters: bool = True
    update_subcounters: bool = True
    packets: CounterTest | None = None
    bytes: CounterTest | None = None


@dataclass(frozen=True, slots=True)
class OwnerMatch:
    """`-m owner`: ranges of ids; the test of `socket_exists` carries True."""

    uid: Test[IntRange] | None = None
    gid: Test[IntRange] | None = None
    socket_exists: Test[bool] | None = None
    supplementary_groups: bool = False


@dataclass(frozen=True, slots=True)
class SocketMatch:
    """`-m socket`."""

    transparent: bool = False
    nowildcard: bool = False
    restore_skmark: bool = False


@dataclass(frozen=True, slots=True)
class HelperMatch:
    """`-m helper --helper`: a helper's name."""

    name: str
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class ConnlabelMatch:
    """`-m connlabel --label`: number or name as printed; `set` also sets the bit."""

    label: str
    set: bool = False
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class ConnbytesMatch:
    """`-m connbytes`: `high` None is unlimited; `direction` original, reply or both; `mode` packets, bytes or avgpkt."""

    low: int
    high: int | None
    direction: str
    mode: str
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class ConnlimitMatch:
    """`-m connlimit`: `limit` connections, `above` it or up to it, grouped by masked source or destination address."""

    limit: int
    above: bool
    mask_length: int
    by_destination: bool = False
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class ClusterMatch:
    """`-m cluster`: node mask among `total` nodes by a hash with `seed`."""

    total: int
    node_mask: int
    seed: int
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class CgroupMatch:
    """`-m cgroup`: a class id or a path."""

    classid: int | None = None
    path: str | None = None
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class CpuMatch:
    """`-m cpu`."""

    cpu: int
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class IpvsMatch:
    """`-m ipvs`; `ipvs` carries True, `method` is GATE, IPIP or MASQ."""

    ipvs: Test[bool] | None = None
    protocol: Test[int] | None = None
    virtual_address: Test[AddressMask] | None = None
    virtual_port: Test[int] | None = None
    direction: Direction | None = None
    method: Test[str] | None = None
    control_port: Test[int] | None = None


# --- chance, history, environment --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LimitMatch:
    """`-m limit`: `rate` as printed (`3/hour`)."""

    rate: str
    burst: int = 5


@dataclass(frozen=True, slots=True)
class HashlimitMatch:
    """`-m hashlimit`: `rate` as printed (`10/sec`, `512kb/s`); times in ms as printed; `above` or up to the rate."""

    name: str
    rate: str
    above: bool
    burst: str | None
    modes: tuple[str, ...] = ()
    htable_size: int | None = None
    htable_max: int | None = None
    htable_gcinterval: int | None = None
    htable_expire: int | None = None
    source_mask: int | None = None
    destination_mask: int | None = None
    rate_match: bool = False
    rate_interval: int | None = None


@dataclass(frozen=True, slots=True)
class StatisticMatch:
    """`-m statistic`: `probability` is the kernel's 31-bit threshold (mode random), else every/packet (mode nth)."""

    probability: int | None = None
    every: int | None = None
    packet: int | None = None
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class RecentMatch:
    """`-m recent`: `command` is set, rcheck, update or remove."""

    command: str
    name: str = "DEFAULT"
    side: Side = Side.SRC
    mask: int | None = None
    seconds: int | None = None
    reap: bool = False
    hitcount: int | None = None
    ttl: bool = False
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class QuotaMatch:
    """`-m quota`: bytes left."""

    quota: int
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class TimeMatch:
    """`-m time`: seconds of the day, Unix times, days; None where not given."""

    start_s: int | None = None
    stop_s: int | None = None
    date_start: int | None = None
    date_stop: int | None = None
    month_days: Test[frozenset[int]] | None = None
    week_days: Test[frozenset[int]] | None = None
    """1 is Monday, 7 is Sunday."""
    kernel_timezone: bool = False
    contiguous: bool = False


@dataclass(frozen=True, slots=True)
class NfacctMatch:
    """`-m nfacct`: always true, counts."""

    name: str


@dataclass(frozen=True, slots=True)
class OsfMatch:
    """`-m osf`: passive fingerprint of a genre."""

    genre: str
    ttl: int | None = None
    log: int | None = None
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class RateestMatch:
    """`-m rateest`: compares estimators; words kept as printed."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OpaqueMatch:
    """A match Tortie does not know: its name and the words after `-m name`, as printed."""

    name: str
    text: str


HeaderMatch: TypeAlias = (
    SourceMatch | DestinationMatch | InInterfaceMatch | OutInterfaceMatch | ProtocolMatch | FragmentMatch
)
Match: TypeAlias = (
    HeaderMatch
    | TcpMatch | UdpMatch | SctpMatch | DccpMatch | IcmpMatch | Icmp6Match | MultiportMatch | TcpmssMatch
    | AhMatch | EspMatch | IpcompMatch
    | LengthMatch | TtlMatch | HlMatch | TosMatch | DscpMatch | EcnMatch | IprangeMatch | MacMatch | PkttypeMatch
    | AddrtypeMatch | RpfilterMatch | PhysdevMatch | DevgroupMatch | RealmMatch | PolicyMatch | U32Match | BpfMatch
    | StringMatch
    | FragMatch | OptionsMatch | RtMatch | Ipv6headerMatch | MhMatch | Eui64Match | SrhMatch
    | CommentMatch | MarkMatch | ConnmarkMatch | ConntrackMatch | StateMatch | SetMatch | OwnerMatch | SocketMatch
    | HelperMatch | ConnlabelMatch | ConnbytesMatch | ConnlimitMatch | ClusterMatch | CgroupMatch | CpuMatch | IpvsMatch
    | LimitMatch | HashlimitMatch | StatisticMatch | RecentMatch | QuotaMatch | TimeMatch | NfacctMatch | OsfMatch
    | RateestMatch | OpaqueMatch
)  # fmt: skip
"""Every match there is; readers end in `assert_never`."""
