"""Option tables of the matches on marks, tracking, sets and sockets, and of those with chance, history or environment.

Printed forms and orders were read off iptables 1.8.9 on both back-ends (spec: netfilter 7.4 to 7.6, 9.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any

from tortie.codec.extension import (
    Extension,
    Given,
    Option,
    fill_fields,
    format_option,
    make,
    plain,
    switch,
    test,
    unprinted,
    whole,
)
from tortie.codec.kind import (
    HOST_MASK,
    MARK,
    MASK,
    PROTOCOL,
    PROTOCOL_NUMBER,
    RAW,
    STRING,
    Kind,
    choice,
    name_list,
    number,
    number_range,
    ports,
    read_net,
    read_number,
    string,
    words_of,
)
from tortie.codec.match_transport import V4
from tortie.codec.rate import LIMIT_RATE, HashRate, read_hash_rate
from tortie.codec.words import quote_always
from tortie.net.address import IPFamily, format_address, mask_length
from tortie.net.error import InvalidInput
from tortie.netfilter.match import (
    CgroupMatch,
    ClusterMatch,
    CommentMatch,
    Compare,
    ConnbytesMatch,
    ConnlabelMatch,
    ConnlimitMatch,
    ConnmarkMatch,
    ConntrackMatch,
    CounterTest,
    CpuMatch,
    CtState,
    CtStatus,
    Direction,
    HashlimitMatch,
    HelperMatch,
    IntRange,
    IpvsMatch,
    LimitMatch,
    MarkMatch,
    NfacctMatch,
    OsfMatch,
    OwnerMatch,
    QuotaMatch,
    RecentMatch,
    SetMatch,
    Side,
    SocketMatch,
    StateMatch,
    StatisticMatch,
)

# --- marks and tracking -------------------------------------------------------------------------------------------

_COMMENT = Extension("comment", CommentMatch, (plain("comment", STRING, "text"),))
_MARK = Extension("mark", MarkMatch, (whole("mark", MARK, "value", "mask"),))
_CONNMARK = Extension("connmark", ConnmarkMatch, (whole("mark", MARK, "value", "mask"),))

_STATES = {state.value: state for state in CtState}
_OLD_STATES = {state.value: state for state in CtState if state not in (CtState.SNAT, CtState.DNAT)}
_STATUSES = {status.value: status for status in CtStatus if status is not CtStatus.NONE}


def _read_statuses(text: str, family: IPFamily) -> frozenset[CtStatus]:
    found: set[CtStatus] = set()
    for part in text.upper().split(","):
        if not part or not "NONE".startswith(part):
            name = next((name for name in _STATUSES if part and name.startswith(part)), None)
            if name is None:
                raise InvalidInput(f"unknown connection status: {part!r}")
            found.add(_STATUSES[name])
    return frozenset(found or {CtStatus.NONE})


_STATUS_KIND = Kind(_read_statuses, lambda value, _: ",".join(status.value for status in CtStatus if status in value))


_CT_PORTS = ports()
_DIRECTION = choice({item.value: item for item in Direction}, {item.value.lower(): item for item in Direction})
_CONNTRACK = Extension(
    "conntrack",
    ConntrackMatch,
    (
        test("ctstate", name_list(_STATES, frozenset, short=True), "states"),
        test("ctproto", PROTOCOL_NUMBER, "proto"),
        test("ctorigsrc", HOST_MASK, "orig_src"),
        test("ctorigdst", HOST_MASK, "orig_dst"),
        test("ctreplsrc", HOST_MASK, "reply_src"),
        test("ctrepldst", HOST_MASK, "reply_dst"),
        test("ctorigsrcport", _CT_PORTS, "orig_src_ports"),
        test("ctorigdstport", _CT_PORTS, "orig_dst_ports"),
        test("ctreplsrcport", _CT_PORTS, "reply_src_ports"),
        test("ctrepldstport", _CT_PORTS, "reply_dst_ports"),
        test("ctstatus", _STATUS_KIND, "status"),
        test("ctexpire", number_range(0xFFFFFFFF), "expire"),
        plain("ctdir", _DIRECTION, "direction"),
    ),
    one_of=tuple(item.name for item in fields(ConntrackMatch)),
)
_STATE = Extension("state", StateMatch, (whole("state", name_list(_OLD_STATES, frozenset, short=True), "states"),))

# --- sets ---------------------------------------------------------------------------------------------------------


def _read_set(text: str, family: IPFamily) -> tuple[str, tuple[Side, ...]]:
    name, _, flags = text.rpartition(" ")
    return name, read_sides(flags)


def read_sides(text: str) -> tuple[Side, ...]:
    """`src,dst,…` of the set match and target; raises `InvalidInput`."""
    parts = text.split(",")
    if len(parts) > 6 or not all(part in ("src", "dst") for part in parts):
        raise InvalidInput(f"not a list of up to six src and dst: {text!r}")
    return tuple(Side(part) for part in parts)


def write_set(value: tuple[str, tuple[Side, ...]], family: IPFamily) -> str:
    """A set's name and its dimensions' sides."""
    name, sides = value
    return f"{name} {','.join(side.value for side in sides)}"


SET_KIND = Kind(_read_set, write_set, words=2)
"""A set's name and its flags."""

