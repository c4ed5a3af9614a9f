"""The kernel's word that something changed below a directory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tortie.source.inotify import Watch


def _write(root: Path) -> None:
    (root / "a").write_text("x")


def _rename(root: Path) -> None:
    (root / "old").rename(root / "new")


def _remove(root: Path) -> None:
    (root / "old").unlink()


def _below(root: Path) -> None:
    (root / "folder" / "deep" / "a").write_text("x")


def _link(root: Path) -> None:
    (root / "link.tmp").symlink_to("old")
    (root / "link.tmp").rename(root / "link")


@pytest.mark.parametrize("change", [_write, _rename, _remove, _below, _link])
def test_a_change_rings(tmp_path: Path, change: Callable[[Path], None]) -> None:
    (tmp_path / "old").write_text("")
    (tmp_path / "folder" / "deep").mkdir(parents=True)

    async def run() -> None:
        rung = asyncio.Event()
        watch = Watch(str(tmp_path), rung.set)
        try:
            change(tmp_path)
            async with asyncio.timeout(10):
                await rung.wait()
        finally:
            watch.close()

    asyncio.run(run())


def test_a_directory_that_is_made_later_is_watched_too(tmp_path: Path) -> None:
    async def run() -> None:
        rung = asyncio.Event()
        watch = Watch(str(tmp_path), rung.set)
        try:
            (tmp_path / "new").mkdir()
            async with asyncio.timeout(10):
                await rung.wait()
                rung.clear()
                (tmp_path / "new" / "a").write_text("x")
                await rung.wait()
        finally:
            watch.close()

    asyncio.run(run())


def test_whether_the_directory_is_still_the_one_that_is_watched(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()

    async def run() -> None:
        watch = Watch(str(root), lambda: None)
        assert watch.stands()
        root.rename(tmp_path / "away")
        assert not watch.stands()
        root.mkdir()
        assert not watch.stands()
        watch.close()
        with pytest.raises(FileNotFoundError):
            Watch(str(tmp_path / "nothing"), lambda: None)

    asyncio.run(run())


def test_a_name_that_is_no_text_rings_and_the_watch_is_to_be_begun_anew(tmp_path: Path) -> None:
    """The library fails at such a name, and at everything that comes after it."""

    async def run() -> None:
        rung = asyncio.Event()
        watch = Watch(str(tmp_path), rung.set)
        try:
            (tmp_path / os.fsdecode(b"caf\xe9.yaml")).write_text("x")
            async with asyncio.timeout(10):
                await rung.wait()
            assert not watch.stands()
        finally:
            watch.close()

    asyncio.run(run())
