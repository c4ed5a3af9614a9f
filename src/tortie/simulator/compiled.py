"""Rules, chains and tables made ready for walking.

A rule becomes its tests (closures), in the order they are written, and one act. Tests that always hold (comments) are left
out. Chains are compiled when a packet first enters them, so a node with many thousand rules is ready at once.

A walk that need not tell what missed uses a chain's quick form: where several rules in a row each ask for one value of the
same field (an interface, an address), a `Switch` looks the packet's value up and only the rules that fit are walked. That
changes nothing: tests of the rule's header remember nothing, and one that fails makes the rule a miss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias

from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend, Hook, TableName
from tortie.netfilter.match import (
    CommentMatch,
    DestinationMatch,
    InInterfaceMatch,
    Match,
    OutInterfaceMatch,
    SourceMatch,
)
from tortie.netfilter.rule import Chain, Rule, Table
from tortie.netfilter.snapshot import Snapshot
from tortie.netfilter.target import (
    Accept,
    AuditTarget,
    Drop,
    Goto,
    Jump,
    Log,
    Nflog,
    OpaqueTarget,
    Return,
    Target,
    TraceTarget,
)
from tortie.simulator.answer import Answer
from tortie.simulator.context import Context
from tortie.simulator.match import compile_match, is_stateful
from tortie.simulator.memo import Memo, is_plain_effect, is_plain_match
from tortie.simulator.route import Router
from tortie.simulator.skb import Skb
from tortie.simulator.target import Effect, compile_target, no_effect
from tortie.simulator.trace import Cause, DecidedBy, RuleStep
from tortie.simulator.verdict import Terminal, compile_terminal

Holds: TypeAlias = Callable[[Skb], Answer]
Key: TypeAlias = str | int
"""What a switch looks up: an interface's name or an address."""

SHORTEST_RUN = 4
"""Rules in a row from which on a switch is worth its look-up."""

_MOST_SHARED = 4096
"""Tests kept for other rules of the table."""

_HARMLESS = (Log, Nflog, TraceTarget, AuditTarget)
"""Targets that change nothing on the packet's path: whether their rule matched need not be known."""


class Act(IntEnum):
    """What a matching rule does."""

    CONTINUE = 0
    EFFECT = 1
    ACCEPT = 2
    DROP = 3
    RETURN = 4
    JUMP = 5
    GOTO = 6
    TERMINAL = 7
    """The target works out its own end: REJECT, NAT, NFQUEUE, TPROXY and the like."""
    OPAQUE = 8


_PLAIN_ACTS = frozenset({Act.CONTINUE, Act.ACCEPT, Act.DROP, Act.RETURN, Act.JUMP, Act.GOTO})


@dataclass(slots=True, eq=False)
class CompiledRule:
    """A rule ready to run; `matches` and `contexts` stand beside `tests` for the explanations."""

    number: int
    rule: Rule
    tests: tuple[Holds, ...]
    matches: tuple[Match, ...]
    contexts: tuple[Context, ...]
    context: Context
    act: Act = Act.CONTINUE
    chain: CompiledChain | None = None
    effect: Effect = no_effect
    terminal: Terminal | None = None

    @property
    def is_plain(self) -> bool:
        """True when what the rule does follows from little of a packet, and is no more than a mark or an end (`memo`)."""
        if not all(is_plain_match(match, context) for match, context in zip(self.matches, self.contexts, strict=True)):
            return False
        return self.act in _PLAIN_ACTS or (self.act is Act.EFFECT and is_plain_effect(self.rule.target))

    @property
    def harmless(self) -> bool:
        """True when the rule cannot change what becomes of the packet."""
        return self.rule.target is None or isinstance(self.rule.target, _HARMLESS)


@dataclass(slots=True, eq=False)
class Switch:
    """Stands for a run of rules that each ask for one value of the same field, so that only those that fit are walked."""

    key: Callable[[Skb], Key | None]
    cases: dict[Key, tuple[CompiledRule, ...]]
    whole: tuple[CompiledRule, ...]
    tests: tuple[Holds, ...] = ()

    def select(self, skb: Skb) -> tuple[CompiledRule, ...]:
        """The rules of the run that a packet can match, all of them where the field is not known."""
        value = self.key(skb)
        return self.whole if value is None else self.cases.get(value, ())


@dataclass(slots=True, eq=False)
class CompiledChain:
    """A chain whose rules are compiled on first use."""

    source: Chain
    table: CompiledTable
    name: str = ""
    compiled: tuple[CompiledRule, ...] | None = None
    shortened: tuple[CompiledRule | Switch, ...] | None = None
    plain: bool = False
    """True, once it has a quick form, when all its rules are plain ones (`memo`)."""
    memos: dict[Hook, Memo] = field(default_factory=dict)
    """What became of packets that entered here, where it is a built-in chain."""
    policies: dict[Hook, DecidedBy] = field(default_factory=dict)
    missed: dict[tuple[Hook, int], RuleStep] = field(default_factory=dict)
    """What stands for rules that missed, by hook and depth, where nobody asks which they were."""

    def __post_init__(self) -> None:
        self.name = self.source.name

    def rules(self) -> tuple[CompiledRule, ...]:
        """The compiled rules."""
        found = self.compiled
        if found is None:
            numbered = enumerate(self.source.rules, 1)
            found = self.compiled = tuple(self.table.compile_rule(self.name, number, rule) for number, rule in numbered)
        return found

    def quick_rules(self) -> tuple[CompiledRule | Switch, ...]:
        """The compiled rules with switches in place of long runs; for walks that need not tell what missed."""
        found = self.shortened
        if found is None:
            found = self.shortened = tuple(_shorten(self.rules()))
            self.plain = all(rule.is_plain for rule in self.rules())
        return found

    def memo(self, hook: Hook) -> Memo:
        """What is remembered of packets at a hook."""
        found = self.memos.get(hook)
        if found is None:
            found = self.memos[hook] = Memo()
        return found

    def policy_decides(self, hook: Hook) -> DecidedBy:
        """Names the policy of a built-in chain as what decided."""
        found = self.policies.get(hook)
        if found is None:
            table = self.table
            text = f"policy of {self.name} in {table.name.value} is {self.source.policy or 'ACCEPT'}"
            found = DecidedBy(Cause.CHAIN_POLICY, text, hook, table.name, self.name, None, table.backend)
            self.policies[hook] = found
        return found


