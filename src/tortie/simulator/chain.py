"""The walk through one table at one hook: jumps, gotos, returns, policies, and tests without an answer.

The order of things is here (spec: netfilter 3); what a test means is in `match`, what a target does in `target` and
`verdict`, and how rules are made ready in `compiled`. With steps kept every rule looked at is told, with the reason of a
miss; without them the quick form of each chain is walked.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from itertools import chain as chain_iterators

from tortie.netfilter.hook import Hook, TableName
from tortie.netfilter.target import Goto, Jump, OpaqueTarget
from tortie.simulator.answer import Answer, Doubt, DoubtKind, Hindrance
from tortie.simulator.choice import Choice
from tortie.simulator.compiled import Act, CompiledChain, CompiledRule, CompiledTable, Holds, Switch
from tortie.simulator.match import explain_match, is_stateful
from tortie.simulator.memo import Memo, Passage, alike
from tortie.simulator.run import Ended, Run
from tortie.simulator.skb import Skb
from tortie.simulator.target import describe_effect
from tortie.simulator.trace import Cause, ChainStep, DecidedBy, RuleStep, Verdict

_CONTINUE, _EFFECT, _ACCEPT, _DROP, _RETURN, _JUMP, _GOTO, _TERMINAL, _OPAQUE = map(int, Act)
_MOVES = (_JUMP, _GOTO)


def walk_table(run: Run, skb: Skb, table: CompiledTable, hook: Hook) -> None:
    """Walks a packet through a table at a hook; returns when the table accepts, raises `Ended` when it does not."""
    base = table.bases.get(hook)
    if base is None:
        return
    key = alike(skb) if run.steps is None else None
    if key is None:
        _walk_rules(run, skb, base, hook)
        return
    memo = base.memo(hook)
    passage = memo.find(key, skb.session.sets)
    if passage is None:
        _walk_and_remember(run, skb, base, hook, memo, key)
        return
    skb.mark = passage.mark
    if passage.dropped:
        raise Ended(Verdict.DROP, passage.where, errno="EPERM")
    _decide(run, passage.where)


def _walk_and_remember(run: Run, skb: Skb, base: CompiledChain, hook: Hook, memo: Memo, key: Hashable) -> None:
    base.quick_rules()
    run.is_plain = base.plain
    try:
        where = _walk_rules(run, skb, base, hook)
    except Ended as ended:
        if run.is_plain:
            memo.keep(key, Passage(skb.mark, ended.decided_by, True))
        raise
    if run.is_plain and where is not None:
        memo.keep(key, Passage(skb.mark, where, False))


def _walk_rules(run: Run, skb: Skb, base: CompiledChain, hook: Hook) -> DecidedBy | None:
    """Walks the rules from a built-in chain on; what let the packet pass, None where a target had an end of its own."""
    keep = run.steps is not None
    chain = base
    rules: Iterator[CompiledRule | Switch] = iter(base.rules() if keep else base.quick_rules())
    stack: list[tuple[CompiledChain, Iterator[CompiledRule | Switch]]] = []
    while True:
        for rule in rules:
            for test in rule.tests:
                answer = test(skb)
                if answer is not True and (answer is False or not _settle(run, skb, hook, chain, rule, test, answer)):
                    break
            else:
                if isinstance(rule, Switch):
                    rules = chain_iterators(rule.select(skb), rules)
                    break
                act = rule.act
                if act in _MOVES:
                    if keep:
                        _note_hit(run, skb, hook, chain, rule, len(stack))
                    if act == _JUMP:
                        stack.append((chain, rules))
                    assert rule.chain is not None
                    chain = rule.chain
                    if keep:
                        rules = iter(chain.rules())
                    else:
                        rules = iter(chain.shortened or chain.quick_rules())
                        if not chain.plain:
                            run.is_plain = False
                    break
                if act == _EFFECT:
                    if keep:
                        _run_effect(run, skb, hook, chain, rule, len(stack))
                    elif (hindrance := rule.effect(skb)) is not None:
                        _settle_effect(run, hook, chain, rule, hindrance)
                elif act == _RETURN:
                    if keep:
                        _note_hit(run, skb, hook, chain, rule, len(stack), effect="returns")
                    if not stack:
                        return _apply_policy(run, skb, hook, base)
                    chain, rules = stack.pop()
                    break
                elif act == _CONTINUE:
                    if keep:
                        _note_hit(run, skb, hook, chain, rule, len(stack))
                elif act == _ACCEPT:
                    return _accept(run, skb, hook, chain, rule, len(stack))
                elif _finish(run, skb, hook, chain, rule, len(stack)):
                    return None
                continue
            if keep:
                _note_miss(run, skb, hook, chain, rule, len(stack), test)
        else:
            if chain is not base and keep:
                _note_return(run, skb, hook, chain, len(stack))
            if not stack:
                return _apply_policy(run, skb, hook, base)
            chain, rules = stack.pop()


def _accept(run: Run, skb: Skb, hook: Hook, chain: CompiledChain, rule: CompiledRule, depth: int) -> DecidedBy:
    if run.steps is not None:
        _note_hit(run, skb, hook, chain, rule, depth, effect="accepts")
    where = _rule_decides(hook, chain, rule, "accepted by a rule")
    _decide(run, where)
    return where


def _finish(run: Run, skb: Skb, hook: Hook, chain: CompiledChain, rule: CompiledRule, depth: int) -> bool:
    """Runs a target that can end the walk of this table; returns whether it did (a drop is raised)."""
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
    assert rule.rule.target is not None
    reason = _hit_reason(skb, rule)
    hindrance = rule.effect(skb)
    effect = describe_effect(rule.rule.target, mark, packet, skb)
    _note_hit(run, skb, hook, chain, rule, depth, effect=effect, mark_before=mark, reason=reason)
    if hindrance is not None:
        _settle_effect(run, hook, chain, rule, hindrance)


def _settle_effect(run: Run, hook: Hook, chain: CompiledChain, rule: CompiledRule, hindrance: Hindrance) -> None:
    """A target that did not do its work: it dropped a packet too short for it, or nobody knows what it does."""
    if isinstance(hindrance, Doubt):
        _continue_or_unknown(run, hook, chain, rule, hindrance.why)
    else:
        raise Ended(Verdict.DROP, _hotdrop_decides(hook, chain, rule, "target"), errno="EPERM")


def _hotdrop_decides(hook: Hook, chain: CompiledChain, rule: CompiledRule, what: str) -> DecidedBy:
    return _drop_decides(hook, chain, rule, f"the packet is too short for the {what} of this rule, which drops it")


def _drop_decides(hook: Hook, chain: CompiledChain, rule: CompiledRule, text: str) -> DecidedBy:
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
    conditions = (f"{_subject(chain, rule)} leaves the packet as it is", why)
    choice = Choice(DoubtKind.UNKNOWN, _subject(chain, rule), ("ignore", "unknown"), conditions)
    if run.chooser.choose(choice) == 1:
        raise Ended(Verdict.UNKNOWN, _rule_decides(hook, chain, rule, why))
    run.learned.forget()


def _apply_policy(run: Run, skb: Skb, hook: Hook, base: CompiledChain) -> DecidedBy:
    policy = base.source.policy or "ACCEPT"
    if run.steps is not None:
        table, number = base.table, len(base.rules()) + 1
        run.steps.append(ChainStep(hook, table.name, base.name, number, policy, skb.mark, skb.packet, 0, table.backend))
    where = base.policy_decides(hook)
    if policy == "DROP":
        raise Ended(Verdict.DROP, where, errno="EPERM")
    _decide(run, where)
    return where


def _decide(run: Run, where: DecidedBy) -> None:
    """Remembers what let the packet pass; the filter table has the last word, the others only where it has none."""
    before = run.decided_by
    if where.table is TableName.FILTER or before is None or before.table is not TableName.FILTER:
        run.decided_by = where


# --- tests without an answer -------------------------------------------------------------------------------------


def _settle(
    run: Run, skb: Skb, hook: Hook, chain: CompiledChain, rule: CompiledRule | Switch, test: Holds, answer: Answer
) -> bool:
    """Decides a test that answered neither yes nor no; returns whether to go on with the rule's next test.

    A later test that certainly fails makes the rule a certain miss, as long as no test that remembers things stands
    before it; then nothing has to be assumed.
    """
    assert isinstance(rule, CompiledRule)
    run.is_plain = False
    position = rule.tests.index(test)
    if not isinstance(answer, Doubt):
        raise Ended(Verdict.DROP, _hotdrop_decides(hook, chain, rule, "match"), errno="EPERM")
    match, subject = rule.matches[position], _subject(chain, rule)
    if answer.drop is not None:
        return _settle_drop(run, hook, chain, rule, answer)
    conditions = (answer.why, f"not: {answer.why}")
    if answer.kind is DoubtKind.UNKNOWN and not run.chooser.assumes(subject):
        settled = run.learned.answer(match, skb)
        if settled is not None:
            run.miss_reason = None if settled else conditions[1]
            return settled
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
    chance = answer.probability
    probabilities = (chance, 1 - chance) if chance is not None else None
    choice = Choice(answer.kind, subject, ("match", "miss"), conditions, probabilities)
    number = run.chooser.choose(choice)
    if answer.kind is DoubtKind.UNKNOWN:
        run.learned.note(match, skb, holds=number == 0)
    run.miss_reason = conditions[1] if number else None
    return number == 0


def _settle_drop(run: Run, hook: Hook, chain: CompiledChain, rule: CompiledRule, doubt: Doubt) -> bool:
    """Decides a test that may drop the packet, which no later test of the rule could prevent."""
    assert doubt.drop is not None
    clauses = {"match": doubt.why, "miss": f"not: {doubt.why}", "drop": doubt.drop}
    if doubt.otherwise is not None:
        del clauses["miss" if doubt.otherwise else "match"]
    options = tuple(clauses)
    taken = options[run.chooser.choose(Choice(doubt.kind, _subject(chain, rule), options, tuple(clauses.values())))]
    if taken == "drop":
        raise Ended(Verdict.DROP, _drop_decides(hook, chain, rule, doubt.drop), errno="EPERM")
    run.miss_reason = clauses["miss"] if taken == "miss" else None
    return taken == "match"


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


def _note_miss(
    run: Run, skb: Skb, hook: Hook, chain: CompiledChain, rule: CompiledRule | Switch, depth: int, failed: Holds
) -> None:
    assert run.steps is not None and isinstance(rule, CompiledRule)
    table = chain.table
    reason, run.miss_reason, run.maybe = run.miss_reason, None, None
    if not run.keep_misses:
        run.steps.append(_missed(skb, hook, chain, rule, depth))
        return
    if reason is None:
        position = rule.tests.index(failed)
        reason = explain_match(rule.matches[position], skb, rule.contexts[position], holds=False)
    run.steps.append(
        RuleStep(
            hook, table.name, chain.name, rule.number, rule.rule, False, reason, "", skb.mark, skb.mark, skb.packet, depth,
            table.backend,
        )
    )  # fmt: skip


def _missed(skb: Skb, hook: Hook, chain: CompiledChain, rule: CompiledRule, depth: int) -> RuleStep:
    """The one step that stands for every miss of a chain at a hook."""
    found = chain.missed.get((hook, depth))
    if found is None:
        found = chain.missed[hook, depth] = RuleStep(
            hook, chain.table.name, chain.name, rule.number, rule.rule, False, "", "", skb.mark, skb.mark, skb.packet,
            depth, chain.table.backend,
        )  # fmt: skip
    return found


def _note_return(run: Run, skb: Skb, hook: Hook, chain: CompiledChain, depth: int) -> None:
    assert run.steps is not None
    table = chain.table
    number = len(chain.rules()) + 1
    run.steps.append(ChainStep(hook, table.name, chain.name, number, None, skb.mark, skb.packet, depth, table.backend))
