"""The facts V01 to V33 (spec: netfilter 14): when the tables are consulted, chains, REJECT, routing again."""

from __future__ import annotations

from functools import partial

from tests.cases.match_case import LEGACY
from tests.cases.matches import ACK, RST, SYN, later, v4, v6
from tests.cases.vector import V6, Seen, Vector
from tests.cases.vector_builder import (
    A_OUT,
    A_TO_B,
    BY_E1,
    BY_E3,
    MASQUERADE,
    NEW,
    PLAIN_NAT,
    TO_MARK,
    add,
    given,
    own,
    tcp,
    udp,
)
from tests.kernel.scenario import Given, Repeat
from tortie.net.wire import format_packet

VECTORS: list[Vector] = []
vector = partial(add, VECTORS)
outside = partial(add, VECTORS, backends=(LEGACY,))
"""Adds a fact about what is between the tables, where the back-end of the rules makes no difference."""

# --- tracking and the nat table ----------------------------------------------------------------------------------

vector(
    "V01",
    "without NAT target and tracking the nat table is not consulted",
    {"nat": PLAIN_NAT},
    Seen(udp(), A_OUT, path="", tracked=False),
)
vector(
    "V02",
    "a rule that asks for a state, in a chain not even met, switches tracking and nat on",
    {"nat": PLAIN_NAT, "filter": [f"-A INPUT {NEW}"]},
    Seen(udp(), A_OUT, path="nat:PRE:1 PRE:P2 filter:FWD:P1 nat:POST:1", tracked=True),
)
vector(
    "V03",
    "NAT of IPv4 does not switch tracking of IPv6 on",
    {"nat": ["-A POSTROUTING -p udp"]},
    Seen(given(v6(sport=1, dport=2)), "e1 [fd00::5]:1>[fd00:1::9]:2", path="", tracked=False),
    family=V6,
)
vector(
    "V05",
    "nat is consulted once for a connection, though its second packet is still NEW",
    {
        "nat": ["-A PREROUTING -p udp -j ACCEPT", "-A PREROUTING -p udp -j DNAT --to-destination 10.1.0.77"],
        "filter": [f"-A FORWARD {NEW}"],
    },
    Seen(udp(), A_OUT, path="nat:PRE:1 filter:FWD:1 FWD:P2 nat:POST:P1"),
    Seen(Repeat(0), A_OUT, path="filter:FWD:1 FWD:P2"),
)
vector(
    "V06",
    "a first packet dropped later leaves no entry, and the next consults nat again",
    {"nat": ["-A PREROUTING -p udp -j DNAT --to-destination 10.1.0.77"], "filter": ["-A FORWARD -j DROP"]},
    *[Seen(one, "gone", path="nat:PRE:1 filter:FWD:1", tracked=False) for one in (udp(), Repeat(0))],
)
vector(
    "V07",
    "the policy of a nat chain drops",
    {"nat": [":PREROUTING DROP", MASQUERADE]},
    Seen(udp(), "gone", path="nat:PRE:P1", tracked=False),
)
vector(
    "V08",
    "ACCEPT ends a table, not the walk",
    {
        "raw": ["-A PREROUTING -j ACCEPT"],
        "mangle": ["-A PREROUTING -j ACCEPT", "-A FORWARD -j ACCEPT"],
        "filter": ["-A FORWARD -j DROP"],
    },
    Seen(udp(), "gone", path="raw:PRE:1 mangle:PRE:1 FWD:1 filter:FWD:1"),
)

# --- chains ------------------------------------------------------------------------------------------------------

vector(
    "V09",
    "goto of an empty chain from a built-in one ends in the policy",
    {"filter": [":FORWARD DROP", ":E -", "-A FORWARD -g E", "-A FORWARD -j ACCEPT"]},
    Seen(udp(), "gone", path="filter:FWD:1 E:R1 FWD:P3"),
)
vector(
    "V10",
    "a chain that was gone to returns to where the last jump came from",
    {
        "filter": [
            "-A FORWARD -j A",
            "-A FORWARD -m comment --comment a",
            "-A A -j B",
            "-A A -m comment --comment b",
            "-A B -g C",
            "-A B -j DROP",
            "-A C -p udp -j RETURN",
        ]
    },
    Seen(udp(), A_OUT, path="filter:FWD:1 A:1 B:1 C:1 A:2 A:R3 FWD:2 FWD:P3"),
)
vector(
    "V11",
    "without a jump a chain that was gone to ends in the policy",
    {"filter": [":FORWARD DROP", "-A FORWARD -g A", "-A FORWARD -p udp -j ACCEPT", "-A A -p tcp"]},
    Seen(udp(), "gone", path="filter:FWD:1 A:R2 FWD:P3"),
)
vector(
    "V12",
    "an output device is tested against no name in INPUT",
    {"filter": ["-A INPUT -j X", "-A X -o e0", "-A X ! -o e0", "-A X -i e0", "-A X ! -i e0", "-A X -o +"]},
    Seen(udp(dst="10.0.0.1"), f"here {A_TO_B.replace('10.1.0.9', '10.0.0.1')}", hits="filter:IN:1 X:2 X:3 X:5"),
)
vector(
    "V14",
    "NFQUEUE with bypass and no listener accepts at once",
    {"filter": ["-A FORWARD -j X", "-A FORWARD -j DROP", "-A X -j NFQUEUE --queue-num 0 --queue-bypass"]},
    Seen(udp(), A_OUT, path="filter:FWD:1 X:1"),
    backends=(LEGACY,),
)
vector(
    "V15",
    "NFQUEUE without a listener drops",
    {"filter": ["-A FORWARD -j NFQUEUE --queue-num 0"]},
    Seen(udp(), "gone", path="filter:FWD:1"),
    backends=(LEGACY,),
)