_COUNTER_OPTIONS = tuple(
    (what, compare) for what in ("packets", "bytes") for compare in (Compare.EQ, Compare.LT, Compare.GT)
)
_MATCH_SET = whole("match-set", SET_KIND, "name", "sides")
_SET_FLAGS = (
    plain("return-nomatch", None, "return_nomatch"),
    switch("update-counters", "update_counters"),
    switch("update-subcounters", "update_subcounters"),
)


def _build_set(given: Sequence[Given], family: IPFamily) -> SetMatch:
    filled: dict[str, object] = {}
    for item in given:
        what, _, compare = item.option.name.partition("-")
        if what in ("packets", "bytes"):
            if what in filled:
                raise InvalidInput(f"set takes one of --{what}-eq, --{what}-lt, --{what}-gt")
            filled[what] = CounterTest(Compare(compare), read_number(item.argument, 0, (1 << 64) - 1), item.inverted)
        else:
            fill_fields(filled, item, family)
    return make_set(filled)


def make_set(filled: dict[str, object]) -> SetMatch:
    """The set match from its fields; raises `InvalidInput` when the set is missing."""
    if "name" not in filled:
        raise InvalidInput("set needs --match-set")
    return SetMatch(**filled)  # type: ignore[arg-type]


def _take_apart_set(value: SetMatch, family: IPFamily) -> Iterable[str | None]:
    yield format_option(_MATCH_SET, value, family, {})
    for option in _SET_FLAGS:
        yield format_option(option, value, family, _SET.defaults)
    for what, counter in (("packets", value.packets), ("bytes", value.bytes)):
        if counter is not None:
            yield f"{'! ' if counter.inverted else ''}--{what}-{counter.compare.value} {counter.value}"


_SET = Extension(
    "set",
    SetMatch,
    (
        _MATCH_SET,
        *_SET_FLAGS,
        *(
            test(f"{what}-{compare.value}", number(), what)
            if compare is Compare.EQ
            else plain(f"{what}-{compare.value}", number(), what)
            for what, compare in _COUNTER_OPTIONS
        ),
        *unprinted(_MATCH_SET, "set"),
    ),
    build=_build_set,
    take_apart=_take_apart_set,
)

# --- sockets, helpers, labels -------------------------------------------------------------------------------------


def _read_ids(text: str, family: IPFamily) -> IntRange:
    low, dash, high = text.partition("-")
    if text == "root":
        return IntRange(0, 0)
    first = read_number(low, 0, 0xFFFFFFFE)
    last = read_number(high, 0, 0xFFFFFFFE) if dash else first
    if first > last:
        raise InvalidInput(f"range runs backwards: {text!r}")
    return IntRange(first, last)


_IDS = Kind(_read_ids, lambda value, _: str(value.low) if value.low == value.high else f"{value.low}-{value.high}")
_SUPPLEMENTARY = plain("suppl-groups", None, "supplementary_groups")


