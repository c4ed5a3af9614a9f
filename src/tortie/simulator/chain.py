"""Chains made ready for walking, and the walk through one table at one hook.

A rule becomes its tests (closures), in the order they are written, and one act. Tests that always hold (comments) are
left out. Chains are compiled when a packet first enters them, so a node with many thousand rules is ready at once.
What a test means lives in `match`, what a target does in `target` and `verdict`; here is only the order of things:
jumps, gotos, returns, policies (spec: netfilter 3), and what to do when a test cannot answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend, Hook, TableName
from tortie.netfilter.match import CommentMatch, Match
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
from tortie.simulator.answer import Answer, Doubt, DoubtKind, Hindrance
from tortie.simulator.choice import Choice
from tortie.simulator.context import Context
from tortie.simulator.match import compile_match, explain_match, is_stateful
from tortie.simulator.route import Router
from tortie.simulator.run import Ended, Run
from tortie.simulator.skb import Skb
from tortie.simulator.target import compile_target, describe_effect
from tortie.simulator.trace import Cause, ChainStep, DecidedBy, RuleStep, Verdict
from tortie.simulator.verdict import Terminal, compile_terminal

Holds = Callable[[Skb], Answer]

_CONTINUE, _EFFECT, _ACCEPT, _DROP, _RETURN, _JUMP, _GOTO, _TERMINAL, _OPAQUE = range(9)
"""What a matching rule does; `_TERMINAL` targets work out their own end (REJECT, NAT, NFQUEUE, TPROXY)."""
_MOVES = (_JUMP, _GOTO)
_HARMLESS = (Log, Nflog, TraceTarget, AuditTarget)
"""Targets that change nothing on the packet's path: whether their rule matched need not be known."""


@dataclass(slots=True, eq=False)
class CompiledRule:
    """A rule ready to run; `matches` and `contexts` stand beside `tests` for the explanations."""

    number: int
    rule: Rule
    tests: tuple[Holds, ...]
    matches: tuple[Match, ...]
    contexts: tuple[Context, ...]
    context: Context
    act: int = _CONTINUE
    chain: CompiledChain | None = None
    effect: Callable[[Skb], Hindrance | None] | None = None
    terminal: Terminal | None = None

    @property
    def harmless(self) -> bool:
        """True when the rule cannot change what becomes of the packet."""
        return self.rule.target is None or isinstance(self.rule.target, _HARMLESS)


@dataclass(slots=True, eq=False)
class CompiledChain:
    """A chain whose rules are compiled on first use."""

    source: Chain
    table: CompiledTable
    name: str = ""
    compiled: tuple[CompiledRule, ...] | None = None
    policies: dict[Hook, DecidedBy] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.name = self.source.name

    def rules(self) -> tuple[CompiledRule, ...]:
        """The compiled rules."""
        found = self.compiled
        if found is None:
            numbered = enumerate(self.source.rules, 1)
            found = self.compiled = tuple(self.table.compile_rule(self.name, number, rule) for number, rule in numbered)
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

    def __post_init__(self) -> None:
        self.chains = {name: CompiledChain(chain, self) for name, chain in self.source.chains.items()}
        self.bases = {hook: self.chains[hook.value] for hook in Hook if hook.value in self.chains}

    @property
    def name(self) -> TableName:
        """The table's name."""
        return self.source.name

    def compile_rule(self, chain: str, number: int, rule: Rule) -> CompiledRule:
        """One rule of a chain of this table."""
        kept = [(i, match) for i, match in enumerate(rule.matches) if not isinstance(match, CommentMatch)]
        contexts = tuple(self._context(chain, number, i) for i, _ in kept)
        matches = tuple(match for _, match in kept)
        tests = tuple(compile_match(match, context) for match, context in zip(matches, contexts, strict=True))
        compiled = CompiledRule(number, rule, tests, matches, contexts, self._context(chain, number, len(rule.matches)))
        self._compile_target(compiled, rule.target)
        return compiled

    def _context(self, chain: str, number: int, position: int) -> Context:
        place = (self.name.value, chain, number, position)
        return Context(self.family, self.backend, place, self.router, self.snapshot)

    def _compile_target(self, compiled: CompiledRule, target: Target | None) -> None:
        match target:
            case None:
                compiled.act = _CONTINUE
            case Accept():
                compiled.act = _ACCEPT
            case Drop():
                compiled.act = _DROP
            case Return():
                compiled.act = _RETURN
            case Jump(name) | Goto(name):
                compiled.chain = self.chains.get(name)
                if compiled.chain is None:
                    compiled.act = _OPAQUE
                else:
                    compiled.act = _JUMP if isinstance(target, Jump) else _GOTO
            case OpaqueTarget():
                compiled.act = _OPAQUE
            case _:
                compiled.terminal = compile_terminal(target, compiled.context)
                if compiled.terminal is not None:
                    compiled.act = _TERMINAL
                else:
                    compiled.act, compiled.effect = _EFFECT, compile_target(target, compiled.context)


