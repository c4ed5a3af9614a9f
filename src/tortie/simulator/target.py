"""Targets that let the rules go on: what they change on the packet, its connection or the session (spec: netfilter 6).

`compile_target` gives a function that does to a packet what the target does; it returns a `Doubt` when Tortie cannot know
what that is, and HOTDROP when the target drops a packet it cannot work on. `describe_effect` tells afterwards what was
done. Targets that end a table (REJECT, NAT, NFQUEUE, …) are the engine's.

Sources: net/netfilter/xt_mark.c, xt_connmark.c, xt_CT.c, xt_HL.c, xt_DSCP.c; those of TCP in `target_tcp`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from tortie.net.packet import Packet
from tortie.netfilter import target as t
from tortie.simulator.answer import Doubt, DoubtKind
from tortie.simulator.context import Context
from tortie.simulator.skb import Skb

Effect: TypeAlias = Callable[[Skb], Doubt | None]
"""A compiled target."""


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
        case _:
            return _nothing


def _nothing(_: Skb) -> None:
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
            return f"mark {mark_before:#x} -> {skb.mark:#x}" if mark_before != skb.mark else f"mark stays {skb.mark:#x}"
        case t.ConnmarkSet() | t.ConnmarkSave():
            return f"connection mark is {skb.connection.mark:#x}" if skb.connection is not None else "no connection"
        case _:
            return ""
