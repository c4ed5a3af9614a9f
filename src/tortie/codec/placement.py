"""Where a rule may stand: the tables, hooks and protocols that the tools and the kernel ask of each match and target.

Declared as tables; every entry was found by trying all built-in chains of all tables in both back-ends and families with
iptables 1.8.9 (spec: netfilter 6, 7). A user chain counts for every hook whose built-in chain reaches it by jumps; a chain
that nothing reaches is free of the tests on hooks but not of those on tables and protocols.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from tortie.codec.rate import limit_overflows
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.net.protocol import (
    AH,
    DCCP,
    ESP,
    ICMP,
    ICMPV6,
    SCTP,
    TCP,
    UDP,
    UDPLITE,
    protocol_name,
)
from tortie.netfilter.hook import BUILTIN_CHAINS, Backend, Hook, TableName
from tortie.netfilter.match import (
    AddrtypeMatch,
    AhMatch,
    CgroupMatch,
    DccpMatch,
    DestinationMatch,
    DevgroupMatch,
    EcnMatch,
    EspMatch,
    Eui64Match,
    Icmp6Match,
    IcmpMatch,
    IpcompMatch,
    LimitMatch,
    MacMatch,
    Match,
    MhMatch,
    MultiportMatch,
    OsfMatch,
    OwnerMatch,
    PhysdevMatch,
    PolicyMatch,
    ProtocolMatch,
    RealmMatch,
    RpfilterMatch,
    SctpMatch,
    SocketMatch,
    SourceMatch,
    TcpMatch,
    TcpmssMatch,
    UdpMatch,
)
from tortie.netfilter.rule import Rule, Table
from tortie.netfilter.target import (
    ChecksumTarget,
    ClassifyTarget,
    CtTarget,
    Dnat,
    Drop,
    DscpTarget,
    EcnTarget,
    Goto,
    HlTarget,
    Jump,
    Masquerade,
    Netmap,
    Notrack,
    PlainTarget,
    Queue,
    Redirect,
    Reject,
    SetTarget,
    Snat,
    SynproxyTarget,
    TcpmssTarget,
    TcpoptstripTarget,
    TosTarget,
    TproxyTarget,
    TraceTarget,
    TtlTarget,
)

_PRE, _IN, _FWD, _OUT, _POST = Hook.PREROUTING, Hook.INPUT, Hook.FORWARD, Hook.OUTPUT, Hook.POSTROUTING
_ALL = frozenset(Hook)
_ARRIVING = frozenset({_PRE, _IN, _FWD})
_LEAVING = frozenset({_FWD, _OUT, _POST})
_MANGLE = frozenset({TableName.MANGLE})
_RAW = frozenset({TableName.RAW})
_NAT = frozenset({TableName.NAT})
_FILTER = frozenset({TableName.FILTER})
_NAT_PORT_PROTOCOLS = frozenset({TCP, UDP, SCTP, DCCP, ICMP})
_IPCOMP, _MH = 108, 135


@dataclass(frozen=True, slots=True)
class Place:
    """What one match or target asks for; None leaves it free.

    `protocols` must be named by `-p`; with `!` before it only where `inverted_protocol` says so.
    """

    tables: frozenset[TableName] | None = None
    hooks: frozenset[Hook] | None = None
    protocols: frozenset[int] | None = None
    inverted_protocol: bool = False


_FREE = Place()


def _hooks(*hooks: Hook) -> Callable[[Any], Place]:
    place = Place(hooks=frozenset(hooks))
    return lambda value: place


def _tables(tables: frozenset[TableName], hooks: frozenset[Hook] | None = None) -> Callable[[Any], Place]:
    place = Place(tables, hooks)
    return lambda value: place


def _protocols(*protocols: int) -> Callable[[Any], Place]:
    place = Place(protocols=frozenset(protocols))
    return lambda value: place


def _addrtype(match: AddrtypeMatch) -> Place:
    hooks = _ALL
    if match.limit_iface_in:
        hooks &= _ARRIVING
    if match.limit_iface_out:
        hooks &= _LEAVING
    return Place(hooks=hooks)


def _devgroup(match: DevgroupMatch) -> Place:
    hooks = _ALL
    if match.source is not None:
        hooks &= _ARRIVING
    if match.destination is not None:
        hooks &= _LEAVING
    return Place(hooks=hooks)


def _physdev(match: PhysdevMatch) -> Place:
    bridged = match.is_bridged is not None and not match.is_bridged.inverted
    leaves = match.out_dev is not None or match.is_out is not None
    return Place(hooks=_ALL - {_OUT} if leaves and not bridged else None)


def _policy(match: PolicyMatch) -> Place:
    return Place(hooks=_ARRIVING if match.direction == "in" else _LEAVING)


def _ecn(match: EcnMatch) -> Place:
    return Place(protocols=frozenset({TCP})) if match.cwr or match.ece else _FREE


_MATCH_PLACES: Mapping[type[Any], Callable[[Any], Place]] = {
    TcpMatch: _protocols(TCP),
    UdpMatch: _protocols(UDP),
    SctpMatch: _protocols(SCTP),
    DccpMatch: _protocols(DCCP),
    IcmpMatch: _protocols(ICMP),
    Icmp6Match: _protocols(ICMPV6),
    MultiportMatch: _protocols(TCP, UDP, UDPLITE, SCTP, DCCP),
    TcpmssMatch: _protocols(TCP),
    EspMatch: _protocols(ESP),
    IpcompMatch: _protocols(_IPCOMP),
    MhMatch: _protocols(_MH),
    OsfMatch: lambda match: Place(hooks=_ARRIVING, protocols=frozenset({TCP})),
    EcnMatch: _ecn,
    AddrtypeMatch: _addrtype,
    DevgroupMatch: _devgroup,
    PhysdevMatch: _physdev,
    PolicyMatch: _policy,
    MacMatch: _hooks(*_ARRIVING),
    Eui64Match: _hooks(*_ARRIVING),
    RpfilterMatch: _tables(frozenset({TableName.RAW, TableName.MANGLE}), frozenset({_PRE})),
    OwnerMatch: _hooks(_OUT, _POST),
    SocketMatch: _hooks(_PRE, _IN),
    CgroupMatch: _hooks(_IN, _OUT, _POST),
    RealmMatch: _hooks(_IN, _FWD, _OUT, _POST),
}


def _nat_ports(*hooks: Hook) -> Callable[[Any], Place]:
    """A NAT target: with ports it needs a protocol that has them; a `!` before the protocol is not looked at."""

    def place(target: Any) -> Place:
        ports = target.ports if isinstance(target, Masquerade | Redirect) else target.range.low_port
        return Place(_NAT, frozenset(hooks), None if ports is None else _NAT_PORT_PROTOCOLS, inverted_protocol=True)

    return place


HELPER_PROTOCOLS: Mapping[str, frozenset[int]] = {
    "amanda": frozenset({UDP}), "ftp": frozenset({TCP}), "irc": frozenset({TCP}), "netbios-ns": frozenset({UDP}),
    "pptp": frozenset({TCP}), "sane": frozenset({TCP}), "sip": frozenset({TCP, UDP}), "snmp": frozenset({UDP}),
    "tftp": frozenset({UDP}), "RAS": frozenset({UDP}), "Q.931": frozenset({TCP}), "H.245": frozenset({TCP}),
}  # fmt: skip
"""Protocols of the kernel's connection tracking helpers (net/netfilter/nf_conntrack_*.c)."""
_ANY_PROTOCOL = frozenset(range(1, 256))


