"""Which Felix made a chain, as far as the chain itself tells.

Names tell of the first versions, hashes of those that have them, and in chains of packets from workloads two rules tell one
patch level of 3.7 from the next (spec: rules, patch-level differences; 10.2). Where every rule fits its hash, each is in
words that 3.7 writes: that is what can be said of most chains, and other versions may write some of them alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from tortie.audit.judgement import Judged, Judgement
from tortie.netfilter.match import CommentMatch
from tortie.netfilter.rule import Chain
from tortie.render import names

_FELIX_1 = "felix-"
_HASHED = "cali-"
_TUNNEL_REMARK = "encapped packets originating in pods"


class Era(Enum):
    """Who made a chain, oldest first; `value` says it."""

    FELIX_1 = "Felix 1"
    OLD_NAMES = "an older Felix that named chains otherwise"
    NO_HASHES = "a Felix before rules carried hashes"
    BEFORE_3_7_4 = "Felix 3.7.3 or older"
    SINCE_3_7_4 = "Felix 3.7.4 or later"
    WORDS_OF_3_7 = "Felix 3.7 by their words"
    NOT_KNOWN = "not to be told, with rules that do not fit"
    EMPTY = "empty"


OLD_ERAS = frozenset({Era.FELIX_1, Era.OLD_NAMES, Era.NO_HASHES, Era.BEFORE_3_7_4})
"""Eras that are not the one that Tortie renders."""


def era_of(chain: Chain, judged: Sequence[Judged], *, hashes_beside: bool = False) -> Era:
    """Who made a chain of ours, from its name and from what was found out about its rules.

    A chain without hashes is old only where no chain beside it has some; else its rules are foreign.
    """
    if not chain.name.startswith(_HASHED):
        return Era.FELIX_1 if chain.name.startswith(_FELIX_1) else Era.OLD_NAMES
    if not chain.rules:
        return Era.EMPTY
    if not hashes_beside and all(one.judgement is Judgement.UNTRACKED for one in judged):
        return Era.NO_HASHES
    if not all(one.judgement is Judgement.FITS for one in judged):
        return Era.NOT_KNOWN
    if chain.name.startswith(names.FROM_WORKLOAD) and len(chain.rules) > 1:
        return Era.SINCE_3_7_4 if _drops_tunnels(chain) else Era.BEFORE_3_7_4
    return Era.WORDS_OF_3_7


def _drops_tunnels(chain: Chain) -> bool:
    comments = (match.text for rule in chain.rules for match in rule.matches if isinstance(match, CommentMatch))
    return any(_TUNNEL_REMARK in comment for comment in comments)
