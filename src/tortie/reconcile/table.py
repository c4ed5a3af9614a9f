"""A table as it should become: ours as wanted, foreign chains and rules exactly as they are.

The result is a value like the one read from the kernel; `edit` finds the way from one to the other. Foreign rules keep
their order, ours go in front of all of them or behind all of them. A chain of ours that nobody wants but that a foreign
rule goes to cannot be removed and foreign rules are not touched, so it stays, without a rule, and a remark says so.

Whoever looks at a table again and again keeps a `Completion`: chains that were compared once are not compared again, and a
table in which nothing has to change is the held one itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import BUILTIN_CHAINS, TableName
from tortie.netfilter.rule import Chain, Rule, Ruleset, Table
from tortie.netfilter.target import Goto, Jump
from tortie.reconcile.ownership import Ownership
from tortie.reconcile.wanted import WantedFamily


def held_table(ruleset: Ruleset, name: TableName) -> Table:
    """The table as it is; one that the kernel has not made yet counts as empty, which is what it would make.

    Raises `InvalidInput` for a table that the tools cannot print, since nothing is known of what is in it.
    """
    table = ruleset.tables.get(name, Table(name, {}))
    if table.opaque is not None:
        where = f"table {name.value} of IPv{ruleset.family.value} ({ruleset.backend.value})"
        raise InvalidInput(
            f"{where} holds rules that iptables cannot print",
            remedy="see `nft list ruleset`, and move what another program put there into a table of its own",
        )
    missing = [hook.value for hook in BUILTIN_CHAINS[name] if hook.value not in table.chains]
    made = {chain: Chain(chain, policy="ACCEPT") for chain in missing}
    return replace(table, chains=made | dict(table.chains)) if made else table


def complete_table(held: Table, wanted: WantedFamily, ownership: Ownership) -> tuple[Table, tuple[str, ...]]:
    """The table as it should become, `held` itself when that is right, and remarks about what of ours has to stay."""
    return Completion().of(held, wanted, ownership)


class Completion:
    """Completes one table of one family, for one owner, time and again."""

    def __init__(self) -> None:
        self._given: tuple[Table, Mapping[str, Chain], Mapping[str, tuple[Rule, ...]], bool] | None = None
        self._made: tuple[Table, tuple[str, ...]] | None = None
        self.after = Table(TableName.FILTER, {})
        """The table that the last answer was about when it is as it should be; right chains of ours are those wanted."""
        self._equal: dict[str, tuple[Chain, Chain]] = {}
        """Chains that are held and wanted, and were found to be equal, by name."""

    def of(self, held: Table, wanted: WantedFamily, ownership: Ownership) -> tuple[Table, tuple[str, ...]]:
        """The same as `complete_table`."""
        ours = wanted.tables[held.name]
        known = self._given
        if (
            known is None
            or self._made is None
            or not (known[0] is held and known[1] is ours.chains and known[2] == ours.hooks)
            or known[3] is not wanted.append_hooks
        ):
            self._given = None
            self._made = self._complete(held, wanted, ownership)
            self._given = held, ours.chains, ours.hooks, wanted.append_hooks
        return self._made

    def _complete(self, held: Table, wanted: WantedFamily, ownership: Ownership) -> tuple[Table, tuple[str, ...]]:
        ours = wanted.tables[held.name]
        chains: dict[str, Chain] = {}
        for chain in held.chains.values():
            if ownership.owns_chain(chain.name):
                continue
            hooks = ours.hooks.get(chain.name, ())
            foreign = tuple(r for r in chain.rules if not ownership.owns_rule(held.name, chain.name, r, wanted.family))
            rules = (*foreign, *hooks) if wanted.append_hooks else (*hooks, *foreign)
            chains[chain.name] = chain if rules == chain.rules else replace(chain, rules=rules)
        remarks = []
        for name, user in _used_by_foreign(chains, ownership, wanted.family, held.name).items():
            if name in held.chains and name not in ours.chains:
                before = held.chains[name]
                chains[name] = replace(before, rules=()) if before.rules else before
                remarks.append(
                    f"IPv{wanted.family.value} {held.name.value}: chain {name} stays, empty: a rule in {user} goes to it"
                )
        chains |= self._ours(held, ours.chains)
        same = len(chains) == len(held.chains) and all(held.chains.get(name) is chain for name, chain in chains.items())
        made = held if same else replace(held, chains=chains)
        ours_as_wanted = {name: wanted_one for name, (_, wanted_one) in self._equal.items()}
        self.after = replace(made, chains=chains | ours_as_wanted) if ours_as_wanted else made
        return made, tuple(remarks)

    def _ours(self, held: Table, wanted: Mapping[str, Chain]) -> dict[str, Chain]:
        """Our chains: where the held one is right, that one."""
        chains: dict[str, Chain] = {}
        known, self._equal = self._equal, {}
        for name, chain in wanted.items():
            before = held.chains.get(name)
            if before is None or before is chain:
                chains[name] = chain
                continue
            pair = known.get(name)
            if pair is None or pair[0] is not before or pair[1] is not chain:
                if before.rules != chain.rules:
                    chains[name] = chain
                    continue
                pair = before, chain
            self._equal[name], chains[name] = pair, before
        return chains


def _used_by_foreign(chains: dict[str, Chain], ownership: Ownership, family: IPFamily, table: TableName) -> dict[str, str]:
    """Chains of ours that a foreign rule jumps or goes to, and a chain in which such a rule stands."""

    def foreign(chain: str, rule: Rule) -> bool:
        return not ownership.owns_rule(table, chain, rule, family)

    return {
        rule.target.chain: chain.name
        for chain in chains.values()
        for rule in chain.rules
        if isinstance(rule.target, Jump | Goto) and ownership.owns_chain(rule.target.chain) and foreign(chain.name, rule)
    }
