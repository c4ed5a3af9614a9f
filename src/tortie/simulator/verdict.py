"""Targets that work out their own end: REJECT, address translation, NFQUEUE, TPROXY, TEE, SYNPROXY.

`compile_terminal` makes a function that runs the target on a packet and returns an `End`: what it did in words, whether
the table is done with the packet, and what the node sends because of it. Targets that only change something are in
`target`; ACCEPT, DROP, RETURN and jumps are the walk's own (`chain`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tortie.net.address import IPFamily, format_address
from tortie.netfilter.hook import Hook, TableName
from tortie.netfilter.target import (
    Dnat,
    Masquerade,
    Netmap,
    Nfqueue,
    Queue,
    Redirect,
    Reject,
    Snat,
    SynproxyTarget,
    Target,
    TeeTarget,
    TproxyTarget,
)
from tortie.simulator.answer import DoubtKind
from tortie.simulator.choice import Choice
from tortie.simulator.context import Context
from tortie.simulator.nat import MANIPULATION, Manipulation, Wish, assumes_order, decide
from tortie.simulator.reply import Reply, reject_reply, tee_copy
from tortie.simulator.run import Run
from tortie.simulator.skb import Skb
from tortie.simulator.trace import Verdict
from tortie.simulator.tracking_table import KEYED_BY_PORTS


@dataclass(frozen=True, slots=True)
class End:
    """What a target did: `verdict` is set when the packet goes no further, `ends` when the table is done with it."""

    effect: str
    verdict: Verdict | None = None
    reply: Reply | None = None
    ends: bool = True
    errno: str | None = "EPERM"
    """What a local sender gets when the packet goes no further."""


Terminal = Callable[[Run, Skb, Hook, str], End]
"""Run, packet, hook and the rule's name for choices."""


def compile_terminal(target: Target, context: Context) -> Terminal | None:
    """The function of a target that works out its own end; None for every other target."""
    match target:
        case Reject(reject_with):
            return _reject(reject_with, context)
        case Snat(addresses):
            wish = Wish(
                addresses.low, addresses.high, addresses.low_port, addresses.high_port, None,
                target.random or target.random_fully, target.persistent,
            )  # fmt: skip
            return lambda run, skb, hook, subject: _translate(run, skb, hook, wish)
        case Dnat(addresses):
            wish = Wish(
                addresses.low, addresses.high, addresses.low_port, addresses.high_port, addresses.base_port,
                target.random, target.persistent,
            )  # fmt: skip
            return lambda run, skb, hook, subject: _translate(run, skb, hook, wish)
        case Masquerade():
            return _masquerade(target, context)
        case Redirect():
            return _redirect(target, context)
        case Netmap(net):
            return _netmap(net.value, net.mask, context.family)
        case Nfqueue():
            name = f"queue {target.low}" if target.low == target.high else f"queues {target.low}-{target.high}"
            return _queue(name, target.bypass, context)
        case Queue():
            return _queue("the queue", False, context)
        case TproxyTarget():
            return _tproxy(target)
        case TeeTarget():
            return _tee(target, context)
        case SynproxyTarget():
            text = "SYNPROXY answers the handshake itself, which Tortie does not simulate"
            return lambda run, skb, hook, subject: End(text, Verdict.UNKNOWN)
        case _:
            return None


# --- REJECT ------------------------------------------------------------------------------------------------------


def _reject(reject_with: str, context: Context) -> Terminal:
    def run_target(run: Run, skb: Skb, hook: Hook, subject: str) -> End:
        reply = reject_reply(reject_with, skb, hook, context.router)
        if reply is None:
            return End("drops; no answer is sent to such a packet", Verdict.REJECT)
        return End(f"rejects with {reject_with}", Verdict.REJECT, reply)

    return run_target


# --- NAT ---------------------------------------------------------------------------------------------------------


def _translate(run: Run, skb: Skb, hook: Hook, wish: Wish) -> End:
    connection = skb.connection
    assert connection is not None
    manipulation = MANIPULATION[hook]
    random_ports = decide(run.session, connection, manipulation, wish, run.pick)
    if random_ports is not None:
        if manipulation is Manipulation.SOURCE:
            run.random_sport = random_ports
        else:
            run.random_dport = random_ports
    mapped = connection.reply
    if assumes_order(run.session, manipulation, wish) and mapped.src_key != skb.packet.dport:
        run.assume(f"the kernel is Linux 6.8 or newer: an older one takes any port of {wish.low_port}-{wish.high_port}")
    family = skb.packet.family
    if manipulation is Manipulation.SOURCE:
        side, address, key = "source", mapped.dst, mapped.dst_key
    else:
        side, address, key = "destination", mapped.src, mapped.src_key
    text = format_address(family, address)
    if skb.packet.has_ports and skb.packet.proto in KEYED_BY_PORTS:
        joint = f"[{text}]" if family is IPFamily.V6 else text
        text = f"{joint}:{key}"
        if random_ports is not None and random_ports[0] != random_ports[1]:
            text = f"{joint}, port random in {random_ports[0]}-{random_ports[1]}"
    return End(f"{side} becomes {text}")


