"""The facts V63 to V107 (spec: netfilter 14) but for the generators': fragments, tests of rules, routing."""

from __future__ import annotations

from functools import partial

from tests.cases.match_case import LEGACY, NFT
from tests.cases.matches import SYN, later, v4, v6
from tests.cases.vector import V4, V6, Seen, Vector
from tests.cases.vector_builder import (
    A_OUT,
    FRAGMENTS_OUT,
    MASQUERADE,
    NEW,
    add,
    given,
    own,
    pieces,
    tcp,
    tests,
    udp,
)
from tests.kernel.scenario import Interface, Topology
from tortie.net.wire import format_packet, fragment_header

VECTORS: list[Vector] = []
vector = partial(add, VECTORS)
outside = partial(add, VECTORS, backends=(LEGACY,))
"""Adds a fact about what is between the tables, where the back-end of the rules makes no difference."""

DEVICE_DOWN = Topology((Interface("e0", ("10.0.0.1/24",)), Interface("e2", ("10.2.0.1/24",))), {V4: ("link set e2 down",)})

# --- fragments ---------------------------------------------------------------------------------------------------

vector(
    "V63",
    "a later fragment has no ports, inverted or not",
    {"filter": tests("FORWARD", "-p udp", "-p udp -m udp --dport 53", "-p udp -m udp ! --dport 53")},
    Seen(given(later(17, 5, bytes(16))), "e1 10.0.0.5>10.1.0.9", hits="filter:FWD:1"),
    backends=(LEGACY,),
)
_TO_NODE_PIECES = pieces(dst="10.0.0.1")
outside(
    "V64",
    "INPUT of IPv4 sees packets put together",
    {"filter": tests("INPUT", "-f", "-p udp")},
    Seen(_TO_NODE_PIECES[0], "gone", path=""),
    Seen(_TO_NODE_PIECES[1], "here 10.0.0.5:5>10.0.0.1:9", path="filter:IN:2 IN:P3"),
)
_BODY6 = format_packet(v6(dst="fd00::1", sport=5, dport=9, payload=bytes(16)))[40:]
_PIECES6 = [
    given(v6(dst="fd00::1", proto=17, transport=part, fragment_offset=offset, more_fragments=more, identification=7,
             extensions=(fragment_header(17, offset=offset, more=more, identification=7),)))
    for offset, more, part in ((0, True, _BODY6[:16]), (2, False, _BODY6[16:]))
]  # fmt: skip
outside(
    "V64 IPv6",
    "INPUT of IPv6 sees the fragments",
    {"filter": tests("INPUT", "-m frag --fragfirst", "-m frag --fraglast")},
    Seen(_PIECES6[0], "gone", hits="filter:IN:1"),
    Seen(_PIECES6[1], "here [fd00::5]:5>[fd00::1]:9", hits="filter:IN:2"),
    family=V6,
)
_PIECES = pieces()
vector(
    "V65",
    "where tracking runs no table sees a fragment",
    {"raw": ["-A PREROUTING -f"], "filter": tests("FORWARD", NEW, "-f")},
    Seen(_PIECES[0], "gone", path=""),
    Seen(_PIECES[1], FRAGMENTS_OUT, hits="filter:FWD:1"),
)

# --- tests of rules ----------------------------------------------------------------------------------------------

