"""Whoever plans again and again plans what one would who never planned before."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.property.test_plan import STATE
from tests.strategies.node import FAMILY, Told, sets_and_policies_twice, told_twice
from tortie.cli.programming import CALICO, wanted_families
from tortie.codec.save import SaveFile, format_save, parse_save
from tortie.netfilter.hook import Backend
from tortie.netfilter.rule import Ruleset
from tortie.reconcile.plan import Planner, plan
from tortie.reconcile.wanted import Held
from tortie.render.ruleset import Renderer

EMPTY = Held({FAMILY: Ruleset(FAMILY, Backend.NFT, {})}, {})


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[Told, bool, bool]]:
    """What is told one after the other; whether it is carried out, and whether the kernel is then read from text."""
    pairs = draw(st.lists(told_twice() | sets_and_policies_twice(), min_size=1, max_size=2))
    told = [one for pair in pairs for one in pair]
    steps = st.tuples(st.sampled_from(range(len(told))), st.integers(0, 4), st.booleans())
    return [(told[at], carried > 0, read) for at, carried, read in draw(st.lists(steps, min_size=2, max_size=5))]


def read_again(held: Held) -> Held:
    """Equal values in other objects."""
    ruleset = held.rulesets[FAMILY]
    return Held(
        {FAMILY: parse_save(format_save(SaveFile(ruleset)), FAMILY, backend=Backend.NFT).ruleset}, dict(held.ip_sets)
    )


@given(histories())
@examples(20)
def test_planning_again_is_planning_from_nothing(history: Sequence[tuple[Told, bool, bool]]) -> None:
    planner, renderer, held = Planner(CALICO), Renderer(), EMPTY
    for told, carried_out, read in history:
        rendering = renderer.render(told.view, STATE, told.config)
        wanted = wanted_families(rendering)
        again, fresh = planner.plan(wanted, held), plan(wanted, held, CALICO)
        assert (again.steps, again.remarks, again.after) == (fresh.steps, fresh.remarks, fresh.after)
        if carried_out:
            held = Held(again.after, rendering.families[FAMILY].ip_sets)
            assert not planner.plan(wanted, held).steps
        if read:
            held = read_again(held)
