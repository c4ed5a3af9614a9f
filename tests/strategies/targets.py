"""Targets as the codec reads them from iptables-save: every option of every target the tested kernel has."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from tests.strategies.matches import flag, hosts, in_order, maybe, sides, spans, texts, u8, u16, u32
from tortie.codec.target_table import CT_EVENTS, REJECT_NAMES
from tortie.net.address import AddressMask, IPFamily, prefix_mask
from tortie.netfilter import target as t

Strategy = st.SearchStrategy[Any]


def _prefixes(longest: int) -> st.SearchStrategy[str]:
    """Strings that fit a prefix of so many bytes."""
    return texts.filter(lambda text: len(text.encode()) <= longest)


_logs = st.builds(t.Log, _prefixes(29) | st.just(""), st.integers(0, 7), st.sets(st.sampled_from(t.LogFlag)).map(frozenset))
_nflogs = st.builds(t.Nflog, u16, _prefixes(63) | st.just(""), maybe(u32), st.none(), maybe(st.integers(1, 65535)))
_queues = st.builds(
    lambda span, bypass, fanout: t.Nfqueue(span.low, span.high, bypass, fanout and span.low < span.high),
    spans(65534),
    flag,
    flag,
)


@st.composite
def nat_ranges(draw: st.DrawFn, family: IPFamily, *, ports: bool, shift: bool) -> t.NatRange:
    """Addresses, ports or both; a shifted range only where `shift`."""
    fields: dict[str, int] = {}
    if not ports or draw(flag):
        low, high = sorted(draw(st.tuples(hosts(family), hosts(family))))
        fields |= {"low": low, "high": low if draw(flag) else high}
    if ports:
        span = draw(spans(65535))
        fields |= {"low_port": span.low, "high_port": span.high}
        if shift and span.low < span.high and draw(flag):
            fields["base_port"] = draw(st.integers(1, 65535))
    return t.NatRange(**fields)


_zones = st.tuples(st.integers(1, 65535) | st.just("mark"), st.sampled_from([None, "orig", "reply"]))
_ct_targets = st.builds(
    lambda notrack, events, expected, zone: t.CtTarget(
        notrack=notrack,
        ct_events=events or (),
        exp_events=("new",) if expected else (),
        zone=zone[0] if zone else None,
        zone_direction=zone[1] if zone else None,
    ),
    flag,
    maybe(in_order(CT_EVENTS)),
    flag,
    maybe(_zones),
)


def _hops(cls: type[Any]) -> Strategy:
    changed = st.builds(cls, st.sampled_from(["inc", "dec"]), st.integers(1, 255))
    return st.builds(cls, st.just("set"), u8) | changed


def _map_set(mark: bool, prio: bool, queue: bool, name: str, sides: Any) -> t.SetTarget:
    return t.SetTarget("map", name, sides, map_mark=mark, map_prio=prio, map_queue=queue)


def set_targets(sets: tuple[str, ...]) -> Strategy:
    """Changes of the named sets, which keep timeouts and marks."""
    names = st.sampled_from(sets)
    return (
        st.builds(t.SetTarget, st.just("add"), names, sides, flag, maybe(st.integers(0, 2147483)))
        | st.builds(t.SetTarget, st.just("del"), names, sides)
        | st.builds(_map_set, flag, flag, flag, names, sides).filter(
            lambda target: target.map_mark or target.map_prio or target.map_queue
        )
    )


def netmaps(family: IPFamily) -> Strategy:
    """Networks of any length."""
    return st.builds(
        lambda value, length: t.Netmap(
            AddressMask(family, value & prefix_mask(family, length), prefix_mask(family, length))
        ),
        hosts(family),
        st.integers(0, family.bits),
    )


_plain = st.builds(
    lambda number, name: t.PlainTarget("IDLETIMER", ("--timeout", str(number), "--label", name)),
    st.integers(1, 1000),
    st.just("tortie"),
) | st.builds(
    lambda seed, modulus: t.PlainTarget(
        "HMARK", ("--hmark-src-prefix", "24", "--hmark-rnd", f"{seed:#010x}", "--hmark-mod", str(modulus))
    ),
    u32,
    st.integers(1, 0xFFFFFFFF),
)
_synproxy = st.builds(
    lambda sack, stamp, scale, mss, ecn: t.SynproxyTarget(
        tuple(
            (name, value)
            for name, value in (
                ("sack-perm", None if sack else 0),
                ("timestamp", None if stamp else 0),
                ("wscale", scale),
                ("mss", mss),
                ("ecn", None if ecn else 0),
            )
            if (name in ("wscale", "mss")) is (value is not None)
        )
    ),
    flag,
    flag,
    maybe(st.integers(0, 14)),
    maybe(u16),
    flag,
)


@cache
def all_targets(family: IPFamily, sets: tuple[str, ...], chains: tuple[str, ...]) -> Strategy:
    """Any target; those of NAT with and without ports."""
    common = [
        st.sampled_from([t.Accept(), t.Drop(), t.Return(), t.TraceTarget(), t.Notrack(), t.ChecksumTarget()]),
        st.builds(t.Jump, st.sampled_from(chains)),
        st.builds(t.Goto, st.sampled_from(chains)),
        st.builds(t.MarkTarget, u32, u32),
        st.builds(t.ConnmarkSet, u32, u32),
        st.builds(t.ConnmarkSave, u32, u32),
        st.builds(t.ConnmarkRestore, u32, u32),
        st.builds(t.Reject, st.sampled_from(list(REJECT_NAMES[family]))),
        _logs,
        _nflogs,
        _queues,
        _ct_targets,
        *(
            st.builds(t.Snat, nat_ranges(family, ports=ports, shift=False), flag, flag, flag)
            | st.builds(t.Dnat, nat_ranges(family, ports=ports, shift=True), flag, flag)
            for ports in (False, True)
        ),
        st.builds(t.Masquerade, maybe(spans(65535)), flag, flag),
        st.builds(t.Redirect, maybe(spans(65535)), flag),
        netmaps(family),
        st.builds(t.TosTarget, u8, u8),
        st.builds(t.DscpTarget, st.integers(0, 63)),
        st.builds(t.TcpmssTarget, maybe(st.integers(0, 65495))),
        st.builds(t.TcpoptstripTarget, st.sets(st.integers(2, 255), max_size=5).map(lambda found: tuple(sorted(found)))),
        st.builds(t.ClassifyTarget, u16, u16),
        st.builds(t.TproxyTarget, u16, maybe(hosts(family).filter(bool)), u32, u32),
        st.builds(t.TeeTarget, hosts(family).filter(bool)),
        set_targets(sets),
        st.builds(t.AuditTarget, st.sampled_from(["accept", "drop", "reject"])),
        _synproxy,
        _plain,
    ]
    if family is IPFamily.V4:
        ecn = st.just(t.EcnTarget(tcp_remove=True)) | st.builds(
            t.EcnTarget, st.just(False), maybe(st.integers(0, 1)), maybe(st.integers(0, 1)), maybe(st.integers(0, 3))
        ).filter(lambda target: target != t.EcnTarget())
        return st.one_of(*common, _hops(t.TtlTarget), ecn, st.just(t.Queue()))
    return st.one_of(*common, _hops(t.HlTarget))