# --- the walk ----------------------------------------------------------------------------------------------------


def walk_table(run: Run, skb: Skb, table: CompiledTable, hook: Hook) -> None:
    """Walks a packet through a table at a hook; returns when the table accepts, raises `Ended` when it does not."""
    base = table.bases.get(hook)
    if base is None:
        return
    keep = run.steps is not None
    chain, rules, position = base, base.rules(), 0
    stack: list[tuple[CompiledChain, tuple[CompiledRule, ...], int]] = []
    while True:
        if position == len(rules):
            if chain is not base and keep:
                _note_return(run, skb, hook, chain, len(stack))
            if not stack:
                break
            chain, rules, position = stack.pop()
            continue
        rule = rules[position]
        position += 1
        for test in rule.tests:
            answer = test(skb)
            if answer is not True and (answer is False or not _settle(run, skb, hook, chain, rule, test, answer)):
                break
        else:
            act = rule.act
            if act in _MOVES:
                if keep:
                    _note_hit(run, skb, hook, chain, rule, len(stack))
                if act == _JUMP:
                    stack.append((chain, rules, position))
                assert rule.chain is not None
                chain = rule.chain
                rules, position = chain.compiled or chain.rules(), 0
            elif act == _EFFECT:
                if keep:
                    _run_effect(run, skb, hook, chain, rule, len(stack))
                else:
                    assert rule.effect is not None
                    doubt = rule.effect(skb)
                    if doubt is not None:
                        _settle_effect(run, hook, chain, rule, doubt)
            elif act == _RETURN:
                if keep:
                    _note_hit(run, skb, hook, chain, rule, len(stack), effect="returns")
                if not stack:
                    break
                chain, rules, position = stack.pop()
            elif act == _CONTINUE:
                if keep:
                    _note_hit(run, skb, hook, chain, rule, len(stack))
            elif _finish(run, skb, hook, chain, rule, len(stack)):
                return
            continue
        if keep:
            _note_miss(run, skb, hook, chain, rule, len(stack), test)
    _apply_policy(run, skb, hook, base)


def _finish(run: Run, skb: Skb, hook: Hook, chain: CompiledChain, rule: CompiledRule, depth: int) -> bool:
    """Runs a target that can end the walk of this table; returns whether it did (a drop is raised)."""
    if rule.act == _ACCEPT:
        if run.steps is not None:
            _note_hit(run, skb, hook, chain, rule, depth, effect="accepts")
        _decide(run, _rule_decides(hook, chain, rule, "accepted by a rule"))
        return True
    if rule.act == _DROP:
        if run.steps is not None:
            _note_hit(run, skb, hook, chain, rule, depth, effect="drops")
        raise Ended(Verdict.DROP, _rule_decides(hook, chain, rule, "dropped by a rule"), errno="EPERM")
    if rule.act == _OPAQUE:
        return _run_opaque(run, skb, hook, chain, rule, depth)
    assert rule.terminal is not None
    mark = skb.mark
    reason = _hit_reason(skb, rule) if run.steps is not None else ""
    end = rule.terminal(run, skb, hook, _subject(chain, rule))
    if run.steps is not None:
        _note_hit(run, skb, hook, chain, rule, depth, effect=end.effect, mark_before=mark, reason=reason)
    if end.reply is not None:
        run.send_answer(run, skb, end.reply)
    where = _rule_decides(hook, chain, rule, end.effect)
    if end.verdict is not None:
        raise Ended(end.verdict, where, errno=end.errno)
    if end.ends:
        _decide(run, where)
    return end.ends


