from __future__ import annotations

from dataclasses import replace

import pytest

from tests import trace_values
from tests.builders import chain, comment, ruleset, table
from tests.trace_values import FILTER, PACKET, Teller
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend, Hook
from tortie.netfilter.match import ConntrackMatch, CtState, ProtocolMatch, Test
from tortie.netfilter.rule import Rule
from tortie.netfilter.target import Accept, Drop, Reject, Target
from tortie.simulator.summary import deciding_rule, describe_fate, describe_outcome, read_naming, rule_text
from tortie.simulator.trace import Cause, DecidedBy, Disposition, Trace, Verdict

NAMING = trace_values.NAMING

SENTENCES = {
    "dropped-by-policy": "DROPPED in FORWARD by filter cali-tw-cali1a2b rule 7: no ingress policy of workload cali1a2b "
    "allowed it or passed it on to the profiles (nothing set the accept mark 0x10000 or the pass mark 0x20000); "
    "asked: policy shop/web",
    "dropped-by-profile": "DROPPED in FORWARD by filter cali-tw-cali1a2b rule 9: no ingress policy or profile of workload "
    "cali1a2b allowed it (nothing set the accept mark 0x10000); asked: policy shop/web, profile of namespace shop",
    "forwarded": "FORWARDED out of cali1a2b: allowed by policy shop/web (ingress of workload cali1a2b, "
    "cali-pi-shop/default.web rule 1)",
    "translated": "FORWARDED out of eth1 as 10.65.0.1:1024 > 10.65.0.9:8080: no rule decided, and the policy of FORWARD in "
    "filter is ACCEPT",
    "not-known": "UNKNOWN: the snapshot holds no routes for IPv4",
    "sent-and-refused": "REJECTED in FORWARD by filter FORWARD rule 2: `-p tcp -j REJECT --reject-with "
    'icmp-port-unreachable` "no web here"',
}


@pytest.mark.parametrize("name", SENTENCES)
def test_a_walk_ends_in_one_sentence(name: str) -> None:
    assert describe_outcome(trace_values.ALL[name].trace, NAMING) == SENTENCES[name]


def decided(
    name: str, *matches: object, target: Target | None = None, verdict: Verdict = Verdict.DROP, steps: bool = True
) -> str:
    """The sentence for a packet whose fate one rule of one chain decided."""
    rules = ruleset(table(FILTER, chain(name, Rule(tuple(matches), target or Drop()))))  # type: ignore[arg-type]
    told = Teller(rules=rules)
    told.rule(Hook.INPUT, FILTER, name, 1)
    where = DecidedBy(Cause.RULE, "dropped by a rule", Hook.INPUT, FILTER, name, 1, Backend.LEGACY)
    disposition = Disposition.DELIVERED if verdict is Verdict.ACCEPT else Disposition.DROPPED
    trace = Trace(PACKET, "eth0", verdict, disposition, where, tuple(told.steps) if steps else ())
    return describe_outcome(trace, read_naming([rules]))


KNOWN = ConntrackMatch(states=Test(frozenset({CtState.ESTABLISHED, CtState.RELATED})))
INVALID = ConntrackMatch(states=Test(frozenset({CtState.INVALID})))