_TYPES = tests(
    "PREROUTING", *(f"-m addrtype --dst-type {kind}" for kind in ("UNREACHABLE", "BLACKHOLE", "PROHIBIT", "UNICAST"))
)
vector(
    "V66",
    "addresses that routes refuse are UNICAST",
    {"mangle": _TYPES},
    *[Seen(udp(dst=f"60.{number}.0.1"), "gone", hits="mangle:PRE:4") for number in (1, 2, 3)],
)
vector(
    "V67",
    "an own address of another device is not LOCAL to the input device",
    {
        "mangle": tests(
            "PREROUTING", "-m addrtype --dst-type LOCAL --limit-iface-in", "-m addrtype --dst-type UNICAST --limit-iface-in"
        )
    },
    Seen(udp(dst="10.2.0.1"), "here 10.0.0.5:1>10.2.0.1:2", hits="mangle:PRE:2"),
)
_UNICAST = {"mangle": tests("PREROUTING", "-m addrtype --dst-type UNICAST")}
vector(
    "V68 IPv6",
    "own addresses of IPv6 are UNICAST too",
    _UNICAST,
    Seen(given(v6(dst="fd00::1", sport=1, dport=2)), "here [fd00::5]:1>[fd00::1]:2", hits="mangle:PRE:1"),
    family=V6,
)
vector(
    "V68 IPv4",
    "own addresses of IPv4 are not UNICAST",
    _UNICAST,
    Seen(udp(dst="10.0.0.1"), "here 10.0.0.5:1>10.0.0.1:2", hits=""),
)
vector(
    "V69",
    "of the nets of a set the longest decides",
    {"mangle": tests("PREROUTING", "-m set --match-set s src")},
    Seen(udp(), A_OUT, hits="mangle:PRE:1"),
    Seen(udp("10.0.0.6"), "e1 10.0.0.6:1>10.1.0.9:2", hits=""),
    Seen(udp("10.0.1.6"), "e1 10.0.1.6:1>10.1.0.9:2", hits="mangle:PRE:1"),
    ip_sets="create s hash:net\nadd s 10.0.0.0/8\nadd s 10.0.0.0/24 nomatch\nadd s 10.0.0.5\n",
)
vector(
    "V70",
    "a set with more dimensions than directions never matches",
    {"mangle": tests("PREROUTING", "-m set --match-set s dst", "-m set ! --match-set s dst")},
    Seen(udp(), A_OUT, hits="mangle:PRE:2"),
    ip_sets="create s hash:ip,port\nadd s 10.1.0.9,udp:2\n",
)
vector(
    "V71",
    "a direction too many is ignored",
    {"mangle": tests("PREROUTING", "-m set --match-set s src,dst")},
    Seen(udp(), A_OUT, hits="mangle:PRE:1"),
    ip_sets="create s hash:ip\nadd s 10.0.0.5\n",
)
for _count, _hits in ((3, ""), (4, "mangle:PRE:1")):
    vector(
        f"V72 {_count}",
        "a set's counter is compared after it has counted the packet",
        {"mangle": tests("PREROUTING", f"-m set --match-set s src --packets-eq {_count}")},
        Seen(udp(), A_OUT, hits=_hits),
        ip_sets="create s hash:ip counters\nadd s 10.0.0.5 packets 3 bytes 84\n",
    )