def _build_owner(given: Sequence[Given], family: IPFamily) -> OwnerMatch:
    filled: dict[str, object] = {}
    for item in given:
        if item.option is _SUPPLEMENTARY and "gid" not in filled:
            raise InvalidInput("owner takes --suppl-groups only behind --gid-owner")
        fill_fields(filled, item, family)
    found: OwnerMatch = make(_OWNER, filled)
    return found


_OWNER = Extension(
    "owner",
    OwnerMatch,
    (
        test("socket-exists", None, "socket_exists"),
        test("uid-owner", _IDS, "uid"),
        test("gid-owner", _IDS, "gid"),
        _SUPPLEMENTARY,
    ),
    one_of=("socket_exists", "uid", "gid"),
    build=_build_owner,
)
_SOCKET = Extension(
    "socket",
    SocketMatch,
    (
        plain("transparent", None, "transparent"),
        plain("nowildcard", None, "nowildcard"),
        plain("restore-skmark", None, "restore_skmark"),
    ),
)
_HELPER = Extension("helper", HelperMatch, (whole("helper", string(29, empty=True), "name"),))


def _read_label(text: str, family: IPFamily) -> str:
    """A label's number, or its name in a file that only the machine has."""
    return str(read_number(text, 0, 127)) if text[:1].isdigit() else text


_CONNLABEL = Extension(
    "connlabel",
    ConnlabelMatch,
    (whole("label", Kind(_read_label, lambda value, _: quote_always(value)), "label"), plain("set", None, "set")),
)


def _read_connbytes(text: str, family: IPFamily) -> tuple[int, int | None]:
    """`low:high`; a highest number that is left out or the largest there is means no limit."""
    low, joint, high = text.partition(":")
    top = (1 << 64) - 1
    first, last = read_number(low, 0, top) if low else 0, read_number(high, 0, top) if high else top
    if (not low and not joint) or first > last:
        raise InvalidInput(f"not a range: {text!r}")
    if not last:
        raise InvalidInput("connbytes 0:0 is printed as if it had no upper limit")
    return first, None if last == top else last


_CONNBYTES_OPTIONS = (
    whole(
        "connbytes",
        Kind(_read_connbytes, lambda value, _: str(value[0]) if value[1] is None else f"{value[0]}:{value[1]}"),
        "low",
        "high",
    ),
    plain("connbytes-mode", words_of("packets", "bytes", "avgpkt"), "mode"),
    plain("connbytes-dir", words_of("original", "reply", "both"), "direction"),
)


def _build_connbytes(given: Sequence[Given], family: IPFamily) -> ConnbytesMatch:
    """The kernel inverts by swapping the ends: a range of one number cannot be inverted (net/netfilter/xt_connbytes.c)."""
    filled: dict[str, Any] = {}
    for item in given:
        fill_fields(filled, item, family)
    found: ConnbytesMatch = make(_CONNBYTES, filled)
    return replace(found, inverted=found.inverted and found.low != found.high)


_CONNBYTES = Extension("connbytes", ConnbytesMatch, _CONNBYTES_OPTIONS, build=_build_connbytes)


def _build_connlimit(given: Sequence[Given], family: IPFamily) -> ConnlimitMatch:
    filled: dict[str, object] = {"mask_length": family.bits}
    for item in given:
        name = item.option.name
        if name in ("connlimit-upto", "connlimit-above"):
            if "limit" in filled:
                raise InvalidInput("connlimit takes one of --connlimit-upto and --connlimit-above")
            filled |= {"limit": read_number(item.argument), "above": (name == "connlimit-above") is not item.inverted}
        elif name == "connlimit-mask":
            mask = read_net(f"{format_address(family, 0)}/{item.argument}", family).mask
            filled["mask_length"] = mask_length(family, mask)
        else:
            if "by_destination" in filled:
                raise InvalidInput("connlimit takes one of --connlimit-saddr and --connlimit-daddr")
            filled["by_destination"] = name == "connlimit-daddr"
    return make_connlimit(filled)


def make_connlimit(filled: dict[str, object]) -> ConnlimitMatch:
    """The match from its fields; raises `InvalidInput` when no limit was given."""
    if "limit" not in filled or filled["mask_length"] is None:
        raise InvalidInput("connlimit needs --connlimit-upto or --connlimit-above")
    return ConnlimitMatch(**filled)  # type: ignore[arg-type]


