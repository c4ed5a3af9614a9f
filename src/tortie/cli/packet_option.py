"""A packet in the words of the command line: protocol, two ends, and options.

One table of options serves the command line and the lines of a batch, so both say the same things the same way. All
values arrive as text and are read here; what cannot be read is `InvalidInput` with a remedy. Nothing here looks at a
node: where the packet enters is worked out in `arrival`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tortie.net.address import Address, IPFamily, parse_address
from tortie.net.error import InvalidInput
from tortie.net.protocol import DCCP, ICMP, ICMPV6, PORT_PROTOCOLS, SCTP, TCP, TCP_FLAGS, parse_protocol, protocol_name

if TYPE_CHECKING:
    from tortie.net.packet import Packet

DEFAULT_SOURCE_PORT = 40000
"""Source port of a packet about which nothing was said: an ordinary ephemeral one (32768 to 60999 on Linux)."""
STATES: tuple[str, ...] = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")
FRAME_TYPES: tuple[str, ...] = ("unicast", "broadcast", "multicast", "otherhost")
_ECHO: dict[int, int] = {ICMP: 8, ICMPV6: 128}
_FLAG_LETTERS: dict[str, int] = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "C": 128}
_MORE_FLAGS: dict[str, int] = {"ECE": 64, "CWR": 128}
_FIRST_BODY: dict[int, bytes] = {SCTP: b"\x01\x00\x00\x14" + bytes(16), DCCP: bytes(8)}
"""What a first packet must carry: SCTP an INIT chunk, else conntrack calls it INVALID (spec: netfilter 4.4), DCCP the
rest of its sequence number and a service code (RFC 4340, 5.1)."""


@dataclass(frozen=True, slots=True)
class WordOption:
    """One option: its spellings, what stands for its value in help (empty for a flag), and its help."""

    names: tuple[str, ...]
    metavar: str
    help: str

    @property
    def key(self) -> str:
        """The name under which its value is kept: the long spelling with underscores."""
        return self.names[-1].removeprefix("--").replace("-", "_")


PACKET_OPTIONS: tuple[WordOption, ...] = (
    WordOption(
        ("-i", "--in-iface"), "IFACE", "Device the packet arrives on; found by routing back to the source if not given."
    ),
    WordOption(
        ("-o", "--out-iface"),
        "IFACE",
        "Device it leaves by, where the snapshot has no routes; for --local the one its socket is bound to.",
    ),
    WordOption(
        ("-L", "--local"), "", "The node itself sends it (also when the source is one of its own addresses and no -i)."
    ),
    WordOption(("-6", "--ipv6"), "", "Insist on IPv6; the addresses say so anyway."),
    WordOption(("--mark",), "VALUE", "Packet mark before the first rule."),
    WordOption(("--state",), "STATE", f"Take conntrack's answer for granted: {', '.join(STATES)}."),
    WordOption(("--tcp-flags",), "FLAGS", "TCP flags: SYN (default), SYN,ACK, S, SA, none, all."),
    WordOption(("--icmp-type",), "TYPE", "ICMP type by name or number, with a code if wanted: echo-reply, 3/4."),
    WordOption(("--icmp-id",), "ID", "Identifier of an ICMP query."),
    WordOption(("--ttl",), "N", "TTL or hop limit on arrival (default 64)."),
    WordOption(("--tos",), "VALUE", "TOS byte or traffic class."),
    WordOption(("--length",), "BYTES", "Length of the whole packet; filled up with zero bytes."),
    WordOption(("--payload",), "TEXT|0xHEX", "What follows the transport header."),
    WordOption(("--frag",), "OFFSET[+]", "A fragment at this offset in bytes; + when more follow (0+ is a first one)."),
    WordOption(("--df",), "", "Set IPv4's do-not-fragment flag."),
    WordOption(("--bad-checksum",), "", "The transport checksum is wrong."),
    WordOption(("--mac",), "MAC", "Source MAC address of the frame."),
    WordOption(("--frame",), "TYPE", f"Link-layer frame: {', '.join(FRAME_TYPES)}."),
    WordOption(("--uid",), "N", "User id of the sending program (local packets)."),
    WordOption(("--gid",), "N", "Group id of the sending program (local packets)."),
    WordOption(("--groups",), "N,N", "Its supplementary groups (local packets)."),
    WordOption(("--time",), "WHEN", "When it happens: 2024-05-01T14:00:00 (UTC) or seconds since 1970."),
)
_BY_NAME: dict[str, WordOption] = {name: option for option in PACKET_OPTIONS for name in option.names}


@dataclass(frozen=True, slots=True)
class AskedPacket:
    """A packet as asked for; None where nothing was said. `notes` tell what was filled in."""

    packet: Packet
    in_iface: str | None = None
    out_iface: str | None = None
    local: bool = False
    mark: int = 0
    state: str | None = None
    uid: int | None = None
    gid: int | None = None
    groups: frozenset[int] = frozenset()
    mac: bytes | None = None
    frame_type: str | None = None
    time_s: float | None = None
    notes: tuple[str, ...] = field(default=())


Given = Mapping[str, str]
"""Option keys to their text; a flag that is given has the value `yes`."""


def split_words(line: str) -> tuple[list[str], dict[str, str]]:
    """A batch line as its words and its options; raises `InvalidInput` for an unknown option or a missing value."""
    pending = _split(line)
    pending.reverse()
    words: list[str] = []
    given: dict[str, str] = {}
    while pending:
        word = pending.pop()
        if not word.startswith("-") or word == "-":
            words.append(word)
            continue
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        option = _BY_NAME.get(name)
        if option is None:
            raise InvalidInput(f"no such option: {name}", remedy=_nearest_remedy(name, _BY_NAME))
        if not option.metavar:
            if equals:
                raise InvalidInput(f"{name} takes no value")
            value = "yes"
        elif not equals:
            if not pending:
                raise InvalidInput(f"{name} needs a value: {option.metavar}")
            value = pending.pop()
        given[option.key] = value
    return words, given


def parse_packet_words(words: Iterable[str], given: Given) -> AskedPacket:
    """The packet that words and options describe; raises `InvalidInput`."""
    proto, src, source_port, dst, port = _parse_ends(tuple(words), given)
    notes: list[str] = []
    family = src.family
    if proto == ICMP and family is IPFamily.V6:
        proto = ICMPV6
        notes.append("icmp between IPv6 addresses is read as ICMPv6")
    ports = _ports(proto, source_port, port, given, notes)
    fields: dict[str, Any] = _header_fields(family, given) | ports | _kind_fields(proto, given, notes)
    packet = _build(family, src.value, dst.value, proto, fields, given)
    return AskedPacket(
        packet=packet,
        in_iface=given.get("in_iface"),
        out_iface=given.get("out_iface"),
        local="local" in given,
        mark=_number(given, "mark", 0, 0xFFFFFFFF) or 0,
        state=_one_of(given, "state", STATES, upper=True),
        uid=_number(given, "uid", 0, 0xFFFFFFFF),
        gid=_number(given, "gid", 0, 0xFFFFFFFF),
        groups=_groups(given),
        mac=_mac(given),
        frame_type=_one_of(given, "frame", FRAME_TYPES),
        time_s=parse_time(given["time"]) if "time" in given else None,
        notes=tuple(notes),
    )


# --- the three words ---------------------------------------------------------------------------------------------


def _parse_ends(words: tuple[str, ...], given: Given) -> tuple[int, Address, int | None, Address, int | None]:
    if len(words) != 3:
        raise InvalidInput(
            f"a packet is said in three words, not {len(words)}: PROTO SRC[:PORT] DST[:PORT]",
            remedy="such as: tcp 10.65.0.2 10.65.1.9:80",
        )
    proto = parse_protocol(words[0])
    if proto == 0 and not words[0].isdigit():
        raise InvalidInput(f"a packet has one protocol, not {words[0]!r}", remedy="such as tcp, udp or icmp")
    src, source_port = parse_endpoint(words[1])
    dst, port = parse_endpoint(words[2])
    if src.family is not dst.family:
        raise InvalidInput(f"{words[1]} and {words[2]} are not of the same IP family")
    if "ipv6" in given and src.family is not IPFamily.V6:
        raise InvalidInput(f"-6 is given, but {words[1]} is an IPv4 address")
    if proto == ICMPV6 and src.family is IPFamily.V4 and not words[0].isdigit():
        raise InvalidInput(f"{words[0]} does not go between IPv4 addresses", remedy="use icmp; 58 if it is really meant")
    return proto, src, source_port, dst, port


def parse_endpoint(text: str) -> tuple[Address, int | None]:
    """Reads `10.0.0.5`, `10.0.0.5:80`, `fd00::1` or `[fd00::1]:80`; raises `InvalidInput`."""
    if text.startswith("["):
        host, bracket, tail = text[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise InvalidInput(f"not an address with a port: {text!r}", remedy="write [fd00::1]:80")
        port = tail[1:] if tail else None
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, None
    try:
        address = parse_address(host)
    except InvalidInput as error:
        remedy = None
        if "/" in host:
            remedy = "a packet has one address; give it without a prefix length"
        elif any(char.isalpha() for char in host) and ":" not in host:
            remedy = "host names are not looked up; give the address"
        raise InvalidInput(error.message, remedy=remedy) from None
    return address, None if port is None else parse_port(port)


def parse_port(text: str) -> int:
    """Reads a port from 0 to 65535; raises `InvalidInput`."""
    if not (text.isascii() and text.isdigit()):
        raise InvalidInput(f"not a port: {text!r}", remedy="a number from 0 to 65535")
    number = int(text) if len(text) <= 6 else 65536
    if number > 65535:
        raise InvalidInput(f"port out of range: {text}", remedy="ports go from 0 to 65535")
    return number


def _ports(proto: int, source_port: int | None, port: int | None, given: Given, notes: list[str]) -> dict[str, int]:
    if _fragment(given)[0]:
        if source_port is not None or port is not None:
            raise InvalidInput("a later fragment carries no ports", remedy="leave the ports out, or use --frag 0+")
        return {}
    if proto not in PORT_PROTOCOLS:
        if source_port is not None or port is not None:
            raise InvalidInput(f"{protocol_name(proto)} has no ports", remedy="leave the ports out")
        return {}
    if port is None:
        raise InvalidInput(f"the destination port of {protocol_name(proto)} is missing", remedy="write 10.65.1.9:80")
    if source_port is None:
        source_port = DEFAULT_SOURCE_PORT
        notes.append(f"source port not given, {source_port} taken")
    return {"sport": source_port, "dport": port}


# --- the header --------------------------------------------------------------------------------------------------


def _header_fields(family: IPFamily, given: Given) -> dict[str, int | bool]:
    fields: dict[str, int | bool] = {}
    ttl = _number(given, "ttl", 0, 255)
    if ttl is not None:
        fields["ttl"] = ttl
    tos = _number(given, "tos", 0, 255)
    if tos is not None:
        fields["tos"] = tos
    if "df" in given:
        if family is IPFamily.V6:
            raise InvalidInput("--df is for IPv4; IPv6 packets are never fragmented on the way")
        fields["dont_fragment"] = True
    if "bad_checksum" in given:
        fields["checksum_ok"] = False
    offset, more = _fragment(given)
    if "frag" in given:
        fields |= {"fragment_offset": offset // 8, "more_fragments": more, "identification": 1}
    return fields


def _kind_fields(proto: int, given: Given, notes: list[str]) -> dict[str, int]:
    """TCP flags or ICMP type, with what is usual where nothing is said."""
    if "tcp_flags" in given and proto != TCP:
        raise InvalidInput(f"--tcp-flags is for tcp, not {protocol_name(proto)}")
    for key in ("icmp_type", "icmp_id"):
        if key in given and proto not in _ECHO:
            raise InvalidInput(f"--{key.replace('_', '-')} is for icmp, not {protocol_name(proto)}")
    if _fragment(given)[0]:
        return {}
    if proto == TCP:
        usual = "ACK" if given.get("state", "").upper() == "ESTABLISHED" else "SYN"
        return {"tcp_flags": parse_tcp_flags(given.get("tcp_flags", usual))}
    if proto in _ECHO:
        if "icmp_type" in given:
            kind, code = parse_icmp_type(given["icmp_type"], IPFamily.V4 if proto == ICMP else IPFamily.V6)
        else:
            kind, code = _ECHO[proto], 0
            notes.append("ICMP type not given, echo request taken")
        identifier = _number(given, "icmp_id", 0, 65535)
        return {"icmp_type": kind, "icmp_code": code, "icmp_rest": (1 if identifier is None else identifier) << 16 | 1}
    return {}


def parse_tcp_flags(text: str) -> int:
    """Reads `SYN`, `SYN,ACK`, `SA`, `none` or `all` as a bit set; raises `InvalidInput`."""
    word = text.upper()
    if word == "NONE":
        return 0
    if word == "ALL":
        return sum(TCP_FLAGS.values())
    names = TCP_FLAGS | _MORE_FLAGS
    bits = 0
    for part in word.replace("+", ",").split(","):
        if part in names:
            bits |= names[part]
        elif part and all(letter in _FLAG_LETTERS for letter in part):
            for letter in part:
                bits |= _FLAG_LETTERS[letter]
        else:
            remedy = "use SYN,ACK,FIN,RST,PSH,URG,ECE,CWR, their first letters, none or all"
            raise InvalidInput(f"unknown TCP flag in {text!r}", remedy=remedy)
    return bits


def parse_icmp_type(text: str, family: IPFamily) -> tuple[int, int]:
    """Reads a name iptables knows, `TYPE` or `TYPE/CODE` as type and code; raises `InvalidInput`."""
    kind, slash, code = text.partition("/")
    if all(part.isascii() and part.isdigit() and len(part) <= 3 and int(part) <= 255 for part in (kind, code or "0")):
        return int(kind), int(code or "0") if slash else 0
    from tortie.codec.match_transport import ICMP6_NAMES, ICMP_NAMES

    names = ICMP_NAMES if family is IPFamily.V4 else ICMP6_NAMES
    found = names.get(text.lower())
    if found is None:
        remedy = _nearest_remedy(text.lower(), names) or "use a number such as 8 or 3/4"
        raise InvalidInput(f"unknown ICMP type: {text!r}", remedy=remedy)
    return found[0], found[1] or 0


def _fragment(given: Given) -> tuple[int, bool]:
    """Offset in bytes and whether more follow."""
    text = given.get("frag")
    if text is None:
        return 0, False
    digits = text.removesuffix("+")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 5 and int(digits) <= 65528):
        raise InvalidInput(f"not a fragment offset: {text!r}", remedy="bytes, such as 1480 or 0+")
    if int(digits) % 8:
        raise InvalidInput(f"fragment offset {digits} is no multiple of 8")
    if text == "0":
        raise InvalidInput("offset 0 with nothing to follow is no fragment", remedy="write 0+ for a first fragment")
    return int(digits), text.endswith("+")


def _build(family: IPFamily, src: int, dst: int, proto: int, fields: dict[str, Any], given: Given) -> Packet:
    """The packet with its payload, filled up to the length asked for."""
    from tortie.net.packet import Packet

    fields |= {"family": family, "src": src, "dst": dst, "proto": proto}
    body = _payload(given.get("payload"))
    later = bool(fields.get("fragment_offset"))
    if "frag" in given and family is IPFamily.V6:
        from tortie.net.wire import fragment_header

        header = fragment_header(
            proto, offset=fields["fragment_offset"], more=fields["more_fragments"], identification=fields["identification"]
        )
        fields["extensions"] = (header,)
    part = "transport" if later or (proto not in PORT_PROTOCOLS and proto not in _ECHO) else "payload"
    fields[part] = body or _FIRST_BODY.get(proto, b"") if part == "payload" else body
    packet = Packet(**fields)
    length = _number(given, "length", 0, 65535)
    if length is None or length == packet.length:
        return packet
    if length < packet.length:
        raise InvalidInput(f"this packet needs {packet.length} bytes, more than --length {length}")
    fields[part] += bytes(length - packet.length)
    return Packet(**fields)


# --- values ------------------------------------------------------------------------------------------------------


def parse_number(text: str, what: str, low: int, high: int) -> int:
    """Reads a decimal or 0x number between `low` and `high`; raises `InvalidInput` that names `what`."""
    try:
        number = int(text, 16) if text[:2].lower() == "0x" else int(text, 10)
    except ValueError:
        raise InvalidInput(f"{what} is no number: {text!r}") from None
    if not low <= number <= high:
        raise InvalidInput(f"{what} is out of range: {text}", remedy=f"from {low} to {high}")
    return number


def parse_time(text: str) -> float:
    """Reads seconds since 1970, or a date and time in UTC (`2024-05-01T14:00:00`); raises `InvalidInput`."""
    from datetime import UTC, datetime

    try:
        return float(int(text))
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"not a time: {text!r}", remedy="2024-05-01T14:00:00 in UTC, or seconds since 1970") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like this one, None when none is near."""
    from difflib import get_close_matches

    found = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return found[0] if found else None


