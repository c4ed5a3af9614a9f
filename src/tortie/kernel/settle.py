"""Brings the kernel to a state and makes sure that it is there: read, plan, carry out, read again.

Done is when a fresh reading leaves nothing to plan. So a tool that ends well without having done its work, a program that
changes our rules meanwhile and a crash halfway are one case: the next round finds what is left. Failures are waited out,
each time twice as long, and after the last one raised; the kernel is then in a state that the plan's order has made safe.
Sets that cannot be destroyed because something outside our sight uses them do no harm: they are told, not raised, and
they are tried behind all others, which a failure in front of them would keep from going.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from tortie.kernel.refusal import KernelRefused
from tortie.reconcile.step import DestroySet, Plan, SetEdit
from tortie.reconcile.text import describe_step
from tortie.reconcile.wanted import Held

MOST_ROUNDS = 11
"""Readings of the kernel before giving up: ten tries (spec: rules 10.6) and a last look."""
FIRST_PAUSE_S = 0.001
"""Seconds after the first failure; doubled after each (spec: rules 10.6)."""


class Programmable(Protocol):
    """What is needed of a kernel; `tables.Tables` is one."""

    def read(self) -> Held:
        """What it holds; raises `KernelRefused` or `InvalidInput`."""
        ...

    def carry_out(self, plan: Plan) -> None:
        """Takes a plan's steps; raises `KernelRefused`."""
        ...


@dataclass(frozen=True, slots=True)
class Settled:
    """What was done: steps that were taken, failures on the way, and remarks about what of ours stays."""

    steps: int = 0
    failures: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def settle(kernel: Programmable, planner: Callable[[Held], Plan], sleep: Callable[[float], None]) -> Settled:
    """Plans and carries out until there is nothing to plan; `sleep` waits for seconds.

    Raises `KernelRefused` when that is not reached in time, `InvalidInput` when planning is impossible.
    """
    taken = 0
    pause_s = FIRST_PAUSE_S
    failures: list[KernelRefused] = []
    written = False
    stubborn: set[str] = set()
    for number in range(MOST_ROUNDS):
        plan = Plan()
        try:
            plan = _with_last(planner(kernel.read()), stubborn)
            if not plan.steps:
                return Settled(taken, tuple(str(failure) for failure in failures), plan.remarks)
            if written:
                written = False
                raise KernelRefused(["reading again"], "not as it was written", describe_step(plan.steps[0]))
            if number < MOST_ROUNDS - 1:
                kernel.carry_out(plan)
                taken += len(plan.steps)
                written = True
        except KernelRefused as refusal:
            failures.append(refusal)
            stubborn |= _set_to_destroy(refusal)
            sleep(pause_s)
            pause_s *= 2
    stuck = _sets_to_destroy(plan)
    if stuck:
        remarks = (*plan.remarks, *(f"set {name} stays: something uses it" for name in stuck))
        return Settled(taken, tuple(str(failure) for failure in failures), remarks)
    raise failures[-1]


def _set_to_destroy(refusal: KernelRefused) -> set[str]:
    """The set that a failure says cannot be destroyed, if it is about one."""
    words = (refusal.line or "").split()
    return {words[1]} if len(words) == 2 and words[0] == "destroy" else set()


def _with_last(plan: Plan, names: set[str]) -> Plan:
    """The plan with some sets destroyed behind all else, where its order already has what is destroyed at the end."""
    last = plan.steps[-1] if plan.steps else None
    if not names or not isinstance(last, SetEdit):
        return plan
    late = [one for one in last.commands if isinstance(one, DestroySet) and one.name in names]
    early = [one for one in last.commands if one not in late]
    return replace(plan, steps=(*plan.steps[:-1], SetEdit((*early, *late))))


def _sets_to_destroy(plan: Plan) -> tuple[str, ...]:
    """The sets' names when a plan does nothing but destroy sets."""
    names = []
    for step in plan.steps:
        for command in step.commands if isinstance(step, SetEdit) else (None,):
            if not isinstance(command, DestroySet):
                return ()
            names.append(command.name)
    return tuple(names)
