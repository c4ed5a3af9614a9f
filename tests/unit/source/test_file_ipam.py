"""Files of addresses: the lock, whole writes and names; the rest is the suite's (tests/contract/ipam.py)."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ipam_claimant import RESOURCES
from tortie.ipam.assign import AssignRequest, auto_assign
from tortie.ipam.command import ListBlocks, Steps
from tortie.ipam.release import release_handle
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.source.failure import DatastoreFailed
from tortie.source.file_ipam import LOCK, FileIpam


def run(directory: Path, operation: Steps[Any], **more: Any) -> Any:
    return asyncio.run(FileIpam(directory, RESOURCES, **more).run(operation))


def list_blocks() -> Steps[Any]:
    return (yield ListBlocks(IPFamily.V4))


def names(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def test_files_are_called_as_keys_are(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "er"
    run(place, auto_assign(AssignRequest("a", handle="net/1")))
    assert [name for name in names(place) if "10.0.0" not in name] == ["handle/net%2F1.json", LOCK]
    assert len(names(place)) == 4
    run(place, release_handle("net/1"))
    assert len(names(place)) == 3


def test_a_name_of_dots_stays_inside(tmp_path: Path) -> None:
    place = tmp_path / "ipam"
    run(place, auto_assign(AssignRequest("a", handle="..")))
    assert "handle/%2E%2E.json" in names(place)
    assert [path.name for path in tmp_path.iterdir()] == ["ipam"]


def test_handles_that_look_alike_are_apart(tmp_path: Path) -> None:
    for handle in ("x/y", "x//y", "x/./y", "x%2Fy", "X/y"):
        run(tmp_path, auto_assign(AssignRequest("a", handle=handle)))
    assert len(names(tmp_path / "handle")) == 5


def test_what_is_not_a_blocks_file_is_passed_over(tmp_path: Path) -> None:
    run(tmp_path, auto_assign(AssignRequest("a")))
    folder = tmp_path / "assignment" / "ipv4" / "block"
    for name in ("README", "x.json", ".10.0.0.0-29.json.new", "fd00::-124.json"):
        (folder / name).write_text("")
    assert len(run(tmp_path, list_blocks())) == 1


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    run(tmp_path, auto_assign(AssignRequest("a", handle="h")))
    (file,) = (tmp_path / "assignment" / "ipv4" / "block").iterdir()
    file.write_text(file.read_text()[:20])
    with pytest.raises(InvalidInput, match=r"/calico/ipam/v2/assignment/ipv4/block/10\.0\.0"):
        run(tmp_path, auto_assign(AssignRequest("a")))


def test_what_a_killed_writer_left_beside_does_not_count(tmp_path: Path) -> None:
    run(tmp_path, auto_assign(AssignRequest("a", handle="h")))
    (file,) = (tmp_path / "assignment" / "ipv4" / "block").iterdir()
    (file.parent / f".{file.name}.new").write_text('{"cidr":')
    assert run(tmp_path, release_handle("h"))


def holding(directory: Path, work: Callable[[], None]) -> None:
    """Does something while another opening of the lock file has the lock."""
    directory.mkdir(exist_ok=True)
    handle = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        work()
    finally:
        os.close(handle)


def test_a_lock_that_is_held_is_waited_for_and_then_told(tmp_path: Path) -> None:
    now = 0.0
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += 1.0

    def work() -> None:
        with pytest.raises(DatastoreFailed, match="another program has held the lock for 5 s"):
            run(tmp_path, list_blocks(), wait_s=5.0, clock=lambda: now, sleep=sleep)

    holding(tmp_path, work)
    assert len(slept) == 5
    assert run(tmp_path, list_blocks()) == ()


def test_a_directory_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatastoreFailed, match=r"file.*: (Not a directory|File exists)"):
        run(tmp_path / "file" / "ipam", list_blocks())


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, auto_assign(AssignRequest("a", handle="h")))
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DatastoreFailed, match="No space left on device"):
        run(tmp_path, auto_assign(AssignRequest("a", handle="h")))
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