def _take_apart_connlimit(value: ConnlimitMatch, family: IPFamily) -> Iterable[str | None]:
    yield f"--connlimit-{'above' if value.above is not value.inverted else 'upto'} {value.limit}"
    yield f"--connlimit-mask {value.mask_length}"
    yield "--connlimit-daddr" if value.by_destination else "--connlimit-saddr"


_CONNLIMIT = Extension(
    "connlimit",
    ConnlimitMatch,
    (
        whole("connlimit-upto", number(), "limit"),
        whole("connlimit-above", number(), "limit"),
        plain("connlimit-mask", number(), "mask_length"),
        plain("connlimit-saddr", None, "by_destination"),
        plain("connlimit-daddr", None, "by_destination"),
    ),
    build=_build_connlimit,
    take_apart=_take_apart_connlimit,
)


def _node_bit(text: str, family: IPFamily) -> int:
    node = read_number(text, 1, 32)
    return 1 << (node - 1)


def _build_cluster(given: Sequence[Given], family: IPFamily) -> ClusterMatch:
    filled: dict[str, object] = {}
    for item in given:
        fill_fields(filled, item, family)
    found: ClusterMatch = make(_CLUSTER, filled)
    if found.node_mask >> found.total:
        raise InvalidInput("cluster's local nodes do not fit the number of nodes")
    return found


_CLUSTER = Extension(
    "cluster",
    ClusterMatch,
    (
        whole("cluster-local-nodemask", number(1, form="#010x"), "node_mask"),
        plain("cluster-total-nodes", number(1, 32), "total"),
        plain("cluster-hash-seed", number(form="#010x"), "seed"),
        *unprinted(
            whole("cluster-local-node", Kind(_node_bit, lambda value, _: str(value)), "node_mask"), "cluster-local-node"
        ),
    ),
    build=_build_cluster,
)


def _build_cgroup(given: Sequence[Given], family: IPFamily) -> CgroupMatch:
    if len(given) != 1:
        raise InvalidInput("cgroup takes one of --cgroup and --path")
    filled: dict[str, object] = {}
    fill_fields(filled, given[0], family)
    return CgroupMatch(**filled)  # type: ignore[arg-type]


_CGROUP = Extension(
    "cgroup", CgroupMatch, (whole("path", STRING, "path"), whole("cgroup", number(), "classid")), build=_build_cgroup
)
_CPU = Extension("cpu", CpuMatch, (whole("cpu", number(), "cpu"),))
_IPVS = Extension(
    "ipvs",
    IpvsMatch,
    (
        test("vproto", PROTOCOL, "protocol"),
        test("vaddr", HOST_MASK, "virtual_address"),
        test("vport", number(0, 65535), "virtual_port"),
        plain("vdir", choice({item.value: item for item in Direction}), "direction"),
        test("vmethod", words_of("GATE", "IPIP", "MASQ"), "method"),
        test("vportctl", number(0, 65535), "control_port"),
        test("ipvs", None, "ipvs"),
    ),
)

# --- chance and history -------------------------------------------------------------------------------------------

_LIMIT_OPTIONS = (plain("limit", LIMIT_RATE, "rate", always=True), plain("limit-burst", number(0, 10000), "burst"))


def _build_limit(given: Sequence[Given], family: IPFamily) -> LimitMatch:
    filled: dict[str, object] = {}
    for item in given:
        fill_fields(filled, item, family)
    return LimitMatch(**{"rate": "3/hour", **filled})  # type: ignore[arg-type]


_LIMIT = Extension("limit", LimitMatch, _LIMIT_OPTIONS, build=_build_limit)

