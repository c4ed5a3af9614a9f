"""What a directory tells, over a clock that stands still and a watch that the test rings."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.fakes.clock import StoppedClock
from tests.hearing import Hearer
from tortie.model.event import Changed, InSync, Lost, Mended, Refused, Regained, Removed
from tortie.model.network_set import GlobalNetworkSet
from tortie.model.read import Key
from tortie.source.directory import DEAF_LOOK_S, LOOK_S, PATIENCE_S, QUIET_S, RESTLESS_S, Clock, DirectorySource
from tortie.source.inotify import Watch
from tortie.source.link import BackOff


def text_of(*names: str, net: str = "10.1.0.0/16") -> str:
    """Documents of network sets."""
    return "---\n".join(
        f"apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {{name: {name}}}\nspec:\n  nets: [{net}]\n"
        for name in names
    )


def key(name: str) -> Key:
    return Key("GlobalNetworkSet", "", name)


class Bell(Watch):
    """A watch that the test rings."""

    def __init__(self, root: str, notify: Callable[[], None]) -> None:
        status = os.stat(root)
        self._identity = status.st_dev, status.st_ino
        self._ended = False
        self._root = root
        self.ring = notify

    def close(self) -> None:
        pass


class Folder:
    """A directory, a source of it, and who listens."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = StoppedClock()
        self.bells: list[Bell] = []
        clock = Clock(self.clock.now, self.clock.wait)
        source = DirectorySource(root, clock=clock, back_off=BackOff(1, 1, lambda: 1.0), watch=self._watch)
        self.heard = Hearer(source)

    def _watch(self, root: str, notify: Callable[[], None]) -> Watch:
        self.bells.append(Bell(root, notify))
        return self.bells[-1]

    def put(self, name: str, text: str | bytes, age_s: float = 0.0) -> None:
        """Writes a file; by its own time it is that old."""
        path = self.root / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        moment = time.time_ns() - round(age_s * 1e9)
        os.utime(path, ns=(moment, moment))

    async def ring(self) -> None:
        self.bells[-1].ring()
        await self.clock.turn()

    async def after(self, seconds: float) -> list[str]:
        """Rings, lets time pass, and says what was told meanwhile, shortly."""
        before = len(self.heard.events)
        await self.ring()
        await self.clock.advance(seconds)
        return [_short(event) for event in self.heard.events[before:]]


def _short(event: object) -> str:
    match event:
        case Changed(key=one) | Removed(key=one):
            return f"{type(event).__name__} {one.name}"
        case Refused(place=place, key=found):
            return f"Refused {Path(place).name} {found.name if found else '-'}"
        case Mended(place):
            return f"Mended {Path(place).name}"
        case _:
            return type(event).__name__


