"""The contract over a directory, watched by the kernel's inotify; the patience of a second takes a tenth of one."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

import pytest

from tests.contract.source import Plain, RunIn, Script, SourceContract, World, key_of_plain
from tests.hearing import Source
from tortie.model.read import Key
from tortie.source.directory import Clock, DirectorySource
from tortie.source.link import BackOff

SPEED = 10


async def _wait(seconds: float) -> None:
    await asyncio.sleep(seconds / SPEED)


FAST = Clock(now=lambda: time.monotonic() * SPEED, wait=_wait)


class DirectoryWorld(World):
    """A directory with a file for each resource; of many that are written together, a hundred share one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.aside = root.with_name("aside")
        root.mkdir()
        (root / "empty.yaml").write_text("# nothing yet\n")
        self.shared: dict[Key, Path] = {}
        self.held: dict[Path, dict[Key, Plain]] = {}

    def source(self) -> Source:
        back_off = BackOff(0.01, 0.05, lambda: 0.5)
        return DirectorySource(self.root, clock=FAST, back_off=back_off)

    def _path(self, data: Plain) -> Path:
        key = key_of_plain(data)
        return self.shared.get(key) or self.root / f"{key.kind}-{key.namespace}-{key.name}.json"

    async def put(self, *resources: Plain) -> None:
        touched: set[Path] = set()
        for index, data in enumerate(resources):
            if len(resources) > 100:
                self.shared[key_of_plain(data)] = self.root / f"many-{index // 100}.json"
            path = self._path(data)
            self.held.setdefault(path, {})[key_of_plain(data)] = data
            touched.add(path)
        for path in touched:
            await self._write(path)

    async def _write(self, path: Path) -> None:
        temporary = self.root / "written.tmp"
        temporary.write_text(json.dumps(list(self.held[path].values())))
        temporary.rename(path)
        await asyncio.sleep(0)

    async def spoil(self, resource: Plain) -> None:
        await self.put(resource | {"spec": resource["spec"] | {"nope": 1}})

    async def delete(self, *resources: Plain) -> None:
        for data in resources:
            assert key_of_plain(data) not in self.shared
            self.held.pop(self._path(data), None)
            self._path(data).unlink(missing_ok=True)

    async def go(self) -> None:
        os.rename(self.root, self.aside)

    async def come_back(self) -> None:
        os.rename(self.aside, self.root)


class TestDirectory(SourceContract):
    @pytest.fixture
    def run_in(self, tmp_path: Path) -> RunIn:
        def run(script: Script) -> None:
            async def inside() -> None:
                await script(DirectoryWorld(tmp_path / "resources"))

            asyncio.run(inside())

        return run
