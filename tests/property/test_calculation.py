"""The calculation agrees with the plain one whatever it is told in whatever order, and tells exactly what changed."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from tests.calc_builder import HERE
from tests.examples import examples
from tests.plain_calculation import calculate_plainly
from tests.state_sequence import State, Step, run_and_check
from tests.strategies.cluster import Update, updates
from tortie.calc.calculation import Calculation, calculate
from tortie.calc.member_set import MemberSet

configs: st.SearchStrategy[Mapping[str, str]] = st.sampled_from(({}, {"VXLANEnabled": "true"}, {"A": "1"}))
some_updates = st.lists(updates, max_size=12)


def state_after(given_updates: list[Update], config: Mapping[str, str], before: State | None = None) -> State:
    values = {} if before is None else dict(before.values)
    for key, value in given_updates:
        if value is None:
            values.pop(key, None)
        else:
            values[key] = value
    return State("drawn", values, config)


@examples(50)
@given(some_updates, configs)
def test_all_at_once(given_updates: list[Update], config: Mapping[str, str]) -> None:
    state = state_after(given_updates, config)
    assert calculate(state.cluster, HERE, config) == calculate_plainly(state.cluster, HERE, config)


@examples(60)
@given(st.lists(st.tuples(some_updates, configs, st.booleans()), max_size=5))
def test_one_state_after_the_other(batches: list[tuple[list[Update], Mapping[str, str], bool]]) -> None:
    steps: list[Step] = []
    for given_updates, config, flush in batches:
        steps.append(Step(state_after(given_updates, config, steps[-1].state if steps else None), flush))
    run_and_check(steps, HERE)


@examples(50)
@given(some_updates, st.permutations(range(12)))
def test_in_any_order_and_with_detours(given_updates: list[Update], order: list[int]) -> None:
    state = state_after(given_updates, {})
    calculation = Calculation(HERE)
    for key, value in given_updates:
        calculation.tell(key, value)
    shuffled = Calculation(HERE)
    items = list(state.values.items())
    for place in order:
        if place < len(items):
            shuffled.tell(*items[place])
    calculation.flush()
    shuffled.flush()
    assert calculation.view() == shuffled.view()


numbers = st.frozensets(st.integers(0, 400), max_size=200)


@examples(100)
@given(st.lists(numbers, min_size=1, max_size=6))
def test_a_member_set_is_like_a_frozenset_however_it_came_to_be(states: list[frozenset[int]]) -> None:
    now: MemberSet[int] = MemberSet()
    before: frozenset[int] = frozenset()
    for after in states:
        now = now.changed(after - before, before - after)
        assert now == after
        assert after == now
        assert hash(now) == hash(MemberSet(after))
        assert (set(now), len(now)) == (set(after), len(after))
        assert all((number in now) is (number in after) for number in range(400))
        before = after
    assert now == MemberSet(states[-1])