Script = Callable[[Folder], Awaitable[None]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "resources"
    folder.mkdir()
    return folder


def play(root: Path, script: Script, **files: str) -> None:
    """Runs a script in a directory that holds some files, after the source is in sync."""

    async def run() -> None:
        folder = Folder(root)
        for name, text in files.items():
            folder.put(f"{name}.yaml", text)
        async with folder.heard:
            await folder.clock.advance(QUIET_S * 1.1)
            if files:
                assert folder.heard.in_sync
            await script(folder)

    asyncio.run(run())


# --- when a file counts --------------------------------------------------------------------------------------------


def test_files_that_are_there_at_the_start_are_told_before_in_sync(root: Path) -> None:
    async def script(folder: Folder) -> None:
        assert [_short(event) for event in folder.heard.events] == ["Changed a", "Changed b", "InSync"]

    play(root, script, one=text_of("a"), two=text_of("b"))


def test_a_new_file_counts_when_it_was_left_alone(root: Path) -> None:
    async def script(folder: Folder) -> None:
        folder.put("two.yaml", text_of("b"))
        assert await folder.after(QUIET_S / 2) == []
        folder.put("two.yaml", text_of("b", "c"))
        assert await folder.after(QUIET_S * 0.9) == []
        assert await folder.after(QUIET_S * 1.1) == ["Changed b", "Changed c"]

    play(root, script, one=text_of("a"))


_YEAR_S = 365 * 86400


@pytest.mark.parametrize("age_s", [0, 5, 60, _YEAR_S, 56 * _YEAR_S, -3600, -_YEAR_S])
def test_what_time_a_file_says_that_it_has_makes_no_difference(root: Path, age_s: float) -> None:
    """As the clock was set, or another machine's wrote the file: it may be in the middle of being written."""

    async def script(folder: Folder) -> None:
        folder.put("two.yaml", text_of("b"), age_s)
        assert await folder.after(QUIET_S * 0.9) == []
        folder.put("two.yaml", text_of("b", "c"), age_s)
        assert await folder.after(QUIET_S * 0.9) == []
        assert await folder.after(QUIET_S * 0.2) == ["Changed b", "Changed c"]
        folder.put("two.yaml", text_of("b"), age_s)
        assert await folder.after(PATIENCE_S * 0.9) == []
        assert await folder.after(PATIENCE_S * 0.2) == ["Removed c"]

    play(root, script, one=text_of("a"))


def test_a_file_that_is_never_left_alone_is_read_in_the_end(root: Path) -> None:
    async def script(folder: Folder) -> None:
        told: list[str] = []
        for turn in range(round(RESTLESS_S / 0.05) + 3):
            folder.put("two.yaml", text_of("b", net=f"10.{turn}.0.0/16"))
            told += await folder.after(0.05)
        assert told == ["Changed b"]

    play(root, script, one=text_of("a"))


def test_in_sync_waits_for_files_that_are_being_written(root: Path) -> None:
    async def script(folder: Folder) -> None:
        folder.put("two.yaml", text_of("b"))
        assert not folder.heard.in_sync
        await folder.clock.advance(QUIET_S * 2)
        assert [_short(event) for event in folder.heard.events[-2:]] == ["Changed b", "InSync"]

    async def run() -> None:
        folder = Folder(root)
        folder.put("one.yaml", text_of("a"))
        async with folder.heard:
            await folder.clock.turn()
            await script(folder)

    asyncio.run(run())


# --- what would take something away --------------------------------------------------------------------------------


def test_a_file_that_is_emptied_and_written_again_is_waited_for(root: Path) -> None:
    async def script(folder: Folder) -> None:
        folder.put("one.yaml", "")
        assert await folder.after(PATIENCE_S * 0.8) == []
        folder.put("one.yaml", text_of("a", net="10.2.0.0/16"))
        assert await folder.after(PATIENCE_S) == ["Changed a"]

    play(root, script, one=text_of("a"))


def test_a_file_that_stays_empty_has_no_resources(root: Path) -> None:
    async def script(folder: Folder) -> None:
        folder.put("one.yaml", "")
        assert await folder.after(PATIENCE_S) == ["Removed a"]

    play(root, script, one=text_of("a"), two=text_of("b"))


def test_half_a_file_is_waited_for(root: Path) -> None:
    async def script(folder: Folder) -> None:
        whole = text_of("a", "b", "c")
        for end in (len(whole) // 3 + 8, len(whole) // 2, len(whole) - 4):
            folder.put("one.yaml", whole[:end])
            assert await folder.after(PATIENCE_S * 0.8) == [], whole[:end]
        folder.put("one.yaml", whole)
        assert await folder.after(PATIENCE_S) == []

    play(root, script, one=text_of("a", "b", "c"))


def test_an_editor_moves_the_old_file_away_and_puts_a_new_one_there(root: Path) -> None:
    async def script(folder: Folder) -> None:
        (root / "one.yaml").rename(root / "one.yaml~")
        assert await folder.after(PATIENCE_S * 0.8) == []
        folder.put("one.yaml", text_of("a", net="10.2.0.0/16"))
        assert await folder.after(PATIENCE_S) == ["Changed a"]

    play(root, script, one=text_of("a"))


def test_a_file_that_is_gone_for_long_takes_its_resources_with_it(root: Path) -> None:
    async def script(folder: Folder) -> None:
        (root / "one.yaml").unlink()
        assert await folder.after(PATIENCE_S * 0.9) == []
        assert await folder.after(PATIENCE_S * 0.2) == ["Removed a", "Removed b"]

    play(root, script, one=text_of("a", "b"), two=text_of("c"))


def test_a_file_that_was_moved_is_nothing_to_tell(root: Path) -> None:
    async def script(folder: Folder) -> None:
        (root / "one.yaml").rename(root / "other.yaml")
        assert await folder.after(PATIENCE_S * 2) == []
        folder.put("other.yaml", text_of("a", net="10.2.0.0/16"))
        assert await folder.after(QUIET_S * 2) == ["Changed a"]

    play(root, script, one=text_of("a"))


def test_the_last_file_of_a_directory_may_go(root: Path) -> None:
    async def script(folder: Folder) -> None:
        (root / "one.yaml").unlink()
        assert await folder.after(PATIENCE_S * 2) == ["Removed a"]

    play(root, script, one=text_of("a"))


# --- what is bad ---------------------------------------------------------------------------------------------------


def test_of_a_file_only_what_is_bad_is_refused(root: Path) -> None:
    async def script(folder: Folder) -> None:
        folder.put("one.yaml", text_of("a", "b", "c").replace("name: b}\nspec", "name: b}\nspeck"))
        assert await folder.after(PATIENCE_S * 0.9) == []
        assert await folder.after(PATIENCE_S * 0.2) == ["Refused one.yaml b"]
        assert folder.heard.keys == {key("a"), key("c")}
        ((text),) = folder.heard.refused.values()
        assert text.startswith(f"{root}/one.yaml:10: GlobalNetworkSet(b) speck: unknown field 'speck'")
        folder.put("one.yaml", text_of("a", "b", "c"))
        assert await folder.after(QUIET_S * 2) == ["Changed b"]

    play(root, script, one=text_of("a", "b", "c"))


def test_behind_a_line_that_makes_no_sense_what_was_known_is_refused(root: Path) -> None:
    async def script(folder: Folder) -> None:
        folder.put("one.yaml", text_of("a") + "---\n{{\n" + text_of("b"))
        assert await folder.after(PATIENCE_S * 1.1) == ["Refused one.yaml -", "Refused one.yaml b"]
        assert folder.heard.keys == {key("a")}
        place, known = folder.heard.events[-2:]
        assert isinstance(place, Refused) and isinstance(known, Refused)
        assert place.data.endswith(text_of("b")) and known.data["metadata"] == {"name": "b"}
        folder.put("one.yaml", text_of("a", "b", net="10.2.0.0/16"))
        assert await folder.after(QUIET_S * 2) == ["Mended one.yaml", "Changed a", "Changed b"]

    play(root, script, one=text_of("a", "b"))


def test_a_file_that_was_never_good_is_refused_as_a_place(root: Path) -> None:
    async def script(folder: Folder) -> None:
        folder.put("two.yaml", "{{\n")
        assert await folder.after(PATIENCE_S * 1.1) == ["Refused two.yaml -"]
        (root / "two.yaml").unlink()
        assert await folder.after(PATIENCE_S * 1.1) == ["Mended two.yaml"]

    play(root, script, one=text_of("a"))


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\xff\xfe\x00", "can't decode"), (b"kind: \x00", "not YAML"), (b"[1, 2", "")],
    ids=["not UTF-8", "control characters", "not JSON"],
)
def test_what_is_no_text_of_resources(root: Path, content: bytes, words: str) -> None:
    async def script(folder: Folder) -> None:
        folder.put("two.yaml", content)
        assert await folder.after(PATIENCE_S * 1.1) == ["Refused two.yaml -"]
        assert words in str(folder.heard.events[-1].problem)  # type: ignore[union-attr]

    play(root, script, one=text_of("a"))


def test_a_pipe_is_refused_and_not_waited_for(root: Path) -> None:
    async def script(folder: Folder) -> None:
        os.mkfifo(root / "two.yaml")
        assert await folder.after(PATIENCE_S * 1.1) == ["Refused two.yaml -"]
        assert "not a regular file" in str(folder.heard.events[-1].problem)  # type: ignore[union-attr]

    play(root, script, one=text_of("a"))


def test_a_file_that_cannot_be_reached_is_refused_with_what_it_had(root: Path) -> None:
    async def script(folder: Folder) -> None:
        (root / "one.yaml").rename(root / "kept")
        (root / "one.yaml").symlink_to("one.yaml")
        assert await folder.after(0) == ["Refused one.yaml -", "Refused one.yaml a"]
        (root / "one.yaml").unlink()
        (root / "kept").rename(root / "one.yaml")
        assert await folder.after(QUIET_S * 2) == ["Mended one.yaml", "Changed a"]

    play(root, script, one=text_of("a"), two=text_of("b"))


# --- several files -------------------------------------------------------------------------------------------------


def test_what_two_files_define_stands_as_the_first_has_it(root: Path) -> None:
    async def script(folder: Folder) -> None:
        assert [_short(event) for event in folder.heard.events] == ["Refused two.yaml -", "Changed a", "InSync"]
        found = folder.heard.resources[key("a")]
        assert isinstance(found, GlobalNetworkSet) and str(found.spec.nets[0]) == "10.1.0.0/16"
        (text,) = folder.heard.refused.values()
        assert text == (
            f"{root}/two.yaml:1: GlobalNetworkSet(a): already defined at {root}/one.yaml:1 (leave one of them out)"
        )
        (root / "one.yaml").unlink()
        assert await folder.after(PATIENCE_S * 1.1) == ["Mended two.yaml", "Changed a"]

    play(root, script, one=text_of("a"), two=text_of("a", net="10.2.0.0/16"))


def test_directories_are_gone_through_and_links_to_them_are_not(root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()

    async def script(folder: Folder) -> None:
        folder.put("b/c/two.yml", text_of("b"))
        folder.put("b/three.json", "{}")
        folder.put("..hidden/four.yaml", text_of("d"))
        folder.put("five.txt", text_of("e"))
        (root / "six.yaml").symlink_to(root / "nowhere")
        folder.put("../outside/seven.yaml", text_of("f"))
        (root / "linked").symlink_to(tmp_path / "outside")
        (root / "eight.yaml").symlink_to(tmp_path / "outside" / "seven.yaml")
        told = await folder.after(PATIENCE_S * 1.1)
        assert told == ["Changed b", "Changed f", "Refused three.json -"]

    play(root, script, one=text_of("a"))


def test_a_mounted_config_map_changes_all_at_once(root: Path) -> None:
    def mount(folder: Folder, version: str, **files: str) -> None:
        for name, text in files.items():
            folder.put(f"..{version}/{name}.yaml", text)
        (root / "..data_tmp").symlink_to(f"..{version}")
        (root / "..data_tmp").rename(root / "..data")

    async def script(folder: Folder) -> None:
        mount(folder, "2026_1", x=text_of("b"), y=text_of("c"))
        for name in ("x", "y"):
            (root / f"{name}.yaml").symlink_to(f"..data/{name}.yaml")
        assert await folder.after(QUIET_S * 2) == ["Changed b", "Changed c"]
        mount(folder, "2026_2", x=text_of("b", net="10.2.0.0/16"), y=text_of("c"))
        assert await folder.after(QUIET_S * 2) == ["Changed b"]

    play(root, script, one=text_of("a"))


# --- the directory itself ------------------------------------------------------------------------------------------


def test_an_empty_directory_is_no_cluster_without_policy(root: Path) -> None:
    async def script(folder: Folder) -> None:
        assert [_short(event) for event in folder.heard.events] == ["Lost"]
        assert "no file that ends in .yaml, .yml, .json" in str(folder.heard.lost)
        folder.put("one.yaml", "# nothing yet\n")
        await folder.clock.advance(1.0)
        assert [_short(event) for event in folder.heard.events[1:]] == ["Regained", "InSync"]

    play(root, script)


def test_what_was_told_stands_while_the_directory_is_gone(root: Path) -> None:
    async def script(folder: Folder) -> None:
        root.rename(root.with_name("away"))
        assert await folder.after(10) == ["Lost"]
        assert folder.heard.keys == {key("a")}
        root.with_name("away").rename(root)
        await folder.clock.advance(1.0)
        assert isinstance(folder.heard.events[-1], Regained)
        assert len(folder.bells) == 2, "the new directory is watched"

    play(root, script, one=text_of("a"))


def test_another_directory_without_files_in_its_place_is_a_loss(root: Path) -> None:
    async def script(folder: Folder) -> None:
        root.rename(root.with_name("away"))
        root.mkdir()
        assert await folder.after(10) == ["Lost"]
        folder.put("two.yaml", text_of("b"))
        assert await folder.after(1.0 + QUIET_S * 1.1) == ["Changed b"]
        assert await folder.after(PATIENCE_S) == ["Removed a", "Regained"]

    play(root, script, one=text_of("a"))


def test_what_no_watch_says_is_found_by_looking(root: Path) -> None:
    async def script(folder: Folder) -> None:
        folder.put("two.yaml", text_of("b"))
        await folder.clock.advance(LOOK_S * 0.9)
        assert len(folder.heard.resources) == 1
        await folder.clock.advance(LOOK_S * 0.1 + QUIET_S * 1.1)
        assert len(folder.heard.resources) == 2

    play(root, script, one=text_of("a"))


def test_when_the_kernel_says_nothing_one_looks_more_often_until_it_does(root: Path) -> None:
    async def script(folder: Folder) -> None:
        folder.put("two.yaml", text_of("b"))
        await folder.clock.advance(LOOK_S + QUIET_S * 1.1)
        assert folder.clock.waits_s == [pytest.approx(DEAF_LOOK_S, abs=QUIET_S)]
        folder.put("three.yaml", text_of("c"))
        await folder.clock.advance(DEAF_LOOK_S + QUIET_S * 1.1)
        assert len(folder.heard.resources) == 3
        folder.put("four.yaml", text_of("d"))
        assert await folder.after(QUIET_S * 1.1) == ["Changed d"]
        assert folder.clock.waits_s == [pytest.approx(LOOK_S, abs=QUIET_S)]

    play(root, script, one=text_of("a"))


def test_without_a_watch_one_looks_often(root: Path) -> None:
    async def run() -> None:
        folder = Folder(root)
        folder.put("one.yaml", text_of("a"))

        def none_left(root: str, notify: Callable[[], None]) -> Watch:
            raise RuntimeError("too many open files")

        folder.heard.source._open_watch = none_left  # type: ignore[attr-defined]
        async with folder.heard:
            await folder.clock.advance(QUIET_S * 1.1)
            assert folder.heard.in_sync
            folder.put("two.yaml", text_of("b"))
            await folder.clock.advance(DEAF_LOOK_S + QUIET_S * 1.1)
            assert len(folder.heard.resources) == 2

    asyncio.run(run())


def test_when_nothing_changes_only_the_next_look_is_waited_for(root: Path) -> None:
    async def script(folder: Folder) -> None:
        assert folder.clock.waits_s == [pytest.approx(LOOK_S, abs=QUIET_S)]
        assert isinstance(folder.heard.events[-1], InSync)
        assert not any(isinstance(event, Lost) for event in folder.heard.events)

    play(root, script, one=text_of("a"))