def _run_effect(run: Run, skb: Skb, hook: Hook, chain: CompiledChain, rule: CompiledRule, depth: int) -> None:
    mark, packet = skb.mark, skb.packet
    assert rule.effect is not None and rule.rule.target is not None
    reason = _hit_reason(skb, rule) if run.steps is not None else ""
    doubt = rule.effect(skb)
    if run.steps is not None:
        effect = describe_effect(rule.rule.target, mark, packet, skb)
        _note_hit(run, skb, hook, chain, rule, depth, effect=effect, mark_before=mark, reason=reason)
    if doubt is not None:
        _settle_effect(run, hook, chain, rule, doubt)


def _settle_effect(run: Run, hook: Hook, chain: CompiledChain, rule: CompiledRule, doubt: Hindrance) -> None:
    """A target that did not do its work: it dropped a packet too short for it, or nobody knows what it does."""
    if isinstance(doubt, Doubt):
        _continue_or_unknown(run, hook, chain, rule, doubt.why)
    else:
        raise Ended(Verdict.DROP, _hotdrop_decides(hook, chain, rule, "target"), errno="EPERM")


def _hotdrop_decides(hook: Hook, chain: CompiledChain, rule: CompiledRule, what: str) -> DecidedBy:
    text = f"the packet is too short for the {what} of this rule, which drops it"
    table = chain.table
    return DecidedBy(Cause.HOTDROP, text, hook, table.name, chain.name, rule.number, table.backend)


def _run_opaque(run: Run, skb: Skb, hook: Hook, chain: CompiledChain, rule: CompiledRule, depth: int) -> bool:
    target = rule.rule.target
    if isinstance(target, Jump | Goto):
        why = f"the chain {target.chain} that this rule jumps to is not in the snapshot"
    else:
        assert isinstance(target, OpaqueTarget)
        why = f"Tortie does not know what the target {target.name} does"
    if run.steps is not None:
        _note_hit(run, skb, hook, chain, rule, depth, effect=why)
    _continue_or_unknown(run, hook, chain, rule, why)
    return False


def _continue_or_unknown(run: Run, hook: Hook, chain: CompiledChain, rule: CompiledRule, why: str) -> None:
    """A target that cannot be simulated: one outcome goes on as if it did nothing, the other is unknown."""
    conditions = (f"if {_subject(chain, rule)} leaves the packet as it is", why)
    choice = Choice(DoubtKind.UNKNOWN, _subject(chain, rule), ("ignore", "unknown"), conditions)
    if run.chooser.choose(choice) == 1:
        raise Ended(Verdict.UNKNOWN, _rule_decides(hook, chain, rule, why))


def _apply_policy(run: Run, skb: Skb, hook: Hook, base: CompiledChain) -> None:
    policy = base.source.policy or "ACCEPT"
    if run.steps is not None:
        table, number = base.table, len(base.rules()) + 1
        run.steps.append(ChainStep(hook, table.name, base.name, number, policy, skb.mark, skb.packet, 0, table.backend))
    where = base.policy_decides(hook)
    if policy == "DROP":
        raise Ended(Verdict.DROP, where, errno="EPERM")
    _decide(run, where)


def _decide(run: Run, where: DecidedBy) -> None:
    """Remembers what let the packet pass; the filter table has the last word, the others only where it has none."""
    before = run.decided_by
    if where.table is TableName.FILTER or before is None or before.table is not TableName.FILTER:
        run.decided_by = where