# --- hop limit and REJECT ----------------------------------------------------------------------------------------

vector(
    "V16",
    "a TTL raised in PREROUTING is what the TTL test sees",
    {"mangle": ["-A PREROUTING -j TTL --ttl-inc 5"]},
    Seen(udp(ttl=1), f"{A_OUT} ttl 5"),
)
vector(
    "V17", "a packet may leave with TTL 0", {"mangle": ["-A FORWARD -j TTL --ttl-dec 100"]}, Seen(udp(), f"{A_OUT} ttl 0")
)
outside(
    "V18",
    "TTL 1 ends between PREROUTING and FORWARD",
    {"mangle": [], "filter": []},
    Seen(udp(ttl=1), "gone", path="mangle:PRE:P1", made=(f"e0 10.0.0.1>10.0.0.5 icmp 11/0 quoting {A_TO_B} quoted-ttl 1",)),
)
vector(
    "V19",
    "REJECT in FORWARD quotes the lowered TTL",
    {"filter": ["-A FORWARD -j REJECT"]},
    Seen(udp(), "gone", path="filter:FWD:1", made=(f"e0 10.0.0.1>10.0.0.5 icmp 3/3 quoting {A_TO_B} quoted-ttl 63",)),
)
_RESET = "e0 10.1.0.9:80>10.0.0.5:9 flags"
outside(
    "V20",
    "tcp-reset answers SYN with RST+ACK, ACK with RST, RST with nothing",
    {"filter": ["-A FORWARD -p tcp -j REJECT --reject-with tcp-reset"]},
    Seen(tcp(SYN), "gone", hits="filter:FWD:1", made=(f"{_RESET} RST+ACK",)),
    Seen(tcp(ACK), "gone", hits="filter:FWD:1", made=(f"{_RESET} RST",)),
    Seen(tcp(RST), "gone", hits="filter:FWD:1", made=()),
)
outside(
    "V21",
    "REJECT does not answer ICMP errors and later fragments",
    {"filter": ["-A FORWARD -j REJECT"]},
    Seen(
        given(v4(proto=1, icmp_type=3, icmp_code=1, payload=format_packet(v4("10.1.0.9", "10.0.0.5", sport=1)))),
        "gone",
        hits="filter:FWD:1",
        made=(),
    ),
    Seen(given(later(17, 5, bytes(16))), "gone", hits="filter:FWD:1", made=()),
)
vector(
    "V22",
    "the RST of a REJECT in OUTPUT meets the same rule",
    {"filter": ["-A OUTPUT -p tcp -j REJECT --reject-with tcp-reset"]},
    Seen(own(proto=6, dport=80, tcp_flags=SYN), "EPERM", path="filter:OUT:1", made=(), made_path="filter:OUT:1"),
)

# --- routing again -----------------------------------------------------------------------------------------------

_DEVICES = {"nat": ["-A OUTPUT -o e1"], "filter": [f"-A OUTPUT -o e1 {NEW}"]}
_LAST_DEVICE = ["-A POSTROUTING -o e3", "-A POSTROUTING -o e1"]
vector(
    "V23",
    "a mark of mangle OUTPUT routes again, and -o of OUTPUT still tests the old device",
    {"mangle": [f"-A OUTPUT -p udp -m udp --dport 53 {TO_MARK}", *_LAST_DEVICE], **_DEVICES},
    Seen(own(), BY_E3, hits="mangle:OUT:1 nat:OUT:1 filter:OUT:1 mangle:POST:1"),
)
for _table in ("raw", "filter", "nat"):
    vector(
        f"V24 {_table}",
        f"a mark of {_table} OUTPUT does not route again",
        {
            _table: [f"-A OUTPUT {TO_MARK}"],
            "mangle": _LAST_DEVICE,
            **({"security": [f"-A OUTPUT {NEW}"]} if _table == "nat" else {}),
        },
        Seen(own(), BY_E1, hits=f"{_table}:OUT:1" + (" security:OUT:1" if _table == "nat" else "") + " mangle:POST:2"),
    )
