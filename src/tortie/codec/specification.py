"""A rule as people write it: options in any order, long names, abbreviations, implied matches, lists of addresses.

Stage: reads what the tools' own command line reads (getopt_long over the options loaded so far) into the values that
`rule` prints in iptables-save's form. What the tools refuse is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.rule import Rule


@dataclass(frozen=True, slots=True)
class Specification:
    """The rules that one specification stands for: one for each pair of listed addresses."""

    rules: tuple[Rule, ...]


def read_specification(words: Sequence[str], family: IPFamily) -> Specification:
    """Reads the words; raises `InvalidInput`."""
    raise InvalidInput("not yet")
