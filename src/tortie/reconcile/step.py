"""A plan as a value: steps in order, each of which the kernel carries out whole or not at all.

A `TableEdit` is one atomic change of one table (one run of iptables-restore; the kernel exchanges a legacy table in one go
and takes an nft batch in one transaction). A `SetEdit` is a list of commands of which each is a step of its own: whatever
carries it out may stop behind any of them. What the order must be is decided in `plan`, how steps are written in `text`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend, TableName
from tortie.netfilter.ipset import IPSet, SetEntry
from tortie.netfilter.rule import Rule, Ruleset

# --- rules -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MakeChain:
    """Makes a user chain, or empties the one that is there."""

    chain: str


@dataclass(frozen=True, slots=True)
class AppendRule:
    """Adds a rule at the end."""

    chain: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class InsertRule:
    """Adds a rule so that it stands at `place`, counted from 1."""

    chain: str
    place: int
    rule: Rule


@dataclass(frozen=True, slots=True)
class ReplaceRule:
    """Puts another rule at `place`, counted from 1."""

    chain: str
    place: int
    rule: Rule


@dataclass(frozen=True, slots=True)
class DeletePlace:
    """Removes the rule at `place`, counted from 1, which is this one; only in chains of ours, where none shifts places."""

    chain: str
    place: int
    rule: Rule


@dataclass(frozen=True, slots=True)
class DeleteRule:
    """Removes the first rule that is equal; the safe way in chains that others change too."""

    chain: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class DeleteChain:
    """Removes a user chain that is empty and that no rule names."""

    chain: str


Edit: TypeAlias = MakeChain | AppendRule | InsertRule | ReplaceRule | DeletePlace | DeleteRule | DeleteChain
"""One line of a restore file; readers end in `assert_never`."""


@dataclass(frozen=True, slots=True)
class TableEdit:
    """One atomic change of a table, its edits in the order in which they must be made."""

    family: IPFamily
    backend: Backend
    table: TableName
    edits: tuple[Edit, ...]
    fence: bool = False
    """True when the next steps are safe only behind this one."""


# --- sets --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreateSet:
    """Makes an empty set with the type and options of this one; its members are not looked at."""

    ip_set: IPSet


@dataclass(frozen=True, slots=True)
class AddMember:
    """Adds a member, or finds it there already."""

    name: str
    entry: SetEntry


@dataclass(frozen=True, slots=True)
class DeleteMember:
    """Removes a member, or finds it gone already."""

    name: str
    entry: SetEntry


@dataclass(frozen=True, slots=True)
class SwapSets:
    """Exchanges two sets in one go: rules that named one now look into the other."""

    name: str
    other: str


@dataclass(frozen=True, slots=True)
class DestroySet:
    """Removes a set that no rule names."""

    name: str


SetCommand: TypeAlias = CreateSet | AddMember | DeleteMember | SwapSets | DestroySet
"""One line of `ipset restore`; readers end in `assert_never`."""


@dataclass(frozen=True, slots=True)
class SetEdit:
    """Commands in order, each a step of its own."""

    commands: tuple[SetCommand, ...]


# --- all of it ---------------------------------------------------------------------------------------------------

Step: TypeAlias = TableEdit | SetEdit
"""What one run of a tool carries out; readers end in `assert_never`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in the order in which they must be taken; `remarks` say what of ours stays because others use it."""

    steps: tuple[Step, ...] = ()
    remarks: tuple[str, ...] = ()
    after: Mapping[IPFamily, Ruleset] = field(default_factory=dict, compare=False, repr=False)
    """The rules that are held when all steps are taken, foreign ones included."""
