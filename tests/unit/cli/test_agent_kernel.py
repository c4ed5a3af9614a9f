"""The agent's ports over the kernel's tools: what becomes of refusals and events."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.scenario.world import fake_node
from tests.unit.render.test_ruleset import BUSY, rendered
from tortie.agent.event import Damaged, InterfaceChanged
from tortie.agent.interface import Interface
from tortie.agent.port import CannotRead
from tortie.agent.report import Part
from tortie.cli.agent_kernel import KernelRules, KernelWatch, LegacyWatch, NodeNetwork, observed_tools
from tortie.kernel.observed import ObservedTools
from tortie.kernel.run import Ran
from tortie.kernel.watch import KernelEvent, LinkGone, LinkSeen, MessagesLost, RouteTouched, SettingTouched, TablesTouched
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend
from tortie.reconcile.network import WantedNetwork

MADE = rendered(BUSY)


def tools_of(tmp_path: Path) -> tuple[object, ObservedTools]:
    node = fake_node(tmp_path)
    return node, ObservedTools(iter(range(10**6)).__next__, ("cali-",), ("cali4", "cali6"), node)


def test_what_was_programmed_is_intact_until_somebody_meddles(tmp_path: Path) -> None:
    node, tools = tools_of(tmp_path)
    rules = KernelRules(tools, Backend.LEGACY, pytest.fail)
    assert not rules.intact(rules=True, sets=True)
    report = rules.program(MADE)
    assert report.steps and report.refused is None and report.first_step
    assert rules.intact(rules=True, sets=True)
    node.tables.kernel.restore(IPFamily.V4, Backend.LEGACY, "*filter\n-F cali-FORWARD\nCOMMIT\n")  # type: ignore[attr-defined]
    assert not rules.intact(rules=True, sets=False)
    assert rules.intact(rules=False, sets=True)


def test_where_rules_have_a_number_only_another_one_is_looked_at(tmp_path: Path) -> None:
    _, tools = tools_of(tmp_path)
    others = [0]
    rules = KernelRules(tools, Backend.LEGACY, pytest.fail, lambda: tools.counts["iptables-restore calls"] + others[0])
    rules.program(MADE)
    listings = tools.counts["iptables-save calls"]
    assert rules.intact(rules=True, sets=False) and rules.intact(rules=True, sets=True)
    assert tools.counts["iptables-save calls"] == listings
    others[0] = 1
    assert rules.intact(rules=True, sets=False)
    assert tools.counts["iptables-save calls"] > listings


def refusing(command: Sequence[str], data: bytes = b"") -> Ran:
    return Ran(1, error="no such thing\n")


def test_a_refusal_is_a_report() -> None:
    tools = ObservedTools(iter(range(10**6)).__next__, run=refusing)
    pauses: list[float] = []
    report = KernelRules(tools, Backend.LEGACY, pauses.append).program(MADE)
    assert report.refused is not None and "no such thing" in report.refused
    assert len(pauses) == 11


def test_a_network_that_cannot_be_read_says_so() -> None:
    network = NodeNetwork(ObservedTools(iter(range(100)).__next__, run=refusing))
    with pytest.raises(CannotRead, match="no such thing"):
        network.interfaces()
    with pytest.raises(CannotRead, match="no such thing"):
        network.read(WantedNetwork(("cali",), "vxlan.calico"))


def test_the_source_check_of_all_interfaces(tmp_path: Path) -> None:
    node, tools = tools_of(tmp_path)
    network = NodeNetwork(tools, node.network.sysctls)  # type: ignore[attr-defined]
    assert network.all_rp_filter() == "0"
    assert NodeNetwork(tools, tmp_path / "nothing").all_rp_filter() is None


def told(event: KernelEvent) -> list[InterfaceChanged | Damaged]:
    tools = observed_tools()
    tools._started(77)
    return list(KernelWatch(tools, NodeNetwork(tools))._told(event))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (LinkSeen("cali1", True, frozenset()), [InterfaceChanged("cali1", Interface("cali1"))]),
        (LinkGone("cali1"), [InterfaceChanged("cali1", None)]),
        (RouteTouched("cali1", 5), [Damaged(Part.NETWORK, "process 5 changed a route by cali1", "cali1")]),
        (RouteTouched("cali1", 77), []),
        (RouteTouched("cali1", 0), []),
        (SettingTouched("cali1", (("rp_filter", 0),)), [Damaged(Part.NETWORK, "")]),
        (SettingTouched("cali1", (("rp_filter", 1), ("proxy", 1))), []),
        (
            TablesTouched(frozenset({(IPFamily.V4, "nat"), (IPFamily.V4, "filter")}), 5, "nft"),
            [Damaged(Part.CHECK_RULES, "nft (5) changed filter, nat")],
        ),
        (TablesTouched(frozenset({(IPFamily.V4, "nat")}), 77, "iptables"), []),
        (TablesTouched(frozenset({(IPFamily.V4, "theirs")}), 5, "nft"), []),
        (MessagesLost("nf_tables"), [Damaged(Part.CHECK_RULES, "")]),
        (MessagesLost("routes"), [Damaged(Part.NETWORK, "")]),
    ],
    ids=[
        "link", "link gone", "route", "our own route", "the kernel's own doing", "setting", "setting as ours",
        "tables", "our own tables",
        "other tables", "lost", "routes lost",
    ],
)  # fmt: skip
def test_what_the_kernel_tells(event: KernelEvent, expected: list[InterfaceChanged | Damaged]) -> None:
    assert told(event) == expected


def test_all_events_come_from_one_watch() -> None:
    async def first() -> None:
        tools = observed_tools()
        stream = KernelWatch(tools, NodeNetwork(tools)).events()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(stream)

    asyncio.run(first())


@pytest.mark.parametrize(
    ("changes", "by_us", "told"),
    [
        ({}, False, []),
        ({"filter": (9,)}, False, ["another program changed iptables -t filter"]),
        ({"filter": (9,)}, True, []),
        ({"raw": (1,)}, False, []),
    ],
    ids=["nothing", "by others", "by us", "a new table"],
)
def test_sizes_of_legacy_tables_tell_of_damage(changes: dict[str, tuple[int, ...]], by_us: bool, told: list[str]) -> None:
    tools = observed_tools()
    sizes: dict[str, tuple[int, ...]] = {"filter": (1,), "nat": (2,)}
    rounds = 0

    async def wait(_: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 2:
            sizes.update(changes)
            tools.counts["iptables-restore calls"] += by_us
        if rounds == 4:
            raise EOFError

    async def listen() -> list[str]:
        found = []
        with suppress(EOFError):
            async for event in LegacyWatch(tools, wait, lambda family, _: sizes if family is IPFamily.V4 else {}).events():
                assert isinstance(event, Damaged) and event.part is Part.CHECK_RULES
                found.append(event.what)
        return found

    # The same dictionary is looked at twice, so each look must be taken as it was.
    assert asyncio.run(listen()) == told