def _nearest_remedy(word: str, known: Iterable[str]) -> str | None:
    found = nearest(word, known)
    return None if found is None else f"did you mean {found}?"


def _number(given: Given, key: str, low: int, high: int) -> int | None:
    return parse_number(given[key], f"--{key.replace('_', '-')}", low, high) if key in given else None


def _one_of(given: Given, key: str, known: tuple[str, ...], *, upper: bool = False) -> str | None:
    if key not in given:
        return None
    word = given[key].upper() if upper else given[key].lower()
    if word not in known:
        raise InvalidInput(f"unknown --{key}: {given[key]!r}", remedy=f"one of {', '.join(known)}")
    return word


def _groups(given: Given) -> frozenset[int]:
    text = given.get("groups")
    return frozenset(parse_number(part, "--groups", 0, 0xFFFFFFFF) for part in text.split(",")) if text else frozenset()


def _mac(given: Given) -> bytes | None:
    text = given.get("mac")
    if text is None:
        return None
    parts = text.replace("-", ":").split(":")
    try:
        if len(parts) == 6 and all(1 <= len(part) <= 2 for part in parts):
            return bytes(int(part, 16) for part in parts)
    except ValueError:
        pass
    raise InvalidInput(f"not a MAC address: {text!r}", remedy="six bytes such as ee:ee:ee:ee:ee:ee")


def _payload(text: str | None) -> bytes:
    if text is None:
        return b""
    if not text.startswith("0x"):
        return text.encode()
    try:
        return bytes.fromhex(text[2:])
    except ValueError:
        raise InvalidInput(f"not hexadecimal bytes: {text!r}", remedy="an even number of digits after 0x") from None


def _split(line: str) -> list[str]:
    if "'" not in line and '"' not in line and "\\" not in line:
        return line.split()
    import shlex

    try:
        return shlex.split(line)
    except ValueError as error:
        raise InvalidInput(f"the line's quotes do not fit: {error}") from None
