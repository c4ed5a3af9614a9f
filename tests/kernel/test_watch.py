"""The real kernel tells what the agent listens for, with who did it."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.kernel.oracle.namespace import Namespace
from tortie.kernel.legacy import table_sizes
from tortie.kernel.network import Network
from tortie.kernel.observed import ObservedTools
from tortie.kernel.run import run_tool
from tortie.kernel.watch import (
    KernelEvent,
    LinkGone,
    LinkSeen,
    LinkTable,
    RouteTouched,
    SettingTouched,
    TablesTouched,
    watch_links,
    watch_settings,
    watch_tables,
)
from tortie.net.address import IPFamily, parse_address


@pytest.fixture
def inside() -> Iterator[None]:
    namespace = Namespace()
    with namespace:
        run_tool(["ip", "link", "set", "lo", "up"])
        run_tool(["ip", "link", "add", "cali1", "type", "veth", "peer", "name", "peer1"])
        run_tool(["ip", "link", "set", "cali1", "up"])
        run_tool(["ip", "link", "set", "peer1", "up"])
        yield
    namespace.close()


def heard(
    watch: Callable[[], AsyncIterator[KernelEvent]], act: Callable[[], object], enough: Callable[[list[KernelEvent]], bool]
) -> list[KernelEvent]:
    """What is told after an action, until that is enough."""
    found: list[KernelEvent] = []

    async def listen() -> None:
        async for event in watch():
            found.append(event)
            if enough(found):
                return

    async def run() -> None:
        listening = asyncio.create_task(listen())
        await asyncio.sleep(0.7)  # until the socket is bound: pyroute2 is imported first
        act()
        async with asyncio.timeout(10):
            await listening

    asyncio.run(run())
    return found


def test_links_and_addresses(inside: None) -> None:
    table = LinkTable(Network(run_tool).links())

    def act() -> None:
        for line in (
            "link add cali2 type veth peer name peer2",
            "link set cali2 up",
            "link set peer2 up",
            "address add 10.20.0.1/24 dev cali1",
            "link set peer1 down",
            "link delete cali2",
        ):
            run_tool(["ip", *line.split()])

    found = heard(lambda: watch_links(table), act, lambda events: LinkGone("cali2") in events)
    states = [event.running for event in found if isinstance(event, LinkSeen) and event.name == "cali2"]
    assert states[0] is False and True in states
    own = [event for event in found if isinstance(event, LinkSeen) and event.name == "cali1"]
    assert parse_address("10.20.0.1") in own[-1].addresses
    assert [event.running for event in own][-1] is False


def test_routes_and_whose_they_were(inside: None) -> None:
    tools = ObservedTools(lambda: 0.0)
    table = LinkTable(Network(run_tool).links())

    def act() -> None:
        tools(["ip", "route", "add", "10.1.1.1", "dev", "cali1"])
        run_tool(["ip", "route", "del", "10.1.1.1", "dev", "cali1"])

    found = heard(
        lambda: watch_links(table), act, lambda events: sum(isinstance(event, RouteTouched) for event in events) == 2
    )
    ours, theirs = [event for event in found if isinstance(event, RouteTouched)]
    assert (ours.device, tools.ran(ours.process)) == ("cali1", True)
    assert (theirs.device, tools.ran(theirs.process)) == ("cali1", False) and theirs.process


def test_tables_and_who_changed_them(inside: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = ObservedTools(lambda: 0.0)
    text = b"*nat\n:cali-x - -\n-A cali-x -j ACCEPT\nCOMMIT\n"

    def act() -> None:
        tools(["iptables-nft-restore", "--noflush"], text)
        subprocess.run(["nft", "add", "table", "ip6", "filter"], check=True)

    monkeypatch.setenv("XTABLES_LOCKFILE", str(tmp_path / "lock"))
    found = heard(watch_tables, act, lambda events: len(events) == 2)
    ours, theirs = (event for event in found if isinstance(event, TablesTouched))
    assert ours.tables == {(IPFamily.V4, "nat")} and tools.ran(ours.process)
    assert theirs.tables == {(IPFamily.V6, "filter")} and not tools.ran(theirs.process)
    assert (ours.program, theirs.program) == ("iptables-nft-re", "nft")


def test_sizes_of_legacy_tables_change_with_their_rules(
    inside: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XTABLES_LOCKFILE", str(tmp_path / "lock"))
    for family, tool in ((IPFamily.V4, "iptables-legacy"), (IPFamily.V6, "ip6tables-legacy")):
        assert table_sizes(family, ["filter", "nat"]) == {}
        assert run_tool([tool, "-N", "cali-x"]).code == 0
        sizes = [table_sizes(family, ["filter", "nat"])]
        for words in ("-A FORWARD -j cali-x", "-A cali-x -j DROP", "-F cali-x", "-F FORWARD"):
            assert run_tool([tool, *words.split()]).code == 0
            sizes.append(table_sizes(family, ["filter", "nat"]))
        assert all(set(size) == {"filter"} for size in sizes)
        assert all(before != after for before, after in pairwise(sizes))
        assert sizes[0] == sizes[-1]


def test_settings_that_are_written(inside: None) -> None:
    table = LinkTable(Network(run_tool).links())

    def act() -> None:
        for path, value in (("ipv4/conf/cali1/rp_filter", "2"), ("ipv4/conf/cali1/proxy_arp", "1")):
            Path(f"/proc/sys/net/{path}").write_text(value)

    found = heard(lambda: watch_settings(table), act, lambda events: len(events) == 2)
    assert found == [SettingTouched("cali1", (("rp_filter", 2),)), SettingTouched("cali1", (("proxy", 1),))]
