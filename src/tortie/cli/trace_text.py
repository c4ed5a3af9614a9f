"""A walk as lines for people, in the order things happen in the kernel.

Every table at every hook is one paragraph: the rules that matched, each on one line with what it did, and how many did
not. What happens between the tables (tracking, translation, routing) stands between the paragraphs. The last line says
what became of the packet and what decided it. All facts come from the trace; names get their meaning from `Naming`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

from tortie.cli.terminal import Line, Piece, Style, plain
from tortie.net.address import IPFamily
from tortie.netfilter.conntrack import ConnEntry, ConnTuple
from tortie.netfilter.hook import Backend, Hook, TableName
from tortie.netfilter.target import Goto, Jump
from tortie.simulator.document import outcome_probability
from tortie.simulator.flow import Flow
from tortie.simulator.mark_layout import describe_mark
from tortie.simulator.role import remarks
from tortie.simulator.route_decision import RouteDecision, RouteKind
from tortie.simulator.summary import Naming, describe_device, describe_ends, describe_outcome, rule_text
from tortie.simulator.trace import (
    ChainStep,
    ConntrackStep,
    NatStep,
    NoteStep,
    RouteStep,
    RuleStep,
    Step,
    Trace,
    Verdict,
    Walk,
)

_WAYS: dict[RouteKind, str] = {
    RouteKind.LOCAL: "for this node",
    RouteKind.BROADCAST: "broadcast, also for this node",
    RouteKind.MULTICAST: "multicast, also for this node",
}
_OBVIOUS = frozenset({"", "accepts", "drops", "returns"})
"""Effects that the rule's own text says already."""
VERDICT_STYLES: dict[Verdict, Style] = {
    Verdict.ACCEPT: Style.GOOD,
    Verdict.DROP: Style.BAD,
    Verdict.REJECT: Style.BAD,
    Verdict.UNKNOWN: Style.DOUBT,
    Verdict.MAYBE: Style.DOUBT,
}


@dataclass(frozen=True, slots=True)
class View:
    """How much to show: `misses` adds rules that did not match, `brief` leaves out all steps, `backends` names them.

    `origin` tells whose rule it is that a packet met, where resources are at hand; empty where there is nothing to tell.
    """

    naming: Naming = field(default_factory=Naming)
    misses: bool = False
    brief: bool = False
    backends: bool = False
    origin: Callable[[RuleStep], str] | None = None


def walk_lines(
    walk: Walk, view: View, *, label: str = "", notes: Iterable[str] = (), heads: Iterable[Line] = ()
) -> Iterator[Line]:
    """All outcomes of a walk; `label` is put before the packet, `notes` tell what was filled in. The last line sums up.

    `heads` are lines of others that belong under the packet.
    """
    yield Line((*_label(label), *_packet_pieces(walk.trace)))
    yield from note_lines(notes)
    yield from heads
    if len(walk.outcomes) == 1:
        yield Line()
        if not view.brief and (walk.trace.steps or walk.trace.answers):
            yield from _way_lines(walk.trace, view)
        yield from footer_lines(walk, view)
        yield outcome_line(walk.trace, view.naming)
        return
    for number, trace in enumerate(walk.outcomes, 1):
        yield Line()
        yield from _outcome_heading(number, len(walk.outcomes), trace)
        if not view.brief:
            yield from _way_lines(trace, view)
        yield outcome_line(trace, view.naming)
    yield Line()
    yield from footer_lines(walk, view)
    yield _sum_line(walk)


def _way_lines(trace: Trace, view: View) -> Iterator[Line]:
    yield from step_lines(trace.steps, view)
    yield from answer_lines(trace, view)
    yield Line()


def _sum_line(walk: Walk) -> Line:
    """One line for several outcomes: each fate with what it depends on."""
    if walk.verdict not in (Verdict.UNKNOWN, Verdict.MAYBE):
        word = {Verdict.ACCEPT: "GETS THROUGH", Verdict.DROP: "DROPPED", Verdict.REJECT: "REJECTED"}[walk.verdict]
        return Line(((word, VERDICT_STYLES[walk.verdict]), (f" in all {len(walk.outcomes)} outcomes", Style.PLAIN)))
    word = "NOT KNOWN" if walk.verdict is Verdict.UNKNOWN else "NOT CERTAIN"
    fates: dict[str, list[Trace]] = {}
    for trace in walk.outcomes:
        fates.setdefault(trace.verdict.value, []).append(trace)
    parts = [f"{verdict} {_when(traces)}" for verdict, traces in fates.items()]
    more = "" if walk.complete else "; there are more outcomes than these"
    return Line(((word, VERDICT_STYLES[walk.verdict]), (f": {'. '.join(parts)}{more}", Style.PLAIN)), hang=2)


