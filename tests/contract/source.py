"""What a source of resources must do, whatever the datastore: the suite that all of them pass.

A `World` is the other side: it writes resources as their owners would, spoils them, goes away and comes back. What is heard
is checked word by word by `tests.hearing.Hearer`, so that every test is also one of telling nothing twice.
"""

from __future__ import annotations

import itertools
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.hearing import Hearer, Source
from tortie.model.event import Changed, InSync
from tortie.model.network_set import GlobalNetworkSet
from tortie.model.policy import NetworkPolicy
from tortie.model.read import Key
from tortie.net.address import parse_prefix

Plain = dict[str, Any]


class World(ABC):
    """The other side of a source. Resources are plain data of projectcalico.org/v3."""

    @abstractmethod
    def source(self) -> Source:
        """A source that has heard nothing yet."""

    @abstractmethod
    async def put(self, *resources: Plain) -> None:
        """Writes resources, new or not."""

    @abstractmethod
    async def spoil(self, resource: Plain) -> None:
        """Writes a resource, whose spec then has a field that nobody knows."""

    @abstractmethod
    async def delete(self, *resources: Plain) -> None:
        """Deletes resources."""

    @abstractmethod
    async def go(self) -> None:
        """Is not there any more."""

    @abstractmethod
    async def come_back(self) -> None:
        """Is there again, with what it had."""


Script = Callable[[World], Awaitable[None]]
RunIn = Callable[[Script], None]


def net_set(name: str, *nets: str) -> Plain:
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkSet",
        "metadata": {"name": name, "labels": {"role": name}},
        "spec": {"nets": list(nets or ("10.1.0.0/16",))},
    }


def policy(name: str, selector: str = "all()", namespace: str = "prod") -> Plain:
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": selector,
            "types": ["Ingress"],
            "ingress": [{"action": "Allow", "protocol": "TCP", "destination": {"ports": [80, "443:445", "web"]}}],
        },
    }


def pool(name: str, cidr: str) -> Plain:
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": "IPPool",
        "metadata": {"name": name},
        "spec": {"cidr": cidr, "ipipMode": "Never", "vxlanMode": "Never", "blockSize": 26, "nodeSelector": "all()"},
    }


def key_of_plain(data: Plain) -> Key:
    metadata = data["metadata"]
    return Key(data["kind"], metadata.get("namespace", ""), metadata["name"])


