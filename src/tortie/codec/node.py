"""`ip -j` text to the values of `tortie.net.node`: links with addresses, routes, policy rules, neighbours.

Read with or without names (`-N`): table 254 and `main` are the same. `ip -j route show table all` without a family prints
both families; only the asked one is taken. What a policy rule tests and Tortie does not know goes to
`PolicyRule.unsupported`; in routes, a tunnel goes to `NextHop.encap`. Sources: spec netfilter 10.1; ip-route(8),
ip-rule(8); what iproute2 6.1 printed for each kind of route and rule (tests/unit/codec/test_node.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from tortie.codec.ip_json import Node, parse_nodes
from tortie.net.address import IPFamily, Prefix
from tortie.net.error import InvalidInput
from tortie.net.node import InterfaceAddress, Link, Neighbour, NextHop, PolicyRule, Route, RouteType, RuleAction
from tortie.net.protocol import parse_protocol

_FAMILIES = {"inet": IPFamily.V4, "inet6": IPFamily.V6}
_SCOPES = {"0": "global", "200": "site", "253": "link", "254": "host", "255": "nowhere"}
_TABLES = {"253": "default", "254": "main", "255": "local"}
_PROTOCOLS = {"0": "unspec", "1": "redirect", "2": "kernel", "3": "boot", "4": "static", "9": "ra"}
_LINK_TYPES = {
    "[1]": "ether", "[32]": "infiniband", "[512]": "ppp", "[768]": "ipip", "[769]": "tunnel6", "[772]": "loopback",
    "[776]": "sit", "[778]": "gre", "[823]": "gre6", "[65534]": "none",
}  # fmt: skip
"""Numbers of linux/if_arp.h as `ip -N` prints them, to the names that `ip` prints."""
_ROUTE_TYPES: dict[str, RouteType] = {kind.value: kind for kind in RouteType} | {
    "1": RouteType.UNICAST, "2": RouteType.LOCAL, "3": RouteType.BROADCAST, "4": RouteType.ANYCAST,
    "5": RouteType.MULTICAST, "6": RouteType.BLACKHOLE, "7": RouteType.UNREACHABLE, "8": RouteType.PROHIBIT,
    "9": RouteType.THROW,
}  # fmt: skip
_WITHOUT_NEXT_HOP = frozenset({RouteType.BLACKHOLE, RouteType.UNREACHABLE, RouteType.PROHIBIT, RouteType.THROW})
_DSFIELDS = {
    "default": 0, "lowdelay": 0x10, "throughput": 0x08, "reliability": 0x04, "mincost": 0x02, "CS1": 0x20, "CS2": 0x40,
    "CS3": 0x60, "CS4": 0x80, "CS5": 0xA0, "CS6": 0xC0, "CS7": 0xE0, "AF11": 0x28, "AF12": 0x30, "AF13": 0x38, "AF21": 0x48,
    "AF22": 0x50, "AF23": 0x58, "AF31": 0x68, "AF32": 0x70, "AF33": 0x78, "AF41": 0x88, "AF42": 0x90, "AF43": 0x98,
    "EF": 0xB8,
}  # fmt: skip
"""iproute2's etc/iproute2/rt_dsfield."""
_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")


# --- links -------------------------------------------------------------------------------------------------------


def parse_links(addr_text: str, link_text: str | None = None, *, source: str | None = None) -> tuple[Link, ...]:
    """Links with addresses from `ip -j addr`, and what `ip -j -d link` tells more of them; raises `InvalidInput`."""
    try:
        details = {link.name: link for link in _links(link_text or "", "link")}
        return tuple(_merge(link, details.get(link.name)) for link in _links(addr_text, "address entry"))
    except InvalidInput as error:
        raise error.at(source=source) from None


def _merge(link: Link, detail: Link | None) -> Link:
    if detail is None or detail.index != link.index:
        return link
    return replace(detail, addresses=link.addresses)


def _links(text: str, what: str) -> list[Link]:
    return [_link(node) for node in parse_nodes(text, what)]


