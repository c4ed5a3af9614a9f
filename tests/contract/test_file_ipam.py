"""Addresses kept in files do what every store of addresses must do."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.contract.ipam import IpamContract, World
from tests.ipam_claimant import RESOURCES
from tortie.source.etcd_key import IPAM
from tortie.source.file_ipam import FileIpam


@dataclass
class FileWorld:
    """A directory of its own."""

    place: str
    kind: str = "file"

    def open(self) -> FileIpam:
        return FileIpam(Path(self.place), RESOURCES)

    def kept(self) -> dict[str, Any]:
        root = Path(self.place)
        return {
            IPAM + unquote(str(path.relative_to(root).with_suffix(""))): json.loads(path.read_bytes())
            for path in sorted(root.rglob("*.json"))
        }

    def clear(self) -> None:
        shutil.rmtree(self.place, ignore_errors=True)


class TestFileIpam(IpamContract):
    """The suite over files."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> World:
        return FileWorld(str(tmp_path / "ipam"))
