"""A long search for rules that the codec reads, prints or refuses otherwise than the kernel: new ones in every run.

What is found here becomes a row in tests/cases/rules.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.cases.rule_table import VARIANTS
from tests.kernel.iptables_tools import Tools
from tests.kernel.test_codec_rules import append_and_compare, load_and_compare, respelt_commands
from tests.requirement import missing_for_kernel
from tests.strategies.rules import places, rules
from tests.strategies.spelling import is_misread

pytestmark = pytest.mark.skipif(missing_for_kernel() is not None, reason=str(missing_for_kernel()))


@pytest.fixture(params=[pytest.param(v, id=f"v{v[0].value}-{v[1].value}") for v in VARIANTS], scope="module")
def tools(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    made = Tools.fresh(*request.param, tmp_path_factory.mktemp("xtables"))
    yield made
    made.close()


@settings(max_examples=200)
@given(data=st.data())
def test_drawn_rules_are_saved_as_the_codec_prints_them(tools: Tools, data: st.DataObject) -> None:
    table, chain = data.draw(places())
    load_and_compare(
        tools, table, chain, data.draw(st.lists(rules(tools.family, table, chain, tools.backend), max_size=30))
    )


@settings(max_examples=800)
@given(data=st.data())
def test_respelt_rules_mean_and_fail_the_same(tools: Tools, data: st.DataObject) -> None:
    table, words = data.draw(respelt_commands(tools.family, tools.backend))
    assume(not is_misread(words))
    assert append_and_compare(tools, table, words) is None