def _ct(target: CtTarget) -> Place:
    if target.helper is None and target.timeout is None:
        return Place(_RAW)
    return Place(_RAW, protocols=HELPER_PROTOCOLS.get(target.helper or "", _ANY_PROTOCOL))


def _tcpmss(target: TcpmssTarget) -> Place:
    return Place(hooks=_LEAVING if target.mss is None else None, protocols=frozenset({TCP}))


def _set(target: SetTarget) -> Place:
    if target.operation != "map":
        return _FREE
    return Place(_MANGLE, _LEAVING if target.map_prio or target.map_queue else None)


def _reject(target: Reject) -> Place:
    return Place(_FILTER, protocols=frozenset({TCP}) if target.reject_with == "tcp-reset" else None)


def _ecn_target(target: EcnTarget) -> Place:
    tcp = target.tcp_remove or target.ece is not None or target.cwr is not None
    return Place(_MANGLE, protocols=frozenset({TCP}) if tcp else None)


_PLAIN_PLACES: Mapping[str, Place] = {
    "CONNSECMARK": Place(frozenset({TableName.MANGLE, TableName.SECURITY})),
    "SECMARK": Place(frozenset({TableName.MANGLE, TableName.SECURITY})),
    "DNPT": Place(_MANGLE, frozenset({_PRE, _OUT})),
    "SNPT": Place(_MANGLE, frozenset({_IN, _POST})),
    "CLUSTERIP": Place(_FILTER, frozenset({_IN})),
}