def _link(node: Node) -> Link:
    name, index = node.text("ifname"), node.number("ifindex")
    if not name or index is None:
        raise InvalidInput(f"{node.name}: a link has ifname and ifindex")
    flags = node.words("flags")
    info = node.child("linkinfo") or Node(node.name, {})
    data = info.child("info_data") or Node(node.name, {})
    port = info.child("info_slave_data") or Node(node.name, {})
    mac = node.text("address")
    kind = node.text("link_type") or ("loopback" if "LOOPBACK" in flags else "ether")
    return Link(
        name=name,
        index=index,
        up="UP" in flags,
        carrier="LOWER_UP" in flags,
        mtu=node.number("mtu") or 1500,
        loopback="LOOPBACK" in flags,
        kind=info.text("info_kind"),
        link_type=_LINK_TYPES.get(kind, kind),
        master=node.text("master"),
        mac=bytes.fromhex(mac.replace(":", "")) if mac is not None and _MAC.fullmatch(mac) else None,
        addresses=tuple([_address(entry) for entry in node.children("addr_info") if entry.text("family") in _FAMILIES]),
        group=_group(node, "group") or 0,
        nf_call_iptables=data.flag("nf_call_iptables"),
        nf_call_ip6tables=data.flag("nf_call_ip6tables"),
        hairpin=port.flag("hairpin"),
    )


def _group(node: Node, key: str) -> int | None:
    text = node.text(key)
    if text is None or text == "default":
        return None if text is None else 0
    if not (text.isascii() and text.isdigit()):
        raise InvalidInput(f"{node.name}: {key} {text!r} is a name that only the node can number", remedy="use `ip -N`")
    return node.number(key)


def _address(node: Node) -> InterfaceAddress:
    local, length = node.address("local"), node.number("prefixlen", most=128)
    if local is None or length is None or length > local.family.bits:
        raise InvalidInput(f"{node.name}: an address has local and prefixlen")
    peer, broadcast = node.address("address"), node.address("broadcast")
    if peer is not None and peer.family is not local.family:
        raise InvalidInput(f"{node.name}: the peer's address is of another family")
    scope = node.text("scope") or "global"
    return InterfaceAddress(
        prefix=Prefix(local.family, local.value, length),
        scope=_SCOPES.get(scope, scope),
        secondary=node.flag("secondary"),
        broadcast=None if broadcast is None else broadcast.value,
        peer=None if peer is None else Prefix(peer.family, peer.value, length),
        deprecated=node.flag("deprecated"),
        tentative=node.flag("tentative"),
    )


# --- routes ------------------------------------------------------------------------------------------------------

NextHopObjects = Mapping[int, tuple[NextHop, ...] | None]
"""Nexthop objects by number; None is one that drops (`blackhole`)."""


def parse_routes(
    text: str, family: IPFamily, *, nexthops: NextHopObjects | None = None, source: str | None = None
) -> tuple[Route, ...]:
    """Routes of one family from `ip -j [-6] route show table all`, in its order; raises `InvalidInput`."""
    try:
        found = parse_nodes(text, "route")
        return tuple([_route(node, family, nexthops or {}) for node in found if _route_family(node) in (family, None)])
    except InvalidInput as error:
        raise error.at(source=source) from None


def parse_nexthops(text: str, *, source: str | None = None) -> dict[int, tuple[NextHop, ...] | None]:
    """Nexthop objects from `ip -j nexthop`, groups resolved; a group of unknown members is left out."""
    try:
        nodes = {node.number("id"): node for node in parse_nodes(text, "nexthop")}
        single: dict[int, tuple[NextHop, ...] | None] = {}
        for number, node in nodes.items():
            if number is not None and "group" not in node:
                single[number] = None if "blackhole" in node else (_next_hop(node),)
        groups: dict[int, tuple[NextHop, ...] | None] = {}
        for number, node in nodes.items():
            members = [] if number is None else [_group_member(one, single) for one in node.children("group")]
            if number is not None and members and all(members):
                groups[number] = tuple(member for member in members if member is not None)
        return single | groups
    except InvalidInput as error:
        raise error.at(source=source) from None


