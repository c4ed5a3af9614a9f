"""BIRD kept at what a source tells: what makes a new configuration, and what does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.unit.bgp.cluster import cluster, node, pool
from tortie.cli.bgp_follow import Known, follow
from tortie.kernel.refusal import KernelRefused
from tortie.model.event import Changed, InSync, Lost, Mended, Refused, Regained, Removed, SourceEvent
from tortie.model.pool import IPPool
from tortie.model.read import Key, Resources, key_of
from tortie.net.error import InvalidInput

LONGEST_S = 20.0


def changed(text: str) -> Changed:
    (resource,) = cluster(text)
    return Changed(key_of(resource), resource)


NODE = changed(node("a", "ipv4Address: 10.0.0.1/24"))
FIRST, SECOND = changed(pool("first", "10.65.0.0/16")), changed(pool("second", "10.66.0.0/16"))


# --- what is known -----------------------------------------------------------------------------------------------


def names(known: Known) -> list[str]:
    return [one.metadata.name for one in known.resources().of(IPPool)]


def test_nothing_is_news_before_everything_was_told() -> None:
    known = Known()
    assert [known.hear(event) for event in (NODE, FIRST, InSync())] == [False, False, True]
    assert known.hear(SECOND)
    assert names(known) == ["first", "second"]


def test_what_is_told_is_as_if_it_were_read() -> None:
    known = Known()
    for event in (SECOND, NODE, FIRST, InSync()):
        known.hear(event)
    texts = (node("a", "ipv4Address: 10.0.0.1/24"), pool("second", "10.66.0.0/16"), pool("first", "10.65.0.0/16"))
    assert known.resources().by_kind == cluster(*texts).by_kind


@pytest.mark.parametrize(
    "event", [Removed(FIRST.key), Refused("file", InvalidInput("no"), FIRST.key)], ids=["removed", "refused"]
)
def test_what_is_gone_or_cannot_be_read_is_not_there(event: SourceEvent) -> None:
    known = Known()
    for before in (FIRST, SECOND, InSync()):
        known.hear(before)
    assert known.hear(event)
    assert names(known) == ["second"]


@pytest.mark.parametrize("event", [Lost("gone"), Regained(), Mended("file")], ids=["lost", "regained", "mended"])
def test_a_source_that_is_lost_and_back_is_no_news(event: SourceEvent) -> None:
    known = Known()
    for before in (FIRST, InSync()):
        known.hear(before)
    assert not known.hear(event)
    assert names(known) == ["first"]


def test_something_refused_that_has_no_name_takes_nothing_away() -> None:
    known = Known()
    for before in (FIRST, InSync()):
        known.hear(before)
    known.hear(Refused("file", InvalidInput("no"), None))
    known.hear(Removed(Key("IPPool", "", "nobody")))
    assert names(known) == ["first"]


# --- following ---------------------------------------------------------------------------------------------------


class Told:
    """A source that says what the test does."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[SourceEvent] = asyncio.Queue()

    def say(self, *events: SourceEvent) -> None:
        for event in events:
            self._queue.put_nowait(event)

    async def events(self) -> AsyncIterator[SourceEvent]:
        while True:
            yield await self._queue.get()


class Brought:
    """What BIRD was brought to; `answers` are raised in turn, None is success."""

    def __init__(self, *answers: Exception | None) -> None:
        self.calls: list[Resources] = []
        self._answers = list(answers)

    def __call__(self, resources: Resources) -> None:
        self.calls.append(resources)
        answer = self._answers.pop(0) if self._answers else None
        if answer is not None:
            raise answer

    async def until(self, number: int) -> None:
        async with asyncio.timeout(LONGEST_S):
            while len(self.calls) < number:
                await asyncio.sleep(0.01)

    def pools(self) -> list[list[str]]:
        return [[one.metadata.name for one in resources.of(IPPool)] for resources in self.calls]


