"""Two renderings are the same to the byte: equal values in the same order, of which every text is made."""

from __future__ import annotations

from collections.abc import Iterator

from tortie.render.ruleset import Rendering


def assert_same(one: Rendering, other: Rendering) -> None:
    assert one == other
    assert list(_order(one)) == list(_order(other))


def _order(rendering: Rendering) -> Iterator[object]:
    """What comparing tables does not see."""
    for family, rendered in rendering.families.items():
        yield family
        for name, table in rendered.tables.items():
            yield name, list(table.chains), list(table.hooks)
        yield list(rendered.ip_sets), [list(one.options.items()) for one in rendered.ip_sets.values()]
    yield list(rendering.endpoint_marks)
