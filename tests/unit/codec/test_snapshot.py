"""Which file holds which part, and what is said of those that cannot be used."""

from __future__ import annotations

import pytest

from tortie.codec.snapshot import SNAPSHOT_FILES, parse_snapshot
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import Backend, TableName

V4, V6 = IPFamily.V4, IPFamily.V6
RULES = b"*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
FILES = {
    "iptables-save": RULES,
    "ip6tables-save": RULES,
    "ipset-save": b"create s hash:ip\n",
    "ip-link.json": b'[{"ifname":"e0","ifindex":2,"flags":[],"linkinfo":{"info_kind":"veth"}}]',
    "ip-addr.json": b'[{"ifname":"e0","ifindex":2,"flags":[],"addr_info":[]}]',
    "ip-route.json": b'[{"dst":"10.0.0.0/8","nhid":5}]',
    "ip6-route.json": b'[{"dst":"fd00::/8","dev":"e0"}]',
    "ip-nexthop.json": b'[{"id":5,"dev":"e0"}]',
    "ip-rule.json": b'[{"priority":0,"table":"local"}]',
    "ip6-rule.json": b'[{"priority":1,"table":"local"}]',
    "ip-neigh.json": b'[{"dst":"10.0.0.1","dev":"e0"}]',
    "sysctl": b"net.ipv4.ip_forward = 1\n",
    "conntrack": b"udp 17 9 src=10.0.0.5 dst=10.1.0.9 sport=5 dport=80 src=10.1.0.9 dst=10.0.0.5 sport=80 dport=5 use=1\n",
    "ipvs": b"-A -f 5 -s rr\n",
    "nft-chains": b"table inet t {\n\tchain c {\n\t\ttype filter hook input priority 0;\n\t}\n}\n",
}


def test_every_part() -> None:
    node = parse_snapshot(FILES, "node")
    assert node.name == "node"
    assert [(one.family, one.backend) for one in node.rulesets] == [(V4, Backend.LEGACY), (V6, Backend.LEGACY)]
    assert node.ip_sets is not None and list(node.ip_sets) == ["s"]
    assert node.links is not None and [link.kind for link in node.links] == ["veth"]
    assert {family: [hop.dev for hop in routes[0].next_hops] for family, routes in node.routes.items()} == {
        V4: ["e0"],
        V6: ["e0"],
    }
    assert {family: rules[0].priority for family, rules in node.policy_rules.items()} == {V4: 0, V6: 1}
    assert node.neighbours is not None and len(node.neighbours) == 1
    assert node.sysctls == {"net.ipv4.ip_forward": "1"}
    assert node.connections is not None and len(node.connections) == 1
    assert node.ipvs is not None and len(node.ipvs) == 1
    assert node.foreign_chains is not None and len(node.foreign_chains) == 1
    assert node.unreadable == ()
    assert set(node.files) == FILES.keys()


def test_what_is_missing_is_unknown_and_not_empty() -> None:
    node = parse_snapshot({}, "node")
    assert (node.rulesets, node.routes, node.policy_rules, node.files) == ((), {}, {}, ())
    parts = (node.ip_sets, node.links, node.neighbours, node.sysctls, node.connections, node.ipvs, node.foreign_chains)
    assert parts == (None,) * 7


def test_what_a_tool_had_nothing_to_say_of_is_empty_and_not_unknown() -> None:
    texts = dict.fromkeys(("iptables-save", "ipset-save", "conntrack", "ipvs", "nft-chains"), b"# printed nothing\n")
    node = parse_snapshot(texts | {"ip-neigh.json": b"[]"}, "node")
    assert [dict(one.tables) for one in node.rulesets] == [{}]
    assert (node.ip_sets, node.connections, node.ipvs, node.foreign_chains, node.neighbours) == ({}, (), (), (), ())
    assert node.unreadable == ()


