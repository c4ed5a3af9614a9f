"""What is told of the sets that rules name; that members are right: test_state_sequence.py and test_calculation.py."""

from __future__ import annotations

import pytest

from tests.calc_builder import allow_from, allow_to_port
from tortie.calc.active_set import ActiveSets
from tortie.calc.change import MemberChange
from tortie.calc.member import Candidate
from tortie.calc.rule import selector_id, set_uses
from tortie.model.read import Key
from tortie.net.address import Prefix, parse_prefix
from tortie.selector.parse import parse_selector

HAS_A = selector_id(parse_selector("has(a)"))
ONE, TWO = parse_prefix("10.0.0.1/32"), parse_prefix("10.0.0.2/32")
NONE = MemberChange()


def key(name: str) -> Key:
    return Key("WorkloadEndpoint", "ns", name)


@pytest.fixture
def sets() -> ActiveSets:
    """Two owners name one set, in which there is one candidate."""
    made = ActiveSets()
    made.set_candidate(key("x"), Candidate((ONE,)), {"a": "1"})
    made.name_sets("p", [allow_from("has(a)")])
    made.name_sets("q", [allow_from("has(a)"), allow_from("has(a)")])
    made.flush()
    return made


def held(sets: ActiveSets) -> dict[str, set[Prefix]]:
    return {one.id: set(one.members) for one in sets.values()}  # type: ignore[arg-type]


def test_a_new_set_is_told_with_all_its_members() -> None:
    sets = ActiveSets()
    sets.set_candidate(key("x"), Candidate((ONE, TWO)), {"a": "1"})
    sets.name_sets("p", [allow_from("has(a)"), allow_from("has(b)")])
    other = selector_id(parse_selector("has(b)"))
    assert sets.flush() == {HAS_A: MemberChange({ONE, TWO}), other: NONE}
    assert held(sets) == {HAS_A: {ONE, TWO}, other: set()}


def test_a_set_stays_as_long_as_someone_names_it(sets: ActiveSets) -> None:
    sets.name_sets("p", [])
    assert sets.flush() == {}
    sets.name_sets("q", [])
    assert sets.flush() == {HAS_A: MemberChange(removed=frozenset({ONE}))}
    assert held(sets) == {}


def test_a_set_that_is_passed_from_owner_to_owner_does_not_change(sets: ActiveSets) -> None:
    sets.name_sets("p", [])
    sets.name_sets("q", [])
    sets.name_sets("r", [allow_from("has(a)")])
    assert sets.flush() == {}
    assert held(sets) == {HAS_A: {ONE}}


def test_a_set_that_comes_and_goes_is_never_told_of(sets: ActiveSets) -> None:
    sets.name_sets("r", [allow_from("has(b)")])
    sets.name_sets("r", [])
    assert sets.flush() == {}


def test_a_member_that_comes_and_goes_is_never_told_of(sets: ActiveSets) -> None:
    sets.set_candidate(key("y"), Candidate((TWO,)), {"a": "1"})
    sets.remove_candidate(key("y"))
    sets.set_candidate(key("x"), Candidate((TWO,)), {"a": "1"})
    sets.set_candidate(key("x"), Candidate((ONE,)), {"a": "2"})
    assert sets.flush() == {}


def test_only_what_changes_is_told(sets: ActiveSets) -> None:
    sets.set_candidate(key("x"), Candidate((ONE, TWO)), {"a": "1"})
    assert sets.flush() == {HAS_A: MemberChange({TWO})}
    sets.set_candidate(key("x"), Candidate((TWO,)), {"a": "1"})
    assert sets.flush() == {HAS_A: MemberChange(removed={ONE})}
    sets.set_candidate(key("x"), Candidate((TWO,)), {})
    assert sets.flush() == {HAS_A: MemberChange(removed={TWO})}


def test_members_by_what_is_inherited(sets: ActiveSets) -> None:
    sets.set_candidate(key("y"), Candidate((TWO,)), {}, ("prof",))
    assert sets.flush() == {}
    sets.set_parent("prof", {"a": "1"})
    assert sets.flush() == {HAS_A: MemberChange({TWO})}


def test_a_set_of_a_named_port_beside_that_of_its_selector(sets: ActiveSets) -> None:
    rule = allow_to_port("http", "tcp", "has(a)")
    (use,) = set_uses([rule])
    sets.name_sets("r", [rule])
    assert sets.flush() == {use.id: NONE}
    sets.remove_candidate(key("x"))
    assert sets.flush() == {HAS_A: MemberChange(removed={ONE})}


def test_a_candidate_that_is_not_there_can_be_removed(sets: ActiveSets) -> None:
    sets.remove_candidate(key("none"))
    assert sets.flush() == {}