_TARGET_PLACES: Mapping[type[Any], Callable[[Any], Place]] = {
    Drop: _tables(frozenset(TableName) - _NAT),
    Reject: _reject,
    Dnat: _nat_ports(_PRE, _OUT),
    Redirect: _nat_ports(_PRE, _OUT),
    Snat: _nat_ports(_IN, _POST),
    Masquerade: _nat_ports(_POST),
    Netmap: _tables(_NAT),
    CtTarget: _ct,
    Notrack: _tables(_RAW),
    TtlTarget: _tables(_MANGLE),
    HlTarget: _tables(_MANGLE),
    TosTarget: _tables(_MANGLE),
    DscpTarget: _tables(_MANGLE),
    EcnTarget: _ecn_target,
    ChecksumTarget: _tables(_MANGLE),
    TcpoptstripTarget: lambda target: Place(_MANGLE, protocols=frozenset({TCP})),
    TcpmssTarget: _tcpmss,
    ClassifyTarget: _hooks(*_LEAVING),
    TproxyTarget: lambda target: Place(_MANGLE, frozenset({_PRE}), frozenset({TCP, UDP})),
    SynproxyTarget: lambda target: Place(hooks=frozenset({_IN, _FWD}), protocols=frozenset({TCP})),
    SetTarget: _set,
    PlainTarget: lambda target: _PLAIN_PLACES.get(target.name, _FREE),
}


def _match_place(match: object, family: IPFamily) -> Place:
    if isinstance(match, AhMatch):
        return Place(protocols=frozenset({AH})) if family is IPFamily.V4 else _FREE
    found = _MATCH_PLACES.get(type(match))
    return found(match) if found else _FREE


def _target_place(target: object, backend: Backend) -> Place:
    if isinstance(target, TraceTarget):
        return Place(_RAW) if backend is Backend.LEGACY else _FREE
    found = _TARGET_PLACES.get(type(target))
    return found(target) if found else _FREE


# --- judging ------------------------------------------------------------------------------------------------------


def check_rule(rule: Rule, table: TableName, family: IPFamily, backend: Backend) -> None:
    """Raises `InvalidInput` when a part of the rule does not fit the table, the protocol or the back-end."""
    protocol = next((match for match in rule.matches if isinstance(match, ProtocolMatch)), None)
    for match in rule.matches:
        native = backend is Backend.NFT and is_native(match)
        _check_place(_match_place(match, family), type(match).__name__, table, protocol, native=native)
    _check_place(_target_place(rule.target, backend), type(rule.target).__name__, table, protocol, native=False)
    if isinstance(rule.target, Queue) and backend is Backend.NFT:
        raise InvalidInput("the nft back-end has no QUEUE", remedy="use NFQUEUE")
    for match in rule.matches:
        if isinstance(match, LimitMatch) and backend is Backend.LEGACY and limit_overflows(match.rate, match.burst):
            raise InvalidInput("limit's rate and burst are too large together", remedy="ask for a smaller burst")
        if isinstance(match, SourceMatch | DestinationMatch) and not match.net.mask and backend is Backend.NFT:
            raise InvalidInput("the nft back-end refuses a test that no address passes")
    if isinstance(rule.target, TcpmssTarget) and backend is Backend.LEGACY and not _tests_syn(rule):
        raise InvalidInput("TCPMSS works only on SYN packets", remedy="add --syn")


