"""Targets that let the rules go on: what they change on the packet, its connection or the session (spec: netfilter 6).

`compile_target` gives a function that does to a packet what the target does; it returns a `Doubt` when Tortie cannot know
what that is, and HOTDROP when the target drops a packet it cannot work on. `describe_effect` tells afterwards what was
done. Targets that end a table (REJECT, NAT, NFQUEUE, …) are the engine's.

Sources: net/netfilter/xt_mark.c, xt_connmark.c, xt_CT.c, xt_HL.c, xt_DSCP.c; see also `target_tcp` and `target_set`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, assert_never

from msgspec.structs import replace

from tortie.net.packet import Packet
from tortie.netfilter import target as t
from tortie.simulator.answer import Doubt, DoubtKind, Hindrance
from tortie.simulator.context import Context
from tortie.simulator.skb import Skb
from tortie.simulator.target_set import compile_set_target
from tortie.simulator.target_tcp import compile_ecn, compile_tcpmss, compile_tcpoptstrip
from tortie.simulator.tcp_option import mss_of

Effect: TypeAlias = Callable[[Skb], Hindrance | None]
"""A compiled target."""

_WITHOUT_EFFECT = frozenset({"IDLETIMER", "LED", "RATEEST", "SECMARK", "CONNSECMARK"})
"""Plain targets that change nothing a rule or a route could look at (security marks are SELinux's)."""


def compile_target(target: t.Target, context: Context) -> Effect:
    """What the target does to a packet."""
    match target:
        case t.MarkTarget(value, mask):
            return _mark(value, mask)
        case t.ConnmarkSet(value, mask):
            return _connmark_set(value, mask)
        case t.ConnmarkSave(nf_mask, ct_mask):
            return _connmark_save(nf_mask, ct_mask)
        case t.ConnmarkRestore(nf_mask, ct_mask):
            return _connmark_restore(nf_mask, ct_mask)
        case t.CtTarget():
            return _notrack if target.notrack else _ct(target)
        case t.Notrack():
            return _notrack
        case t.TtlTarget(operation, value) | t.HlTarget(operation, value):
            return _hop_limit(operation, value)
        case t.TosTarget(value, mask):
            return _tos(value, mask)
        case t.DscpTarget(value):
            return _tos(value << 2, 0xFC)
        case t.EcnTarget():
            return compile_ecn(target)
        case t.TcpmssTarget():
            return compile_tcpmss(target, context)
        case t.TcpoptstripTarget():
            return compile_tcpoptstrip(target)
        case t.SetTarget():
            return compile_set_target(target, context)
        case t.Log() | t.Nflog() | t.ChecksumTarget() | t.ClassifyTarget() | t.TraceTarget() | t.AuditTarget():
            return no_effect
        case t.PlainTarget(name):
            return no_effect if name in _WITHOUT_EFFECT else _unknown(f"Tortie does not simulate what {name} does")
        case t.OpaqueTarget(name):
            return _unknown(f"Tortie does not know what the target {name} does")
        case (
            t.Accept()
            | t.Drop()
            | t.Return()
            | t.Queue()
            | t.Jump()
            | t.Goto()
            | t.Reject()
            | t.Snat()
            | t.Dnat()
            | t.Masquerade()
            | t.Redirect()
            | t.Netmap()
            | t.Nfqueue()
            | t.TproxyTarget()
            | t.TeeTarget()
            | t.SynproxyTarget()
        ):
            raise ValueError(f"{type(target).__name__} is no target that lets the rules go on")
        case _:
            assert_never(target)


def _unknown(why: str) -> Effect:
    doubt = Doubt(DoubtKind.UNKNOWN, why)
    return lambda _: doubt


def no_effect(_: Skb) -> None:
    """For targets that leave the packet's way alone."""


# --- marks -------------------------------------------------------------------------------------------------------


def _mark(value: int, mask: int) -> Effect:
    kept = ~mask & 0xFFFFFFFF

    def run(skb: Skb) -> None:
        skb.mark = skb.mark & kept ^ value

    return run


_TEMPLATE = Doubt(DoubtKind.UNKNOWN, "CONNMARK works on the template that a CT rule attached")


def _connmark_set(value: int, mask: int) -> Effect:
    kept = ~mask & 0xFFFFFFFF

    def run(skb: Skb) -> Doubt | None:
        connection = skb.connection
        if connection is not None:
            connection.mark = connection.mark & kept ^ value
            return None
        return _without_connection(skb)

    return run


def _connmark_save(nf_mask: int, ct_mask: int) -> Effect:
    kept = ~ct_mask & 0xFFFFFFFF

    def run(skb: Skb) -> Doubt | None:
        connection = skb.connection
        if connection is not None:
            connection.mark = connection.mark & kept ^ skb.mark & nf_mask
            return None
        return _without_connection(skb)

    return run


def _connmark_restore(nf_mask: int, ct_mask: int) -> Effect:
    kept = ~nf_mask & 0xFFFFFFFF

    def run(skb: Skb) -> Doubt | None:
        connection = skb.connection
        if connection is not None:
            skb.mark = skb.mark & kept ^ connection.mark & ct_mask
            return None
        return _without_connection(skb)

    return run


def _without_connection(skb: Skb) -> Doubt | None:
    """Without an entry CONNMARK does nothing (spec: netfilter 4.9)."""
    return _TEMPLATE if skb.template is not None and skb.ct_state is None else None


# --- tracking ----------------------------------------------------------------------------------------------------


def _is_attached(skb: Skb) -> bool:
    """True when the packet already has a connection or a CT rule's word: later CT rules are then ignored (xt_CT.c)."""
    return skb.connection is not None or skb.untracked or skb.template is not None


def _notrack(skb: Skb) -> None:
    if not _is_attached(skb):
        skb.untracked = True


def _ct(target: t.CtTarget) -> Effect:
    def run(skb: Skb) -> None:
        if not _is_attached(skb):
            skb.template = target

    return run


# --- header ------------------------------------------------------------------------------------------------------


def _hop_limit(operation: str, value: int) -> Effect:
    def run(skb: Skb) -> None:
        old = skb.packet.ttl
        new = {"set": value, "inc": min(old + value, 255), "dec": max(old - value, 0)}[operation]
        if new != old:
            skb.packet = replace(skb.packet, ttl=new)

    return run


def _tos(value: int, mask: int) -> Effect:
    kept = ~mask & 0xFF

    def run(skb: Skb) -> None:
        old = skb.packet.tos
        new = old & kept ^ value
        if new != old:
            skb.packet = replace(skb.packet, tos=new)

    return run


# --- telling -----------------------------------------------------------------------------------------------------


def describe_effect(target: t.Target, mark_before: int, packet_before: Packet, skb: Skb) -> str:
    """What the target did to the packet, in plain words."""
    match target:
        case t.MarkTarget() | t.ConnmarkRestore():
            return _changed("mark", hex(mark_before), hex(skb.mark))
        case t.ConnmarkSet() | t.ConnmarkSave():
            return f"connection mark is {skb.connection.mark:#x}" if skb.connection is not None else "no connection to mark"
        case t.TtlTarget() | t.HlTarget():
            word = "TTL" if isinstance(target, t.TtlTarget) else "hop limit"
            return _changed(word, str(packet_before.ttl), str(skb.packet.ttl))
        case t.TosTarget() | t.DscpTarget():
            return _changed("TOS", f"{packet_before.tos:#04x}", f"{skb.packet.tos:#04x}")
        case t.EcnTarget():
            return _changed("ECN", _ecn_text(packet_before), _ecn_text(skb.packet))
        case t.TcpmssTarget():
            return _changed("MSS", _mss_text(packet_before), _mss_text(skb.packet))
        case t.TcpoptstripTarget():
            changed = skb.packet != packet_before
            return "TCP options are written over" if changed else "no such TCP option"
        case t.CtTarget():
            return "not tracked" if target.notrack else _template_text(target)
        case t.Notrack():
            return "not tracked"
        case t.SetTarget():
            return _set_text(target, mark_before, skb)
        case t.Log(prefix) | t.Nflog(_, prefix):
            return f"logs {prefix.strip()!r}" if prefix.strip() else "logs"
        case t.ClassifyTarget(major, minor):
            return f"priority {major:x}:{minor:x}"
        case t.TraceTarget():
            return "the kernel traces the packet from here on"
        case _:
            return ""


def _changed(what: str, before: str, after: str) -> str:
    return f"{what} {before} -> {after}" if before != after else f"{what} stays {after}"


def _ecn_text(packet: Packet) -> str:
    names = [name for name, bit in (("ECE", 64), ("CWR", 128)) if packet.tcp_flags & bit]
    return "+".join((str(packet.tos & 3), *names))


def _mss_text(packet: Packet) -> str:
    mss = mss_of(packet.tcp_options)
    return "none" if mss is None else str(mss)


def _template_text(target: t.CtTarget) -> str:
    words = []
    if target.zone is not None:
        side = {"orig": " (original direction)", "reply": " (reply direction)"}.get(target.zone_direction or "", "")
        words.append(f"zone {target.zone}{side}")
    words += [f"helper {target.helper}"] if target.helper is not None else []
    words += [f"timeout policy {target.timeout}"] if target.timeout is not None else []
    return ", ".join(words) or "a connection template without a wish"


def _set_text(target: t.SetTarget, mark_before: int, skb: Skb) -> str:
    if target.operation == "map":
        return _changed("mark", hex(mark_before), hex(skb.mark)) if target.map_mark else f"maps set {target.name}"
    return f"{'adds to' if target.operation == 'add' else 'deletes from'} set {target.name}"
