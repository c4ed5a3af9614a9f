"""Lines of traces: of the kernel log as nf_log_syslog.c writes them, of xtables-monitor 1.8.9 and nft 1.0.6 "
"as they printed."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.codec.tracelog import group_steps, parse_tracelog
from tortie.net.address import IPFamily, parse_address
from tortie.net.error import InvalidInput
from tortie.net.packet import Packet
from tortie.net.protocol import ICMP, ICMPV6, SCTP, TCP, UDP
from tortie.net.wire import format_packet
from tortie.netfilter.logged import LoggedPacket, LoggedStep, StepKind, TraceOrigin, logged_to_packet

V4, V6 = IPFamily.V4, IPFamily.V6
A, B = parse_address("10.0.0.5").value, parse_address("10.0.0.1").value
A6, B6 = parse_address("fd00::5").value, parse_address("fd00::1").value
OWN, OTHER = bytes.fromhex("0e702504c1a6"), bytes.fromhex("021122334455")

HEAD = "[123.456789] TRACE: filter:FORWARD:rule:3 IN=eth0 OUT=eth1 "
MAC = "MAC=0e:70:25:04:c1:a6:02:11:22:33:44:55:08:00 "
ENDS = "SRC=10.0.0.5 DST=10.0.0.1 "
ENDS6 = "SRC=fd00:0000:0000:0000:0000:0000:0000:0005 DST=fd00:0000:0000:0000:0000:0000:0000:0001 "
IP4 = "LEN={} TOS=0x00 PREC=0x00 TTL=64 ID=7 "
IP6 = "LEN={} TC=0 HOPLIMIT=64 FLOWLBL=0 "


def one(text: str) -> LoggedStep:
    (step,) = parse_tracelog(text)
    return step


def logged(**fields: Any) -> LoggedPacket:
    usual: dict[str, Any] = {"family": V4, "src": A, "dst": B, "ttl": 64, "tos": 0}
    if fields.get("family") is V6:
        usual |= {"src": A6, "dst": B6}
    return LoggedPacket(**(usual | fields))


def test_a_line_of_the_kernel_log() -> None:
    text = (
        HEAD
        + MAC
        + ENDS
        + IP4.format(60)
        + "DF PROTO=TCP SPT=40000 DPT=80 SEQ=1 ACK=0 WINDOW=64240 RES=0x00 SYN URGP=0 MARK=0x1"
    )
    packet = logged(
        length=60,
        identification=7,
        dont_fragment=True,
        proto=TCP,
        sport=40000,
        dport=80,
        tcp_flags=2,
        tcp_seq=1,
        tcp_ack=0,
        tcp_window=64240,
        in_iface="eth0",
        out_iface="eth1",
        mac_source=OTHER,
        mac_destination=OWN,
        mark=1,
    )
    assert one(text) == LoggedStep(
        TraceOrigin.KERNEL_LOG,
        1,
        V4,
        "filter",
        "FORWARD",
        StepKind.RULE,
        number=3,
        mark=1,
        packet=packet,
        time_s=123.456789,
    )


PLACES = {
    "dmesg": "[    5.000001] TRACE: raw:PREROUTING:policy:2 ",
    "dmesg with level": "<4>[    5.000001] TRACE: raw:PREROUTING:policy:2 ",
    "journal": "Nov 24 08:00:00 node kernel: TRACE: raw:PREROUTING:policy:2 ",
    "syslog with both": "2026-11-24T08:00:00+00:00 node kernel: [    5.000001] TRACE: raw:PREROUTING:policy:2 ",
    "nothing in front": "TRACE: raw:PREROUTING:policy:2 ",
}


@pytest.mark.parametrize("start", PLACES.values(), ids=PLACES.keys())
def test_where_lines_of_the_kernel_log_stand(start: str) -> None:
    step = one(f"{start}IN=eth0 OUT= {ENDS}{IP4.format(28)}PROTO=UDP SPT=1 DPT=2 LEN=8 \n")
    assert (step.table, step.chain, step.kind, step.number, step.mark) == ("raw", "PREROUTING", StepKind.POLICY, 2, 0)
    assert step.time_s == (5.000001 if "[" in start else None)


def test_a_chain_may_have_any_name() -> None:
    step = one(f"TRACE: nat:a:rule:b:return:5 IN= OUT=e0 {ENDS}{IP4.format(28)}PROTO=UDP SPT=1 DPT=2 LEN=8 ")
    assert (step.table, step.chain, step.kind, step.number) == ("nat", "a:rule:b", StepKind.RETURN, 5)


PACKETS: dict[str, tuple[str, LoggedPacket]] = {
    "udp": (
        ENDS + IP4.format(33) + "PROTO=UDP SPT=53 DPT=65535 LEN=13 ",
        logged(length=33, identification=7, proto=UDP, sport=53, dport=65535),
    ),
    "tos in two parts": (
        ENDS + "LEN=28 TOS=0x08 PREC=0xA0 TTL=1 ID=0 CE PROTO=2 ",
        logged(length=28, identification=0, proto=2, tos=0xAB, ttl=1),
    ),
    "tcp with options and flags": (
        ENDS + IP4.format(44) + "PROTO=TCP SPT=1 DPT=2 SEQ=5 ACK=6 WINDOW=7 RES=0x00 CWR ECE URG ACK PSH RST SYN "
        "FIN URGP=0 OPT (020405B4) ",
        logged(
            length=44,
            identification=7,
            proto=TCP,
            sport=1,
            dport=2,
            tcp_flags=255,
            tcp_seq=5,
            tcp_ack=6,
            tcp_window=7,
            tcp_options=bytes.fromhex("020405b4"),
        ),
    ),
    "ip options": (
        ENDS + IP4.format(32) + "OPT (94040000) PROTO=UDP SPT=1 DPT=2 LEN=8 ",
        logged(length=32, identification=7, proto=UDP, sport=1, dport=2, options=bytes.fromhex("94040000")),
    ),
    "icmp query, whose id is not the packet's": (
        ENDS + IP4.format(84) + "DF PROTO=ICMP TYPE=8 CODE=0 ID=5 SEQ=6 ",
        logged(
            length=84,
            identification=7,
            dont_fragment=True,
            proto=ICMP,
            icmp_type=8,
            icmp_code=0,
            icmp_rest=5 << 16 | 6,
        ),
    ),
    "icmp error": (
        ENDS + IP4.format(56) + "PROTO=ICMP TYPE=3 CODE=4 [SRC=10.0.0.1 DST=10.0.0.5 LEN=1500 TOS=0x00 PREC=0x00 TTL=63 "
        "ID=9 DF PROTO=TCP INCOMPLETE [8 bytes] ] MTU=1400 ",
        logged(
            length=56,
            identification=7,
            proto=ICMP,
            icmp_type=3,
            icmp_code=4,
            icmp_rest=1400,
            quoted=logged(
                src=B,
                dst=A,
                length=1500,
                ttl=63,
                identification=9,
                dont_fragment=True,
                proto=TCP,
            ),
        ),
    ),
    "icmp redirect": (
        ENDS + IP4.format(56) + "PROTO=ICMP TYPE=5 CODE=1 GATEWAY=10.0.0.9 [SRC=10.0.0.1 DST=10.0.0.5 LEN=28 TOS=0x00 "
        "PREC=0x00 TTL=63 ID=9 PROTO=UDP SPT=1 DPT=2 LEN=8 ] ",
        logged(
            length=56,
            identification=7,
            proto=ICMP,
            icmp_type=5,
            icmp_code=1,
            icmp_rest=0x0A000009,
            quoted=logged(src=B, dst=A, length=28, ttl=63, identification=9, proto=UDP, sport=1, dport=2),
        ),
    ),
    "icmp parameter problem": (
        ENDS + IP4.format(28) + "PROTO=ICMP TYPE=12 CODE=0 PARAMETER=5 ",
        logged(length=28, identification=7, proto=ICMP, icmp_type=12, icmp_code=0, icmp_rest=5 << 24),
    ),
    "first fragment": (
        ENDS + IP4.format(1500) + "MF PROTO=UDP SPT=1 DPT=2 LEN=2000 ",
        logged(length=1500, identification=7, more_fragments=True, proto=UDP, sport=1, dport=2),
    ),
    "later fragment": (
        ENDS + IP4.format(528) + "FRAG:185 PROTO=UDP ",
        logged(length=528, identification=7, fragment_offset=185, proto=UDP),
    ),
    "cut short": (
        ENDS + IP4.format(24) + "PROTO=TCP INCOMPLETE [4 bytes] ",
        logged(length=24, identification=7, proto=TCP),
    ),
    "esp": (ENDS + IP4.format(99) + "PROTO=ESP SPI=0x5 ", logged(length=99, identification=7, proto=50)),
    "local sender": (
        ENDS + IP4.format(28) + "PROTO=UDP SPT=1 DPT=2 LEN=8 UID=1000 GID=100 MARK=0xffffffff ",
        logged(
            length=28,
            identification=7,
            proto=UDP,
            sport=1,
            dport=2,
            uid=1000,
            gid=100,
            mark=0xFFFFFFFF,
        ),
    ),
    "ipv6 tcp": (
        ENDS6 + "LEN=60 TC=184 HOPLIMIT=5 FLOWLBL=703710 PROTO=TCP SPT=1 DPT=2 SEQ=5 ACK=6 WINDOW=7 RES=0x00 SYN URGP=0 ",
        logged(
            family=V6,
            length=60,
            tos=0xB8,
            ttl=5,
            flow_label=703710,
            proto=TCP,
            sport=1,
            dport=2,
            tcp_flags=2,
            tcp_seq=5,
            tcp_ack=6,
            tcp_window=7,
        ),
    ),
    "ipv6 extension headers": (
        ENDS6 + IP6.format(64) + "OPT ( HBH ) PROTO=UDP SPT=1 DPT=2 LEN=16 ",
        logged(family=V6, length=64, proto=UDP, sport=1, dport=2),
    ),
    "ipv6 later fragment": (
        ENDS6 + IP6.format(64) + "OPT ( ) FRAG:185 ID:deadbeef PROTO=UDP ",
        logged(family=V6, length=64, fragment_offset=185, identification=0xDEADBEEF, proto=UDP),
    ),
    "icmpv6": (
        ENDS6 + IP6.format(48) + "PROTO=ICMPv6 TYPE=128 CODE=0 ID=5 SEQ=6 ",
        logged(family=V6, length=48, proto=ICMPV6, icmp_type=128, icmp_code=0, icmp_rest=5 << 16 | 6),
    ),
}


@pytest.mark.parametrize(("text", "packet"), PACKETS.values(), ids=PACKETS.keys())
def test_packets_of_the_kernel_log(text: str, packet: LoggedPacket) -> None:
    assert one(f"TRACE: raw:OUTPUT:rule:1 IN= OUT= {text}").packet == packet


def test_bridge_ports_and_decoded_macs() -> None:
    devices = "IN=br0 OUT=br0 PHYSIN=a PHYSOUT=b MACSRC=02:11:22:33:44:55 MACDST=0e:70:25:04:c1:a6 MACPROTO=0800 "
    packet = one(f"TRACE: raw:PREROUTING:rule:1 {devices}{ENDS}{IP4.format(28)}PROTO=2 ").packet
    assert packet is not None
    assert (packet.in_iface, packet.out_iface, packet.phys_in, packet.phys_out) == ("br0", "br0", "a", "b")
    assert (packet.mac_source, packet.mac_destination) == (OTHER, OWN)


MONITOR = """\
PACKET: 2 c9193d2c IN=e0 MACSRC=2:11:22:33:44:55 MACDST=e:70:25:4:c1:a6 MACPROTO=0800 SRC=10.0.0.5 DST=10.0.0.1 LEN=47 \
TOS=0x2b TTL=64 ID=1 DF SPORT=5 DPORT=6 ACK FIN PSH MARK=0x7\x20
 TRACE: 2 c9193d2c raw:OUTPUT:rule:0x14:CONTINUE  -4 -t raw -A OUTPUT -j TRACE
 TRACE: 2 c9193d2c filter:OUTPUT:rule:0x5:JUMP:a:b  -4 -t filter -A OUTPUT -j a:b
 TRACE: 2 c9193d2c filter:a:b:rule:0x2:0xfffffffb  -4 -t filter -A a:b -m comment --comment "say \\"hi\\"" -j RETURN
 TRACE: 2 c9193d2c filter:OUTPUT:policy:DROP\x20