def _group_member(node: Node, single: NextHopObjects) -> NextHop | None:
    found = single.get(node.number("id") or 0)
    return replace(found[0], weight=node.number("weight") or 1) if found else None


def _route_family(node: Node) -> IPFamily | None:
    """The family of a route, None when nothing tells it; only IPv6 routes have a preference (RTA_PREF in iproute.c)."""
    for key in ("dst", "from", "prefsrc", "gateway"):
        text = node.text(key)
        if text is not None and (":" in text or "." in text):
            return IPFamily.V6 if ":" in text else IPFamily.V4
    for hop in node.children("nexthops"):
        text = hop.text("gateway")
        if text is not None:
            return IPFamily.V6 if ":" in text else IPFamily.V4
    return IPFamily.V6 if "pref" in node else None


def _route(node: Node, family: IPFamily, nexthops: NextHopObjects) -> Route:
    prefix = node.prefix("dst", family)
    if prefix is None:
        raise InvalidInput(f"{node.name}: a route has a dst")
    kind = node.choice("type", _ROUTE_TYPES, absent=RouteType.UNICAST)
    table, scope, protocol = node.text("table") or "main", node.text("scope") or "global", node.text("protocol") or "boot"
    nexthop_id = node.number("nhid")
    hops = _next_hops(node)
    if not hops and nexthop_id is not None and kind is RouteType.UNICAST and nexthop_id in nexthops:
        given = nexthops[nexthop_id]
        hops = given or ()
        kind = RouteType.BLACKHOLE if given is None else kind
    metrics = node.children("metrics")
    return Route(
        prefix=prefix,
        next_hops=() if kind in _WITHOUT_NEXT_HOP else hops,
        type=kind,
        table=_TABLES.get(table, table),
        metric=node.number("metric") or 0,
        tos=_dsfield(node, "tos") or 0,
        scope=_SCOPES.get(scope, scope),
        protocol=_PROTOCOLS.get(protocol, protocol),
        prefsrc=node.address("prefsrc"),
        source=node.prefix("from", family),
        preference=node.text("pref") or "medium",
        mtu=metrics[0].number("mtu") if metrics else None,
        nexthop_id=nexthop_id,
    )


def _next_hops(node: Node) -> tuple[NextHop, ...]:
    several = node.children("nexthops")
    if several:
        return tuple([_next_hop(hop) for hop in several])
    if "dev" in node or "gateway" in node or "via" in node:
        return (_next_hop(node),)
    return ()


def _next_hop(node: Node) -> NextHop:
    via = node.child("via")
    flags = node.words("flags")
    return NextHop(
        dev=node.text("dev"),
        gateway=node.address("gateway") if via is None else via.address("host"),
        weight=node.number("weight") or 1,
        onlink="onlink" in flags,
        dead="dead" in flags,
        linkdown="linkdown" in flags,
        encap=node.text("encap"),
    )


def _dsfield(node: Node, key: str) -> int | None:
    text = node.text(key)
    if text is None or text not in _DSFIELDS:
        return node.number(key, most=255)
    return _DSFIELDS[text]


# --- policy rules ------------------------------------------------------------------------------------------------

_RULE_WORDS = frozenset(
    {
        "action", "dport", "dport_end", "dport_start", "dst", "dstlen", "fwmark", "fwmask", "goto", "iif", "iif_detached",
        "ipproto", "nop", "not", "oif", "oif_detached", "priority", "protocol", "sport", "sport_end", "sport_start", "src",
        "srclen", "suppress_ifgroup", "suppress_prefixlen", "suppress_prefixlength", "table", "tos", "uid_end", "uid_start",
        "unresolved",
    }
)  # fmt: skip
_RULE_REMARKS = frozenset({"flow", "flow_from", "flow_to"})
"""Realms: they mark the packet's route and do not take part in the decision."""
_RULE_ACTIONS = {"blackhole": RuleAction.BLACKHOLE, "unreachable": RuleAction.UNREACHABLE, "prohibit": RuleAction.PROHIBIT}
_RULE_ACTIONS |= {"6": RuleAction.BLACKHOLE, "7": RuleAction.UNREACHABLE, "8": RuleAction.PROHIBIT}


