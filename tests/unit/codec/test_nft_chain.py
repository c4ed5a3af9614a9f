"""Base chains that see packets beside those of iptables, as nft 1.0.6 lists them."""

from __future__ import annotations

import pytest

from tortie.codec.nft_chain import parse_foreign_chains
from tortie.net.error import InvalidInput
from tortie.netfilter.snapshot import ForeignChain

LISTED = """\
table ip filter {
	chain INPUT {
		type filter hook input priority 0; policy accept;
	}
	chain cali-INPUT {
	}
}
table inet foo {
	chain c {
		type filter hook input priority -1; policy drop;
	}
	chain d {
	}
}
"""


def test_chains_of_iptables_and_chains_without_a_hook_are_left_out() -> None:
    assert parse_foreign_chains(LISTED) == (ForeignChain("inet", "foo", "c", "filter", "input", -1, "drop"),)


LINES = {
    "named priority": ("inet", "type filter hook input priority filter; policy accept;", "filter", "input", 0, "accept"),
    "before a named priority": ("ip", "type nat hook output priority dstnat - 5;", "nat", "output", -105, None),
    "after a named priority": ("ip6", "type nat hook postrouting priority srcnat + 1;", "nat", "postrouting", 101, None),
    "before a numbered priority": ("ip", "type route hook output priority -150 - 1;", "route", "output", -151, None),
    "bridge": ("bridge", "type filter hook forward priority filter;", "filter", "forward", -200, None),
    "device": (
        "netdev",
        'type filter hook ingress device "eth0" priority 0; policy accept;',
        "filter",
        "ingress",
        0,
        "accept",
    ),
    "devices": ("netdev", "type filter hook egress devices = { a, b } priority 5;", "filter", "egress", 5, None),
    "flags": ("ip", "type filter hook input priority 0; policy accept; flags offload;", "filter", "input", 0, "accept"),
}


@pytest.mark.parametrize(("family", "line", "kind", "hook", "priority", "policy"), LINES.values(), ids=LINES.keys())
def test_where_a_chain_hangs(family: str, line: str, kind: str, hook: str, priority: int, policy: str | None) -> None:
    text = f"table {family} t {{\n\tchain c {{\n\t\t{line}\n\t}}\n}}\n"
    assert parse_foreign_chains(text) == (ForeignChain(family, "t", "c", kind, hook, priority, policy),)


def test_a_chain_of_another_family_with_iptables_names_is_foreign() -> None:
    text = LISTED.replace("table ip filter", "table inet filter")
    assert [chain.family for chain in parse_foreign_chains(text)] == ["inet", "inet"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chain c {\n}\n", "no line of"),
        ("table ip t {\n\tchain c {\n\t\ttype filter hook input priority loud;\n", "not a priority"),
        ("table ip t {\n\tchain c {\n\t\ttcp dport 80 accept\n", "no line of"),
        ("-A INPUT -j ACCEPT\n", "no line of"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse_foreign_chains(text)
