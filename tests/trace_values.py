"""Traces built by hand: what the command line must be able to show, without a simulator to make it."""

from __future__ import annotations

from dataclasses import replace

from tests.builders import chain, comment, ruleset, table
from tortie.net.address import AddressMask, IPFamily, parse_address
from tortie.net.packet import Packet
from tortie.netfilter.conntrack import ConnEntry, ConnTuple
from tortie.netfilter.hook import Backend, Hook, TableName
from tortie.netfilter.match import (
    ConntrackMatch,
    CtState,
    Direction,
    InInterfaceMatch,
    LimitMatch,
    MarkMatch,
    OutInterfaceMatch,
    ProtocolMatch,
    SourceMatch,
    Test,
)
from tortie.netfilter.rule import Rule, Ruleset
from tortie.netfilter.target import Accept, Dnat, Drop, Goto, Jump, MarkTarget, NatRange, Reject, Return
from tortie.simulator.answer import DoubtKind
from tortie.simulator.choice import Condition
from tortie.simulator.route_decision import RouteDecision, RouteKind
from tortie.simulator.summary import Naming, read_naming
from tortie.simulator.trace import (
    Cause,
    ChainStep,
    ConntrackStep,
    DecidedBy,
    Disposition,
    Egress,
    NatStep,
    NoteStep,
    RouteStep,
    RuleStep,
    Step,
    Trace,
    Verdict,
    Walk,
)

FILTER, NAT, RAW = TableName.FILTER, TableName.NAT, TableName.RAW
WORKLOAD = "cali1a2b"


def tcp(src: str, dst: str, sport: int = 40000, dport: int = 80, ttl: int = 64) -> Packet:
    """A SYN."""
    source, target = parse_address(src), parse_address(dst)
    return Packet(source.family, source.value, target.value, 6, sport=sport, dport=dport, tcp_flags=2, ttl=ttl)


PACKET = tcp("10.65.0.2", "10.65.0.3")

_NO_POLICY = comment("Drop if no policies passed packet")
_NO_PROFILE = comment("Drop if no profiles matched")
_ACCEPTED = comment("Policy explicitly accepted packet.")
_HASH = comment("cali:6gwbT8clXdHdC1b1")
_KNOWN = ConntrackMatch(states=Test(frozenset({CtState.ESTABLISHED, CtState.RELATED})))
_INVALID = ConntrackMatch(states=Test(frozenset({CtState.INVALID})))

RULES: Ruleset = ruleset(
    table(
        RAW,
        chain("PREROUTING", Rule((_HASH,), Jump("cali-PREROUTING")), policy="ACCEPT"),
        chain(
            "cali-PREROUTING",
            Rule((_HASH,), MarkTarget(0, 0xF0000)),
            Rule((InInterfaceMatch("cali+"), _HASH), MarkTarget(0x40000, 0x40000)),
            Rule((_HASH, MarkMatch(0, 0x40000)), Jump("cali-from-host-endpoint")),
            Rule((_HASH, MarkMatch(0x10000, 0x10000)), Accept()),
        ),
    ),
    table(
        FILTER,
        chain("FORWARD", Rule((_HASH,), Jump("cali-FORWARD")), policy="ACCEPT"),
        chain(
            "cali-FORWARD",
            Rule((_HASH,), MarkTarget(0, 0xE0000)),
            Rule((OutInterfaceMatch("cali+"), _HASH), Jump("cali-to-wl-dispatch")),
            Rule((_HASH, _ACCEPTED, MarkMatch(0x10000, 0x10000)), Accept()),
        ),
        chain("cali-to-wl-dispatch", Rule((OutInterfaceMatch(WORKLOAD), _HASH), Goto(f"cali-tw-{WORKLOAD}"))),
        chain(
            f"cali-tw-{WORKLOAD}",
            Rule((_HASH, _KNOWN), Accept()),
            Rule((_HASH, _INVALID), Drop()),
            Rule((_HASH,), MarkTarget(0, 0x10000)),
            Rule((_HASH, comment("Start of policies")), MarkTarget(0, 0x20000)),
            Rule((_HASH, MarkMatch(0, 0x20000)), Jump("cali-pi-shop/default.web")),
            Rule((_HASH, comment("Return if policy accepted"), MarkMatch(0x10000, 0x10000)), Return()),
            Rule((_HASH, _NO_POLICY, MarkMatch(0, 0x20000)), Drop()),
            Rule((_HASH,), Jump("cali-pri-kns.shop")),
            Rule((_HASH, _NO_PROFILE), Drop()),
        ),
        chain(
            "cali-pi-shop/default.web",
            Rule((SourceMatch(AddressMask(IPFamily.V4, 0x0A410000, 0xFFFF0000)), _HASH), MarkTarget(0x10000, 0x10000)),
            Rule((_HASH, MarkMatch(0x10000, 0x10000)), Return()),
        ),
        chain("cali-pri-kns.shop"),
    ),
)
NAMING: Naming = read_naming([RULES])