_HASHLIMIT_MODES = ("srcip", "srcport", "dstip", "dstport")
_HASHLIMIT_RATES = ("hashlimit-upto", "hashlimit-above", "hashlimit")
_HASHLIMIT_REST = (
    plain("hashlimit-mode", name_list({mode: mode for mode in _HASHLIMIT_MODES}), "modes"),
    plain("hashlimit-name", RAW, "name"),
    plain("hashlimit-htable-size", number(), "htable_size"),
    plain("hashlimit-htable-max", number(), "htable_max"),
    plain("hashlimit-htable-gcinterval", number(), "htable_gcinterval"),
    plain("hashlimit-htable-expire", number(), "htable_expire"),
    plain("hashlimit-srcmask", number(0, 128), "source_mask"),
    plain("hashlimit-dstmask", number(0, 128), "destination_mask"),
    plain("hashlimit-rate-match", None, "rate_match"),
    plain("hashlimit-rate-interval", number(1), "rate_interval"),
)


def _build_hashlimit(given: Sequence[Given], family: IPFamily) -> HashlimitMatch:
    filled: dict[str, Any] = {}
    rate: HashRate | None = None
    burst: str | None = None
    counted = any(item.option.name == "hashlimit-rate-match" for item in given)
    for item in given:
        name = item.option.name
        if name in _HASHLIMIT_RATES:
            if rate is not None:
                raise InvalidInput("hashlimit takes one rate")
            rate = read_hash_rate(item.argument, counted=counted)
            filled |= {"rate": rate.text, "above": (name == "hashlimit-above") is not item.inverted}
        elif name == "hashlimit-burst":
            burst = item.argument
        else:
            fill_fields(filled, item, family)
    if rate is None or "name" not in filled:
        raise InvalidInput("hashlimit needs a rate and --hashlimit-name")
    _drop_hashlimit_defaults(filled, rate, family)
    return HashlimitMatch(burst=rate.burst(burst), **filled)


