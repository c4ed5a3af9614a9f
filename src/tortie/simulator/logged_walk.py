"""The kernel's own trace of a packet beside the simulator's: the same rules in the same order, or where they part.

`join_steps` finds each logged step's rule in a snapshot, `first_packet` and `find_arrival` make of the first step
what to walk, and
`compare` goes through both lists. What an origin does not tell is not compared: the kernel log has numbers and marks,
xtables-monitor the rules' text, nft only chains (see `netfilter.logged`). The log begins where tracing was switched on, so
what the simulator did before that is skipped. A rule of which the simulator cannot know whether it matched, and which
changes nothing, may be in the log or not.

Source: spec kernel-oracle 3.2 (an unconditional ACCEPT, DROP or RETURN is logged as policy or return, with its own number).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tortie.codec.rule import parse_rule
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.net.packet import Packet
from tortie.net.protocol import PORT_PROTOCOLS, UDP
from tortie.netfilter.hook import BUILTIN_CHAINS, Backend, Hook, TableName
from tortie.netfilter.logged import LoggedStep, StepKind, TraceOrigin, logged_to_packet
from tortie.netfilter.match import ProtocolMatch
from tortie.netfilter.rule import Chain, Rule, Ruleset
from tortie.netfilter.target import Goto, Jump, Return
from tortie.simulator.skb import Socket
from tortie.simulator.trace import ChainStep, NoteStep, RuleStep, Step
from tortie.simulator.walk import Arrival

_TABLES = {table.value: table for table in TableName}
_BACKENDS = {
    TraceOrigin.KERNEL_LOG: Backend.LEGACY,
    TraceOrigin.XTABLES_MONITOR: Backend.NFT,
    TraceOrigin.NFT_MONITOR: Backend.NFT,
}
_TRACING = " -j TRACE"
"""How xtables-monitor shows a rule that switches tracing on."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A logged step with what the snapshot knows of it; `number` is None where the log does not tell the rule."""

    logged: LoggedStep
    hook: Hook | None
    table: TableName | None
    chain: Chain | None
    number: int | None = None
    """Of the rule, or one more than the rules for the chain's end."""
    depth: int = 0
    problem: str = ""
    """Why there is no such rule in the snapshot."""

    @property
    def rule(self) -> Rule | None:
        """The rule, None for the end of a chain and for a rule that is not known."""
        if self.chain is None or self.number is None or self.number > len(self.chain.rules):
            return None
        return self.chain.rules[self.number - 1]

    @property
    def name(self) -> str:
        """`filter:FORWARD rule 3`, `filter:FORWARD policy`, or as much as is known."""
        where = f"{self.logged.table}:{self.logged.chain}"
        if self.chain is not None and self.number is not None:
            return _name(where, self.number, len(self.chain.rules), builtin=self.chain.policy is not None)
        return f"{where} {self.logged.kind.value}"


@dataclass(frozen=True, slots=True)
class Agreement:
    """What comparing came to: `matched` entries agree; `place` is the first that does not, None when the log just ended."""

    agrees: bool
    matched: int
    place: int | None = None
    text: str = ""


# --- the log beside the snapshot ---------------------------------------------------------------------------------


def join_steps(group: Sequence[LoggedStep], rulesets: Iterable[Ruleset]) -> tuple[LogEntry, ...]:
    """The steps of one packet with their rules in the snapshot."""
    known = tuple(rulesets)
    entries: list[LogEntry] = []
    hook: Hook | None = None
    depths: dict[tuple[str, str], int] = {}
    for step in group:
        table = _TABLES.get(step.table)
        started = _base_hook(table, step.chain)
        if started is not None and (hook is not started or not entries or entries[-1].table is not table):
            hook, depths = started, {}
        chain, problem = _find_chain(step, table, known)
        number, why = _find_number(step, chain, entries)
        depth = depths.setdefault((step.table, step.chain), 0)
        entry = LogEntry(step, hook, table, chain, number, depth, problem or why)
        match entry.rule:
            case Rule(target=Jump(name)):
                depths[step.table, name] = depth + 1
            case Rule(target=Goto(name)):
                depths[step.table, name] = depth
            case _:
                pass
        entries.append(entry)
    return tuple(entries)


