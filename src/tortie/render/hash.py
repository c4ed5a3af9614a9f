"""Chained rule hashes: how Felix knows its own rules again.

Every rule carries a comment `cali:` with a hash of itself and of all rules before it in the chain, so that one comparison
of hashes tells which rules of a chain in the kernel are still right. The computation knows neither table nor IP version:
equal rules in a chain of one name have equal hashes everywhere. Source: spec rules 1.5 (Felix 3.7 iptables/rules.go).
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha224

from tortie.netfilter.match import CommentMatch
from tortie.netfilter.rule import Chain, Rule
from tortie.render.names import TRACKING_COMMENT
from tortie.render.text import FelixRule

_ENCODED_BYTES = 12
"""Bytes of the digest that sixteen letters of base64 show."""


def rule_hashes(chain: str, words: Iterable[str]) -> Iterator[str]:
    """The hash of each rule of a chain, given the words of all its rules (`FelixRule.words`) in order."""
    digest = first_digest(chain)
    for text in words:
        digest = next_digest(digest, chain, text)
        yield shown_hash(digest)


def first_digest(chain: str) -> bytes:
    """Where the hashes of a chain begin."""
    return sha224(chain.encode("utf-8", "surrogateescape")).digest()


def next_digest(digest: bytes, chain: str, words: str) -> bytes:
    """The digest after one more rule with these words."""
    text = f"-A {chain} HASH {words}"
    return sha224(digest + text.encode("utf-8", "surrogateescape")).digest()


def shown_hash(digest: bytes) -> str:
    """What the comment of a rule with this digest shows."""
    return urlsafe_b64encode(digest[:_ENCODED_BYTES]).decode()


def numbered_rules(chain: str, rules: Iterable[FelixRule]) -> tuple[Rule, ...]:
    """The rules of a chain as they are programmed: each with its hash in the first comment."""
    given = tuple(rules)
    hashes = rule_hashes(chain, (rule.words for rule in given))
    return tuple(
        Rule((*rule.header, CommentMatch(TRACKING_COMMENT + digest), *rule.matches), rule.target)
        for rule, digest in zip(given, hashes, strict=True)
    )


def numbered_chain(name: str, rules: Iterable[FelixRule]) -> Chain:
    """A chain of ours, its rules numbered."""
    return Chain(name, numbered_rules(name, rules))
