"""What runs at each hook, in which order, and whether tracking runs at all (spec: netfilter 1, 2.5, 4.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.node_builder import V4, V6, hits, left_as, node, packet, walk_packet
from tortie.net.node import PolicyRule
from tortie.netfilter.conntrack import ConnEntry, ConnTuple
from tortie.netfilter.snapshot import ForeignChain
from tortie.simulator.trace import ConntrackStep, RuleStep, Trace, Verdict
from tortie.simulator.walk import Node

UDP = packet("udp", "10.0.0.5:1", "10.1.0.9:2")
LOCAL = packet("udp", "10.1.0.1:1", "8.8.8.8:53")

TABLES = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}
ALL_TABLES = "\n".join(f"*{name}\n" + "\n".join(f":{chain} ACCEPT" for chain in chains) for name, chains in TABLES.items())
TRACKED = f"{ALL_TABLES}\n-A OUTPUT -m conntrack --ctstate NEW"

ORDER = {
    "forwarded": (
        UDP, "e0",
        "raw:PREROUTING mangle:PREROUTING nat:PREROUTING mangle:FORWARD filter:FORWARD security:FORWARD mangle:POSTROUTING "
        "nat:POSTROUTING",
    ),
    "to this node": (
        packet("udp", "10.0.0.5:1", "10.0.0.1:2"), "e0",
        "raw:PREROUTING mangle:PREROUTING nat:PREROUTING mangle:INPUT filter:INPUT security:INPUT nat:INPUT",
    ),
    "from this node": (
        packet("udp", "10.1.0.1:1", "10.1.0.9:2"), None,
        "raw:OUTPUT mangle:OUTPUT nat:OUTPUT filter:OUTPUT security:OUTPUT mangle:POSTROUTING nat:POSTROUTING",
    ),
    "from this node to itself": (
        packet("udp", "10.1.0.1:1", "10.0.0.1:2"), None,
        "raw:OUTPUT mangle:OUTPUT nat:OUTPUT filter:OUTPUT security:OUTPUT mangle:POSTROUTING nat:POSTROUTING "
        "raw:PREROUTING mangle:PREROUTING mangle:INPUT filter:INPUT security:INPUT",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ORDER)
def test_the_order_of_tables(name: str) -> None:
    sent, device, expected = ORDER[name]
    trace = walk_packet(node(TRACKED), sent, device).trace
    assert [hit.rpartition(":")[0] for hit in hits(trace) if ":P" in hit] == expected.split()


# --- tracking ----------------------------------------------------------------------------------------------------

NAT_ONLY = "*nat\n:PREROUTING ACCEPT\n:POSTROUTING ACCEPT\n-A PREROUTING -p udp\n-A POSTROUTING -p udp -j ACCEPT"
TRACKS = {
    "V01: nat rules without a translation do not need it": (NAT_ONLY, False),
    "V02: a test of the state anywhere does": (
        NAT_ONLY + "\n*filter\n:INPUT ACCEPT\n-A INPUT -m conntrack --ctstate NEW",
        True,
    ),
    "V104: even in a chain nobody calls": ("*filter\n:QQ -\n-A QQ -m state --state NEW", True),
    "V103: not tracking does not": ("*raw\n:OUTPUT ACCEPT\n-A OUTPUT -j CT --notrack", False),
    "a translation does": ("*nat\n:POSTROUTING ACCEPT\n-A POSTROUTING -j MASQUERADE", True),
    "the connection's mark does": ("*mangle\n:INPUT ACCEPT\n-A INPUT -j CONNMARK --save-mark", True),
    "a set does not": ("*filter\n:INPUT ACCEPT\n-A INPUT -m set --match-set s src", False),
}


@pytest.mark.parametrize("name", TRACKS)
def test_when_tracking_runs(name: str) -> None:
    rules, runs = TRACKS[name]
    trace = walk_packet(node(rules), UDP).trace
    assert any(isinstance(step, ConntrackStep) for step in trace.steps) is runs
    if rules.startswith(NAT_ONLY):
        assert any("nat:" in hit for hit in hits(trace)) is runs


def test_a_translation_in_one_family_does_not_track_the_other() -> None:
    """V03."""
    masquerade = "*nat\n:POSTROUTING ACCEPT\n-A POSTROUTING -j MASQUERADE"
    made = node(masquerade, "*nat\n:POSTROUTING ACCEPT\n-A POSTROUTING -p udp")
    assert hits(walk_packet(made, packet("udp", "[fd00::5]:1", "[fd00:1::9]:2")).trace) == []


def test_a_table_that_could_not_be_read_leaves_the_walk_unknown() -> None:
    made = node("# Table `nat' is incompatible, use 'nft' tool.\n*filter\n:FORWARD ACCEPT")
    walked = walk_packet(made, UDP)
    assert walked.verdict is Verdict.UNKNOWN
    assert any("does not read" in text for text in walked.trace.assumptions)


# --- routing again -----------------------------------------------------------------------------------------------

MARKED = (PolicyRule(V4, 100, mark=0x64, table="100"), PolicyRule(V6, 100, mark=0x64, table="100"))
ROUTES = (
    "0.0.0.0/0 via 10.1.0.254 dev e1; 0.0.0.0/0 via 10.3.0.254 dev e3 table 100; 50.0.0.0/8 via 10.2.0.254 dev e2; "
    "::/0 via fd00:1::ff dev e1; ::/0 via fd00:3::ff dev e3 table 100"
)


def output(rules: str, sent: str = "4") -> Trace:
    made = node(rules, rules, routes=ROUTES, policy=MARKED)
    return walk_packet(made, LOCAL if sent == "4" else packet("udp", "[fd00:1::1]:1", "[2001:db8::8]:53"), None).trace


REROUTED = {
    "V23: a mark in mangle": ("*mangle\n:OUTPUT ACCEPT\n-A OUTPUT -j MARK --set-mark 0x64", "4", "e3"),
    "V24: a mark in raw": ("*raw\n:OUTPUT ACCEPT\n-A OUTPUT -j MARK --set-mark 0x64", "4", "e1"),
    "V24: a mark in filter": ("*filter\n:OUTPUT ACCEPT\n-A OUTPUT -j MARK --set-mark 0x64", "4", "e1"),
    "V25: a mark in raw and another TOS in mangle": (
        "*raw\n:OUTPUT ACCEPT\n-A OUTPUT -j MARK --set-mark 0x64\n*mangle\n:OUTPUT ACCEPT\n-A OUTPUT -j TOS --set-tos 0x10",
        "4", "e3",
    ),
    "V26: another TTL does not": (
        "*raw\n:OUTPUT ACCEPT\n-A OUTPUT -j MARK --set-mark 0x64\n*mangle\n:OUTPUT ACCEPT\n-A OUTPUT -j TTL --ttl-set 9",
        "4", "e1",
    ),
    "V26: another hop limit does": (
        "*raw\n:OUTPUT ACCEPT\n-A OUTPUT -j MARK --set-mark 0x64\n*mangle\n:OUTPUT ACCEPT\n-A OUTPUT -j HL --hl-set 9",
        "6", "e3",
    ),
    "V27: another destination": (
        "*nat\n:OUTPUT ACCEPT\n-A OUTPUT -p udp -j DNAT --to-destination 50.1.1.1", "4", "e2",
    ),
    "V28: another destination, and then the mark counts too": (
        "*nat\n:OUTPUT ACCEPT\n-A OUTPUT -j MARK --set-mark 0x64\n-A OUTPUT -p udp -j DNAT --to-destination 8.8.4.4",
        "4", "e3",
    ),
    "another port alone does not": (
        "*nat\n:OUTPUT ACCEPT\n-A OUTPUT -j MARK --set-mark 0x64\n-A OUTPUT -p udp -j DNAT --to-destination 8.8.8.8:99",
        "4", "e1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REROUTED)
def test_what_makes_a_local_packet_be_routed_again(name: str) -> None:
    rules, family, device = REROUTED[name]
    assert left_as(output(rules, family)).split()[0] == device


def test_later_output_chains_still_see_the_old_device() -> None:
    """V23, V27."""
    rules = (
        "*mangle\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\n-A OUTPUT -j MARK --set-mark 0x64\n-A POSTROUTING -o e3\n"
        "*filter\n:OUTPUT ACCEPT\n-A OUTPUT -o e1\n-A OUTPUT -o e3"
    )
    matched = [f"{step.chain}:{step.number}" for step in output(rules).steps if isinstance(step, RuleStep) and step.matched]
    assert matched == ["OUTPUT:1", "OUTPUT:1", "POSTROUTING:1"]


def test_a_way_that_is_closed_fails_the_send() -> None:
    """V29."""
    rules = "*mangle\n:OUTPUT ACCEPT\n-A OUTPUT -j MARK --set-mark 0x64"
    for kind, errno in (("unreachable", "EHOSTUNREACH"), ("blackhole", "EINVAL"), ("prohibit", "EACCES")):
        made = node(rules, routes=f"0.0.0.0/0 via 10.1.0.254 dev e1; {kind} 0.0.0.0/0 table 100", policy=MARKED)
        trace = walk_packet(made, LOCAL, None).trace
        assert (trace.verdict, trace.errno) == (Verdict.DROP, errno)


FOREIGN = ForeignChain("inet", "fw", "guard", "filter", "forward", 0, "drop")


def test_a_chain_that_tortie_does_not_read_leaves_the_walk_unknown_where_it_sees_the_packet() -> None:
    made = Node.from_snapshot(replace(node().snapshot, foreign_chains=(FOREIGN,)))
    walked = walk_packet(made, UDP)
    assert walked.verdict is Verdict.UNKNOWN
    assert [one.conditions[0].option for one in walked.outcomes] == ["ignore", "unknown"]
    assert walked.outcomes[1].decided_by.text.startswith("the chain guard of nft's inet fw sees the packet here")
    assert walk_packet(made, packet("udp", "10.0.0.5:1", "10.0.0.1:2")).verdict is Verdict.ACCEPT


def test_a_connection_of_a_flow_table_passes_the_rules_by() -> None:
    sides = (ConnTuple(V4, 17, UDP.src, UDP.dst, 1, 2), ConnTuple(V4, 17, UDP.dst, UDP.src, 2, 1))
    rules = "*filter\n:FORWARD DROP\n-A FORWARD -m conntrack --ctstate INVALID"
    made = node(rules, connections=(ConnEntry(*sides, offloaded=True),))
    walked = walk_packet(made, UDP)
    assert [one.verdict for one in walked.outcomes] == [Verdict.DROP, Verdict.UNKNOWN]
