"""What runs at each hook, in order: defragmentation, tables, connection tracking, NAT, confirmation.

`FamilyNode` is a snapshot made ready for one address family. Each hook is a tuple of stages sorted by priority (spec:
netfilter 1.1); a stage is a function of the run and the packet. Whether tracking runs at all depends on the loaded rules
(spec 4.1) and is found once, here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tortie.net.address import IPFamily
from tortie.net.packet import Packet
from tortie.netfilter.hook import (
    CONNTRACK_PRIORITY,
    DEFRAG_PRIORITY,
    NAT_DST_PRIORITY,
    NAT_SRC_PRIORITY,
    Backend,
    Hook,
    TableName,
    table_priority,
)
from tortie.netfilter.match import (
    ClusterMatch,
    ConnbytesMatch,
    ConnlabelMatch,
    ConnlimitMatch,
    ConnmarkMatch,
    ConntrackMatch,
    CtState,
    Direction,
    HelperMatch,
    SocketMatch,
    StateMatch,
)
from tortie.netfilter.rule import Rule, Ruleset
from tortie.netfilter.snapshot import ForeignChain, Snapshot
from tortie.netfilter.target import (
    ConnmarkRestore,
    ConnmarkSave,
    ConnmarkSet,
    CtTarget,
    Dnat,
    Masquerade,
    Netmap,
    PlainTarget,
    Redirect,
    Snat,
    SynproxyTarget,
    TproxyTarget,
)
from tortie.simulator.answer import DoubtKind
from tortie.simulator.chain import walk_table
from tortie.simulator.choice import Choice
from tortie.simulator.compiled import CompiledTable
from tortie.simulator.connection import Connection
from tortie.simulator.conntrack import TrackingOptions, confirm, is_icmp_error, track
from tortie.simulator.fragment import collect_fragment, is_collected
from tortie.simulator.ipvs import Balancer
from tortie.simulator.nat import (
    MANIPULATION,
    Manipulation,
    is_decided,
    leaves_by_another_device,
    null_binding,
    translate,
    translate_error,
)
from tortie.simulator.route import Router
from tortie.simulator.routing import reroute
from tortie.simulator.run import Ended, Run
from tortie.simulator.skb import Skb
from tortie.simulator.trace import Cause, ConntrackStep, DecidedBy, Disposition, NatStep, NoteStep, Verdict

Stage = Callable[[Run, Skb], None]
_LAST = 2**31 - 1
_NFT_SECURITY_PRIORITY = 150
_TRACKING_MATCHES = (
    ConntrackMatch, StateMatch, ConnmarkMatch, ConnbytesMatch, ConnlimitMatch, HelperMatch, ConnlabelMatch, ClusterMatch,
)  # fmt: skip
_TRACKING_TARGETS = (
    ConnmarkSet, ConnmarkSave, ConnmarkRestore, Dnat, Snat, Masquerade, Redirect, Netmap, SynproxyTarget,
)  # fmt: skip


_FAMILIES = {IPFamily.V4: ("ip", "inet", "netdev"), IPFamily.V6: ("ip6", "inet", "netdev")}
"""nf_tables' families whose chains see packets of a family."""
_FOREIGN_HOOKS = {
    "ingress": Hook.PREROUTING, "prerouting": Hook.PREROUTING, "input": Hook.INPUT, "forward": Hook.FORWARD,
    "output": Hook.OUTPUT, "postrouting": Hook.POSTROUTING, "egress": Hook.POSTROUTING,
}  # fmt: skip
"""Where chains of nf_tables see a packet; those at a device count to the hook next to it."""
_OFFLOADED = DecidedBy(Cause.MISSING, "a flow table forwards packets of this connection past all rules", Hook.PREROUTING)


@dataclass(slots=True, eq=False)
class FamilyNode:
    """A node's rules and routes of one family, ready to walk."""

    family: IPFamily
    snapshot: Snapshot
    router: Router
    tracking: bool
    rules_known: bool
    remarks: tuple[str, ...]
    """What had to be assumed about this family's rules."""
    stages: dict[Hook, tuple[Stage, ...]] = field(default_factory=dict)

    def run_hook(self, run: Run, skb: Skb, hook: Hook) -> None:
        """Runs every stage of a hook; raises `Ended` where one of them stops the packet."""
        skb.hook = hook
        for stage in self.stages[hook]:
            stage(run, skb)


