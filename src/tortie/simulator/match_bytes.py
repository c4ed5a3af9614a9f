"""Tests of the packet's bytes from the IP header on: u32, bpf, string (spec: netfilter 7.3).

Sources: net/netfilter/xt_u32.c, xt_bpf.c, xt_string.c, skb_find_text in net/core/skbuff.c, lib/ts_kmp.c.
"""

from __future__ import annotations

from tortie.net.packet import Packet
from tortie.net.wire import format_packet
from tortie.netfilter.match import BpfMatch, StringMatch, U32Match, U32Test
from tortie.simulator.answer import Answer
from tortie.simulator.bpf import run_program
from tortie.simulator.context import Context
from tortie.simulator.match_header import Holds, doubtful
from tortie.simulator.skb import Skb

_MASK32 = 0xFFFFFFFF


# --- u32 ---------------------------------------------------------------------------------------------------------


def compile_u32(match: U32Match) -> Holds:
    """`-m u32`."""
    tests, inverted = match.tests, match.inverted

    def test(skb: Skb) -> Answer:
        data = format_packet(skb.packet)
        return all(_u32_holds(one, data) for one in tests) is not inverted

    return test


def _u32_holds(test: U32Test, data: bytes) -> bool:
    value = u32_value(test, data)
    return value is not None and any(value in span for span in test.ranges)


def u32_value(test: U32Test, data: bytes) -> int | None:
    """What a location comes to; None when it lies outside the packet. Shifts take the lower five bits, as the machine."""
    base = 0
    value = _word(data, test.offset)
    for operator, number in test.operations:
        if value is None:
            return None
        if operator == "&":
            value &= number
        elif operator == "<<":
            value = value << (number & 31) & _MASK32
        elif operator == ">>":
            value >>= number & 31
        else:
            base += value
            value = _word(data, base + number) if base <= _MASK32 else None
    return value


def _word(data: bytes, place: int) -> int | None:
    return int.from_bytes(data[place : place + 4], "big") if place + 4 <= len(data) else None


def explain_u32(match: U32Match, packet: Packet) -> str:
    """Why `-m u32` missed."""
    data = format_packet(packet)
    if match.inverted:
        return "the bytes are those that the rule excludes"
    for test in match.tests:
        value = u32_value(test, data)
        if value is None:
            return "the place lies beyond the end of the packet"
        if not any(value in span for span in test.ranges):
            return f"the value at that place is {value:#x}"
    return ""


# --- bpf ---------------------------------------------------------------------------------------------------------


def compile_bpf(match: BpfMatch, context: Context) -> Holds:
    """`-m bpf`: a classic program runs over the packet; a pinned one is known to the kernel only."""
    if match.pinned is not None:
        return doubtful(f"the BPF program {match.pinned} takes the packet")
    program, links = match.program, context.snapshot.links
    return lambda skb: run_program(program, skb, links)


# --- string ------------------------------------------------------------------------------------------------------


def compile_string(match: StringMatch) -> Holds:
    """`-m string`: the first place at or after `--from` where the text stands must end at or before `--to`."""
    pattern = _fold(match.pattern) if match.ignore_case else match.pattern
    start, end, fold, inverted = match.start, match.end, match.ignore_case, match.inverted

    def test(skb: Skb) -> Answer:
        data = format_packet(skb.packet)
        place = (_fold(data) if fold else data).find(pattern, start)
        return (place >= 0 and place + len(pattern) <= end) is not inverted

    return test


_SMALL = frozenset({*range(ord("a"), ord("z") + 1), *range(0xDF, 0x100)} - {0xF7})
_FOLD = bytes(byte - 32 if byte in _SMALL else byte for byte in range(256))
"""The kernel's toupper knows Latin 1 (lib/ctype.c)."""


def _fold(data: bytes) -> bytes:
    return data.translate(_FOLD)


def explain_string(match: StringMatch, packet: Packet) -> str:
    """Why `-m string` missed."""
    where = "" if (match.start, match.end) == (0, 65535) else f" from byte {match.start} to {match.end}"
    return f"the text is {'' if match.inverted else 'not '}in the packet{where}"
