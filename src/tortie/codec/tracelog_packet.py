"""The packet of a trace line: `SRC=… DST=… PROTO=TCP SPT=…` of kernel log and xtables-monitor, and nft's own words.

Sources: net/ipv4/netfilter/nf_log_syslog.c and its IPv6 part (kernel log), iptables/xtables-monitor.c, and what
xtables-monitor 1.8.9 and nft 1.0.6 printed for each protocol (tests/unit/codec/test_tracelog.py). xtables-monitor tells
ports without their protocol: with TCP flags it is TCP, else it stays open, and so does what it prints nothing of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tortie.net.address import IPFamily, parse_address
from tortie.net.error import InvalidInput
from tortie.net.protocol import DCCP, ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE, parse_protocol
from tortie.netfilter.logged import LoggedPacket

_FLAGS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32, "ECE": 64, "CWR": 128}
_WORD = re.compile(r"([A-Z][A-Z0-9]*)[=:](\S*)")
_INCOMPLETE = re.compile(r"INCOMPLETE \[\d+ bytes\]")
_QUOTED = re.compile(r"\[(SRC=[^\]]*)\]")
_OPTIONS = re.compile(r"OPT \(\s?([^)]*)\)")
_TRANSPORT = re.compile(r"\b(?:PROTO|SPORT)=")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})*")
_MAC = re.compile(r"[0-9A-Fa-f]{1,2}(?::[0-9A-Fa-f]{1,2}){5}")


def _number(text: str | None, name: str, most: int, base: int = 10) -> int | None:
    """The number of a word, None without it; hexadecimal is told by its `0x` or by `base`."""
    if text is None:
        return None
    digits, base = (text[2:], 16) if text.startswith("0x") else (text, base)
    try:
        value = int(digits, base) if digits.isalnum() and digits.isascii() and len(digits) <= 12 else -1
    except ValueError:
        value = -1
    if not 0 <= value <= most:
        raise InvalidInput(f"{name} is a number up to {most}, not {text[:30]!r}")
    return value


def _mac(text: str | None) -> bytes | None:
    if text is None or _MAC.fullmatch(text) is None:
        return None
    return bytes(int(part, 16) for part in text.split(":"))


def _words(text: str) -> dict[str, str]:
    """`NAME=value` words by name, the first of each."""
    found: dict[str, str] = {}
    for name, value in _WORD.findall(text):
        found.setdefault(name, value)
    return found


# --- kernel log and xtables-monitor ------------------------------------------------------------------------------


def parse_logged_packet(text: str) -> LoggedPacket:
    """The packet of `IN=… OUT=… SRC=… …` in the words of the kernel log or of xtables-monitor; raises `InvalidInput`."""
    text = _INCOMPLETE.sub("INCOMPLETE", text)
    quoted = _QUOTED.search(text)
    bare = _QUOTED.sub("", text)
    # Names come again behind the protocol: LEN of UDP, ID of ICMP. xtables-monitor names none and goes on with the ports.
    border = _TRANSPORT.search(bare)
    head, tail = (bare, "") if border is None else (bare[: border.start()], bare[border.start() :])
    options, tcp_options = _option_bytes(head), _option_bytes(tail)
    first, rest = _words(_OPTIONS.sub("", head)), _words(_OPTIONS.sub("", tail))
    if "SRC" not in first or "DST" not in first:
        raise InvalidInput("a logged packet has SRC= and DST=, so this line was cut short")
    fields = _ip_fields(first, head, rest)
    if fields["family"] is IPFamily.V4:
        fields["options"] = options
    fields |= _transport_fields(rest, tail, fields["family"]) | _device_fields(first)
    if fields.get("proto") == TCP:
        fields["tcp_options"] = tcp_options
    fields["mark"] = _number(rest.get("MARK", first.get("MARK")), "MARK", 0xFFFFFFFF)
    fields["quoted"] = parse_logged_packet(quoted[1]) if quoted is not None else None
    return LoggedPacket(**fields)


def _option_bytes(text: str) -> bytes:
    """IP or TCP options in hexadecimal; IPv6 extension headers are words and count as none."""
    found = _OPTIONS.search(text)
    digits = found[1].strip() if found is not None else ""
    data = bytes.fromhex(digits) if _HEX.fullmatch(digits) else b""
    return data if len(data) % 4 == 0 and len(data) <= 40 else b""


def _ip_fields(words: Mapping[str, str], head: str, rest: Mapping[str, str]) -> dict[str, Any]:
    src, dst = parse_address(words["SRC"]), parse_address(words["DST"])
    if src.family is not dst.family:
        raise InvalidInput("source and destination are of two families")
    v4 = src.family is IPFamily.V4
    tos = _number(words.get("TOS" if v4 else "TC"), "TOS", 255)
    precedence = _number(words.get("PREC"), "PREC", 255)
    if tos is not None:
        tos |= (precedence or 0) | (3 if re.search(r"\bCE\b", head) else 0)
    identification = _number(words.get("ID"), "ID", 0xFFFF if v4 else 0xFFFFFFFF, 10 if v4 else 16)
    offset = _number(words.get("FRAG", rest.get("FRAG")), "FRAG", 0x1FFF)
    return {
        "family": src.family,
        "src": src.value,
        "dst": dst.value,
        "length": _number(words.get("LEN"), "LEN", 0xFFFF + 40),
        "ttl": _number(words.get("TTL" if v4 else "HOPLIMIT"), "TTL", 255),
        "tos": tos,
        "identification": identification,
        "flow_label": _number(words.get("FLOWLBL"), "FLOWLBL", 0xFFFFF) or 0,
        "dont_fragment": re.search(r"\bDF\b", head) is not None,
        "more_fragments": re.search(r"\bMF\b", head) is not None,
        "fragment_offset": offset or 0,
    }


def _transport_fields(words: Mapping[str, str], tail: str, family: IPFamily) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "sport": _number(words.get("SPT", words.get("SPORT")), "SPT", 0xFFFF),
        "dport": _number(words.get("DPT", words.get("DPORT")), "DPT", 0xFFFF),
        "uid": _number(words.get("UID"), "UID", 0xFFFFFFFF),
        "gid": _number(words.get("GID"), "GID", 0xFFFFFFFF),
    }
    flags = sum(bit for name, bit in _FLAGS.items() if re.search(rf"\b{name}(?![=\w])", tail))
    if "PROTO" in words:
        fields["proto"] = parse_protocol(words["PROTO"])
    elif flags:
        fields["proto"] = TCP
    if fields.get("proto") == TCP and fields["sport"] is not None:
        fields["tcp_flags"] = flags
        fields["tcp_seq"] = _number(words.get("SEQ"), "SEQ", 0xFFFFFFFF)
        fields["tcp_ack"] = _number(words.get("ACK"), "ACK", 0xFFFFFFFF)
        fields["tcp_window"] = _number(words.get("WINDOW"), "WINDOW", 0xFFFF)
    elif fields.get("proto") == (ICMP if family is IPFamily.V4 else ICMPV6):
        fields["icmp_type"] = _number(words.get("TYPE"), "TYPE", 255)
        fields["icmp_code"] = _number(words.get("CODE"), "CODE", 255)
        fields["icmp_rest"] = _icmp_rest(words)
    return fields


def _icmp_rest(words: Mapping[str, str]) -> int | None:
    if "ID" in words:
        return (_number(words["ID"], "ID", 0xFFFF) or 0) << 16 | (_number(words.get("SEQ"), "SEQ", 0xFFFF) or 0)
    if "GATEWAY" in words:
        return parse_address(words["GATEWAY"]).value & 0xFFFFFFFF
    if "PARAMETER" in words:
        return (_number(words["PARAMETER"], "PARAMETER", 0xFF) or 0) << 24
    if "POINTER" in words:
        return _number(words["POINTER"], "POINTER", 0xFFFFFFFF, 16)
    return _number(words.get("MTU"), "MTU", 0xFFFFFFFF)


def _device_fields(words: Mapping[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "in_iface": words.get("IN", ""),
        "out_iface": words.get("OUT", ""),
        "phys_in": words.get("PHYSIN", ""),
        "phys_out": words.get("PHYSOUT", ""),
        "mac_source": _mac(words.get("MACSRC")),
        "mac_destination": _mac(words.get("MACDST")),
    }
    whole = words.get("MAC", "").split(":")
    if len(whole) >= 14:  # destination, source and type of the Ethernet header
        fields["mac_destination"], fields["mac_source"] = _mac(":".join(whole[:6])), _mac(":".join(whole[6:12]))
    return fields


# --- nft monitor trace -------------------------------------------------------------------------------------------

_DSCP = {
    "cs0": 0, "cs1": 8, "cs2": 16, "cs3": 24, "cs4": 32, "cs5": 40, "cs6": 48, "cs7": 56, "df": 0, "be": 0, "lephb": 1,
    "va": 44, "ef": 46, "af11": 10, "af12": 12, "af13": 14, "af21": 18, "af22": 20, "af23": 22, "af31": 26, "af32": 28,
    "af33": 30, "af41": 34, "af42": 36, "af43": 38,
}  # fmt: skip
_ECN = {"not-ect": 0, "ect1": 1, "ect0": 2, "ce": 3}
_ICMP_TYPES = {
    "echo-reply": 0, "destination-unreachable": 3, "source-quench": 4, "redirect": 5, "echo-request": 8,
    "router-advertisement": 9, "router-solicitation": 10, "time-exceeded": 11, "parameter-problem": 12,
    "timestamp-request": 13, "timestamp-reply": 14, "info-request": 15, "info-reply": 16, "address-mask-request": 17,
    "address-mask-reply": 18,
}  # fmt: skip
_ICMPV6_TYPES = {
    "destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3, "parameter-problem": 4, "echo-request": 128,
    "echo-reply": 129, "mld-listener-query": 130, "mld-listener-report": 131, "mld-listener-done": 132,
    "mld-listener-reduction": 132, "nd-router-solicit": 133, "nd-router-advert": 134, "nd-neighbor-solicit": 135,
    "nd-neighbor-advert": 136, "nd-redirect": 137, "router-renumbering": 138, "ind-neighbor-solicit": 141,
    "ind-neighbor-advert": 142, "mld2-listener-report": 143,
}  # fmt: skip
_ICMP_CODES = {
    "net-unreachable": 0, "host-unreachable": 1, "prot-unreachable": 2, "port-unreachable": 3, "frag-needed": 4,
    "net-prohibited": 9, "host-prohibited": 10, "admin-prohibited": 13,
}  # fmt: skip
_ICMPV6_CODES = {
    "no-route": 0, "admin-prohibited": 1, "addr-unreachable": 3, "port-unreachable": 4, "policy-fail": 5, "reject-route": 6,
}  # fmt: skip
_PORTED = {"tcp": TCP, "udp": UDP, "udplite": UDPLITE, "sctp": SCTP, "dccp": DCCP}
_NFT_FLAGS = {name.lower(): bit for name, bit in _FLAGS.items()} | {"ecn": 64}


def parse_nft_packet(text: str, mark: int | None = None) -> LoggedPacket:
    """The packet of a `packet:` line of `nft monitor trace`; raises `InvalidInput`."""

    def find(*keys: str) -> str | None:
        for key in keys:
            found = re.search(rf'(?:^| ){key} (?:== )?"?([^\s"]+)"?', text)
            if found is not None:
                return found[1]
        return None

    src, dst = find("ip saddr", "ip6 saddr"), find("ip daddr", "ip6 daddr")
    if src is None or dst is None:
        raise InvalidInput("a traced packet has saddr and daddr, so this line was cut short")
    source, target = parse_address(src), parse_address(dst)
    if source.family is not target.family:
        raise InvalidInput("source and destination are of two families")
    v4 = source.family is IPFamily.V4
    length = _number(find("ip length", "ip6 length"), "length", 0xFFFF)
    dscp, ecn = find("ip dscp", "ip6 dscp"), find("ip ecn", "ip6 ecn")
    tos = None if dscp is None else _named(dscp, _DSCP, "dscp", 63) << 2 | _named(ecn or "not-ect", _ECN, "ecn", 3)
    fields: dict[str, Any] = {
        "family": source.family,
        "src": source.value,
        "dst": target.value,
        "length": length if v4 or length is None else length + 40,
        "ttl": _number(find("ip ttl", "ip6 hoplimit"), "ttl", 255),
        "tos": tos,
        "identification": _number(find("ip id"), "id", 0xFFFF),
        "flow_label": _number(find("ip6 flowlabel"), "flowlabel", 0xFFFFF) or 0,
        "in_iface": find("iif", "iifname") or "",
        "out_iface": find("oif", "oifname") or "",
        "mac_source": _mac(find("ether saddr")),
        "mac_destination": _mac(find("ether daddr")),
        "mark": mark,
    }
    return LoggedPacket(**fields, **_nft_transport(find, text, v4))


def _nft_transport(find: Callable[..., str | None], text: str, v4: bool) -> dict[str, Any]:
    for name, proto in _PORTED.items():
        sport = find(f"{name} sport")
        if sport is None:
            continue
        fields: dict[str, Any] = {
            "proto": proto,
            "sport": _number(sport, "sport", 0xFFFF),
            "dport": _number(find(f"{name} dport"), "dport", 0xFFFF),
        }
        if proto == TCP:
            fields["tcp_flags"] = _nft_flags(text)
            fields["tcp_window"] = _number(find("tcp window"), "window", 0xFFFF)
        return fields
    icmp = "icmp" if v4 else "icmpv6"
    kind = find(f"{icmp} type")
    if kind is not None:
        types, codes = (_ICMP_TYPES, _ICMP_CODES) if v4 else (_ICMPV6_TYPES, _ICMPV6_CODES)
        identifier, sequence = find(f"{icmp} id"), find(f"{icmp} sequence")
        rest = _number(find(f"{icmp} parameter-problem", f"{icmp} gateway", f"{icmp} mtu"), "rest", 0xFFFFFFFF)
        if identifier is not None:
            rest = (_number(identifier, "id", 0xFFFF) or 0) << 16 | (_number(sequence, "sequence", 0xFFFF) or 0)
        code = find(f"{icmp} code")
        return {
            "proto": ICMP if v4 else ICMPV6,
            "icmp_type": _named(kind, types, "type", 255),
            "icmp_code": None if code is None else _named(code, codes, "code", 255),
            "icmp_rest": rest,
        }
    protocol = find("ip protocol", "ip6 nexthdr", "meta l4proto")
    return {} if protocol is None else {"proto": parse_protocol(protocol)}


def _named(text: str, names: Mapping[str, int], what: str, most: int) -> int:
    """A number by its name or as it is."""
    if text in names:
        return names[text]
    value = _number(text, what, most)
    assert value is not None
    return value


def _nft_flags(text: str) -> int | None:
    found = re.search(r"tcp flags == (0x[0-9a-f]{1,2}\b|[a-z|(, )]+?)(?= tcp| @|$)", text)
    if found is None:
        return None
    if found[1].startswith("0x"):
        return int(found[1], 16)
    return sum(_NFT_FLAGS.get(name, 0) for name in set(re.findall(r"[a-z]+", found[1])))