def compile_family(snapshot: Snapshot, family: IPFamily) -> FamilyNode:
    """Makes a snapshot's part of one family ready; rules are compiled when packets first meet them."""
    router = Router(snapshot, family)
    rulesets = [ruleset for ruleset in snapshot.rulesets if ruleset.family is family]
    rules = list(_all_rules(rulesets))
    tracking = any(_needs_tracking(rule) for rule in rules)
    defragments = tracking or any(_needs_whole_packets(rule) for rule in rules)
    tables = [
        CompiledTable(ruleset.backend, family, table, snapshot, router)
        for ruleset in rulesets
        for table in ruleset.tables.values()
    ]
    remarks: list[str] = []
    foreign = [one for one in snapshot.foreign_chains or () if one.family in _FAMILIES[family]]
    unread = [
        *(f"the table {table.name.value}" for table in tables if table.source.opaque is not None),
        *(f"the chain {one.name} of nft's {one.family} {one.table}" for one in foreign),
    ]
    if unread and not tracking:
        tracking = defragments = True
        remarks.append(f"connection tracking is taken to be on: Tortie does not read {', '.join(unread)}")
    node = FamilyNode(family, snapshot, router, tracking, bool(rulesets), tuple(remarks))
    options = _tracking_options(snapshot)
    balancer = Balancer(snapshot, family, router)
    for hook in Hook:
        found = [
            *_stages(node, hook, tables, options, defragments=defragments),
            *balancer.stages(hook),
            *((one.priority, _foreign_stage(one, hook)) for one in foreign if _FOREIGN_HOOKS.get(one.hook) is hook),
        ]
        node.stages[hook] = tuple(stage for _, stage in sorted(found, key=lambda pair: pair[0]))
    return node


def _all_rules(rulesets: list[Ruleset]) -> Iterator[Rule]:
    for ruleset in rulesets:
        for table in ruleset.tables.values():
            for chain in table.chains.values():
                yield from chain.rules


def _needs_tracking(rule: Rule) -> bool:
    target = rule.target
    if isinstance(target, _TRACKING_TARGETS) or (isinstance(target, CtTarget) and not target.notrack):
        return True
    if isinstance(target, PlainTarget) and target.name == "CONNSECMARK":
        return True
    return any(isinstance(match, _TRACKING_MATCHES) for match in rule.matches)


def _needs_whole_packets(rule: Rule) -> bool:
    return isinstance(rule.target, TproxyTarget) or any(isinstance(match, SocketMatch) for match in rule.matches)


def _tracking_options(snapshot: Snapshot) -> TrackingOptions:
    sysctls = snapshot.sysctls or {}
    return TrackingOptions(
        tcp_loose=sysctls.get("net.netfilter.nf_conntrack_tcp_loose", "1") != "0",
        tcp_be_liberal=sysctls.get("net.netfilter.nf_conntrack_tcp_be_liberal", "0") != "0",
        checksum=sysctls.get("net.netfilter.nf_conntrack_checksum", "1") != "0",
    )


def _stages(
    node: FamilyNode, hook: Hook, tables: list[CompiledTable], options: TrackingOptions, *, defragments: bool
) -> list[tuple[int, Stage]]:
    found: list[tuple[int, Stage]] = []
    incoming = hook in (Hook.PREROUTING, Hook.OUTPUT)
    nat = tuple(table for table in tables if table.name is TableName.NAT)
    for table in tables:
        if table.source.opaque is not None:
            if table.name is not TableName.NAT or hook is not Hook.FORWARD:
                found.append((table_priority(table.name, hook), _unread_stage(table, hook)))
        elif table.name is not TableName.NAT and hook in table.bases:
            found.append((_priority(table, hook), _table_stage(node, table, hook)))
    if defragments and incoming:
        found.append((DEFRAG_PRIORITY, lambda run, skb: _defragment(run, skb, hook)))
    if node.tracking:
        if incoming:
            found.append((CONNTRACK_PRIORITY, _track_stage(options, hook)))
        if hook in (Hook.INPUT, Hook.POSTROUTING):
            found.append((_LAST, lambda run, skb: _confirm(run, skb, hook)))
        if nat and hook is not Hook.FORWARD:
            priority = NAT_DST_PRIORITY if incoming else NAT_SRC_PRIORITY
            found.append((priority, _nat_stage(node, nat, hook)))
    return found