def _drop_hashlimit_defaults(filled: dict[str, Any], rate: HashRate, family: IPFamily) -> None:
    """Leaves out what is not printed: defaults, and an expiry equal to the unit of the printed rate."""
    if filled.setdefault("htable_expire", rate.unit_ms) == rate.printed_unit_ms:
        del filled["htable_expire"]
    for key, default in (("htable_gcinterval", 1000), ("htable_size", 0), ("htable_max", 0)):
        if filled.get(key) == default:
            del filled[key]
    for key in ("source_mask", "destination_mask"):
        if filled.get(key, 0) > family.bits:
            raise InvalidInput(f"hashlimit's masks have up to {family.bits} bits")
        if filled.get(key) == family.bits:
            del filled[key]
    if not filled.get("rate_match"):
        filled.pop("rate_interval", None)
    elif rate.bytes is None:
        filled.setdefault("rate_interval", rate.unit_ms // 1000)
    if filled.get("rate_interval") == 1:
        del filled["rate_interval"]


def _take_apart_hashlimit(value: HashlimitMatch, family: IPFamily) -> Iterable[str | None]:
    yield f"--hashlimit-{'above' if value.above else 'upto'} {value.rate}"
    yield f"--hashlimit-burst {value.burst}" if value.burst is not None else None
    for option in _HASHLIMIT_REST:
        yield format_option(option, value, family, _HASHLIMIT.defaults)


_HASHLIMIT = Extension(
    "hashlimit",
    HashlimitMatch,
    (
        *(whole(name, RAW, "rate") for name in _HASHLIMIT_RATES),
        plain("hashlimit-burst", RAW, "burst"),
        *_HASHLIMIT_REST,
    ),
    build=_build_hashlimit,
    take_apart=_take_apart_hashlimit,
)


def _read_probability(text: str, family: IPFamily) -> int:
    try:
        share = float(text)
    except ValueError:
        raise InvalidInput(f"not a probability: {text!r}") from None
    if not 0 <= share <= 1:
        raise InvalidInput(f"not a probability from 0 to 1: {text!r}")
    return round(share * 0x80000000)


_PROBABILITY = whole("probability", Kind(_read_probability, lambda value, _: f"{value / 0x80000000:.11f}"), "probability")
_EVERY = whole("every", number(1), "every")
_PACKET = plain("packet", number(), "packet")


def _build_statistic(given: Sequence[Given], family: IPFamily) -> StatisticMatch:
    filled: dict[str, object] = {}
    mode = ""
    for item in given:
        if item.option.name == "mode":
            mode = item.argument
        else:
            fill_fields(filled, item, family)
    needed = {"random": {"probability"}, "nth": {"every", "packet"}}.get(mode)
    if needed is None or filled.keys() - {"inverted"} != needed:
        raise InvalidInput("statistic needs --mode random --probability or --mode nth --every --packet")
    if mode == "nth" and int(str(filled["packet"])) >= int(str(filled["every"])):
        raise InvalidInput("statistic's --packet must be below --every")
    return StatisticMatch(**filled)  # type: ignore[arg-type]


def _take_apart_statistic(value: StatisticMatch, family: IPFamily) -> Iterable[str | None]:
    yield "--mode nth" if value.probability is None else "--mode random"
    for option in (_PROBABILITY, _EVERY, _PACKET):
        yield format_option(option, value, family, _STATISTIC.defaults)


_STATISTIC = Extension(
    "statistic",
    StatisticMatch,
    (plain("mode", words_of("random", "nth")), _PROBABILITY, _EVERY, _PACKET),
    build=_build_statistic,
    take_apart=_take_apart_statistic,
)


def _recent_command(name: str) -> Option:
    return whole(name, None, command=name)


_RECENT_SIDES = (plain("rsource", None, side=Side.SRC), plain("rdest", None, side=Side.DST))


def _read_seconds(text: str, family: IPFamily) -> int:
    """Seconds in 32 bits; save prints the upper half of them as negative numbers."""
    return (1 << 32) - read_number(text[1:], 1, 1 << 31) if text.startswith("-") else read_number(text, 1)


_SECONDS = Kind(_read_seconds, lambda value, _: str(value - (1 << 32) if value >> 31 else value))
_RECENT_OPTIONS = (
    *(_recent_command(name) for name in ("set", "rcheck", "update", "remove")),
    plain("seconds", _SECONDS, "seconds"),
    plain("reap", None, "reap"),
    plain("hitcount", number(1), "hitcount"),
    plain("rttl", None, "ttl"),
    plain("name", RAW, "name", always=True),
    plain("mask", MASK, "mask"),
    *_RECENT_SIDES,
)


def _build_recent(given: Sequence[Given], family: IPFamily) -> RecentMatch:
    filled: dict[str, object] = {}
    for item in given:
        if item.option in _RECENT_SIDES:
            filled["side"] = item.option.constants["side"]
        else:
            fill_fields(filled, item, family)
    found: RecentMatch = make(_RECENT, {"mask": family.all_ones, **filled})
    reads = found.command in ("rcheck", "update")
    if not reads and (found.ttl or found.seconds is not None or found.hitcount is not None):
        raise InvalidInput("recent takes --seconds, --hitcount and --rttl only with --rcheck and --update")
    if found.reap and found.seconds is None:
        raise InvalidInput("recent's --reap needs --seconds")
    if not found.name or "/" in found.name:
        raise InvalidInput(f"bad name of a recent list: {found.name!r}")
    return found


_RECENT = Extension("recent", RecentMatch, _RECENT_OPTIONS, build=_build_recent)
_QUOTA = Extension("quota", QuotaMatch, (whole("quota", number(0, (1 << 64) - 1), "quota"),))

# --- environment --------------------------------------------------------------------------------------------------

_NFACCT = Extension("nfacct", NfacctMatch, (plain("nfacct-name", RAW, "name"),))
_OSF = Extension(
    "osf",
    OsfMatch,
    (whole("genre", RAW, "genre"), plain("ttl", number(0, 2), "ttl"), plain("log", number(0, 2), "log")),
    families=V4,
)

MARK_AND_STATE_MATCHES: tuple[Extension, ...] = (
    _COMMENT, _MARK, _CONNMARK, _CONNTRACK, _STATE, _SET, _OWNER, _SOCKET, _HELPER, _CONNLABEL, _CONNBYTES, _CONNLIMIT,
    _CLUSTER, _CGROUP, _CPU, _IPVS, _LIMIT, _HASHLIMIT, _STATISTIC, _RECENT, _QUOTA, _NFACCT, _OSF,
)  # fmt: skip
"""Every match on marks, tracking, sets, sockets, chance and history, but time."""
