"""Forks: every combination of choices is walked once."""

from __future__ import annotations

from tortie.simulator.answer import DoubtKind
from tortie.simulator.choice import MOST_OUTCOMES, Choice, Chooser, explore


def choice(subject: str, count: int = 2) -> Choice:
    options = tuple(f"option{number}" for number in range(count))
    return Choice(DoubtKind.CHANCE, subject, options, tuple(f"if {option}" for option in options))


def ask(chooser: Chooser) -> tuple[int, ...]:
    """Asks a; asks b of two only when a took its first option, else c of three."""
    first = chooser.choose(choice("a"))
    return (first, chooser.choose(choice("b"))) if first == 0 else (first, chooser.choose(choice("c", 3)))


def test_every_combination_comes_once_and_the_first_options_first() -> None:
    results, cut = explore(ask)
    assert results[0] == (0, 0)
    assert sorted(results) == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]
    assert not cut


def test_a_walk_without_choices_runs_once() -> None:
    assert explore(lambda chooser: len(chooser.taken)) == ((0,), False)


def test_an_assumed_choice_does_not_fork() -> None:
    results, _ = explore(ask, {"a": "option1", "c": "option2"})
    assert results == ((1, 2),)


def test_an_assumption_that_names_no_option_changes_nothing() -> None:
    assert len(explore(ask, {"a": "nonsense"})[0]) == 5


def test_conditions_say_what_was_chosen_and_whether_it_was_assumed() -> None:
    def run(chooser: Chooser) -> Chooser:
        ask(chooser)
        return chooser

    (chooser,) = explore(run, {"a": "option1", "c": "option0"})[0]
    assert [(one.subject, one.option, one.text, one.assumed) for one in chooser.taken] == [
        ("a", "option1", "if option1", True),
        ("c", "option0", "if option0", True),
    ]


def test_too_many_outcomes_are_cut_and_said_to_be() -> None:
    def run(chooser: Chooser) -> int:
        return sum(chooser.choose(choice(str(number))) for number in range(10))

    results, cut = explore(run)
    assert (len(results), cut) == (MOST_OUTCOMES, True)