"""


def test_steps_of_xtables_monitor() -> None:
    steps = parse_tracelog(MONITOR)
    assert [(step.line, step.table, step.chain, step.kind.value, step.handle, step.verdict) for step in steps] == [
        (2, "raw", "OUTPUT", "rule", 0x14, "CONTINUE"),
        (3, "filter", "OUTPUT", "rule", 5, "JUMP:a:b"),
        (4, "filter", "a:b", "rule", 2, "RETURN"),
        (5, "filter", "OUTPUT", "policy", None, "DROP"),
    ]
    assert [step.rule for step in steps] == [
        "-A OUTPUT -j TRACE",
        "-A OUTPUT -j a:b",
        '-A a:b -m comment --comment "say \\"hi\\"" -j RETURN',
        None,
    ]
    assert {(step.trace_id, step.mark, step.origin) for step in steps} == {("c9193d2c", 7, TraceOrigin.XTABLES_MONITOR)}
    assert steps[0].packet == logged(
        length=47,
        tos=0x2B,
        identification=1,
        dont_fragment=True,
        proto=TCP,
        sport=5,
        dport=6,
        tcp_flags=0x19,
        in_iface="e0",
        mac_source=OTHER,
        mac_destination=OWN,
        mark=7,
    )


def test_xtables_monitor_tells_ports_without_a_protocol() -> None:
    text = "PACKET: 2 0000000a OUT=e0 SRC=10.0.0.5 DST=10.0.0.1 LEN=33 TOS=0x0 TTL=64 ID=1 SPORT=5 DPORT=53 \n"
    packet = parse_tracelog(text + " TRACE: 2 0000000a raw:OUTPUT:policy:ACCEPT \n")[0].packet
    assert packet == logged(length=33, identification=1, sport=5, dport=53, out_iface="e0")


def test_a_step_before_its_packet_has_none() -> None:
    step = one(" TRACE: 10 0000000a raw:OUTPUT:policy:ACCEPT \n")
    assert (step.family, step.packet, step.mark) == (V6, None, None)


NFT_PACKET = (
    'trace id c9193d2c ip raw OUTPUT packet: oif "e0" ip saddr 10.0.0.5 ip daddr 10.0.0.1 ip dscp cs0 ip ecn not-ect '
)
NFT = (
    NFT_PACKET
    + """ip ttl 64 ip id 7 ip length 33 udp sport 44822 udp dport 53 udp length 13 @th,64,40 0x68656c6c6f\x20
