"""Rounds of reading and writing until nothing is left to do."""

from __future__ import annotations

import pytest

from tests.table_text import FILTER, V4, rules
from tortie.kernel.refusal import KernelRefused
from tortie.kernel.settle import FIRST_PAUSE_S, MOST_ROUNDS, Settled, settle
from tortie.netfilter.hook import Backend
from tortie.reconcile.step import AppendRule, DestroySet, Plan, SetEdit, TableEdit
from tortie.reconcile.wanted import Held

RULE = Plan((TableEdit(V4, Backend.LEGACY, FILTER, (AppendRule("x", rules("-j DROP")[0]),)),), ("a remark",))
DESTROY = Plan((SetEdit((DestroySet("one"), DestroySet("two"))),))
REFUSAL = KernelRefused(["tool"], "no")


class Kernel:
    """Hands out plans one after the other as readings; refuses to carry out those with these numbers."""

    def __init__(self, *plans: Plan, refuses: tuple[int, ...] = ()) -> None:
        self.plans = list(plans)
        self.refuses = refuses
        self.carried_out = 0
        self.readings = 0

    def read(self) -> Held:
        self.readings += 1
        return Held({}, {})

    def planner(self, held: Held) -> Plan:
        return self.plans.pop(0) if len(self.plans) > 1 else self.plans[0]

    def carry_out(self, plan: Plan) -> None:
        self.carried_out += 1
        if self.carried_out - 1 in self.refuses:
            raise REFUSAL


def run(kernel: Kernel) -> tuple[Settled, list[float]]:
    pauses: list[float] = []
    return settle(kernel, kernel.planner, pauses.append), pauses


def test_one_reading_when_all_is_right() -> None:
    kernel = Kernel(Plan(remarks=("a remark",)))
    assert run(kernel) == (Settled(remarks=("a remark",)), [])
    assert (kernel.readings, kernel.carried_out) == (1, 0)


def test_written_and_read_again() -> None:
    kernel = Kernel(RULE, Plan())
    assert run(kernel) == (Settled(steps=1), [])
    assert (kernel.readings, kernel.carried_out) == (2, 1)


def test_a_refusal_is_waited_out() -> None:
    kernel = Kernel(RULE, RULE, RULE, Plan(), refuses=(0, 1))
    made, pauses = run(kernel)
    assert pauses == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S]
    assert made == Settled(1, (str(REFUSAL), str(REFUSAL)))


def test_what_is_not_as_it_was_written_counts_as_a_failure() -> None:
    made, pauses = run(Kernel(RULE, RULE, RULE, Plan()))
    assert len(pauses) == 1
    assert "not as it was written (at `IPv4 filter (legacy): -A x -j DROP`)" in made.failures[0]


def test_a_kernel_that_never_settles_is_given_up() -> None:
    for kernel in (Kernel(RULE, refuses=tuple(range(20))), Kernel(RULE)):
        with pytest.raises(KernelRefused):
            run(kernel)
        assert kernel.readings == MOST_ROUNDS


def test_a_set_that_cannot_go_is_tried_behind_all_others() -> None:
    both = SetEdit((DestroySet("used"), DestroySet("one"), DestroySet("two")))
    plans = [Plan((*RULE.steps, both)), Plan((*RULE.steps, both)), Plan()]
    tried: list[list[str]] = []

    class Refusing(Kernel):
        def carry_out(self, plan: Plan) -> None:
            last = plan.steps[-1]
            assert isinstance(last, SetEdit) and plan.steps[:-1] == RULE.steps
            tried.append([command.name for command in last.commands if isinstance(command, DestroySet)])
            if len(tried) == 1:
                raise KernelRefused(["ipset", "restore"], "set is in use", "destroy used")

    made, _ = run(Refusing(*plans))
    assert tried == [["used", "one", "two"], ["one", "two", "used"]]
    assert made.steps == 2


def test_sets_that_something_uses_are_told() -> None:
    made, _ = run(Kernel(DESTROY, refuses=tuple(range(20))))
    assert made.remarks == ("set one stays: something uses it", "set two stays: something uses it")
    assert len(made.failures) == MOST_ROUNDS - 1
