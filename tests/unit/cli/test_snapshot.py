"""What `tortie snapshot` writes and what it refuses to write over."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from tortie.cli.snapshot import check_readable, check_target, write_snapshot
from tortie.cli.snapshot_file import load_snapshot
from tortie.net.error import InvalidInput

RULES = b"*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
FILES = {"iptables-save": RULES, "sysctl": b"net.a = 1\n"}
ARCHIVES = ["node.tar", "node.tar.gz", "node.tgz", "node.tar.xz", "node.txz"]


@pytest.mark.parametrize("name", [*ARCHIVES, "node", "some.other.name"])
def test_what_is_written_can_be_loaded(tmp_path: Path, name: str) -> None:
    where = tmp_path / name
    write_snapshot(FILES, str(where))
    node = load_snapshot(str(where))
    assert (node.files, node.unreadable) == (("iptables-save", "sysctl"), ())
    assert where.is_dir() is (name not in ARCHIVES)


def test_an_archive_on_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", out)
    write_snapshot(FILES, "-")
    assert out.buffer.getvalue()[257:262] == b"ustar"  # type: ignore[attr-defined]


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    write_snapshot(FILES, str(tmp_path / "node"))
    write_snapshot(FILES, str(tmp_path / "node.tar"))
    modes = {path.name: path.stat().st_mode & 0o777 for path in (*tmp_path.iterdir(), *(tmp_path / "node").iterdir())}
    assert modes == {"node": 0o700, "node.tar": 0o600, "iptables-save": 0o600, "sysctl": 0o600}


def test_an_empty_directory_is_filled(tmp_path: Path) -> None:
    check_target(str(tmp_path))
    write_snapshot(FILES, str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    refused = {"": "not empty", "mine": "is there already", "nowhere": "is there already", "a/b": "does not exist"}
    for name, message in refused.items():
        with pytest.raises(InvalidInput, match=message):
            check_target(str(tmp_path / name))


def test_a_file_that_appeared_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "node.tar"
    path.write_text("mine")
    with pytest.raises(InvalidInput, match="File exists"):
        write_snapshot(FILES, str(path))
    assert path.read_text() == "mine"


@pytest.mark.parametrize("there", [False, True], ids=["new directory", "empty directory"])
def test_of_a_directory_that_cannot_be_written_whole_nothing_is_left(tmp_path: Path, there: bool) -> None:
    where = tmp_path / "node"
    if there:
        where.mkdir()
    with pytest.raises(InvalidInput, match="File name too long"):
        write_snapshot({**FILES, "x" * 300: b""}, str(where))
    assert [path.name for path in tmp_path.rglob("*")] == (["node"] if there else [])


def test_a_node_without_readable_rules_is_refused() -> None:
    check_readable(FILES)
    remarks = b"ipset-save: `ipset save` failed: denied\niptables-nft-save: `iptables-nft-save` failed: denied\n"
    with pytest.raises(
        InvalidInput, match=r"this node cannot be read: iptables-nft-save: `iptables-nft-save` failed: denied"
    ):
        check_readable({"remarks": remarks, "sysctl": b"x"})
