"""Frames that come in by a port of a bridge (spec: netfilter 12; net/bridge/br_netfilter_hooks.c).

With `bridge-nf-call-iptables` on, PREROUTING sees the frame before the bridge decides whether it goes to another port or
up to the node's own IP layer. What is bridged keeps its hop limit and walks FORWARD and POSTROUTING with the bridge as
both devices; what goes up is routed as usual and remembers its port. With the switch off, or without the module that
brings it, bridged frames meet no table. Which MAC address a frame is for is taken from the caller, else inferred as the
sender would: a neighbour on the bridge's own subnet is reached directly, everybody else through the node.
"""

from __future__ import annotations

from tortie.net.address import IPFamily, format_address
from tortie.net.node import Link
from tortie.netfilter.hook import Hook
from tortie.simulator.hooks import FamilyNode
from tortie.simulator.path import Arrived, enter, leave, refuse_headers, route_in
from tortie.simulator.route import RouteKind
from tortie.simulator.routing import choose_route, passes, refused_input
from tortie.simulator.run import Run
from tortie.simulator.skb import Skb
from tortie.simulator.trace import Disposition, Egress, NoteStep

_SWITCH = {
    IPFamily.V4: "net.bridge.bridge-nf-call-iptables",
    IPFamily.V6: "net.bridge.bridge-nf-call-ip6tables",
}


def bridge_of(node: FamilyNode, port: str | None) -> Link | None:
    """The bridge that a device is a port of."""
    link = node.router.link(port)
    master = node.router.link(link.master) if link is not None else None
    return master if master is not None and master.kind == "bridge" else None


def receive_frame(run: Run, skb: Skb, node: FamilyNode, bridge: Link, mac_destination: bytes | None) -> Arrived:
    """A frame that came in by a port of a bridge."""
    port = skb.in_iface
    assert port is not None
    skb.in_iface = bridge.name
    up = _goes_up(run, skb, node, bridge, mac_destination)
    if not _calls_tables(node, bridge):
        if up:
            return enter(run, skb, node)
        _note(run, skb, "bridged without meeting any table: bridge netfilter is off")
        return Arrived(Disposition.FORWARDED, Egress(_only_way(node, bridge, port) or bridge.name, skb.packet, skb.mark))
    skb.phys_in = port
    refuse_headers(skb, node)
    before = skb.packet.dst
    node.run_hook(run, skb, Hook.PREROUTING)
    if skb.packet.dst != before:
        decisions = node.router.route_input(skb.packet, bridge.name, skb.mark)
        decision = choose_route(run, skb, decisions, "input")
        if not passes(decision):
            raise refused_input(decision)
        up = not (decision.kind is RouteKind.UNICAST and decision.iface == bridge.name)
    if up:
        return route_in(run, skb, node)
    return _bridge(run, skb, node, bridge, port)


def _calls_tables(node: FamilyNode, bridge: Link) -> bool:
    """Whether tables see the bridge's frames: by the switch for all bridges or by the bridge's own."""
    own = bridge.nf_call_iptables if node.family is IPFamily.V4 else bridge.nf_call_ip6tables
    return own or (node.snapshot.sysctls or {}).get(_SWITCH[node.family], "0") != "0"


def _goes_up(run: Run, skb: Skb, node: FamilyNode, bridge: Link, mac_destination: bytes | None) -> bool:
    if mac_destination is not None and bridge.mac is not None:
        return mac_destination == bridge.mac
    packet = skb.packet
    direct = any(entry.prefix.family is packet.family and entry.prefix.contains(packet.dst) for entry in bridge.addresses)
    up = not direct or node.router.is_local(packet.dst)
    where = f"the node itself, as {bridge.name}" if up else f"{format_address(packet.family, packet.dst)} on {bridge.name}"
    run.assume(f"the frame's destination MAC is taken to be that of {where}")
    return up


def _bridge(run: Run, skb: Skb, node: FamilyNode, bridge: Link, port: str) -> Arrived:
    skb.bridged = skb.forwarded = True
    skb.out_iface = bridge.name
    skb.phys_out = _only_way(node, bridge, port)
    _note(run, skb, f"bridged from {port} to {skb.phys_out or 'a port that is not known'}")
    node.run_hook(run, skb, Hook.FORWARD)
    # br_nf_post_routing tells POSTROUTING no input device, but the port stays known (seen on Linux 6.18).
    skb.in_iface = ""
    arrived = leave(run, skb, node, Disposition.FORWARDED)
    out = arrived.out
    return Arrived(arrived.disposition, Egress(skb.phys_out or bridge.name, out.packet, out.mark, out.random_sport))


def _only_way(node: FamilyNode, bridge: Link, port: str) -> str | None:
    """The port a bridged frame leaves by, where the bridge leaves no choice (should_deliver in net/bridge/br_forward.c)."""
    links = (link for link in node.snapshot.links or () if link.master == bridge.name)
    ways = [link.name for link in links if link.name != port or link.hairpin]
    return ways[0] if len(ways) == 1 else None


def _note(run: Run, skb: Skb, text: str) -> None:
    if run.steps is not None:
        run.steps.append(NoteStep(None, text, skb.mark))
