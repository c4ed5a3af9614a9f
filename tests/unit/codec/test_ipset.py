"""What `ipset save` and `ipset list` print, line by line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tortie.codec.ipset import format_ipset_entry, format_ipset_save, parse_ipsets
from tortie.net.address import IPFamily, Prefix, parse_prefix
from tortie.net.error import InvalidInput
from tortie.netfilter.ipset import IfacePart, IPSet, MacPart, MarkPart, NamePart, Part, PortPart, SetEntry

# One set of every type as ipset 7.17 printed it; the five types that its kernel lacked are as lib/print.c has them.
SAVED = """\
create ip hash:ip family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x82884b54
add ip 1.2.3.4
create ip6 hash:ip family inet6 hashsize 1024 maxelem 65536 timeout 600 counters comment skbinfo bucketsize 12
add ip6 ::ffff:1.2.3.4 timeout 599 packets 0 bytes 0
add ip6 fd00::2 timeout 54 packets 4 bytes 5 comment "hello w\\" skbmark 0x11/0xff skbprio 1:10 skbqueue 9
add ip6 fd00::3 timeout 0 packets 0 bytes 0
add ip6 fd00::4 timeout 599 packets 0 bytes 0 comment "nomatch timeout 7" skbmark 0x5
create net6 hash:net family inet6 hashsize 1024 maxelem 65536 forceadd
add net6 fd00:1::/32 nomatch
add net6 fd00::1
create ipport hash:ip,port family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0xcda0c11f netmask 24
add ipport 1.1.1.0,253:0
add ipport 1.1.1.0,ospf:0
add ipport 1.1.1.0,icmp:fragmentation-needed
add ipport 1.1.1.0,icmp:77/3
add ipport 1.1.1.0,tcp:80
add ipport 1.1.1.0,udplite:9
create ipport6 hash:ip,port family inet6 hashsize 1024 maxelem 65536
add ipport6 fd00::1,ipv6-icmp:200/5
add ipport6 fd00::1,ipv6-icmp:no-route
create netport hash:net,port family inet hashsize 1024 maxelem 65536 counters
add netport 10.0.0.0/30,tcp:1 nomatch packets 0 bytes 0
create ipportip hash:ip,port,ip family inet hashsize 1024 maxelem 65536
add ipportip 1.1.1.1,tcp:80,2.2.2.2
create ipportnet hash:ip,port,net family inet hashsize 1024 maxelem 65536
add ipportnet 1.1.1.1,tcp:80,2.2.2.0/24 nomatch
create netiface hash:net,iface family inet hashsize 1024 maxelem 65536 timeout 100 counters comment skbinfo
add netiface 10.0.0.0/8,e timeout 9 nomatch wildcard packets 1 bytes 2 comment "x y" skbmark 0x1/0xf skbprio a:1f skbqueue 3
add netiface 0.0.0.0/0,e+ timeout 99 packets 0 bytes 0
add netiface 10.0.0.0/8,physdev:br-1 timeout 99 packets 0 bytes 0
create bip bitmap:ip range 10.0.0.0-10.0.255.255 netmask 24 timeout 10
add bip 10.0.7.0 timeout 9
create bipmac bitmap:ip,mac range 10.0.0.0-10.0.0.15
add bipmac 10.0.0.1,00:11:22:AA:BB:CC
add bipmac 10.0.0.2
create bport bitmap:port range 0-65535
add bport 80
create mac hash:mac hashsize 1024 maxelem 65536
add mac 00:11:22:AA:BB:CC
create ipmac hash:ip,mac family inet hashsize 1024 maxelem 65536
add ipmac 10.0.0.1,00:11:22:AA:BB:CC
create ipmark hash:ip,mark family inet markmask 0x000000ff hashsize 1024 maxelem 65536
add ipmark 10.0.0.1,0x0000003f
create netnet hash:net,net family inet hashsize 1024 maxelem 65536
add netnet 10.0.0.0/8,1.1.1.1
create netportnet hash:net,port,net family inet hashsize 1024 maxelem 65536
add netportnet 10.0.0.0/8,udp:53,0.0.0.0/0
create lists list:set size 8 timeout 100 counters comment skbinfo
add lists ip timeout 19 packets 3 bytes 0 comment "a b" skbmark 0x5/0x0
add lists ip6 timeout 99 packets 0 bytes 0
"""


def one_set(text: str) -> IPSet:
    (found,) = parse_ipsets(text).values()
    return found


def test_every_type_is_printed_as_it_was_read() -> None:
    sets = parse_ipsets(SAVED)
    assert format_ipset_save(sets) == SAVED
    assert all(one.complete for one in sets.values())


IP = parse_prefix
MEMBERS: dict[str, tuple[str, str, tuple[Part, ...]]] = {
    "address": ("hash:ip", "10.0.0.1", (IP("10.0.0.1/32"),)),
    "host in a set of nets": ("hash:net", "10.0.0.1", (IP("10.0.0.1/32"),)),
    "net with host bits": ("hash:net", "10.1.2.3/8", (IP("10.0.0.0/8"),)),
    "all addresses": ("hash:net,iface", "0.0.0.0/0,e", (IP("0.0.0.0/0"), IfacePart("e"))),
    "ipv6": ("hash:ip family inet6", "FD00:0::1", (IP("fd00::1/128"),)),
    "tcp unless said otherwise": ("hash:ip,port", "1.1.1.1,80", (IP("1.1.1.1/32"), PortPart(6, 80))),
    "protocol by number": ("hash:ip,port", "1.1.1.1,17:80", (IP("1.1.1.1/32"), PortPart(17, 80))),
    "icmp by name": ("hash:ip,port", "1.1.1.1,icmp:ping", (IP("1.1.1.1/32"), PortPart(1, 0x800))),
    "icmp by numbers": ("hash:ip,port", "1.1.1.1,icmp:3/13", (IP("1.1.1.1/32"), PortPart(1, 0x30D))),
    "icmpv6": ("hash:ip,port family inet6", "::1,icmpv6:redirect", (IP("::1/128"), PortPart(58, 137 << 8))),
    "gre": ("hash:ip,port", "1.1.1.1,gre:0", (IP("1.1.1.1/32"), PortPart(47, 0))),
    "interface": ("hash:net,iface", "10.0.0.0/8,br-1", (IP("10.0.0.0/8"), IfacePart("br-1"))),
    "bridge port": ("hash:net,iface", "10.0.0.0/8,physdev:e", (IP("10.0.0.0/8"), IfacePart("e", physdev=True))),
    "wildcard": ("hash:net,iface", "10.0.0.0/8,e wildcard", (IP("10.0.0.0/8"), IfacePart("e", wildcard=True))),
    "plus is no wildcard": ("hash:net,iface", "10.0.0.0/8,e+", (IP("10.0.0.0/8"), IfacePart("e+"))),
    "mac": ("hash:mac", "00:11:22:aa:bb:cc", (MacPart(bytes.fromhex("001122aabbcc")),)),
    "address without its mac": ("bitmap:ip,mac range 10.0.0.0/24", "10.0.0.1", (IP("10.0.0.1/32"), MacPart(None))),
    "mark": ("hash:ip,mark", "1.1.1.1,0x3f", (IP("1.1.1.1/32"), MarkPart(0x3F))),
    "decimal mark": ("hash:ip,mark", "1.1.1.1,63", (IP("1.1.1.1/32"), MarkPart(0x3F))),
    "port of any protocol": ("bitmap:port range 0-100", "80", (PortPart(None, 80),)),
    "port of any protocol, one given": ("bitmap:port range 0-100", "udp:80", (PortPart(None, 80),)),
    "a set": ("list:set", "other", (NamePart("other"),)),
    "netmask": ("hash:ip netmask 24", "10.1.2.3", (IP("10.1.2.0/32"),)),
    "netmask of IPv6": ("hash:ip family inet6 netmask 64", "fd00:1:2:3:4::5", (IP("fd00:1:2:3::/128"),)),
    "bitmask": ("hash:ip bitmask 255.255.0.255", "10.1.2.3", (IP("10.1.0.3/32"),)),
}


@pytest.mark.parametrize(("kind", "member", "parts"), MEMBERS.values(), ids=MEMBERS.keys())
def test_parts_of_a_member(kind: str, member: str, parts: tuple[Part, ...]) -> None:
    assert one_set(f"create s {kind}\nadd s {member}\n").entries == (SetEntry(parts),)


EXTENSIONS = {
    "nomatch": ("nomatch", {"nomatch": True}),
    "timeout": ("timeout 30", {"timeout_s": 30}),
    "counters": ("packets 1 bytes 2", {"packets": 1, "bytes": 2}),
    "comment": ('comment "a timeout 5 b"', {"comment": "a timeout 5 b"}),
    "empty comment": ('comment ""', {"comment": ""}),
    "comment of one bare word": ("comment word", {"comment": "word"}),
    "backslash in a comment": ('comment "a\\" skbqueue 1', {"comment": "a\\", "skb_queue": 1}),
    "mark": ("skbmark 0x11/0xff", {"skb_mark": (0x11, 0xFF)}),
    "mark without a mask": ("skbmark 0x11", {"skb_mark": (0x11, 0xFFFFFFFF)}),
    "priority in hexadecimal": ("skbprio a:1f", {"skb_prio": (10, 31)}),
    "queue": ("skbqueue 3", {"skb_queue": 3}),
}


@pytest.mark.parametrize(("text", "fields"), EXTENSIONS.values(), ids=EXTENSIONS.keys())
def test_extensions_of_a_member(text: str, fields: dict[str, object]) -> None:
    entry = SetEntry((IP("10.0.0.0/8"),), **fields)  # type: ignore[arg-type]
    assert one_set(f"create s hash:net\nadd s 10.0.0.0/8 {text}\n").entries == (entry,)


SEVERAL = {
    "net in a set of addresses": ("hash:ip", "10.0.0.0/30", ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3"]),
    "range of addresses": ("hash:ip", "10.0.0.255-10.0.1.1", ["10.0.0.255", "10.0.1.0", "10.0.1.1"]),
    "range of nets": ("hash:net", "10.0.0.1-10.0.0.6", ["10.0.0.1", "10.0.0.2/31", "10.0.0.4/31", "10.0.0.6"]),
    "from the first to the last address": ("hash:net", "0.0.0.0-255.255.255.255", ["0.0.0.0/0"]),
    "range of ports": ("hash:ip,port", "10.0.0.1,udp:1-2", ["10.0.0.1,udp:1", "10.0.0.1,udp:2"]),
    "range of ports without protocol": ("hash:ip,port", "10.0.0.1,1-2", ["10.0.0.1,tcp:1", "10.0.0.1,tcp:2"]),
    "ranges on both sides": (
        "hash:ip,port", "10.0.0.0/31,1-2",
        ["10.0.0.0,tcp:1", "10.0.0.0,tcp:2", "10.0.0.1,tcp:1", "10.0.0.1,tcp:2"],
    ),
    "masked addresses fall together": ("hash:ip netmask 31", "10.0.0.0/30", ["10.0.0.0", "10.0.0.2"]),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "member", "elements"), SEVERAL.values(), ids=SEVERAL.keys())
def test_one_line_of_a_person_is_several_elements(kind: str, member: str, elements: list[str]) -> None:
    entries = one_set(f"create s {kind}\nadd s {member} timeout 5\n").entries
    assert [format_ipset_entry(replace(entry, timeout_s=None)) for entry in entries] == elements
    assert all(entry.timeout_s == 5 for entry in entries)


UNREAD = {
    "set type": ("hash:new,thing family inet", "whatever 5"),
    "protocol": ("hash:ip,port", "1.1.1.1,mptcp:80"),
    "icmp type": ("hash:ip,port", "1.1.1.1,icmp:new-type"),
    "extension": ("hash:ip", "1.1.1.1 newword 5"),
}


@pytest.mark.parametrize(("kind", "member"), UNREAD.values(), ids=UNREAD.keys())
def test_a_member_with_unknown_words_is_kept_and_the_set_is_incomplete(kind: str, member: str) -> None:
    found = one_set(f"create s {kind}\nadd s {member}\n")
    assert (found.entries, found.unread, found.complete) == ((), (member,), False)
    assert f"add s {member}\n" in format_ipset_save({"s": found})


def test_unknown_options_keep_their_place() -> None:
    text = "create s hash:ip family inet later 5 hashsize 1024 newflag counters\n"
    found = one_set(text)
    assert found.options == {"family": "inet", "later": "5", "hashsize": "1024", "newflag": None, "counters": None}
    assert format_ipset_save({"s": found}) == text


FAMILIES = {
    "hash:ip": IPFamily.V4,
    "hash:net family inet6": IPFamily.V6,
    "bitmap:ip range 10.0.0.0/24": None,
    "bitmap:ip,mac range 10.0.0.0/24": None,
    "bitmap:port range 0-1": None,
    "hash:mac": None,
    "list:set": None,
    "hash:ip,mac": IPFamily.V4,
}


@pytest.mark.parametrize(("kind", "family"), FAMILIES.items(), ids=FAMILIES.keys())
def test_which_types_have_a_family(kind: str, family: IPFamily | None) -> None:
    assert one_set(f"create s {kind}\n").family is family


def test_names_with_blanks_are_told_from_members() -> None:
    sets = parse_ipsets('create my set hash:ip family inet comment\nadd my set 1.2.3.4 comment "x"\n')
    assert sets["my set"].entries == (SetEntry((IP("1.2.3.4/32"),), comment="x"),)


def test_a_set_made_in_code_is_written_with_its_family() -> None:
    made = IPSet("s", "hash:net", IPFamily.V6, (SetEntry((Prefix(IPFamily.V6, 0, 1),)),))
    assert format_ipset_save({"s": made}) == "create s hash:net family inet6\nadd s ::/1\n"


def test_lists_of_sets_are_written_after_their_members() -> None:
    sets = parse_ipsets("create l list:set size 8\nadd l s\ncreate s hash:mac\n")
    assert format_ipset_save(sets) == "create s hash:mac\ncreate l list:set size 8\nadd l s\n"


def test_comments_blank_lines_and_commit_are_skipped() -> None:
    assert list(parse_ipsets("# made by hand\n\ncreate s hash:ip\nCOMMIT\n")) == ["s"]


def test_no_text_is_no_sets() -> None:
    assert parse_ipsets("") == {}


LISTED = """\
Name: pods
Type: hash:net
Revision: 7
Header: family inet hashsize 1024 maxelem 1048576 comment
Size in memory: 16816
References: 3
Number of entries: 2
Members:
192.170.0.0/16 comment "all pods"
10.0.0.1 nomatch

