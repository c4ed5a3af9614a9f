"""Tests of the packet's mark and of the connection it belongs to (spec: netfilter 4.9, 4.10, 7.4).

A packet without an entry is INVALID or UNTRACKED; before tracking ran, and where it does not run, the kernel finds no
entry either and calls it INVALID. In raw, after a CT rule, what is attached is that rule's template: a connection that is
NEW and has nothing else to say (nf_ct_get in include/net/netfilter/nf_conntrack.h).

Sources: net/netfilter/xt_conntrack.c, xt_state.c, xt_connmark.c, xt_mark.c.
"""

from __future__ import annotations

from collections.abc import Callable

from tortie.net.address import AddressMask
from tortie.net.protocol import protocol_name
from tortie.netfilter.conntrack import ConnTuple
from tortie.netfilter.match import (
    ConnmarkMatch,
    ConntrackMatch,
    CtState,
    CtStatus,
    IntRange,
    MarkMatch,
    StateMatch,
    Test,
)
from tortie.simulator.answer import Answer, Doubt, DoubtKind
from tortie.simulator.connection import Connection
from tortie.simulator.match_header import Holds, always, explain_address, never, range_text
from tortie.simulator.skb import Skb

_TEMPLATE = Doubt(DoubtKind.UNKNOWN, "the template that a CT rule attached fits this test")
_NAT_STATES = frozenset({CtState.SNAT, CtState.DNAT})

Check = Callable[[Skb, Connection], Answer]


# --- marks -------------------------------------------------------------------------------------------------------


def compile_mark(match: MarkMatch) -> Holds:
    """`-m mark`: a value with bits outside the mask never matches."""
    value, mask, inverted = match.value, match.mask, match.inverted
    if value & ~mask:
        return always if inverted else never
    if inverted:
        return lambda skb: skb.mark & mask != value
    return lambda skb: skb.mark & mask == value


def compile_connmark(match: ConnmarkMatch) -> Holds:
    """`-m connmark`: false without an entry, plain and inverted."""
    value, mask, inverted = match.value, match.mask, match.inverted

    def test(skb: Skb) -> Answer:
        connection = skb.connection
        if connection is None:
            return _without_entry(skb)
        return (connection.mark & mask == value) is not inverted

    return test


def _without_entry(skb: Skb) -> Answer:
    return _TEMPLATE if skb.template is not None and skb.ct_state is None else False


def explain_mark(what: str, mark: int, value: int, mask: int, *, inverted: bool) -> str:
    """Why a test of a mark missed."""
    name = what if mask == 0xFFFFFFFF else f"{what} & {mask:#x}"
    return f"{name} is {mark & mask:#x}" + ("" if inverted else f", not {value:#x}")


def explain_connmark(match: ConnmarkMatch, skb: Skb) -> str:
    """Why `-m connmark` missed."""
    if skb.connection is None:
        return no_entry(skb)
    return explain_mark("connection mark", skb.connection.mark, match.value, match.mask, inverted=match.inverted)


def no_entry(skb: Skb) -> str:
    """Why there is no connection to look at."""
    if skb.ct_state is None:
        return "the packet has no connection: tracking has not looked at it"
    return f"the packet has no connection: it is {skb.ct_state.value}"


# --- states ------------------------------------------------------------------------------------------------------


def seen_state(skb: Skb) -> CtState:
    """The state that rules see: INVALID before tracking ran, NEW where a CT rule attached a template."""
    if skb.ct_state is not None:
        return skb.ct_state
    if skb.untracked:
        return CtState.UNTRACKED
    return CtState.NEW if skb.template is not None else CtState.INVALID


def compile_state(match: StateMatch) -> Holds:
    """`-m state`."""
    return _state_test(match.states, match.inverted)


