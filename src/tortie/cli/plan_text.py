"""A plan as lines for people: policies and endpoints first, what it does to conversations, then chains and sets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tortie.cli.chain_owner import OwnerKind
from tortie.cli.change import ChainChange, Kind, OwnerChange, SetChange
from tortie.cli.consequence import Conversation, Fate
from tortie.cli.plan_report import PlanReport
from tortie.cli.terminal import Line, Style, plain
from tortie.net.address import IPFamily
from tortie.net.packet import describe_packet
from tortie.netfilter.hook import TableName

_STYLES = {Kind.NEW: Style.GOOD, Kind.GONE: Style.BAD, Kind.CHANGED: Style.DOUBT}
_TITLES = {
    OwnerKind.POLICY: "Policies",
    OwnerKind.PROFILE: "Profiles",
    OwnerKind.WORKLOAD: "Workloads",
    OwnerKind.HOST_ENDPOINT: "Host endpoints",
    OwnerKind.SET: "Sets",
    OwnerKind.NODE: "For every endpoint",
}
_COUNTED = {
    OwnerKind.POLICY: ("policy", "policies"),
    OwnerKind.PROFILE: ("profile", "profiles"),
    OwnerKind.WORKLOAD: ("workload", "workloads"),
    OwnerKind.HOST_ENDPOINT: ("host endpoint", "host endpoints"),
    OwnerKind.SET: ("set", "sets"),
}
MOST_SHOWN = 20
"""Conversations of one fate, and members of a set, that are listed."""


def report_lines(report: PlanReport, *, summary: bool = False) -> Iterator[Line]:
    """The whole report; with `summary` without chains, rules and members."""
    yield headline(report)
    if report.plan.steps:
        yield from _owners(report.changes.owners)
        yield from _conversations(report)
        yield from _locked_out(report)
        if not summary:
            yield from _chains(report.changes.chains)
            yield from _sets(report.changes.sets)
    if report.remarks:
        yield plain("")
        yield from (plain(f"Remark: {remark}", style=Style.FAINT) for remark in report.remarks)


def headline(report: PlanReport) -> Line:
    """What there is to do, in one line."""
    name = ((f"{report.node}", Style.HEAD), (f" ({report.backend.value}): ", Style.PLAIN))
    if not report.plan.steps:
        return Line((*name, ("nothing to do", Style.GOOD)))
    counts = []
    for kind, (one, several) in _COUNTED.items():
        count = sum(change.owner.kind is kind for change in report.changes.owners)
        if count:
            counts.append(f"{count} {one if count == 1 else several}")
    chains = len(report.changes.chains)
    counts.append(f"{chains} {'chain' if chains == 1 else 'chains'}")
    *most, last = counts
    listed = f"{', '.join(most)} and {last}" if most else last
    steps = len(report.plan.steps)
    return Line((*name, (f"{listed} to change, in {steps} step{'' if steps == 1 else 's'}", Style.DOUBT)))


def _owners(changes: Iterable[OwnerChange]) -> Iterator[Line]:
    last = None
    for change in changes:
        kind = change.owner.kind
        if kind is not last:
            yield plain("")
            yield plain(_TITLES[kind], style=Style.HEAD)
            last = kind
        if kind is OwnerKind.NODE:
            yield from (plain(detail, 4) for detail in change.details)
            continue
        yield Line(((f"{change.kind.value} ", _STYLES[change.kind]), (change.owner.name, Style.NAME)), 2)
        yield from (plain(detail, 6) for detail in change.details)


# --- consequences ------------------------------------------------------------------------------------------------


def _conversations(report: PlanReport) -> Iterator[Line]:
    found = report.conversations
    yield plain("")
    yield plain("Conversations", style=Style.HEAD)
    if found.known is None:
        yield plain("not known: the snapshot holds no connections", 2, Style.DOUBT)
        return
    for fate, words, style in (
        (Fate.CUT, "cut", Style.BAD),
        (Fate.NOT_AGAIN, "not cut, but could not be opened again", Style.DOUBT),
        (Fate.UNKNOWN, "of which that cannot be told", Style.DOUBT),
    ):
        some = found.of(fate)
        if some:
            yield plain(f"{sum(one.count for one in some)} {words}", 2, style)
            yield from map(_conversation, some[:MOST_SHOWN])
            if len(some) > MOST_SHOWN:
                yield plain(f"and {len(some) - MOST_SHOWN} more of other ends", 4, Style.FAINT)
    if not found.of(Fate.CUT):
        yield plain("none is cut" if found.known else "there are none", 2, Style.GOOD)
    if found.walked < found.known:
        yield plain(f"{found.walked} of {found.known} pairs of ends were walked; of the others nothing is known", 2)


def _conversation(one: Conversation) -> Line:
    times = f" ({one.count} connections)" if one.count > 1 else ""
    return plain(f"{one.text}{times}: {one.why}", 4)


def _locked_out(report: PlanReport) -> Iterator[Line]:
    if not report.locked_out:
        return
    yield plain("")
    yield plain("Locked out, so that `tortie apply` refuses this without --force", style=Style.BAD)
    for probe, why in report.locked_out:
        packet = describe_packet(probe.arrival.packet).rpartition(" ttl ")[0]
        yield plain(f"{probe.what}: {packet}: {why}", 2)


# --- chains and sets ---------------------------------------------------------------------------------------------


def _chains(changes: Iterable[ChainChange]) -> Iterator[Line]:
    """Each change once, under all the tables in which it is the same."""
    places: dict[ChainChange, list[str]] = {}
    for change in changes:
        same = replace(change, family=IPFamily.V4, table=TableName.FILTER)
        places.setdefault(same, []).append(f"IPv{change.family.value} {change.table.value}")
    last = ""
    for change, found in places.items():
        if (place := ", ".join(found)) != last:
            yield plain("")
            yield plain(place, style=Style.HEAD)
            last = place
        yield from _chain(change)


def _chain(change: ChainChange) -> Iterator[Line]:
    owner = change.use.owner
    part = f", {change.use.part}" if change.use.part else ""
    note = "" if owner.kind is OwnerKind.NODE else f"{owner.name}{part}"
    yield Line(((f"{change.kind.value} ", _STYLES[change.kind]), (change.chain, Style.NAME)), 2, note=note)
    for text in change.lines:
        yield Line(((text, Style.GOOD if text.startswith("+") else Style.BAD),), 6)
    if change.renumbered:
        yield plain(f"{change.renumbered} with another hash only", 6, Style.FAINT)


def _sets(changes: Iterable[SetChange]) -> Iterator[Line]:
    first = True
    for change in changes:
        if first:
            yield plain("")
            yield plain("ip sets", style=Style.HEAD)
            first = False
        yield Line(((f"{change.kind.value} ", _STYLES[change.kind]), (change.name, Style.NAME)), 2, note=change.owner.name)
        for sign, members, style in (("-", change.removed, Style.BAD), ("+", change.added, Style.GOOD)):
            yield from (Line(((f"{sign} {member}", style),), 6) for member in members[:MOST_SHOWN])
            if len(members) > MOST_SHOWN:
                yield plain(f"{sign} {len(members) - MOST_SHOWN} more", 6, Style.FAINT)