vector(
    "V73",
    "a value may set bits outside its mask",
    {
        "mangle": [
            "-A PREROUTING -j MARK --set-mark 0xff00ff",
            "-A PREROUTING -j MARK --set-mark 0x1234/0xff",
            *tests("PREROUTING", "-m mark --mark 0xff1234"),
        ]
    },
    Seen(udp(), A_OUT, hits="mangle:PRE:1 PRE:2 PRE:3"),
)
vector(
    "V74",
    "a value outside its mask is never met",
    {"mangle": ["-A PREROUTING -j MARK --set-mark 0x110", *tests("PREROUTING", "-m mark --mark 0x1ff/0xff")]},
    Seen(udp(), A_OUT, hits="mangle:PRE:1"),
)
vector(
    "V75",
    "the kernel's own errors have a socket that belongs to nobody",
    {"filter": tests("OUTPUT", "-m owner ! --uid-owner 0", "-m owner --socket-exists")},
    Seen(udp(dst="10.0.0.1"), "here 10.0.0.5:1>10.0.0.1:2", made_path="filter:OUT:1 OUT:2 OUT:P3"),
)
vector(
    "V97",
    "a text is looked for from and up to an offset in the packet",
    {
        "mangle": tests(
            "PREROUTING", *(f"-m string --string hello --algo bm{limits}" for limits in (" --from 40", " --to 30", ""))
        )
    },
    Seen(udp(payload=b"1234hello1234567"), A_OUT, hits="mangle:PRE:3"),
)
vector(
    "V98",
    "u32 beyond the end does not match",
    {"mangle": tests("PREROUTING", '-m u32 --u32 "100=0"', '-m u32 ! --u32 "100=0"')},
    Seen(udp(), A_OUT, hits="mangle:PRE:2"),
)
vector(
    "V99",
    "every third packet, beginning with the third, counted from 0",
    {"mangle": tests("PREROUTING", "-m statistic --mode nth --every 3 --packet 2")},
    *[Seen(udp(), A_OUT, hits=hits) for hits in ("", "", "mangle:PRE:1", "", "", "mangle:PRE:1", "", "")],
)
vector(
    "V106",
    "a stateful test counts though a later test of its rule fails",
    {
        "mangle": tests(
            "PREROUTING",
            "-m recent --set --name q -m length --length 999",
            "-m length --length 998 -m recent --set --name w",
            "-m recent --rcheck --name q",
            "-m recent --rcheck --name w",
        )
    },
    Seen(udp(), A_OUT, hits="mangle:PRE:3"),
)
_CUT = (given(later(6, 1, b"\x03\xe8\0\x50" + bytes(8))), given(v4(proto=6, transport=b"\x03\xe8\0\x50" + bytes(6))))
_ON_PORT = {"mangle": tests("PREROUTING", "-p tcp -m tcp --dport 80")}
vector(
    "V101 legacy",
    "a rule for a TCP port drops packets too short for it, and counts none",
    _ON_PORT,
    *[Seen(one, "gone", path="", drop="NETFILTER_DROP") for one in _CUT],
    backends=(LEGACY,),
)
vector(
    "V101 nft",
    "nft compares the bytes that are there",
    _ON_PORT,
    *[Seen(one, "e1 10.0.0.5>10.1.0.9", hits="mangle:PRE:1") for one in _CUT],
    backends=(NFT,),
)
_UDP_PIECE = given(later(17, 3, b"\x03\xe8\0\x50" + bytes(8)))
for _backend, _hits in ((LEGACY, ""), (NFT, "mangle:PRE:1")):
    vector(
        f"V102 {_backend.value}",
        "what stands where a later fragment has no ports",
        {"mangle": tests("PREROUTING", "-p udp -m udp --dport 80")},
        Seen(_UDP_PIECE, "e1 10.0.0.5>10.1.0.9", hits=_hits),
        backends=(_backend,),
    )
vector(
    "V103",
    "NOTRACK switches nothing on",
    {"raw": ["-A OUTPUT -j NOTRACK"]},
    Seen(udp(), A_OUT, tracked=False),
    Seen(_PIECES[0], "e1 10.0.0.5>10.1.0.9", tracked=False),
)
vector(
    "V104",
    "a test in a chain that nothing calls switches tracking on",
    {"filter": [f"-A QQ {NEW}"]},
    Seen(udp(), A_OUT, hits="", tracked=True),
)
vector(
    "V107",
    "a test for sockets has fragments put together, without tracking",
    {"mangle": tests("PREROUTING", "-d 9.9.9.9 -m socket", "-f")},
    Seen(_PIECES[0], "gone", path=""),
    Seen(_PIECES[1], FRAGMENTS_OUT, path="mangle:PRE:P3 FWD:P1 POST:P1", tracked=False),
)

# --- routing -----------------------------------------------------------------------------------------------------

