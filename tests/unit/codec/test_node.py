"""Links, routes, rules and neighbours, as iproute2 6.1 printed them on Linux 6.18."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.codec.node import parse_links, parse_neighbours, parse_nexthops, parse_policy_rules, parse_routes
from tortie.net.address import IPFamily, Prefix, parse_address, parse_prefix
from tortie.net.error import InvalidInput
from tortie.net.node import InterfaceAddress, Link, Neighbour, NextHop, PolicyRule, Route, RouteType, RuleAction

V4, V6 = IPFamily.V4, IPFamily.V6
A, P = parse_address, parse_prefix

LO = """{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"mtu":65536,"qdisc":"noqueue","operstate":"UNKNOWN",
"group":"default","link_type":"loopback","address":"00:00:00:00:00:00","broadcast":"00:00:00:00:00:00","addr_info":[
{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host","label":"lo"},
{"family":"inet6","local":"::1","prefixlen":128,"scope":"host"}]}"""
ETHERNET = """{"ifindex":3,"link":"p0","ifname":"e0","flags":["NO-CARRIER","BROADCAST","MULTICAST","UP","M-DOWN"],
"mtu":1400,"operstate":"LOWERLAYERDOWN","group":"5","link_type":"ether","address":"ca:11:5c:51:c4:5e","broadcast":"ff:ff:ff:ff:ff:ff",
"addr_info":[{"family":"inet","local":"10.0.0.1","prefixlen":24,"broadcast":"10.0.0.255","scope":"global","label":"e0"},
{"family":"inet","local":"10.0.0.2","prefixlen":24,"scope":"global","secondary":true,"label":"e0:1"},
{"family":"inet6","local":"fd00::2","prefixlen":64,"scope":"global","deprecated":true,"tentative":true,"dynamic":true},
{"family":"mctp","local":"8"}]}"""
TUN = """{"ifindex":7,"ifname":"t0","flags":["POINTOPOINT","MULTICAST","NOARP","UP","LOWER_UP"],
"mtu":1500,"link_type":"none","addr_info":[{"family":"inet","local":"10.1.0.1","address":"10.1.0.9","prefixlen":32,"scope":"global","label":"t0"}]}"""
LOCALHOST = (
    InterfaceAddress(P("127.0.0.1/8"), scope="host"),
    InterfaceAddress(P("::1/128"), scope="host"),
)
LINKS = {
    "loopback": (LO, Link("lo", 1, mtu=65536, loopback=True, link_type="loopback", mac=bytes(6), addresses=LOCALHOST)),
    "ethernet without carrier": (
        ETHERNET,
        Link(
            "e0", 3, carrier=False, mtu=1400, mac=bytes.fromhex("ca115c51c45e"), group=5,
            addresses=(
                InterfaceAddress(P("10.0.0.1/24"), broadcast=A("10.0.0.255").value),
                InterfaceAddress(P("10.0.0.2/24"), secondary=True),
                InterfaceAddress(P("fd00::2/64"), deprecated=True, tentative=True),
            ),
        ),
    ),
    "point to point": (
        TUN,
        Link("t0", 7, link_type="none", addresses=(InterfaceAddress(P("10.1.0.1/32"), peer=P("10.1.0.9/32")),)),
    ),
    "down": (
        '{"ifindex":2,"ifname":"p0","flags":["BROADCAST"],"mtu":1500,"link_type":"ether","address":"a2:39:78:7b:7b:c3"}',
        Link("p0", 2, up=False, carrier=False, mac=bytes.fromhex("a239787b7bc3")),
    ),
    "numbers for names": (
        '{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"mtu":65536,"group":"0","link_type":"[772]",'
        '"addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"254"}]}',
        Link("lo", 1, mtu=65536, loopback=True, link_type="loopback", addresses=LOCALHOST[:1]),
    ),
    "tunnel, whose address is no mac": (
        '{"ifindex":9,"ifname":"tunl0","flags":["NOARP","UP","LOWER_UP"],"mtu":1480,"link_type":"ipip","address":"10.0.0.1"}',
        Link("tunl0", 9, mtu=1480, link_type="ipip"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "link"), LINKS.values(), ids=LINKS.keys())
def test_one_link(text: str, link: Link) -> None:
    assert parse_links(f"[{text}]") == (link,)


def test_objects_that_a_filter_emptied_are_skipped() -> None:
    assert [link.name for link in parse_links(f"[{{}},{LO},{{}}]")] == ["lo"]


DETAILS = """[{"ifindex":4,"ifname":"br0","flags":["BROADCAST","UP","LOWER_UP"],"mtu":1500,"group":"0","link_type":"[1]",
"linkinfo":{"info_kind":"bridge","info_data":{"forward_delay":1500,"nf_call_iptables":1,"nf_call_ip6tables":0}}},
{"ifindex":6,"link":"b1p","ifname":"b1","flags":["BROADCAST","UP","LOWER_UP"],"mtu":1500,"master":"br0","group":"0",
"link_type":"[1]","linkinfo":{"info_kind":"veth","info_slave_kind":"bridge","info_slave_data":{"hairpin":true}}}]"""


def test_details_of_links_are_joined_with_their_addresses() -> None:
    addresses = """[{"ifindex":4,"ifname":"br0","flags":["UP","LOWER_UP"],"mtu":1500,"link_type":"ether",
    "addr_info":[{"family":"inet","local":"10.0.0.1","prefixlen":24,"scope":"global"}]},
    {"ifindex":6,"ifname":"b1","flags":["UP","LOWER_UP"],"mtu":1500,"link_type":"ether","master":"br0","addr_info":[]},
    {"ifindex":8,"ifname":"new","flags":[],"mtu":1500,"link_type":"ether","addr_info":[]}]"""
    assert parse_links(addresses, DETAILS) == (
        Link("br0", 4, kind="bridge", nf_call_iptables=True, addresses=(InterfaceAddress(P("10.0.0.1/24")),)),
        Link("b1", 6, kind="veth", master="br0", hairpin=True),
        Link("new", 8, up=False, carrier=False),
    )


def test_details_of_another_link_with_the_same_name_are_not_taken() -> None:
    other = '[{"ifindex":5,"ifname":"b1","flags":["UP"],"mtu":1500,"link_type":"ether"}]'
    assert parse_links(other, DETAILS) == (Link("b1", 5, carrier=False),)


HOP = NextHop("e0", A("10.0.0.254"))
ROUTES: dict[str, tuple[IPFamily, str, Route]] = {
    "on the link": (
        V4,
        '{"dst":"10.0.0.0/24","dev":"e0","protocol":"kernel","scope":"link","prefsrc":"10.0.0.1","flags":["linkdown"]}',
        Route(P("10.0.0.0/24"), (NextHop("e0", linkdown=True),), scope="link", protocol="kernel", prefsrc=A("10.0.0.1")),
    ),
    "by a gateway": (
        V4,
        '{"dst":"default","gateway":"10.0.0.254","dev":"e0","metric":100,"flags":[],"metrics":[{"mtu":1300}]}',
        Route(P("0.0.0.0/0"), (HOP,), metric=100, mtu=1300),
    ),
    "to one address": (V4, '{"dst":"10.1.0.9","dev":"t0","flags":[]}', Route(P("10.1.0.9/32"), (NextHop("t0"),))),
    "for a tos": (
        V4,
        '{"dst":"10.9.0.0/16","tos":"0x10","gateway":"10.0.0.254","dev":"e0","table":"100","flags":[]}',
        Route(P("10.9.0.0/16"), (HOP,), tos=0x10, table="100"),
    ),
    "for a tos by name": (
        V4,
        '{"dst":"10.9.0.0/16","tos":"AF11","gateway":"10.0.0.254","dev":"e0","flags":[],"flow":{"from":"5","to":"6"}}',
        Route(P("10.9.0.0/16"), (HOP,), tos=0x28),
    ),
    "by an ipv6 gateway": (
        V4,
        '{"dst":"10.3.0.0/16","via":{"family":"inet6","host":"fd00::9"},"dev":"e0","flags":[]}',
        Route(P("10.3.0.0/16"), (NextHop("e0", A("fd00::9")),)),
    ),
    "by several": (
        V4,
        '{"dst":"10.8.0.0/16","flags":["linkdown"],"nexthops":[{"gateway":"10.0.0.254","dev":"e0","weight":2,"flags":[]},'
        '{"gateway":"10.0.0.253","dev":"e0","weight":1,"flags":["onlink","linkdown","dead"]}]}',
        Route(
            P("10.8.0.0/16"),
            (
                NextHop("e0", A("10.0.0.254"), weight=2),
                NextHop("e0", A("10.0.0.253"), onlink=True, linkdown=True, dead=True),
            ),
        ),
    ),
    "local, with numbers for names": (
        V4,
        '{"type":"2","dst":"10.0.0.1","dev":"e0","table":"255","protocol":"2","scope":"254","prefsrc":"10.0.0.1","flags":[]}',
        Route(
            P("10.0.0.1/32"), (NextHop("e0"),), RouteType.LOCAL, table="local", scope="host", protocol="kernel",
            prefsrc=A("10.0.0.1"),
        ),
    ),
    "blackhole": (
        V4, '{"type":"blackhole","dst":"10.5.0.0/16","flags":[]}', Route(P("10.5.0.0/16"), (), RouteType.BLACKHOLE),
    ),
    "throw": (
        V4,
        '{"type":"throw","dst":"10.4.0.0/16","table":"100","flags":[]}',
        Route(P("10.4.0.0/16"), (), RouteType.THROW, table="100"),
    ),
    "by a nexthop object": (
        V4,
        '{"dst":"10.20.0.0/16","nhid":5,"gateway":"10.0.0.254","dev":"e0","flags":[]}',
        Route(P("10.20.0.0/16"), (HOP,), nexthop_id=5),
    ),
    "by a nexthop object of which nothing is known": (
        V4, '{"dst":"10.20.0.0/16","nhid":99,"flags":[]}', Route(P("10.20.0.0/16"), (), nexthop_id=99),
    ),
    "by a group of nexthop objects": (
        V4,
        '{"dst":"10.20.0.0/16","nhid":7,"flags":[]}',
        Route(P("10.20.0.0/16"), (HOP, NextHop("e0", A("10.0.0.253"), weight=3)), nexthop_id=7),
    ),
    "by a nexthop object that drops": (
        V4, '{"dst":"10.20.0.0/16","nhid":8,"flags":[]}', Route(P("10.20.0.0/16"), (), RouteType.BLACKHOLE, nexthop_id=8),
    ),
    "into a tunnel that has the same words": (
        V4,
        '{"dst":"10.24.0.0/16","encap":"ip","id":5,"src":"0.0.0.0","dst":"1.1.1.1","ttl":0,"tos":4,"tos":"0x10",'
        '"gateway":"10.0.0.254","dev":"e0","table":"77","flags":["onlink"]}',
        Route(P("10.24.0.0/16"), (NextHop("e0", A("10.0.0.254"), onlink=True, encap="ip"),), tos=0x10, table="77"),
    ),
    "into a tunnel without a tos of its own": (
        V4,
        '{"dst":"10.24.0.0/16","encap":"ip","id":5,"src":"0.0.0.0","dst":"1.1.1.1","ttl":0,"tos":4,"dev":"e0","flags":[]}',
        Route(P("10.24.0.0/16"), (NextHop("e0", encap="ip"),)),
    ),
    "into a segment routing tunnel": (
        V4,
        '{"dst":"10.26.0.0/16","encap":"seg6","mode":"encap","segs":["fd00::1"],"dev":"e0","table":"7","flags":[]}',
        Route(P("10.26.0.0/16"), (NextHop("e0", encap="seg6"),), table="7"),
    ),
    "to a segment routing action with a table": (
        V6,
        '{"dst":"fd09::/64","encap":"seg6local","action":"End.T","table":"9","dev":"e0","metric":1024,"flags":[],"pref":"medium"}',
        Route(P("fd09::/64"), (NextHop("e0", encap="seg6local"),), metric=1024),
    ),
    "ipv6": (
        V6,
        '{"dst":"fd07::/32","dev":"t0","metric":1024,"flags":[],"expires":99,"metrics":[{"mtu":1280}],"pref":"medium"}',
        Route(P("fd07::/32"), (NextHop("t0"),), metric=1024, mtu=1280),
    ),
    "ipv6 from a source": (
        V6,
        '{"dst":"fd01::/32","from":"fd00:5::/32","gateway":"fd00::99","dev":"e0","metric":1024,"flags":[],"pref":"high"}',
        Route(
            P("fd01::/32"), (NextHop("e0", A("fd00::99")),), metric=1024, source=P("fd00:5::/32"), preference="high",
        ),
    ),
    "ipv6 unreachable": (
        V6,
        '{"type":"unreachable","dst":"fd03::/32","dev":"lo","metric":1024,"flags":[],"pref":"medium"}',
        Route(P("fd03::/32"), (), RouteType.UNREACHABLE, metric=1024),
    ),
    "ipv6 multicast": (
        V6,
        '{"type":"multicast","dst":"ff00::/8","dev":"e0","table":"local","metric":256,"flags":[],"pref":"medium"}',
        Route(P("ff00::/8"), (NextHop("e0"),), RouteType.MULTICAST, table="local", metric=256),
    ),
}  # fmt: skip
NEXTHOPS = """[{"id":5,"gateway":"10.0.0.254","dev":"e0","scope":"link","flags":[]},
{"id":6,"gateway":"10.0.0.253","dev":"e0","scope":"link","flags":[]},{"id":7,"group":[{"id":5},{"id":6,"weight":3}],"flags":[]},
{"id":8,"blackhole":null,"flags":[]},{"id":9,"group":[{"id":5},{"id":77}],"flags":[]}]"""


@pytest.mark.parametrize(("family", "text", "route"), ROUTES.values(), ids=ROUTES.keys())
def test_one_route(family: IPFamily, text: str, route: Route) -> None:
    assert parse_routes(f"[{text}]", family, nexthops=parse_nexthops(NEXTHOPS)) == (route,)


def test_a_group_with_an_unknown_member_is_unknown() -> None:
    assert 9 not in parse_nexthops(NEXTHOPS)


def test_only_routes_of_the_asked_family_are_taken() -> None:
    text = """[{"dst":"default","dev":"e0","scope":"link","flags":[]},
    {"dst":"default","dev":"e0","flags":[],"pref":"medium"},{"dst":"10.0.0.0/8","dev":"e0"},{"dst":"fd00::/8","dev":"e0"},
    {"dst":"default","nexthops":[{"gateway":"fd00::1","dev":"e0"}]}]"""
    assert [str(route.prefix) for route in parse_routes(text, V4)] == ["0.0.0.0/0", "10.0.0.0/8"]
    # The first one says nothing of its family, so it is of the one that was asked for.
    assert [str(route.prefix) for route in parse_routes(text, V6)] == ["::/0", "::/0", "fd00::/8", "::/0"]


TABLE_100 = {"priority": 100, "table": "100"}
RULES: dict[str, tuple[str, dict[str, Any]]] = {
    "local": ('{"priority":0,"src":"all","table":"local"}', {"priority": 0, "table": "local"}),
    "by number": ('{"priority":32766,"src":"all","table":"254"}', {"priority": 32766, "table": "main"}),
    "addresses, tos, mark and devices": (
        '{"priority":100,"src":"10.0.0.0","srclen":24,"dst":"10.5.5.5","tos":"0x10","fwmark":"0x10","fwmask":"0xf0","iif":"e0",'
        '"oif":"e1","oif_detached":null,"table":"100"}',
        TABLE_100
        | {
            "source": P("10.0.0.0/24"), "destination": P("10.5.5.5/32"), "tos": 0x10, "mark": 0x10, "mark_mask": 0xF0,
            "in_iface": "e0", "out_iface": "e1",
        },
    ),
    "mark without a mask": ('{"priority":100,"src":"all","fwmark":"0x7","table":"100"}', TABLE_100 | {"mark": 7}),
    "mark of zero": (
        '{"priority":100,"src":"all","fwmark":"0","fwmask":"0x1","table":"100"}', TABLE_100 | {"mark": 0, "mark_mask": 1},
    ),
    "inverted": (
        '{"priority":100,"not":null,"src":"10.0.0.0","srclen":24,"table":"100"}',
        TABLE_100 | {"negated": True, "source": P("10.0.0.0/24")},
    ),
    "suppressing": (
        '{"priority":100,"src":"all","table":"100","suppress_prefixlen":0,"suppress_ifgroup":"5"}',
        TABLE_100 | {"suppress_prefix_length": 0, "suppress_group": 5},
    ),
    "suppressing, older spelling": (
        '{"priority":100,"src":"all","table":"100","suppress_prefixlength":0}', TABLE_100 | {"suppress_prefix_length": 0},
    ),
    "goto, users and ports": (
        '{"priority":102,"src":"all","uid_start":5,"uid_end":10,"ipproto":"tcp","sport":5,"dport_start":6,"dport_end":7,'
        '"goto":32000}',
        {
            "priority": 102, "action": RuleAction.GOTO, "table": None, "goto": 32000, "uid_range": (5, 10), "ip_proto": 6,
            "sport": (5, 5), "dport": (6, 7),
        },
    ),
    "nop": ('{"priority":1,"src":"all","nop":null}', {"priority": 1, "action": RuleAction.NOP, "table": None}),
    "protocol without a name": ('{"priority":100,"ipproto":"ipproto-253","table":"100"}', TABLE_100 | {"ip_proto": 253}),
    "protocol by number": ('{"priority":100,"ipproto":"47","table":"100"}', TABLE_100 | {"ip_proto": 47}),
    "unknown protocol": (
        '{"priority":100,"ipproto":"mptcp","table":"100"}', TABLE_100 | {"unsupported": ("ipproto mptcp",)},
    ),
    "blackhole": (
        '{"priority":1,"src":"all","action":"blackhole"}', {"priority": 1, "action": RuleAction.BLACKHOLE, "table": None},
    ),
    "unreachable": (
        '{"priority":1,"src":"all","action":"unreachable"}',
        {"priority": 1, "action": RuleAction.UNREACHABLE, "table": None},
    ),
    "prohibit": (
        '{"priority":1,"src":"all","action":"prohibit"}', {"priority": 1, "action": RuleAction.PROHIBIT, "table": None},
    ),
    "realms change nothing": (
        '{"priority":100,"src":"all","table":"100","flow_from":"5","flow_to":"6","protocol":"88"}', TABLE_100,
    ),
    "l3mdev is not known": (
        '{"priority":1000,"src":"all","l3mdev":null}',
        {"priority": 1000, "table": None, "unsupported": ("l3mdev",)},
    ),
    "tunnel number is not known": (
        '{"priority":100,"src":"all","tun_id":5,"table":"100"}', TABLE_100 | {"unsupported": ("tun_id",)},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "fields"), RULES.values(), ids=RULES.keys())
def test_one_policy_rule(text: str, fields: dict[str, Any]) -> None:
    assert parse_policy_rules(f"[{text}]", V4) == (PolicyRule(V4, **fields),)


def test_an_ipv6_policy_rule() -> None:
    text = '[{"priority":10,"src":"fd00::","srclen":64,"iif":"lo","table":"300"}]'
    assert parse_policy_rules(text, V6) == (PolicyRule(V6, 10, table="300", source=P("fd00::/64"), in_iface="lo"),)


def test_neighbours() -> None:
    text = """[{"dst":"10.0.0.250","dev":"e0","state":["FAILED"]},
    {"dst":"fd00::99","dev":"e0","lladdr":"00:11:22:33:44:55","router":null,"state":["PERMANENT"]},
    {"dst":"10.0.0.7","dev":"tunl0","lladdr":"10.9.9.9","state":[]},{"dst":"10.0.0.77","dev":"e0","proxy":null},
    {"mac":"00:11:22:33:44:55","ifname":"b1"}]"""
    assert parse_neighbours(text) == (
        Neighbour(A("10.0.0.250"), "e0", states=("FAILED",)),
        Neighbour(A("fd00::99"), "e0", bytes.fromhex("001122334455"), ("PERMANENT",)),
        Neighbour(A("10.0.0.7"), "tunl0"),
        Neighbour(A("10.0.0.77"), "e0"),
    )


@pytest.mark.parametrize("text", ["", "\n", "[]", "[{}]"])
def test_an_empty_list_is_empty(text: str) -> None:
    assert parse_routes(text, V4) == ()
    assert parse_policy_rules(text, V4) == ()
    assert parse_neighbours(text) == ()


REFUSED = {
    "text": ("default via 10.0.0.1 dev e0", "not JSON"),
    "cut short": ('[{"dst":"10.0.0.0/24"', "not JSON"),
    "too deep": ("[" * 100000, "not JSON"),
    "an object": ('{"dst":"default"}', "a list of objects"),
    "no destination": ('[{"dev":"e0"}]', "route 1: a route has a dst"),
    "no prefix": ('[{"dst":"10.0.0.0/24"},{"dst":"10.0.0.0/33"}]', "route 2: dst should be a prefix"),
    "another family's prefix": ('[{"dst":"10.0.0.0/24","from":"fd00::/8"}]', "an IPv4 prefix"),
    "unknown type": ('[{"dst":"10.0.0.0/24","type":"nat"}]', "type should be one of"),
    "gateway by name": ('[{"dst":"10.0.0.0/24","gateway":"router"}]', "an IP address"),
    "metric of letters": ('[{"dst":"10.0.0.0/24","metric":"high"}]', "metric should be a number"),
    "negative metric": ('[{"dst":"10.0.0.0/24","metric":-1}]', "metric should be a number"),
    "metric that is true": ('[{"dst":"10.0.0.0/24","metric":true}]', "metric should be a number"),
    "flags without a list": ('[{"dst":"10.0.0.0/24","dev":"e0","flags":"dead"}]', "flags should be a list"),
    "hops without objects": ('[{"dst":"10.0.0.0/24","nexthops":[5]}]', "nexthops should be a list of objects"),
    "device that is a list": ('[{"dst":"10.0.0.0/24","dev":[]}]', "dev should be a text"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        parse_routes(text, V4, source="ip-route.json")
    assert caught.value.source == "ip-route.json"


def test_more_refused() -> None:
    with pytest.raises(InvalidInput, match="ifname and ifindex"):
        parse_links('[{"ifname":"e0"}]')
    with pytest.raises(InvalidInput, match="local and prefixlen"):
        parse_links('[{"ifname":"e0","ifindex":1,"addr_info":[{"family":"inet","local":"10.0.0.1","prefixlen":64}]}]')
    with pytest.raises(InvalidInput, match="only the node can number"):
        parse_links('[{"ifname":"e0","ifindex":1,"group":"outside"}]')
    with pytest.raises(InvalidInput, match="a table or an action"):
        parse_policy_rules('[{"priority":5,"src":"all"}]', V4)


def test_prefixes_are_networks() -> None:
    (rule,) = parse_policy_rules('[{"priority":5,"src":"10.0.0.9","srclen":24,"table":"1"}]', V4)
    assert rule.source == Prefix(V4, A("10.0.0.0").value, 24)
