"""The kernel's own account of packets: TRACE lines of the kernel log, `xtables-monitor --trace`, `nft monitor trace`.

`parse_tracelog` takes a text that holds any of them among other lines (a whole dmesg, a journal); `group_steps` puts the
steps of one packet together. nf_tables numbers its packets, and gives a number again when a later packet lies in the same
memory. The kernel log does not: there a step belongs to a packet when headers that nothing rewrites are the same and the
step comes later on the way than the packet's last one. Two packets alike in all of them (a retransmission without a new
identification) are told apart by the way starting anew, as are two with one number.

Sources: spec kernel-oracle 3.2 and 5; nf_log_syslog.c; nf_tables_trace.c; iptables/xtables-monitor.c; src/netlink.c of
nftables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tortie.codec.tracelog_packet import parse_logged_packet, parse_nft_packet
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import BUILTIN_CHAINS, Hook, TableName, table_priority
from tortie.netfilter.logged import LoggedPacket, LoggedStep, StepKind, TraceOrigin

_KERNEL = re.compile(r"(?:\[\s*(?P<time>\d+\.\d+)\] ?)?TRACE: (?P<table>\w+):(?P<chain>.+):(?P<kind>rule|return|policy):"
                     r"(?P<number>\d{1,9}) (?P<packet>IN=.*)")  # fmt: skip
_KERNEL_START = re.compile(r"(?:\[\s*\d+\.\d+\] ?|^|kernel: ?)TRACE: \w+:")
_MONITOR_PACKET = re.compile(r"\s*PACKET: (?P<family>\d+) (?P<id>[0-9a-f]{8}) (?P<packet>.*)")
_MONITOR_STEP = re.compile(
    r"\s*TRACE: (?P<family>\d+) (?P<id>[0-9a-f]{8}) (?P<table>\w+):(?P<chain>.+?):(?P<kind>rule|return|policy):(?P<rest>.*)"
)
_MONITOR_RULE = re.compile(r"(?:0x(?P<handle>[0-9a-f]+):)?(?P<verdict>.*?)\s*(?:  -[46] -t \w+ (?P<rule>-A .*))?")
_NFT = re.compile(r"trace id (?P<id>[0-9a-f]{1,8}) (?P<family>\w+) (?P<table>\S+) (?P<chain>.+?) "
                  r"(?P<kind>packet:|rule|policy|verdict|return)(?P<rest>(?: .*)?)")  # fmt: skip
_NFT_VERDICT = re.compile(r"(?P<rule>.*?) ?\(verdict (?P<verdict>[^()]*)\)")
_NFT_MARK = re.compile(r" ?meta mark (?P<mark>0x[0-9a-f]{1,8}|\d{1,10}) ?$")
_FAMILIES = {"2": IPFamily.V4, "10": IPFamily.V6, "ip": IPFamily.V4, "ip6": IPFamily.V6}
_VERDICTS = {
    "0xffffffff": "CONTINUE", "0xfffffffe": "BREAK", "0xfffffffd": "JUMP", "0xfffffffc": "GOTO", "0xfffffffb": "RETURN",
}  # fmt: skip
"""Codes that xtables-monitor prints as numbers (linux/netfilter/nf_tables.h, enum nft_verdicts)."""


def parse_tracelog(text: str, *, source: str | None = None) -> tuple[LoggedStep, ...]:
    """Every step in the text, in order; other lines are skipped. Raises `InvalidInput` for a damaged step, or for none."""
    reader = _Reader()
    for number, line in enumerate(text.splitlines(), 1):
        try:
            reader.read(line, number)
        except InvalidInput as error:
            raise error.at(source=source, line=number) from None
    if not reader.steps:
        raise InvalidInput(
            "no TRACE line in it", source=source, remedy="give dmesg, `xtables-monitor --trace` or `nft monitor trace`"
        )
    return tuple(reader.steps)


class _Reader:
    """Steps so far, and what nf_tables said of each of its packets last."""

    def __init__(self) -> None:
        self.steps: list[LoggedStep] = []
        self._packets: dict[str, LoggedPacket] = {}

    def read(self, line: str, number: int) -> None:
        """Takes one line."""
        if "TRACE: " in line or "PACKET: " in line:
            if (step := _MONITOR_STEP.fullmatch(line)) is not None and step["family"] in _FAMILIES:
                self._monitor_step(step, number)
            elif (packet := _MONITOR_PACKET.fullmatch(line)) is not None and packet["family"] in _FAMILIES:
                self._packets[packet["id"]] = parse_logged_packet(packet["packet"])
            elif (logged := _KERNEL.search(line)) is not None and logged["table"] in _TABLES:
                self._kernel_step(logged, number)
            elif _KERNEL_START.search(line) is not None:
                raise InvalidInput(f"a TRACE line cut short: {line[-60:]!r}")
        elif line.startswith("trace id ") and (found := _NFT.fullmatch(line)) is not None and found["family"] in _FAMILIES:
            self._nft_step(found, number)

    def _kernel_step(self, found: re.Match[str], number: int) -> None:
        packet = parse_logged_packet(found["packet"])
        self.steps.append(
            LoggedStep(
                origin=TraceOrigin.KERNEL_LOG,
                line=number,
                family=packet.family,
                table=found["table"],
                chain=found["chain"],
                kind=StepKind(found["kind"]),
                number=int(found["number"]),
                mark=packet.mark or 0,  # a mark of zero is not printed
                packet=packet,
                time_s=None if found["time"] is None else float(found["time"]),
            )
        )

    def _monitor_step(self, found: re.Match[str], number: int) -> None:
        kind = StepKind(found["kind"])
        detail = _MONITOR_RULE.fullmatch(found["rest"])
        if detail is None:
            raise InvalidInput(f"a TRACE line cut short: {found['rest'][:60]!r}")
        packet = self._packets.get(found["id"])
        verdict = detail["verdict"].strip()
        self.steps.append(
            LoggedStep(
                origin=TraceOrigin.XTABLES_MONITOR,
                line=number,
                family=_FAMILIES[found["family"]],
                table=found["table"],
                chain=found["chain"],
                kind=kind,
                handle=None if detail["handle"] is None else int(detail["handle"][:16], 16),
                rule=detail["rule"],
                verdict=_VERDICTS.get(verdict, verdict) or None,
                mark=None if packet is None else packet.mark or 0,
                packet=packet,
                trace_id=found["id"],
            )
        )

    def _nft_step(self, found: re.Match[str], number: int) -> None:
        rest = found["rest"].strip()
        if found["kind"] == "packet:":
            self._packets[found["id"]] = parse_nft_packet(rest)
            return
        kind = {"rule": StepKind.RULE, "policy": StepKind.POLICY}.get(found["kind"], StepKind.RETURN)
        mark, rule, verdict = None, None, rest
        if kind is StepKind.RULE:
            detail = _NFT_VERDICT.fullmatch(rest)
            if detail is None:
                raise InvalidInput(f"a rule without its verdict, so this line was cut short: {rest[-60:]!r}")
            rule, verdict = detail["rule"], detail["verdict"]
        elif (marked := _NFT_MARK.search(f" {rest}")) is not None:
            mark = int(marked["mark"], 0) & 0xFFFFFFFF
            verdict = f" {rest}"[: marked.start()].strip()
        self.steps.append(
            LoggedStep(
                origin=TraceOrigin.NFT_MONITOR,
                line=number,
                family=_FAMILIES[found["family"]],
                table=found["table"],
                chain=found["chain"],
                kind=kind,
                rule=rule,
                verdict=_nft_verdict(verdict),
                mark=mark,
                packet=self._packets.get(found["id"]),
                trace_id=found["id"],
            )
        )


def _nft_verdict(text: str) -> str | None:
    """`jump a:b` as `JUMP:a:b`, in the form of xtables-monitor."""
    word, _, chain = text.strip().partition(" ")
    return f"{word.upper()}:{chain}" if chain else word.upper() or None


# --- packets -----------------------------------------------------------------------------------------------------


def group_steps(steps: Iterable[LoggedStep]) -> tuple[tuple[LoggedStep, ...], ...]:
    """The steps of each packet, packets in the order of their first steps."""
    groups: list[list[LoggedStep]] = []
    latest: dict[object, list[LoggedStep]] = {}
    for step in steps:
        key = _key(step)
        group = latest.get(key)
        if group is None or _is_another(group, step):
            group = latest[key] = []
            groups.append(group)
        group.append(step)
    return tuple(tuple(group) for group in groups)


def _key(step: LoggedStep) -> object:
    """What all steps of one packet have in common: nf_tables' number, or headers that neither NAT nor routing touches."""
    if step.trace_id is not None:
        return step.origin, step.trace_id
    packet = step.packet
    assert packet is not None
    return (
        packet.family, packet.proto, packet.identification, packet.fragment_offset, packet.flow_label, packet.tcp_seq,
        packet.tcp_ack, packet.tcp_flags, packet.icmp_type, packet.icmp_code, packet.icmp_rest, packet.length,
    )  # fmt: skip


