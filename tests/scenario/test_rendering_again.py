"""The rules of a node that is rendered after every change, on any way through what a cluster may be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.calc_builder import HERE
from tests.same_rendering import assert_same
from tests.scenario.test_state_sequence import SEQUENCES
from tests.state_sequence import Expansion, State, as_given, empties_between, repeated, reversed_states, views
from tortie.render.config import parse_config
from tortie.render.ruleset import Renderer, render_node
from tortie.render.state import NodeInterface, NodeState

MORE_THAN_ONE = (as_given, reversed_states, empties_between, repeated)
STATE = NodeState((NodeInterface("eth0"),), ipvs=True)


@pytest.mark.parametrize("expand", MORE_THAN_ONE, ids=lambda expand: expand.__name__)
@pytest.mark.parametrize("states", SEQUENCES.values(), ids=SEQUENCES.keys())
def test_what_is_rendered_depends_on_what_there_is(states: list[State], expand: Expansion) -> None:
    for run in expand(states):
        renderer = Renderer()
        state = STATE
        for view in views(run, HERE):
            config, _ = parse_config(view.config)
            expected = render_node(view, state, config)
            assert_same(renderer.render(view, state, config), expected)
            state = replace(STATE, endpoint_marks=expected.endpoint_marks)
