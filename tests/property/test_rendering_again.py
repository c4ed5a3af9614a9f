"""A node that is rendered again after a change is what it would be if it had never been rendered before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.same_rendering import assert_same
from tests.strategies.node import Told, told_twice
from tortie.calc.member_set import MemberSet
from tortie.calc.view import NetSet, NodeView, PortSet
from tortie.net.address import parse_address
from tortie.render.ruleset import Renderer, render_node
from tortie.render.state import NodeInterface, NodeState

ETH0 = NodeInterface("eth0", frozenset({parse_address("10.20.0.1"), parse_address("fd00:20::1")}))
ETH1 = NodeInterface("eth1", frozenset({parse_address("10.21.0.1")}))
STATES = (NodeState((ETH0,)), NodeState((ETH0, ETH1)), NodeState((ETH0,), ipvs=True), NodeState((), ipvs=True))


def in_both_families(told: Told) -> Told:
    return replace(told, config=replace(told.config, ipv6_support=True))


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[Told, NodeState]]:
    """What a node is told one after the other, some of it more than once, and the states that it is in."""
    told = [one for pair in draw(st.lists(told_twice(), min_size=1, max_size=2)) for one in pair]
    order = draw(st.lists(st.sampled_from(range(len(told))), min_size=2, max_size=6))
    both = draw(st.booleans())
    return [(in_both_families(told[at]) if both else told[at], draw(st.sampled_from(STATES))) for at in order]


@given(histories())
@examples(25)
def test_rendering_again_is_rendering_from_nothing(history: Sequence[tuple[Told, NodeState]]) -> None:
    renderer = Renderer()
    marks: Mapping[str, int] = {}
    for told, state in history:
        mask = 0xFFFFFFFF & ~(told.config.mark_mask & -told.config.mark_mask)
        held = replace(state, endpoint_marks={name: mark for name, mark in marks.items() if not mark & ~mask})
        try:
            expected = render_node(told.view, held, told.config)
        except ValueError:  # marks of another mask
            held = state
            expected = render_node(told.view, held, told.config)
        assert_same(renderer.render(told.view, held, told.config), expected)
        marks = expected.endpoint_marks


@given(st.data())
@examples(25)
def test_members_that_come_and_go_one_by_one(data: st.DataObject) -> None:
    """The sets of views as the calculation makes them: each a changed copy of the one before."""
    first, second = data.draw(told_twice())
    pool = {
        one.id: sorted({*one.members, *other.members}, key=str) for one, other in zip(*_sets(first, second), strict=True)
    }
    now = {one.id: MemberSet(one.members) for one in first.view.ip_sets}
    renderer = Renderer()
    for _ in range(data.draw(st.integers(1, 4))):
        for name, members in pool.items():
            turned = frozenset(data.draw(st.sets(st.sampled_from(members)))) if members else frozenset()
            now[name] = now[name].changed(turned - now[name], turned & now[name])
        view = with_members(first.view, now)
        config = in_both_families(first).config
        assert_same(renderer.render(view, STATES[0], config), render_node(view, STATES[0], config))


def _sets(first: Told, second: Told) -> tuple[tuple[NetSet | PortSet, ...], tuple[NetSet | PortSet, ...]]:
    return first.view.ip_sets, second.view.ip_sets  # type: ignore[return-value]


def with_members(view: NodeView, members: Mapping[str, MemberSet[object]]) -> NodeView:
    return replace(view, ip_sets=tuple(replace(one, members=members[one.id]) for one in view.ip_sets))  # type: ignore[arg-type]