def parse_policy_rules(text: str, family: IPFamily, *, source: str | None = None) -> tuple[PolicyRule, ...]:
    """Policy rules of one family from `ip -j [-6] rule`, in its order; raises `InvalidInput`."""
    try:
        return tuple([_policy_rule(node, family) for node in parse_nodes(text, "rule")])
    except InvalidInput as error:
        raise error.at(source=source) from None


def _policy_rule(node: Node, family: IPFamily) -> PolicyRule:
    unsupported = [key for key in node.fields if key not in _RULE_WORDS and key not in _RULE_REMARKS]
    action, table = RuleAction.TABLE, node.text("table")
    if "goto" in node:
        action = RuleAction.GOTO
    elif "nop" in node:
        action = RuleAction.NOP
    elif "action" in node:
        action = node.choice("action", _RULE_ACTIONS, absent=RuleAction.TABLE)
    elif table is None and not unsupported:
        raise InvalidInput(f"{node.name}: a rule has a table or an action")
    proto, unknown = _rule_protocol(node)
    mask = node.number("fwmask")
    low, high = node.number("uid_start"), node.number("uid_end")
    return PolicyRule(
        family=family,
        priority=node.number("priority") or 0,
        action=action,
        table=None if table is None or action is not RuleAction.TABLE else _TABLES.get(table, table),
        goto=node.number("goto"),
        negated=node.flag("not"),
        source=_rule_prefix(node, "src", family),
        destination=_rule_prefix(node, "dst", family),
        tos=_dsfield(node, "tos"),
        mark=node.number("fwmark"),
        mark_mask=0xFFFFFFFF if mask is None else mask,
        in_iface=node.text("iif"),
        out_iface=node.text("oif"),
        uid_range=None if low is None or high is None else (low, high),
        ip_proto=proto,
        sport=_rule_ports(node, "sport"),
        dport=_rule_ports(node, "dport"),
        suppress_prefix_length=_suppressed_length(node),
        suppress_group=_group(node, "suppress_ifgroup"),
        unsupported=(*unsupported, *unknown),
    )


def _rule_prefix(node: Node, key: str, family: IPFamily) -> Prefix | None:
    text = node.text(key)
    if text is None or text == "all":
        return None
    found, length = node.prefix(key, family), node.number(f"{key}len", most=family.bits)
    assert found is not None
    return found if length is None else Prefix(family, found.address, length).network


def _rule_protocol(node: Node) -> tuple[int | None, tuple[str, ...]]:
    """The protocol, or the unknown name as something unsupported."""
    text = node.text("ipproto")
    if text is None:
        return None, ()
    try:
        return parse_protocol(text.removeprefix("ipproto-")), ()
    except InvalidInput:
        return None, (f"ipproto {text}",)


def _rule_ports(node: Node, key: str) -> tuple[int, int] | None:
    one = node.number(key, most=0xFFFF)
    low, high = node.number(f"{key}_start", most=0xFFFF), node.number(f"{key}_end", most=0xFFFF)
    if one is not None:
        return one, one
    return None if low is None or high is None else (low, high)


def _suppressed_length(node: Node) -> int | None:
    short = node.number("suppress_prefixlen", most=128)
    return node.number("suppress_prefixlength", most=128) if short is None else short


# --- neighbours --------------------------------------------------------------------------------------------------


def parse_neighbours(text: str, *, source: str | None = None) -> tuple[Neighbour, ...]:
    """Neighbours of both families from `ip -j neigh`; entries without an IP address (bridge, MPLS) are left out."""
    try:
        return tuple([_neighbour(node) for node in parse_nodes(text, "neighbour") if "dst" in node and "dev" in node])
    except InvalidInput as error:
        raise error.at(source=source) from None


def _neighbour(node: Node) -> Neighbour:
    address, dev, mac = node.address("dst"), node.text("dev"), node.text("lladdr")
    assert address is not None and dev is not None
    return Neighbour(
        address=address,
        dev=dev,
        mac=bytes.fromhex(mac.replace(":", "")) if mac is not None and _MAC.fullmatch(mac) else None,
        states=node.words("state"),
    )