def _base_hook(table: TableName | None, chain: str) -> Hook | None:
    return next((hook for hook in BUILTIN_CHAINS[table] if hook.value == chain), None) if table is not None else None


def _find_chain(step: LoggedStep, table: TableName | None, rulesets: tuple[Ruleset, ...]) -> tuple[Chain | None, str]:
    """The chain in the back-end that writes such logs, else in any."""
    if table is None:
        return None, f"no table of iptables is called {step.table}"
    fitting = [ruleset for ruleset in rulesets if ruleset.family is step.family and table in ruleset.tables]
    fitting.sort(key=lambda ruleset: ruleset.backend is not _BACKENDS[step.origin])
    for ruleset in fitting:
        chain = ruleset.tables[table].chains.get(step.chain)
        if chain is not None:
            return chain, ""
    return None, f"the snapshot has no chain {step.chain} in {step.table}"


def _find_number(step: LoggedStep, chain: Chain | None, earlier: list[LogEntry]) -> tuple[int | None, str]:
    if chain is None:
        return None, ""
    if step.number is not None:
        if not 1 <= step.number <= len(chain.rules) + 1:
            return (
                None,
                f"the snapshot's chain {chain.name} has {len(chain.rules)} rules, the log names number {step.number}",
            )
        return step.number, ""
    if step.kind is not StepKind.RULE:
        return len(chain.rules) + 1, ""
    if step.rule is None or step.origin is not TraceOrigin.XTABLES_MONITOR:
        return None, ""
    return _find_by_text(step.rule, step.family, chain, earlier)


def _find_by_text(text: str, family: IPFamily, chain: Chain, earlier: list[LogEntry]) -> tuple[int | None, str]:
    """The next rule of the chain that says the same, after the last one that was logged, else the first."""
    try:
        wanted = parse_rule(text.removeprefix(f"-A {chain.name}").strip(), family)
    except InvalidInput as error:
        return None, f"the log's rule cannot be read: {error.message}"
    last = next((entry.number or 0 for entry in reversed(earlier) if entry.chain is chain), 0)
    places = [number for number, rule in enumerate(chain.rules, 1) if rule == wanted]
    if not places:
        return None, f"the snapshot's chain {chain.name} has no such rule: {text}"
    return next((number for number in places if number > last), places[0]), ""


def entry_steps(entries: Sequence[LogEntry]) -> tuple[Step, ...]:
    """The log as steps of a walk, to be shown like one; what the snapshot does not explain is a note."""
    steps: list[Step] = []
    packet = first_packet(entries)[0]
    for position, entry in enumerate(entries):
        logged = entry.logged
        if logged.packet is not None:
            packet = logged_to_packet(logged.packet) or packet
        mark = logged.mark or 0
        later = entries[position + 1].logged.mark if position + 1 < len(entries) else None
        after = later if later is not None and logged.origin is TraceOrigin.KERNEL_LOG else mark
        if entry.problem or packet is None or entry.hook is None or entry.table is None or entry.chain is None:
            steps.append(NoteStep(entry.hook, f"{entry.name}: {entry.problem or logged.rule or logged.verdict}", mark))
            continue
        backend = _BACKENDS[logged.origin]
        if entry.rule is not None:
            steps.append(
                RuleStep(
                    entry.hook, entry.table, entry.chain.name, entry.number or 0, entry.rule, True, "", "", mark, after,
                    packet, entry.depth, backend,
                )
            )  # fmt: skip
        elif entry.number is not None:
            steps.append(
                ChainStep(
                    entry.hook, entry.table, entry.chain.name, entry.number, entry.chain.policy, mark, packet, entry.depth,
                    backend,
                )
            )  # fmt: skip
        else:
            steps.append(NoteStep(entry.hook, f"{entry.name}: {logged.rule or logged.verdict or ''}", mark))
    return tuple(steps)


