"""`tortie bgp`: what it prints, writes and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.unit.bgp.cluster import NODES, affinity, pool
from tortie.cli.bgp import daemons, kept_claims, shown
from tortie.cli.main import main


@pytest.fixture
def resources(tmp_path: Path) -> str:
    path = tmp_path / "cluster.yaml"
    path.write_text("---\n".join((NODES, pool("p", "10.65.0.0/16"), affinity("a", "10.65.0.0/26"))))
    return str(path)


def _run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["bgp", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_the_configuration_is_printed(resources: str) -> None:
    code, out, _ = _run(resources, "--node", "a")
    assert code == 0
    assert out.startswith("router id 10.0.0.1;\n")
    assert "protocol bgp Mesh_10_0_0_2 from bgp_template {" in out


def test_several_files_are_told_apart(resources: str) -> None:
    _, out, _ = _run(resources, "--node", "a", "--bird", "1.6")
    names = [line.removeprefix("# --- ") for line in out.splitlines() if line.startswith("# --- ")]
    assert names == ["bird_aggr.cfg", "bird_ipam.cfg", "bird.cfg", "bird6_aggr.cfg", "bird6_ipam.cfg", "bird6.cfg"]


def test_a_router_id_of_the_users(resources: str) -> None:
    assert "router id 9.9.9.9;" in _run(resources, "--node", "a", "--router-id", "9.9.9.9")[1]


REFUSED = {
    "no node of that name": (["--node", "x"], "there is no Node(x) (nodes that there are: a, b, c, r)"),
    "not a router id": (
        ["--node", "a", "--router-id", "nine"],
        "--router-id nine: not a router id (a dotted quad, or hash)",
    ),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED)
def test_bad_input(resources: str, options: list[str], message: str) -> None:
    assert _run(resources, *options) == (2, "", f"tortie: {message}\n")


def test_a_directory_of_blocks_that_is_not_there_is_told_and_not_made(resources: str, tmp_path: Path) -> None:
    where = tmp_path / "ipam"
    said = f"tortie: {where}: no such directory (give the ipam_dir of tortie-cni)\n"
    assert _run(resources, "--node", "a", "--ipam-dir", str(where)) == (2, "", said)
    assert kept_claims(str(where), "a") == ()
    assert not where.exists()


def test_no_resources_at_all() -> None:
    assert _run() == (2, "", "tortie: no resources are given (name files, directories, or -)\n")


def test_one_file_is_shown_as_it_is() -> None:
    assert shown({"bird.conf": "one\n"}) == "one\n"
    assert shown({"a": "one\n", "b": "two\n"}) == "# --- a\none\n\n# --- b\ntwo\n"


def test_before_bird_2_there_is_a_daemon_a_family(tmp_path: Path) -> None:
    assert [daemon.main_file for daemon in daemons(tmp_path, "2")] == ["bird.conf"]
    assert [(daemon.main_file, daemon.control.name) for daemon in daemons(tmp_path, "1.6")] == [
        ("bird.cfg", "bird.ctl"),
        ("bird6.cfg", "bird6.ctl"),
    ]


def test_felixs_variables_say_where_etcd_is_as_they_do_to_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FELIX_ETCDENDPOINTS", "nowhere")
    code, _, error = _run("--source", "etcd", "--node", "a", "-o", str(tmp_path))
    assert (code, "'nowhere' is not an endpoint of etcd" in error) == (2, True)
