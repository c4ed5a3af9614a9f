"""Hooks, tables, priorities and built-in chains: the skeleton every walk follows, declared as tables.

Sources: linux/netfilter_ipv4.h (priorities), and the checks recorded in spec netfilter 1.1, 1.2.
"""

from __future__ import annotations

from enum import Enum


class Hook(Enum):
    """The five places where netfilter looks at an IP packet; `value` is the built-in chain's name."""

    PREROUTING = "PREROUTING"
    INPUT = "INPUT"
    FORWARD = "FORWARD"
    OUTPUT = "OUTPUT"
    POSTROUTING = "POSTROUTING"

    __hash__ = object.__hash__


class TableName(Enum):
    """The five tables of iptables."""

    RAW = "raw"
    MANGLE = "mangle"
    NAT = "nat"
    FILTER = "filter"
    SECURITY = "security"


class Backend(Enum):
    """Which kernel interface holds the rules; both may be loaded at once and then both act (spec: netfilter 9.6)."""

    LEGACY = "legacy"
    NFT = "nft"


BUILTIN_CHAINS: dict[TableName, tuple[Hook, ...]] = {
    TableName.RAW: (Hook.PREROUTING, Hook.OUTPUT),
    TableName.MANGLE: (Hook.PREROUTING, Hook.INPUT, Hook.FORWARD, Hook.OUTPUT, Hook.POSTROUTING),
    TableName.NAT: (Hook.PREROUTING, Hook.INPUT, Hook.OUTPUT, Hook.POSTROUTING),
    TableName.FILTER: (Hook.INPUT, Hook.FORWARD, Hook.OUTPUT),
    TableName.SECURITY: (Hook.INPUT, Hook.FORWARD, Hook.OUTPUT),
}
"""Built-in chains of each table in the order iptables-save prints them."""

NAT_DST_PRIORITY = -100
NAT_SRC_PRIORITY = 100
DEFRAG_PRIORITY = -400
CONNTRACK_PRIORITY = -200

TABLE_PRIORITY: dict[TableName, int] = {
    TableName.RAW: -300,
    TableName.MANGLE: -150,
    TableName.FILTER: 0,
    TableName.SECURITY: 50,
}
"""Priority of every table but nat, whose place depends on the hook."""


def table_priority(table: TableName, hook: Hook) -> int:
    """The priority of a table at a hook: lower runs first."""
    if table is TableName.NAT:
        return NAT_DST_PRIORITY if hook in (Hook.PREROUTING, Hook.OUTPUT) else NAT_SRC_PRIORITY
    return TABLE_PRIORITY[table]
