"""How often a datastore is tried again, and what is told of it."""

from __future__ import annotations

from tortie.model.event import InSync, Lost, Regained
from tortie.source.link import BackOff, Link


def test_waits_double_up_to_the_longest_and_start_over() -> None:
    back_off = BackOff(1.0, 5.0, lambda: 1.0)
    assert [back_off.next_s() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    back_off.reset()
    assert back_off.next_s() == 1.0


def test_half_of_a_wait_is_drawn() -> None:
    assert BackOff(1.0, 5.0, lambda: 0.0).next_s() == 0.5
    assert 0.25 <= BackOff().next_s() <= 0.5


def test_many_tries_are_no_overflow() -> None:
    back_off = BackOff(1.0, 5.0, lambda: 1.0)
    assert {back_off.next_s() for _ in range(5000)} == {1.0, 2.0, 4.0, 5.0}


def test_a_loss_is_told_once_and_its_end_too() -> None:
    link = Link(BackOff())
    assert list(link.reached()) == [InSync()]
    assert list(link.reached()) == []
    assert list(link.lost("a")) == [Lost("a")]
    assert list(link.lost("b")) == []
    assert list(link.reached()) == [Regained()]
    assert list(link.lost("c")) == [Lost("c")]


def test_a_loss_before_everything_was_told() -> None:
    link = Link(BackOff())
    assert list(link.lost("a")) == [Lost("a")]
    assert list(link.reached()) == [Regained(), InSync()]