class SourceContract:
    """Tests of a source; a subclass has the fixture `run_in`, which runs a script in a world of its own."""

    # --- all there is --------------------------------------------------------------------------------------------

    def test_everything_there_is_then_in_sync(self, run_in: RunIn) -> None:
        async def script(world: World) -> None:
            await world.put(net_set("a"), policy("p"), policy("p", namespace="test"), pool("pool", "10.65.0.0/16"))
            async with Hearer(world.source()) as heard:
                await heard.until_in_sync()
                names = {(key.kind, key.namespace, key.name) for key in heard.keys}
                assert names == {
                    ("GlobalNetworkSet", "", "a"),
                    ("NetworkPolicy", "prod", "p"),
                    ("NetworkPolicy", "test", "p"),
                    ("IPPool", "", "pool"),
                }
                assert isinstance(heard.events[-1], InSync)
                assert not heard.refused and heard.lost is None

        run_in(script)

    def test_a_resource_is_what_was_written(self, run_in: RunIn) -> None:
        async def script(world: World) -> None:
            await world.put(net_set("a", "10.1.0.0/16", "fd00::/64"), policy("p", "role == 'db'"))
            async with Hearer(world.source()) as heard:
                await heard.until_in_sync()
                found = heard.resources[Key("GlobalNetworkSet", "", "a")]
                assert isinstance(found, GlobalNetworkSet)
                assert [str(net) for net in found.spec.nets] == ["10.1.0.0/16", "fd00::/64"]
                assert found.metadata.labels == {"role": "a"}
                assert found.metadata.resource_version == ""
                rules = heard.resources[Key("NetworkPolicy", "prod", "p")]
                assert isinstance(rules, NetworkPolicy)
                assert rules.spec.selector == "role == 'db'"
                assert len(rules.spec.ingress[0].destination.ports) == 3

        run_in(script)

    def test_ten_thousand_resources(self, run_in: RunIn) -> None:
        async def script(world: World) -> None:
            many = [net_set(f"set-{index}", f"10.{index >> 8}.{index & 255}.0/24") for index in range(10_000)]
            await world.put(*many)
            async with Hearer(world.source()) as heard:
                await heard.until_in_sync()
                assert len(heard.resources) == 10_000
                await world.put(net_set("set-5000", "192.0.2.0/24"))
                await heard.until(lambda heard: len(heard.events) == 10_002, "a change among many")
                assert isinstance(heard.events[-1], Changed)

        run_in(script)

    # --- changes -------------------------------------------------------------------------------------------------

    def test_resources_come_change_and_go(self, run_in: RunIn) -> None:
        async def script(world: World) -> None:
            await world.put(net_set("stays"))
            async with Hearer(world.source()) as heard:
                await heard.until_in_sync()
                await world.put(policy("p"))
                key = Key("NetworkPolicy", "prod", "p")
                await heard.until(lambda heard: key in heard.keys, "added")
                await world.put(policy("p", "role == 'web'"))
                await heard.until(lambda heard: _selector(heard, key) == "role == 'web'", "changed")
                await world.delete(policy("p"))
                await heard.until(lambda heard: key not in heard.keys, "removed")
                assert Key("GlobalNetworkSet", "", "stays") in heard.keys

        run_in(script)

    def test_what_goes_and_comes_again_is_there(self, run_in: RunIn) -> None:
        async def script(world: World) -> None:
            await world.put(net_set("stays"), policy("p"))
            async with Hearer(world.source()) as heard:
                await heard.until_in_sync()
                await world.delete(policy("p"))
                await world.put(policy("p", "role == 'web'"))
                key = Key("NetworkPolicy", "prod", "p")
                await heard.until(lambda heard: _selector(heard, key) == "role == 'web'", "there again")

        run_in(script)

    def test_what_is_written_as_it_was_is_not_told(self, run_in: RunIn) -> None:
        async def script(world: World) -> None:
            await world.put(net_set("a"), net_set("b"))
            async with Hearer(world.source()) as heard:
                await heard.until_in_sync()
                await world.put(net_set("a"))
                await world.put(net_set("b", "10.9.0.0/16"))
                await heard.until(lambda heard: len(heard.events) > 3, "told")
                assert heard.events[3:] == [heard.events[-1]]
                assert isinstance(heard.events[-1], Changed) and heard.events[-1].key.name == "b"

        run_in(script)

    # --- what is bad ---------------------------------------------------------------------------------------------

    def test_a_bad_resource_refuses_only_itself(self, run_in: RunIn) -> None:
        async def script(world: World) -> None:
            await world.put(net_set("a"), policy("good"))
            await world.spoil(policy("bad"))
            async with Hearer(world.source()) as heard:
                await heard.until_in_sync()
                assert heard.refused_keys == {Key("NetworkPolicy", "prod", "bad")}
                assert heard.keys == {Key("GlobalNetworkSet", "", "a"), Key("NetworkPolicy", "prod", "good")}
                ((place, _),) = heard.refused
                (text,) = heard.refused.values()
                assert "unknown field" in text and "NetworkPolicy(prod/bad)" in text and place in text

        run_in(script)

    @pytest.mark.parametrize("end", ["mended", "deleted"])
    def test_a_good_resource_turns_bad_and_what_ends_it(self, run_in: RunIn, end: str) -> None:
        async def script(world: World) -> None:
            await world.put(net_set("a"), policy("p"))
            key = Key("NetworkPolicy", "prod", "p")
            async with Hearer(world.source()) as heard:
                await heard.until_in_sync()
                await world.spoil(policy("p"))
                await heard.until(lambda heard: heard.refused_keys == {key} and key not in heard.keys, "refused")
                if end == "mended":
                    await world.put(policy("p"))
                    await heard.until(lambda heard: not heard.refused and key in heard.keys, "mended")
                else:
                    await world.delete(policy("p"))
                    await heard.until(lambda heard: not heard.refused and key not in heard.keys, "deleted")

        run_in(script)

    def test_of_overlapping_pools_the_later_is_refused_until_the_first_goes(self, run_in: RunIn) -> None:
        async def script(world: World) -> None:
            await world.put(pool("a", "10.65.0.0/16"))
            await world.put(pool("b", "10.65.128.0/17"), pool("c", "10.66.0.0/16"))
            later = Key("IPPool", "", "b")
            async with Hearer(world.source()) as heard:
                await heard.until_in_sync()
                assert heard.refused_keys == {later}
                (text,) = heard.refused.values()
                assert "overlaps with IPPool(a) CIDR 10.65.0.0/16" in text
                assert {key.name for key in heard.keys} == {"a", "c"}
                await world.delete(pool("a", "10.65.0.0/16"))
                await heard.until(lambda heard: {key.name for key in heard.keys} == {"b", "c"}, "mended")
                assert not heard.refused

        run_in(script)

    # --- interruptions -------------------------------------------------------------------------------------------

    def test_after_an_interruption_only_the_difference_is_told(self, run_in: RunIn) -> None:
        async def script(world: World) -> None:
            await world.put(net_set("a"), net_set("b"), policy("p"))
            async with Hearer(world.source()) as heard:
                await heard.until_in_sync()
                before = len(heard.events)
                await world.go()
                await heard.until(lambda heard: heard.lost is not None, "lost")
                assert len(heard.resources) == 3
                await world.come_back()
                await heard.until(lambda heard: heard.lost is None, "regained")
                assert len(heard.events) == before + 2, "nothing had changed"
                await world.put(net_set("b", "10.2.0.0/16"))
                await heard.until(lambda heard: len(heard.events) == before + 3, "a change after it")

        run_in(script)

    def test_a_source_may_begin_before_its_datastore(self, run_in: RunIn) -> None:
        async def script(world: World) -> None:
            await world.put(net_set("a"))
            await world.go()
            async with Hearer(world.source()) as heard:
                await heard.until(lambda heard: heard.lost is not None, "lost")
                assert not heard.in_sync and not heard.resources
                await world.come_back()
                await heard.until_in_sync()
                assert heard.lost is None
                assert {key.name for key in heard.keys} == {"a"}

        run_in(script)

    def test_many_interruptions(self, run_in: RunIn) -> None:
        async def script(world: World) -> None:
            await world.put(net_set("a"))
            async with Hearer(world.source()) as heard:
                await heard.until_in_sync()
                for turn in range(3):
                    await world.go()
                    await heard.until(lambda heard: heard.lost is not None, "lost")
                    await world.come_back()
                    await world.put(net_set("a", f"10.{turn + 7}.0.0/16"))
                    await heard.until(lambda heard: heard.lost is None, "regained")
                    net = f"10.{turn + 7}.0.0/16"
                    await heard.until(lambda heard, net=net: _nets(heard, "a") == [net], "changed")  # type: ignore[misc]

        run_in(script)

    # --- the end state -------------------------------------------------------------------------------------------

    def test_the_end_does_not_depend_on_the_way(self, run_in: RunIn) -> None:
        """Whatever order things happen in, who listened all the time knows what a new listener hears."""
        steps = ("put p", "spoil q", "put q", "delete r", "put s")

        async def take(world: World, step: str) -> None:
            word, name = step.split()
            await getattr(world, word)(policy(name, f"role == '{name}'"))

        async def script(world: World) -> None:
            orders = list(itertools.permutations(steps))[:: 120 // 6]
            async with Hearer(world.source()) as heard:
                for number, order in enumerate(orders):
                    await world.put(net_set("mark", f"10.{number}.0.0/16"), policy("r"), policy("q"))
                    await world.delete(policy("p"), policy("s"))
                    for step in order:
                        await take(world, step)
                    await world.put(net_set("end", f"10.{number}.0.0/16"))
                    async with Hearer(world.source()) as fresh:
                        await fresh.until_in_sync()
                        await heard.until(
                            lambda heard, fresh=fresh: (
                                (heard.resources, heard.refused)  # type: ignore[misc]
                                == (fresh.resources, fresh.refused)
                            ),
                            f"the same after {order}: {fresh.keys ^ heard.keys}",
                        )
                        is_last = order.index("spoil q") > order.index("put q")
                        assert (Key("NetworkPolicy", "prod", "q") in fresh.refused_keys) == is_last

        run_in(script)

    @pytest.mark.parametrize("seed", range(2))
    def test_whatever_happens_who_listened_knows_what_a_new_listener_hears(self, run_in: RunIn, seed: int) -> None:
        """Writes, spoils, deletions and interruptions as they are drawn, with and without a word in between."""

        async def script(world: World) -> None:
            draw = random.Random(seed)
            await world.put(net_set("stays"))
            away = False
            async with Hearer(world.source()) as heard:
                await heard.until_in_sync()
                for turn in range(40):
                    name, net = draw.choice("abcd"), f"10.{draw.randrange(4)}.0.0/{draw.choice((14, 16, 17))}"
                    network = str(parse_prefix(net).network)
                    thing = draw.choice((net_set(name, network), policy(name, f"role == '{net}'"), pool(name, network)))
                    word = draw.choice(("put", "put", "put", "spoil", "delete", "go"))
                    if word == "go" or away:
                        await (world.come_back() if away else world.go())
                        away = not away
                    else:
                        await getattr(world, word)(thing)
                    if draw.random() < 0.3 and not away:
                        await world.put(net_set("mark", f"172.16.{turn}.0/24"))
                        net = f"172.16.{turn}.0/24"
                        await heard.until(lambda heard, net=net: _nets(heard, "mark") == [net], "marked")  # type: ignore[misc]
                if away:
                    await world.come_back()
                async with Hearer(world.source()) as fresh:
                    await fresh.until_in_sync()
                    await heard.until(
                        lambda heard: (
                            (heard.resources, heard.refused) == (fresh.resources, fresh.refused) and heard.lost is None
                        ),
                        "the same",
                    )

        run_in(script)


def _selector(heard: Hearer, key: Key) -> str | None:
    found = heard.resources.get(key)
    return found.spec.selector if isinstance(found, NetworkPolicy) else None


def _nets(heard: Hearer, name: str) -> list[str] | None:
    found = heard.resources.get(Key("GlobalNetworkSet", "", name))
    return [str(net) for net in found.spec.nets] if isinstance(found, GlobalNetworkSet) else None
