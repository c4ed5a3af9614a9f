"""`tortie ipam`: its tables, and how bad input ends; the rest is over a real etcd (tests/contract/)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from tortie.cli.ipam import format_grid
from tortie.cli.main import main
from tortie.cli.resource_files import load_resources
from tortie.ipam.assign import AssignRequest, assign_address
from tortie.net.address import parse_address
from tortie.source.file_ipam import FileIpam


def test_a_grid_has_its_headings_in_the_middle() -> None:
    assert format_grid([("IP", "LONG HEADING"), ("10.0.0.1", "x")]) == (
        "+----------+--------------+\n"
        "|    IP    | LONG HEADING |\n"
        "+----------+--------------+\n"
        "| 10.0.0.1 | x            |\n"
        "+----------+--------------+\n"
    )


def test_a_grid_without_rows_is_a_heading() -> None:
    assert format_grid([("IP",)]) == "+----+\n| IP |\n+----+\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("show", "--ip", "10.0.0"), "not an IP address: '10.0.0'"),
        (("show", "--ip", "10.0.0.1", "--show-blocks"), "these options exclude each other"),
        (("show", "--show-borrowed", "--show-blocks"), "these options exclude each other"),
        (("release",), "Missing option '--ip'"),
        (("release", "--ip", "x"), "not an IP address: 'x'"),
        (("show", "--files", "/nothing"), "/nothing: no such directory (give the ipam_dir of tortie-cni)"),
        (("show", "--files", "/tmp"), "--files needs to know the pools"),
        (("show", "--files", "/tmp", "-c", "x"), "--files and --config exclude each other"),
        (("show", "--resources", "x"), "--resources goes with --files"),
        (("show",), "no etcd endpoints specified"),
        (("show", "-c", "/nothing.cfg"), "/nothing.cfg: cannot be read"),
    ],
)
def test_bad_input_is_one_line(words: tuple[str, ...], message: str) -> None:
    found = CliRunner().invoke(main, ["ipam", *words], env={"ETCD_ENDPOINTS": ""})
    assert found.exit_code == 2
    assert message in found.stderr
    assert found.stderr.count("\n") == 1


def test_addresses_in_files_are_shown_and_released(tmp_path: Path) -> None:
    resources = tmp_path / "pool.yaml"
    resources.write_text(
        "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: p}\nspec: {cidr: 10.65.0.0/24}\n---\n"
        "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: n1}\n"
    )
    place = tmp_path / "ipam"
    store = FileIpam(place, load_resources([str(resources)]))
    asyncio.run(store.run(assign_address(parse_address("10.65.0.7"), AssignRequest("n1", handle="h"))))
    where = ("--files", str(place), "--resources", str(resources))

    def ipam(*words: str) -> tuple[int, str]:
        found = CliRunner().invoke(main, ["ipam", *words, *where])
        return found.exit_code, found.stdout

    assert "| IP Pool  | 10.65.0.0/24 | 256       | 1 (0%)     | 255 (100%) |" in ipam("show")[1]
    assert ipam("show", "--ip", "10.65.0.7")[1].startswith("IP 10.65.0.7 is in use\n")
    assert ipam("release", "--ip", "10.65.0.7") == (0, "Successfully released IP address 10.65.0.7\n")
    assert ipam("release", "--ip", "10.65.0.7")[0] == 1
