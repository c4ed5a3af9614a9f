"""What Felix 3.7 always makes: which chains, and how a chain ends.

A hash says nothing about what is missing behind a chain's last rule, but most chains have a last rule that does not depend
on any configuration (spec: rules 3, 5, 6, 8), so a chain that was cut off, or emptied, is told. Of chains of policies only
half a rule at the end is told, of failsafe chains nothing: what they hold is configuration alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tortie.netfilter.hook import TableName
from tortie.netfilter.match import CommentMatch
from tortie.netfilter.rule import Chain, Rule
from tortie.netfilter.target import Accept, Jump, MarkTarget
from tortie.render import names

ALWAYS_MADE: Mapping[TableName, tuple[str, ...]] = {
    TableName.RAW: (
        names.PREROUTING,
        names.OUTPUT,
        names.FAILSAFE_IN,
        names.FAILSAFE_OUT,
        names.FROM_HOST_ENDPOINT,
        names.TO_HOST_ENDPOINT,
    ),
    TableName.MANGLE: (names.PREROUTING, names.FAILSAFE_IN, names.FROM_HOST_ENDPOINT),
    TableName.NAT: (
        names.PREROUTING,
        names.POSTROUTING,
        names.OUTPUT,
        names.FLOATING_DNAT,
        names.FLOATING_SNAT,
        names.NAT_OUTGOING,
    ),
    TableName.FILTER: (
        names.INPUT,
        names.FORWARD,
        names.OUTPUT,
        names.WORKLOAD_TO_HOST,
        names.FAILSAFE_IN,
        names.FAILSAFE_OUT,
        names.FROM_WORKLOAD_DISPATCH,
        names.TO_WORKLOAD_DISPATCH,
        names.FROM_HOST_ENDPOINT,
        names.TO_HOST_ENDPOINT,
        names.FROM_HOST_FORWARD,
        names.TO_HOST_FORWARD,
    ),
}
"""Chains that are there from the start, whatever there is on the node (spec: rules 12)."""

_HOST_ACCEPTED = "Host endpoint policy accepted packet."
_FORWARD_ACCEPTED = "Policy explicitly accepted packet."
_UNKNOWN_INTERFACE = "Unknown interface"
_NO_PROFILE = "Drop if no profiles matched"
_POLICY_ACCEPTED = "Return if policy accepted"


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a chain may end: comments of its last rule, or the chain that it jumps to, or an acceptance without comment."""

    comments: tuple[str, ...] = ()
    jump: str | None = None
    accepts: bool = False

    def fits(self, rule: Rule) -> bool:
        """True when the rule can be the last one."""
        if self.accepts:
            return isinstance(rule.target, Accept)
        if self.jump is not None:
            return isinstance(rule.target, Jump) and rule.target.chain == self.jump
        return any(isinstance(match, CommentMatch) and match.text in self.comments for match in rule.matches)


_WHOLE_NAMES: Mapping[tuple[TableName, str], _Ending] = {
    (TableName.RAW, names.PREROUTING): _Ending(accepts=True),
    (TableName.RAW, names.OUTPUT): _Ending(accepts=True),
    (TableName.MANGLE, names.PREROUTING): _Ending((_HOST_ACCEPTED,)),
    (TableName.NAT, names.OUTPUT): _Ending(jump=names.FLOATING_DNAT),
    (TableName.FILTER, names.INPUT): _Ending((_HOST_ACCEPTED,)),
    (TableName.FILTER, names.FORWARD): _Ending((_FORWARD_ACCEPTED,)),
    (TableName.FILTER, names.OUTPUT): _Ending((_HOST_ACCEPTED,)),
    (TableName.FILTER, names.WORKLOAD_TO_HOST): _Ending(("Configured DefaultEndpointToHostAction",)),
    (TableName.FILTER, names.FORWARD_CHECK): _Ending(("To kubernetes service",)),
    (TableName.FILTER, names.FORWARD_ENDPOINT_MARK): _Ending((_FORWARD_ACCEPTED,)),
    (TableName.FILTER, names.FROM_ENDPOINT_MARK): _Ending((_UNKNOWN_INTERFACE,)),
    (TableName.FILTER, names.SET_ENDPOINT_MARK): _Ending(("Non-Cali endpoint mark",)),
}
_PREFIXES: Mapping[tuple[TableName, str], _Ending] = {
    (TableName.FILTER, names.FROM_WORKLOAD_DISPATCH): _Ending((_UNKNOWN_INTERFACE,)),
    (TableName.FILTER, names.TO_WORKLOAD_DISPATCH): _Ending((_UNKNOWN_INTERFACE,)),
    (TableName.FILTER, names.TO_WORKLOAD): _Ending((_NO_PROFILE, "Endpoint admin disabled")),
    (TableName.FILTER, names.FROM_WORKLOAD): _Ending((_NO_PROFILE, "Endpoint admin disabled")),
    (TableName.FILTER, names.TO_HOST): _Ending((_NO_PROFILE,)),
    (TableName.FILTER, names.FROM_HOST): _Ending((_NO_PROFILE,)),
    (TableName.FILTER, names.TO_HOST_FORWARDED): _Ending(
        ("Drop if no policies passed packet", "Return for accepted forward traffic")
    ),
    (TableName.FILTER, names.FROM_HOST_FORWARDED): _Ending(
        ("Drop if no policies passed packet", "Return for accepted forward traffic")
    ),
    (TableName.RAW, names.TO_HOST): _Ending((_POLICY_ACCEPTED,)),
    (TableName.RAW, names.FROM_HOST): _Ending((_POLICY_ACCEPTED,)),
    (TableName.MANGLE, names.FROM_HOST): _Ending((_POLICY_ACCEPTED,)),
}
_LEAST: Mapping[tuple[TableName, str], int] = {(TableName.NAT, names.POSTROUTING): 2, (TableName.NAT, names.PREROUTING): 1}
"""How many rules a chain has at least whose end depends on the configuration."""
_OF_RULES = (names.POLICY_INBOUND, names.POLICY_OUTBOUND, names.PROFILE_INBOUND, names.PROFILE_OUTBOUND)


def is_cut_off(table: TableName, chain: Chain) -> bool:
    """True when rules that Felix 3.7 always writes are missing at the end of a chain of ours; it may be empty."""
    ending = _WHOLE_NAMES.get((table, chain.name)) or _ending_by_prefix(table, chain.name)
    if ending is not None:
        return not chain.rules or not ending.fits(chain.rules[-1])
    if len(chain.rules) < _LEAST.get((table, chain.name), 0):
        return True
    # A policy's rule that allows or passes is followed by one that returns (spec: rules 7.6).
    return bool(chain.rules) and chain.name.startswith(_OF_RULES) and isinstance(chain.rules[-1].target, MarkTarget)


def _ending_by_prefix(table: TableName, name: str) -> _Ending | None:
    return next((ending for (where, start), ending in _PREFIXES.items() if where is table and name.startswith(start)), None)
