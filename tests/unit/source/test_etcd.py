"""What a key of etcd says, and how the source goes about it; over real servers it is tested in tests/contract."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.fakes.clock import StoppedClock
from tests.fakes.etcd_reader import EtcdInMemory
from tests.hearing import Hearer
from tortie.model.event import Changed, Lost, Regained, Removed
from tortie.model.read import Key
from tortie.net.address import parse_prefix
from tortie.net.error import InvalidInput
from tortie.source.etcd import PREFIXES, EtcdSource, read_entry
from tortie.source.etcd_client import Entry, prefix_end
from tortie.source.etcd_key import IPAM_HANDLES, RESOURCES, affinity_key, block_key
from tortie.source.link import BackOff
from tortie.source.reading import Definition

NODE = b'{"kind":"Node","apiVersion":"projectcalico.org/v3","metadata":{"name":"a"},"spec":{}}'


def entry(key: str, value: bytes = NODE) -> Entry:
    return Entry(key, value, 5, 9, 2)


def test_a_resource_with_its_revision() -> None:
    (found,) = read_entry(entry(f"{RESOURCES}nodes/a"))
    assert (found.key, found.where, found.revision) == (Key("Node", "", "a"), f"{RESOURCES}nodes/a", "9")
    assert not isinstance(found.content, InvalidInput)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (f"{RESOURCES}nodes/b", NODE, Key("Node", "", "b")),
        (f"{RESOURCES}nodes/a", b"{", Key("Node", "", "a")),
        (f"{RESOURCES}tiers/a", b"{}", None),
        (f"{RESOURCES}nodes/a\\xff", NODE, Key("Node", "", "a\\xff")),
    ],
    ids=["another name", "no JSON", "no kind of Calico 3.7", "no text"],
)
def test_what_is_wrong(key: str, value: bytes, expected: Key | None) -> None:
    (found,) = read_entry(entry(key, value))
    assert isinstance(found, Definition) and isinstance(found.content, InvalidInput)
    assert found.key == expected and found.content.source == key


POLICY = f"{RESOURCES}globalnetworkpolicies/default.a"
BAD = (
    b'{"kind":"GlobalNetworkPolicy","apiVersion":"projectcalico.org/v3","metadata":{"name":"default.a"},'
    b'"spec":{"selector":"has(x)","nope":1}}'
)


def test_a_bad_policy_is_told_as_users_know_it() -> None:
    (found,) = read_entry(entry(POLICY, BAD))
    assert found.data["metadata"]["name"] == "a" and found.data["spec"]["selector"] == "has(x)"


@pytest.mark.parametrize(
    ("key", "value", "data", "superfluous"),
    [
        (POLICY, b"{{", "{{", False),
        (POLICY, b'"x"', '"x"', False),
        (POLICY, BAD.replace(b"default.a", b"default.b"), None, False),
        (f"{RESOURCES}tiers/x", b'{"kind":"Tier"}', {"kind": "Tier"}, True),
        (f"{RESOURCES}globalnetworkpolicies/x.a", b'{"kind":"y"}', {"kind": "y"}, False),
        ("/calico/ipam/v2/config", b'{"x":1}', None, False),
    ],
    ids=["no JSON", "no object", "another policy's", "a kind of later versions", "another tier", "IPAM"],
)
def test_what_can_be_read_of_it_and_who_misses_it(key: str, value: bytes, data: object, superfluous: bool) -> None:
    (found,) = read_entry(entry(key, value))
    assert (found.data, found.superfluous) == (data, superfluous)


@pytest.mark.parametrize("key", ["/calico/ipam/v2/host/n", "/calico/ipam/v2/config2", "/calico/ipam/v2/assignment/x"])
def test_keys_that_are_nobodys(key: str) -> None:
    assert list(read_entry(entry(key))) == []


def test_what_is_watched() -> None:
    cidr = parse_prefix("10.0.0.0/26")
    for key in (f"{RESOURCES}nodes/a", block_key(cidr), affinity_key("n", cidr), "/calico/ipam/v2/config"):
        assert sum(prefix.encode() <= key.encode() < prefix_end(prefix) for prefix in PREFIXES) == 1, key
    for key in (f"{IPAM_HANDLES}a", "/calico/felix/v2/no-region/host/n/status", "/calico/resources/v2/x"):
        assert not any(prefix.encode() <= key.encode() < prefix_end(prefix) for prefix in PREFIXES), key


# --- the source ----------------------------------------------------------------------------------------------------

Script = Callable[[EtcdInMemory, Hearer, StoppedClock], Awaitable[None]]


def play(script: Script, nodes: int = 0) -> None:
    """Runs a script over a cluster in memory with some nodes; a wait takes what the clock takes."""

    async def run() -> None:
        etcd, clock = EtcdInMemory(), StoppedClock()
        for index in range(nodes):
            put(etcd, f"node-{index}")
        source = EtcdSource(etcd, back_off=BackOff(draw=lambda: 1.0), wait=clock.wait)
        async with Hearer(source) as heard:
            await clock.turn()
            await script(etcd, heard, clock)
        assert etcd.calls[-1] == "close"

    asyncio.run(run())


def put(etcd: EtcdInMemory, name: str, label: str = "a") -> None:
    etcd.put(
        f"{RESOURCES}nodes/{name}", NODE.replace(b'"name":"a"', f'"name":"{name}","labels":{{"x":"{label}"}}'.encode())
    )


def test_an_hour_without_a_datastore() -> None:
    """What was known stands, few tries are made, and of what happened meanwhile the difference is told."""

    async def script(etcd: EtcdInMemory, heard: Hearer, clock: StoppedClock) -> None:
        assert heard.in_sync and len(heard.resources) == 3
        etcd.go("no route to host")
        etcd.calls.clear()
        await clock.advance(3600)
        assert [type(event) for event in heard.events[4:]] == [Lost]
        assert 200 < len(etcd.calls) < 300 and set(etcd.calls) == {"cluster"}
        assert len(heard.resources) == 3
        put(etcd, "node-0", "b")
        etcd.delete(f"{RESOURCES}nodes/node-1")
        put(etcd, "node-9")
        etcd.compact()
        etcd.come_back()
        await clock.advance(15)
        assert [type(event) for event in heard.events[5:]] == [Changed, Removed, Changed, Regained]

    play(script, nodes=3)


def test_only_what_changed_is_read_again() -> None:
    async def script(etcd: EtcdInMemory, heard: Hearer, clock: StoppedClock) -> None:
        etcd.values_read = 0
        etcd.go("away")
        await clock.turn()
        put(etcd, "node-7", "b")
        etcd.come_back()
        await clock.advance(1)
        assert heard.lost is None and etcd.values_read == 1

    play(script, nodes=200)


def test_when_most_changed_all_is_read_at_once() -> None:
    async def script(etcd: EtcdInMemory, heard: Hearer, clock: StoppedClock) -> None:
        etcd.go("away")
        await clock.turn()
        for index in range(600):
            put(etcd, f"node-{index}", "b")
        etcd.come_back()
        etcd.calls.clear()
        await clock.advance(1)
        assert heard.lost is None and len(heard.resources) == 700
        assert "get" not in etcd.calls and "list" in etcd.calls

    play(script, nodes=700)


def test_revisions_that_went_back_make_everything_doubtful() -> None:
    """As after a restored backup, where other values may have the revisions that are known."""

    async def script(etcd: EtcdInMemory, heard: Hearer, clock: StoppedClock) -> None:
        etcd.go("away")
        await clock.turn()
        etcd.restore(etcd.revision - 1)
        etcd.come_back()
        etcd.values_read = 0
        await clock.advance(1)
        assert etcd.values_read == 2
        assert {key.name for key in heard.keys} == {"node-0", "node-1"}
        put(etcd, "node-5")
        await clock.turn()
        assert len(heard.resources) == 3, "the watch goes on from the new revision"

    play(script, nodes=3)


def test_history_that_is_always_gone_is_no_tight_loop() -> None:
    async def script(etcd: EtcdInMemory, heard: Hearer, clock: StoppedClock) -> None:
        etcd.go("away")
        await clock.turn()
        etcd.compacted = 10**9
        etcd.come_back()
        etcd.calls.clear()
        await clock.advance(60)
        assert 60 < etcd.calls.count("watch") <= 125
        assert heard.lost is None
        etcd.compacted = 0
        await clock.advance(1)
        put(etcd, "node-9")
        await clock.turn()
        assert len(heard.resources) == 2

    play(script, nodes=1)
