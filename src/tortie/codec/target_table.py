"""Option tables of the targets: verdicts, marks, logging, tracking, and all others gathered.

Printed forms and orders were read off iptables 1.8.9 on both back-ends (spec: netfilter 6, 9.5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tortie.codec.extension import (
    Extension,
    Given,
    Option,
    fill_fields,
    filled_fields,
    format_option,
    make,
    plain,
    unprinted,
)
from tortie.codec.kind import (
    HOST,
    INTERFACE,
    RAW,
    XMARK,
    Kind,
    number,
    read_host,
    read_number,
    read_port,
    string,
    words_of,
)
from tortie.codec.match_state import SET_KIND
from tortie.codec.target_header import HEADER_TARGETS
from tortie.codec.target_nat import NAT_TARGETS
from tortie.codec.target_plain import PLAIN_TARGETS
from tortie.net.address import IPFamily, format_address
from tortie.net.error import InvalidInput
from tortie.netfilter.target import (
    Accept,
    AuditTarget,
    ConnmarkRestore,
    ConnmarkSave,
    ConnmarkSet,
    CtTarget,
    Drop,
    Log,
    LogFlag,
    MarkTarget,
    Nflog,
    Nfqueue,
    Notrack,
    Queue,
    Reject,
    Return,
    SetTarget,
    SynproxyTarget,
    TeeTarget,
    TproxyTarget,
    TraceTarget,
)

# --- marks --------------------------------------------------------------------------------------------------------

_FULL = 0xFFFFFFFF


def _mark_spelling(change: Callable[[int, int], tuple[int, int]], *, masked: bool = False) -> Kind:
    """An input form of a mark: `change` maps value and mask to the value and mask of `--set-xmark`."""

    def read(text: str, family: IPFamily) -> tuple[int, int]:
        value, slash, mask = text.partition("/")
        if slash and not masked:
            raise InvalidInput(f"no mask allowed here: {text!r}")
        return change(read_number(value), read_number(mask) if slash else _FULL)

    return Kind(read, XMARK.write)


_MARK_SPELLINGS: dict[str, Kind] = {
    "set-mark": _mark_spelling(lambda value, mask: (value, value | mask), masked=True),
    "and-mark": _mark_spelling(lambda value, mask: (0, ~value & _FULL)),
    "or-mark": _mark_spelling(lambda value, mask: (value, value)),
    "xor-mark": _mark_spelling(lambda value, mask: (value, 0)),
}
"""Input forms of `--set-xmark` (spec: netfilter 6)."""


def _mark_options() -> tuple[Option, ...]:
    return (
        plain("set-xmark", XMARK, "value", "mask"),
        *(Option(name, kind, ("value", "mask"), printed=False) for name, kind in _MARK_SPELLINGS.items()),
    )


_MARK = Extension("MARK", MarkTarget, _mark_options())

_CONNMARK_MASKS = (
    plain("nfmask", number(form="#x"), "nf_mask", always=True),
    plain("ctmask", number(form="#x"), "ct_mask", always=True),
)


def _build_connmark(given: Sequence[Given], family: IPFamily) -> ConnmarkSet | ConnmarkSave | ConnmarkRestore:
    filled: dict[str, int] = {}
    masks: dict[str, int] = {}
    command = ""
    for item in given:
        name = item.option.name
        if name in ("nfmask", "ctmask", "mask"):
            value = read_number(item.argument)
            for field_name in ("nf_mask", "ct_mask") if name == "mask" else (f"{name[:2]}_mask",):
                if field_name in masks:
                    raise InvalidInput("CONNMARK takes --mask, or --nfmask and --ctmask")
                masks[field_name] = value
            if name != "nfmask":
                filled["mask"] = value
        elif command:
            raise InvalidInput("CONNMARK takes one action")
        else:
            command = name
            if item.option.kind:
                filled["value"], filled["mask"] = item.option.kind.read(item.argument, family)
    match command:
        case "":
            raise InvalidInput("CONNMARK needs one of --set-xmark, --save-mark, --restore-mark")
        case "save-mark":
            return ConnmarkSave(**masks)
        case "restore-mark":
            return ConnmarkRestore(**masks)
        case _:
            return ConnmarkSet(**filled)


def _take_apart_connmark(value: ConnmarkSet | ConnmarkSave | ConnmarkRestore, family: IPFamily) -> Iterable[str | None]:
    if isinstance(value, ConnmarkSet):
        yield f"--set-xmark {value.value:#x}/{value.mask:#x}"
    else:
        yield "--save-mark" if isinstance(value, ConnmarkSave) else "--restore-mark"
        yield f"--nfmask {value.nf_mask:#x} --ctmask {value.ct_mask:#x}"


_CONNMARK = Extension(
    "CONNMARK",
    ConnmarkSet,
    (
        *_mark_options(),
        plain("save-mark", None),
        plain("restore-mark", None),
        *_CONNMARK_MASKS,
        *unprinted(_CONNMARK_MASKS[0], "mask"),
    ),
    build=_build_connmark,
    take_apart=_take_apart_connmark,
)


# --- verdicts and logging -----------------------------------------------------------------------------------------

_REJECT_V4 = {
    "icmp-net-unreachable": "net-unreach", "icmp-host-unreachable": "host-unreach",
    "icmp-proto-unreachable": "proto-unreach", "icmp-port-unreachable": "port-unreach",
    "icmp-net-prohibited": "net-prohib", "icmp-host-prohibited": "host-prohib",
    "tcp-reset": "tcp-rst", "icmp-admin-prohibited": "admin-prohib",
}  # fmt: skip
_REJECT_V6 = {
    "icmp6-no-route": "no-route", "icmp6-adm-prohibited": "adm-prohibited", "icmp6-addr-unreachable": "addr-unreach",
    "icmp6-port-unreachable": "port-unreach", "tcp-reset": "tcp-reset", "icmp6-policy-fail": "policy-fail",
    "icmp6-reject-route": "reject-route",
}  # fmt: skip
REJECT_NAMES: dict[IPFamily, dict[str, str]] = {IPFamily.V4: _REJECT_V4, IPFamily.V6: _REJECT_V6}
"""What `--reject-with` takes: printed names to their short forms (spec: netfilter 6)."""


def _read_reject(text: str, family: IPFamily) -> str:
    names = REJECT_NAMES[family]
    for name, short in names.items():
        if text and (name.lower().startswith(text.lower()) or short.lower().startswith(text.lower())):
            return name
    raise InvalidInput(f"unknown reject type: {text!r}", remedy=f"types are {', '.join(names)}")


_REJECT_WITH = plain("reject-with", Kind(_read_reject, RAW.write), "reject_with")


def _build_reject(given: Sequence[Given], family: IPFamily) -> Reject:
    default = "icmp-port-unreachable" if family is IPFamily.V4 else "icmp6-port-unreachable"
    return Reject(_read_reject(given[0].argument, family) if given else default)


_REJECT = Extension("REJECT", Reject, (_REJECT_WITH,), build=_build_reject)

LOG_LEVELS = {
    "emerg": 0, "panic": 0, "alert": 1, "crit": 2, "error": 3, "warning": 4, "notice": 5, "info": 6, "debug": 7,
}  # fmt: skip
"""Syslog levels by name."""


def _read_level(text: str, family: IPFamily) -> int:
    if text[:1].isdigit():
        return read_number(text, 0, 7)
    if text in LOG_LEVELS:
        return LOG_LEVELS[text]
    raise InvalidInput(f"unknown log level: {text!r}", remedy=f"levels are 0 to 7 or {', '.join(LOG_LEVELS)}")


_LOG_OPTIONS = (
    plain("log-prefix", string(29), "prefix"),
    plain("log-level", Kind(_read_level, lambda value, _: str(value)), "level"),
)


def _build_log(given: Sequence[Given], family: IPFamily) -> Log:
    filled: dict[str, object] = {}
    flags = {flag.value: flag for flag in LogFlag}
    for item in given:
        if item.option.name not in flags:
            fill_fields(filled, item, family)
    filled["flags"] = frozenset(flags[item.option.name] for item in given if item.option.name in flags)
    return Log(**filled)  # type: ignore[arg-type]


def _take_apart_log(value: Log, family: IPFamily) -> Iterable[str | None]:
    for option in _LOG_OPTIONS:
        yield format_option(option, value, family, _LOG.defaults)
    for flag in LogFlag:
        yield f"--{flag.value}" if flag in value.flags else None


_LOG = Extension(
    "LOG",
    Log,
    (*_LOG_OPTIONS, *(plain(flag.value, None) for flag in LogFlag)),
    build=_build_log,
    take_apart=_take_apart_log,
)


def _build_nflog(given: Sequence[Given], family: IPFamily) -> Nflog:
    filled = filled_fields(given, family)
    if "range" in filled and "size" in filled:
        raise InvalidInput("NFLOG takes --nflog-size or the old --nflog-range")
    if not filled.get("threshold"):
        filled["threshold"] = None
    return Nflog(**filled)


_NFLOG = Extension(
    "NFLOG",
    Nflog,
    (
        plain("nflog-prefix", string(127), "prefix"),
        plain("nflog-group", number(0, 65535), "group"),
        plain("nflog-range", number(), "range"),
        plain("nflog-size", number(), "size"),
        plain("nflog-threshold", number(0, 65535), "threshold"),
    ),
    build=_build_nflog,
)


def _build_nfqueue(given: Sequence[Given], family: IPFamily) -> Nfqueue:
    filled: dict[str, object] = {}
    for item in given:
        name = item.option.name
        if name in ("queue-num", "queue-balance") and "low" in filled:
            raise InvalidInput("NFQUEUE takes --queue-num or --queue-balance")
        if name == "queue-num":
            low = read_number(item.argument, 0, 65535)
            filled |= {"low": low, "high": low}
        elif name == "queue-balance":
            low_text, colon, high_text = item.argument.partition(":")
            low, high = read_number(low_text or "0", 0, 65535), read_number(high_text or "65535", 0, 65535)
            if not colon or low >= high or high - low == 65535:
                raise InvalidInput(f"not a range of queues: {item.argument!r}")
            filled |= {"low": low, "high": high}
        else:
            filled["bypass" if name == "queue-bypass" else "cpu_fanout"] = True
    found = Nfqueue(**filled)  # type: ignore[arg-type]
    if found.cpu_fanout and found.low == found.high:
        raise InvalidInput("NFQUEUE's --queue-cpu-fanout needs --queue-balance")
    return found


def _take_apart_nfqueue(value: Nfqueue, family: IPFamily) -> Iterable[str | None]:
    yield f"--queue-num {value.low}" if value.low == value.high else f"--queue-balance {value.low}:{value.high}"
    yield "--queue-bypass" if value.bypass else None
    yield "--queue-cpu-fanout" if value.cpu_fanout else None


_NFQUEUE = Extension(
    "NFQUEUE",
    Nfqueue,
    (
        plain("queue-num", RAW, "low"),
        plain("queue-balance", RAW, "low"),
        plain("queue-bypass", None, "bypass"),
        plain("queue-cpu-fanout", None, "cpu_fanout"),
    ),
    build=_build_nfqueue,
    take_apart=_take_apart_nfqueue,
)
_AUDIT = Extension("AUDIT", AuditTarget, (plain("type", words_of("accept", "drop", "reject"), "type"),))


# --- tracking -----------------------------------------------------------------------------------------------------

CT_EVENTS = (
    "new", "related", "destroy", "reply", "assured", "protoinfo", "helper", "mark", "natseqinfo", "secmark",
)  # fmt: skip
"""Events of `CT --ctevents` in printed order."""


def _read_events(names: Sequence[str]) -> Kind:
    def read(text: str, family: IPFamily) -> tuple[str, ...]:
        parts = text.split(",")
        for part in parts:
            if part not in names:
                raise InvalidInput(f"unknown event: {part!r}")
        return tuple(name for name in names if name in parts)

    return Kind(read, lambda value, _: ",".join(value))


_ZONES = {"zone": None, "zone-orig": "orig", "zone-reply": "reply"}
_CT_OPTIONS = (
    plain("notrack", None, "notrack"),
    plain("helper", RAW, "helper"),
    plain("timeout", RAW, "timeout"),
    plain("ctevents", _read_events(CT_EVENTS), "ct_events"),
    plain("expevents", _read_events(("new",)), "exp_events"),
)


def _build_ct(given: Sequence[Given], family: IPFamily) -> CtTarget:
    filled: dict[str, object] = {}
    for item in given:
        if item.option.name in _ZONES:
            if "zone" in filled:
                raise InvalidInput("CT takes one of --zone, --zone-orig, --zone-reply")
            zone: int | str = "mark" if item.argument == "mark" else read_number(item.argument, 0, 65535)
            filled |= {"zone": zone, "zone_direction": _ZONES[item.option.name]}
        elif item.argument or not item.option.kind:
            fill_fields(filled, item, family)
    if not filled.get("zone"):
        filled |= {"zone": None, "zone_direction": None}
    return CtTarget(**filled)  # type: ignore[arg-type]


def _take_apart_ct(value: CtTarget, family: IPFamily) -> Iterable[str | None]:
    for option in _CT_OPTIONS:
        yield format_option(option, value, family, _CT.defaults)
    if value.zone is not None:
        yield f"--zone{f'-{value.zone_direction}' if value.zone_direction else ''} {value.zone}"


_CT = Extension(
    "CT",
    CtTarget,
    (*_CT_OPTIONS, *(plain(name, RAW, "zone") for name in _ZONES)),
    build=_build_ct,
    take_apart=_take_apart_ct,
)


# --- elsewhere ----------------------------------------------------------------------------------------------------


def _build_tproxy(given: Sequence[Given], family: IPFamily) -> TproxyTarget:
    filled = filled_fields(given, family)
    if not filled.get("address"):
        filled["address"] = None
    found: TproxyTarget = make(_TPROXY, filled)
    return found


def _take_apart_tproxy(value: TproxyTarget, family: IPFamily) -> Iterable[str | None]:
    yield f"--on-port {value.port} --on-ip {format_address(family, value.address or 0)}"
    yield f"--tproxy-mark {value.mark_value:#x}/{value.mark_mask:#x}"


_TPROXY = Extension(
    "TPROXY",
    TproxyTarget,
    (
        plain("on-port", Kind(lambda text, _: read_port(text), lambda value, _: str(value)), "port"),
        plain("on-ip", HOST, "address"),
        plain("tproxy-mark", XMARK, "mark_value", "mark_mask"),
    ),
    build=_build_tproxy,
    take_apart=_take_apart_tproxy,
)


def _read_gateway(text: str, family: IPFamily) -> int:
    found = read_host(text, family)
    if not found:
        raise InvalidInput("TEE's gateway cannot be the address of nobody")
    return found


_TEE = Extension(
    "TEE", TeeTarget, (plain("gateway", Kind(_read_gateway, HOST.write), "gateway"), plain("oif", INTERFACE, "oif"))
)
_SET_OPTIONS = (
    plain("add-set", SET_KIND, "name", "sides", operation="add"),
    plain("del-set", SET_KIND, "name", "sides", operation="del"),
    plain("map-set", SET_KIND, "name", "sides", operation="map"),
    plain("exist", None, "exist"),
    plain("timeout", number(0, 0xFFFFFFFE), "timeout_s"),
    plain("map-mark", None, "map_mark"),
    plain("map-prio", None, "map_prio"),
    plain("map-queue", None, "map_queue"),
)


def _build_set(given: Sequence[Given], family: IPFamily) -> SetTarget:
    found: SetTarget = make(_SET, filled_fields(given, family))
    mapped = found.map_mark or found.map_prio or found.map_queue
    if mapped is not (found.operation == "map"):
        raise InvalidInput("SET takes --map-mark, --map-prio and --map-queue with --map-set, which needs one of them")
    if found.operation != "add" and (found.exist or found.timeout_s is not None):
        raise InvalidInput("SET takes --exist and --timeout only with --add-set")
    return found


_SET = Extension("SET", SetTarget, _SET_OPTIONS, build=_build_set)

_SYNPROXY_VALUES = {"wscale": 0xFF, "mss": 0xFFFF}
_SYNPROXY_OPTIONS = ("sack-perm", "timestamp", "wscale", "mss", "ecn")


def _build_synproxy(given: Sequence[Given], family: IPFamily) -> SynproxyTarget:
    found = {
        item.option.name: read_number(item.argument) & _SYNPROXY_VALUES[item.option.name]
        if item.option.name in _SYNPROXY_VALUES
        else None
        for item in given
    }
    return SynproxyTarget(tuple((name, found[name]) for name in _SYNPROXY_OPTIONS if name in found))


def _take_apart_synproxy(value: SynproxyTarget, family: IPFamily) -> Iterable[str | None]:
    for name, size in value.options:
        yield f"--{name}" if size is None else f"--{name} {size}"


_SYNPROXY = Extension(
    "SYNPROXY",
    SynproxyTarget,
    tuple(plain(name, RAW if name in _SYNPROXY_VALUES else None, "options") for name in _SYNPROXY_OPTIONS),
    build=_build_synproxy,
    take_apart=_take_apart_synproxy,
)

_VERDICTS: tuple[Extension, ...] = (
    Extension("ACCEPT", Accept),
    Extension("DROP", Drop),
    Extension("RETURN", Return),
    Extension("QUEUE", Queue),
    Extension("NOTRACK", Notrack),
    Extension("TRACE", TraceTarget),
)
TARGETS: tuple[Extension, ...] = (
    *_VERDICTS, _MARK, _CONNMARK, _REJECT, *NAT_TARGETS, _LOG, _NFLOG, _NFQUEUE, _CT, *HEADER_TARGETS, _TPROXY,
    _TEE, _SET, _AUDIT, _SYNPROXY, *PLAIN_TARGETS,
)  # fmt: skip
"""Every target with a table of its own; a name that is none of these is a chain or unknown."""