def following(script: Callable[[Told, Brought], Awaitable[None]], brought: Brought, *, polled: bool = False) -> None:
    """Follows a source while a script tells it what to say."""

    async def run() -> None:
        source = Told()
        task = asyncio.create_task(follow(source, brought, polled=polled))
        try:
            await script(source, brought)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def test_a_burst_is_one_configuration() -> None:
    async def script(source: Told, brought: Brought) -> None:
        source.say(NODE, FIRST, InSync(), SECOND)
        await brought.until(1)
        source.say(Removed(FIRST.key), Removed(SECOND.key), FIRST)
        await brought.until(2)

    brought = Brought()
    following(script, brought)
    assert brought.pools() == [["first", "second"], ["first"]]


def test_what_bird_refuses_is_told_once_and_tried_again_with_the_next_change(capsys: pytest.CaptureFixture[str]) -> None:
    async def script(source: Told, brought: Brought) -> None:
        source.say(NODE, FIRST, InSync())
        await brought.until(1)
        source.say(SECOND)
        await brought.until(2)
        source.say(Removed(SECOND.key))
        await brought.until(3)

    refusal = KernelRefused(["bird", "-p"], "bird.conf:1: syntax error")
    brought = Brought(refusal, refusal, None)
    following(script, brought)
    assert brought.pools() == [["first"], ["first", "second"], ["first"]]
    assert capsys.readouterr().err == "tortie: `bird -p`: bird.conf:1: syntax error\n"


@pytest.mark.parametrize(
    "problem", [InvalidInput("there is no Node(a)"), OSError(28, "No space left on device")], ids=["no node", "no room"]
)
def test_what_goes_wrong_outside_does_not_end_it(problem: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    async def script(source: Told, brought: Brought) -> None:
        source.say(FIRST, InSync())
        await brought.until(1)
        source.say(NODE)
        await brought.until(2)

    brought = Brought(problem)
    following(script, brought)
    assert len(brought.calls) == 2
    assert str(problem) in capsys.readouterr().err


def test_a_source_that_is_lost_changes_nothing_and_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    async def script(source: Told, brought: Brought) -> None:
        source.say(NODE, FIRST, InSync())
        await brought.until(1)
        source.say(Lost("gone"), Regained())
        source.say(SECOND)
        await brought.until(2)

    brought = Brought()
    following(script, brought)
    assert brought.pools() == [["first"], ["first", "second"]]
    assert capsys.readouterr().err == "tortie: nothing new is heard for now: gone\ntortie: the source is back\n"


def test_what_cannot_be_read_is_told_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    async def script(source: Told, brought: Brought) -> None:
        placed = InvalidInput("no such kind", source="pools.yaml", line=3)
        source.say(NODE, Refused("pools.yaml", placed), Refused("/calico/x", InvalidInput("no JSON")), InSync())
        await brought.until(1)

    following(script, Brought())
    assert capsys.readouterr().err == (
        "tortie: left out: pools.yaml:3: no such kind\ntortie: left out: /calico/x: no JSON\n"
    )


def test_blocks_in_files_are_looked_at_without_any_news() -> None:
    async def script(source: Told, brought: Brought) -> None:
        source.say(NODE, InSync())
        await brought.until(3)

    brought = Brought()
    following(script, brought, polled=True)
    assert len(brought.calls) >= 3


def test_our_own_mistakes_end_it() -> None:
    async def run() -> None:
        source = Told()
        source.say(NODE, InSync())
        await follow(source, Brought(ValueError("ours")))

    with pytest.raises(ValueError, match="ours"):
        asyncio.run(run())


def test_a_source_that_fails_ends_it(tmp_path: Path) -> None:
    class Failing:
        async def events(self) -> AsyncIterator[SourceEvent]:
            raise ValueError(str(tmp_path))
            yield

    with pytest.raises(ValueError, match=str(tmp_path)):
        asyncio.run(follow(Failing(), Brought()))