# --- the packet to walk ------------------------------------------------------------------------------------------


def first_packet(entries: Sequence[LogEntry]) -> tuple[Packet | None, str]:
    """The packet as the log first shows it, and what had to be taken for granted; None when it shows too little.

    xtables-monitor shows ports without their protocol; the rules that matched mostly tell it, else UDP is taken.
    """
    logged = entries[0].logged.packet
    if logged is None:
        return None, ""
    assumed = ""
    if logged.proto is None and logged.sport is not None:
        told = next((proto for entry in entries if (proto := _tested_protocol(entry.rule)) is not None), None)
        logged = replace(logged, proto=UDP if told is None else told)
        assumed = "udp" if told is None else ""
    return logged_to_packet(logged), assumed


def _tested_protocol(rule: Rule | None) -> int | None:
    matches = rule.matches if rule is not None else ()
    tests = (match for match in matches if isinstance(match, ProtocolMatch))
    return next((test.number for test in tests if not test.inverted and test.number in PORT_PROTOCOLS), None)


def find_arrival(entries: Sequence[LogEntry], packet: Packet) -> Arrival | str:
    """How a packet of a log met the node, or why the log does not tell enough for that."""
    hook, logged = entries[0].hook, entries[0].logged.packet
    assert logged is not None
    if hook not in (Hook.PREROUTING, Hook.OUTPUT):
        return f"the log begins in {entries[0].logged.chain}, and does not show the packet as it came"
    if hook is Hook.OUTPUT:
        return Arrival(packet, socket=Socket(logged.uid, logged.gid) if logged.uid is not None else None)
    if not logged.in_iface:
        return "the log does not show the device"
    if logged.in_iface == "lo":
        return "the packet comes back on lo, and the log does not show how it was sent"
    target = logged.mac_destination
    frame_type = "unicast"
    if target is not None and target[0] & 1:
        frame_type = "broadcast" if target == b"\xff" * 6 else "multicast"
    return Arrival(packet, logged.in_iface, mac_source=logged.mac_source, frame_type=frame_type)


def split_ways(steps: Sequence[Step]) -> tuple[tuple[Step, ...], ...]:
    """The steps of a walk cut where the packet starts its way anew (on `lo`), as the kernel log cuts them."""
    ways: list[list[Step]] = [[]]
    leaving = False
    for step in steps:
        hook = step.hook if isinstance(step, RuleStep | ChainStep) else None
        if hook is Hook.PREROUTING and leaving:
            ways.append([])
            leaving = False
        leaving = leaving or hook not in (None, Hook.PREROUTING)
        ways[-1].append(step)
    return tuple(tuple(way) for way in ways)


# --- comparing ---------------------------------------------------------------------------------------------------


def compare(entries: Sequence[LogEntry], steps: Iterable[Step]) -> Agreement:
    """Goes through log and walk side by side; the log may begin later, and must end where the walk ends."""
    origin = entries[0].logged.origin
    logged = [(place, entry) for place, entry in enumerate(entries) if _is_compared(entry)]
    told = tuple(steps)
    both = _both_backends(told)
    walked = [step for step in told if _is_step_compared(step, origin, both=both)]
    if not logged:
        return Agreement(True, 0)
    start = next((i for i, step in enumerate(walked) if _fits(logged[0][1], step)), 0)
    position, matched = start, 0
    for place, entry in logged:
        while position < len(walked) and not _fits(entry, walked[position]) and _is_optional(walked[position]):
            position += 1
        if position == len(walked):
            return Agreement(False, matched, place, f"the log goes on with {entry.name}, where the simulator has ended")
        step = walked[position]
        if not _fits(entry, step):
            text = entry.problem or f"the log has {entry.name}, the simulator {_step_name(step)}"
            return Agreement(False, matched, place, text)
        difference = _mark_difference(entry, step)
        if difference:
            return Agreement(False, matched, place, difference)
        position, matched = position + 1, matched + 1
    rest = [step for step in walked[position:] if not _is_optional(step)]
    if rest:
        return Agreement(False, matched, None, f"the log ends, where the simulator goes on with {_step_name(rest[0])}")
    return Agreement(True, matched)


