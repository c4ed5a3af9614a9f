"""`tortie render` as a function: resources in, texts out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.golden.rewrite_plan import REFERENCE
from tests.unit.codec.test_save import parse_save
from tortie.cli.main import main
from tortie.net.address import IPFamily

RESOURCES, SNAPSHOT = str(REFERENCE / "resources"), str(REFERENCE / "snapshot")


def render(*words: str, resources: str = RESOURCES) -> Result:
    return CliRunner().invoke(main, ["render", resources, *words], catch_exceptions=False)


def test_of_the_reference_node_the_rules_that_it_holds_are_printed() -> None:
    """The reference node holds foreign rules too, and prints tables in another order: ours are compared chain by chain."""
    words = ("--node", "reference", "-n", SNAPSHOT, "--ip-version", "4", "--only", "rules", "--backend", "legacy")
    printed = parse_save(render(*words).stdout, IPFamily.V4).ruleset.tables
    held = parse_save((REFERENCE / "snapshot" / "iptables-save").read_text(), IPFamily.V4).ruleset.tables
    for name, table in printed.items():
        ours = {chain: value.rules for chain, value in table.chains.items() if chain.startswith("cali-")}
        assert ours == {chain: v.rules for chain, v in held[name].chains.items() if chain.startswith("cali-")}


def test_comments_name_the_tool_of_each_part() -> None:
    def heads(*words: str) -> list[str]:
        return [line for line in render("--node", "reference", *words).stdout.splitlines() if line.startswith("#")]

    assert heads() == ["# ipset save", "# iptables-nft-save", "# ip6tables-nft-save"]
    assert heads("--backend", "legacy", "--ip-version", "6") == ["# ipset save", "# ip6tables-legacy-save"]
    assert heads("--format", "restore", "--only", "rules") == [
        "# iptables-restore --noflush", "# ip6tables-restore --noflush",
    ]  # fmt: skip
    assert heads("--only", "sets") == []


def test_without_a_look_at_the_node_that_is_said() -> None:
    done = render("--node", "reference", "--only", "sets")
    assert "the node's own interfaces and tools are not known" in done.stderr
    assert "add cali40this-host 10.20.0.11" in done.stdout


def test_json() -> None:
    document = json.loads(render("--node", "reference", "-n", SNAPSHOT, "--format", "json", "--ip-version", "6").stdout)
    assert [family["ip_version"] for family in document["families"]] == [6]
    assert document["node"] == "reference"


def test_felix_exact_is_passed_on() -> None:
    document = json.loads(render("--node", "reference", "-n", SNAPSHOT, "--format", "json", "--felix-exact").stdout)
    assert document["felix_exact"] is True


def test_without_ipv6_support_there_is_nothing_for_ipv6(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        "apiVersion: projectcalico.org/v3\nkind: FelixConfiguration\n"
        "metadata: {name: default}\nspec: {ipv6Support: false}\n"
    )
    done = render("--node", "n", "--ip-version", "6", "--only", "rules", resources=str(tmp_path))
    assert (done.exit_code, done.stdout) == (0, "")
    assert "Ipv6Support is off" in done.stderr


REFUSED = {
    "two sources": (("--live", "-n", SNAPSHOT), "--live and -n exclude each other"),
    "a back-end that changes nothing": (("--backend", "nft", "--format", "restore"), "--backend is for --format save"),
    "a part of a document": (("--only", "sets", "--format", "json"), "--only is for texts"),
    "a node without a name": (("--node", "",), "--node is empty"),
    "no such form": (("--format", "xml"), "Invalid value for '--format'"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "message"), REFUSED.values(), ids=REFUSED)
def test_words_that_make_no_sense_are_refused(words: tuple[str, ...], message: str) -> None:
    done = render("--node", "reference", *words)
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_snapshot_needs_the_name_of_its_node() -> None:
    assert "a snapshot does not say which node it is of" in render("-n", SNAPSHOT).stderr