def _priority(table: CompiledTable, hook: Hook) -> int:
    """iptables-nft hangs the security table in at 150, behind source NAT of INPUT (xtables_ipv4 in iptables/nft.c)."""
    if table.backend is Backend.NFT and table.name is TableName.SECURITY:
        return _NFT_SECURITY_PRIORITY
    return table_priority(table.name, hook)


# --- tables ------------------------------------------------------------------------------------------------------


def _table_stage(node: FamilyNode, table: CompiledTable, hook: Hook) -> Stage:
    if table.name is TableName.MANGLE and hook is Hook.OUTPUT:

        def mangle_output(run: Run, skb: Skb) -> None:
            before, mark = skb.packet, skb.mark
            walk_table(run, skb, table, hook)
            if skb.mark != mark or _routes_differently(before, skb.packet):
                reroute(run, skb, node.router, "mangle OUTPUT changed the packet or its mark")

        return mangle_output
    return lambda run, skb: walk_table(run, skb, table, hook)


def _routes_differently(before: Packet, after: Packet) -> bool:
    """What makes the kernel route a packet again after mangle OUTPUT (spec: netfilter 2.5)."""
    if before is after:
        return False
    if (before.src, before.dst, before.tos) != (after.src, after.dst, after.tos):
        return True
    return before.family is IPFamily.V6 and (before.ttl, before.flow_label) != (after.ttl, after.flow_label)


def _unread_stage(table: CompiledTable, hook: Hook) -> Stage:
    name = table.name.value
    why = f"the table {name} could not be read: {table.source.opaque}"
    where = DecidedBy(Cause.MISSING, why, hook, table.name, None, None, table.backend)
    return lambda run, skb: _ignore_or_unknown(run, f"{name}:{hook.value}", f"the table {name}", where)


def _foreign_stage(chain: ForeignChain, hook: Hook) -> Stage:
    what = f"the chain {chain.name} of nft's {chain.family} {chain.table}"
    where = DecidedBy(Cause.MISSING, f"{what} sees the packet here, and Tortie does not read its rules", hook)
    subject = f"nft:{chain.family}:{chain.table}:{chain.name}"
    return lambda run, skb: _ignore_or_unknown(run, subject, what, where)


def _ignore_or_unknown(run: Run, subject: str, what: str, where: DecidedBy) -> None:
    """Something unread meets the packet: one outcome goes on as if it did nothing, the other is unknown."""
    conditions = (f"{what} leaves the packet as it is", where.text)
    if run.chooser.choose(Choice(DoubtKind.UNKNOWN, subject, ("ignore", "unknown"), conditions)) == 1:
        raise Ended(Verdict.UNKNOWN, where, disposition=Disposition.UNKNOWN)


# --- fragments, tracking -----------------------------------------------------------------------------------------


def _defragment(run: Run, skb: Skb, hook: Hook) -> None:
    packet = skb.packet
    if not is_collected(packet):
        return
    whole = collect_fragment(run.session, packet, hook.value, skb.frame)
    if whole is None:
        text = "held until the other fragments of the packet arrive"
        raise Ended(Verdict.MAYBE, DecidedBy(Cause.CONNTRACK, text, hook), disposition=Disposition.HELD)
    skb.packet, skb.largest_fragment, skb.frame = whole.packet, whole.largest, whole.frame
    if run.steps is not None:
        run.steps.append(NoteStep(hook, "the fragments are put together; the whole packet goes on", skb.mark))


def _track_stage(options: TrackingOptions, hook: Hook) -> Stage:
    check_checksum = hook is Hook.PREROUTING

    def stage(run: Run, skb: Skb) -> None:
        if skb.connection is not None or skb.ct_state is CtState.UNTRACKED:
            text = "known already: tracked on the way out" if skb.connection is not None else "not tracked"
        elif skb.assumed_state is not None:
            text = _assume_state(skb)
        else:
            text = track(skb, options, check_checksum=check_checksum)
        connection = skb.connection
        if connection is not None and connection.offloaded:
            _ignore_or_unknown(run, "offload", "the flow table", _OFFLOADED)
        if run.steps is not None:
            direction = skb.ct_direction if connection is not None else None
            entry = connection.entry() if connection is not None else None
            run.steps.append(ConntrackStep(hook, skb.ct_state, direction, entry, text, skb.mark))

    return stage


