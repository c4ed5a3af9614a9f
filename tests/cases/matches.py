"""Rules and packets for `tests.cases.match_case`: every match and every target that lets the rules go on.

Where a rule may drop a packet it stands alone, before a rule that every other packet reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from tests.cases.match_case import LEGACY, NFT, Case
from tortie.net.address import IPFamily, format_address, parse_address
from tortie.net.packet import Packet
from tortie.net.wire import fragment_header
from tortie.netfilter.hook import Hook

V4, V6 = IPFamily.V4, IPFamily.V6


def _address(text: str) -> int:
    return parse_address(text).value


def v4(src: str = "10.0.0.5", dst: str = "10.1.0.9", *, proto: int = 17, **fields: Any) -> Packet:
    """An IPv4 packet from behind e0 to behind e1, UDP unless said."""
    return Packet(V4, _address(src), _address(dst), proto, **fields)


def v6(src: str = "fd00::5", dst: str = "fd00:1::9", *, proto: int = 17, **fields: Any) -> Packet:
    """An IPv6 packet from behind e0 to behind e1, UDP unless said."""
    return Packet(V6, _address(src), _address(dst), proto, **fields)


def later(proto: int, offset: int, data: bytes, **fields: Any) -> Packet:
    """A later fragment of IPv4."""
    return v4(proto=proto, fragment_offset=offset, transport=data, **fields)


def later6(proto: int, offset: int, data: bytes) -> Packet:
    """A later fragment of IPv6."""
    header = fragment_header(proto, offset=offset, more=False, identification=7)
    return v6(proto=proto, fragment_offset=offset, transport=data, extensions=(header,), identification=7)


FIN, SYN, RST, PSH, ACK, ECE, CWR = 1, 2, 4, 8, 16, 64, 128
HBH = (0, bytes([6, 0, 5, 2, 0, 0, 1, 0]))
DST = (60, bytes([6, 0, 1, 4, 0, 0, 0, 0]))
ROUTE = (43, bytes([6, 2, 0, 1, 0, 0, 0, 0]) + _address("fd00:1::77").to_bytes(16, "big"))
AUTH = (51, bytes([6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]) + bytes(12))
SEGMENTS = (
    43,
    bytes([6, 4, 4, 1, 1, 0, 0, 9]) + b"".join(_address(one).to_bytes(16, "big") for one in ("fd00:1::9", "fd00:2::9")),
)
WIDE = (
    v4(sport=1, dport=53), v4(proto=6, dport=80, tcp_flags=SYN), v4(proto=1, icmp_type=8), v4(proto=1, icmp_type=3,
    icmp_code=4),
    later(17, 3, b"\0\1\0\x35aaaaaaaaaa"), later(6, 3, b"\0\1\0\x50aaaaaaaaaa"), v4(proto=89, transport=b"x" * 8),
    v4(proto=132, dport=9, payload=bytes([1, 0, 0, 4])), v4(proto=136, dport=9), v4(proto=33, dport=9),
)  # fmt: skip
"""One packet of most kinds."""
WIDE6 = (
    v6(sport=1, dport=53), v6(proto=6, dport=80, tcp_flags=SYN), v6(proto=58, icmp_type=128),
    v6(proto=6, dport=80, extensions=(HBH,)), v6(proto=6, dport=80, extensions=(DST,)),
    v6(proto=6, dport=80, extensions=(ROUTE,)), v6(proto=6, dport=80, extensions=(SEGMENTS,)),
    v6(
        proto=6, dport=80, more_fragments=True, identification=7,
        extensions=(fragment_header(6, offset=0, more=True, identification=7),),
    ),
    later6(6, 3, b"\0\1\0\x50" + bytes(20)), v6(proto=59, transport=b""), v6(proto=50, transport=bytes([0, 0, 0, 5, 0,
    0, 0, 0])),
    v6(proto=135, transport=bytes([59, 0, 5, 0, 0, 0, 0, 0])), v6(proto=6, dport=80, extensions=(HBH, DST, ROUTE)),
    v6(proto=1, transport=bytes(8)), v6(proto=17, dport=53, extensions=((60, bytes([17, 0, 0, 0, 0, 0, 0, 0])),)),
    v6(proto=6, dport=80, extensions=(AUTH,)), v6(proto=6, dport=80, extensions=(AUTH, DST)),
)  # fmt: skip
CUT6 = {
    "options": v6(proto=60, transport=bytes([6, 9, 0, 0, 0, 0, 0, 0])),
    "options, one byte": v6(proto=60, transport=bytes([6])),
    "options, then routing": v6(proto=60, transport=bytes([43, 9, 0, 0, 0, 0, 0, 0])),
    "first fragment": v6(proto=44, transport=bytes([6, 0, 0, 0])),
    "later fragment": v6(proto=44, transport=bytes([6, 0, 0, 0x10])),
    "fragment, three bytes": v6(proto=44, transport=bytes([6, 0, 0])),
    "routing": v6(proto=43, transport=bytes([6, 2, 4, 0])),
    "AH": v6(proto=51, transport=bytes([6, 4, 0, 0, 0, 0, 0, 1])),
    "options, then nothing": v6(proto=60, transport=bytes([59, 1, 0, 0, 0, 0, 0, 0])),
    "later fragment of options": later6(60, 2, bytes(24)),
}
"""Chains of extension headers that end in the middle of one."""


# --- cases -------------------------------------------------------------------------------------------------------

CASES: list[Case] = []


def case(name: str, rules: Sequence[str], packets: Sequence[Packet | tuple[str, Packet]], **fields: Any) -> None:
    """Adds a case."""
    CASES.append(Case(name, tuple(rules), tuple(packets), **fields))


def each(name: str, rules: Sequence[str], packet: Packet, **fields: Any) -> None:
    """A case in which every rule sees a packet of its own, because a rule may drop it: told apart by their sources."""
    base = packet.src & ~0xFF | 100
    sources = range(base, base + len(rules))
    named = [f"-s {format_address(packet.family, source)} {rule}" for source, rule in zip(sources, rules, strict=True)]
    case(name, [*named, "-m comment --comment after"], [replace(packet, src=source) for source in sources], **fields)


case(
    "header",
    [
        "-s 10.0.0.5", "! -s 10.0.0.5", "-s 10.0.0.0/24", "-s 0.0.0.5/0.0.0.255", "-d 10.1.0.0/16", "! -d 10.1.0.8/29",
        "-i e0",
        "-i e+", "-i e1", "! -i e0", "-i +", "-p udp", "! -p tcp", "-p 89", "-f", "! -f", "-p tcp -f",
    ],
    WIDE,
)  # fmt: skip
case(
    "devices in FORWARD",
    ["-i e0", "-o e1", "! -o e1", "-o e+", "-i e0 -o e0"],
    [v4(), later(17, 2, b"abcd")],
    hook=Hook.FORWARD,
)
case("nothing is excluded", ["! -s 0.0.0.0/0", "! -d 0.0.0.0/0", "! -i +"], WIDE[:2], backends=(LEGACY,))
case(
    "tcp",
    [
        "-p tcp -m tcp --dport 80", "-p tcp -m tcp ! --dport 80", "-p tcp -m tcp --sport 0:100",
        "-p tcp -m tcp --tcp-flags SYN,ACK SYN", "-p tcp --syn", "-p tcp -m tcp ! --tcp-flags SYN SYN",
        "-p tcp -m tcp --tcp-flags NONE NONE", "-p tcp -m tcp --tcp-flags SYN ACK",
        "-p tcp -m tcp --sport 0 --dport 80 --tcp-flags ALL SYN",
    ],
    WIDE,
)  # fmt: skip
for size in (0, 3, 4, 13, 14, 19, 20):
    each(
        f"tcp of {size} bytes",
        [
            "-p tcp -m tcp --dport 80", "-p tcp -m tcp ! --dport 80", "-p tcp -m tcp --sport 0",
            "-p tcp -m tcp --tcp-flags SYN SYN",
            "-p tcp -m tcp", "-p tcp -m multiport --ports 0",
        ],
        v4(proto=6, transport=bytes(size)),
    )  # fmt: skip
each(
    "tcp fragment of 8 bytes",
    ["-p tcp -m tcp --dport 80", "-p tcp", "-p tcp -m multiport --ports 0"],
    later(6, 1, bytes(20)),
)
each("tcp fragment of 8 bytes, IPv6", ["-p tcp -m tcp --dport 80", "-p tcp"], later6(6, 1, bytes(20)), family=V6)
for size in (0, 3, 4, 7):
    each(
        f"udp of {size} bytes",
        [
            "-p udp -m udp --dport 80", "-p udp -m udp ! --dport 80", "-p udp -m udp --sport 0", "-p udp -m udp",
            "-p udp -m multiport ! --ports 0",
        ],
        v4(transport=bytes(size)),
    )  # fmt: skip
    each(
        f"icmp of {size} bytes",
        ["-p icmp -m icmp --icmp-type 0", "-p icmp -m icmp ! --icmp-type 0"],
        v4(proto=1, transport=bytes(size)),
    )
case(
    "udp",
    [
        "-p udp -m udp --dport 53", "-p udp -m udp ! --dport 53", "-p udp -m udp --sport 1:2 --dport 50:60",
        "-p udp -m udp",
        "-p udp -m multiport --dports 53,1000:2000", "-p udp -m multiport ! --sports 1", "-p udp -m multiport --ports 1,2",
    ],
    WIDE,
)  # fmt: skip
case(
    "icmp",
    [
        "-p icmp -m icmp --icmp-type 8", "-p icmp -m icmp ! --icmp-type 8", "-p icmp -m icmp --icmp-type any",
        "-p icmp -m icmp ! --icmp-type any", "-p icmp -m icmp --icmp-type 3/4", "-p icmp -m icmp ! --icmp-type 3/3",
    ],
    WIDE,
)  # fmt: skip
case(
    "sctp and dccp",
    [
        "-p sctp -m sctp --dport 9", "-p sctp -m sctp --chunk-types any INIT", "-p sctp -m sctp ! --chunk-types only INIT",
        "-p sctp -m sctp --chunk-types all INIT,DATA", "-p sctp -m sctp --chunk-types any DATA:Be",
        "-p dccp -m dccp --dport 9", "-p dccp -m dccp --dccp-types REQUEST,DATA", "-p dccp -m dccp --dccp-option 2",
        "-p dccp -m dccp ! --dccp-types DATA,INVALID",
    ],
    [
        v4(proto=132, dport=9, payload=bytes([1, 0, 0, 4])), v4(proto=132, dport=9, payload=bytes([0, 2, 0, 4, 1, 0, 0,
        4])),
        v4(proto=132, payload=bytes([0, 3, 0, 5, 9, 0, 0, 0, 1, 0, 0, 4])),
        v4(proto=33, dport=9, dccp_header=bytes([4, 0, 0, 0, 0, 0]), payload=bytes(4)),
        v4(proto=33, dport=9, dccp_header=bytes([5, 0, 4, 0, 0, 0]), payload=bytes([2, 3, 0, 0, 2, 3, 0, 0])),
        v4(proto=33, dport=9, dccp_header=bytes([7, 0, 30, 0, 0, 0]), payload=bytes(16)),
    ],
)  # fmt: skip
each(
    "sctp without a chunk", ["-p sctp -m sctp --chunk-types any INIT", "-p sctp -m sctp --dport 9"], v4(proto=132, dport=9)
)
each(
    "dccp that lies about its length",
    ["-p dccp -m dccp --dccp-option 2", "-p dccp -m dccp --dport 9"],
    v4(proto=33, dport=9),
)
case(
    "tcp options",
    [
        "-p tcp -m tcp --tcp-option 2", "-p tcp -m tcp ! --tcp-option 8", "-p tcp -m tcpmss --mss 1000:1500",
        "-p tcp -m tcpmss ! --mss 5",
    ],
    [
        v4(proto=6, tcp_flags=SYN, tcp_options=options)
        for options in (
            b"", b"\2\4\5\xb4", b"\1\1\1\0", b"\x08\x0a" + bytes(8) + b"\1\1", b"\2\0\2\4\5\xb4\1\1", b"\2\3\1\1",
            b"\1\1\2\4",
        )
    ],
)  # fmt: skip
each("tcp data offset beyond the packet", ["-p tcp -m tcpmss --mss 5", "-p tcp -m tcp --tcp-option 2",
    "-p tcp -m tcp --dport 0"],
     v4(proto=6, transport=bytes(12) + b"\xf0" + bytes(7)))  # fmt: skip
each(
    "tcpmss reads a later fragment",
    ["-p tcp -m tcpmss --mss 5", "-p tcp -m tcpmss ! --mss 5"],
    later(6, 2, bytes(12) + b"\x60" + bytes(7) + b"\2\4\0\5"),
)
case(
    "numbers of the header",
    [
        "-m length --length 28", "-m length ! --length 28:40", "-m ttl --ttl-eq 64", "-m ttl ! --ttl-eq 64",
        "-m ttl --ttl-lt 64",
        "-m ttl --ttl-gt 63", "-m tos --tos 0x10/0xff", "-m tos ! --tos 0x10/0x10", "-m dscp --dscp 0x04",
        "-m ecn --ecn-ip-ect 1",
        "-m ecn ! --ecn-ip-ect 0", "-p tcp -m ecn --ecn-tcp-ece", "-p tcp -m ecn ! --ecn-tcp-cwr",
        "-m iprange --src-range 10.0.0.1-10.0.0.9",
        "-m iprange ! --dst-range 10.1.0.9-10.1.0.10 --src-range 10.0.0.5-10.0.0.5",
        "-m iprange --src-range 10.0.0.9-10.0.0.1", "-m iprange ! --src-range 10.0.0.9-10.0.0.1",
    ],
    [
        *WIDE, v4(ttl=2), v4(tos=0x11), v4(proto=6, tcp_flags=SYN | ECE), v4(proto=6, tcp_flags=CWR),
        later(6, 2, bytes(13) + b"\xff" + bytes(6)),
    ],
)  # fmt: skip
case(
    "frame and devices",
    [
        "-m pkttype --pkt-type unicast", "-m pkttype ! --pkt-type broadcast", "-m mac --mac-source 00:11:22:33:44:55",
        "-m mac ! --mac-source 00:11:22:33:44:55", "-m devgroup --src-group 0", "-m devgroup ! --src-group 1/1",
        "-m physdev --physdev-in e0", "-m physdev ! --physdev-in e0", "-m physdev ! --physdev-is-in",
    ],
    [v4()],
)  # fmt: skip
case(
    "header, IPv6",
    [
        "-s fd00::/64", "! -s fd00::5", "-d fd00:1::9/ffff:ffff::9", "-p tcp", "! -p tcp", "-p udp", "-p ipv6-icmp",
        "-p icmp",
        "-p ipv6-nonxt", "-p esp", "-p ah", "-m length --length 48", "-m length ! --length 40:60", "-m hl --hl-eq 64",
        "-m hl --hl-lt 64", "-p tcp -m tcp --dport 80", "-p tcp -m tcp ! --dport 80", "-p udp -m udp --dport 53",
        "-p tcp -m multiport --dports 80", "-p ipv6-icmp -m icmp6 --icmpv6-type 128",
        "-p ipv6-icmp -m icmp6 ! --icmpv6-type 128",
    ],
    WIDE6,
    family=V6,
)  # fmt: skip
case(
    "extension headers",
    [
        "-m frag --fragid 7", "-m frag ! --fragid 7", "-m frag --fragfirst", "-m frag --fragmore", "-m frag --fraglast",
        "-m frag --fragres", "-m hbh --hbh-len 8", "-m hbh --hbh-opts 5:2", "-m hbh --hbh-opts 5,1",
        "-m hbh --hbh-opts 5:2,1:0",
        "-m hbh ! --hbh-len 8", "-m dst --dst-len 8", "-m dst --dst-opts 1", "-m dst --dst-opts 1:4",
        "-m dst --dst-opts 1:3",
        "-m dst --dst-opts 1:4,0", "-m rt --rt-type 0", "-m rt ! --rt-type 0", "-m rt --rt-segsleft 1",
        "-m rt --rt-type 0 --rt-len 24",
        "-m rt --rt-type 0 --rt-0-res", "-m rt --rt-type 0 --rt-0-addrs fd00:1::77",
        "-m rt --rt-type 0 --rt-0-addrs fd00:1::78",
        "-m rt --rt-type 0 --rt-0-addrs fd00:1::77 --rt-0-not-strict", "-m ipv6header --header hop",
        "-m ipv6header --header hop,prot",
        "-m ipv6header --header hop --soft", "-m ipv6header ! --header prot", "-m ipv6header ! --header dst,hop --soft",
        "-m ipv6header --header none", "-m ipv6header --header frag,prot", "-m ah --ahspi 1", "-m ah ! --ahspi 1",
        "-m ah --ahlen 24",
        "-p mh -m mh --mh-type 5", "-p mh -m mh ! --mh-type 1:5", "-m srh", "-m srh --srh-next-hdr 6",
        "-m srh --srh-hdr-len-eq 4",
        "-m srh ! --srh-hdr-len-gt 3", "-m srh --srh-segs-left-eq 1", "-m srh --srh-last-entry-lt 2", "-m srh --srh-tag 9",
        "-m srh --srh-tag 2304", "-m srh --srh-psid fd00:2::/64", "-m srh --srh-nsid fd00:1::/64",
        "-m srh --srh-lsid fd00:1::9",
        "-m srh ! --srh-lsid fd00:1::9", "-m eui64", "-p esp -m esp --espspi 5", "-p esp -m esp ! --espspi 5:6",
    ],
    [*WIDE6, v6(proto=6, dport=80, extensions=(DST, HBH))],
    family=V6,
)  # fmt: skip
for what, packet in CUT6.items():
    each(
        f"cut {what}",
        [
            "-p tcp", "! -p tcp", "-p udp", "-p ah", "-p tcp -m tcp --dport 80", "-p tcp -m tcp ! --dport 80",
            "-m frag --fragid 0",
            "-m hbh --hbh-len 8", "-m dst --dst-len 80", "-m rt --rt-type 4", "-m ah --ahspi 1", "-m srh",
            "-m ipv6header --header dst",
            "-m ipv6header --header dst,prot", "-m ipv6header --header hop --soft", "-m ipv6header --header frag,prot",
        ],
        packet,
        family=V6,
    )  # fmt: skip
case("ah, IPv4", ["-p ah -m ah --ahspi 1", "-p ah -m ah ! --ahspi 1", "-p esp -m esp --espspi 0:9",
    "-p 108 -m ipcomp --ipcompspi 5"],
     [v4(proto=51, transport=AUTH[1]), v4(proto=50, transport=bytes([0, 0, 0, 5, 0, 0, 0, 0])), v4(proto=108,
     transport=bytes([6, 0, 0, 5])),
      later(50, 2, bytes(8))])  # fmt: skip
each("ah cut short", ["-p ah -m ah --ahspi 1"], v4(proto=51, transport=bytes(11)))
each("esp cut short", ["-p esp -m esp --espspi 1"], v4(proto=50, transport=bytes(7)))

TEXTS = [
    v4(payload=payload)
    for payload in (b"abcdNEEDLExyz", b"needle", b"zzzzNEEDLE..NEEDLE", b"", b"\xe0\xdf\xff")
] + [v4(proto=6, dport=80, payload=b"GET / HTTP/1.0")]  # fmt: skip
case(
    "string",
    [
        *(
            f"-m string --string NEEDLE --algo {algo} --from {start} --to {end}"
            for algo in ("bm", "kmp")
            for start, end in (
                (0, 65535), (32, 65535), (32, 38), (32, 37), (33, 65535), (28, 41), (0, 40), (0, 38), (31, 38), (45,
                65535), (100, 65535),
            )
        ),
        "-m string ! --string NEEDLE --algo kmp", "-m string --icase --string needle --algo bm",
        '-m string --hex-string "|c0bfdf|" --algo kmp --icase', "-m string --string G --algo bm --from 40 --to 41",
    ],
    TEXTS,
)  # fmt: skip
case(
    "u32",
    [
        f"-m u32 {u32}"
        for u32 in (
            '--u32 "0>>22&0x3C@0=0x50"', '--u32 "6&0xFF=17"', '--u32 "6&0xFF=6,17 && 4&0x1FFF=0"',
            '--u32 "0>>22&0x3C@12>>26&0x3C@0=0x47455420"', '! --u32 "100=0"', '--u32 "100=0"', '--u32 "2=0:0xffffffff"',
            '--u32 "24=0:0xffffffff"', '--u32 "25=0:0xffffffff"', '--u32 "0>>22&0x3C@20=0:0xffffffff"',
            '--u32 "8<<24=0x40000000:0x4fffffff"', '--u32 "12@0=0"',
        )
    ],
    [*TEXTS, v4(proto=6)],
)  # fmt: skip
case(
    "bpf",
    [
        f'-m bpf --bytecode "{code}"'
        for code in (
            "4,48 0 0 9,21 0 1 17,6 0 0 1,6 0 0 0", "4,40 0 0 22,21 0 1 80,6 0 0 65535,6 0 0 0", "2,32 0 0 100,6 0 0 1",
            "1,6 0 0 0",
            "2,128 0 0 0,22 0 0 0", "5,177 0 0 0,72 0 0 2,21 0 1 80,6 0 0 1,6 0 0 0",
            "4,40 0 0 4294963200,21 0 1 2048,6 0 0 1,6 0 0 0",
            "4,32 0 0 4294963220,21 0 1 0,6 0 0 1,6 0 0 0", "4,48 0 0 4293918729,21 0 1 17,6 0 0 1,6 0 0 0",
            "6,0 0 0 7,2 0 0 3,0 0 0 2,97 0 0 3,12 0 0 0,22 0 0 0", "6,1 0 0 0,0 0 0 7,60 0 0 0,6 0 0 1,6 0 0 1,6 0 0 1",
            "5,0 0 0 1,132 0 0 0,21 0 1 4294967295,22 0 0 0,6 0 0 0",
        )
    ],
    TEXTS,
)  # fmt: skip

ENDS = [
    v4(src=f"10.{src}", dst=f"10.{dst}", sport=5, dport=80, proto=proto)
    for src in ("0.0.5", "0.0.6", "9.9.9")
    for dst in ("1.0.9", "1.0.20")
    for proto in (6, 17)
]
PORTS = [
    v4(sport=5, dport=80), v4(proto=6, sport=80, dport=5), v4(proto=1, icmp_type=8), v4(proto=1, icmp_type=3, icmp_code=4),
    v4(proto=89, transport=b"x" * 8), v4(proto=132, sport=9, dport=80, payload=bytes([1, 0, 0, 4])), v4(proto=136,
    dport=80),
    v4(proto=33, dport=80), later(17, 3, bytes([0, 5, 0, 80]) * 4), later(89, 3, bytes(8)), v4(transport=bytes([0, 5, 0,
    80])),
    v4(proto=6, transport=bytes([0, 80, 0, 80]) * 4), v4(proto=6, transport=bytes([0, 80, 0, 80, *bytes(16)])),
    v4(proto=1, transport=bytes([8, 0, 0])), v4(proto=58, transport=bytes([128, 0, 0, 0, 0, 0, 0, 0])), v4(proto=47,
    transport=bytes(8)),
]  # fmt: skip


def members(head: str, *elements: str) -> str:
    """The commands that make a set."""
    name = head.split()[0]
    return f"create {head}\n" + "".join(f"add {name} {element}\n" for element in elements)


def asked(*flags: str) -> list[str]:
    """A rule for each way to ask."""
    return [f"-m set {'! ' if one.startswith('!') else ''}--match-set {one.lstrip('! ')}" for one in flags]


case(
    "hash:net",
    asked("s src", "! s src", "s dst", "s dst --return-nomatch", "! s src --return-nomatch", "s src,dst"),
    ENDS,
    sets=members("s hash:net", "10.0.0.0/8", "10.0.0.0/24 nomatch", "10.0.0.5", "10.1.0.0/16", "10.1.0.8/30 nomatch"),
)
case(
    "hash:ip",
    asked("s src", "s dst,src", "s src --return-nomatch", "n dst", "! n src"),
    ENDS,
    sets=members("s hash:ip", "10.0.0.5", "10.1.0.9") + members("n hash:ip netmask 24", "10.1.0.0"),
)
case(
    "hash:ip,port",
    asked("s dst,dst", "s dst,src", "s src,dst", "! s dst,dst", "s dst", "! s dst", "s dst,dst,dst"),
    PORTS,
    sets=members(
        "s hash:ip,port",
        *(f"10.1.0.9,{port}" for port in ("udp:80", "tcp:5", "icmp:echo-request", "icmp:3/4", "89:0", "sctp:80",
        "udplite:80", "33:0", "47:0", "tcp:81")),
    ),
)  # fmt: skip
case(
    "bitmaps",
    asked("p dst", "p src", "i src", "i dst", "j dst"),
    [*PORTS, *ENDS],
    sets=members("p bitmap:port range 0-100", "80")
    + members("i bitmap:ip range 10.0.0.0/24", "10.0.0.5")
    + members("j bitmap:ip range 10.1.0.0/16 netmask 24", "10.1.0.0"),
)
case(
    "sets of several parts",
    asked("s dst,dst", "s dst,dst --return-nomatch", "t dst,dst,src", "u dst,dst,src", "! u dst,dst,src"),
    [*PORTS, *ENDS],
    sets=members("s hash:net,port", "10.0.0.0/8,udp:80", "10.1.0.0/24,udp:80 nomatch", "10.1.0.9,tcp:80")
    + members("t hash:ip,port,ip", "10.1.0.9,udp:80,10.0.0.5")
    + members("u hash:ip,port,net", "10.1.0.9,udp:80,10.0.0.0/8", "10.1.0.9,udp:80,10.0.0.0/24 nomatch"),
)
DEVICES = [
    ("e0", v4()), ("e1", v4(src="10.1.0.9", dst="10.0.0.5")), ("e0", v4(src="10.9.9.9")), ("e1", v4(src="10.0.0.7",
    dst="10.0.0.6")),
    ("e0", v4(src="11.9.9.9")),
]  # fmt: skip
for name, elements in {
    "longest prefix first, then the device": ("10.0.0.0/24,e0", "10.0.0.0/8,e1", "10.1.0.0/16,e1",
    "10.9.0.0/16,e wildcard", "10.9.9.0/24,e1"),
    "nomatch and bridge ports": ("10.0.0.0/24,e1", "10.0.0.0/24,e0 nomatch", "10.0.0.0/8,e0", "0.0.0.0/0,e1",
    "10.1.0.9,physdev:e1"),
    "only the whole internet": ("0.0.0.0/0,e0",),
    "a plus is a letter": ("10.0.0.0/24,e0", "10.9.0.0/16,e+"),
}.items():  # fmt: skip
    for hook in (Hook.PREROUTING, Hook.FORWARD):
        case(
            f"hash:net,iface: {name} ({hook.value})",
            asked("s src,src", "! s src,src", "s src,dst", "s dst,dst", "s src,src --return-nomatch"),
            DEVICES,
            sets=members("s hash:net,iface", *elements),
            hook=hook,
        )
case(
    "counters of elements",
    asked(
        "s src --packets-eq 3", "s src --packets-eq 5", "s src --packets-gt 3",
        "s src ! --update-counters --packets-lt 100",
        "! s src --bytes-gt 1000", "c src --packets-eq 2", "d src --packets-gt 1000", "s src,src ! --packets-eq 9",
    ),
    [v4(), v4(), v4(src="10.0.0.6"), v4(), v4()],
    sets=members("s hash:ip counters", "10.0.0.5 packets 3 bytes 100")
    + members("c hash:net counters", "10.0.0.0/8 packets 0 bytes 0", "10.0.0.5 packets 9 bytes 0")
    + members("d hash:ip", "10.0.0.5"),
)  # fmt: skip
case(
    "counters that send the search on",
    asked("s src,src --packets-eq 2", "n src --packets-lt 5", "n src --packets-gt 5"),
    [v4()] * 4,
    sets=members("s hash:net,iface counters", "10.0.0.0/24,e0 packets 9 bytes 0", "10.0.0.0/8,e0 packets 0 bytes 0")
    + members("n hash:net counters", "10.0.0.0/24 packets 9 bytes 1 nomatch", "10.0.0.0/8 packets 2 bytes 1"),
)
case(
    "list:set",
    asked("l src", "l src,dst", "l src --return-nomatch", "l src --packets-gt 2", "b src --packets-gt 5", "! l dst"),
    [v4(src=f"10.0.0.{number}", dport=80) for number in (5, 6, 7, 8, 5, 5, 6, 6)],
    sets=members("a hash:ip", "10.0.0.5")
    + members("b hash:net counters", "10.0.0.0/8 packets 2 bytes 1", "10.0.0.6 nomatch packets 1 bytes 1")
    + members("p hash:ip,port", "10.0.0.7,udp:80")
    + members("l list:set size 8 counters", "a", "b", "p"),
)
case(
    "sets, IPv6",
    asked("s src", "s dst", "q dst,dst", "! q dst,dst", "q dst,src"),
    [
        v6(), v6(proto=6, dport=80), v6(proto=58, icmp_type=128), v6(proto=89, transport=b"abcd"), v6(proto=59,
        transport=b""),
        later6(6, 2, bytes(24)), later6(89, 2, bytes(24)), CUT6["options"], v6(proto=60, transport=bytes([89, 9, 0, 0,
        0, 0, 0, 0])),
    ],
    sets=members("s hash:net family inet6", "fd00::/16", "fd00:1::/64 nomatch")
    + members("q hash:ip,port family inet6", "fd00:1::9,tcp:80", "fd00:1::9,ipv6-icmp:128/0", "fd00:1::9,89:0"),
    family=V6,
)  # fmt: skip

# --- history -----------------------------------------------------------------------------------------------------

case(
    "statistic",
    [
        "-m statistic --mode random --probability 1", "-m statistic --mode random --probability 0",
        "-m statistic --mode random ! --probability 1", "-m statistic --mode nth --every 1 --packet 0",
        "-m statistic --mode nth --every 3 --packet 2", "-m statistic --mode nth --every 3 --packet 0",
        "-m statistic --mode nth ! --every 2 --packet 1",
    ],
    [v4()] * 8,
)  # fmt: skip
case("quota", ["-m quota --quota 60", "-m quota ! --quota 60", "-m quota --quota 27"], [v4(), v4(payload=b"12345"), v4()])
case(
    "recent",
    [
        "-m recent --name a --set", "-m recent ! --set --name a", "-m recent --name a --rcheck",
        "-m recent --name b --rcheck",
        "-m recent --name b ! --rcheck", "-m recent --name a --rcheck --hitcount 5",
        "-m recent --name a --update --hitcount 9",
        "-m recent --name c --set --rdest", "-m recent --name c --rcheck --rdest --seconds 100",
        "-m recent --name c --remove",
        "-m recent --name c --remove --rdest", "-m recent --name d --set --mask 255.255.255.0",
        "-m recent --name d --rcheck --mask 255.255.255.0",
    ],
    [v4(), v4(), v4(src="10.0.0.6"), v4(), v4()],
)  # fmt: skip
case("a test before one that fails remembers", ["-m recent --set --name q -m length --length 999",
    "-m length --length 998 -m recent --set --name w",
     "-m recent --rcheck --name q", "-m recent --rcheck --name w"], [v4(), v4()])  # fmt: skip
each("hashlimit by a port that is not there",
    ["-m hashlimit --hashlimit-upto 9/s --hashlimit-name x --hashlimit-mode srcport"],
     v4(transport=b"ab"))  # fmt: skip

# --- targets -----------------------------------------------------------------------------------------------------

OPTIONS = [
    options + b"\1" * (-len(options) % 4)
    for options in (
        b"", b"\2\4\5\xb4", b"\2\4\1\0", b"\1\1\2\4\5\xb4\1\1", b"\4\2\x08\x0a" + bytes(8),
        b"\x08\x0a" + bytes(8) + b"\2\4\5\xb4",
        b"\1" * 40, b"\2\4\5\xb4" + b"\1" * 36, b"\x0a\0\0\0", b"\2\3\1\1", b"\0\2\4\5\xb4\0\0\0",
    )
]  # fmt: skip
SYNS = [
    *(v4(proto=6, sport=9, dport=80, tcp_flags=SYN, tcp_options=options) for options in OPTIONS),
    v4(proto=6, sport=9, dport=80, tcp_flags=SYN, payload=b"xy"), v4(proto=6, sport=9, dport=80, tcp_flags=ACK),
    v4(proto=6, sport=9, dport=80, tcp_flags=SYN, tcp_options=b"\2\4\5\xb4", checksum=0x1234, checksum_ok=False),
    v4(proto=6, dport=80, tcp_flags=SYN, tcp_options=b"\2\4\5\xb4", payload=b"q"),
]  # fmt: skip
for mss in (300, 600, 1000):
    case(f"TCPMSS {mss}", [f"-p tcp --syn -j TCPMSS --set-mss {mss}"], SYNS, hook=Hook.FORWARD)
case("TCPMSS without --syn", ["-p tcp -j TCPMSS --set-mss 1000"], SYNS, backends=(NFT,))
case(
    "TCPMSS, IPv6",
    ["-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1300"],
    [v6(proto=6, sport=9, dport=80, tcp_flags=SYN, tcp_options=options) for options in OPTIONS],
    family=V6,
)
each("TCPMSS on a short header", ["-p tcp -j TCPMSS --set-mss 1000"], v4(proto=6, transport=bytes(19)), backends=(NFT,))
for stripped in ("mss", "sack-permitted,timestamp", "10,8,2"):
    case(f"TCPOPTSTRIP {stripped}", [f"-p tcp -j TCPOPTSTRIP --strip-options {stripped}"], [*SYNS, later(6, 2, bytes(24))])
each("TCPOPTSTRIP on a short header", ["-p tcp -j TCPOPTSTRIP --strip-options mss"], v4(proto=6, transport=bytes(19)))
each(
    "TCPOPTSTRIP on a data offset of none", ["-p tcp -j TCPOPTSTRIP --strip-options mss"], v4(proto=6, transport=bytes(24))
)
MARKED = [
    v4(tos=3), v4(tos=0xB8), v4(proto=6, tcp_flags=SYN | ECE | CWR, tos=2), v4(proto=6, tcp_flags=SYN), later(6, 4,
    bytes(range(30))),
    v4(proto=6, tcp_flags=SYN | ECE | CWR, checksum=0x4321, checksum_ok=False),
    later(6, 4, bytes(13) + b"\xff" + bytes(16)), later(6, 4, bytes(19)),
]  # fmt: skip
case("ECN", ["-p tcp -j ECN --ecn-tcp-remove"], MARKED)
each("ECN on a short header", ["-p tcp -j ECN --ecn-tcp-remove"], v4(proto=6, transport=bytes(19)))
case(
    "fields of the header",
    [
        "-j TOS --set-tos 0x12/0x3f", "-m tos --tos 0x12/0x3f", "-j DSCP --set-dscp 10", "-j TOS --and-tos 0xf0",
        "-j TOS --xor-tos 0x03",
        "-j TTL --ttl-dec 3", "-j TTL --ttl-inc 250", "-m ttl --ttl-eq 255", "-j TTL --ttl-set 9",
        "-j CHECKSUM --checksum-fill",
    ],
    MARKED,
)  # fmt: skip
case("TTL below zero", ["-j TTL --ttl-dec 100"], [v4()], hook=Hook.FORWARD)
case(
    "fields of the header, IPv6",
    ["-j HL --hl-dec 3", "-j HL --hl-inc 250", "-j HL --hl-set 9", "-j TOS --set-tos 0x12/0x3f", "-j DSCP --set-dscp 10"],
    [v6(), v6(tos=0xFF, flow_label=0x12345)],
    family=V6,
)
case(
    "marks",
    [
        "-j MARK --set-mark 0xff00ff", "-j MARK --set-xmark 0x1234/0xff", "-m mark --mark 0xff1234",
        "-m mark --mark 0x1ff/0xff",
        "-j MARK --and-mark 0xf0f0", "-m mark --mark 0x1030", "-j MARK --or-mark 5", "-j MARK --xor-mark 0xffffffff",
        "-m mark --mark 0xffffefca", "-m mark ! --mark 0/1",
    ],
    [v4()],
)  # fmt: skip


# --- SET ---------------------------------------------------------------------------------------------------------

COMING = [
    v4(dport=80), v4(src="10.0.0.6", dport=80), v4(dport=80), v4(proto=6, dport=80), v4(proto=1, icmp_type=8),
    v4(proto=89, transport=b"abcd"),
    v4(dport=80, src="10.0.0.7"), later(17, 2, bytes(8)),
]  # fmt: skip
for name, sets, rules in (
    ("hash:ip", members("s hash:ip"),
     ["+s src", "-p udp -j SET --add-set s src", "+s src", "-p 89 -j SET --del-set s src", "+s src", "+s dst"]),
    ("hash:net", members("s hash:net", "10.0.0.0/24", "10.1.0.0/16", "10.7.0.0/29"),
     ["+s src", "+s dst", "-p udp -j SET --add-set s dst", "+s dst", "-p tcp -j SET --del-set s src",
     "-p 1 -j SET --del-set s dst", "+s dst"]),
    ("hash:net, empty", members("s hash:net"), ["-p udp -j SET --add-set s src", "+s src"]),
    ("hash:net with nomatch", members("s hash:net", "10.0.0.0/24", "10.0.0.6 nomatch"), ["+s src",
    "-j SET --add-set s src", "+s src"]),
    ("hash:net with nomatch, --exist", members("s hash:net", "10.0.0.0/24", "10.0.0.6 nomatch"),
     ["+s src", "-j SET --add-set s src --exist", "+s src"]),
    ("hash:ip,port", members("s hash:ip,port"), ["-j SET --add-set s src,dst", "+s src,dst", "+s src,src"]),
    ("too few flags", members("s hash:ip,port"), ["-j SET --add-set s src", "+s src,dst"]),
    ("hash:ip,port,net", members("s hash:ip,port,net", "1.1.1.1,udp:1,10.0.0.0/24"),
     ["-j SET --add-set s src,dst,dst", "+s src,dst,dst", "+s src,dst,src"]),
    ("hash:net,iface", members("s hash:net,iface", "10.0.0.0/28,e wildcard"),
     ["-j SET --add-set s src,src", "+s src,src", "-p 1 -j SET --del-set s src,src", "+s src,src",
     "-j SET --add-set s src,dst", "+s src,dst"]),
    ("bitmaps", members("s bitmap:ip range 10.0.0.0/29") + members("p bitmap:port range 70-80"),
     ["-j SET --add-set s src", "-j SET --add-set s dst", "-j SET --add-set p dst", "+s src", "+s dst", "+p dst"]),
    ("a full set", members("s hash:ip maxelem 1", "10.0.0.99"), ["-j SET --add-set s src", "+s src"]),
    ("counters", members("s hash:ip counters"),
     ["-j SET --add-set s src", "+s src --packets-eq 2", "+s src --bytes-gt 60", "-p 1 -j SET --add-set s src --exist",
      "-p 1 -m set --match-set s src --packets-eq 2"]),
    ("list:set", members("a hash:ip,port") + members("b hash:ip") + members("c hash:ip") + members("l list:set", "a",
    "b", "c"),
     ["-j SET --add-set l src", "+b src", "+c src", "+a src,dst", "-p 1 -j SET --del-set l src", "+b src", "+c src"]),
    ("map", members("s hash:ip skbinfo", "10.0.0.5 skbmark 0x1234/0xff00", "10.0.0.6", "10.0.0.7 skbmark 0x5")
     + members("n hash:net skbinfo", "10.0.0.0/8 skbmark 0x7/0xf", "10.0.0.6 nomatch skbmark 0x8/0xf"),
     ["-j MARK --set-mark 0xffff", "-j SET --map-set s src --map-mark", "-m mark --mark 0x12ff",
     "-j SET --map-set n src --map-mark",
      "-m mark --mark 7/0xf", "-m mark --mark 0xf/0xf"]),
    ("map by a list", members("a hash:ip skbinfo", "10.0.0.5 skbmark 0x5", "10.0.0.6 skbmark 0x6")
     + members("l list:set counters", "a") + members("k list:set skbinfo", "a skbmark 0x9"),
     ["-j SET --map-set l src --map-mark", "-m mark --mark 5", "+l src --packets-eq 2", "-j SET --map-set k src --map-mark",
      "-m mark --mark 9"]),
    ("timeout", members("s hash:ip timeout 100"), ["-j SET --add-set s src --timeout 50", "+s src"]),
    ("netmask", members("s hash:ip netmask 24"), ["-j SET --add-set s src", "+s src", "+s dst"]),
):  # fmt: skip
    case(
        f"SET: {name}", [rule if rule[0] == "-" else f"-m set --match-set {rule[1:]}" for rule in rules], COMING, sets=sets
    )
case(
    "SET, IPv6",
    [
        "-j SET --add-set s dst", "-m set --match-set s dst", "-j SET --add-set q src,dst", "-m set --match-set q src,dst",
        "-m set --match-set q src,src",
    ],
    [v6(), v6(proto=6, dport=8), v6(proto=58, icmp_type=128)],
    sets=members("s hash:net family inet6", "fd00::/64") + members("q hash:ip,port family inet6"),
    family=V6,
)  # fmt: skip
