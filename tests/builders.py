"""Short spellings of values that tests build often."""

from __future__ import annotations

from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend, TableName
from tortie.netfilter.match import CommentMatch
from tortie.netfilter.rule import Chain, Rule, Ruleset, Table


def comment(text: str) -> CommentMatch:
    """`-m comment --comment text`."""
    return CommentMatch(text)


def chain(name: str, *rules: Rule, policy: str | None = None) -> Chain:
    """A chain of rules."""
    return Chain(name, rules, policy)


def table(name: TableName, *chains: Chain) -> Table:
    """A table of chains."""
    return Table(name, {one.name: one for one in chains})


def ruleset(*tables: Table, family: IPFamily = IPFamily.V4, backend: Backend = Backend.LEGACY) -> Ruleset:
    """A ruleset of tables."""
    return Ruleset(family, backend, {one.name: one for one in tables})