def _assume_state(skb: Skb) -> str:
    """Gives a packet the state that the caller asked for (`--state`) in place of looking it up."""
    from tortie.simulator.conntrack import invert_tuple, packet_tuple

    state, skb.assumed_state = skb.assumed_state, None
    assert state is not None
    skb.ct_state = state
    key = packet_tuple(skb.packet)
    reply = invert_tuple(key) if key is not None else None
    if state in (CtState.INVALID, CtState.UNTRACKED) or key is None or reply is None:
        skb.untracked = state is CtState.UNTRACKED
        return f"{state.value}, as assumed"
    connection = Connection(key, reply, zone_original=skb.zone_original, zone_reply=skb.zone_reply)
    connection.seen_reply = state is CtState.ESTABLISHED
    connection.assured = state is CtState.ESTABLISHED
    connection.confirmed = connection.src_done = connection.dst_done = state is CtState.ESTABLISHED
    connection.expected = state is CtState.RELATED
    skb.connection = connection
    return f"{state.value}, as assumed"


def _confirm(run: Run, skb: Skb, hook: Hook) -> None:
    clash = confirm(skb)
    if clash is not None:
        raise Ended(Verdict.DROP, DecidedBy(Cause.CONNTRACK, clash, hook), errno="EPERM")


# --- NAT ---------------------------------------------------------------------------------------------------------


def _nat_stage(node: FamilyNode, tables: tuple[CompiledTable, ...], hook: Hook) -> Stage:
    manipulation = MANIPULATION[hook]

    def stage(run: Run, skb: Skb) -> None:
        connection = skb.connection
        if connection is None:
            return
        before = skb.packet
        if before.is_icmp and skb.ct_state is CtState.RELATED and _quotes(before):
            if translate_error(skb, manipulation) is None:
                text = "NAT cannot rewrite this ICMP error: a redirect, a wrong checksum or too short a quote"
                raise Ended(Verdict.DROP, DecidedBy(Cause.NAT, text, hook), errno="EPERM")
        else:
            if skb.ct_state is not CtState.ESTABLISHED and not is_decided(connection, manipulation):
                _decide(run, skb, tables, hook, manipulation, connection)
            elif hook is Hook.POSTROUTING and leaves_by_another_device(skb):
                run.session.remove(connection)
                text = f"masqueraded for {connection.masquerade_iface}, but the packet leaves by {skb.out_iface}"
                raise Ended(Verdict.DROP, DecidedBy(Cause.NAT, text, hook), errno="EPERM")
            if translate(skb, manipulation) is None:
                text = "the header is too short to be rewritten"
                raise Ended(Verdict.DROP, DecidedBy(Cause.NAT, text, hook), errno="EPERM")
        after = skb.packet
        if after is not before and run.steps is not None:
            run.steps.append(_nat_step(run, hook, manipulation, before, after, skb.mark))
        if hook is Hook.OUTPUT and _leads_elsewhere(connection, skb.ct_direction):
            reroute(run, skb, node.router, "NAT changed the destination")
        elif hook is Hook.PREROUTING and after.dst != before.dst:
            skb.route = None

    return stage


def _leads_elsewhere(connection: Connection, direction: Direction) -> bool:
    """True when the connection's destination was changed, whatever this packet's is (nf_nat_ipv4_local_fn)."""
    if direction is Direction.ORIGINAL:
        return connection.original.dst != connection.reply.src
    return connection.reply.dst != connection.original.src


def _quotes(packet: Packet) -> bool:
    return is_icmp_error(packet) or (packet.family is IPFamily.V4 and packet.icmp_type == 5)


def _decide(
    run: Run,
    skb: Skb,
    tables: tuple[CompiledTable, ...],
    hook: Hook,
    manipulation: Manipulation,
    connection: Connection,
) -> None:
    for table in tables:
        if table.source.opaque is None:
            walk_table(run, skb, table, hook)
            if skb.queued:
                # A queue takes the packet out of NAT, which then decides nothing (nf_nat_inet_fn in nf_nat_core.c).
                skb.queued = False
                return
            if is_decided(connection, manipulation):
                return
    random_ports = null_binding(run.session, connection, manipulation, run.pick)
    if random_ports is not None:
        if manipulation is Manipulation.SOURCE:
            run.random_sport = random_ports
        else:
            run.random_dport = random_ports


def _nat_step(run: Run, hook: Hook, manipulation: Manipulation, before: Packet, after: Packet, mark: int) -> NatStep:
    text = f"{manipulation.value} rewritten: {before} becomes {after}"
    random_ports = run.random_sport if manipulation is Manipulation.SOURCE else run.random_dport
    return NatStep(hook, before, after, text, mark, random_ports)
