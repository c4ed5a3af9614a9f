"""How commands over the datastore refuse what they are given, before anything is connected to."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tortie.cli.datastore import failure_words
from tortie.cli.main import main
from tortie.source.failure import DatastoreFailed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("get",), "give either a KIND or files with -f"),
        (("get", "pool", "-f", "x"), "give either a KIND or files with -f"),
        (("get", "nothing"), "resource type 'nothing' is not supported"),
        (("get", "pool", "-o", "xml"), "unrecognized output format 'xml'"),
        (("get", "pool", "-o", "custom-columns="), "unrecognized output format 'custom-columns='"),
        (("delete",), "give either a KIND and NAMEs or files with -f"),
        (("delete", "pool"), "resource name is required"),
        (("delete", "-f", "/nothing.yaml"), "/nothing.yaml: No such file or directory"),
        (("create",), "no files are given"),
        (("replace",), "no files are given"),
        (("apply", "-f"), "requires an argument"),
        (("apply", "-f", "/nothing.yaml"), "/nothing.yaml: No such file or directory"),
        (("get", "pool"), "no etcd endpoints specified"),
    ],
)
def test_bad_input_is_one_line(words: tuple[str, ...], message: str) -> None:
    found = CliRunner().invoke(main, [*words], env={"ETCD_ENDPOINTS": ""})
    assert found.exit_code == 2
    assert message in found.stderr
    assert found.stderr.count("\n") == 1


def test_resources_in_kubernetes_are_kubectls(tmp_path: Path) -> None:
    found = CliRunner().invoke(main, ["get", "pool"], env={"DATASTORE_TYPE": "kubernetes"})
    assert found.exit_code == 2
    assert "the datastore is kubernetes, which this command does not know" in found.stderr


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (DatastoreFailed("down"), "down"),
        (DatastoreFailed("who?", unauthorized=True), "connection is unauthorized: who?"),
        (DatastoreFailed("gone", uncertain=True), "gone; whether it was written is not known"),
    ],
)
def test_failures_say_what_is_known(failure: DatastoreFailed, words: str) -> None:
    assert failure_words(failure) == words