vector(
    "V77",
    "a packet to an own group comes back by the device it leaves by, and meets POSTROUTING twice",
    {
        "mangle": [
            *tests("OUTPUT", "-o e0"),
            *tests("POSTROUTING", "-o e0"),
            *tests("PREROUTING", "-i e0"),
            *tests("INPUT", "-i e0"),
        ]
    },
    Seen(
        own("10.0.0.1", "224.0.0.1", device="e0"),
        "e0 10.0.0.1:1>224.0.0.1:53",
        hits="mangle:OUT:1 POST:1 PRE:1 IN:1 POST:1",
    ),
)
outside(
    "V78",
    "the larger of the two rp_filter counts, and 2 is the loose one",
    {"filter": []},
    Seen(udp("10.2.0.9"), "e1 10.2.0.9:1>10.1.0.9:2", path="filter:FWD:P1"),
    sysctls=(("net/ipv4/conf/all/rp_filter", "1"), ("net/ipv4/conf/e0/rp_filter", "2")),
)
outside(
    "V79 IPv6",
    "forwarding of a device means nothing in IPv6",
    {"filter": []},
    Seen(given(v6(sport=1, dport=2)), "e1 [fd00::5]:1>[fd00:1::9]:2", path="filter:FWD:P1"),
    family=V6,
    sysctls=(("net/ipv6/conf/e0/forwarding", "0"),),
)
outside(
    "V79 IPv4",
    "a device without forwarding drops silently",
    {"filter": []},
    Seen(udp(), "gone", path="", made=()),
    sysctls=(("net/ipv4/conf/e0/forwarding", "0"),),
)
vector(
    "V88",
    "the RST of a REJECT about a DNATed SYN comes from the virtual address and consults nat POSTROUTING",
    {
        "nat": ["-A PREROUTING -d 10.0.0.1/32 -p tcp -j DNAT --to-destination 10.1.0.9", MASQUERADE],
        "filter": ["-A FORWARD -p tcp -j REJECT --reject-with tcp-reset"],
    },
    Seen(
        tcp(SYN, dst="10.0.0.1"),
        "gone",
        path="nat:PRE:1 filter:FWD:1",
        made=("e0 10.0.0.1:80>10.0.0.5:9 flags RST+ACK",),
        made_path="filter:OUT:P1 nat:POST:P2",
    ),
)
outside(
    "V90",
    "the all-zero host of a net is an ordinary address",
    {"filter": []},
    Seen(
        udp("10.0.0.8", "10.0.0.0"),
        "e0 10.0.0.8:1>10.0.0.0:2",
        path="filter:FWD:P1",
        made=("e0 10.0.0.1>10.0.0.8 icmp 5/1",),
    ),
    sysctls=(("net/ipv4/conf/all/send_redirects", "1"),),
)
outside(
    "V91",
    "the broadcast address of another device's net is the node's",
    {"filter": []},
    Seen(udp(dst="10.1.0.255"), "here 10.0.0.5:1>10.1.0.255:2", path="filter:IN:P1"),
)
outside(
    "V92",
    "a packet from an own address is dropped",
    {"filter": []},
    Seen(udp("10.2.0.1"), "gone", path="", drop="IP_LOCAL_SOURCE"),
)
for _name in ("all", "e0"):
    outside(
        f"V92 {_name}",
        f"accept_local of {_name} lets it pass",
        {"filter": []},
        Seen(udp("10.2.0.1"), "e1 10.2.0.1:1>10.1.0.9:2", path="filter:FWD:P1"),
        sysctls=((f"net/ipv4/conf/{_name}/accept_local", "1"),),
    )
outside(
    "V93",
    "the address of a device set down is still the node's",
    {"filter": []},
    Seen(udp(dst="10.2.0.1"), "here 10.0.0.5:1>10.2.0.1:2", path="filter:IN:P1"),
    topology=DEVICE_DOWN,
)
outside(
    "V105",
    "an unknown protocol reaches INPUT and is then answered",
    {"filter": ["-A INPUT -p 253"]},
    Seen(
        given(v4(dst="10.0.0.1", proto=253, transport=bytes(8))),
        "gone",
        hits="filter:IN:1",
        made=("e0 10.0.0.1>10.0.0.5 icmp 3/2",),
    ),
)
outside(
    "V105 IPv6",
    "in IPv6 by a parameter problem",
    {"filter": ["-A INPUT -p 253"]},
    Seen(
        given(v6(dst="fd00::1", proto=253, transport=bytes(8))),
        "gone",
        hits="filter:IN:1",
        made=("e0 fd00::1>fd00::5 icmp 4/1",),
    ),
    family=V6,
)