@pytest.mark.parametrize("steps", [True, False], ids=["with-steps", "without-steps"])
@pytest.mark.parametrize(
    ("name", "matches", "target", "expected"),
    [
        ("cali-tw-cali9", (comment("Endpoint admin disabled"),), Drop(), "workload cali9 is administratively down"),
        ("cali-from-wl-dispatch", (comment("Unknown interface"),), Drop(), "Calico knows no endpoint behind this"),
        ("cali-wl-to-host", (comment("Configured DefaultEndpointToHostAction"),), Drop(), "DefaultEndpointToHostAction"),
        ("cali-fh-eth0", (INVALID,), Drop(), "conntrack calls the packet INVALID"),
        ("cali-po-default.deny", (ProtocolMatch(6),), Drop(), "global policy deny denies it"),
        ("cali-pri-kns.x", (), Drop(), "profile of namespace x denies it"),
        ("DOCKER-ISOLATION-STAGE-2", (), Drop(), "between two container networks is not let through"),
        ("KUBE-SERVICES", (comment("default/web has no endpoints"),), Reject("icmp-port-unreachable"), "default/web has"),
        ("KUBE-FIREWALL", (comment("block incoming localnet connections"),), Drop(), "may not come from outside"),
        ("MINE", (ProtocolMatch(6), comment("tcp is out")), Drop(), '`-p tcp -j DROP` "tcp is out"'),
        ("MINE", (), Drop(), "`-j DROP`"),
    ],
)  # fmt: skip
def test_known_rules_are_put_into_words(
    name: str, matches: tuple[object, ...], target: Target, expected: str, steps: bool
) -> None:
    assert expected in decided(name, *matches, target=target, steps=steps)


def test_an_accepting_rule_says_where_it_stands() -> None:
    sentence = decided("MINE", ProtocolMatch(6), target=Accept(), verdict=Verdict.ACCEPT)
    assert sentence == "DELIVERED to this node: accepted in INPUT by filter MINE rule 1, `-p tcp -j ACCEPT`"


def test_a_rule_for_known_connections_says_so() -> None:
    assert "belongs to a connection that was let through before" in decided(
        "cali-tw-cali9", KNOWN, target=Accept(), verdict=Verdict.ACCEPT
    )
    assert "was let through before" not in decided("cali-tw-cali9", KNOWN)


def test_an_inverted_state_test_says_nothing_of_the_sort() -> None:
    other = ConntrackMatch(states=Test(frozenset({CtState.INVALID}), inverted=True))
    assert "INVALID" in decided("MINE", other)
    assert "conntrack calls" not in decided("MINE", other)


def test_comments_are_no_part_of_a_rules_text() -> None:
    rule = Rule((ProtocolMatch(6), comment("cali:abc"), comment("why")), Drop())
    assert rule_text(rule, IPFamily.V4) == "-p tcp -j DROP"
    assert rule_text(Rule((comment("why"),)), IPFamily.V4) == "any packet"


def test_the_deciding_rule_is_found_in_the_nodes_rules_when_no_steps_were_kept() -> None:
    trace = replace(trace_values.ALL["dropped-by-profile"].trace, steps=())
    rule = deciding_rule(trace, NAMING)
    assert rule is not None
    assert rule.target == Drop()
    assert deciding_rule(replace(trace, decided_by=replace(trace.decided_by, number=99)), NAMING) is None


@pytest.mark.parametrize(
    ("disposition", "verdict", "expected"),
    [
        (Disposition.HELD, Verdict.MAYBE, "HELD in INPUT"),
        (Disposition.DROPPED, Verdict.DROP, "DROPPED in INPUT"),
        (Disposition.UNKNOWN, Verdict.UNKNOWN, "UNKNOWN in INPUT"),
    ],
)
def test_a_fate_outside_the_tables_names_the_hook(disposition: Disposition, verdict: Verdict, expected: str) -> None:
    where = DecidedBy(Cause.HEADER, "held until the other fragments arrive", Hook.INPUT)
    assert describe_fate(Trace(PACKET, "eth0", verdict, disposition, where)) == expected


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (Cause.ROUTE, "DROPPED by routing: why"),
        (Cause.RP_FILTER, "DROPPED by the reverse-path filter: why"),
        (Cause.CONNTRACK, "DROPPED by connection tracking: why"),
        (Cause.SYSCTL, "DROPPED: why"),
    ],
)
def test_what_is_no_rule_is_named_by_its_kind(cause: Cause, expected: str) -> None:
    trace = Trace(PACKET, "eth0", Verdict.DROP, Disposition.DROPPED, DecidedBy(cause, "why"))
    assert describe_outcome(trace, NAMING) == expected
