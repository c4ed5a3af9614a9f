"""Policy and profile chains: one Calico rule into one or more iptables rules.

An iptables rule tests one source net, fifteen ports, one of everything; a Calico rule may list many. A list that does not
fit becomes a *block*: a run of rules that gathers in scratch bit 0 whether every block so far holds, with scratch bit 1
for the block at hand; the main rule then tests bit 0 beside what is left. Blocks of alternatives come first, then blocks
of exceptions, which start from *holds* and clear the bit. The words and their order are Felix's (spec: rules 7; Felix 3.7
rules/policy.go).

Where Felix 3.7.5 is wrong or writes what iptables refuses, the default here is right and `felix_exact` is Felix
(docs/felix-differences.md): the scratch bit is cleared again before the third and later blocks, the pass bit before a
profile that passes, and a rule that iptables would refuse is put so that it says the same, or left out when it can match
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tortie.calc.view import ActiveRule, IcmpTest, PortRange, RuleAction, RuleSide
from tortie.net.address import IPFamily, Prefix
from tortie.net.protocol import ICMP, ICMPV6, parse_protocol
from tortie.netfilter.match import Side
from tortie.render import text
from tortie.render.names import ip_set_name
from tortie.render.state import RenderContext
from tortie.render.text import DROP, RETURN, Criterion, FelixRule, rule

MULTIPORT_SLOTS = 15
"""Numbers that one multiport match holds; a range takes two."""
_ICMP_OF = {IPFamily.V4: ICMP, IPFamily.V6: ICMPV6}


def split_ports(ranges: Sequence[PortRange]) -> list[tuple[PortRange, ...]]:
    """Cuts a list of ports into runs that one multiport match can hold; never reorders or merges (spec: rules 7.4)."""
    splits: list[tuple[PortRange, ...]] = []
    run: list[PortRange] = []
    free = MULTIPORT_SLOTS
    for item in ranges:
        needed = 1 if item.first == item.last else 2
        if needed > free:
            splits.append(tuple(run))
            run, free = [], MULTIPORT_SLOTS
        run.append(item)
        free -= needed
    if run:
        splits.append(tuple(run))
    return splits


def policy_rules(rules: Iterable[ActiveRule], family: IPFamily, context: RenderContext) -> list[FelixRule]:
    """The rules of one direction of a policy, in one family."""
    return [made for given in rules for made in active_rule_rules(given, family, context)]


def profile_rules(rules: Iterable[ActiveRule], family: IPFamily, context: RenderContext) -> list[FelixRule]:
    """The rules of one direction of a profile, in one family.

    A packet may come with the pass bit that a policy has set. A rule of the profile that passes would take it for its own
    and return, whether it holds or not, so the bit is cleared first where there is such a rule.
    """
    given = tuple(rules)
    made = policy_rules(given, family, context)
    passes = any(one.action is RuleAction.NEXT_TIER for one in given)
    if made and passes and not context.config.felix_exact:
        return [rule(text.clear_mark(context.bits.passed)), *made]
    return made


def active_rule_rules(given: ActiveRule, family: IPFamily, context: RenderContext) -> list[FelixRule]:
    """One Calico rule in one family: blocks, then the main rule; nothing when it is not for this family."""
    if given.ip_version is not None and given.ip_version is not family:
        return []
    source, destination = _of_family(given.source, family), _of_family(given.destination, family)
    if source is None or destination is None:
        return []
    kept = replace(given, source=source, destination=destination)
    blocks = _Blocks(context, family)
    kept = _without_lists(kept, blocks)
    if not context.config.felix_exact:
        loadable = _loadable(kept, family, blocks)
        if loadable is None:
            return []
        kept = loadable
    criteria = _criteria(kept, family)
    if blocks.rules:
        criteria.append(text.mark_single_set(context.bits.scratch0))
    return [*blocks.rules, *_actions(kept.action, criteria, context)]


def _of_family(side: RuleSide, family: IPFamily) -> RuleSide | None:
    """The side with the nets of one family, or None when a list of nets had only others (spec: rules 7.2)."""
    nets = tuple(net for net in side.nets if net.family is family)
    not_nets = tuple(net for net in side.not_nets if net.family is family)
    if (side.nets and not nets) or (side.not_nets and not not_nets):
        return None
    return replace(side, nets=nets, not_nets=not_nets)


# --- blocks (spec: rules 7.3) ------------------------------------------------------------------------------------


class _Blocks:
    """The rules of the blocks of one Calico rule while they are written."""

    def __init__(self, context: RenderContext, family: IPFamily) -> None:
        self.rules: list[FelixRule] = []
        self._bits = context.bits
        self._family = family
        self._exact = context.config.felix_exact
        self._positive = 0

    def ports(self, side: Side, given: ActiveRule, which: RuleSide) -> None:
        """A block of alternatives: any of the ports, or any of the named ports."""
        spelt = [] if given.protocol is None else [text.protocol(given.protocol)]
        numeric = [[*spelt, text.ports(side, run)] for run in split_ports(which.ports)]
        named = [[text.in_set(ip_set_name(self._family, name), side, side)] for name in which.named_port_sets]
        self._any_of([*numeric, *named])

    def nets(self, side: Side, nets: Sequence[Prefix]) -> None:
        """A block of alternatives: any of the nets."""
        self._any_of([[text.net(side, net)] for net in nets])

    def not_nets(self, side: Side, nets: Sequence[Prefix]) -> None:
        """A block of exceptions: none of the nets."""
        self.none_of([[text.net(side, net)] for net in nets])

    def none_of(self, exceptions: Iterable[Sequence[Criterion]]) -> None:
        """A block of exceptions: it holds unless one of them matches."""
        self._start(self._bits.scratch0)
        for criteria in exceptions:
            self.rules.append(rule(text.clear_mark(self._bits.scratch0), *criteria))

    def _any_of(self, alternatives: Iterable[Sequence[Criterion]]) -> None:
        bits = self._bits
        self._start(0)
        self._positive += 1
        target = bits.scratch0 if self._positive == 1 else bits.scratch1
        if self._positive > 2 and not self._exact:
            self.rules.append(rule(text.clear_mark(bits.scratch1)))
        for criteria in alternatives:
            self.rules.append(rule(text.set_mark(target), *criteria))
        if self._positive > 1:
            self.rules.append(rule(text.clear_mark(bits.scratch0), text.mark_clear(bits.scratch1)))

    def _start(self, initial: int) -> None:
        if not self.rules:
            self.rules.append(rule(text.set_masked_mark(initial, self._bits.scratch)))


def _without_lists(given: ActiveRule, blocks: _Blocks) -> ActiveRule:
    """Writes a block for every list that does not fit into one rule, and returns the rule without these lists."""
    source, destination = given.source, given.destination
    if _port_matches(source) > 1:
        blocks.ports(Side.SRC, given, source)
        source = replace(source, ports=(), named_port_sets=())
    if _port_matches(destination) > 1:
        blocks.ports(Side.DST, given, destination)
        destination = replace(destination, ports=(), named_port_sets=())
    if len(source.nets) > 1:
        blocks.nets(Side.SRC, source.nets)
        source = replace(source, nets=())
    if len(destination.nets) > 1:
        blocks.nets(Side.DST, destination.nets)
        destination = replace(destination, nets=())
    if len(source.nets) + len(source.not_nets) > 1:
        blocks.not_nets(Side.SRC, source.not_nets)
        source = replace(source, not_nets=())
    if len(destination.nets) + len(destination.not_nets) > 1:
        blocks.not_nets(Side.DST, destination.not_nets)
        destination = replace(destination, not_nets=())
    return replace(given, source=source, destination=destination)


def _port_matches(side: RuleSide) -> int:
    return len(split_ports(side.ports)) + len(side.named_port_sets)


# --- what iptables takes -----------------------------------------------------------------------------------------


def _loadable(given: ActiveRule, family: IPFamily, blocks: _Blocks) -> ActiveRule | None:
    """The rule in a form that iptables takes, or None when it can match no packet of the family.

    iptables has one `-p` a rule, its icmp matches want `-p` to be ICMP of the family, and the nft back-end refuses
    `! -s 0.0.0.0/0` (checked with iptables 1.8.9).
    """
    if any(net.length == 0 for net in (*given.source.not_nets, *given.destination.not_nets)):
        return None
    wanted = None if given.protocol is None else _protocol_number(given.protocol)
    if wanted is not None and given.not_protocol is not None:
        if _protocol_number(given.not_protocol) == wanted:
            return None
        given = replace(given, not_protocol=None)
    icmp = _ICMP_OF[family]
    if given.icmp is not None and wanted is None:
        if given.not_protocol is not None and _protocol_number(given.not_protocol) == icmp:
            return None
        given, wanted = replace(given, protocol=icmp, not_protocol=None), icmp
    if given.icmp is not None and wanted != icmp:
        return None
    if given.not_icmp is not None and wanted != icmp:
        if wanted is None:
            blocks.none_of([[text.protocol(icmp), text.icmp(family, given.not_icmp)]])
        given = replace(given, not_icmp=None)
    return given


def _protocol_number(name: int | str) -> int:
    return name & 255 if isinstance(name, int) else parse_protocol(name)


# --- the main rule -----------------------------------------------------------------------------------------------


def _criteria(given: ActiveRule, family: IPFamily) -> list[Criterion]:
    """What is left for the main rule, in the order of spec rules 7.5."""
    criteria = [] if given.protocol is None else [text.protocol(given.protocol)]
    for side, which in ((Side.SRC, given.source), (Side.DST, given.destination)):
        criteria += [text.net(side, net) for net in which.nets]
        criteria += [text.in_set(ip_set_name(family, name), side) for name in which.ip_sets]
        criteria += [text.ports(side, run) for run in split_ports(which.ports)]
        criteria += [text.in_set(ip_set_name(family, name), side, side) for name in which.named_port_sets]
    criteria += _icmp_criteria(family, given.icmp)
    if given.not_protocol is not None:
        criteria.append(text.protocol(given.not_protocol, inverted=True))
    for side, which in ((Side.SRC, given.source), (Side.DST, given.destination)):
        criteria += [text.net(side, net, inverted=True) for net in which.not_nets]
        criteria += [text.in_set(ip_set_name(family, name), side, inverted=True) for name in which.not_ip_sets]
        criteria += [text.ports(side, run, inverted=True) for run in split_ports(which.not_ports)]
        criteria += [
            text.in_set(ip_set_name(family, name), side, side, inverted=True) for name in which.not_named_port_sets
        ]
    criteria += _icmp_criteria(family, given.not_icmp, inverted=True)
    return criteria


def _icmp_criteria(family: IPFamily, test: IcmpTest | None, *, inverted: bool = False) -> list[Criterion]:
    return [] if test is None else [text.icmp(family, test, inverted=inverted)]


def _actions(action: RuleAction, criteria: Sequence[Criterion], context: RenderContext) -> list[FelixRule]:
    """The rules that carry out an action on what matches (spec: rules 7.6)."""
    bits = context.bits
    match action:
        case RuleAction.ALLOW:
            return _mark_and_return(bits.accept, criteria)
        case RuleAction.NEXT_TIER:
            return _mark_and_return(bits.passed, criteria)
        case RuleAction.DENY:
            return [rule(DROP, *criteria)]
        case RuleAction.LOG:
            return [rule(text.log(context.config.log_prefix), *criteria)]


def _mark_and_return(bit: int, criteria: Sequence[Criterion]) -> list[FelixRule]:
    return [rule(text.set_mark(bit), *criteria), rule(RETURN, text.mark_single_set(bit))]