def is_native(match: Match) -> TypeGuard[TcpMatch | UdpMatch]:
    """True for tests that the nft back-end makes with its own expressions instead of an extension (iptables 1.8.9)."""
    return isinstance(match, UdpMatch) or (isinstance(match, TcpMatch) and match.option is None)


def _check_place(place: Place, what: str, table: TableName, protocol: ProtocolMatch | None, *, native: bool) -> None:
    if place.tables is not None and table not in place.tables:
        names = ", ".join(sorted(name.value for name in place.tables))
        raise InvalidInput(f"{what} is not allowed in table {table.value}", remedy=f"it belongs in {names}")
    if place.protocols is None:
        return
    inverted = protocol is not None and protocol.inverted and not (place.inverted_protocol or native)
    if protocol is None or inverted or protocol.number not in place.protocols:
        names = ", ".join(protocol_name(number) for number in sorted(place.protocols)[:5])
        raise InvalidInput(f"{what} needs -p with a protocol such as {names}")


def _tests_syn(rule: Rule) -> bool:
    """True when a tcp match asks for SYN set, as xt_TCPMSS looks for it (net/netfilter/xt_TCPMSS.c, find_syn_match)."""
    return any(
        isinstance(match, TcpMatch)
        and match.flags is not None
        and match.flags.value.compare & 0x02
        and not match.flags.inverted
        for match in rule.matches
    )


def check_table(table: Table, family: IPFamily, backend: Backend) -> None:
    """Raises `InvalidInput` for jumps to nowhere, loops, deep nesting, and rules that a hook reaches but may not hold."""
    hooks = _reaching_hooks(table, backend)
    for chain in table.chains.values():
        reached = hooks.get(chain.name, frozenset())
        for rule in chain.rules:
            for part, place in (
                *((match, _match_place(match, family)) for match in rule.matches),
                (rule.target, _target_place(rule.target, backend)),
            ):
                if place.hooks is not None and reached - place.hooks:
                    wrong = ", ".join(hook.value for hook in Hook if hook in reached - place.hooks)
                    raise InvalidInput(f"{type(part).__name__} in chain {chain.name} is not allowed in {wrong}")


_DEEPEST_NFT = 15


def _reaching_hooks(table: Table, backend: Backend) -> dict[str, frozenset[Hook]]:
    """For every chain the hooks whose built-in chain leads to it."""
    edges = {chain.name: _edges(table, chain.name) for chain in table.chains.values()}
    found: dict[str, frozenset[Hook]] = {}
    for hook in BUILTIN_CHAINS[table.name]:
        if hook.value in table.chains:
            depths = _depths(edges, hook.value)
            if backend is Backend.NFT and max(depths.values()) > _DEEPEST_NFT:
                raise InvalidInput(f"chains below {hook.value} nest deeper than {_DEEPEST_NFT}")
            for name in depths:
                found[name] = found.get(name, frozenset()) | {hook}
    return found


def _edges(table: Table, chain: str) -> tuple[str, ...]:
    found = []
    for rule in table.chains[chain].rules:
        if isinstance(rule.target, Jump | Goto):
            name = rule.target.chain
            if name not in table.chains:
                raise InvalidInput(f"a rule of {chain} jumps to {name}, which is neither a chain nor a known target")
            if any(hook.value == name for hook in BUILTIN_CHAINS[table.name]):
                raise InvalidInput(f"a rule of {chain} jumps to the built-in chain {name}")
            found.append(name)
    return tuple(dict.fromkeys(found))


def _depths(edges: Mapping[str, tuple[str, ...]], start: str) -> dict[str, int]:
    """The longest way from a chain to each chain it reaches; raises `InvalidInput` for a loop."""
    order: list[str] = []
    state: dict[str, bool] = {}
    stack = [(start, iter(edges[start]))]
    state[start] = False
    while stack:
        name, rest = stack[-1]
        for other in rest:
            if other not in state:
                state[other] = False
                stack.append((other, iter(edges[other])))
                break
            if not state[other]:
                raise InvalidInput(f"chains loop: {name} jumps to {other}, which leads back to it")
        else:
            state[name] = True
            order.append(name)
            stack.pop()
    depths = {start: 0}
    for name in reversed(order):
        for other in edges[name]:
            depths[other] = max(depths.get(other, 0), depths[name] + 1)
    return depths
