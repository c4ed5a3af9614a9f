"""The facts V34 to V62 (spec: netfilter 14): what NAT chooses, and which state a packet has."""

from __future__ import annotations

from functools import partial

from tests.cases.match_case import LEGACY
from tests.cases.matches import ACK, FIN, PSH, RST, SYN, v4
from tests.cases.vector import V4, Seen, Vector
from tests.cases.vector_builder import (
    A_OUT,
    A_TO_B,
    MASQUERADE,
    NEW,
    add,
    given,
    tcp,
    tests,
    udp,
)
from tests.kernel.scenario import Answer, ErrorAbout, Interface, Repeat, Topology

VECTORS: list[Vector] = []
vector = partial(add, VECTORS)
outside = partial(add, VECTORS, backends=(LEGACY,))
"""Adds a fact about what is between the tables, where the back-end of the rules makes no difference."""

OTHER_SOURCE = Topology(
    (Interface("e0", ("10.0.0.1/24",)), Interface("e1", ("10.1.0.1/24", "10.1.0.2/24", "10.9.0.1/24"))),
    {V4: ("route add 81.0.0.0/8 via 10.1.0.254 src 10.1.0.2", "route add 80.0.0.0/8 via 10.9.0.254")},
)
NO_ADDRESS = Topology(
    (Interface("e0", ("10.0.0.1/24",)), Interface("e1", ("10.1.0.1/24",)), Interface("e2")),
    {V4: ("route add 70.0.0.0/8 dev e2",)},
)
LINK_ADDRESS_FIRST = Topology(
    (Interface("e0", ("10.0.0.1/24",)), Interface("e2", ("169.254.9.9/16 scope link", "10.2.0.1/24")))
)

# --- what NAT chooses --------------------------------------------------------------------------------------------

vector(
    "V34",
    "SNAT to the own source sets no flag",
    {"nat": ["-A POSTROUTING -j SNAT --to-source 10.0.0.5"], "filter": ["-A FORWARD -m conntrack --ctstate SNAT"]},
    Seen(udp(), A_OUT, hits="nat:POST:1"),
    Seen(Repeat(0), A_OUT, hits=""),
)
vector(
    "V35",
    "DNAT to the same destination sets no flag",
    {"nat": ["-A PREROUTING -j DNAT --to-destination 10.1.0.9"], "filter": ["-A FORWARD -m conntrack --ctstate DNAT"]},
    Seen(udp(), A_OUT, hits="nat:PRE:1"),
)
vector(
    "V36",
    "FORWARD of the first packet does not yet know of its SNAT",
    {"nat": [MASQUERADE], "filter": ["-A FORWARD -m conntrack --ctstate SNAT"]},
    Seen(udp(), "e1 10.1.0.1:1>10.1.0.9:2", hits="nat:POST:1"),
    Seen(Repeat(0), "e1 10.1.0.1:1>10.1.0.9:2", hits="filter:FWD:1"),
    Seen(Answer(0), "e0 10.1.0.9:2>10.0.0.5:1", hits="filter:FWD:1"),
)
outside(
    "V37",
    "a packet without connection leaves untranslated",
    {"nat": [MASQUERADE]},
    Seen(tcp(RST), "e1 10.0.0.5:9>10.1.0.9:80", path="", tracked=False),
)
_SNAT = {"nat": ["-A POSTROUTING -j SNAT --to-source 10.1.0.1"]}
outside(
    "V38",
    "a taken source port is replaced by a random one, which is kept toward other servers",
    _SNAT,
    Seen(udp(sport=5000, dport=53), "e1 10.1.0.1:5000>10.1.0.9:53"),
    Seen(udp("10.0.0.6", sport=5000, dport=53), "e1 10.1.0.1:1024-65535!5000>10.1.0.9:53"),
    Seen(udp("10.0.0.6", "10.1.0.10", sport=5000, dport=53), "e1 10.1.0.1:@1>10.1.0.10:53"),
)
for _port, _class in ((600, "600-1023"), (80, "1-511")):
    outside(
        f"V39 {_port}",
        "a random source port is drawn from the class of the old one",
        _SNAT,
        Seen(udp(sport=_port, dport=53), f"e1 10.1.0.1:{_port}>10.1.0.9:53"),
        Seen(udp("10.0.0.6", sport=_port, dport=53), f"e1 10.1.0.1:{_class}!{_port}>10.1.0.9:53"),
    )