def _state_test(states: frozenset[CtState], inverted: bool) -> Holds:
    plain = tuple(states - _NAT_STATES)  # few, and a tuple compares by identity before it hashes
    src, dst = CtState.SNAT in states, CtState.DNAT in states
    if not src and not dst:

        def test(skb: Skb) -> Answer:
            return ((skb.ct_state or seen_state(skb)) in plain) is not inverted

        return test

    def test_nat(skb: Skb) -> Answer:
        connection = skb.connection
        if connection is not None and ((src and connection.src_nat) or (dst and connection.dst_nat)):
            return not inverted
        return (seen_state(skb) in plain) is not inverted

    return test_nat


def compile_conntrack(match: ConntrackMatch) -> Holds:
    """`-m conntrack`: without an entry only `--ctstate` counts, and without that option the answer is no."""
    checks = [check for _, check in _checks(match)]
    states = match.states
    state_test = _state_test(states.value, states.inverted) if states is not None else None
    if state_test is not None and not checks:
        return state_test

    def test(skb: Skb) -> Answer:
        if state_test is not None and state_test(skb) is False:
            return False
        connection = skb.connection
        if connection is None:
            if skb.template is not None and skb.ct_state is None:
                return _TEMPLATE
            return state_test is not None
        doubt: Answer = True
        for check in checks:
            answer = check(skb, connection)
            if answer is False:
                return False
            if answer is not True:
                doubt = answer
        return doubt

    return test


def _checks(match: ConntrackMatch) -> list[tuple[str, Check]]:
    """The tests beside the state, by the name of their option, in the kernel's order."""
    checks: list[tuple[str, Check]] = []
    if match.direction is not None:
        direction = match.direction
        checks.append(("direction", lambda skb, _: skb.ct_direction is direction))
    for name, net, read_address in (
        ("orig_src", match.orig_src, _ORIGINAL_SOURCE),
        ("orig_dst", match.orig_dst, _ORIGINAL_DESTINATION),
        ("reply_src", match.reply_src, _REPLY_SOURCE),
        ("reply_dst", match.reply_dst, _REPLY_DESTINATION),
    ):
        if net is not None:
            checks.append((name, _address_check(net, read_address)))
    if match.proto is not None:
        checks.append(("proto", _proto_check(match.proto)))
    for name, ports, read_port in (
        ("orig_src_ports", match.orig_src_ports, _ORIGINAL_SOURCE_PORT),
        ("orig_dst_ports", match.orig_dst_ports, _ORIGINAL_DESTINATION_PORT),
        ("reply_src_ports", match.reply_src_ports, _REPLY_SOURCE_PORT),
        ("reply_dst_ports", match.reply_dst_ports, _REPLY_DESTINATION_PORT),
    ):
        if ports is not None:
            checks.append((name, _range_check(ports, read_port)))
    if match.status is not None:
        checks.append(("status", _status_check(match.status)))
    if match.expire is not None:
        checks.append(("expire", _expire_check(match.expire)))
    return checks


Read = Callable[[Connection], int]
_ORIGINAL_SOURCE: Read = lambda connection: connection.original.src  # noqa: E731
_ORIGINAL_DESTINATION: Read = lambda connection: connection.original.dst  # noqa: E731
_REPLY_SOURCE: Read = lambda connection: connection.reply.src  # noqa: E731
_REPLY_DESTINATION: Read = lambda connection: connection.reply.dst  # noqa: E731
_ORIGINAL_SOURCE_PORT: Read = lambda connection: connection.original.src_key  # noqa: E731
_ORIGINAL_DESTINATION_PORT: Read = lambda connection: connection.original.dst_key  # noqa: E731
_REPLY_SOURCE_PORT: Read = lambda connection: connection.reply.src_key  # noqa: E731
_REPLY_DESTINATION_PORT: Read = lambda connection: connection.reply.dst_key  # noqa: E731


def _address_check(test: Test[AddressMask], read: Read) -> Check:
    mask, inverted = test.value.mask, test.inverted
    value = test.value.value & mask  # the tool keeps bits outside the mask, the kernel does not look at them
    return lambda _, connection: (read(connection) & mask == value) is not inverted


def _range_check(test: Test[IntRange], read: Read) -> Check:
    span, inverted = test.value, test.inverted
    return lambda _, connection: (read(connection) in span) is not inverted


