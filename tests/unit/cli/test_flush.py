"""`tortie flush` over a fake kernel: everything of ours, in every back-end, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from click.testing import CliRunner

from tests.contract.programming import BUSY, FELIX_1, FELIX_1_SETS, FOREIGN, planner
from tests.fakes.tools import FakeTools
from tortie.cli.flush import Removed, has_tool, remove_all
from tortie.cli.main import main
from tortie.kernel.run import Ran
from tortie.kernel.settle import settle
from tortie.kernel.tables import Tables
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend


def programmed(*backends: Backend) -> FakeTools:
    """A node whose back-ends hold rules of ours beside others'."""
    run = FakeTools()
    assert run(["ipset", "restore"], FELIX_1_SETS.encode()).code == 0
    for backend in backends:
        assert run([f"iptables-{backend.value}-restore", "--noflush"], (FOREIGN + FELIX_1).encode()).code == 0
    for backend in backends:
        settle(Tables(run, backend, IPFamily), planner(BUSY), lambda _: None)
    return run


def rules(run: FakeTools, backend: Backend) -> str:
    return run([f"iptables-{backend.value}-save"]).out.decode()


@pytest.mark.parametrize("backends", [(Backend.NFT,), (Backend.LEGACY,), tuple(Backend)], ids=str)
def test_all_of_ours_goes_and_nothing_of_others(backends: tuple[Backend, ...]) -> None:
    run = programmed(*backends)
    done = remove_all(run, lambda _: None, Backend)
    assert done.steps > 0
    assert (done.failures, done.remarks) == ((), ())
    for backend in backends:
        left = rules(run, backend)
        assert "cali" not in left
        assert "felix" not in left
        assert "-A FORWARD -s 10.9.0.0/16 -j theirs" in left
        assert "-A POSTROUTING -o eth9 -j MASQUERADE" in left
    assert set(run.kernel.ip_sets) == {"theirs"}
    assert remove_all(run, pytest.fail, Backend) == Removed()


def test_one_back_end_alone() -> None:
    run = programmed(*Backend)
    kept = rules(run, Backend.NFT)
    remove_all(run, lambda _: None, [Backend.LEGACY])
    assert "cali" not in rules(run, Backend.LEGACY)
    assert rules(run, Backend.NFT) == kept


def test_a_back_end_that_is_not_installed_is_passed_over() -> None:
    run = programmed(Backend.LEGACY)
    run.missing = tuple(f"{stem}-nft-{verb}" for stem in ("iptables", "ip6tables") for verb in ("save", "restore"))
    assert not has_tool(run, "iptables", Backend.NFT)
    assert has_tool(run, "iptables", Backend.LEGACY)
    remove_all(run, lambda _: None, Backend)
    assert "cali" not in rules(run, Backend.LEGACY)


def test_what_cannot_be_read_keeps_nothing_else_from_being_cleaned() -> None:
    tools = programmed(Backend.LEGACY)

    def run(command: Sequence[str], data: bytes = b"") -> Ran:
        if command == ["ip6tables-legacy-save"]:
            return Ran(3, error="modprobe: FATAL: Module ip6_tables not found\n")
        return tools(command, data)

    done = remove_all(run, lambda _: None, Backend)
    assert done.failures == ("`ip6tables-legacy-save`: modprobe: FATAL: Module ip6_tables not found",)
    assert "cali" not in rules(tools, Backend.LEGACY)
    left = {name for name in tools.kernel.ip_sets if name.startswith("cali4")}
    assert left == set()


def test_what_all_of_them_refuse_is_told_once_and_by_whom_it_can_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: Sequence[str], data: bytes = b"") -> Ran:
        return Ran(0) if "--version" in command else Ran(1, error="ipset v7.17: Kernel error: Operation not permitted\n")

    done = remove_all(run, lambda _: None, Backend)
    assert done.failures == ("`ipset save`: ipset v7.17: Kernel error: Operation not permitted",)
    monkeypatch.setattr("tortie.kernel.run.run_tool", run)
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    found = CliRunner().invoke(main, ["flush", "--yes"], catch_exceptions=False)
    assert (found.exit_code, found.stderr) == (1, f"tortie: {done.failures[0]} (this needs root)\n")


def test_without_any_tool_that_is_told() -> None:
    done = remove_all(lambda command, data=b"": Ran(127), pytest.fail, Backend)
    assert done == Removed(failures=("iptables is not installed",))


def test_somebody_must_agree() -> None:
    done = CliRunner().invoke(main, ["flush"], catch_exceptions=False)
    assert done.exit_code == 2
    assert "say --yes" in done.stderr