# --- tests without an answer -------------------------------------------------------------------------------------


def _settle(run: Run, skb: Skb, hook: Hook, chain: CompiledChain, rule: CompiledRule, test: Holds, answer: Answer) -> bool:
    """Decides a test that answered neither yes nor no; returns whether to go on with the rule's next test.

    A later test that certainly fails makes the rule a certain miss, as long as no test that remembers things stands
    before it; then nothing has to be assumed.
    """
    position = rule.tests.index(test)
    if not isinstance(answer, Doubt):
        raise Ended(Verdict.DROP, _hotdrop_decides(hook, chain, rule, "match"), errno="EPERM")
    for later in range(position + 1, len(rule.tests)):
        if is_stateful(rule.matches[later]):
            break
        if rule.tests[later](skb) is False:
            if run.steps is not None:
                run.miss_reason = explain_match(rule.matches[later], skb, rule.contexts[later], holds=False)
            return False
    if rule.harmless:
        run.maybe = answer.why
        return True
    conditions = (answer.why, f"not: {answer.why}")
    chance = answer.probability
    probabilities = (chance, 1 - chance) if chance is not None else None
    choice = Choice(answer.kind, _subject(chain, rule), ("match", "miss"), conditions, probabilities)
    number = run.chooser.choose(choice)
    run.miss_reason = conditions[1] if number else None
    return number == 0


def _subject(chain: CompiledChain, rule: CompiledRule) -> str:
    return f"{chain.table.name.value}:{chain.name}:{rule.number}"


def _rule_decides(hook: Hook, chain: CompiledChain, rule: CompiledRule, text: str) -> DecidedBy:
    return DecidedBy(Cause.RULE, text, hook, chain.table.name, chain.name, rule.number, chain.table.backend)


# --- telling -----------------------------------------------------------------------------------------------------


def _note_hit(
    run: Run,
    skb: Skb,
    hook: Hook,
    chain: CompiledChain,
    rule: CompiledRule,
    depth: int,
    *,
    effect: str = "",
    mark_before: int | None = None,
    reason: str | None = None,
) -> None:
    assert run.steps is not None
    reason = _hit_reason(skb, rule) if reason is None else reason
    if run.maybe is not None:
        reason = f"{run.maybe}; {reason}" if reason else run.maybe
    maybe, run.maybe = run.maybe is not None, None
    before = skb.mark if mark_before is None else mark_before
    table = chain.table
    run.steps.append(
        RuleStep(
            hook, table.name, chain.name, rule.number, rule.rule, True, reason, effect, before, skb.mark, skb.packet, depth,
            table.backend, maybe,
        )
    )  # fmt: skip


def _hit_reason(skb: Skb, rule: CompiledRule) -> str:
    pairs = zip(rule.matches, rule.contexts, strict=True)
    reasons = (explain_match(match, skb, context, holds=True) for match, context in pairs)
    return "; ".join(text for text in reasons if text)


def _note_miss(run: Run, skb: Skb, hook: Hook, chain: CompiledChain, rule: CompiledRule, depth: int, failed: Holds) -> None:
    assert run.steps is not None
    table = chain.table
    reason, run.miss_reason, run.maybe = run.miss_reason, None, None
    if reason is None:
        position = rule.tests.index(failed)
        reason = explain_match(rule.matches[position], skb, rule.contexts[position], holds=False)
    run.steps.append(
        RuleStep(
            hook, table.name, chain.name, rule.number, rule.rule, False, reason, "", skb.mark, skb.mark, skb.packet, depth,
            table.backend,
        )
    )  # fmt: skip


def _note_return(run: Run, skb: Skb, hook: Hook, chain: CompiledChain, depth: int) -> None:
    assert run.steps is not None
    table = chain.table
    number = len(chain.rules()) + 1
    run.steps.append(ChainStep(hook, table.name, chain.name, number, None, skb.mark, skb.packet, depth, table.backend))
