"""The agent's logic: `step(state, event)` gives the next state and what is to be done. Pure; the loop does the rest.

Invariants:
- Nothing reaches the kernel before the source's first `InSync`, the first list of interfaces, and a configuration that can
  be read; until then what stands there stands. The same holds when the source is lost later: the last known counts.
- At most one pass of programming runs at a time. What comes meanwhile is gathered for the next, so a burst is one pass,
  and a pass always works from all that is known when it begins.
- A pass that does not succeed is repeated, later each time; what it was about stays due. A new change is tried at once.
- Damage by others is looked at at once, unless it comes again and again: then ever more slowly, with a warning that names
  what stands in the way.
- What cannot be read closes what it could have stopped (`model.closing`), and is named until it can be read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from tortie.agent.backoff import (
    BATCH_S,
    CALM_S,
    FIRST_LINKS_S,
    GRACE_S,
    LINKS_S,
    PAUSE_S,
    REPAIRS_AT_ONCE,
    next_recheck,
    repair_delay,
    retry_delay,
)
from tortie.agent.command import (
    Command,
    Learn,
    Level,
    ListInterfaces,
    Log,
    Lose,
    Program,
    Quit,
    SetTimer,
    WriteStatus,
)
from tortie.agent.configuring import configured, configures, is_datastore_ready
from tortie.agent.event import (
    Clock,
    Damaged,
    Event,
    InterfaceChanged,
    InterfacesListed,
    Programmed,
    Rang,
    StatusWritten,
    Terminate,
)
from tortie.agent.interface import Interface
from tortie.agent.loss import refusal_loss
from tortie.agent.report import Part, Report
from tortie.agent.state import Agent, Unreadable
from tortie.agent.sysctl import loose_source_check
from tortie.model.event import Changed, InSync, Lost, Mended, Refused, Regained, Removed
from tortie.model.read import Key
from tortie.model.resource import Resource

Step = tuple[Agent, list[Command]]
"""The next state, and what is to be done, in order."""

ALL = frozenset({Part.RULES, Part.NETWORK})
_EVERYTHING_CHECKED = frozenset({Part.CHECK_RULES, Part.CHECK_SETS, Part.NETWORK})
_STATUS_DELAY_S = 0.2
MOST_PROBLEMS_TOLD = 10
"""Lines of the log about one pass; all of them are in the status."""


def begin(state: Agent) -> Step:
    """What is to be done before any event: the configuration of this machine, and the first list of interfaces."""
    state, commands = configured(state)
    return state, [*commands, ListInterfaces(), SetTimer(Clock.LINKS, FIRST_LINKS_S), *_status_soon(state)[1]]


def step(state: Agent, event: Event) -> Step:
    """What an event leads to."""
    match event:
        case Changed(key, resource):
            return _learned(state, key, resource)
        case Removed(key):
            return _learned(state, key, None)
        case Refused():
            return _refused(state, event)
        case Mended(place):
            return _mended(state, place)
        case InSync():
            log = Log(Level.INFO, "the datastore is in sync", {"unreadable": len(state.unreadable)})
            return _with(_due(replace(state, in_sync=True), ALL), log)
        case Lost(reason):
            known = "the datastore is lost; what was known of it stands"
            text = known if state.in_sync else "the datastore cannot be read; nothing is known of it yet"
            log = Log(Level.WARNING, text, {"reason": reason})
            return _with(_status_soon(replace(state, lost=reason)), log)
        case Regained():
            return _with(_status_soon(replace(state, lost=None)), Log(Level.INFO, "the datastore is reached again"))
        case Rang(clock):
            return _rang(state, clock)
        case InterfacesListed():
            return _listed(state, event)
        case InterfaceChanged(name, interface):
            return _interface_changed(state, name, interface)
        case Damaged():
            return _damaged(state, event)
        case Programmed(report):
            return _programmed(state, report)
        case StatusWritten(problem):
            return _status_written(state, problem)
        case Terminate(why):
            return _end(state, 0, why)
        case _:
            assert_never(event)


def _with(made: Step, *commands: Command) -> Step:
    """The step with commands in front of its own."""
    return made[0], [*commands, *made[1]]


# --- what the source tells ---------------------------------------------------------------------------------------


def _learned(state: Agent, key: Key, resource: Resource | None) -> Step:
    state, commands = _readable_again(state, key, gone=resource is None) if state.unreadable else (state, [])
    commands.append(Learn(key, resource))
    if configures(key, state.hostname):
        return _reconfigured(state, key, resource, commands)
    return _with(_due(state, ALL), *commands)


def _readable_again(state: Agent, key: Key, *, gone: bool) -> Step:
    """Forgets that a resource could not be read."""
    ended = [one for one in state.unreadable.values() if one.key == key]
    if not ended:
        return state, []
    text = "an unreadable resource is gone" if gone else "a resource can be read again"
    log = Log(Level.INFO, text, {"resource": str(key)})
    return _without(state, ended), [log, *(Lose(one.id, None) for one in ended)]


def _without(state: Agent, ended: list[Unreadable]) -> Agent:
    ids = {one.id for one in ended}
    return replace(state, unreadable={known: one for known, one in state.unreadable.items() if known not in ids})


def _reconfigured(state: Agent, key: Key, resource: Resource | None, commands: list[Command]) -> Step:
    others = {known: one for known, one in state.configuring.items() if known != key}
    told = others if resource is None else {**others, key: resource}
    before = state.settings
    state, more = configured(replace(state, configuring=told))
    if state.programmed and state.settings != before:
        more = [*more, *refresh_timers(state)]
    for command in more:
        if isinstance(command, Quit):
            state, ending = _end(state, command.code, command.why)
            return state, [*commands, *(one for one in more if not isinstance(one, Quit)), *ending]
    return _with(_due(state, ALL), *commands, *more)


def _refused(state: Agent, event: Refused) -> Step:
    key = event.key
    configuring = key is not None and configures(key, state.hostname)
    loss = None if configuring else refusal_loss(event)
    one = Unreadable(event.place, key, str(event.problem), closed=loss is not None)
    if state.unreadable.get(one.id) == one:
        # The same words, and yet told: what can still be read of it has changed, and by that it is closed.
        return (state, []) if configuring else _with(_due(state, ALL), Lose(one.id, loss))
    state = replace(state, unreadable={**state.unreadable, one.id: one})
    fields = {"place": event.place, "resource": str(key) if key is not None else "", "closed": one.closed}
    text = f"a resource cannot be read: {event.problem}"
    if configuring:
        # What was known of it stands; without anything known there is no configuration to work with.
        state, more = configured(state)
        stands = "" if state.config is None else "; the configuration before it stays in force"
        return _with(_status_soon(state), Log(Level.ERROR, text + stands, fields), *more)
    log = Log(Level.ERROR, text, fields)
    forget = [Learn(key, None)] if key is not None else []
    return _with(_due_or_told(state), log, *forget, Lose(one.id, loss))


def _mended(state: Agent, place: str) -> Step:
    ended = [one for one in state.unreadable.values() if one.place == place]
    if not ended:
        return state, []
    state = _without(state, ended)
    commands: list[Command] = [Log(Level.INFO, "nothing is wrong here any more", {"place": place})]
    commands += [Lose(one.id, None) for one in ended]
    for one in ended:
        if one.key is not None and configures(one.key, state.hostname):
            state, more = _reconfigured(state, one.key, None, [])
            commands += more
    return _with(_due_or_told(state), *commands)


def _due_or_told(state: Agent) -> Step:
    """Everything is to be programmed; while nothing may be, at least the status says what there is."""
    return _due(state, ALL) if held_back(state) is None else _status_soon(_due(state, ALL)[0])


# --- when to program ---------------------------------------------------------------------------------------------


def held_back(state: Agent) -> str | None:
    """Why nothing may be programmed now, None when it may."""
    if not state.in_sync:
        return "the datastore is not in sync"
    if state.config is None:
        return state.config_problem or "there is no configuration"
    if state.interfaces is None:
        return "the interfaces are not known"
    if not is_datastore_ready(state):
        return "the cluster says that its datastore is not ready"
    return loose_source_check(state.all_rp_filter, ignore=state.settings.ignore_loose_rpf)


def _due(state: Agent, parts: frozenset[Part]) -> Step:
    """Something is to be programmed: soon, together with what else comes."""
    due = state.due | parts
    if due != state.due or state.paused:
        state = replace(state, due=due, paused=False)
    if state.programming or state.gathering or state.ending is not None or held_back(state) is not None:
        return state, []
    return replace(state, gathering=True), [SetTimer(Clock.BATCH, BATCH_S)]


def _begin_pass(state: Agent) -> Step:
    waits = state.paused
    state = replace(state, gathering=False, paused=False)
    if waits or not state.due or state.programming or state.ending is not None or held_back(state) is not None:
        return state, []
    assert state.config is not None and state.interfaces is not None
    parts = state.due
    if Part.RULES in parts:
        parts -= {Part.CHECK_RULES, Part.CHECK_SETS}
    order = Program(parts, state.config, state.settings, tuple(state.interfaces.values()), state.new_interfaces)
    state = replace(state, due=frozenset(), programming=True, checking=Part.RULES not in state.due)
    return state, [order]


def _rang(state: Agent, clock: Clock) -> Step:
    settings = state.settings
    match clock:
        case Clock.BATCH:
            return _begin_pass(state)
        case Clock.RETRY:
            return _due(state, frozenset()) if state.failures else (state, [])
        case Clock.REPAIR:
            return _due(replace(state, repair_due=False), frozenset())
        case Clock.CALM:
            return replace(state, repairs=0), []
        case Clock.RECHECK:
            return _due(state, _EVERYTHING_CHECKED)
        case Clock.RULES:
            return _with(_due(state, frozenset({Part.CHECK_RULES})), *_timer(clock, settings.iptables_refresh_s))
        case Clock.SETS:
            return _with(_due(state, frozenset({Part.CHECK_SETS})), *_timer(clock, settings.ipsets_refresh_s))
        case Clock.ROUTES:
            return _with(_due(state, frozenset({Part.NETWORK})), *_timer(clock, settings.route_refresh_s))
        case Clock.LINKS:
            return state, [ListInterfaces(), SetTimer(clock, LINKS_S)]
        case Clock.GRACE:
            return _grace_over(state)
        case Clock.STATUS:
            return replace(state, status_due=False), [WriteStatus(), *_timer(clock, settings.reporting_interval_s)]
        case _:
            assert_never(clock)


def _timer(clock: Clock, delay_s: float) -> list[Command]:
    return [SetTimer(clock, delay_s)] if delay_s > 0 else []


def refresh_timers(state: Agent) -> list[Command]:
    """The clocks of periodic checks, as the settings have them."""
    settings = state.settings
    return [
        *_timer(Clock.RULES, settings.iptables_refresh_s),
        *_timer(Clock.SETS, settings.ipsets_refresh_s),
        *_timer(Clock.ROUTES, settings.route_refresh_s),
    ]


# --- what came of it ---------------------------------------------------------------------------------------------


def _programmed(state: Agent, report: Report) -> Step:
    checking = state.checking
    state = replace(state, programming=False, checking=False)
    if state.ending is not None:
        return state, [*_told(report), Quit(*state.ending)]
    if report.rendered:
        state = replace(state, statuses=report.statuses, remarks=_all_remarks(report))
    state, fight = _repaired(state, report, checking)
    state, outcome = _outcome(state, report)
    state, recheck = _recheck(state, report, checking)
    # Whatever comes now waits a little, so that passes are never made faster than that.
    state = replace(state, gathering=True, paused=bool(report.problems) or state.repair_due)
    pause = SetTimer(Clock.BATCH, PAUSE_S)
    state, status = _status_soon(state) if report.steps or report.problems or report.rendered else (state, [])
    return state, [*_told(report), *fight, *outcome, *recheck, pause, *status]


def _outcome(state: Agent, report: Report) -> Step:
    """What is refused now, of the halves that were programmed; what was refused is due again."""
    if report.refused is not None or report.rules is not None:
        failures = state.rules_failures + 1 if report.rules_problems else 0
        state = replace(state, rules_problems=report.rules_problems, rules_failures=failures)
    if Part.NETWORK in report.parts and report.refused is None:
        state = replace(state, network_problems=report.network_failures)
    commands: list[Command] = []
    if report.problems:
        state = replace(state, failures=state.failures + 1, due=state.due | _again(report))
        commands += [*_failed(state, report), SetTimer(Clock.RETRY, retry_delay(state.failures))]
    elif state.failures and not state.problems:
        commands.append(Log(Level.INFO, "the kernel takes what is wanted again", {"failed passes": state.failures}))
        state = replace(state, failures=0)
    if Part.RULES in report.parts and not report.rules_problems and not state.programmed:
        state = replace(state, programmed=True)
        commands += refresh_timers(state)
    return state, commands


def _all_remarks(report: Report) -> tuple[str, ...]:
    return (*report.remarks, *(report.rules.remarks if report.rules is not None else ()))


def _again(report: Report) -> frozenset[Part]:
    """What is due again after a pass in which something was refused."""
    if report.refused is not None:
        return ALL
    rules = frozenset({Part.RULES}) if report.rules_problems else frozenset[Part]()
    return rules | frozenset({Part.NETWORK}) if report.network_failures else rules


def _told(report: Report) -> list[Command]:
    """One line about a pass that changed something; the rest is for those who look closely."""
    parts = ", ".join(sorted(part.value for part in report.parts))
    fields: dict[str, object] = {"steps": report.steps, "parts": parts, "seconds": round(report.seconds, 3)}
    level = Level.INFO if report.steps else Level.DEBUG
    lines: list[Command] = [Log(level, "programmed" if report.steps else "nothing to program", fields)]
    for failure in report.rules.failures if report.rules is not None else ():
        lines.append(Log(Level.WARNING, f"overcome: {failure}"))
    return lines


def _failed(state: Agent, report: Report) -> list[Command]:
    """Each problem, but the same ones only when the count of failures doubles."""
    if state.failures & (state.failures - 1):
        return []
    retry_s = retry_delay(state.failures)
    fields = {"failed passes": state.failures, "next try": f"{retry_s:g} s"}
    shown = report.problems[:MOST_PROBLEMS_TOLD]
    told: list[Command] = [Log(Level.ERROR, f"not programmed: {problem}", fields) for problem in shown]
    if len(report.problems) > len(shown):
        told.append(Log(Level.ERROR, f"not programmed: {len(report.problems) - len(shown)} more, see `tortie status`"))
    intruders = report.rules.intruders if report.rules is not None else ()
    return [*told, *(Log(Level.WARNING, f"in front of our hook: {one}") for one in intruders)]


def _repaired(state: Agent, report: Report, checking: bool) -> Step:
    """What a pass found damaged: routes that somebody touched, or rules though nothing of ours had changed."""
    state, fight = _fought_over(state, report) if checking else (state, [])
    if Part.NETWORK in report.parts and state.network_damage:
        for device in sorted(report.restored & state.network_damage.keys()):
            by = {"by": state.network_damage[device]}
            fight.append(Log(Level.WARNING, "repaired a route that another program changed", by))
        state = replace(state, network_damage={})
    return state, fight


def _fought_over(state: Agent, report: Report) -> Step:
    if report.rules is None or not state.programmed or not (report.rules.steps or report.rules.intruders):
        return state, []
    repairs = state.repairs + 1
    what = report.rules.first_step or report.rules.refused or ""
    fields = {"by": state.rules_damage, "repairs": repairs} if state.rules_damage else {"repairs": repairs}
    commands: list[Command] = [SetTimer(Clock.CALM, CALM_S)]
    if repairs <= REPAIRS_AT_ONCE:
        commands.append(Log(Level.WARNING, f"repaired what another program changed: {what}", fields))
    if repairs == REPAIRS_AT_ONCE:
        named = "; ".join(map(str, report.rules.intruders)) or what
        message = f"another program keeps changing what is ours; repairs are made more slowly from now on: {named}"
        commands.append(Log(Level.WARNING, message, fields))
        state = replace(state, remarks=(*state.remarks, message))
    return replace(state, repairs=repairs, rules_damage=""), commands


def _recheck(state: Agent, report: Report, checking: bool) -> Step:
    """Looks again at what was written, after a second, two, four … (spec: rules 10.6)."""
    if report.steps and not checking:
        first = max(state.settings.post_write_check_s, 0.05)
        return replace(state, recheck_s=first), [SetTimer(Clock.RECHECK, first)]
    if Part.CHECK_RULES in report.parts and Part.CHECK_SETS in report.parts:
        following = next_recheck(state.recheck_s)
        if following is not None:
            return replace(state, recheck_s=following), [SetTimer(Clock.RECHECK, following)]
    return state, []


def _damaged(state: Agent, event: Damaged) -> Step:
    if not state.programmed or state.ending is not None:
        return state, []
    state = replace(state, due=state.due | {event.part})
    if event.part is not Part.NETWORK:
        state = replace(state, rules_damage=event.what or state.rules_damage)
    elif event.device:
        state = replace(state, network_damage={**state.network_damage, event.device: event.what})
    if state.repair_due:
        return state, []
    refresh_s = state.settings.iptables_refresh_s
    return replace(state, repair_due=True), [SetTimer(Clock.REPAIR, repair_delay(state.repairs, refresh_s))]


# --- interfaces --------------------------------------------------------------------------------------------------


def _listed(state: Agent, event: InterfacesListed) -> Step:
    state = replace(state, all_rp_filter=event.all_rp_filter)
    now = {one.name: one for one in event.interfaces}
    before = state.interfaces
    if before is None:
        problem = loose_source_check(state.all_rp_filter, ignore=state.settings.ignore_loose_rpf)
        logs = [Log(Level.ERROR, problem)] if problem is not None else []
        return _with(_due(_with_new(replace(state, interfaces=now), frozenset(now))[0], ALL), *logs, _grace())
    commands: list[Command] = []
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            state, more = _interface_changed(state, name, now.get(name))
            commands += more
    state, more = _due(state, frozenset()) if state.due and not state.failures else (state, [])
    return state, [*commands, *more]


def _grace() -> Command:
    return SetTimer(Clock.GRACE, GRACE_S)


def _with_new(state: Agent, names: frozenset[str]) -> Step:
    """Takes interfaces as new, if they are workloads'."""
    if not names:
        return state, []
    waiting = bool(state.new_interfaces)
    state = replace(state, new_interfaces=state.new_interfaces | names)
    if waiting:
        return state, []
    return replace(state, aging_interfaces=state.new_interfaces), [_grace()]