vector(
    "V25",
    "a change of TOS in mangle OUTPUT routes again by the mark that raw set",
    {"raw": [f"-A OUTPUT {TO_MARK}"], "mangle": ["-A OUTPUT -j TOS --set-tos 0x10/0xff"]},
    Seen(own(), f"{BY_E3} tos 16"),
)
vector(
    "V26 IPv4",
    "a change of TTL does not route again",
    {"raw": [f"-A OUTPUT {TO_MARK}"], "mangle": ["-A OUTPUT -j TTL --ttl-set 9"]},
    Seen(own(), f"{BY_E1} ttl 9"),
)
vector(
    "V26 IPv6",
    "a change of the hop limit routes again",
    {"raw": [f"-A OUTPUT {TO_MARK}"], "mangle": ["-A OUTPUT -j HL --hl-set 9"]},
    Seen(
        Given(format_packet(v6("fd00:1::1", "2001:db8::8", sport=1, dport=53)), None),
        "e3 [fd00:1::1]:1>[2001:db8::8]:53 ttl 9",
    ),
    family=V6,
)
vector(
    "V27",
    "DNAT in OUTPUT routes again, and filter OUTPUT still sees the old device",
    {
        "nat": ["-A OUTPUT -p udp -j DNAT --to-destination 50.1.1.1"],
        "filter": ["-A OUTPUT -o e1", "-A OUTPUT -o e2"],
        "mangle": ["-A POSTROUTING -o e2"],
    },
    Seen(own(), "e2 10.1.0.1:1>50.1.1.1:53", hits="nat:OUT:1 filter:OUT:1 mangle:POST:1"),
)
vector(
    "V28",
    "the routing after DNAT in OUTPUT uses the mark that nat set",
    {"nat": [f"-A OUTPUT -p udp {TO_MARK}", "-A OUTPUT -p udp -j DNAT --to-destination 8.8.4.4"]},
    Seen(own(), "e3 10.1.0.1:1>8.8.4.4:53"),
)
for _kind, _mark, _error in (("unreachable", "0x65", "EHOSTUNREACH"), ("blackhole", "0x66", "EINVAL")):
    outside(
        f"V29 {_kind}",
        f"a mark that leads to a route {_kind} fails the send after mangle",
        {"mangle": [f"-A OUTPUT -j MARK --set-mark {_mark}"], "filter": ["-A OUTPUT -p udp"]},
        Seen(own(), _error, hits="mangle:OUT:1"),
    )
outside(
    "V30",
    "a mark does not lead packets for own addresses away",
    {"mangle": [f"-A PREROUTING {TO_MARK}"]},
    Seen(udp(dst="10.0.0.1"), "here 10.0.0.5:1>10.0.0.1:2"),
)
outside(
    "V31",
    "marks of FORWARD and POSTROUTING do not route again",
    {"mangle": [f"-A FORWARD {TO_MARK}", f"-A POSTROUTING {TO_MARK}"]},
    Seen(udp(dst="8.8.8.8"), "e1 10.0.0.5:1>8.8.8.8:2"),
)
_TO_LOOPBACK = {"nat": ["-A PREROUTING -p udp -j DNAT --to-destination 127.0.0.1:99"], "filter": []}
outside(
    "V32",
    "DNAT to the loopback net is dropped in routing",
    _TO_LOOPBACK,
    Seen(udp(dst="10.0.0.1"), "gone", path="nat:PRE:1", drop="IP_LOCALNET"),
)
outside(
    "V32 allowed",
    "route_localnet of the input device lets it in",
    _TO_LOOPBACK,
    Seen(udp(dst="10.0.0.1"), "here 10.0.0.5:1>127.0.0.1:99", path="nat:PRE:1 filter:IN:P1 nat:IN:P1"),
    sysctls=(("net/ipv4/conf/e0/route_localnet", "1"),),
)
_FROM_LOOPBACK = {
    "nat": ["-A OUTPUT -d 127.0.0.1/32 -p udp -j DNAT --to-destination 10.1.0.9", MASQUERADE],
    "filter": ["-A OUTPUT -o lo"],
}
outside(
    "V33",
    "a loopback source may not leave",
    _FROM_LOOPBACK,
    Seen(own("127.0.0.1", "127.0.0.1"), "EINVAL", hits="nat:OUT:1"),
)
outside(
    "V33 allowed",
    "with route_localnet it leaves masqueraded, and filter OUTPUT sees lo",
    _FROM_LOOPBACK,
    Seen(own("127.0.0.1", "127.0.0.1"), "e1 10.1.0.1:1>10.1.0.9:53", hits="nat:OUT:1 filter:OUT:1 nat:POST:1"),
    sysctls=(("net/ipv4/conf/all/route_localnet", "1"),),
)