class Teller:
    """Makes the steps of a walk over `RULES` by naming rules; marks are kept as the rules' own targets say."""

    def __init__(self, packet: Packet = PACKET, rules: Ruleset = RULES) -> None:
        self.packet = packet
        self.rules = rules
        self.mark = 0
        self.steps: list[Step] = []

    def rule(
        self,
        hook: Hook,
        where: TableName,
        name: str,
        number: int,
        depth: int = 0,
        *,
        miss: str | None = None,
        reason: str = "",
        effect: str = "",
    ) -> None:
        """A rule that matched, or missed for the reason `miss`."""
        rule = self.rules.tables[where].chains[name].rules[number - 1]
        before = self.mark
        if miss is None and isinstance(rule.target, MarkTarget):
            self.mark = self.mark & ~rule.target.mask ^ rule.target.value
        self.steps.append(
            RuleStep(
                hook, where, name, number, rule, miss is None, reason if miss is None else miss, effect, before, self.mark,
                self.packet, depth, Backend.LEGACY,
            )
        )  # fmt: skip

    def end(self, hook: Hook, where: TableName, name: str, depth: int = 0, policy: str | None = None) -> None:
        """The end of a chain."""
        number = len(self.rules.tables[where].chains[name].rules) + 1
        self.steps.append(ChainStep(hook, where, name, number, policy, self.mark, self.packet, depth, Backend.LEGACY))

    def add(self, step: Step) -> None:
        """Any other step."""
        self.steps.append(step)


def _to_workload() -> Teller:
    """From the wire to the workload's chain."""
    told = Teller()
    told.rule(Hook.PREROUTING, RAW, "PREROUTING", 1, effect="jumps to cali-PREROUTING")
    told.rule(Hook.PREROUTING, RAW, "cali-PREROUTING", 1, 1)
    told.rule(Hook.PREROUTING, RAW, "cali-PREROUTING", 2, 1)
    told.rule(Hook.PREROUTING, RAW, "cali-PREROUTING", 3, 1, miss="mark is 0x40000, under 0x40000 not 0x0")
    told.rule(Hook.PREROUTING, RAW, "cali-PREROUTING", 4, 1, miss="mark is 0x40000, under 0x10000 not 0x10000")
    told.end(Hook.PREROUTING, RAW, "cali-PREROUTING", 1)
    told.end(Hook.PREROUTING, RAW, "PREROUTING", policy="ACCEPT")
    told.add(
        ConntrackStep(Hook.PREROUTING, CtState.NEW, Direction.ORIGINAL, None, "first packet of a connection", told.mark)
    )
    route = RouteDecision(RouteKind.UNICAST, f"10.65.0.3 dev {WORKLOAD}, table main", WORKLOAD, table="main")
    told.add(RouteStep("input", route, told.mark))
    told.packet = tcp("10.65.0.2", "10.65.0.3", ttl=63)
    told.rule(Hook.FORWARD, FILTER, "FORWARD", 1)
    told.rule(Hook.FORWARD, FILTER, "cali-FORWARD", 1, 1)
    told.rule(Hook.FORWARD, FILTER, "cali-FORWARD", 2, 1)
    told.rule(Hook.FORWARD, FILTER, "cali-to-wl-dispatch", 1, 2)
    name = f"cali-tw-{WORKLOAD}"
    told.rule(Hook.FORWARD, FILTER, name, 1, 2, miss="the state is NEW")
    told.rule(Hook.FORWARD, FILTER, name, 2, 2, miss="the state is NEW")
    told.rule(Hook.FORWARD, FILTER, name, 3, 2)
    told.rule(Hook.FORWARD, FILTER, name, 4, 2)
    told.rule(Hook.FORWARD, FILTER, name, 5, 2)
    return told