@pytest.mark.parametrize("file", [file for file in SNAPSHOT_FILES if file != "remarks"])
def test_a_file_without_a_byte_is_missing(file: str) -> None:
    node = parse_snapshot({file: b""}, "node")
    assert node.files == ()
    assert node.unreadable == (f"{file}: empty, which is what a failed command leaves; it counts as missing",)


def test_unknown_names_are_remarked() -> None:
    assert parse_snapshot({"README": b"\0\xff"}, "node").unreadable == ("README: no file of a snapshot, not read",)


def test_remarks_of_the_collector_are_kept() -> None:
    assert parse_snapshot({"remarks": b"conntrack: not installed\n\n"}, "node").unreadable == ("conntrack: not installed",)


def test_a_list_of_sets_stands_in_for_saved_ones() -> None:
    listed = b"Name: l\nType: hash:ip\nHeader: family inet\nMembers:\n"
    assert list(parse_snapshot({"ipset-list": listed}, "node").ip_sets or ()) == ["l"]
    assert list(parse_snapshot(FILES | {"ipset-list": listed}, "node").ip_sets or ()) == ["s"]


def test_links_without_addresses_are_not_used() -> None:
    node = parse_snapshot({"ip-link.json": FILES["ip-link.json"]}, "node")
    assert node.links is None
    assert node.unreadable == ("ip-link.json: not used without ip-addr.json, since it leaves the addresses unknown",)


def test_both_backends_beside_each_other() -> None:
    node = parse_snapshot({"iptables-legacy-save": RULES, "iptables-nft-save": RULES}, "node")
    assert [one.backend for one in node.rulesets] == [Backend.NFT, Backend.LEGACY]
    assert ["nft is taken to come first" in remark for remark in node.unreadable] == [True]


def test_backends_with_different_tables_need_no_order() -> None:
    raw = b"*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
    node = parse_snapshot({"iptables-legacy-save": RULES, "iptables-nft-save": raw}, "node")
    assert [list(one.tables) for one in node.rulesets] == [[TableName.RAW], [TableName.FILTER]]
    assert node.unreadable == ()


def test_the_same_backend_twice_counts_once() -> None:
    node = parse_snapshot({"iptables-save": RULES, "iptables-legacy-save": RULES}, "node")
    assert len(node.rulesets) == 1
    assert node.files == ("iptables-legacy-save",)
    assert node.unreadable == ("iptables-save: not used, another file holds the rules of the same back-end",)


def test_legacy_tables_that_nobody_read_are_remarked() -> None:
    warning = b"# Warning: ip6tables-legacy tables present, use ip6tables-legacy-save to see them\n"
    node = parse_snapshot({"ip6tables-nft-save": warning + RULES}, "node")
    assert node.unreadable == ("ip6tables: legacy tables are present as well, but ip6tables-legacy-save is missing",)


@pytest.mark.parametrize("file", [file for file in SNAPSHOT_FILES if file not in ("remarks", "ip-link.json")])
def test_a_file_that_cannot_be_read_is_named_with_its_line(file: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_snapshot({file: b"#\nneither this nor that\n" if "json" not in file else b"[5]"}, "node")
    assert caught.value.source == f"node/{file}"


def test_binary_data_is_named_with_its_line() -> None:
    with pytest.raises(InvalidInput, match="binary data") as caught:
        parse_snapshot({"conntrack": b"#\n#\n\0\0\n"}, "node")
    assert (caught.value.source, caught.value.line) == ("node/conntrack", 3)


def test_bytes_that_are_no_text_are_replaced_and_remarked() -> None:
    rules = RULES.replace(b"COMMIT", b'-A INPUT -m comment --comment "caf\xe9"\nCOMMIT')
    node = parse_snapshot({"iptables-save": rules}, "node")
    assert "U+FFFD, first in line 5" in node.unreadable[0]
    assert len(node.rulesets[0].tables[TableName.FILTER].chains["INPUT"].rules) == 1