def _when(traces: list[Trace]) -> str:
    """What one fate of several depends on: the shortest conditions there are, and how many outcomes more have it."""
    told = [[condition.text for condition in trace.conditions if not condition.assumed] for trace in traces]
    shortest = min(range(len(told)), key=lambda number: len(told[number]))
    text = f"if {' and '.join(told[shortest])}"
    others = len(traces) - 1
    return f"{text} (and in {others} other outcome{'s' if others > 1 else ''})" if others else text


def note_lines(notes: Iterable[str]) -> Iterator[Line]:
    """What was worked out or filled in before the walk."""
    for text in notes:
        yield Line((("note: ", Style.FAINT), (text, Style.PLAIN)), hang=6)


def flow_lines(flow: Flow, view: View, *, full: bool) -> Iterator[Line]:
    """The rest of the conversation: a line each, or in full."""
    later = [(name, walk) for name, walk in (("answer", flow.reply), ("next", flow.again)) if walk is not None]
    if flow.first.verdict is not Verdict.ACCEPT:
        return
    for name, walk in later:
        yield Line()
        if full:
            yield from walk_lines(walk, view, label=name)
            continue
        label = (f"{name + ':':<8}", Style.HEAD)
        yield Line((label, (str(walk.trace.packet), Style.PLAIN), (_way(walk.trace), Style.FAINT)), hang=8)
        yield Line(outcome_line(walk.trace, view.naming).pieces, indent=8)
    style = {True: Style.GOOD, False: Style.BAD, None: Style.DOUBT}[flow.works]
    word = {True: "WORKS", False: "BROKEN", None: "NOT CERTAIN"}[flow.works]
    yield Line()
    yield Line((("conversation ", Style.HEAD), (word, style), (f": {flow.text}", Style.PLAIN)), hang=2)


def edit_lines(commands: Iterable[str], before: Walk, after: Walk, old: Naming, new: Naming) -> Iterator[Line]:
    """What an edit changes for the packet."""
    yield Line()
    for command in commands:
        yield Line((("edit   ", Style.HEAD), (command, Style.PLAIN)), hang=7)
    yield Line((("before ", Style.HEAD), *outcome_line(before.trace, old).pieces), hang=7)
    yield Line((("after  ", Style.HEAD), *outcome_line(after.trace, new).pieces), hang=7)
    same = before.verdict is after.verdict
    text = f"the verdict stays {after.verdict.value}" if same else f"{before.verdict.value} becomes {after.verdict.value}"
    yield Line((("change ", Style.HEAD), (text, Style.PLAIN if same else VERDICT_STYLES[after.verdict])), hang=7)


def outcome_line(trace: Trace, naming: Naming) -> Line:
    """The sentence that says what happened and what decided it."""
    sentence = describe_outcome(trace, naming)
    shouted = 0
    while shouted < len(sentence) and (sentence[shouted].isupper() or sentence[shouted] == " "):
        shouted += 1
    cut = len(sentence[:shouted].rstrip())
    rest = "; ".join((sentence[cut:], *_remarks_on(trace)))
    return Line(((sentence[:cut], VERDICT_STYLES[trace.verdict]), (rest, Style.PLAIN)), hang=2)


def _remarks_on(trace: Trace) -> Iterator[str]:
    """What else there is to say of an outcome: ports drawn at random, a source not known, the sender's error."""
    out = trace.out
    if out is not None:
        for what, ports in (("source", out.random_sport), ("destination", out.random_dport)):
            if ports is not None:
                yield f"the {what} port is drawn at random from {ports[0]}-{ports[1]}"
        if not out.source_known:
            yield "the source it leaves with is not known, for the snapshot lacks the device's addresses"
    if trace.errno is not None:
        yield f"the sending program gets {trace.errno}"