Name: lists
Type: list:set
Revision: 3
Header: size 8
Size in memory: 80
References: 0
Number of entries: 1
Members:
pods
"""


def test_a_listing_tells_the_same_as_the_saved_text() -> None:
    saved = """\
create pods hash:net family inet hashsize 1024 maxelem 1048576 comment
add pods 192.170.0.0/16 comment "all pods"
add pods 10.0.0.1 nomatch
create lists list:set size 8
add lists pods
"""
    listed = parse_ipsets(LISTED)
    assert (listed["pods"].revision, listed["pods"].references) == (7, 3)
    plain = {name: replace(one, revision=None, references=None) for name, one in listed.items()}
    assert plain == parse_ipsets(saved)


def test_old_versions_do_not_count_entries() -> None:
    text = LISTED.replace("Number of entries: 2\n", "").replace("Number of entries: 1\n", "")
    assert parse_ipsets(text) == parse_ipsets(LISTED)


def test_a_terse_listing_says_nothing_of_members() -> None:
    terse = (
        "Name: s\nType: hash:ip\nRevision: 6\nHeader: family inet\nSize in memory: 1\nReferences: 0\nNumber of entries: 9\n"
    )
    assert (one_set(terse).entries, one_set(terse).complete) == ((), False)


def test_a_set_that_ends_with_its_members_line_is_empty() -> None:
    found = one_set("Name: s\nType: hash:ip\nHeader: family inet\nMembers:\n")
    assert (found.entries, found.complete) == ((), True)


REFUSED = {
    "another command": ("create s hash:ip\nflush s\n", 2, "neither `create` nor `add`"),
    "rules": ("*filter\n", 1, "neither `create` nor `add`"),
    "create without a type": ("create s\n", 1, "create NAME TYPE"),
    "member of an unknown set": ("add s 1.1.1.1\n", 1, "not created"),
    "set twice": ("create s hash:ip\ncreate s hash:ip\n", 2, "twice"),
    "no address": ("create s hash:ip\nadd s host\n", 2, "not an IPv4 address"),
    "address of the other family": ("create s hash:ip\nadd s ::1\n", 2, "not an IPv4 address"),
    "prefix too long": ("create s hash:net\nadd s 10.0.0.0/33\n", 2, "not a prefix length"),
    "part missing": ("create s hash:ip,port\nadd s 1.1.1.1\n", 2, "2 parts"),
    "port too high": ("create s hash:ip,port\nadd s 1.1.1.1,tcp:65536\n", 2, "not a port"),
    "mac too short": ("create s hash:mac\nadd s 00:11\n", 2, "not a MAC"),
    "mark too large": ("create s hash:ip,mark\nadd s 1.1.1.1,0x100000000\n", 2, "not a mark"),
    "interface name too long": ("create s hash:net,iface\nadd s 10.0.0.0/8,abcdefghijklmnop\n", 2, "not an interface"),
    "timeout without value": ("create s hash:ip\nadd s 1.1.1.1 timeout\n", 2, "wants a value"),
    "timeout of letters": ("create s hash:ip\nadd s 1.1.1.1 timeout x\n", 2, "wants a number"),
    "comment without end": ('create s hash:ip\nadd s 1.1.1.1 comment "x\n', 2, "two double quotes"),
    "wildcard without interface": ("create s hash:ip\nadd s 1.1.1.1 wildcard\n", 2, "only an interface"),
    "priority without minor": ("create s hash:ip\nadd s 1.1.1.1 skbprio 1\n", 2, "major:minor"),
    "unknown family": ("create s hash:ip family ipx\n", 1, "inet or inet6"),
    "netmask too long": ("create s hash:ip netmask 33\n", 1, "does not fit"),
    "bitmask of the other family": ("create s hash:ip bitmask ::1\n", 1, "does not fit"),
    "range too long": ("create s hash:ip\nadd s 10.0.0.0/8\n", 2, "more than 65536"),
    "ranges too long together": ("create s hash:ip,port\nadd s 10.0.0.0/16,1-9\n", 2, "more than 65536"),
    "family without value": ("create s hash:ip family\n", 1, "wants a value"),
    "listing without header": ("Name: s\nType: hash:ip\nName: t\n", 3, "without its `Header:`"),
    "listing cut short": ("Name: s\nType: hash:ip\n", 3, "without its `Header:`"),
    "words in a listing": ("Name: s\nType hash:ip\n", 2, "`name: value`"),
}


@pytest.mark.parametrize(("text", "line", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        parse_ipsets(text, source="node/ipset-save")
    assert (caught.value.source, caught.value.line) == ("node/ipset-save", line)
