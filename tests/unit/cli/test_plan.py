"""`tortie plan` as a function: what it prints and how it ends."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.golden.rewrite_plan import FOLDER, REFERENCE
from tortie.cli.main import main

SNAPSHOT = str(REFERENCE / "snapshot")


def plan(resources: Path, *words: str) -> Result:
    command = ["plan", str(resources), "--node", "reference", "-n", SNAPSHOT, *words]
    return CliRunner().invoke(main, command, catch_exceptions=False)


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """The reference node's resources with one policy changed."""
    folder = tmp_path / "resources"
    shutil.copytree(REFERENCE / "resources", folder)
    path = folder / "policies.yaml"
    path.write_text(path.read_text().replace("      - 80\n", "      - 8080\n"))
    return folder


def test_what_is_printed_is_the_golden_text(changed: Path) -> None:
    assert plan(changed).stdout == (FOLDER / "policy-changed.txt").read_text()
    assert plan(REFERENCE / "resources").stdout == (FOLDER / "nothing-to-do.txt").read_text()


def test_the_summary_leaves_out_chains(changed: Path) -> None:
    text = plan(changed, "--summary").stdout
    assert "Kubernetes NetworkPolicy shop/web" in text
    assert "--dports" not in text


def test_json(changed: Path) -> None:
    document = json.loads(plan(changed, "--json").stdout)
    assert [one["name"] for one in document["owners"]] == ["Kubernetes NetworkPolicy shop/web"]


def test_exit_codes_are_those_of_terraform_when_asked_for(changed: Path) -> None:
    broken = changed / "broken.yaml"
    same = REFERENCE / "resources"
    assert [plan(path, "--detailed-exitcode").exit_code for path in (same, changed)] == [0, 2]
    assert [plan(path).exit_code for path in (same, changed)] == [0, 0]
    broken.write_text("kind: [")
    told = plan(changed, "--detailed-exitcode")
    assert (told.exit_code, plan(changed).exit_code) == (1, 2)
    assert told.stderr.startswith(f"tortie: {broken}:1: ")


def test_the_summary_is_no_document(changed: Path) -> None:
    assert "--summary is for the text" in plan(changed, "--summary", "--json").stderr


def test_told_to_keep_going_what_is_closed_is_told(changed: Path) -> None:
    path = changed / "policies.yaml"
    path.write_text(path.read_text().replace("      - 8080\n", "      - no port!\n"))
    done = plan(changed, "--keep-going", "--summary")
    assert done.exit_code == 0
    assert "policies.yaml:17: NetworkPolicy(shop/knp.default.web)" in done.stderr
    assert "Remark: closed: policy shop/knp.default.web denies whatever it is asked" in done.stdout


def test_words_that_make_no_sense_are_an_error_and_no_change(changed: Path) -> None:
    told = plan(changed, "--detailed-exitcode", "--nonsense")
    assert (told.exit_code, plan(changed, "--nonsense").exit_code) == (1, 2)
    assert "No such option" in told.stderr


def test_a_datastore_that_is_not_ready_is_remarked(changed: Path) -> None:
    path = changed / "cluster.yaml"
    path.write_text(path.read_text().replace("datastoreReady: true", "datastoreReady: false"))
    assert "Remark: ClusterInformation(default) says that the datastore is not ready" in plan(changed, "--summary").stdout