def dropped_by_policy() -> Walk:
    """A workload whose policy does not allow the packet."""
    told = _to_workload()
    told.rule(Hook.FORWARD, FILTER, "cali-pi-shop/default.web", 1, 3, miss="source 10.65.0.2 is not in 10.65.0.0/16")
    told.rule(Hook.FORWARD, FILTER, "cali-pi-shop/default.web", 2, 3, miss="mark is 0x0")
    told.end(Hook.FORWARD, FILTER, "cali-pi-shop/default.web", 3)
    told.rule(Hook.FORWARD, FILTER, f"cali-tw-{WORKLOAD}", 6, 2, miss="mark is 0x0")
    told.rule(Hook.FORWARD, FILTER, f"cali-tw-{WORKLOAD}", 7, 2, effect="drops")
    return _one(told, Verdict.DROP, Disposition.DROPPED, _rule(f"cali-tw-{WORKLOAD}", 7))


def dropped_by_profile() -> Walk:
    """A workload without a profile that allows the packet."""
    told = _to_workload()
    told.rule(Hook.FORWARD, FILTER, f"cali-tw-{WORKLOAD}", 8, 2)
    told.end(Hook.FORWARD, FILTER, "cali-pri-kns.shop", 3)
    told.rule(Hook.FORWARD, FILTER, f"cali-tw-{WORKLOAD}", 9, 2, effect="drops")
    return _one(told, Verdict.DROP, Disposition.DROPPED, _rule(f"cali-tw-{WORKLOAD}", 9))


def forwarded() -> Walk:
    """A workload whose policy allows the packet."""
    told = _to_workload()
    told.rule(Hook.FORWARD, FILTER, "cali-pi-shop/default.web", 1, 3)
    told.rule(Hook.FORWARD, FILTER, "cali-pi-shop/default.web", 2, 3, effect="returns")
    told.rule(Hook.FORWARD, FILTER, f"cali-tw-{WORKLOAD}", 6, 2, effect="returns")
    told.rule(Hook.FORWARD, FILTER, "cali-FORWARD", 3, 1, effect="accepts")
    out = Egress(WORKLOAD, told.packet, told.mark)
    return _one(told, Verdict.ACCEPT, Disposition.FORWARDED, _rule("cali-FORWARD", 3), out=out)


def _rule(name: str, number: int, hook: Hook = Hook.FORWARD) -> DecidedBy:
    return DecidedBy(Cause.RULE, "dropped by a rule", hook, FILTER, name, number, Backend.LEGACY)


def _one(
    told: Teller,
    verdict: Verdict,
    disposition: Disposition,
    decided: DecidedBy,
    *,
    out: Egress | None = None,
    in_iface: str | None = "cali9",
) -> Walk:
    trace = Trace(PACKET, in_iface, verdict, disposition, decided, tuple(told.steps), out)
    return Walk((trace,), verdict)


PLAIN_RULES: Ruleset = ruleset(
    table(
        NAT,
        chain(
            "PREROUTING",
            Rule((ProtocolMatch(6),), Dnat(NatRange(0x0A410009, 0x0A410009, 8080, 8080))),
            policy="ACCEPT",
        ),
    ),
    table(
        FILTER,
        chain(
            "FORWARD",
            Rule((LimitMatch("3/hour"),), Accept()),
            Rule((ProtocolMatch(6), comment("no web here")), Reject("icmp-port-unreachable")),
            policy="DROP",
        ),
    ),
)


