"""Where the hash stands in a rule; its value is checked by tests/golden/render."""

from __future__ import annotations

from tortie.net.address import parse_prefix
from tortie.netfilter.match import CommentMatch, MarkMatch, Side
from tortie.netfilter.rule import Chain, Rule, canonical_rule
from tortie.netfilter.target import Drop
from tortie.render import text
from tortie.render.hash import numbered_chain, rule_hashes
from tortie.render.text import DROP, FelixRule, rule

PLAIN = rule(DROP)
BUSY = rule(
    DROP,
    text.mark_single_set(1),
    text.out_interface("eth0"),
    text.net(Side.DST, parse_prefix("10.0.0.0/8")),
    text.net(Side.SRC, parse_prefix("10.0.0.0/8")),
    comment="why",
)


def hashes(name: str, *rules: FelixRule) -> list[str]:
    return list(rule_hashes(name, [one.words for one in rules]))


def test_tracking_comment_stands_behind_the_header_and_before_everything_else() -> None:
    (made,) = numbered_chain("c", [BUSY]).rules
    assert canonical_rule(made) == made
    assert made.matches[3:] == (CommentMatch(f"cali:{hashes('c', BUSY)[0]}"), CommentMatch("why"), MarkMatch(1, 1))


def test_a_rule_without_tests_has_only_its_tracking_comment() -> None:
    assert numbered_chain("c", [PLAIN]) == Chain("c", (Rule((CommentMatch(f"cali:{hashes('c', PLAIN)[0]}"),), Drop()),))


def test_a_hash_depends_on_the_chain_and_on_all_rules_before_but_on_none_behind() -> None:
    both = hashes("c", PLAIN, BUSY)
    assert hashes("c", PLAIN) == both[:1]
    assert hashes("c", BUSY, PLAIN) not in (both, both[::-1])
    assert hashes("d", PLAIN) != both[:1]


def test_hashes_are_sixteen_letters_that_need_no_quotes() -> None:
    for digest in hashes("c", *[PLAIN] * 50):
        assert len(digest) == 16
        assert set(digest) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
