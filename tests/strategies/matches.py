"""Matches as the codec reads them from iptables-save: every option of every extension the tested kernel has.

Each strategy draws normal forms only: the values that parsing gives, which print and parse back to themselves. Sets named
here are those of `tests.strategies.rules.SETS`.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

from hypothesis import strategies as st

from tortie.codec.match_network import ADDRESS_TYPES
from tortie.net.address import AddressMask, AddressRange, IPFamily, prefix_mask
from tortie.net.protocol import PROTOCOL_NAMES
from tortie.netfilter import match as m
from tortie.netfilter.match import IntRange, Test

T = TypeVar("T")
Strategy = st.SearchStrategy[Any]

u8, u16, u32 = st.integers(0, 0xFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
u64 = st.integers(0, (1 << 64) - 1)
inverted = st.booleans()
flag = st.booleans()
interface_names = st.from_regex(r"[a-z][a-z0-9._-]{0,13}\+?", fullmatch=True)
plain_names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,10}", fullmatch=True)
texts = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=("Cs", "Cc")), min_size=1, max_size=24
)
"""Strings with blanks, quotes, backslashes and letters of two bytes."""
no = st.none()


def maybe(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    """The option or its absence."""
    return no | strategy


def tested(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[Test[T]]:
    """An option with or without `!`."""
    return st.builds(Test, strategy, inverted)


def spans(high: int, low: int = 0, *, vacuous: bool = True) -> st.SearchStrategy[IntRange]:
    """Ranges that run upwards, one number as often as not; `vacuous` allows the full range."""
    one = st.integers(low, high).map(lambda number: IntRange(number, number))
    two = st.tuples(st.integers(low, high), st.integers(low, high)).map(lambda ends: IntRange(min(ends), max(ends)))
    found = one | two
    return found if vacuous else found.filter(lambda span: span != IntRange(0, high))


def hosts(family: IPFamily) -> st.SearchStrategy[int]:
    """Addresses, also those with a special text."""
    special = [0, 1, 0xFFFF, 0x10000, 0x01020304, 0xFFFF01020304, 1 << 112, family.all_ones]
    return st.integers(0, family.all_ones) | st.sampled_from([value for value in special if value <= family.all_ones])


def nets(family: IPFamily) -> st.SearchStrategy[AddressMask]:
    """What `-s` holds: networks, and masks with holes; never the one that tests nothing."""
    masks = st.integers(1, family.bits).map(lambda length: prefix_mask(family, length)) | st.integers(1, family.all_ones)
    return st.builds(lambda value, mask: AddressMask(family, value & mask, mask), hosts(family), masks)


def host_masks(family: IPFamily) -> st.SearchStrategy[AddressMask]:
    """Addresses with a prefix length, host bits kept."""
    return st.builds(
        lambda value, length: AddressMask(family, value if length else 0, prefix_mask(family, length)),
        hosts(family),
        st.integers(0, family.bits),
    )


def address_ranges(family: IPFamily) -> st.SearchStrategy[AddressRange]:
    """Ranges of addresses, also backwards ones."""
    return st.builds(AddressRange, st.just(family), hosts(family), hosts(family))


def at_least_one(cls: type[Any], **options: Strategy) -> Strategy:
    """A value of which one option at least is given."""
    return st.builds(cls, **{name: maybe(option) for name, option in options.items()}).filter(lambda value: value != cls())


# --- layer 4 -----------------------------------------------------------------------------------------------------

_ports = spans(65535, vacuous=False)
_flags = st.builds(m.TcpFlagsTest, st.integers(1, 63), st.integers(0, 63))
_chunk_flags = {"DATA": "IUBE", "ABORT": "T", "SHUTDOWN_COMPLETE": "T"}
_chunks = ["DATA", "INIT", "SACK", "ABORT", "SHUTDOWN", "SHUTDOWN_COMPLETE", "I_DATA", "RE_CONFIG", "PAD", "ASCONF"]


@st.composite
def sctp_chunks(draw: st.DrawFn) -> m.SctpChunksTest:
    """Chunk types in order, some with flags."""
    mode = draw(st.sampled_from(["any", "all", "only"]))
    if draw(st.integers(0, 4)) == 0:
        return m.SctpChunksTest(mode, ((draw(st.sampled_from(["ALL", "NONE"])), ""),))
    names = draw(st.sets(st.sampled_from(_chunks), min_size=1, max_size=4))
    chunks = []
    for name in _chunks:
        if name in names:
            letters = "".join(draw(st.sampled_from([letter, letter.lower(), ""])) for letter in _chunk_flags.get(name, ""))
            chunks.append((name, letters))
    return m.SctpChunksTest(mode, tuple(chunks))


_dccp_types = ["REQUEST", "RESPONSE", "DATA", "ACK", "DATAACK", "CLOSEREQ", "CLOSE", "RESET", "SYNC", "SYNCACK", "INVALID"]


def in_order(names: list[str] | tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    """Some of the names, at least one, in their order."""
    return st.sets(st.sampled_from(list(names)), min_size=1).map(
        lambda found: tuple(name for name in names if name in found)
    )


@st.composite
def port_lists(draw: st.DrawFn) -> tuple[IntRange, ...]:
    """Ports of multiport: up to fifteen slots."""
    slots = draw(st.integers(1, 15))
    found: list[IntRange] = []
    while slots:
        low = draw(st.integers(0, 65534))
        if slots > 1 and draw(flag):
            found.append(IntRange(low, draw(st.integers(low + 1, 65535))))
            slots -= 2
        else:
            found.append(IntRange(low, low))
            slots -= 1
    return tuple(found)


_multiport = st.builds(m.MultiportMatch, st.sampled_from(m.PortSide), port_lists(), inverted)
_codes = st.just(IntRange(0, 255)) | u8.map(lambda code: IntRange(code, code))
_any_icmp = st.builds(m.IcmpMatch, st.just(255), st.just(IntRange(0, 255)), inverted)
_spi = maybe(tested(spans(0xFFFFFFFF, vacuous=False)))

_tcp = st.builds(
    m.TcpMatch,
    maybe(tested(_ports)),
    maybe(tested(_ports)),
    maybe(tested(_flags)),
    maybe(tested(st.integers(1, 255))),
)
_tcp_ecn = at_least_one(m.EcnMatch, ect=tested(st.integers(0, 3)), cwr=tested(st.just(True)), ece=tested(st.just(True)))
_osf_level = maybe(st.integers(0, 2))
_osf = st.builds(m.OsfMatch, st.sampled_from(["Linux", "Windows"]), _osf_level, _osf_level, inverted)
_udp = st.builds(m.UdpMatch, maybe(tested(_ports)), maybe(tested(_ports)))
_full_ports = maybe(tested(spans(65535)))
_sctp = st.builds(m.SctpMatch, _full_ports, _full_ports, maybe(tested(sctp_chunks())))
_dccp = st.builds(
    m.DccpMatch, _full_ports, _full_ports, maybe(tested(in_order(_dccp_types))), maybe(tested(st.integers(1, 255)))
)
_icmp = st.builds(m.IcmpMatch, st.integers(0, 254), _codes, inverted) | _any_icmp
_icmp6 = st.builds(m.Icmp6Match, u8, _codes, inverted)
_mh = st.builds(m.MhMatch, maybe(tested(spans(255, vacuous=False))))
_ah6 = st.builds(m.AhMatch, _spi, maybe(tested(u32.filter(bool))), flag)

_BY_PROTOCOL: dict[int, Strategy] = {
    17: _udp | _multiport,
    33: _dccp | _multiport,
    50: st.builds(m.EspMatch, _spi),
    108: st.builds(m.IpcompMatch, tested(spans(0xFFFFFFFF)), flag),
    132: _sctp | _multiport,
    136: _multiport,
}
_TCP_MATCHES = _tcp | st.builds(m.TcpmssMatch, spans(65535), inverted) | _multiport | _tcp_ecn
PROTOCOL_MATCHES: dict[IPFamily, dict[int, Strategy]] = {
    IPFamily.V4: {**_BY_PROTOCOL, 6: _TCP_MATCHES | _osf, 1: _icmp, 51: st.builds(m.AhMatch, _spi)},
    IPFamily.V6: {**_BY_PROTOCOL, 6: _TCP_MATCHES, 58: _icmp6, 135: _mh, 51: _ah6},
}
"""Matches that need a protocol, by its number."""

# --- layers 3 and 2 ----------------------------------------------------------------------------------------------


def hop_limits(cls: type[Any]) -> Strategy:
    """TTL or hop limit tests: only equality is inverted."""
    equal = st.builds(cls, st.just(m.Compare.EQ), u8, inverted)
    return equal | st.builds(cls, st.sampled_from([m.Compare.LT, m.Compare.GT]), u8)


def _element(family: IPFamily) -> Strategy:
    tunnel = st.builds(
        m.PolicyElement,
        reqid=maybe(tested(u32)),
        spi=maybe(tested(u32)),
        proto=maybe(tested(st.sampled_from([50, 51, 108]))),
        mode=st.just(Test("tunnel")),
        tunnel_source=maybe(tested(host_masks(family))),
        tunnel_destination=maybe(tested(host_masks(family))),
    )
    other = st.builds(
        m.PolicyElement,
        reqid=maybe(tested(u32)),
        spi=maybe(tested(u32)),
        proto=maybe(tested(st.sampled_from([50, 51, 108]))),
        mode=maybe(tested(st.just("transport"))),
    ).filter(lambda element: element != m.PolicyElement())
    return tunnel | other


def policies(family: IPFamily) -> Strategy:
    """IPsec policies, strict ones with up to four elements."""
    direction = st.sampled_from(["in", "out"])
    none = st.builds(m.PolicyMatch, direction, st.just("none"))
    loose = st.builds(m.PolicyMatch, direction, st.just("ipsec"), st.just(False), st.tuples() | st.tuples(_element(family)))
    strict = st.builds(
        m.PolicyMatch,
        direction,
        st.just("ipsec"),
        st.just(True),
        st.lists(_element(family), min_size=1, max_size=4).map(tuple),
    )
    return none | loose | strict


_u32_test = st.builds(
    m.U32Test,
    u32,
    st.lists(
        st.tuples(st.sampled_from(["&", "@"]), u32) | st.tuples(st.sampled_from(["<<", ">>"]), st.integers(0, 31)),
        max_size=4,
    ).map(tuple),
    st.lists(spans(0xFFFFFFFF), min_size=1, max_size=3).map(tuple),
)
_string = st.builds(
    lambda pattern, algorithm, ends, ignore_case, inverted: m.StringMatch(
        pattern, algorithm, min(ends), max(ends), ignore_case, inverted
    ),
    st.binary(min_size=1, max_size=16) | texts.map(lambda text: text.encode()[:16]).filter(bool),
    st.sampled_from(["bm", "kmp"]),
    st.tuples(u16, u16),
    flag,
    inverted,
)
_group = st.tuples(u32, u32) | u32.map(lambda value: (value, 0xFFFFFFFF))
_IPV6_TYPES = ("UNSPEC", "UNICAST", "LOCAL", "ANYCAST", "MULTICAST", "UNREACHABLE")


def addrtypes(family: IPFamily) -> Strategy:
    """Address types of the family; at most one limit."""
    kinds = tested(in_order(ADDRESS_TYPES if family is IPFamily.V4 else _IPV6_TYPES))
    limits = st.sampled_from([(False, False), (True, False), (False, True)])
    return st.builds(
        lambda source, destination, limit: m.AddrtypeMatch(source, destination, *limit),
        maybe(kinds),
        maybe(kinds),
        limits,
    ).filter(lambda match: match.source or match.destination)


@cache
def network_matches(family: IPFamily) -> list[Strategy]:
    """Matches on layers 3 and 2 that need no protocol."""
    common = [
        st.builds(m.LengthMatch, st.builds(IntRange, u16, u16), inverted),
        st.builds(m.TosMatch, u8, u8, inverted),
        st.builds(m.DscpMatch, st.integers(0, 63), inverted),
        st.builds(m.EcnMatch, tested(st.integers(0, 3))),
        at_least_one(m.IprangeMatch, source=tested(address_ranges(family)), destination=tested(address_ranges(family))),
        st.builds(m.MacMatch, st.binary(min_size=6, max_size=6), inverted),
        st.builds(m.PkttypeMatch, st.sampled_from(["unicast", "broadcast", "multicast", "otherhost"]), inverted),
        addrtypes(family),
        st.builds(m.RpfilterMatch, flag, flag, flag, flag),
        at_least_one(
            m.PhysdevMatch,
            in_dev=tested(interface_names),
            out_dev=tested(interface_names),
            is_in=tested(st.just(True)),
            is_out=tested(st.just(True)),
            is_bridged=tested(st.just(True)),
        ),
        at_least_one(m.DevgroupMatch, source=tested(_group), destination=tested(_group)),
        policies(family),
        st.builds(m.U32Match, st.lists(_u32_test, min_size=1, max_size=3).map(tuple), inverted),
        st.builds(
            m.BpfMatch,
            st.lists(st.just((0x30, 0, 0, 9)), max_size=3).map(lambda code: (*code, (6, 0, 0, 1))),
        ),
        _string,
    ]
    return common + (_v4_matches() if family is IPFamily.V4 else _v6_matches(family))


def _v4_matches() -> list[Strategy]:
    realm = st.builds(m.RealmMatch, u32, st.just(0xFFFFFFFF) | u32, inverted)
    return [hop_limits(m.TtlMatch), realm]


_HEADERS = ("hop-by-hop", "ipv6-opts", "ipv6-route", "ipv6-frag", "ah", "esp", "ipv6-nonxt", "protocol")
_header_option = st.tuples(st.integers(1, 255), no | st.integers(0, 254)) | st.just((0, None))
_header_options = st.lists(_header_option, max_size=5).map(tuple)


@st.composite
def routing_headers(draw: st.DrawFn) -> m.RtMatch:
    """Tests of the routing header; those of type 0 only behind it."""
    fields: dict[str, Any] = {
        "segments_left": draw(maybe(tested(spans(0xFFFFFFFF, vacuous=False)))),
        "length": draw(maybe(tested(u32))),
    }
    if draw(flag):
        fields |= {"type": Test(0), "reserved": draw(flag)}
        fields["addresses"] = tuple(draw(st.lists(hosts(IPFamily.V6), max_size=3)))
        fields["not_strict"] = bool(fields["addresses"]) and draw(flag)
    else:
        fields["type"] = draw(maybe(tested(st.integers(1, 255))))
    return m.RtMatch(**fields)


@st.composite
def segment_routing_headers(draw: st.DrawFn) -> m.SrhMatch:
    """Tests of the segment routing header."""
    options: list[tuple[str, str, bool]] = []

    def add(name: str, value: Strategy) -> None:
        if draw(st.integers(0, 2)) == 0:
            options.append((name, str(draw(value)), draw(flag)))

    add("srh-next-hdr", u8)
    for stem in ("srh-hdr-len", "srh-segs-left", "srh-last-entry"):
        add(f"{stem}-{draw(st.sampled_from(['eq', 'gt', 'lt']))}", u8)
    add("srh-tag", u16)
    for name in ("srh-psid", "srh-nsid", "srh-lsid"):
        add(name, host_masks(IPFamily.V6))
    return m.SrhMatch(tuple(options))


def _v6_matches(family: IPFamily) -> list[Strategy]:
    return [
        hop_limits(m.HlMatch),
        st.builds(
            m.FragMatch,
            maybe(tested(spans(0xFFFFFFFF, vacuous=False))),
            maybe(tested(u32)),
            flag,
            flag,
            flag,
            flag,
        ).filter(lambda match: not (match.more and match.last)),
        *(st.builds(m.OptionsMatch, st.just(name), maybe(tested(u32)), _header_options) for name in ("hbh", "dst")),
        routing_headers(),
        st.builds(m.Ipv6headerMatch, in_order(_HEADERS), flag, inverted),
        st.just(m.Eui64Match()),
        segment_routing_headers(),
    ]


# --- marks, tracking, sets, sockets ------------------------------------------------------------------------------

_mark_fields = st.tuples(u32, st.just(0xFFFFFFFF) | u32)
_states = st.sets(st.sampled_from(m.CtState), min_size=1).map(frozenset)
_old_states = st.sets(st.sampled_from([s for s in m.CtState if s.value not in ("SNAT", "DNAT")]), min_size=1).map(frozenset)
_statuses = st.just(frozenset({m.CtStatus.NONE})) | st.sets(
    st.sampled_from([status for status in m.CtStatus if status is not m.CtStatus.NONE]), min_size=1
).map(frozenset)


def marks(cls: type[Any]) -> Strategy:
    """Mark tests, also those that can never hold."""
    return st.builds(lambda fields, inverted: cls(*fields, inverted), _mark_fields, inverted)


def conntracks(family: IPFamily) -> Strategy:
    """Every option of `-m conntrack`."""
    addresses, ports = tested(host_masks(family)), tested(spans(65535))
    return at_least_one(
        m.ConntrackMatch,
        states=tested(_states),
        proto=tested(st.sampled_from([6, 17, 1, 58, 253])),
        orig_src=addresses,
        orig_dst=addresses,
        reply_src=addresses,
        reply_dst=addresses,
        orig_src_ports=ports,
        orig_dst_ports=ports,
        reply_src_ports=ports,
        reply_dst_ports=ports,
        status=tested(_statuses),
        expire=tested(spans(0xFFFFFFFF)),
        direction=st.sampled_from(m.Direction),
    )


sides = st.lists(st.sampled_from(m.Side), min_size=1, max_size=3).map(tuple)
_counter = st.builds(m.CounterTest, st.just(m.Compare.EQ), u64, inverted) | st.builds(
    m.CounterTest, st.sampled_from([m.Compare.LT, m.Compare.GT]), u64
)


def set_matches(sets: tuple[str, ...]) -> Strategy:
    """Tests of the named sets."""
    return st.builds(m.SetMatch, st.sampled_from(sets), sides, inverted, flag, flag, flag, maybe(_counter), maybe(_counter))


_ids = spans(0xFFFFFFFE)
_owner = st.builds(
    lambda uid, gid, socket, groups: m.OwnerMatch(uid, gid, socket, groups and gid is not None),
    maybe(tested(_ids)),
    maybe(tested(_ids)),
    maybe(tested(st.just(True))),
    flag,
).filter(lambda match: match != m.OwnerMatch())


@st.composite
def clusters(draw: st.DrawFn) -> m.ClusterMatch:
    """Node masks that fit the number of nodes; iptables 1.8.9 reads none above 32, though it prints them."""
    total = draw(st.integers(1, 32))
    return m.ClusterMatch(total, draw(st.integers(1, min(32, (1 << total) - 1))), draw(u32), draw(inverted))


_connbytes = st.builds(
    lambda ends, open_end, direction, mode, inverted: m.ConnbytesMatch(
        min(ends), None if open_end else max(ends), direction, mode, inverted and (open_end or ends[0] != ends[1])
    ),
    st.tuples(st.integers(1, (1 << 64) - 2), st.integers(1, (1 << 64) - 2)),
    flag,
    st.sampled_from(["original", "reply", "both"]),
    st.sampled_from(["packets", "bytes", "avgpkt"]),
    inverted,
)


@cache
def state_matches(family: IPFamily, sets: tuple[str, ...]) -> list[Strategy]:
    """Matches on marks, tracking, sets and sockets."""
    return [
        st.builds(m.CommentMatch, texts),
        marks(m.MarkMatch),
        marks(m.ConnmarkMatch),
        conntracks(family),
        st.builds(m.StateMatch, _old_states, inverted),
        set_matches(sets),
        _owner,
        st.builds(m.SocketMatch, flag, flag, flag),
        st.builds(m.HelperMatch, plain_names, inverted),
        st.builds(m.ConnlabelMatch, st.integers(0, 127).map(str), flag, inverted),
        _connbytes,
        st.builds(m.ConnlimitMatch, u32, flag, st.integers(0, family.bits), flag),
        clusters(),
        st.builds(m.CgroupMatch, u32, no, inverted) | st.builds(m.CgroupMatch, no, st.just("/"), inverted),
        st.builds(m.CpuMatch, u32, inverted),
    ]


# --- chance and history ------------------------------------------------------------------------------------------

_rates = st.sampled_from(["1/sec", "5/sec", "10000/sec", "3/min", "61/min", "7/hour", "3/hour", "25/day", "40/day"])
_units = {"sec": 1000, "min": 60000, "hour": 3600000, "day": 86400000}


@st.composite
def hash_limits(draw: st.DrawFn, family: IPFamily) -> m.HashlimitMatch:
    """Rates in packets and bytes; the name is drawn from so many that one kernel never meets it twice."""
    rate, burst = draw(
        st.tuples(_rates, st.integers(1, 10000).map(str))
        | st.sampled_from([("512kb/s", None), ("1mb/s", "3mb"), ("96b/s", None), ("2kb/s", "4kb")])
    )
    unit_ms = _units.get(rate.partition("/")[2], 15000)
    expire = draw(maybe(st.integers(1, 1_000_000)))
    matched = draw(flag)
    if matched and rate.endswith(("min", "hour", "day")):
        rate = f"{rate.partition('/')[0]}/sec"
        unit_ms = _units["sec"]
    return m.HashlimitMatch(
        name=f"h{draw(st.integers(0, 10**12)):x}",
        rate=rate,
        above=draw(flag),
        burst=burst,
        modes=draw(st.just(()) | in_order(("srcip", "srcport", "dstip", "dstport"))),
        htable_size=draw(maybe(st.integers(1, 1000))),
        htable_max=draw(maybe(st.integers(1, 1000))),
        htable_gcinterval=draw(maybe(st.integers(1, 100_000).filter(lambda ms: ms != 1000))),
        htable_expire=None if expire == unit_ms else expire,
        source_mask=draw(maybe(st.integers(0, family.bits - 1))),
        destination_mask=draw(maybe(st.integers(0, family.bits - 1))),
        rate_match=matched,
        rate_interval=draw(maybe(st.integers(2, 1000))) if matched else None,
    )


@st.composite
def statistics(draw: st.DrawFn) -> m.StatisticMatch:
    """Both modes."""
    if draw(flag):
        return m.StatisticMatch(probability=draw(st.integers(0, 0x80000000)), inverted=draw(inverted))
    every = draw(st.integers(1, 0xFFFFFFFF))
    return m.StatisticMatch(every=every, packet=draw(st.integers(0, every - 1)), inverted=draw(inverted))


@st.composite
def recents(draw: st.DrawFn, family: IPFamily) -> m.RecentMatch:
    """Every command of `-m recent` with the options it takes."""
    command = draw(st.sampled_from(["set", "rcheck", "update", "remove"]))
    fields: dict[str, Any] = {}
    if command in ("rcheck", "update"):
        seconds = draw(maybe(st.integers(1, 0x7FFFFFFF)))
        fields = {
            "seconds": seconds,
            "reap": seconds is not None and draw(flag),
            "hitcount": draw(maybe(st.integers(1, 20))),
            "ttl": draw(flag),
        }
    return m.RecentMatch(
        command,
        draw(plain_names),
        draw(st.sampled_from(m.Side)),
        draw(hosts(family)),
        inverted=draw(inverted),
        **fields,
    )


@st.composite
def times(draw: st.DrawFn) -> m.TimeMatch:
    """Times of day, dates, days; only days that leave something out are kept."""
    start, stop = draw(st.tuples(st.integers(0, 86399), st.integers(0, 86399)))
    timed = draw(flag) and (start, stop) != (0, 86399)
    return m.TimeMatch(
        start_s=start if timed else None,
        stop_s=stop if timed else None,
        date_start=draw(maybe(st.integers(1, 0x7FFFFFFF))),
        date_stop=draw(st.integers(1, 0x7FFFFFFF)),
        month_days=draw(maybe(_days(31))),
        week_days=draw(maybe(_days(7))),
        kernel_timezone=draw(flag),
        contiguous=timed and stop < start and draw(flag),
    )


def _days(count: int) -> Strategy:
    return st.sets(st.integers(1, count), min_size=1, max_size=count - 1).map(lambda days: Test(frozenset(days)))


@cache
def history_matches(family: IPFamily) -> list[Strategy]:
    """Matches of chance, history and the clock."""
    return [
        st.builds(m.LimitMatch, _rates, st.integers(1, 10000)),
        hash_limits(family),
        statistics(),
        recents(family),
        st.builds(m.QuotaMatch, u64, inverted),
        times(),
    ]


# --- the header --------------------------------------------------------------------------------------------------

PROTOCOLS = [*sorted(number for number in PROTOCOL_NAMES if number), 144, 253, 255]
"""Protocol numbers with and without a name."""


@cache
def all_matches(family: IPFamily, sets: tuple[str, ...]) -> Strategy:
    """Any match that is not of the header."""
    return st.one_of(
        *PROTOCOL_MATCHES[family].values(),
        *network_matches(family),
        *state_matches(family, sets),
        *history_matches(family),
    )