def translated() -> Walk:
    """A destination rewritten, a source port drawn at random, accepted by a policy, with a connection left behind."""
    told = Teller(rules=PLAIN_RULES)
    after = tcp("10.65.0.2", "10.65.0.9", dport=8080)
    told.packet = after
    told.rule(Hook.PREROUTING, NAT, "PREROUTING", 1, effect="destination becomes 10.65.0.9:8080")
    told.add(NatStep(Hook.PREROUTING, PACKET, after, "destination 10.65.0.3:80 becomes 10.65.0.9:8080", 0))
    told.add(NoteStep(Hook.FORWARD, "fragments are put together", 0))
    told.rule(Hook.FORWARD, FILTER, "FORWARD", 1, miss="no tokens")
    told.end(Hook.FORWARD, FILTER, "FORWARD", policy="ACCEPT")
    left = tcp("10.65.0.1", "10.65.0.9", 1024, 8080, 63)
    told.add(NatStep(Hook.POSTROUTING, after, left, "source 10.65.0.2:40000 becomes 10.65.0.1", 0, (1024, 65535)))
    decided = DecidedBy(Cause.CHAIN_POLICY, "policy of FORWARD in filter is ACCEPT", Hook.FORWARD, FILTER, "FORWARD")
    walked = _one(told, Verdict.ACCEPT, Disposition.FORWARDED, decided, out=Egress("eth1", left, 0, (1024, 65535)))
    connection = ConnEntry(
        ConnTuple(IPFamily.V4, 6, PACKET.src, PACKET.dst, 40000, 80),
        ConnTuple(IPFamily.V4, 6, 0x0A410009, 0x0A410001, 8080, 1024),
        state="SYN_SENT",
        src_nat=True,
        dst_nat=True,
    )
    return Walk((replace(walked.trace, connection=connection),), Verdict.ACCEPT)


def rejected_or_not() -> Walk:
    """Two outcomes: a limit has tokens left, or the packet is rejected and answered."""

    def condition(option: str, text: str) -> tuple[Condition, ...]:
        return (Condition(DoubtKind.CHANCE, "filter:FORWARD:1", option, text),)

    let = Teller(rules=PLAIN_RULES)
    let.rule(Hook.FORWARD, FILTER, "FORWARD", 1, reason="limit 3/hour has tokens left", effect="accepts")
    passed = Trace(
        PACKET, "eth0", Verdict.ACCEPT, Disposition.FORWARDED, _rule("FORWARD", 1), tuple(let.steps),
        Egress("eth1", tcp("10.65.0.2", "10.65.0.3", ttl=63), 0),
        conditions=condition("match", "limit 3/hour has tokens left"),
        assumptions=("no conntrack table in the snapshot",),
    )  # fmt: skip
    no = Teller(rules=PLAIN_RULES)
    no.rule(Hook.FORWARD, FILTER, "FORWARD", 1, miss="not: limit 3/hour has tokens left")
    no.rule(Hook.FORWARD, FILTER, "FORWARD", 2, effect="answers icmp-port-unreachable")
    error = Packet(IPFamily.V4, 0x0A410001, PACKET.src, 1, icmp_type=3, icmp_code=3)
    answer = Trace(
        error, None, Verdict.ACCEPT, Disposition.SENT, DecidedBy(Cause.ROUTE, "no table had a say"),
        out=Egress("eth0", error, 0),
    )  # fmt: skip
    refused = Trace(
        PACKET, "eth0", Verdict.REJECT, Disposition.DROPPED, _rule("FORWARD", 2), tuple(no.steps),
        conditions=condition("miss", "not: limit 3/hour has tokens left"), answers=(answer,),
        assumptions=("no conntrack table in the snapshot",),
    )  # fmt: skip
    return Walk((passed, refused), Verdict.MAYBE)


def not_known() -> Walk:
    """A packet of the node itself about which the snapshot says nothing."""
    decided = DecidedBy(Cause.MISSING, "the snapshot holds no routes for IPv4")
    trace = Trace(PACKET, None, Verdict.UNKNOWN, Disposition.UNKNOWN, decided, errno=None)
    return Walk((trace,), Verdict.UNKNOWN)


def sent_and_refused() -> Walk:
    """A packet of the node itself that a rule refuses: the program gets an error."""
    told = Teller(rules=PLAIN_RULES)
    told.rule(Hook.FORWARD, FILTER, "FORWARD", 2, effect="answers icmp-port-unreachable")
    walked = _one(told, Verdict.REJECT, Disposition.DROPPED, _rule("FORWARD", 2), in_iface=None)
    return Walk((replace(walked.trace, errno="EPERM"),), Verdict.REJECT)


ALL: dict[str, Walk] = {
    "dropped-by-policy": dropped_by_policy(),
    "dropped-by-profile": dropped_by_profile(),
    "forwarded": forwarded(),
    "translated": translated(),
    "rejected-or-not": rejected_or_not(),
    "not-known": not_known(),
    "sent-and-refused": sent_and_refused(),
}