def _masquerade(target: Masquerade, context: Context) -> Terminal:
    low, high = (target.ports.low, target.ports.high) if target.ports is not None else (None, None)
    random = target.random or target.random_fully

    def run_target(run: Run, skb: Skb, hook: Hook, subject: str) -> End:
        packet = skb.packet
        if packet.family is IPFamily.V4 and packet.src == 0:
            # nf_nat_masquerade_ipv4: sources of 0.0.0.0 (DHCP) are left alone.
            return End("leaves the source 0.0.0.0 alone")
        next_hop = skb.route.next_hop if skb.route is not None else None
        address = None
        if skb.out_iface is not None:
            address = context.router.masquerade_address(skb.out_iface, next_hop, packet.dst)
        if address is None and not context.router.knows_addresses:
            run.assume("the masqueraded source address is not known: the snapshot has no addresses of interfaces")
            run.source_unknown = True
            return _translate(run, skb, hook, Wish(None, None, low, high, None, random))
        if address is None:
            return End(f"drops: {skb.out_iface} has no address to masquerade with", Verdict.DROP)
        end = _translate(run, skb, hook, Wish(address, address, low, high, None, random))
        assert skb.connection is not None
        skb.connection.masquerade_iface = skb.out_iface
        return end

    return run_target


def _redirect(target: Redirect, context: Context) -> Terminal:
    low, high = (target.ports.low, target.ports.high) if target.ports is not None else (None, None)
    loopback = 0x7F000001 if context.family is IPFamily.V4 else 1

    def run_target(run: Run, skb: Skb, hook: Hook, subject: str) -> End:
        if hook is Hook.OUTPUT:
            address: int | None = loopback
        elif skb.in_iface is None or not context.router.knows_addresses:
            return End("redirects to an address that is not known: the snapshot has no addresses", Verdict.UNKNOWN)
        else:
            address = context.router.redirect_address(skb.in_iface, skb.packet.dst)
        if address is None:
            return End(f"drops: {skb.in_iface} has no address to redirect to", Verdict.DROP)
        return _translate(run, skb, hook, Wish(address, address, low, high, None, target.random))

    return run_target


def _netmap(value: int, mask: int, family: IPFamily) -> Terminal:
    host = mask ^ family.all_ones

    def run_target(run: Run, skb: Skb, hook: Hook, subject: str) -> End:
        packet = skb.packet
        old = packet.src if MANIPULATION[hook] is Manipulation.SOURCE else packet.dst
        address = value & mask | old & host
        return _translate(run, skb, hook, Wish(address, address))

    return run_target


# --- queues, sockets, copies -------------------------------------------------------------------------------------


def _queue(what: str, bypass: bool, context: Context) -> Terminal:
    in_nat = context.place[0] == TableName.NAT.value
    if bypass:
        conditions = (f"{what}: nobody listens, or the program accepts", f"{what}: a program drops the packet")
    else:
        conditions = (f"{what}: a program accepts the packet", f"{what}: nobody listens, or the program drops the packet")

    def run_target(run: Run, skb: Skb, hook: Hook, subject: str) -> End:
        choice = Choice(DoubtKind.UNKNOWN, subject, ("accept", "drop"), conditions)
        number = run.chooser.choose(choice)
        skb.queued = in_nat
        # A queue takes the packet from its sender, whatever becomes of it then (nf_queue in nf_queue.c).
        return End(conditions[number], Verdict.DROP if number else None, errno=None)

    return run_target


def _tproxy(target: TproxyTarget) -> Terminal:
    conditions = (
        f"a transparent socket listens on port {target.port or 'of the packet'}",
        "no transparent socket listens",
    )

    def run_target(run: Run, skb: Skb, hook: Hook, subject: str) -> End:
        choice = Choice(DoubtKind.UNKNOWN, subject, ("socket", "none"), conditions)
        if run.chooser.choose(choice) == 1:
            return End(f"drops: {conditions[1]}", Verdict.DROP)
        skb.mark = skb.mark & ~target.mark_mask & 0xFFFFFFFF ^ target.mark_value
        return End(f"hands the packet to a transparent socket, mark {skb.mark:#x}")

    return run_target


def _tee(target: TeeTarget, context: Context) -> Terminal:
    gateway = format_address(context.family, target.gateway)

    def run_target(run: Run, skb: Skb, hook: Hook, subject: str) -> End:
        return End(f"copies to {gateway}", reply=tee_copy(skb, hook, target), ends=False)

    return run_target