@dataclass(slots=True, eq=False)
class CompiledTable:
    """One table of one back-end."""

    backend: Backend
    family: IPFamily
    source: Table
    snapshot: Snapshot
    router: Router
    chains: dict[str, CompiledChain] = field(default_factory=dict)
    bases: dict[Hook, CompiledChain] = field(default_factory=dict)
    """The built-in chain of each hook."""
    known_tests: dict[Match, Holds] = field(default_factory=dict)
    """Tests that remember nothing, by what they test: many rules test the same."""
    context: Context = field(init=False)
    """What all matches and targets share that keep no memory of their own."""

    def __post_init__(self) -> None:
        self.context = self._context("", 0, 0)
        self.chains = {name: CompiledChain(chain, self) for name, chain in self.source.chains.items()}
        self.bases = {hook: self.chains[hook.value] for hook in Hook if hook.value in self.chains}

    @property
    def name(self) -> TableName:
        """The table's name."""
        return self.source.name

    def compile_rule(self, chain: str, number: int, rule: Rule) -> CompiledRule:
        """One rule of a chain of this table."""
        matches, contexts, tests = [], [], []
        for position, match in enumerate(rule.matches):
            if isinstance(match, CommentMatch):
                continue
            context = self._context(chain, number, position) if is_stateful(match) else self.context
            matches.append(match)
            contexts.append(context)
            tests.append(self._test(match, context))
        compiled = CompiledRule(number, rule, tuple(tests), tuple(matches), tuple(contexts), self.context)
        self._compile_target(compiled, rule.target)
        return compiled

    def _test(self, match: Match, context: Context) -> Holds:
        if context is not self.context:
            return compile_match(match, context)
        found = self.known_tests.get(match)
        if found is None:
            found = compile_match(match, context)
            if len(self.known_tests) < _MOST_SHARED:
                self.known_tests[match] = found
        return found

    def _context(self, chain: str, number: int, position: int) -> Context:
        place = (self.name.value, chain, number, position)
        return Context(self.family, self.backend, place, self.router, self.snapshot)

    def _compile_target(self, compiled: CompiledRule, target: Target | None) -> None:
        match target:
            case None:
                compiled.act = Act.CONTINUE
            case Accept():
                compiled.act = Act.ACCEPT
            case Drop():
                compiled.act = Act.DROP
            case Return():
                compiled.act = Act.RETURN
            case Jump(name) | Goto(name):
                compiled.chain = self.chains.get(name)
                if compiled.chain is None:
                    compiled.act = Act.OPAQUE
                else:
                    compiled.act = Act.JUMP if isinstance(target, Jump) else Act.GOTO
            case OpaqueTarget():
                compiled.act = Act.OPAQUE
            case _:
                compiled.terminal = compile_terminal(target, compiled.context)
                if compiled.terminal is not None:
                    compiled.act = Act.TERMINAL
                else:
                    compiled.act, compiled.effect = Act.EFFECT, compile_target(target, compiled.context)


# --- switches ----------------------------------------------------------------------------------------------------


def _shorten(rules: tuple[CompiledRule, ...]) -> Iterator[CompiledRule | Switch]:
    position = 0
    while position < len(rules):
        run = max((_run_from(rules, position, kind) for kind in _KEYS), key=len)
        if len(run) < SHORTEST_RUN:
            yield rules[position]
            position += 1
            continue
        kind = run[0][0]
        cases: dict[Key, list[CompiledRule]] = {}
        for (_, value), rule in zip(run, rules[position:], strict=False):
            cases.setdefault(value, []).append(rule)
        whole = rules[position : position + len(run)]
        yield Switch(_KEYS[kind], {value: tuple(found) for value, found in cases.items()}, whole)
        position += len(run)


def _run_from(rules: tuple[CompiledRule, ...], start: int, kind: type) -> list[tuple[type, Key]]:
    """The values that rules from `start` on ask of one field, as far as every one asks for exactly one."""
    found: list[tuple[type, Key]] = []
    for position in range(start, len(rules)):
        value = next((_exact(match) for match in rules[position].matches if type(match) is kind), None)
        if value is None:
            break
        found.append((kind, value))
    return found


def _exact(match: Match) -> Key | None:
    """The one value a header test asks for; None for one that more than one value, or all but one, satisfies."""
    match match:
        case InInterfaceMatch(name, False) | OutInterfaceMatch(name, False):
            return None if name.endswith("+") or not name else name
        case SourceMatch(net, False) | DestinationMatch(net, False):
            return net.value if net.mask == net.family.all_ones else None
        case _:
            return None


_KEYS: dict[type, Callable[[Skb], Key | None]] = {
    InInterfaceMatch: lambda skb: skb.in_iface,
    OutInterfaceMatch: lambda skb: skb.out_iface,
    SourceMatch: lambda skb: skb.packet.src,
    DestinationMatch: lambda skb: skb.packet.dst,
}
"""The fields that a switch can look up, and how."""
