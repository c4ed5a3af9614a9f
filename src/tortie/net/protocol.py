"""IP protocol numbers and names, TCP flags and ICMP types: one table each, read by parsers, printers and simulator."""

from __future__ import annotations

from tortie.net.error import InvalidInput

ICMP = 1
IGMP = 2
IPENCAP = 4
TCP = 6
UDP = 17
IPV6_ENCAP = 41
GRE = 47
ESP = 50
AH = 51
ICMPV6 = 58
SCTP = 132
UDPLITE = 136
DCCP = 33

PROTOCOL_NAMES: dict[int, str] = {
    0: "ip", 1: "icmp", 2: "igmp", 3: "ggp", 4: "ipencap", 5: "st", 6: "tcp", 8: "egp", 9: "igp", 12: "pup",
    17: "udp", 20: "hmp", 22: "xns-idp", 27: "rdp", 29: "iso-tp4", 33: "dccp", 36: "xtp", 37: "ddp", 38: "idpr-cmtp",
    41: "ipv6", 43: "ipv6-route", 44: "ipv6-frag", 45: "idrp", 46: "rsvp", 47: "gre", 50: "esp", 51: "ah",
    57: "skip", 58: "ipv6-icmp", 59: "ipv6-nonxt", 60: "ipv6-opts", 73: "rspf", 81: "vmtp", 88: "eigrp", 89: "ospf",
    93: "ax.25", 94: "ipip", 97: "etherip", 98: "encap", 103: "pim", 108: "ipcomp", 112: "vrrp", 115: "l2tp",
    124: "isis", 132: "sctp", 133: "fc", 135: "mobility-header", 136: "udplite", 137: "mpls-in-ip", 138: "manet",
    139: "hip", 140: "shim6", 141: "wesp", 142: "rohc", 143: "ethernet",
}  # fmt: skip
"""Numbers to the names that Debian's /etc/protocols gives them, which is what iptables prints."""

_ALIASES: dict[str, int] = {
    "all": 0, "icmpv6": 58, "icmp6": 58, "hopopt": 0, "mh": 135, "ip4": 4, "any": 0,
}  # fmt: skip
_NUMBERS: dict[str, int] = {name: number for number, name in PROTOCOL_NAMES.items()} | _ALIASES

TCP_FLAGS: dict[str, int] = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32}
"""Flag names in the order iptables prints them (spec: netfilter 7.2); ECE (64) and CWR (128) have no name there."""

PORT_PROTOCOLS: frozenset[int] = frozenset({TCP, UDP, UDPLITE, SCTP, DCCP})
"""Protocols whose header starts with a source and a destination port."""


def protocol_name(number: int) -> str:
    """The name of a protocol, or its number as text when it has none."""
    return PROTOCOL_NAMES.get(number, str(number))


def parse_protocol(text: str) -> int:
    """Reads a protocol name (any case) or number from 0 to 255; raises `InvalidInput`."""
    if text.isascii() and text.isdigit() and int(text) <= 255:
        return int(text)
    number = _NUMBERS.get(text.lower())
    if number is None:
        raise InvalidInput(f"unknown protocol: {text!r}", remedy="use a name such as tcp, or a number from 0 to 255")
    return number
