"""Classic BPF, run over a packet as the kernel runs it for `-m bpf`.

The machine has an accumulator, an index register and 16 words of memory, all 32 bits wide. Loading beyond the packet and
dividing by zero end the program with 0, which is a miss. Loads at the negative offsets of linux/filter.h reach what the
kernel knows beside the bytes; those that Tortie is not told make the answer a doubt.

Sources: linux/filter.h, bpf_convert_filter and bpf_check_classic in net/core/filter.c.
"""

from __future__ import annotations

from collections.abc import Callable

from tortie.net.address import IPFamily
from tortie.net.node import Link
from tortie.net.wire import format_packet
from tortie.simulator.answer import Answer, Doubt, DoubtKind
from tortie.simulator.link_layer import link_named
from tortie.simulator.skb import LOOPED_FRAME, Skb

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, constant."""

_MASK32 = 0xFFFFFFFF
_AD_OFFSET = 0xFFFFF000
_NET_OFFSET = 0xFFF00000
_LINK_OFFSET = 0xFFE00000
_FRAME_TYPES = {"unicast": 0, "broadcast": 1, "multicast": 2, LOOPED_FRAME: 5}
_ETHERTYPE = {IPFamily.V4: 0x0800, IPFamily.V6: 0x86DD}
_PROTOCOL, _PKTTYPE, _IFINDEX, _MARK, _XOR_X = 0, 4, 8, 20, 40

_CLASS = 0x07
_LD, _LDX, _ST, _STX, _ALU, _JMP, _RET, _MISC = range(8)
_MODE = 0xE0
_IMM, _ABS, _IND, _MEM, _LEN, _MSH = 0x00, 0x20, 0x40, 0x60, 0x80, 0xA0
_WIDTHS = {0x00: 4, 0x08: 2, 0x10: 1}
_SOURCE_X = 0x08


class _NotKnown(Exception):
    """The program asks for something that Tortie is not told."""


class _Ended(Exception):
    """A load outside the packet, or a division by zero."""


class _Machine:
    def __init__(self, skb: Skb, links: tuple[Link, ...] | None) -> None:
        self.skb = skb
        self.links = links
        self.data = format_packet(skb.packet)
        self.accumulator = 0
        self.index = 0
        self.memory = [0] * 16

    def run(self, program: tuple[Instruction, ...]) -> int:
        place = 0
        while place < len(program):
            code, jump_true, jump_false, constant = program[place]
            place += 1
            kind = code & _CLASS
            if kind == _JMP:
                place += self._jump(code, jump_true, jump_false, constant)
            elif kind == _RET:
                return self.accumulator if code & 0x18 == 0x10 else constant
            else:
                self._step(kind, code, constant)
        return 0

    def _step(self, kind: int, code: int, constant: int) -> None:
        if kind == _LD:
            self.accumulator = self._load(code, constant)
        elif kind == _LDX:
            self.index = self._load(code, constant)
        elif kind == _ST:
            self.memory[constant & 15] = self.accumulator
        elif kind == _STX:
            self.memory[constant & 15] = self.index
        elif kind == _ALU:
            self.accumulator = self._calculate(code, constant)
        elif code & 0xF8 == 0x80:
            self.accumulator = self.index
        else:
            self.index = self.accumulator

    def _load(self, code: int, constant: int) -> int:
        mode = code & _MODE
        if mode == _IMM:
            return constant
        if mode == _MEM:
            return self.memory[constant & 15]
        if mode == _LEN:
            return len(self.data)
        if mode == _MSH:
            return (self._bytes(constant, 1) & 15) * 4
        width = _WIDTHS[code & 0x18]
        if mode == _ABS and _AD_OFFSET <= constant < _AD_OFFSET + 64:
            return self._ancillary(constant - _AD_OFFSET)
        return self._bytes((constant + (self.index if mode == _IND else 0)) & _MASK32, width)

    def _bytes(self, place: int, width: int) -> int:
        """Bytes of the packet; those relative to the network header are the same here, as the packet begins there."""
        if place >= _NET_OFFSET:
            place -= _NET_OFFSET
        elif place >= _LINK_OFFSET:
            raise _NotKnown("the frame's header")
        if place + width > len(self.data):
            raise _Ended
        return int.from_bytes(self.data[place : place + width], "big")

    def _ancillary(self, what: int) -> int:
        skb = self.skb
        if what == _PROTOCOL:
            return _ETHERTYPE[skb.packet.family]
        if what == _MARK:
            return skb.mark
        if what == _XOR_X:
            return self.accumulator ^ self.index
        if what == _PKTTYPE and skb.frame_type in _FRAME_TYPES:
            return _FRAME_TYPES[skb.frame_type]
        if what == _IFINDEX:
            name = skb.in_iface or skb.out_iface
            link = link_named(self.links, name) if name else None
            if link is not None:
                return link.index
        raise _NotKnown("something that is no part of the packet")

    def _calculate(self, code: int, constant: int) -> int:
        left = self.accumulator
        right = self.index if code & _SOURCE_X else constant
        operation = code & 0xF0
        if operation in (0x30, 0x90) and right == 0:
            raise _Ended
        return _ARITHMETIC[operation](left, right) & _MASK32

    def _jump(self, code: int, jump_true: int, jump_false: int, constant: int) -> int:
        operation = code & 0xF0
        if operation == 0:
            return constant
        right = self.index if code & _SOURCE_X else constant
        left = self.accumulator
        holds = {0x10: left == right, 0x20: left > right, 0x30: left >= right, 0x40: bool(left & right)}[operation]
        return jump_true if holds else jump_false


_ARITHMETIC: dict[int, Callable[[int, int], int]] = {
    0x00: lambda left, right: left + right,
    0x10: lambda left, right: left - right,
    0x20: lambda left, right: left * right,
    0x30: lambda left, right: left // right,
    0x40: lambda left, right: left | right,
    0x50: lambda left, right: left & right,
    0x60: lambda left, right: left << (right & 31),
    0x70: lambda left, right: left >> (right & 31),
    0x80: lambda left, _: -left,
    0x90: lambda left, right: left % right,
    0xA0: lambda left, right: left ^ right,
}


def run_program(program: tuple[Instruction, ...], skb: Skb, links: tuple[Link, ...] | None) -> Answer:
    """Whether the program takes the packet: its result is not 0."""
    try:
        return _Machine(skb, links).run(program) != 0
    except _Ended:
        return False
    except _NotKnown as unknown:
        return Doubt(DoubtKind.UNKNOWN, f"the BPF program takes the packet, for which it looks at {unknown}")