def missed_reason(entry: LogEntry, steps: Iterable[Step]) -> str:
    """Why the simulator passed over the rule that the log shows; empty when it never looked at it."""
    for step in steps:
        if isinstance(step, RuleStep) and not step.matched:
            if (step.table, step.chain, step.number) == (entry.table, entry.logged.chain, entry.number):
                return step.reason
    return ""


def _is_compared(entry: LogEntry) -> bool:
    """Only the kernel log shows every end of a chain; the others are compared by rules and policies.

    A rule that switched tracing on and is gone from the snapshot changed nothing: people remove it before they ask.
    """
    if entry.problem and (entry.logged.rule or "").endswith(_TRACING):
        return False
    if entry.logged.origin is TraceOrigin.KERNEL_LOG:
        return True
    return entry.logged.kind is StepKind.POLICY or (entry.logged.kind is StepKind.RULE and entry.logged.rule is not None)


def _both_backends(steps: Iterable[Step]) -> bool:
    return len({step.backend for step in steps if isinstance(step, RuleStep | ChainStep)}) > 1


def _is_step_compared(step: Step, origin: TraceOrigin, *, both: bool) -> bool:
    if isinstance(step, RuleStep):
        shown = step.matched
    elif isinstance(step, ChainStep):
        shown = origin is TraceOrigin.KERNEL_LOG or step.policy is not None
    else:
        return False
    return shown and (not both or step.backend is _BACKENDS[origin])


def _is_optional(step: Step) -> bool:
    """Whether a log need not show it: a rule that may have matched; a base chain that nft never had to make.

    iptables-nft makes a base chain with its first rule and its save prints all of a table's (seen: iptables 1.8.9).
    """
    if isinstance(step, ChainStep):
        return step.backend is Backend.NFT and step.policy == "ACCEPT" and step.number == 1
    return isinstance(step, RuleStep) and (step.maybe or _may_be_told_as_end(step))


def _may_be_told_as_end(step: RuleStep) -> bool:
    """Older kernels tell a rule of nf_tables that returns like the end of its chain, which is not compared (seen: 6.1)."""
    return step.backend is Backend.NFT and isinstance(step.rule.target, Return)


def _fits(entry: LogEntry, step: Step) -> bool:
    assert isinstance(step, RuleStep | ChainStep)
    if (entry.logged.table, entry.logged.chain) != (step.table.value, step.chain):
        return False
    return entry.number == step.number if entry.number is not None else not entry.problem


def _mark_difference(entry: LogEntry, step: Step) -> str:
    """Only the kernel log shows the mark at every step."""
    if entry.logged.origin is not TraceOrigin.KERNEL_LOG:
        return ""
    mark = step.mark_before if isinstance(step, RuleStep) else step.mark
    if mark == (entry.logged.mark or 0):
        return ""
    return f"at {entry.name} the log has mark {entry.logged.mark or 0:#x}, the simulator {mark:#x}"


def _step_name(step: Step) -> str:
    assert isinstance(step, RuleStep | ChainStep)
    rules = step.number if isinstance(step, RuleStep) else step.number - 1
    builtin = isinstance(step, ChainStep) and step.policy is not None
    return _name(f"{step.table.value}:{step.chain}", step.number, rules, builtin=builtin)


def _name(where: str, number: int, rules: int, *, builtin: bool) -> str:
    if number <= rules:
        return f"{where} rule {number}"
    return f"{where} policy" if builtin else f"the end of {where}"
