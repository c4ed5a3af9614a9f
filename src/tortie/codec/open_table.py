"""A table that is being changed: what each iptables command does to chains and rules.

`OpenTable` is mutable and short-lived: `save` fills one while it reads a text, `command` opens one from a `Table`, changes
it and closes it. Chains that were not touched keep their identity. What a command may do is decided here (existing chains,
rule numbers, names); whether the rules fit the table's hooks is decided by `placement`. Messages follow iptables 1.8.9's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tortie.codec.registry import TARGET_EXTENSIONS
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import BUILTIN_CHAINS, TableName
from tortie.netfilter.rule import Chain, Counters, Rule, Table
from tortie.netfilter.target import Goto, Jump

LONGEST_CHAIN_NAME = 28
"""Characters a chain's name may have (spec: netfilter 9.4)."""
POLICIES = ("ACCEPT", "DROP")
"""Policies of built-in chains."""

_BUILTIN = {table: tuple(hook.value for hook in hooks) for table, hooks in BUILTIN_CHAINS.items()}


def is_builtin(table: TableName, chain: str) -> bool:
    """True when the chain belongs to the table by itself."""
    return chain in _BUILTIN[table]


@dataclass(slots=True)
class OpenTable:
    """Chains by name in printed order, each with its policy, counters and rules."""

    name: TableName
    policies: dict[str, str | None] = field(default_factory=dict)
    counters: dict[str, Counters | None] = field(default_factory=dict)
    rules: dict[str, list[Rule]] = field(default_factory=dict)
    untouched: dict[str, Chain] = field(default_factory=dict)

    @staticmethod
    def fresh(name: TableName) -> OpenTable:
        """The table as the kernel makes it: empty built-in chains that accept."""
        table = OpenTable(name)
        for chain in _BUILTIN[name]:
            table.put_chain(chain, "ACCEPT", Counters(0, 0))
        return table

    @staticmethod
    def of(table: Table) -> OpenTable:
        """An open copy; raises `InvalidInput` when the tool could not print the table and nothing is known of it."""
        if table.opaque is not None:
            raise InvalidInput(f"table {table.name.value} holds rules of another tool and cannot be changed")
        opened = OpenTable(table.name)
        for chain in table.chains.values():
            opened.put_chain(chain.name, chain.policy, chain.counters)
            opened.rules[chain.name] = list(chain.rules)
        opened.untouched = dict(table.chains)
        return opened

    def close(self) -> Table:
        """The table as a value."""
        chains = {}
        for name, policy in self.policies.items():
            kept = self.untouched.get(name)
            chains[name] = kept or Chain(name, tuple(self.rules[name]), policy, self.counters[name])
        return Table(self.name, chains)

    def put_chain(self, name: str, policy: str | None, counters: Counters | None) -> None:
        """Adds a chain at the end, or changes policy and counters of one that is there."""
        self.policies[name] = policy
        self.counters[name] = counters
        self.rules.setdefault(name, [])
        self.untouched.pop(name, None)

    def declare_chain(self, name: str, policy: str | None, counters: Counters | None) -> None:
        """A `:NAME` line of iptables-restore: the chain is there and empty."""
        _check_length(name)
        self.put_chain(name, policy, counters)
        self.rules[name].clear()

    def declare_builtin_chains(self) -> None:
        """Puts the built-in chains that are missing where the kernel has them, before all user chains."""
        if all(name in self.rules for name in _BUILTIN[self.name]):
            return
        for name in [*_BUILTIN[self.name], *(name for name in self.rules if not is_builtin(self.name, name))]:
            policy, counters = self.policies.pop(name, "ACCEPT"), self.counters.pop(name, Counters(0, 0))
            rules = self.rules.pop(name, [])
            self.put_chain(name, policy, counters)
            self.rules[name] = rules

    def chain(self, name: str) -> list[Rule]:
        """The rules of a chain that is about to change; raises `InvalidInput` when there is none."""
        if name not in self.rules:
            raise InvalidInput(f"no chain {name} in table {self.name.value}")
        self.untouched.pop(name, None)
        return self.rules[name]

    # --- rules ---

    def append(self, chain: str, rules: Sequence[Rule]) -> None:
        """`-A`."""
        self.chain(chain).extend(rules)

    def insert(self, chain: str, number: int, rules: Sequence[Rule]) -> None:
        """`-I`: each rule goes to place `number`, so the last one given stands first."""
        held = self.chain(chain)
        if not 1 <= number <= len(held) + 1:
            raise InvalidInput(f"index of insertion too big: {number} in a chain of {len(held)} rules")
        held[number - 1 : number - 1] = reversed(rules)

    def replace_rule(self, chain: str, number: int, rules: Sequence[Rule]) -> None:
        """`-R`."""
        if len(rules) != 1:
            raise InvalidInput("a replacement must be one rule, not a list of addresses")
        held = self.chain(chain)
        self._check_number(held, number)
        held[number - 1] = rules[0]

    def delete_number(self, chain: str, number: int) -> None:
        """`-D chain number`."""
        held = self.chain(chain)
        self._check_number(held, number)
        del held[number - 1]

    def delete(self, chain: str, rules: Sequence[Rule]) -> None:
        """`-D chain specification`: the first equal rule goes, for each rule given."""
        held = self.chain(chain)
        for rule in rules:
            if rule not in held:
                raise InvalidInput(f"no such rule in chain {chain}")
            held.remove(rule)

    @staticmethod
    def _check_number(held: Sequence[Rule], number: int) -> None:
        if not 1 <= number <= len(held):
            raise InvalidInput(f"no rule number {number} in a chain of {len(held)} rules")

    def flush(self, chain: str) -> None:
        """`-F`: removes the rules of one chain, or of all when no name is given."""
        for name in [chain] if chain else list(self.rules):
            self.chain(name).clear()

    def zero(self, chain: str, number: int | None = None) -> None:
        """`-Z`: counters of one chain, of all, or of one rule back to zero."""
        if number is not None:
            held = self.chain(chain)
            self._check_number(held, number)
            held[number - 1] = replace(held[number - 1], counters=Counters(0, 0))
            return
        for name in [chain] if chain else list(self.rules):
            held = self.chain(name)
            held[:] = [replace(rule, counters=Counters(0, 0)) if rule.counters else rule for rule in held]
            if self.counters[name] is not None:
                self.counters[name] = Counters(0, 0)

    # --- chains ---

    def new_chain(self, name: str, family: IPFamily) -> None:
        """`-N`: the chain takes its place in the order of names that iptables-save prints."""
        check_chain_name(name, family)
        self._add_chain(name)

    def _add_chain(self, name: str) -> None:
        if name in self.rules:
            raise InvalidInput(f"chain {name} exists already")
        behind = [other for other in self.policies if not is_builtin(self.name, other) and other > name]
        self.put_chain(name, None, Counters(0, 0))
        for other in behind:
            self.policies[other] = self.policies.pop(other)
            self.counters[other] = self.counters.pop(other)
            self.rules[other] = self.rules.pop(other)

    def delete_chain(self, name: str) -> None:
        """`-X name`: only an empty user chain that nothing jumps to."""
        held = self.chain(name)
        if is_builtin(self.name, name):
            raise InvalidInput(f"chain {name} is built in and cannot be deleted")
        if held:
            raise InvalidInput(f"chain {name} is not empty", remedy=f"flush it first: -F {name}")
        users = self.users_of(name)
        if users:
            raise InvalidInput(f"chain {name} is in use: rules of {', '.join(users)} jump to it")
        self._drop(name)

    def delete_chains(self) -> None:
        """`-X`: all user chains, which must be empty and unused."""
        for name in [name for name in self.rules if not is_builtin(self.name, name)]:
            self.delete_chain(name)

    def _drop(self, name: str) -> None:
        del self.policies[name], self.counters[name], self.rules[name]
        self.untouched.pop(name, None)

    def rename_chain(self, old: str, new: str) -> None:
        """`-E old new`: rules that jump to the chain follow it. Unlike `-N` the tools let the new name be a target's."""
        _check_length(new)
        rules = self.chain(old)
        if is_builtin(self.name, old):
            raise InvalidInput(f"chain {old} is built in and cannot be renamed")
        users = self.users_of(old)
        self._add_chain(new)
        self.rules[new] = rules
        self._drop(old)
        for user in users:
            held = self.chain(user if user != old else new)
            held[:] = [_retarget(rule, old, new) for rule in held]

    def set_policy(self, chain: str, policy: str, counters: Counters | None) -> None:
        """`-P`."""
        if not is_builtin(self.name, chain) or chain not in self.rules:
            raise InvalidInput(f"chain {chain} of table {self.name.value} is not built in and cannot have a policy")
        if policy not in POLICIES:
            raise InvalidInput(f"bad policy {policy!r}", remedy="policies are ACCEPT and DROP")
        self.put_chain(chain, policy, counters or self.counters[chain])

    def users_of(self, chain: str) -> list[str]:
        """Chains with a rule that jumps or goes to this one."""
        return [
            name
            for name, rules in self.rules.items()
            if any(isinstance(rule.target, Jump | Goto) and rule.target.chain == chain for rule in rules)
        ]


def _retarget(rule: Rule, old: str, new: str) -> Rule:
    target = rule.target
    if isinstance(target, Jump | Goto) and target.chain == old:
        return replace(rule, target=replace(target, chain=new))
    return rule


def check_chain_name(name: str, family: IPFamily) -> None:
    """Raises `InvalidInput` for a name that a new chain cannot have (spec: netfilter 9.4)."""
    _check_length(name)
    if name[0] in "-!" or any(char in " \t\n\v\f\r" for char in name):
        raise InvalidInput(f"bad chain name {name!r}", remedy="names hold no blank and do not start with - or !")
    if name in TARGET_EXTENSIONS[family]:
        raise InvalidInput(f"chain name {name} is the name of a target")


def _check_length(name: str) -> None:
    if not 1 <= len(name.encode("utf-8", "surrogateescape")) <= LONGEST_CHAIN_NAME:
        raise InvalidInput(f"bad chain name {name!r}", remedy=f"names have 1 to {LONGEST_CHAIN_NAME} bytes")
