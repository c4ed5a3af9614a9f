"""What there is to tell of what places say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tortie.model.event import Changed, Mended, Refused, Removed, SourceEvent
from tortie.model.network_set import GlobalNetworkSet, NetworkSetSpec
from tortie.model.pool import IPPool
from tortie.model.read import Key, key_of
from tortie.model.reader import read_value
from tortie.net.error import InvalidInput
from tortie.source.ledger import Ledger, Place
from tortie.source.reading import Definition


def good(name: str, net: str = "10.0.0.0/8", where: str = "f:1") -> Definition:
    found = read_value(GlobalNetworkSet, {"metadata": {"name": name}, "spec": {"nets": [net]}})
    return Definition(key_of(found), found, where, "7")


def pool(name: str, cidr: str, where: str = "f:1") -> Definition:
    found = read_value(IPPool, {"metadata": {"name": name}, "spec": {"cidr": cidr}})
    return Definition(key_of(found), found, where)


def bad(name: str | None, message: str = "bad") -> Definition:
    key = None if name is None else Key("GlobalNetworkSet", "", name)
    return Definition(key, InvalidInput(message, source="f"), "f:1")


def told(ledger: Ledger) -> list[str]:
    return [_short(event) for event in ledger.changes()]


def _short(event: SourceEvent) -> str:
    match event:
        case Changed(key, resource):
            spec: Any = resource.spec
            return f"{key.name} = {spec.nets[0] if isinstance(spec, NetworkSetSpec) else spec.cidr}"
        case Removed(key):
            return f"no {key.name}"
        case Refused(place, problem, key):
            return f"{place} {key.name if key else '-'}: {problem.message}"
        case Mended(place):
            return f"{place} mended"
        case _:
            raise AssertionError(event)


def put(ledger: Ledger, name: str, *definitions: Definition, seniority: int = 0) -> list[str]:
    ledger.put(name, Place(definitions, seniority))
    return told(ledger)


class TestOnePlace:
    def test_what_is_new_is_told_once(self) -> None:
        ledger = Ledger()
        assert put(ledger, "p", good("a"), good("b")) == ["a = 10.0.0.0/8", "b = 10.0.0.0/8"]
        assert told(ledger) == []
        assert put(ledger, "p", good("a"), good("b")) == []

    def test_the_revision_is_told_and_makes_no_difference(self) -> None:
        ledger = Ledger()
        ledger.put("p", Place((good("a"),)))
        (event,) = ledger.changes()
        assert isinstance(event, Changed) and event.revision == "7"
        definition = good("a")
        ledger.put("p", Place((Definition(definition.key, definition.content, definition.where, "8"),)))
        assert ledger.changes() == []

    def test_several_changes_of_a_place_are_told_as_one(self) -> None:
        ledger = Ledger()
        put(ledger, "p", good("a"))
        ledger.put("p", None)
        ledger.put("p", Place((good("a", "10.2.0.0/16"),)))
        assert told(ledger) == ["a = 10.2.0.0/16"]
        ledger.put("p", None)
        ledger.put("p", Place((good("a", "10.2.0.0/16"),)))
        assert told(ledger) == []

    @pytest.mark.parametrize(
        ("before", "after", "expected"),
        [
            ((good("a"),), (), ["no a"]),
            ((good("a"),), (bad("a"),), ["p a: bad"]),
            ((bad("a"),), (good("a"),), ["a = 10.0.0.0/8"]),
            ((bad("a"),), (bad("a"),), []),
            ((bad("a"),), (bad("a", "worse"),), ["p a: worse"]),
            ((bad("a"),), (), ["no a"]),
            ((bad(None),), (), ["p mended"]),
            ((bad(None),), (good("a"),), ["p mended", "a = 10.0.0.0/8"]),
            ((good("a"),), (bad(None),), ["p -: bad", "no a"]),
            ((bad(None),), (bad(None), bad(None, "worse")), ["p -: bad, and 1 more"]),
            ((bad(None), bad("a")), (bad("a"),), ["p mended", "p a: bad"]),
            ((bad(None), bad("a")), (bad("a", "worse"),), ["p mended", "p a: worse"]),
            ((bad("a"),), (bad("b"),), ["no a", "p b: bad"]),
        ],
    )
    def test_from_one_saying_to_another(
        self, before: tuple[Definition, ...], after: tuple[Definition, ...], expected: list[str]
    ) -> None:
        ledger = Ledger()
        put(ledger, "p", *before)
        assert put(ledger, "p", *after) == expected


class TestSeveralPlaces:
    def test_the_first_definition_counts_whichever_came_first(self) -> None:
        for order in (("p", "q"), ("q", "p")):
            ledger = Ledger()
            places = {
                "p": Place((good("a", "10.1.0.0/16", "p:1"),)),
                "q": Place((good("a", "10.2.0.0/16", "q:1"),)),
            }
            for name in order:
                ledger.put(name, places[name])
            assert told(ledger) == [
                "q -: GlobalNetworkSet(a): already defined at p:1",
                "a = 10.1.0.0/16",
            ]

    def test_a_more_senior_place_takes_over_and_gives_back(self) -> None:
        ledger = Ledger()
        put(ledger, "q", good("a", "10.2.0.0/16", "q:1"), seniority=2)
        assert put(ledger, "z", good("a", "10.1.0.0/16", "z:1"), seniority=1) == [
            "q -: GlobalNetworkSet(a): already defined at z:1",
            "a = 10.1.0.0/16",
        ]
        ledger.put("z", None)
        assert told(ledger) == ["q mended", "a = 10.2.0.0/16"]

    def test_the_same_twice_in_one_place(self) -> None:
        ledger = Ledger()
        assert put(ledger, "p", good("a", where="p:1"), good("a", where="p:9")) == [
            "p -: GlobalNetworkSet(a): already defined at p:1",
            "a = 10.0.0.0/8",
        ]
        assert put(ledger, "p", good("a", where="p:1")) == ["p mended"]

    def test_a_bad_first_definition_counts_too(self) -> None:
        ledger = Ledger()
        put(ledger, "p", bad("a"))
        assert put(ledger, "q", good("a", where="q:1")) == ["q -: GlobalNetworkSet(a): already defined at f:1"]
        ledger.put("p", None)
        assert told(ledger) == ["q mended", "a = 10.0.0.0/8"]

    def test_a_refusal_that_goes_from_one_place_to_another(self) -> None:
        ledger = Ledger()
        put(ledger, "p", bad("a"))
        ledger.put("p", None)
        ledger.put("q", Place((bad("a"),)))
        assert told(ledger) == ["no a", "q a: bad"]

    def test_a_place_that_says_very_much(self) -> None:
        """Told in the time that it takes to say it, not in its square."""
        ledger = Ledger()
        many = tuple(good(f"set-{index}") for index in range(10_000))
        ledger.put("p", Place(many))
        assert len(ledger.changes()) == 10_000
        ledger.put("p", Place((*many[:-1], good("set-0", where="f:9"))))
        assert told(ledger) == ["p -: GlobalNetworkSet(set-0): already defined at f:1", "no set-9999"]

    def test_replacing_all_tells_the_difference(self) -> None:
        ledger = Ledger()
        for name in ("x/1", "x/2", "y/1"):
            put(ledger, name, good(name.replace("/", "")))
        ledger.replace({"x/2": Place((good("x2", "10.2.0.0/16"),)), "x/3": Place((good("x3"),))}, begin="x/")
        assert told(ledger) == ["no x1", "x2 = 10.2.0.0/16", "x3 = 10.0.0.0/8"]
        ledger.replace({})
        assert told(ledger) == ["no x2", "no x3", "no y1"]


class TestWhatIsMissing:
    def test_what_is_refused_comes_with_what_can_be_read_of_it(self) -> None:
        ledger = Ledger()
        ledger.put("p", Place((replace(bad("a"), data={"kind": "x"}),)))
        (event,) = ledger.changes()
        assert isinstance(event, Refused) and event.data == {"kind": "x"} and not event.superfluous
        ledger.put("p", Place((replace(bad("a"), data={"kind": "y"}),)))
        (event,) = ledger.changes()
        assert isinstance(event, Refused) and event.data == {"kind": "y"}, "the same words about something else"

    def test_a_second_definition_is_missed_by_nobody(self) -> None:
        ledger = Ledger()
        ledger.put("p", Place((good("a"),)))
        ledger.put("q", Place((good("a"),)))
        event = ledger.changes()[0]
        assert isinstance(event, Refused) and event.superfluous and event.key is None

    def test_among_several_what_is_missed_comes_first(self) -> None:
        ledger = Ledger()
        ledger.put("p", Place((good("a"),)))
        ledger.put("q", Place((good("a"), replace(bad(None, "worse"), data="text"))))
        event = ledger.changes()[0]
        assert isinstance(event, Refused) and not event.superfluous
        assert event.data == "text" and event.problem.message == "worse, and 1 more"

    def test_a_pool_that_overlaps_is_there_as_it_was_written(self) -> None:
        ledger = Ledger()
        ledger.put("p", Place((pool("a", "10.65.0.0/16"),)))
        ledger.put("q", Place((pool("b", "10.65.1.0/24"),)))
        event = ledger.changes()[1]
        assert isinstance(event, Refused) and event.data["spec"]["cidr"] == "10.65.1.0/24"


class TestPools:
    def test_the_less_senior_pool_is_refused(self) -> None:
        ledger = Ledger()
        put(ledger, "q", pool("b", "10.65.0.0/16"), seniority=1)
        assert put(ledger, "p", pool("a", "10.65.1.0/24"), seniority=2) == [
            "p a: IPPool(a): CIDR overlaps with IPPool(b) CIDR 10.65.0.0/16"
        ]
        ledger.put("q", None)
        assert told(ledger) == ["a = 10.65.1.0/24", "no b"]

    def test_a_pool_that_grows_over_another(self) -> None:
        ledger = Ledger()
        put(ledger, "p", pool("a", "10.65.0.0/24"))
        put(ledger, "q", pool("b", "10.65.1.0/24"))
        assert put(ledger, "p", pool("a", "10.65.0.0/16")) == [
            "a = 10.65.0.0/16",
            "q b: IPPool(b): CIDR overlaps with IPPool(a) CIDR 10.65.0.0/16",
        ]
        assert put(ledger, "p", pool("a", "10.66.0.0/16")) == ["a = 10.66.0.0/16", "b = 10.65.1.0/24"]

    def test_a_refused_pool_keeps_no_other_from_standing(self) -> None:
        ledger = Ledger()
        put(ledger, "p", pool("a", "10.65.0.0/24"))
        put(ledger, "q", pool("b", "10.65.0.0/16"))
        assert put(ledger, "r", pool("c", "10.65.7.0/24")) == ["c = 10.65.7.0/24"]

    def test_the_words_follow_the_other_pool(self) -> None:
        ledger = Ledger()
        put(ledger, "p", pool("a", "10.65.0.0/16"))
        put(ledger, "q", pool("b", "10.65.1.0/24"))
        assert put(ledger, "p", pool("a", "10.64.0.0/15")) == [
            "a = 10.64.0.0/15",
            "q b: IPPool(b): CIDR overlaps with IPPool(a) CIDR 10.64.0.0/15",
        ]
