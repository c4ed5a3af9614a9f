"""Real kernels take the reference node's rules and sets, and print them back unchanged, with both back-ends."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.save_text import read_tables, without_counters

SNAPSHOT = Path(__file__).parents[2] / "examples" / "reference-node" / "snapshot"

LOAD = """
set -eu
ipset restore <ipset-save
{program}-{backend}-restore <{file}
{program}-{backend}-save
"""


def run_in_new_namespace(script: str, lock: Path) -> str:
    """What a shell script prints in a network namespace that ends with it."""
    environment = {**os.environ, "XTABLES_LOCKFILE": str(lock)}
    return subprocess.run(
        ["unshare", "--net", "sh", "-c", script], cwd=SNAPSHOT, env=environment, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("backend", ["legacy", "nft"])
@pytest.mark.parametrize(
    ("program", "file"), [("iptables", "iptables-save"), ("ip6tables", "ip6tables-save")], ids=["IPv4", "IPv6"]
)
def test_rules_print_back_unchanged(program: str, file: str, backend: str, tmp_path: Path) -> None:
    printed = run_in_new_namespace(LOAD.format(program=program, backend=backend, file=file), tmp_path / "lock")
    assert without_counters(read_tables(printed)) == without_counters(read_tables((SNAPSHOT / file).read_text()))


def test_sets_hold_the_saved_members(tmp_path: Path) -> None:
    """Newer ipset versions print more words after maxelem, and hash sets print in any order."""
    printed = run_in_new_namespace("set -eu; ipset restore <ipset-save; ipset save", tmp_path / "lock")
    assert sorted(line.split(" bucketsize ")[0] for line in printed.splitlines()) == sorted(
        (SNAPSHOT / "ipset-save").read_text().splitlines()
    )
