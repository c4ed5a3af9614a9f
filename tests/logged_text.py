"""Steps of a walk written down as the kernel log would (spec kernel-oracle 3.2), for tests that read them back."""

from __future__ import annotations

from collections.abc import Iterable

from tortie.net.address import format_address
from tortie.net.packet import Packet
from tortie.net.protocol import TCP, TCP_FLAGS, protocol_name
from tortie.netfilter.target import Accept, Drop, Return
from tortie.simulator.trace import ChainStep, RuleStep, Step, Trace


def kernel_log(trace: Trace, *, since: int = 0) -> str:
    """The TRACE lines of a trace, from the step `since` on that the kernel would log."""
    lines = [
        f"[  100.{number:06d}] TRACE: {_place(step)} {_packet(step.packet, trace.in_iface, step)}"
        for number, step in enumerate(_logged(trace.steps))
    ]
    return "".join(f"{line}\n" for line in lines[since:])


def _logged(steps: Iterable[Step]) -> Iterable[RuleStep | ChainStep]:
    for step in steps:
        if isinstance(step, ChainStep) or (isinstance(step, RuleStep) and step.matched):
            yield step


def _place(step: RuleStep | ChainStep) -> str:
    """Unconditional ACCEPT, DROP and RETURN rules are called policy or return."""
    kind = "rule"
    builtin = step.chain in ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
    bare = isinstance(step, RuleStep) and not step.rule.matches and isinstance(step.rule.target, Accept | Drop | Return)
    if isinstance(step, ChainStep) or bare:
        kind = "policy" if builtin else "return"
    return f"{step.table.value}:{step.chain}:{kind}:{step.number}"


def _packet(packet: Packet, in_iface: str | None, step: RuleStep | ChainStep) -> str:
    mark = step.mark_before if isinstance(step, RuleStep) else step.mark
    words = [
        f"IN={in_iface or ''} OUT={'' if in_iface else 'eth0'}",
        f"SRC={format_address(packet.family, packet.src)} DST={format_address(packet.family, packet.dst)}",
        f"LEN={packet.length} TOS=0x00 PREC=0x00 TTL={packet.ttl} ID={packet.identification} DF",
        f"PROTO={protocol_name(packet.proto).upper()}",
    ]
    if packet.has_ports:
        words.append(f"SPT={packet.sport} DPT={packet.dport}")
    if packet.proto == TCP:
        flags = " ".join(name for name, bit in TCP_FLAGS.items() if packet.tcp_flags & bit)
        words.append(f"SEQ=0 ACK=0 WINDOW=64240 RES=0x00 {flags} URGP=0")
    elif packet.has_ports:
        words.append(f"LEN={packet.length - packet.header_length}")
    if packet.is_icmp:
        words.append(f"TYPE={packet.icmp_type} CODE={packet.icmp_code} ID={packet.icmp_id} SEQ=1")
    if mark:
        words.append(f"MARK={mark:#x}")
    return " ".join(words)