def footer_lines(walk: Walk, view: View) -> Iterator[Line]:
    """What was taken for granted, and what would have to be known."""
    assumptions = dict.fromkeys(text for trace in walk.outcomes for text in trace.assumptions)
    for text in assumptions:
        yield Line((("assumed: ", Style.DOUBT), (text, Style.PLAIN)), hang=9)
    if view.naming.marks.assumed and any(step.mark for trace in walk.outcomes for step in trace.steps):
        text = "mark bits are named by Calico's default mask: these rules do not show all of them"
        yield Line((("note: ", Style.DOUBT), (text, Style.PLAIN)), hang=6)
    subjects = dict.fromkeys(
        condition.subject for trace in walk.outcomes for condition in trace.conditions if not condition.assumed
    )
    if len(walk.outcomes) > 1 and subjects:
        options = {condition.subject: condition.option for trace in walk.outcomes for condition in trace.conditions}
        example = next(iter(subjects))
        yield Line(
            (("hint: ", Style.FAINT), (f"to follow one outcome only: --assume {example}={options[example]}", Style.PLAIN)),
            hang=6,
        )


def _label(label: str) -> tuple[Piece, ...]:
    return ((f"{label}: ", Style.HEAD),) if label else ()


def _packet_pieces(trace: Trace) -> tuple[Piece, ...]:
    return ((str(trace.packet), Style.HEAD), (_way(trace), Style.PLAIN))


def _way(trace: Trace) -> str:
    return ", made by this node" if trace.in_iface is None else f", arrives on {describe_device(trace.in_iface)}"


def _outcome_heading(number: int, total: int, trace: Trace) -> Iterator[Line]:
    chance = outcome_probability(trace)
    often = f", probability {chance:.4g}" if chance is not None else ""
    yield plain(f"Outcome {number} of {total}{often}", style=Style.HEAD)
    yield from condition_lines(trace)


def condition_lines(trace: Trace) -> Iterator[Line]:
    """What an outcome depends on, one line a condition."""
    for condition in trace.conditions:
        how = " (as assumed)" if condition.assumed else ""
        if condition.probability is not None:
            how = f" (probability {condition.probability:.4g}){how}"
        yield Line(
            (
                ("if ", Style.DOUBT),
                (f"{condition.text}{how}", Style.PLAIN),
                (f"  [{condition.subject}={condition.option}]", Style.FAINT),
            ),
            indent=2,
        )


# --- steps -------------------------------------------------------------------------------------------------------

_Place = tuple[Hook, TableName, Backend]


def step_lines(steps: Iterable[Step], view: View) -> Iterator[Line]:
    """The steps of one packet, grouped by hook and table."""
    hook: Hook | None = None
    for place, group in groupby(steps, key=_place):
        members = list(group)
        if place is None:
            for step in members:
                if isinstance(step, RouteStep):
                    hook = None
                elif step.hook is not None and step.hook is not hook:
                    hook = step.hook
                    yield plain(hook.value, style=Style.HEAD)
                yield from _single(step)
            continue
        if place[0] is not hook:
            hook = place[0]
            yield plain(hook.value, style=Style.HEAD)
        yield from _table(place, [step for step in members if isinstance(step, RuleStep | ChainStep)], view)


def _place(step: Step) -> _Place | None:
    return (step.hook, step.table, step.backend) if isinstance(step, RuleStep | ChainStep) else None


def _single(step: Step) -> Iterator[Line]:
    """A step outside the tables."""
    match step:
        case RouteStep():
            yield Line((("ROUTING", Style.HEAD), (f"  {step.stage}: {_routed(step.decision)}", Style.PLAIN)))
        case ConntrackStep():
            state = f"{step.state.value}: " if step.state is not None else ""
            text = step.text if step.text.startswith(state) else f"{state}{step.text}"
            yield Line((("conntrack ", Style.NAME), (text, Style.PLAIN)), indent=2)
        case NatStep():
            ports = f" (port random in {step.random_ports[0]}-{step.random_ports[1]})" if step.random_ports else ""
            text, style = step.text, Style.FAINT
            if step.before != step.after:
                text, style = f"{describe_ends(step.before)} becomes {describe_ends(step.after)}", Style.PLAIN
            yield Line((("nat       ", Style.NAME), (f"{text}{ports}", style)), indent=2)
        case NoteStep():
            yield Line((("*         ", Style.FAINT), (step.text, Style.PLAIN)), indent=2)
        case _:
            raise AssertionError(step)


def _routed(decision: RouteDecision) -> str:
    """Where a packet goes now, and the route that says so."""
    way = _WAYS.get(decision.kind, "")
    if decision.kind is RouteKind.UNICAST and decision.iface is not None:
        way = f"out of {decision.iface}"
    return f"{way} ({decision.why})" if way else decision.why