_TABLES = {table.value: table for table in TableName}
_HOOKS = {hook.value: hook for hook in Hook}
_FINAL = frozenset({"ACCEPT", "DROP"})
"""Verdicts of nf_tables after which nothing of the same base chain follows."""
_WAY = {Hook.PREROUTING: 0, Hook.OUTPUT: 0, Hook.INPUT: 1, Hook.FORWARD: 1, Hook.POSTROUTING: 2}


def _is_another(group: list[LoggedStep], step: LoggedStep) -> bool:
    """True when the step is of another packet than the group, though all that tells packets apart is the same."""
    if step.trace_id is None:
        return not _comes_later(group, step)
    here, last = _place(step), _last_place(group)
    if here is None or last is None:
        return False
    if here == last:
        return group[-1].verdict in _FINAL
    if here[0] is Hook.PREROUTING and last[0] in (Hook.OUTPUT, Hook.POSTROUTING):  # by `lo` it is still the same packet
        device = step.packet.in_iface if step.packet is not None else "lo"
        return device != "lo" or any(place[0] is Hook.PREROUTING for earlier in group if (place := _place(earlier)))
    return not _comes_later(group, step)


def _last_place(group: list[LoggedStep]) -> tuple[Hook, int] | None:
    return next((place for earlier in reversed(group) if (place := _place(earlier)) is not None), None)


def _comes_later(group: list[LoggedStep], step: LoggedStep) -> bool:
    """True when the step can follow the group's last one on one packet's way."""
    last = _last_place(group)
    here = _place(step)
    if here is None:  # a chain of a user: inside the table that the last step was in
        return step.table == group[-1].table
    if last is None:
        return True
    if here == last:
        return not _ended(group[-1])
    (hook, priority), (last_hook, last_priority) = here, last
    if hook is last_hook:
        return priority > last_priority
    return _WAY[hook] > _WAY[last_hook] and not (last_hook is Hook.OUTPUT and hook is not Hook.POSTROUTING)


def _place(step: LoggedStep) -> tuple[Hook, int] | None:
    """Hook and priority of a built-in chain, None for a chain of a user."""
    table, hook = _TABLES.get(step.table), _HOOKS.get(step.chain)
    if table is None or hook is None or hook not in BUILTIN_CHAINS[table]:
        return None
    return hook, table_priority(table, hook)


def _ended(step: LoggedStep) -> bool:
    """True when the step is the end of its built-in chain: nothing of that chain can follow."""
    return step.kind is StepKind.POLICY and _place(step) is not None