def _proto_check(test: Test[int]) -> Check:
    number, inverted = test.value, test.inverted
    return lambda _, connection: (connection.original.proto == number) is not inverted


def statuses(connection: Connection) -> frozenset[CtStatus]:
    """The status bits that `--ctstatus` can name."""
    bits = {
        CtStatus.EXPECTED: connection.expected,
        CtStatus.SEEN_REPLY: connection.seen_reply,
        CtStatus.ASSURED: connection.assured,
        CtStatus.CONFIRMED: connection.confirmed,
    }
    return frozenset(status for status, is_set in bits.items() if is_set)


def _status_check(test: Test[frozenset[CtStatus]]) -> Check:
    """NONE names no bit, so it never matches a tracked packet (spec: netfilter 4.9)."""
    wanted, inverted = test.value, test.inverted
    return lambda _, connection: bool(statuses(connection) & wanted) is not inverted


def _expire_check(test: Test[IntRange]) -> Check:
    span, inverted = test.value, test.inverted
    low, high = span.low, span.high
    doubt = Doubt(
        DoubtKind.CHANCE, f"the connection's timer stands {'out of' if inverted else 'at'} {low} to {high} seconds"
    )

    def check(_: Skb, connection: Connection) -> Answer:
        # What is left of a timer changes by the second and with every packet.
        return doubt if low <= high else inverted

    return check


# --- telling -----------------------------------------------------------------------------------------------------


def explain_state(states: frozenset[CtState], skb: Skb, *, inverted: bool) -> str:
    """Why a test of the connection's state missed."""
    seen = f"connection state is {seen_state(skb).value}"
    nat = skb.connection
    if nat is not None and nat.src_nat:
        seen += " with SNAT"
    if nat is not None and nat.dst_nat:
        seen += " with DNAT"
    if inverted:
        return seen
    return f"{seen}, not {' or '.join(state.value for state in CtState if state in states)}"


def explain_conntrack(match: ConntrackMatch, skb: Skb) -> str:
    """Why `-m conntrack` missed."""
    states = match.states
    if states is not None and _state_test(states.value, states.inverted)(skb) is False:
        return explain_state(states.value, skb, inverted=states.inverted)
    connection = skb.connection
    if connection is None:
        return no_entry(skb)
    failed = next((name for name, check in _checks(match) if check(skb, connection) is False), None)
    return _explain_check(match, skb, connection, failed) if failed is not None else ""


_WORDS = {
    "orig_src": "original source",
    "orig_dst": "original destination",
    "reply_src": "reply source",
    "reply_dst": "reply destination",
}


def _explain_check(match: ConntrackMatch, skb: Skb, connection: Connection, name: str) -> str:
    original, reply = connection.original, connection.reply
    if name == "direction":
        return f"the packet goes in the {skb.ct_direction.value.lower()} direction of its connection"
    if name == "proto":
        assert match.proto is not None
        seen = f"protocol of the connection is {protocol_name(original.proto)}"
        return seen + ("" if match.proto.inverted else f", not {protocol_name(match.proto.value)}")
    if name == "status":
        seen_status = ",".join(status.value for status in CtStatus if status in statuses(connection)) or "none"
        return f"connection status is {seen_status}"
    if name in _WORDS:
        net: Test[AddressMask] = getattr(match, name)
        address = _address_of(original, reply, name)
        return explain_address(_WORDS[name], address, net.value, inverted=net.inverted)
    ports: Test[IntRange] = getattr(match, name)
    side = name.removesuffix("_ports")
    number = {"orig_src": original.src_key, "orig_dst": original.dst_key, "reply_src": reply.src_key}.get(
        side, reply.dst_key
    )
    wanted = "" if ports.inverted else f", not {range_text(ports.value)}"
    return f"{_WORDS[side]} port is {number}{wanted}"


def _address_of(original: ConnTuple, reply: ConnTuple, name: str) -> int:
    found = original if name.startswith("orig") else reply
    return found.src if name.endswith("src") else found.dst