def _table(place: _Place, steps: list[RuleStep | ChainStep], view: View) -> Iterator[Line]:
    """One table at one hook: a line when nothing matched, else the rules that did."""
    _, table, backend = place
    rules = [step for step in steps if isinstance(step, RuleStep)]
    missed = sum(not step.matched for step in rules)
    name = f"{table.value} ({backend.value})" if view.backends else table.value
    last = steps[-1]
    policy = f"policy {last.policy}" if isinstance(last, ChainStep) and last.policy is not None else ""
    if missed == len(rules) and not (view.misses and rules):
        looked = f"{_count(missed)} looked at, none matched" if missed else _unseen(last)
        yield Line(((f"{name:<10}", Style.NAME), (f"{looked}, {policy}" if policy else looked, Style.FAINT)), indent=2)
        return
    skipped = f"{_count(missed)} did not match" if missed and not view.misses else ""
    yield Line(((f"{name:<10}", Style.NAME), (skipped, Style.FAINT)), indent=2)
    for step in steps:
        match step:
            case RuleStep():
                if step.matched or view.misses:
                    yield _rule_line(step, view)
            case ChainStep():
                if step.policy is not None:
                    yield Line(((f"{step.chain}", Style.NAME), (f"  policy {step.policy}", Style.PLAIN)), indent=4)
                elif view.misses:
                    yield Line(((f"end of {step.chain}, back", Style.FAINT),), indent=4 + 2 * step.depth)


def _unseen(end: RuleStep | ChainStep) -> str:
    """A chain of which only the end was told: the kernel's own trace does not show what missed."""
    rules = end.number - 1 if isinstance(end, ChainStep) else 0
    return f"none of {_count(rules)} matched" if rules else "no rules"


def _rule_line(step: RuleStep, view: View) -> Line:
    family = step.packet.family
    text = rule_text(step.rule, family)
    label = f"{step.chain}:{step.number}"
    indent = 4 + 2 * step.depth
    if not step.matched:
        note = f"no: {step.reason}" if step.reason else "no"
        origin = "" if view.origin is None else view.origin(step)
        note = f"{note}; {origin}" if origin else note
        return Line(((f"{label}  {text}", Style.FAINT),), indent, note=note)
    return Line(((label, Style.NAME), (f"  {text}", Style.PLAIN)), indent, note="; ".join(_notes(step, view)))


def _notes(step: RuleStep, view: View) -> Iterator[str]:
    """What is worth saying beside a rule that matched: its remark, why it matched, what it did, where it leads."""
    if step.maybe:
        yield "perhaps"
    origin = "" if view.origin is None else view.origin(step)
    if origin:
        yield origin
    for remark in remarks(step.rule):
        yield f'"{remark}"'
    if step.reason:
        yield step.reason
    match step.rule.target:
        case Jump(chain) | Goto(chain):
            role = view.naming.role(step.table, chain)
            if role is not None:
                yield str(role)
        case _:
            pass
    if step.mark != step.mark_before:
        meaning = describe_mark(step.mark, view.naming.marks, step.table)
        yield f"mark {step.mark_before:#x} -> {step.mark:#x}" + (f" ({meaning})" if meaning else "")
    elif (
        step.effect not in _OBVIOUS
        and not step.effect.startswith("mark stays")
        and not isinstance(step.rule.target, Jump | Goto)
    ):
        yield step.effect


def _count(number: int) -> str:
    return "1 rule" if number == 1 else f"{number} rules"


# --- what else the node sends ------------------------------------------------------------------------------------


def answer_lines(trace: Trace, view: View) -> Iterator[Line]:
    """Packets that the node makes because of this one, each with its own way in short."""
    for answer in trace.answers:
        yield Line((("answer    ", Style.NAME), (f"this node sends {answer.packet}", Style.PLAIN)), indent=2)
        yield Line(outcome_line(answer, view.naming).pieces, indent=12)
        if view.misses:
            yield from (Line(line.pieces, line.indent + 4, line.hang) for line in step_lines(answer.steps, view))


def connection_text(entry: ConnEntry) -> str:
    """A connection in one line, as it was first seen and as its replies look."""
    words = [_tuple_text(entry.original), "replies", _tuple_text(entry.reply)]
    if entry.state is not None:
        words.insert(0, entry.state)
    if entry.mark:
        words.append(f"mark {entry.mark:#x}")
    return " ".join(words)


def _tuple_text(side: ConnTuple) -> str:
    from tortie.net.address import format_address

    joint = "[{}]:{}" if side.family is IPFamily.V6 else "{}:{}"
    src, dst = format_address(side.family, side.src), format_address(side.family, side.dst)
    if not side.src_key and not side.dst_key:
        return f"{src} > {dst}"
    return f"{joint.format(src, side.src_key)} > {joint.format(dst, side.dst_key)}"
