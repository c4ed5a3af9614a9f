from __future__ import annotations

import pytest

from tests.builders import chain, comment, ruleset, table
from tortie.netfilter.hook import TableName
from tortie.netfilter.match import InInterfaceMatch, MarkMatch
from tortie.netfilter.rule import Rule, Ruleset
from tortie.netfilter.target import Accept, Drop, Goto, Jump, MarkTarget, Return
from tortie.simulator.mark_layout import MarkLayout, describe_mark, read_mark_layout


def calico(accept: int, passed: int, scratch0: int, scratch1: int, endpoint: int = 0) -> Ruleset:
    """The rules of Felix that show the bits (spec: rules 3.1, 3.5, 3.6, 6.2)."""
    four = accept | passed | scratch0 | scratch1
    ipvs = (Rule((), MarkTarget(0, endpoint)),) if endpoint else ()
    return ruleset(
        table(
            TableName.RAW,
            chain(
                "cali-PREROUTING",
                Rule((), MarkTarget(0, four)),
                Rule((InInterfaceMatch("cali+"),), MarkTarget(scratch0, scratch0)),
                Rule((MarkMatch(0, scratch0),), Jump("cali-from-host-endpoint")),
                Rule((MarkMatch(accept, accept),), Accept()),
            ),
        ),
        table(
            TableName.FILTER,
            chain("cali-INPUT", *ipvs, Rule((InInterfaceMatch("cali+"),), Goto("cali-wl-to-host"))),
            chain(
                "cali-FORWARD",
                Rule((), MarkTarget(0, four & ~accept)),
                Rule((comment("Policy explicitly accepted packet."), MarkMatch(accept, accept)), Accept()),
            ),
            chain("cali-tw-cali1", Rule((comment("Start of policies"),), MarkTarget(0, passed))),
        ),
    )


@pytest.mark.parametrize(
    "bits",
    [(0x10000, 0x20000, 0x40000, 0x80000), (0x10, 0x20, 0x40, 0x80), (0x1, 0x100, 0x4000, 0x80000000)],
    ids=["default", "low", "scattered"],
)
def test_calico_bits_are_read_from_the_rules(bits: tuple[int, int, int, int]) -> None:
    layout = read_mark_layout([calico(*bits)])
    assert [bit.mask for bit in layout.bits] == sorted(bits)
    assert [bit.name for bit in layout.bits] == ["accept", "pass", "scratch 0", "scratch 1"]
    assert layout.accept == bits[0]
    assert not layout.assumed


@pytest.mark.parametrize("endpoint", [0xFFF00000, 0xF000], ids=["wide", "four-bits"])
def test_the_endpoint_block_is_read_from_the_rules(endpoint: int) -> None:
    layout = read_mark_layout([calico(0x10000, 0x20000, 0x40000, 0x80000, endpoint)])
    assert layout.endpoint_mask == endpoint
    assert not layout.assumed


def test_without_ipvs_there_is_no_endpoint_block() -> None:
    assert read_mark_layout([calico(0x10000, 0x20000, 0x40000, 0x80000)]).endpoint_mask == 0


def test_bits_that_no_rule_shows_are_the_default_ones_and_said_to_be_assumed() -> None:
    layout = read_mark_layout([ruleset(table(TableName.FILTER, chain("cali-tw-cali1", Rule((), Drop()))))])
    assert layout.assumed
    assert describe_mark(0x10000, layout) == "accept"


def test_a_filter_table_alone_shows_the_bits_it_uses() -> None:
    rules = ruleset(
        table(
            TableName.FILTER,
            chain("cali-FORWARD", Rule((), MarkTarget(0, 0x0E))),
            chain("cali-tw-cali1", Rule((comment("Return if policy accepted"), MarkMatch(1, 1)), Return())),
        )
    )
    layout = read_mark_layout([rules])
    assert [bit.mask for bit in layout.bits] == [1, 2, 4, 8]
    assert not layout.assumed


def test_kubernetes_bits_are_read_from_the_chains_that_set_them() -> None:
    rules = ruleset(
        table(
            TableName.NAT,
            chain("KUBE-MARK-MASQ", Rule((), MarkTarget(0x4000, 0x4000))),
            chain("KUBE-MARK-DROP", Rule((), MarkTarget(0x8000, 0x8000))),
        )
    )
    layout = read_mark_layout([rules])
    assert [(bit.mask, bit.name) for bit in layout.bits] == [(0x4000, "masquerade"), (0x8000, "kube drop")]
    assert layout.accept == 0


def test_no_calico_and_no_kubernetes_is_no_layout() -> None:
    layout = read_mark_layout([ruleset(table(TableName.FILTER, chain("FORWARD", Rule((), MarkTarget(1, 1)))))])
    assert layout == MarkLayout()
    assert describe_mark(0x10000, layout) == ""


@pytest.mark.parametrize(
    ("mark", "where", "expected"),
    [
        (0x0, None, ""),
        (0x30000, None, "accept, pass"),
        (0x40000, TableName.RAW, "from workload"),
        (0x40000, TableName.FILTER, "scratch 0"),
        (0x100000, None, "not from a Calico endpoint"),
        (0x3A510000, None, "accept, endpoint 0x3a500000"),
        (0x10001, None, "accept, 0x1 of others"),
        (0x1, None, ""),
    ],
)
def test_a_mark_is_told_by_its_bits(mark: int, where: TableName | None, expected: str) -> None:
    layout = read_mark_layout([calico(0x10000, 0x20000, 0x40000, 0x80000, 0xFFF00000)])
    assert describe_mark(mark, layout, where) == expected