trace id c9193d2c ip raw OUTPUT rule counter packets 0 bytes 0 meta mark set 0x7 (verdict continue)
trace id c9193d2c ip raw OUTPUT policy accept meta mark 0x00000007\x20
trace id c9193d2c ip filter OUTPUT rule counter packets 0 bytes 0 jump a:b (verdict jump a:b)
trace id c9193d2c ip filter a:b verdict continue meta mark 0x00000007\x20
trace id c9193d2c ip filter OUTPUT policy drop\x20
"""
)


def test_steps_of_nft() -> None:
    steps = parse_tracelog(NFT)
    assert [(step.line, step.table, step.chain, step.kind.value, step.verdict, step.mark) for step in steps] == [
        (2, "raw", "OUTPUT", "rule", "CONTINUE", None),
        (3, "raw", "OUTPUT", "policy", "ACCEPT", 7),
        (4, "filter", "OUTPUT", "rule", "JUMP:a:b", None),
        (5, "filter", "a:b", "return", "CONTINUE", 7),
        (6, "filter", "OUTPUT", "policy", "DROP", None),
    ]
    assert [step.rule for step in steps[:3]] == [
        "counter packets 0 bytes 0 meta mark set 0x7",
        None,
        "counter packets 0 bytes 0 jump a:b",
    ]
    packet = logged(length=33, identification=7, proto=UDP, sport=44822, dport=53, out_iface="e0")
    assert [step.packet for step in steps] == [packet] * 5


NFT_PACKETS: dict[str, tuple[str, dict[str, Any]]] = {
    "arriving tcp": (
        'iif "e0" ether saddr 02:11:22:33:44:55 ether daddr 0e:70:25:04:c1:a6 ip saddr 10.0.0.5 ip daddr 10.0.0.1 ip dscp '
        "af11 ip ecn ce ip ttl 64 ip id 1 ip length 47 tcp sport 5 tcp dport 6 tcp flags == 0x19 tcp window 8192",
        {
            "length": 47,
            "tos": 0x2B,
            "identification": 1,
            "proto": TCP,
            "sport": 5,
            "dport": 6,
            "tcp_flags": 0x19,
            "tcp_window": 8192,
            "in_iface": "e0",
            "mac_source": OTHER,
            "mac_destination": OWN,
        },
    ),
    "tcp flags by name": (
        "ip saddr 10.0.0.5 ip daddr 10.0.0.1 ip dscp cs0 ip ecn not-ect ip ttl 64 ip length 40 tcp sport 5 tcp dport 6 "
        "tcp flags == syn tcp window 1",
        {"length": 40, "proto": TCP, "sport": 5, "dport": 6, "tcp_flags": 2, "tcp_window": 1},
    ),
    "icmp": (
        "ip saddr 10.0.0.5 ip daddr 10.0.0.1 ip dscp 0x02 ip ecn ect0 ip ttl 64 ip length 29 icmp type echo-request "
        "icmp code net-unreachable icmp id 5 icmp sequence 6 @th,64,8 0x78",
        {"length": 29, "tos": 10, "proto": ICMP, "icmp_type": 8, "icmp_code": 0, "icmp_rest": 5 << 16 | 6},
    ),
    "icmpv6": (
        "ip6 saddr fd00::5 ip6 daddr fd00::1 ip6 dscp ef ip6 ecn not-ect ip6 hoplimit 64 ip6 flowlabel 9 ip6 length 8 "
        "icmpv6 type destination-unreachable icmpv6 code port-unreachable icmpv6 parameter-problem 327686",
        {
            "family": V6,
            "length": 48,
            "tos": 0xB8,
            "flow_label": 9,
            "proto": ICMPV6,
            "icmp_type": 1,
            "icmp_code": 4,
            "icmp_rest": 327686,
        },
    ),
    "sctp": (
        "ip saddr 10.0.0.5 ip daddr 10.0.0.1 ip dscp cs0 ip ecn not-ect ip ttl 64 ip length 36 sctp sport 1 sctp dport 2 "
        "sctp vtag 5",
        {"length": 36, "proto": SCTP, "sport": 1, "dport": 2},
    ),
    "gre": (
        "ip saddr 10.0.0.5 ip daddr 10.0.0.1 ip dscp cs0 ip ecn not-ect ip ttl 64 ip protocol gre ip length 36",
        {"length": 36, "proto": 47},
    ),
}


@pytest.mark.parametrize(("text", "fields"), NFT_PACKETS.values(), ids=NFT_PACKETS.keys())
def test_packets_of_nft(text: str, fields: dict[str, Any]) -> None:
    family = "ip6" if fields.get("family") is V6 else "ip"
    start = f"trace id 1 {family} raw PREROUTING"
    step = parse_tracelog(f"{start} packet: {text} \n{start} policy accept \n")[0]
    assert step.packet == logged(**fields)


def test_other_lines_are_skipped() -> None:
    text = "[1.0] eth0: link up\nPACKET: loss\n TRACE: of nothing\ntrace id x\n" + MONITOR
    assert len(parse_tracelog(text)) == 4


REFUSED = {
    "nothing": ("", "no TRACE line"),
    "another log": ("[1.0] eth0: link up\n", "no TRACE line"),
    "cut in the place": ("[1.0] TRACE: raw:PREROUTING:ru", "cut short"),
    "cut in the devices": ("[1.0] TRACE: raw:PREROUTING:rule:1 IN", "cut short"),
    "cut before the addresses": ("[1.0] TRACE: raw:PREROUTING:rule:1 IN=e0 OUT= SRC=10.0.0.5", "cut short"),
    "cut in an address": ("[1.0] TRACE: raw:PREROUTING:rule:1 IN=e0 OUT= SRC=10.0.0.5 DST=10.0", "not an IP address"),
    "families": ("[1.0] TRACE: raw:PREROUTING:rule:1 IN=e0 OUT= SRC=10.0.0.5 DST=fd00::1", "two families"),
    "number": (f"TRACE: raw:PREROUTING:rule:1 IN=e0 OUT= {ENDS}LEN=x", "LEN is a number"),
    "port": (f"TRACE: raw:PREROUTING:rule:1 IN=e0 OUT= {ENDS}{IP4.format(28)}PROTO=UDP SPT=65536", "SPT is a number"),
    "protocol": (f"TRACE: raw:PREROUTING:rule:1 IN=e0 OUT= {ENDS}{IP4.format(28)}PROTO=NEW", "unknown protocol"),
    "nft rule": ("trace id 1 ip raw PREROUTING rule counter packets 0", "without its verdict"),
    "nft packet": ("trace id 1 ip raw PREROUTING packet: ip saddr 10.0.0.5", "saddr and daddr"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        parse_tracelog(text, source="dmesg")
    assert caught.value.source == "dmesg"


def kernel_line(place: str, ident: int, *, src: str = "10.0.0.5", dst: str = "10.0.0.1", ttl: int = 64) -> str:
    head = f"TRACE: {place} IN=e0 OUT= SRC={src} DST={dst} LEN=28 TOS=0x00 PREC=0x00 TTL={ttl} ID={ident} "
    return head + "PROTO=UDP SPT=1 DPT=2 LEN=8 \n"


WAY = [
    ("raw:PREROUTING:policy:2", {}),
    ("mangle:PREROUTING:rule:1", {}),
    ("mangle:mine:rule:1", {}),
    ("mangle:mine:return:2", {}),
    ("mangle:PREROUTING:policy:2", {}),
    ("nat:PREROUTING:rule:1", {}),
    ("mangle:FORWARD:policy:1", {"dst": "10.9.9.9", "ttl": 63}),
    ("filter:FORWARD:rule:1", {"dst": "10.9.9.9", "ttl": 63}),
    ("mangle:POSTROUTING:policy:1", {"dst": "10.9.9.9", "ttl": 63}),
    ("nat:POSTROUTING:rule:4", {"dst": "10.9.9.9", "ttl": 63}),
]


def places(text: str) -> list[list[str]]:
    return [[f"{step.table}:{step.chain}" for step in group] for group in group_steps(parse_tracelog(text))]


def test_translated_steps_of_one_packet_stay_together() -> None:
    text = "".join(kernel_line(place, 7, **changes) for place, changes in WAY)  # type: ignore[arg-type]
    assert [len(group) for group in places(text)] == [len(WAY)]


def test_packets_that_two_processors_log_at_once_are_told_apart() -> None:
    text = "".join(
        kernel_line(place, ident, **changes)  # type: ignore[arg-type]
        for place, changes in WAY
        for ident in (7, 8)
    )
    assert [len(group) for group in places(text)] == [len(WAY), len(WAY)]


def test_the_same_headers_on_a_new_way_are_a_new_packet() -> None:
    text = "".join(kernel_line(place, 0, **changes) for place, changes in WAY * 2)  # type: ignore[arg-type]
    assert [len(group) for group in places(text)] == [len(WAY), len(WAY)]


def test_a_packet_of_one_chain_only_may_come_again() -> None:
    text = kernel_line("raw:PREROUTING:rule:1", 0) + kernel_line("raw:PREROUTING:policy:2", 0)
    assert places(text + text) == [["raw:PREROUTING"] * 2] * 2


def test_what_loops_through_lo_arrives_as_another_packet() -> None:
    text = "".join(
        kernel_line(place, 7) for place in ("raw:OUTPUT:policy:1", "filter:OUTPUT:policy:1", "nat:POSTROUTING:policy:1")
    )
    text += "".join(kernel_line(place, 7) for place in ("raw:PREROUTING:policy:1", "filter:INPUT:policy:1"))
    assert [len(group) for group in places(text)] == [3, 2]


def test_nf_tables_numbers_its_packets() -> None:
    other = NFT.replace("c9193d2c", "00000001")
    mixed = "\n".join(line for pair in zip(NFT.splitlines(), other.splitlines(), strict=True) for line in pair)
    assert [len(group) for group in places(mixed)] == [5, 5]


def monitor_lines(*places: str, device: str = "e0") -> str:
    return "".join(
        f"PACKET: 2 1feb9a77 IN={device} SRC=10.0.0.5 DST=10.0.0.1 LEN=28\n TRACE: 2 1feb9a77 {place} \n"
        for place in places
    )


FORWARDED = ("raw:PREROUTING:policy:ACCEPT", "filter:FORWARD:rule:0x4:JUMP:mine", "filter:mine:rule:0x5:ACCEPT")
REFUSED = ("raw:PREROUTING:rule:0x3:CONTINUE", "raw:PREROUTING:rule:0x4:DROP")
SENT = ("raw:OUTPUT:policy:ACCEPT", "nat:POSTROUTING:policy:ACCEPT")
ARRIVED = ("raw:PREROUTING:policy:ACCEPT", "filter:INPUT:policy:ACCEPT")


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        (monitor_lines(*FORWARDED) + monitor_lines(*FORWARDED), [3, 3]),
        (monitor_lines(*REFUSED) + monitor_lines(*REFUSED) + monitor_lines(*FORWARDED), [2, 2, 3]),
        (monitor_lines(*SENT) + monitor_lines(*SENT), [2, 2]),
        (monitor_lines(*SENT, device="") + monitor_lines(*ARRIVED, device="lo"), [4]),
        (monitor_lines(*SENT, device="") + monitor_lines(*ARRIVED, device="lo") * 2, [4, 2]),
        (monitor_lines(*SENT, device="") + monitor_lines(*ARRIVED), [2, 2]),
        (monitor_lines("mine:forward:policy:ACCEPT", "other:forward:policy:ACCEPT"), [2]),
    ],
    ids=[
        "after one that went on",
        "after dropped ones",
        "sent",
        "by lo",
        "by lo, twice",
        "sent, arrived",
        "nft's own chains",
    ],
)
def test_nf_tables_gives_a_number_again(text: str, lengths: list[int]) -> None:
    assert [len(group) for group in places(text)] == lengths


def packet_of(text: str) -> Packet | None:
    found = one(f"TRACE: raw:OUTPUT:rule:1 IN= OUT= {text}").packet
    assert found is not None
    return logged_to_packet(found)


@pytest.mark.parametrize("name", [name for name in PACKETS if name not in ("cut short", "icmp error")])
def test_a_logged_packet_can_be_built_again(name: str) -> None:
    text, _ = PACKETS[name]
    packet = packet_of(text)
    assert packet is not None
    assert f"LEN={packet.length} " in text or name == "ipv6 later fragment"
    assert len(format_packet(packet)) == packet.length


def test_an_icmp_error_quotes_what_was_logged() -> None:
    packet = packet_of(PACKETS["icmp redirect"][0])
    assert packet is not None
    quoted = Packet(V4, B, A, UDP, sport=1, dport=2, ttl=63, identification=9)
    assert packet.payload == format_packet(quoted)


UNKNOWN = {
    "no protocol": logged(length=28),
    "no length": logged(proto=UDP, sport=1, dport=2),
    "no ports": logged(length=28, proto=UDP),
    "no icmp type": logged(length=28, proto=ICMP),
    "an extension header": logged(family=V6, length=48, proto=60),
}


@pytest.mark.parametrize("packet", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_what_was_not_logged_is_not_made_up(packet: LoggedPacket) -> None:
    assert logged_to_packet(packet) is None
