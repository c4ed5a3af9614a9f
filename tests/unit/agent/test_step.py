"""The step function by itself; what an agent lives through is tests/scenario's."""

from __future__ import annotations

import pytest

from tests.scenario.world import NODE, PROFILE, resources
from tortie.agent.command import Configure, Learn, Level, ListInterfaces, Log, Lose, Program, Quit, SetTimer
from tortie.agent.event import Clock, Damaged, Event, InterfacesListed, Programmed, Rang, Terminate
from tortie.agent.interface import Interface
from tortie.agent.report import Part, Report
from tortie.agent.state import Agent
from tortie.agent.step import MOST_PROBLEMS_TOLD, begin, held_back, step
from tortie.model.closing import LostPolicy
from tortie.model.event import InSync, Lost, Mended, Refused
from tortie.model.read import Key
from tortie.net.error import InvalidInput
from tortie.selector.tree import Has

CHANGED = resources(PROFILE)[0]
LISTED = InterfacesListed((Interface("eth0"),))


def after(*events: Event) -> tuple[Agent, list[object]]:
    state, commands = begin(Agent(NODE))
    told: list[object] = list(commands)
    for event in events:
        state, commands = step(state, event)
        told += commands
    return state, told


def test_it_begins_with_its_configuration_and_a_list_of_interfaces() -> None:
    _, commands = after()
    assert [type(command) for command in commands if not isinstance(command, SetTimer)] == [Configure, ListInterfaces]


def test_a_step_changes_nothing_in_place() -> None:
    state, _ = after(LISTED)
    before = repr(state)
    for event in (CHANGED, InSync(), Rang(Clock.BATCH), Lost("x"), Damaged(Part.NETWORK, "x"), Terminate("x")):
        step(state, event)
    assert repr(state) == before


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ((LISTED,), "the datastore is not in sync"),
        ((InSync(),), "the interfaces are not known"),
        ((InSync(), LISTED), None),
        ((InSync(), InterfacesListed(LISTED.interfaces, "2")), "rp_filter is 2"),
    ],
)
def test_what_holds_it_back(events: tuple[Event, ...], why: str | None) -> None:
    state, commands = after(CHANGED, *events, Rang(Clock.BATCH))
    assert Learn(CHANGED.key, CHANGED.resource) in commands
    assert any(isinstance(command, Program) for command in commands) is (why is None)
    found = held_back(state)
    assert (found is None) is (why is None)
    assert why is None or found is None or why in found


def test_one_pass_at_a_time() -> None:
    _, commands = after(LISTED, InSync(), Rang(Clock.BATCH), CHANGED, Rang(Clock.BATCH), Rang(Clock.RULES))
    assert sum(isinstance(command, Program) for command in commands) == 1


def test_the_end_waits_for_a_pass() -> None:
    running = (LISTED, InSync(), Rang(Clock.BATCH), Terminate("SIGTERM"))
    _, commands = after(*running)
    assert not any(isinstance(command, Quit) for command in commands)
    _, commands = after(*running, Programmed(Report(frozenset({Part.RULES}))))
    assert Quit(0, "SIGTERM") in commands


def test_what_was_never_wrong_is_not_mended() -> None:
    state, _ = after()
    assert step(state, Mended("place")) == (state, [])


def test_the_same_words_about_a_policy_that_selects_something_else_by_now() -> None:
    """What is unknown in it is unknown still; whom it closes has changed."""

    def refused(selector: str) -> Refused:
        data = {
            "apiVersion": "projectcalico.org/v3",
            "kind": "GlobalNetworkPolicy",
            "metadata": {"name": "p"},
            "spec": {"selector": selector, "ingress": [{"action": "Nope"}]},
        }
        return Refused(
            "f", InvalidInput("'Nope' is not one of Allow, Deny, Log, Pass"), Key("GlobalNetworkPolicy", "", "p"), data
        )

    _, commands = after(refused("has(a)"), refused("has(b)"))
    lost = [command.loss for command in commands if isinstance(command, Lose)]
    assert [loss.stands_in.selector for loss in lost if isinstance(loss, LostPolicy)] == [Has("a"), Has("b")]


def test_a_pass_with_a_thousand_problems_is_told_in_a_few_lines() -> None:
    report = Report(frozenset({Part.NETWORK}), network_failures=tuple(f"route {n}" for n in range(1000)))
    state, commands = after(LISTED, InSync(), Rang(Clock.BATCH), Programmed(report))
    lines = [command.text for command in commands if isinstance(command, Log) and command.level is Level.ERROR]
    assert len(lines) == MOST_PROBLEMS_TOLD + 1 and "990 more" in lines[-1]
    assert len(state.problems) == 1000
