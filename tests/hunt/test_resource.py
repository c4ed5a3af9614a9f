"""A long search for resources that bring down reading, conversion, calculation or rendering: new ones in every run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.property.test_resource_text import check_reading, check_rendering
from tests.strategies.resource import damaged_texts, edited_texts


@given(edited_texts | damaged_texts)
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    check_reading(text)


@given(edited_texts | damaged_texts, st.booleans())
def test_what_is_read_can_be_rendered(text: str, felix_exact: bool) -> None:
    check_rendering(text, felix_exact=felix_exact)
