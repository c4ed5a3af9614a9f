"""What the vectors in tests/golden/render leave open about static chains (spec: rules 3, 4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tortie.calc.view import PortRange
from tortie.net.address import IPFamily
from tortie.netfilter.hook import BUILTIN_CHAINS, TableName
from tortie.render import static
from tortie.render.config import RenderConfig
from tortie.render.state import NodeState, RenderContext, render_context

V4, V6 = IPFamily.V4, IPFamily.V6
CONFIG = RenderConfig()


def context(config: RenderConfig, *, ipvs: bool = False) -> RenderContext:
    return render_context(config, NodeState(ipvs=ipvs))


@pytest.mark.parametrize(
    ("table", "ipvs", "expected"),
    [
        (TableName.RAW, False, ["failsafe-in", "failsafe-out", "PREROUTING", "OUTPUT"]),
        (TableName.MANGLE, False, ["failsafe-in", "PREROUTING"]),
        (TableName.FILTER, False, ["FORWARD", "INPUT", "wl-to-host", "failsafe-in", "OUTPUT", "failsafe-out"]),
        (
            TableName.FILTER,
            True,
            [
                "FORWARD",
                "INPUT",
                "wl-to-host",
                "failsafe-in",
                "forward-check",
                "OUTPUT",
                "failsafe-out",
                "forward-endpoint-mark",
            ],
        ),
    ],
)
def test_chains_of_a_table_in_order_of_generation(table: TableName, ipvs: bool, expected: list[str]) -> None:
    assert list(static.static_chains(context(CONFIG, ipvs=ipvs), table, V4)) == [f"cali-{name}" for name in expected]


@pytest.mark.parametrize("table", static.HOOKS)
def test_hooks_hang_on_chains_that_the_kernel_has(table: TableName) -> None:
    assert set(static.HOOKS[table]) <= {hook.value for hook in BUILTIN_CHAINS[table]}


@pytest.mark.parametrize("table", [TableName.RAW, TableName.MANGLE, TableName.FILTER])
def test_without_failsafe_ports_the_chains_are_there_but_empty(table: TableName) -> None:
    chains = static.static_chains(context(replace(CONFIG, failsafe_inbound=(), failsafe_outbound=())), table, V4)
    assert chains["cali-failsafe-in"] == []
    assert chains.get("cali-failsafe-out", []) == []


def test_vxlan_port_is_cut_to_sixteen_bits() -> None:
    vxlan = context(replace(CONFIG, vxlan_enabled=True, vxlan_port=65536 + 4789))
    assert "--destination-ports 4789 " in static.input_rules(vxlan, V4)[0].words


def test_node_ports_are_split_by_fifteen_and_tcp_stands_before_udp() -> None:
    ranges = tuple(PortRange(first, first + 1) for first in range(100, 180, 10))
    rules = static.forward_check_rules(context(replace(CONFIG, node_port_ranges=ranges), ipvs=True), V4)
    assert [rule.words.split("-p ")[1].split(" ")[0] for rule in rules[1:-1]] == ["tcp", "udp", "tcp", "udp"]
    assert rules[1].words.count(":") == 7
    assert rules[3].words.count(":") == 1