def _grace_over(state: Agent) -> Step:
    """Those that were there a whole time of grace ago are old now; the others have theirs from here."""
    younger = state.new_interfaces - state.aging_interfaces
    state = replace(state, new_interfaces=younger, aging_interfaces=younger)
    return _with(_due(state, frozenset({Part.NETWORK})), *([_grace()] if younger else []))


def _interface_changed(state: Agent, name: str, interface: Interface | None) -> Step:
    if state.interfaces is None:
        return state, []
    before = state.interfaces.get(name)
    if before == interface:
        return state, []
    now = dict(state.interfaces)
    if interface is None:
        del now[name]
    else:
        now[name] = interface
    state = replace(state, interfaces=now, new_interfaces=state.new_interfaces - {name})
    state, grace = _with_new(state, frozenset({name})) if before is None else (state, [])
    ours = state.config is not None and state.config.is_workload_interface(name)
    parts = frozenset({Part.NETWORK}) if ours else ALL
    return _with(_due(state, parts), *grace)


# --- status and end ----------------------------------------------------------------------------------------------


def _status_soon(state: Agent) -> Step:
    if state.status_due:
        return state, []
    return replace(state, status_due=True), [SetTimer(Clock.STATUS, _STATUS_DELAY_S)]


def _status_written(state: Agent, problem: str | None) -> Step:
    if problem == state.status_problem:
        return state, []
    state = replace(state, status_problem=problem)
    if problem is None:
        return state, [Log(Level.INFO, "the status can be written again")]
    return state, [Log(Level.WARNING, f"the status cannot be written: {problem}")]


def _end(state: Agent, code: int, why: str) -> Step:
    """Ends when nothing is being programmed; what is programmed stays."""
    if state.ending is not None:
        return state, []
    state = replace(state, ending=(code, why))
    log = Log(Level.INFO, "ending; what is programmed stays", {"why": why})
    return state, [log] if state.programming else [log, Quit(code, why)]