vector(
    "V40",
    "a range of four ports serves four clients of one server",
    {"nat": ["-A POSTROUTING -p udp -j SNAT --to-source 10.1.0.1:2000-2003"]},
    *[Seen(udp(f"10.0.0.{last}"), "e1 10.1.0.1:2000-2003>10.1.0.9:2", tracked=True) for last in range(5, 9)],
    Seen(udp("10.0.0.9"), "gone", hits="nat:POST:1", tracked=False),
)
outside(
    "V41",
    "one port is taken whether free or not, and the second client's packet is lost",
    {"nat": ["-A POSTROUTING -p udp -j MASQUERADE --to-ports 3000"]},
    Seen(udp(), "e1 10.1.0.1:3000>10.1.0.9:2"),
    Seen(udp("10.0.0.6"), "gone", hits="nat:POST:1", tracked=False),
)
_OSPF = [given(v4(f"10.0.0.{last}", proto=89, transport=b"x" * 8)) for last in (5, 6)]
outside(
    "V42",
    "of a protocol without ports the second client's packet is lost",
    _SNAT,
    Seen(_OSPF[0], "e1 10.1.0.1>10.1.0.9"),
    Seen(_OSPF[1], "gone", hits="nat:POST:1", tracked=False),
)
outside(
    "V43",
    "a connection that no rule matched gets another port where its answers would be taken for another's",
    {"nat": ["-A PREROUTING -d 10.0.0.1/32 -p udp -j DNAT --to-destination 10.1.0.9"]},
    Seen(udp(dst="10.0.0.1", sport=1000, dport=53), "e1 10.0.0.5:1000>10.1.0.9:53"),
    Seen(udp(sport=1000, dport=53), "e1 10.0.0.5:600-1023!1000>10.1.0.9:53", path="nat:PRE:P2 POST:P1"),
)
vector(
    "V44",
    "a port outside the range becomes its first",
    {"nat": ["-A PREROUTING -p udp -j DNAT --to-destination 10.1.0.9:80-90"]},
    Seen(udp(dst="10.0.0.1", dport=85), "e1 10.0.0.5:1>10.1.0.9:85"),
    Seen(udp(dst="10.0.0.1", sport=2, dport=53), "e1 10.0.0.5:2>10.1.0.9:80"),
    Seen(udp(dst="10.0.0.1", sport=3, dport=99), "e1 10.0.0.5:3>10.1.0.9:80"),
)
vector(
    "V45",
    "a base port shifts",
    {"nat": ["-A PREROUTING -p udp -j DNAT --to-destination 10.1.0.9:5000-5010/7000"]},
    Seen(udp(dst="10.0.0.1", dport=7003), "e1 10.0.0.5:1>10.1.0.9:5003"),
)
_RANGE = {"nat": ["-A POSTROUTING -j SNAT --to-source 10.1.0.10-10.1.0.77"]}
outside(
    "V46", "an address of a range follows from source and destination", _RANGE, Seen(udp(), "e1 10.1.0.72:1>10.1.0.9:2")
)
outside(
    "V46 zone",
    "and from the zone",
    {"raw": ["-A PREROUTING -j CT --zone 5"], **_RANGE},
    Seen(udp(), "e1 10.1.0.22:1>10.1.0.9:2"),
)
outside(
    "V47",
    "MASQUERADE follows the next hop and ignores the route's source",
    {"nat": [MASQUERADE]},
    Seen(udp(dst="81.1.1.1"), "e1 10.1.0.1:1>81.1.1.1:2"),
    Seen(udp(dst="80.1.1.1"), "e1 10.9.0.1:1>80.1.1.1:2"),
    topology=OTHER_SOURCE,
)
outside(
    "V48",
    "MASQUERADE on a device without address takes another device's",
    {"nat": ["-A POSTROUTING -o e2 -j MASQUERADE"]},
    Seen(udp(dst="70.1.1.1"), "e2 10.0.0.1:1>70.1.1.1:2"),
    topology=NO_ADDRESS,
)
outside(
    "V50",
    "REDIRECT takes the device's first address of any scope",
    {"nat": ["-A PREROUTING -p udp -j REDIRECT"]},
    Seen(udp("10.2.0.9", "10.2.0.1", iface="e2"), "here 10.2.0.9:1>169.254.9.9:2"),
    topology=LINK_ADDRESS_FIRST,
)
outside(
    "V51",
    "REDIRECT on a device without address drops",
    {"nat": ["-A PREROUTING -p udp -j REDIRECT"]},
    Seen(udp("70.1.1.1", iface="e2"), "gone", hits="nat:PRE:1"),
    topology=NO_ADDRESS,
)
vector(
    "V52",
    "a redirect about a translated connection does not get through OUTPUT",
    {
        "nat": ["-A PREROUTING -d 10.0.0.1/32 -j DNAT --to-destination 10.0.0.9", "-A POSTROUTING -j MASQUERADE"],
        "mangle": ["-A OUTPUT -p icmp"],
        "filter": ["-A OUTPUT -p icmp"],
    },
    Seen(udp("10.0.0.7", "10.0.0.1"), "e0 10.0.0.1:1>10.0.0.9:2", made=(), made_path="mangle:OUT:1 OUT:P2"),
    sysctls=(("net/ipv4/conf/all/send_redirects", "1"),),
)
outside(
    "V53",
    "an ICMP error about a DNATed packet seems to come from the virtual address, whoever sent it",
    {"nat": ["-A PREROUTING -d 10.0.0.1/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.1.0.9:5353"]},
    Seen(udp(dst="10.0.0.1", dport=53), "e1 10.0.0.5:1>10.1.0.9:5353"),
    Seen(ErrorAbout(0, 11, 0, sender="10.1.0.254"), "e0 10.0.0.1>10.0.0.5 icmp 11/0 quoting 10.0.0.5:1>10.0.0.1:53"),
)
outside(
    "V54",
    "an ICMP error about an SNATed packet keeps its sender",
    {"nat": [MASQUERADE]},
    Seen(udp(), "e1 10.1.0.1:1>10.1.0.9:2"),
    Seen(ErrorAbout(0, 11, 0, sender="10.1.0.254"), f"e0 10.1.0.254>10.0.0.5 icmp 11/0 quoting {A_TO_B}"),
)

