"""Where resources come from, and what is said when that is nowhere."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from tortie.cli.resource_files import find_files, load_resources, problem_lines, read_texts
from tortie.model.policy import GlobalNetworkPolicy
from tortie.model.profile import Profile
from tortie.net.error import InvalidInput

PROFILE = "apiVersion: projectcalico.org/v3\nkind: Profile\nmetadata: {name: %s}\n"


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names(*paths: str | Path) -> list[str]:
    return [one.metadata.name for one in load_resources(map(str, paths)).of(Profile)]


# --- finding -----------------------------------------------------------------------------------------------------


def test_a_directory_is_read_at_any_depth_by_the_ends_of_names(tmp_path: Path) -> None:
    write(
        tmp_path,
        a_yaml=PROFILE % "a",
        deep__er__b_yml=PROFILE % "b",
        deep__c_json='{"apiVersion": "projectcalico.org/v3", "kind": "Profile", "metadata": {"name": "c"}}',
        notes_txt="not a resource: [",
    )
    assert names(tmp_path) == ["a", "b", "c"]


def test_a_file_that_is_named_is_read_whatever_it_is_called(tmp_path: Path) -> None:
    write(tmp_path, resources=PROFILE % "a")
    assert names(tmp_path / "resources") == ["a"]


def test_older_versions_in_a_mount_of_kubernetes_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "..2024").mkdir()
    (tmp_path / "..2024" / "a.yaml").write_text(PROFILE % "a")
    (tmp_path / "..data").symlink_to("..2024")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    assert names(tmp_path) == ["a"]


def test_a_link_to_a_directory_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=PROFILE % "a")
    (tmp_path / "around.yaml").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "around").symlink_to(tmp_path, target_is_directory=True)
    assert names(tmp_path) == ["a"]


def test_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((PROFILE % "a").encode())))
    assert names("-") == ["a"]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], "no resources are given"),
        (["-", "-"], "stdin can be read only once"),
        (["{}/none"], "{}/none: No such file or directory"),
        (["{}/empty"], "{}/empty: no file that ends in .yaml, .yml, .json in this directory"),
    ],
    ids=["nothing", "stdin twice", "missing", "empty directory"],
)
def test_a_place_without_files_is_refused_also_when_told_to_keep_going(
    tmp_path: Path, paths: list[str], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    given = [path.replace("{}", str(tmp_path)) for path in paths]
    for keep_going in (False, True):
        with pytest.raises(InvalidInput) as refusal:
            load_resources(given, keep_going=keep_going)
        assert message.replace("{}", str(tmp_path)) in str(refusal.value)


# --- what cannot be read -----------------------------------------------------------------------------------------

BAD: dict[str, tuple[bytes, str]] = {
    "not UTF-8": (b"a: 1\nb: \xff\n", "x.yaml:2: not UTF-8 text"),
    "not YAML": (b"kind: Profile\nmetadata: {name\n", "x.yaml:"),
    "a field that is not known": (b"apiVersion: projectcalico.org/v3\nkind: Profile\nmetadata:\n  nam: a\n", "x.yaml:4: "),
    "no kind": (b"a: 1\n", "x.yaml:1: the object has no apiVersion"),
}


@pytest.mark.parametrize(("data", "message"), BAD.values(), ids=BAD)
def test_one_bad_file_among_a_thousand_is_named_with_its_line(tmp_path: Path, data: bytes, message: str) -> None:
    for number in range(999):
        (tmp_path / f"{number}.yaml").write_text(PROFILE % f"p{number}")
    (tmp_path / "x.yaml").write_bytes(data)
    with pytest.raises(InvalidInput) as refusal:
        load_resources([str(tmp_path)])
    assert str(refusal.value).startswith(f"{tmp_path}/{message}")
    resources = load_resources([str(tmp_path)], keep_going=True)
    assert len(resources) == 999
    assert [str(problem) for problem in resources.problems] == [str(refusal.value)]


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=PROFILE % "a")
    (tmp_path / "b.yaml").symlink_to("gone.yaml")
    with pytest.raises(InvalidInput, match=r"b\.yaml: No such file or directory"):
        load_resources([str(tmp_path)])
    kept = load_resources([str(tmp_path)], keep_going=True)
    assert len(kept) == 1
    assert [refusal.text for refusal in kept.refusals] == [None]


def test_all_problems_are_collected_when_told_to_keep_going(tmp_path: Path) -> None:
    bad = "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: %s}\nspec: {selector: %s}\n"
    write(tmp_path, a_yaml=bad % ("a", "'=='") + "---\n" + bad % ("b", "all()") + "---\n" + bad % ("c", "'('"))
    resources = load_resources([str(tmp_path)], keep_going=True)
    assert [one.metadata.name for one in resources.of(GlobalNetworkPolicy)] == ["b"]
    assert [problem.line for problem in resources.problems] == [4, 14]
    assert [refusal.data["metadata"]["name"] for refusal in resources.refusals] == ["a", "c"]


def test_only_the_first_of_very_many_problems_are_listed(tmp_path: Path) -> None:
    write(tmp_path, a_yaml="---\na: 1\n" * 60)
    lines = list(problem_lines(load_resources([str(tmp_path)], keep_going=True)))
    assert len(lines) == 51
    assert lines[-1] == "and 10 more"


# --- progress ----------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_is_shown_on_a_terminal_only_and_only_where_it_takes_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, small_yaml=PROFILE % "a", big__b_yaml=PROFILE % "b" + "# " + "x" * (1 << 20) + "\n")
    shown = {}
    for name, stream in (("terminal", Terminal()), ("pipe", io.StringIO())):
        monkeypatch.setattr(sys, "stderr", stream)
        load_resources([str(tmp_path / "small.yaml")])
        assert stream.getvalue() == ""
        load_resources([str(tmp_path / "big")])
        shown[name] = stream.getvalue()
    assert "reading resources" in shown["terminal"]
    assert shown["pipe"] == ""


def test_the_bar_moves_within_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, a_yaml="---\n".join(PROFILE % f"p{n}" + "# " + "x" * 20_000 + "\n" for n in range(100)))
    shown: list[float] = []
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr("rich.progress.Progress.update", lambda self, task, completed: shown.append(completed))
    load_resources([str(tmp_path)])
    assert shown == sorted(shown)
    assert len(set(shown)) == 101
    assert shown[-1] <= (tmp_path / "a.yaml").stat().st_size


def test_files_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        write(tmp_path, **{f"{name}_yaml": PROFILE % name})
    found = [os.path.basename(file.path) for file in find_files([str(tmp_path)])]
    assert found == ["a.yaml", "b.yaml", "c.yaml"]


def test_texts_for_other_readers(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=PROFILE % "a", b_yaml="not YAML: [")
    assert [text for _, text in read_texts([str(tmp_path)])] == [PROFILE % "a", "not YAML: ["]
    with pytest.raises(InvalidInput, match="No such file"):
        read_texts([str(tmp_path / "none")])
