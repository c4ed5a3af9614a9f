"""Where a rule stands, and what may stand there: the placement table of spec netfilter 6 and 7.3."""

from __future__ import annotations

from dataclasses import dataclass

from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend, Hook, TableName

_PRE, _IN, _FWD, _OUT, _POST = Hook.PREROUTING, Hook.INPUT, Hook.FORWARD, Hook.OUTPUT, Hook.POSTROUTING


@dataclass(frozen=True, slots=True)
class Place:
    """A chain: `hooks` are those it may be reached from; `builtin` chains are hooks themselves."""

    family: IPFamily
    backend: Backend
    table: TableName
    hooks: frozenset[Hook]
    builtin: bool

    @property
    def has_input(self) -> bool:
        """Every hook here has an input device."""
        return self.hooks <= {_PRE, _IN, _FWD}

    @property
    def has_output(self) -> bool:
        """Every hook here has an output device."""
        return self.hooks <= {_FWD, _OUT, _POST}

    def only(self, *hooks: Hook) -> bool:
        """Every hook here is one of these."""
        return self.hooks <= set(hooks)
