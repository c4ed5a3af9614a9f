"""Rules changed and added, and the rule that a packet asks for."""

from __future__ import annotations

import pytest

from tests.reference_builder import WORLD, global_policy, host, policy, profile, read, workload
from tortie.cli.packet_option import parse_packet_words, split_words
from tortie.explain.miss import End
from tortie.explain.party import Parties
from tortie.explain.rulebook import (
    Rulebook,
    is_kubernetes,
    rule_for,
    rule_size,
    rules_of,
    telling_label,
    with_more,
    with_net,
    with_port,
    with_rule,
)
from tortie.explain.words import describe_rule
from tortie.model.policy import GlobalNetworkPolicy, NetworkPolicy
from tortie.model.profile import Profile
from tortie.net.address import parse_prefix

RULES = "ingress: [{action: Allow}, {action: Deny}], egress: [{action: Log}]"
RESOURCES = read(
    WORLD,
    policy("a", "a", f"{{{RULES}}}"),
    policy("knp.default.k", "a", "{}"),
    global_policy("g", f"{{{RULES}}}"),
    profile("p", rules=RULES),
    host("eth", "interfaceName: eth0, expectedIPs: [10.20.0.1]"),
    workload("bare", "a", "cali12", "10.65.0.8"),
)
BOOKS: dict[str, Rulebook] = {
    "a": RESOURCES.of(NetworkPolicy)[0],
    "g": RESOURCES.of(GlobalNetworkPolicy)[0],
    "p": next(one for one in RESOURCES.of(Profile) if one.metadata.name == "p"),
}
KUBERNETES = RESOURCES.of(NetworkPolicy)[1]


@pytest.mark.parametrize("book", BOOKS.values(), ids=BOOKS)
def test_only_the_rules_of_the_direction_change(book: Rulebook) -> None:
    allow, deny = rules_of(book, "ingress")
    (log,) = rules_of(book, "egress")
    assert rules_of(with_rule(book, "ingress", 2, log), "ingress") == (allow, log)
    assert rules_of(with_more(book, "ingress", 1, log), "ingress") == (log, allow, deny)
    assert rules_of(with_more(book, "egress", 2, deny), "egress") == (log, deny)
    assert rules_of(with_more(book, "egress", 2, deny), "ingress") == (allow, deny)


def test_an_end_gets_a_port_or_a_net_more() -> None:
    (rule, _) = rules_of(BOOKS["a"], "ingress")
    assert describe_rule(with_port(rule, End.DESTINATION, 80)) == "allows everything"
    assert with_port(rule, End.SOURCE, 80).source.ports[-1].first == 80  # type: ignore[union-attr]
    assert with_net(rule, End.DESTINATION, parse_prefix("10.0.0.0/8")).destination.nets == (parse_prefix("10.0.0.0/8"),)


@pytest.mark.parametrize(
    ("book", "direction", "packet", "words"),
    [
        ("a", "ingress", "tcp 10.65.1.2:1 10.65.0.2:80", "allows tcp/80 from role == 'front'"),
        ("a", "ingress", "tcp 10.65.0.3:1 10.65.0.2:80",
         "allows tcp/80 from namespaces with team == 'blue' and role == 'back'"),
        ("a", "ingress", "udp 192.0.2.1:1 10.65.0.2:53", "allows udp/53 from 192.0.2.1/32"),
        ("a", "ingress", "udp 10.65.0.8:1 10.65.0.2:53", "allows udp/53 from 10.65.0.8/32"),
        ("a", "ingress", "udp 10.20.0.1:1 10.65.0.2:53", "allows udp/53 from 10.20.0.1/32"),
        ("a", "egress", "icmp 10.65.0.2 10.65.1.2", "allows icmp type 8 to role == 'front'"),
        ("p", "egress", "icmp 10.65.0.2 10.65.1.2",
         "allows icmp type 8 to projectcalico.org/namespace == 'a' && role == 'front'"),
        ("g", "ingress", "sctp 10.20.0.1:1 10.65.0.2:53", "allows sctp from host == 'eth'"),
        ("g", "ingress", "gre 192.0.2.1 10.65.0.2", "allows gre from 192.0.2.1/32"),
        ("g", "ingress", "icmpv6 fd00::1 fd00:65::2", "allows icmpv6 type 128 from fd00::1/128"),
    ],
)  # fmt: skip
def test_the_rule_for_a_packet_is_no_wider_than_a_user_writes_it(
    book: str, direction: str, packet: str, words: str
) -> None:
    asked = parse_packet_words(*split_words(packet)).packet
    assert describe_rule(rule_for(asked, direction, Parties(RESOURCES), BOOKS[book], answers=False)) == words


def test_an_answer_is_known_by_where_it_comes_from() -> None:
    packet = parse_packet_words(*split_words("tcp 192.0.2.1:80 10.65.0.2:4000")).packet
    rule = rule_for(packet, "ingress", Parties(RESOURCES), None, answers=True)
    assert describe_rule(rule) == "allows tcp from 192.0.2.1/32 and port 80"


def test_a_policy_of_kubernetes_names_no_namespace_by_its_name() -> None:
    """Its language has only the labels of namespaces, and those of this one nobody knows."""
    world = read(workload("far", "b", "cali12", "10.65.1.2", labels="{role: x}", node="n"))
    packet = parse_packet_words(*split_words("tcp 10.65.1.2:1 10.65.0.2:80")).packet
    of_kubernetes = rule_for(packet, "ingress", Parties(world), KUBERNETES, answers=False)
    assert describe_rule(of_kubernetes) == "allows tcp/80 from 10.65.1.2/32"
    of_calico = rule_for(packet, "ingress", Parties(world), BOOKS["a"], answers=False)
    assert describe_rule(of_calico) == (
        "allows tcp/80 from any namespace and projectcalico.org/namespace == 'b' && role == 'x'"
    )
    assert is_kubernetes(KUBERNETES) and not is_kubernetes(BOOKS["a"])


def test_size_counts_what_is_asked() -> None:
    rule = rule_for(
        parse_packet_words(*split_words("tcp 192.0.2.1:1 10.65.0.2:80")).packet, "ingress", Parties(RESOURCES), None,
        answers=False,
    )  # fmt: skip
    assert rule_size(rule) == 4
    assert rule_size(rules_of(BOOKS["a"], "ingress")[0]) == 1


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({"z": "1", "app": "web", "a": "2"}, ("app", "web")),
        ({"z": "1", "a": "2"}, ("a", "2")),
        ({"projectcalico.org/namespace": "a", "pcns.x": "y"}, None),
        ({}, None),
    ],
)
def test_the_label_that_tells_most_is_a_users(labels: dict[str, str], told: tuple[str, str] | None) -> None:
    assert telling_label(labels) == told
