"""Results that are kept: made again only when what they were made from is another, and then only those."""

from __future__ import annotations

from tortie.render.memory import Joined, Kept, Same


class Maker:
    """Makes lists, which are new objects each time, and remembers for whom."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, key: str, given: int, last: tuple[int, list[int]] | None) -> list[int]:
        self.asked.append(key)
        return [given] if last is None else [*last[1], given]


def test_one_result_stays_while_what_it_was_made_from_is_equal() -> None:
    same = Same[list[str]]()
    made = [same.of(([1, 2],), lambda: ["a"]), same.of(([1, 2],), lambda: ["b"]), same.of(([1, 3],), lambda: ["b"])]
    assert made == [["a"], ["a"], ["b"]]
    assert made[0] is made[1]


def test_only_what_is_not_as_it_was_is_made_again() -> None:
    maker = Maker()
    kept = Kept(maker)
    before = kept.renew({"a": 1, "b": 2})
    after = kept.renew({"a": 1, "b": 3})
    assert after["a"] is before["a"]
    assert maker.asked == ["a", "b", "b"]


def test_the_maker_is_told_what_there_was() -> None:
    kept = Kept(Maker())
    kept.renew({"a": 1})
    assert kept.renew({"a": 2}) == {"a": [1, 2]}


def test_a_table_of_which_nothing_changed_is_the_same_table() -> None:
    kept = Kept(Maker())
    assert kept.renew({"a": 1, "b": 2}) is kept.renew({"a": 1, "b": 2})


def test_a_table_is_in_the_order_of_what_is_given() -> None:
    kept = Kept(Maker())
    assert list(kept.renew({"a": 1, "b": 2})) == ["a", "b"]
    assert list(kept.renew({"b": 2, "a": 1})) == ["b", "a"]


def test_what_is_not_asked_for_is_forgotten() -> None:
    maker = Maker()
    kept = Kept(maker)
    for given in ({"a": 1, "b": 1}, {"a": 1}, {"a": 1, "b": 1}):
        kept.renew(given)
    assert maker.asked == ["a", "b", "b"]


def test_a_table_that_was_handed_out_stays_as_it_was() -> None:
    kept = Kept(Maker())
    before = kept.renew({"a": 1, "b": 1})
    kept.renew({"a": 1})
    assert before == {"a": [1], "b": [1]}


def test_a_failure_leaves_nothing_behind() -> None:
    def make(key: str, given: int, _last: object) -> int:
        return 1 // given

    kept = Kept(make)
    kept.renew({"a": 1})
    try:
        kept.renew({"a": 1, "b": 0})
    except ZeroDivisionError:
        assert kept.renew({"a": 1}) == {"a": 1}


def test_tables_put_together_stay_while_they_are_the_same_objects() -> None:
    joined = Joined[str, int]()
    one, two = {"a": 1}, {"a": 2, "b": 3}
    whole = joined.of(one, two)
    assert whole == {"a": 2, "b": 3}
    assert joined.of(one, two) is whole
    assert joined.of(one, dict(two)) is not whole
    assert joined.of(one) == {"a": 1}
