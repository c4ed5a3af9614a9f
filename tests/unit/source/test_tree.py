"""Which files of resources there are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tortie.source.tree import read_file, reading_order, scan_tree


def test_files_are_found_by_their_endings_at_any_depth(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yml", "c.json", "d.txt", "e.yaml~", ".f.yaml", "g/h.yaml", "g/..i/j.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "k.yaml").mkdir()
    (tmp_path / "l.yaml").symlink_to("nowhere")
    (tmp_path / "m").symlink_to("g")
    found = {str(Path(path).relative_to(tmp_path)) for path in scan_tree(str(tmp_path)).files}
    assert found == {"a.yaml", "b.yml", "c.json", ".f.yaml", "g/h.yaml"}


def test_a_signature_changes_with_what_is_written_or_put_in_its_place(tmp_path: Path) -> None:
    path, other = tmp_path / "a.yaml", tmp_path / "other"
    path.write_text("a")
    seen = [scan_tree(str(tmp_path)).files[str(path)]]
    path.write_text("ab")
    seen.append(scan_tree(str(tmp_path)).files[str(path)])
    other.write_text("ab")
    status = path.stat()
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(path)
    seen.append(scan_tree(str(tmp_path)).files[str(path)])
    assert len(set(seen)) == 3
    assert scan_tree(str(tmp_path)).files[str(path)] == seen[-1]


def test_what_cannot_be_looked_into_is_told_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("a.yaml")
    tree = scan_tree(str(tmp_path))
    assert tree.unreadable == {str(tmp_path / "a.yaml"): "Too many levels of symbolic links"}
    assert tree.may_hold(str(tmp_path / "a.yaml")) and not tree.may_hold(str(tmp_path / "b.yaml"))
    assert not tree.is_empty


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        scan_tree(str(tmp_path / "nothing"))
    assert scan_tree(str(tmp_path)).is_empty


def test_files_are_read_directory_by_directory() -> None:
    paths = ["/r/a.yaml", "/r/a/x.yaml", "/r/a/b/y.yaml", "/r/b.yaml"]
    ordered = sorted(paths, key=lambda path: reading_order("/r", path))
    assert ordered == ["/r/a/b/y.yaml", "/r/a/x.yaml", "/r/a.yaml", "/r/b.yaml"]


def test_a_file_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfkind: x\n")
    assert read_file(str(path), 100) == "kind: x\n"
    with pytest.raises(ValueError, match="is larger than"):
        read_file(str(path), 5)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="not a regular file"):
        read_file(str(tmp_path / "pipe"), 5)
    with pytest.raises(FileNotFoundError):
        read_file(str(tmp_path / "nothing"), 5)
