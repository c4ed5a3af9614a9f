"""Lines of the connection table, as conntrack 1.4.7 and Linux 6.18 printed them."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.codec.conntrack import parse_conntrack
from tortie.net.address import parse_address
from tortie.net.error import InvalidInput
from tortie.netfilter.conntrack import ConnEntry, ConnTuple


def ends(src: str, dst: str, proto: int, src_key: int = 0, dst_key: int = 0) -> ConnTuple:
    a, b = parse_address(src), parse_address(dst)
    return ConnTuple(a.family, proto, a.value, b.value, src_key, dst_key)


A, B, A6, B6 = "10.0.0.5", "10.1.0.9", "fd00::5", "fd00::6"
TUPLES = "src=10.0.0.5 dst=10.1.0.9 sport=5 dport=80 {}src=10.1.0.9 dst=10.0.0.5 sport=80 dport=5"
TCP = {"original": ends(A, B, 6, 5, 80), "reply": ends(B, A, 6, 80, 5)}
LINES: dict[str, tuple[str, dict[str, Any]]] = {
    "established tcp": (
        f"tcp      6 431999 ESTABLISHED {TUPLES.format('')} [ASSURED] mark=7 use=1",
        TCP | {"state": "ESTABLISHED", "timeout_s": 431999, "seen_reply": True, "assured": True, "mark": 7, "use": 1},
    ),
    "first packet of tcp, translated, in a zone": (
        "tcp      6 999 SYN_SENT src=10.0.0.5 dst=10.1.0.9 sport=6 dport=80 packets=0 bytes=0 [UNREPLIED] src=10.1.0.9 "
        "dst=10.0.0.77 sport=80 dport=99 packets=0 bytes=0 mark=0 zone=5 delta-time=0 use=1",
        {
            "original": ends(A, B, 6, 6, 80), "reply": ends(B, "10.0.0.77", 6, 80, 99), "state": "SYN_SENT",
            "timeout_s": 999, "zone_original": 5, "zone_reply": 5, "packets": (0, 0), "bytes": (0, 0), "use": 1,
        },
    ),
    "counters of both directions": (
        "udp      17 29 src=10.0.0.5 dst=10.1.0.9 sport=5 dport=80 packets=3 bytes=400 src=10.1.0.9 dst=10.0.0.5 sport=80 "
        "dport=5 packets=1 bytes=90 mark=0 use=1",
        {
            "original": ends(A, B, 17, 5, 80), "reply": ends(B, A, 17, 80, 5), "timeout_s": 29, "seen_reply": True,
            "packets": (3, 1), "bytes": (400, 90), "use": 1,
        },
    ),
    "zone of the original direction": (
        f"tcp 6 9 CLOSE {TUPLES.format('zone-orig=7 [UNREPLIED] ')} mark=0 use=1",
        TCP | {"state": "CLOSE", "timeout_s": 9, "zone_original": 7, "use": 1},
    ),
    "zone of the reply direction": (
        f"tcp 6 9 CLOSE {TUPLES.format('[UNREPLIED] ')} zone-reply=8 mark=0 use=1",
        TCP | {"state": "CLOSE", "timeout_s": 9, "zone_reply": 8, "use": 1},
    ),
    "older name of a tcp state": (
        f"tcp 6 9 LISTEN {TUPLES.format('')} mark=0 use=1",
        TCP | {"state": "SYN_SENT2", "timeout_s": 9, "seen_reply": True, "use": 1},
    ),
    "helper, id, labels and what else options add": (
        f"tcp 6 9 CLOSE {TUPLES.format('[UNREPLIED] ')} mark=0 secctx=a:b:c zone=1 delta-time=7 "
        "[start=Tue Nov 24 08:35:40 2026] helper=ftp use=2 labels=one,two id=85830929",
        TCP
        | {
            "state": "CLOSE", "timeout_s": 9, "zone_original": 1, "zone_reply": 1, "helper": "ftp", "use": 2,
            "labels": "one,two", "id": 85830929,
        },
    ),
    "icmp": (
        "icmp     1 29 src=10.0.0.5 dst=10.1.0.9 type=8 code=0 id=77 [UNREPLIED] src=10.1.0.9 dst=10.0.0.5 "
        "type=0 code=0 id=77 "
        "mark=0 use=1 id=4",
        {"original": ends(A, B, 1, 77, 0x800), "reply": ends(B, A, 1, 77, 0), "timeout_s": 29, "use": 1, "id": 4},
    ),
    "icmpv6 from /proc": (
        "ipv6     10 icmpv6   58 999 src=fd00:0000:0000:0000:0000:0000:0000:0005 "
        "dst=fd00:0000:0000:0000:0000:0000:0000:0006 "
        "type=128 code=0 id=77 [UNREPLIED] src=fd00:0000:0000:0000:0000:0000:0000:0006 "
        "dst=fd00:0000:0000:0000:0000:0000:0000:0005 type=129 code=0 id=77 mark=0 zone=0 use=2",
        {"original": ends(A6, B6, 58, 77, 0x8000), "reply": ends(B6, A6, 58, 77, 0x8100), "timeout_s": 999, "use": 2},
    ),
    "gre from /proc": (
        "ipv4     2 gre      47 999 timeout=0, stream_timeout=0 src=10.0.0.5 dst=10.1.0.9 srckey=0x5 "
        "dstkey=0x6 [UNREPLIED] "
        "src=10.1.0.9 dst=10.0.0.5 srckey=0x6 dstkey=0x5 mark=0 zone=0 use=2",
        {"original": ends(A, B, 47, 5, 6), "reply": ends(B, A, 47, 6, 5), "timeout_s": 999, "use": 2},
    ),
    "sctp": (
        "sctp     132 999 HEARTBEAT_SENT src=10.0.0.5 dst=10.1.0.9 sport=5 dport=6 src=10.1.0.9 dst=10.0.0.5 "
        "sport=6 dport=5 "
        "[ASSURED] mark=0 use=1",
        {
            "original": ends(A, B, 132, 5, 6), "reply": ends(B, A, 132, 6, 5), "state": "HEARTBEAT_SENT", "timeout_s": 999,
            "seen_reply": True, "assured": True, "use": 1,
        },
    ),
    "dccp": (
        "dccp     33 9 REQUEST src=10.0.0.5 dst=10.1.0.9 sport=5 dport=6 [UNREPLIED] src=10.1.0.9 dst=10.0.0.5 "
        "sport=6 dport=5 "
        "mark=0 use=1",
        {"original": ends(A, B, 33, 5, 6), "reply": ends(B, A, 33, 6, 5), "state": "REQUEST", "timeout_s": 9, "use": 1},
    ),
    "udplite, extended": (
        "ipv4     2 udplite  136 999 src=10.0.0.5 dst=10.1.0.9 sport=5 dport=6 [UNREPLIED] src=10.1.0.9 "
        "dst=10.0.0.5 sport=6 "
        "dport=5 mark=0 use=1",
        {"original": ends(A, B, 136, 5, 6), "reply": ends(B, A, 136, 6, 5), "timeout_s": 999, "use": 1},
    ),
    "protocol without a tracker": (
        "unknown  89 599 src=10.0.0.5 dst=10.1.0.9 [UNREPLIED] src=10.1.0.9 dst=10.0.0.5 mark=0 use=1",
        {"original": ends(A, B, 89), "reply": ends(B, A, 89), "timeout_s": 599, "use": 1},
    ),
    "protocol whose tracker this kernel lacks": (
        "ipv4     2 unknown  33 999 src=10.0.0.5 dst=10.1.0.9 [UNREPLIED] src=10.1.0.9 dst=10.0.0.5 mark=0 zone=0 use=2",
        {"original": ends(A, B, 33), "reply": ends(B, A, 33), "timeout_s": 999, "use": 2},
    ),
    "counters of a protocol without a tracker": (
        "unknown  89 599 src=10.0.0.5 dst=10.1.0.9 packets=3 bytes=4 [UNREPLIED] src=10.1.0.9 dst=10.0.0.5 "
        "packets=0 bytes=0 "
        "mark=0 use=1",
        {
            "original": ends(A, B, 89), "reply": ends(B, A, 89), "timeout_s": 599, "use": 1, "packets": (3, 0),
            "bytes": (4, 0),
        },
    ),
    "offloaded: neither timeout nor state": (
        f"ipv4     2 tcp      6 {TUPLES.format('')} [OFFLOAD] mark=0 zone=0 use=3",
        TCP | {"seen_reply": True, "assured": True, "offloaded": True, "use": 3},
    ),
    "offloaded to hardware": (
        f"ipv4     2 tcp      6 {TUPLES.format('')} [HW_OFFLOAD] mark=0 zone=0 use=3",
        TCP | {"seen_reply": True, "assured": True, "offloaded": True, "use": 3},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("line", "fields"), LINES.values(), ids=LINES.keys())
def test_one_connection(line: str, fields: dict[str, Any]) -> None:
    assert parse_conntrack(line) == (ConnEntry(**fields),)


def test_the_tool_remarks_and_blank_lines_are_no_connections() -> None:
    text = "conntrack v1.4.7 (conntrack-tools): 0 flow entries have been shown.\n\nnfct_labelmap_new: No such file\n"
    assert parse_conntrack(text) == ()


REFUSED = {
    "rules": ("-A INPUT -j ACCEPT", "name and number"),
    "only times": ("[start=Tue Nov 24]", "name and number"),
    "no reply tuple": ("udp 17 9 src=10.0.0.5 dst=10.1.0.9 sport=5 dport=80 mark=0", "src= and dst="),
    "ports missing": ("udp 17 9 src=10.0.0.5 dst=10.1.0.9 src=10.1.0.9 dst=10.0.0.5 use=1", "sport= dport="),
    "port too high": (f"tcp 6 9 CLOSE {TUPLES.format('').replace('dport=80', 'dport=65536')}", "at most 65535"),
    "port of letters": (f"tcp 6 9 CLOSE {TUPLES.format('').replace('dport=80', 'dport=http')}", "wants a number"),
    "host name": (f"tcp 6 9 CLOSE {TUPLES.format('').replace('10.0.0.5', 'host')}", "not an IP address"),
    "two families": (f"tcp 6 9 CLOSE {TUPLES.format('').replace('10.0.0.5', 'fd00::5')}", "two families"),
    "an event of the past": (f"[DESTROY] tcp 6 {TUPLES.format('')}", "name and number"),
}


@pytest.mark.parametrize(("line", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_its_line(line: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        parse_conntrack(f"\n{line}\n", source="conntrack")
    assert (caught.value.source, caught.value.line) == ("conntrack", 2)
