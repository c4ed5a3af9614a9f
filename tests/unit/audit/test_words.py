"""The words that Felix hashed are among the candidates for what the kernel keeps of them."""

from __future__ import annotations

import pytest

from tests.golden.render.test_vectors import DISPATCH, ENDPOINTS, IPIP_ADDRESS, METADATA, VXLAN_ADDRESS, tables
from tests.golden.render.vectors import read_vectors
from tortie.audit.words import felix_words, foreign_parts, tracking_hash
from tortie.codec.rule import format_rule, parse_rule
from tortie.net.address import IPFamily
from tortie.render.hash import numbered_rules
from tortie.render.text import FelixRule

V4, V6 = IPFamily.V4, IPFamily.V6
NAT_OPTIONS = {**METADATA, "NATPortRange": "99:199", "IptablesNATOutgoingInterfaceFilter": "eth+"}


def check(chain: str, rules: list[FelixRule], family: IPFamily) -> None:
    for given, rule in zip(rules, numbered_rules(chain, rules), strict=True):
        kept = parse_rule(format_rule(rule, family), family)
        assert given.words in list(felix_words(kept, family))


@pytest.mark.parametrize("family", IPFamily)
@pytest.mark.parametrize("ipvs", [False, True])
@pytest.mark.parametrize(
    "parameters", [{}, IPIP_ADDRESS, VXLAN_ADDRESS, NAT_OPTIONS], ids=["plain", "ipip", "vxlan", "nat"]
)
def test_static_chains(parameters: dict[str, str], ipvs: bool, family: IPFamily) -> None:
    for chains in tables(family, parameters, ipvs=ipvs).values():
        for chain, rules in chains.items():
            check(chain, rules, family)


def test_dispatch_and_endpoint_chains() -> None:
    for chain, rules in (DISPATCH | ENDPOINTS).items():
        check(chain.partition(":")[0], rules, V4)


def test_few_candidates_and_the_likely_one_first() -> None:
    rule = parse_rule('-s 10.0.0.0/8 -p tcp -m comment --comment "cali:x" -m multiport --dports 80 -j DROP', V4)
    words = list(felix_words(rule, V4))
    assert words[0] == "-p tcp --source 10.0.0.0/8 -m multiport --destination-ports 80 --jump DROP"
    assert len(words) < 20


LOST = {
    "a number": ("-p udp -j DROP", "-p 17 --jump DROP"),
    "a bare address": ("-d 10.0.0.1/32 -j DROP", "--destination 10.0.0.1 --jump DROP"),
    "a zero with 0x": ("-j MARK --set-xmark 0x0/0xc0000", "--jump MARK --set-mark 0x0/0xc0000"),
    "a zero without": ("-j MARK --set-xmark 0x0/0xc0000", "--jump MARK --set-mark 0/0xc0000"),
    "everything": ("-p tcp -j DROP", "-p tcp --source 0.0.0.0/0 --jump DROP"),
    "the protocol behind a set": ("-p tcp -m set --match-set x src -j DROP", "-m set --match-set x src -p tcp --jump DROP"),
}


@pytest.mark.parametrize(("kept", "words"), LOST.values(), ids=LOST)
def test_what_the_kernel_forgets(kept: str, words: str) -> None:
    assert words in list(felix_words(parse_rule(kept, V4), V4))


FOREIGN = {
    "-m limit --limit 3/hour -j DROP": ["LimitMatch"],
    "-j REJECT --reject-with icmp-port-unreachable": ["Reject"],
    "! -i eth0 -j DROP": ["InInterfaceMatch"],
    "-s 10.0.0.5/255.0.255.255 -j DROP": ["SourceMatch"],
    "-m conntrack ! --ctstate NEW -j DROP": ["ConntrackMatch"],
    "-m mark --mark 0x5/0x1 -j LOG": ["MarkMatch", "Log"],
}


@pytest.mark.parametrize(("kept", "parts"), FOREIGN.items(), ids=FOREIGN)
def test_what_felix_never_writes_has_no_words(kept: str, parts: list[str]) -> None:
    rule = parse_rule(kept, V4)
    assert list(felix_words(rule, V4)) == []
    assert foreign_parts(rule, V4) == parts


def test_the_hash_that_a_rule_shows() -> None:
    shown, remark = parse_rule('-m comment --comment "cali:abc-_" -j DROP', V4), parse_rule("-m comment --comment x", V4)
    assert (tracking_hash(shown), tracking_hash(remark)) == ("abc-_", None)


def test_every_hook_of_the_original() -> None:
    assert len(read_vectors("hooks")) > 4
    for vector in read_vectors("hooks").values():
        for _, words in vector.lines:
            short = words.replace("--jump", "-j")
            assert words in list(felix_words(parse_rule(short, V6), V6))
