"""What a pass amounts to."""

from __future__ import annotations

from tortie.agent.report import Part, Report, RulesReport

ALL = frozenset({Part.RULES, Part.NETWORK})


def test_steps_of_both_halves_count() -> None:
    assert Report(ALL, RulesReport(steps=2), network_steps=3).steps == 5
    assert Report(ALL, network_steps=3).steps == 3


def test_problems_are_what_is_not_as_it_should_be() -> None:
    rules = RulesReport(refused="lock", failures=("overcome",))
    report = Report(ALL, rules, network_failures=("route",), refused="cannot render")
    assert report.problems == ("cannot render", "lock", "route")
    assert Report(ALL, RulesReport(failures=("overcome",))).problems == ()
