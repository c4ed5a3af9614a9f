"""Option tables of the matches on marks, tracking, sets and sockets.

Printed forms and orders were read off iptables 1.8.9 on both back-ends (spec: netfilter 7.4, 7.5, 9.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace

from tortie.codec.extension import (
    Extension,
    Given,
    fill_fields,
    filled_fields,
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
    PROTOCOL,
    PROTOCOL_NUMBER,
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
    HelperMatch,
    IntRange,
    IpvsMatch,
    MarkMatch,
    OwnerMatch,
    SetMatch,
    Side,
    SocketMatch,
    StateMatch,
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
    found: ConnbytesMatch = make(_CONNBYTES, filled_fields(given, family))
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
    found: ClusterMatch = make(_CLUSTER, filled_fields(given, family))
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
    return CgroupMatch(**filled_fields(given, family))


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


STATE_MATCHES: tuple[Extension, ...] = (
    _COMMENT, _MARK, _CONNMARK, _CONNTRACK, _STATE, _SET, _OWNER, _SOCKET, _HELPER, _CONNLABEL, _CONNBYTES, _CONNLIMIT,
    _CLUSTER, _CGROUP, _CPU, _IPVS,
)  # fmt: skip
"""Every match on marks, tracking, sets and sockets."""