# --- states ------------------------------------------------------------------------------------------------------


_UNTRACKED = ["-A PREROUTING -p udp -j CT --notrack"]
vector(
    "V55",
    "an untracked packet is not translated",
    {"raw": _UNTRACKED, "nat": [MASQUERADE], "filter": tests("FORWARD", "-m conntrack --ctstate UNTRACKED")},
    Seen(udp(), A_OUT, path="raw:PRE:1 PRE:P2 filter:FWD:1 FWD:P2", tracked=False),
)
vector(
    "V56",
    "without an entry only the state counts, and every other test fails, inverted or not",
    {
        "raw": _UNTRACKED,
        "filter": tests(
            "FORWARD",
            "-m conntrack --ctproto 17",
            "-m conntrack ! --ctproto 17",
            "-m conntrack --ctstate UNTRACKED --ctdir ORIGINAL",
            "-m conntrack ! --ctstatus CONFIRMED",
            "-m connmark --mark 0",
            "-m connmark ! --mark 5",
        ),
    },
    Seen(udp(), A_OUT, hits="raw:PRE:1 filter:FWD:3"),
)
vector(
    "V57",
    "no connection has the status NONE",
    {"filter": tests("FORWARD", "-m conntrack --ctstatus NONE", NEW)},
    Seen(udp(), A_OUT, hits="filter:FWD:2"),
)
_STATES = {"filter": tests("FORWARD", NEW, "-m conntrack --ctstate INVALID")}
_FIRST = (
    ("S", SYN, 1), ("SA", SYN | ACK, 2), ("A", ACK, 1), ("PA", PSH | ACK, 1), ("F", FIN, 2), ("FA", FIN | ACK, 2),
    ("R", RST, 2), ("RA", RST | ACK, 2), ("none", 0, 2), ("SF", SYN | FIN, 2),
)  # fmt: skip
outside(
    "V58",
    "SYN and ACK open connections, nothing else does",
    _STATES,
    *[
        Seen(tcp(flags, sport=port), f"e1 10.0.0.5:{port}>10.1.0.9:80", hits=f"filter:FWD:{rule}")
        for port, (_, flags, rule) in enumerate(_FIRST, 20)
    ],
)
outside(
    "V59",
    "without tcp_loose a first ACK is INVALID",
    _STATES,
    Seen(tcp(ACK), "e1 10.0.0.5:9>10.1.0.9:80", hits="filter:FWD:2"),
    sysctls=(("net/netfilter/nf_conntrack_tcp_loose", "0"),),
)
for _value, _rule in (("1", 2), ("0", 1)):
    outside(
        f"V60 {_value}",
        "a bad checksum makes a packet INVALID where checksums are looked at",
        _STATES,
        Seen(tcp(SYN, checksum_ok=False), "e1 10.0.0.5:9>10.1.0.9:80", hits=f"filter:FWD:{_rule}"),
        sysctls=(("net/netfilter/nf_conntrack_checksum", _value),),
    )
outside(
    "V61",
    "an ICMP error to another host than the quoted source is INVALID",
    _STATES,
    Seen(udp(), A_OUT, hits="filter:FWD:1"),
    Seen(ErrorAbout(0, 3, 1, to="10.0.0.6"), "e0 10.1.0.9>10.0.0.6 icmp 3/1", hits="filter:FWD:2"),
)
_TO_NODE = "10.0.0.5:9>10.0.0.1"
_STATES_OUT = tests("OUTPUT", "-m conntrack --ctstate ESTABLISHED", "-m conntrack --ctstate RELATED")
vector(
    "V62 closed port",
    "the RST of a closed port is ESTABLISHED",
    {"filter": _STATES_OUT},
    Seen(
        tcp(SYN, dst="10.0.0.1"),
        f"here {_TO_NODE}:80",
        made=("e0 10.0.0.1:80>10.0.0.5:9 flags RST+ACK",),
        made_path="filter:OUT:1 OUT:P3",
    ),
)
vector(
    "V62 REJECT",
    "the RST of a REJECT is RELATED",
    {"filter": ["-A INPUT -p tcp -j REJECT --reject-with tcp-reset", *_STATES_OUT]},
    Seen(
        tcp(SYN, dst="10.0.0.1"), "gone", made=("e0 10.0.0.1:80>10.0.0.5:9 flags RST+ACK",), made_path="filter:OUT:2 OUT:P3"
    ),
)
