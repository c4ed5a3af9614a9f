"""Draws packets aimed at a world: flows with answers, errors about what really left, and oddities of every header field."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from msgspec.structs import replace

from tests.kernel.generate.draw import Draw
from tests.kernel.generate.world import Addresses, World
from tests.kernel.scenario import Answer, ErrorAbout, Follow, Given, Recipe, Repeat, Shot
from tortie.net.address import IPFamily, parse_address
from tortie.net.packet import Packet
from tortie.net.protocol import ESP, GRE, ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE
from tortie.net.wire import format_packet, fragment_header, internet_checksum

_SYN, _ACK, _PSH, _FIN, _RST = 2, 16, 8, 1, 4
_ERRORS_V4 = ((3, 3), (3, 1), (3, 4), (11, 0), (12, 0), (5, 1), (4, 0))
_ERRORS_V6 = ((1, 4), (1, 0), (2, 0), (3, 0), (4, 1), (137, 0))
_PAYLOADS = (b"", b"", b"hello", b"say Hello there, hello", bytes(40), b"x" * 200)


@dataclass(slots=True)
class PacketDraw:
    """Draws shots one flow after the other; `shots` grows."""

    draw: Draw
    world: World
    family: IPFamily
    shots: list[Shot] = field(default_factory=list)
    first_key: int = 0

    def add(self, recipe: Recipe) -> int:
        """Appends a packet and returns its key."""
        key = self.first_key + len(self.shots)
        self.shots.append(Shot(key, recipe))
        return key

    @property
    def v4(self) -> bool:
        """True for IPv4."""
        return self.family is IPFamily.V4

    @property
    def addresses(self) -> Addresses:
        """The family's addresses."""
        return self.world.addresses[self.family]


def draw_shots(draw: Draw, world: World, families: list[IPFamily], count: int) -> tuple[Shot, ...]:
    """At least `count` packets of these families; a flow is not cut in the middle."""
    shots: list[Shot] = []
    while len(shots) < count:
        of = PacketDraw(draw, world, draw.one(families), first_key=len(shots))
        draw.weighted(_FLOWS)(of)
        shots += of.shots
    return tuple(shots)


def draw_frames(draw: Draw, world: World, shots: tuple[Shot, ...]) -> tuple[Shot, ...]:
    """The same packets; where they come by Ethernet, some in frames to another or to all, or from another sender."""
    ethernet = {one.name for one in world.topology.interfaces if one.mac}
    return tuple(
        Shot(shot.key, _framed(draw, shot.recipe))
        if isinstance(shot.recipe, Given) and shot.recipe.in_iface in ethernet and draw.chance(0.4)
        else shot
        for shot in shots
    )


def _framed(draw: Draw, given: Given) -> Given:
    target = draw.weighted([("", 5), ("ff:ff:ff:ff:ff:ff", 2), ("01:00:5e:00:00:01", 2), ("02:00:00:00:00:77", 1)])
    source = draw.weighted([("", 2), ("02:00:00:00:00:01", 2)])
    return dataclasses.replace(given, mac_source=source, mac_destination=target)


# --- where from, where to ----------------------------------------------------------------------------------------


def _ends(of: PacketDraw) -> tuple[str | None, str, str]:
    """Input device (None: the node sends), source and destination."""
    draw, addresses = of.draw, of.addresses
    if draw.chance(0.2):
        own = draw.one(addresses.all_own) if draw.chance(0.9) else draw.one(addresses.ordinary)
        return None, own, _destination(of)
    iface = draw.one([name for name in of.world.interfaces if addresses.hosts.get(name)])
    source = draw.one(addresses.hosts[iface])
    if draw.chance(0.12):
        source = draw.one(addresses.ordinary)
    elif draw.chance(0.04):
        source = draw.one(addresses.odd)
    return iface, source, _destination(of)


def _destination(of: PacketDraw) -> str:
    addresses = of.addresses
    kind = of.draw.weighted([("host", 5), ("own", 3), ("remote", 4), ("virtual", 2), ("odd", 0.7)])
    match kind:
        case "host":
            return of.draw.one(addresses.all_hosts)
        case "own":
            return of.draw.one(addresses.all_own)
        case "remote":
            return of.draw.one(addresses.remote)
        case "virtual":
            return of.draw.one(addresses.virtual)
        case _:
            return of.draw.one(addresses.odd)


def _packet(of: PacketDraw, source: str, destination: str, proto: int) -> Packet:
    draw = of.draw
    packet = Packet(of.family, parse_address(source).value, parse_address(destination).value, proto)
    packet = replace(
        packet,
        ttl=draw.weighted([(64, 12), (128, 2), (1, 0.7), (2, 0.5), (0, 0.15), (255, 0.3)]),
        tos=draw.weighted([(0, 10), (0x10, 2), (0xB8, 0.5), (0x12, 0.5), (0x03, 0.5), (0xFF, 0.2)]),
        payload=draw.one(_PAYLOADS),
    )
    if of.v4:
        packet = replace(packet, identification=draw.number(1, 65535), dont_fragment=draw.chance(0.4))
    if proto in (TCP, UDP, UDPLITE, SCTP):
        packet = replace(packet, sport=draw.one(of.world.client_ports), dport=draw.one(of.world.ports))
    if proto == TCP:
        packet = replace(
            packet,
            tcp_flags=_SYN,
            tcp_seq=1000,
            tcp_options=draw.one(
                [
                    b"",
                    b"\x02\x04\x05\xb4",
                    bytes.fromhex("020405b40402080a00000001000000000103 0307".replace(" ", "01"))[:20],
                ]
            ),
        )
    return packet


def _inject(of: PacketDraw, packet: Packet, iface: str | None) -> int:
    return of.add(_given(of, format_packet(packet), iface))


def _given(of: PacketDraw, data: bytes, iface: str | None) -> Given:
    draw = of.draw
    if iface is not None:
        return Given(data, iface)
    uid = draw.one(of.world.uids) if draw.chance(0.4) else 0
    return Given(
        data,
        None,
        mark=draw.one(of.world.marks) if draw.chance(0.3) else 0,
        uid=uid,
        gid=uid if draw.chance(0.5) else 0,
        device=draw.one(of.world.interfaces) if draw.chance(0.1) else "",
    )


# --- flows -------------------------------------------------------------------------------------------------------


def _udp(of: PacketDraw) -> None:
    iface, source, destination = _ends(of)
    first = _inject(of, _packet(of, source, destination, UDP), iface)
    for _ in range(of.draw.number(0, 3)):
        match of.draw.weighted([("answer", 5), ("again", 3), ("error", 2), ("stranger", 0.7)]):
            case "answer":
                of.add(Answer(first, payload=of.draw.one(_PAYLOADS)))
            case "again":
                of.add(Repeat(first))
            case "error":
                _error(of, first)
            case _:
                of.add(Answer(first, other_port=of.draw.one(of.world.ports)))


def _error(of: PacketDraw, about: int) -> None:
    draw = of.draw
    kind, code = draw.one(_ERRORS_V4 if of.v4 else _ERRORS_V6)
    rest = 1300 if (kind, code) in ((3, 4), (2, 0)) else 0
    sender = draw.one((*of.addresses.all_hosts, *of.addresses.remote)) if draw.chance(0.5) else None
    to = draw.one(of.addresses.all_own) if draw.chance(0.08) else None
    length = draw.weighted([(28 if of.v4 else 48, 6), (100, 3), (20 if of.v4 else 40, 0.5), (24 if of.v4 else 44, 0.5)])
    of.add(ErrorAbout(about, kind, code, rest, sender, to, length))


def _tcp(of: PacketDraw) -> None:
    draw = of.draw
    iface, source, destination = _ends(of)
    syn = _inject(of, _packet(of, source, destination, TCP), iface)
    if draw.chance(0.3):
        match draw.weighted([("again", 2), ("reset", 2), ("error", 2), ("refused", 2)]):
            case "again":
                of.add(Repeat(syn))
            case "reset":
                of.add(Follow(syn, _RST))
            case "error":
                _error(of, syn)
            case _:
                of.add(Answer(syn, _RST | _ACK))
        return
    syn_ack = of.add(Answer(syn, _SYN | _ACK))
    if draw.chance(0.15):
        return
    ack = of.add(Answer(syn_ack, _ACK))
    data = of.add(Follow(ack, _ACK | _PSH, draw.one([b"hello", b"GET / HTTP/1.0", bytes(100)])))
    if draw.chance(0.6):
        of.add(Answer(data, _ACK, draw.one([b"", b"say hello"])))
    match draw.weighted([("fin", 3), ("reset", 2), ("server fin", 2), ("nothing", 2), ("error", 1), ("new", 0.5)]):
        case "fin":
            fin = of.add(Follow(data, _FIN | _ACK))
            last = of.add(Answer(fin, _FIN | _ACK))
            of.add(Answer(last, _ACK))
            if draw.chance(0.3):
                of.add(Repeat(syn))
        case "reset":
            of.add(Follow(data, _RST | draw.one([0, _ACK])))
            if draw.chance(0.3):
                of.add(Repeat(syn))
        case "server fin":
            fin = of.add(Answer(data, _FIN | _ACK))
            of.add(Answer(fin, _ACK))
        case "error":
            _error(of, data)
        case "new":
            of.add(Repeat(syn))
        case _:
            pass


def _ping(of: PacketDraw) -> None:
    draw = of.draw
    iface, source, destination = _ends(of)
    proto = ICMP if of.v4 else ICMPV6
    kind = draw.weighted([(8, 8), (0, 1), (13, 1), (17, 0.3), (15, 0.2), (9, 0.3), (42, 0.3), (3, 0.5)])
    if not of.v4:
        kind = draw.weighted([(128, 8), (129, 1), (139, 0.4), (100, 0.4), (1, 0.4), (137, 0.2), (143, 0.2), (133, 0.2)])
    if iface is None and 130 <= kind <= 143:
        # The oracle takes these for the node's own noise.
        kind = 128
    packet = _packet(of, source, destination, proto)
    packet = replace(packet, icmp_type=kind, icmp_rest=draw.one([0x00010001, 0x00010002, 0x04D20001]))
    first = _inject(of, packet, iface)
    for _ in range(draw.number(0, 2)):
        if draw.chance(0.7):
            of.add(Answer(first))
        else:
            _error(of, first)


def _other_protocol(of: PacketDraw) -> None:
    draw = of.draw
    iface, source, destination = _ends(of)
    proto = draw.one([GRE, ESP, 51, 89, 253, SCTP, UDPLITE, 132, 4, 108, 33, 2 if of.v4 else 59])
    packet = _packet(of, source, destination, proto)
    if proto == SCTP:
        chunk = draw.one([b"\x01\0\0\x14" + bytes(16), b"\0\x03\0\x10" + bytes(12), b"\x0a\0\0\x04", b"", b"\x01\0"])
        packet = replace(packet, payload=chunk, sctp_tag=0 if chunk[:1] == b"\x01" else 7)
    elif proto == 33:
        packet = replace(packet, sport=5000, dport=80, payload=bytes(8), dccp_header=b"\x05\x00\x00\x00\x01\x00")
    elif proto not in (UDPLITE,):
        body = draw.one(
            [
                b"\0\0\x08\0" + bytes(8),
                b"\0\0\1\0\0\0\0\1" + bytes(16),
                bytes(24),
                b"\x20\x01\x88\x0b\0\x04\0\x01" + bytes(8),
                b"",
            ]
        )
        packet = replace(packet, payload=b"", transport=body)
    first = _inject(of, packet, iface)
    if draw.chance(0.5):
        of.add(Answer(first))
    if draw.chance(0.2):
        of.add(Repeat(first))


def _odd_flags(of: PacketDraw) -> None:
    iface, source, destination = _ends(of)
    for _ in range(of.draw.number(1, 2)):
        flags = of.draw.one([0, 1, 3, 4, 6, 16, 17, 18, 20, 24, 32, 41, 48, 63, 2 | 64 | 128, 16 | 64, 194])
        packet = replace(_packet(of, source, destination, TCP), tcp_flags=flags, tcp_ack=5 if flags & 16 else 0)
        _inject(of, packet, iface)


def _fragments(of: PacketDraw) -> None:
    draw = of.draw
    iface, source, destination = _ends(of)
    if iface is None:
        iface = draw.one([name for name in of.world.interfaces if of.addresses.hosts.get(name)])
    proto = draw.one([UDP, UDP, TCP, ICMP if of.v4 else ICMPV6])
    packet = replace(_packet(of, source, destination, proto), payload=bytes(draw.one([100, 64])), dont_fragment=False)
    if proto in (ICMP, ICMPV6):
        packet = replace(packet, icmp_type=8 if of.v4 else 128, icmp_rest=1)
    if draw.chance(0.15):
        # 1400 and more: fragmented again at the output, or too big for it.
        packet = replace(packet, payload=bytes(draw.one([1380, 1450, 2000])))
    # What earlier scenarios left incomplete still waits in the node.
    packet = replace(packet, identification=draw.number(1, 65535 if of.v4 else 0xFFFFFFFF))
    pieces = split(packet, draw.one([8, 16, 24, 48, 64]) if len(packet.payload) < 1000 else 1200)
    form = draw.weighted([("all", 8), ("first", 1), ("later", 2), ("reversed", 1)])
    chosen = {"all": pieces, "first": pieces[:1], "later": pieces[1:2], "reversed": pieces[::-1]}[form]
    for data in chosen:
        of.add(Given(data, iface))


def split(packet: Packet, size: int) -> list[bytes]:
    """A packet in fragments of `size` bytes of payload each (the last may be shorter)."""
    whole = format_packet(packet)
    head = packet.header_length
    body = whole[head:]
    identification = packet.identification or 77
    pieces = []
    for at in range(0, len(body), size):
        more = at + size < len(body)
        bare = replace(
            packet,
            payload=b"",
            transport=body[at : at + size],
            checksum=None,
            tcp_options=b"",
            sport=0,
            dport=0,
            tcp_flags=0,
            tcp_seq=0,
            tcp_ack=0,
        )
        bare = replace(bare, icmp_type=0, icmp_rest=0)
        bare = replace(bare, identification=identification, fragment_offset=at // 8, more_fragments=more)
        if packet.family is IPFamily.V6:
            header = fragment_header(packet.proto, offset=at // 8, more=more, identification=identification)
            bare = replace(bare, extensions=(*packet.extensions, header))
        pieces.append(format_packet(bare))
    return pieces


def _broken(of: PacketDraw) -> None:
    """Headers cut short, wrong checksums, wrong lengths."""
    draw = of.draw
    iface, source, destination = _ends(of)
    packet = _packet(of, source, destination, draw.one([TCP, UDP, ICMP if of.v4 else ICMPV6]))
    if packet.proto in (ICMP, ICMPV6):
        packet = replace(packet, icmp_type=8 if of.v4 else 128)
    body = format_packet(packet)[packet.header_length :]
    match draw.one(["short", "checksum", "udp length", "offset", "later", "bytes"]):
        case "short":
            size = draw.one([0, 2, 4, 6, 7, 10, 19])
            packet = replace(
                packet,
                payload=b"",
                transport=body[:size],
                sport=0,
                dport=0,
                tcp_flags=0,
                tcp_seq=0,
                tcp_options=b"",
                icmp_type=0,
            )
        case "checksum":
            packet = replace(packet, checksum_ok=False, checksum=0x1234)
        case "udp length" if packet.proto == UDP:
            packet = replace(packet, length_field=draw.one([0, 7, 8, 9, 200]))
        case "offset" if packet.proto == TCP:
            broken = body[:12] + bytes([draw.one([0x00, 0x40, 0xF0])]) + body[13:]
            packet = replace(
                packet, payload=b"", transport=broken, sport=0, dport=0, tcp_flags=0, tcp_seq=0, tcp_options=b""
            )
        case "later" if of.v4:
            packet = replace(
                packet,
                payload=b"",
                transport=body,
                fragment_offset=draw.one([1, 2, 5]),
                sport=0,
                dport=0,
                tcp_flags=0,
                tcp_seq=0,
                tcp_options=b"",
                icmp_type=0,
                dont_fragment=False,
            )
        case _:
            data = bytearray(format_packet(packet))
            data[draw.number(1, 7) if of.v4 else draw.number(4, 5)] ^= draw.one([1, 0x10, 0x80])
            if of.v4 and draw.chance(0.7):
                data[10:12] = b"\0\0"
                data[10:12] = internet_checksum(bytes(data[:20])).to_bytes(2, "big")
            of.add(Given(bytes(data), iface or of.world.interfaces[0]))
            return
    _inject(of, packet, iface)


def _optioned(of: PacketDraw) -> None:
    """IPv4 options and IPv6 extension headers."""
    draw = of.draw
    iface, source, destination = _ends(of)
    packet = _packet(of, source, destination, draw.one([TCP, UDP, ICMP if of.v4 else ICMPV6]))
    if packet.proto in (ICMP, ICMPV6):
        packet = replace(packet, icmp_type=8 if of.v4 else 128)
    if of.v4:
        gateway = parse_address(draw.one(of.addresses.all_hosts)).value.to_bytes(4, "big")
        options = draw.one(
            [
                b"\x07\x07\x04" + bytes(4) + b"\0",
                b"\x94\x04\0\0",
                b"\x83\x07\x04" + gateway + b"\0",
                b"\x01\x01\x01\0",
                b"\x44\x08\x05\0" + bytes(4),
            ]
        )
        packet = replace(packet, options=options)
    else:
        chain = draw.one(
            [
                [(0, 0)],
                [(60, 0)],
                [(0, 0), (60, 0)],
                [(43, 0)],
                [(60, 0), (43, 0), (60, 0)],
                [(51, 0)],
            ]
        )
        packet = replace(packet, extensions=_chain([number for number, _ in chain], packet.proto))
    _inject(of, packet, iface)


def _chain(numbers: list[int], proto: int) -> tuple[tuple[int, bytes], ...]:
    bodies = {
        0: b"\0\x01\x04" + bytes(4),
        60: b"\0\x01\x04" + bytes(4),
        43: b"\x02\x00\x00" + bytes(4) + bytes(16),
        51: b"\x01\0\0\0\0\x01\0" + bytes(4),
    }
    sizes = {0: 0, 60: 0, 43: 2, 51: 1}
    following = [*numbers[1:], proto]
    chain = []
    for number, then in zip(numbers, following, strict=True):
        rest = bodies[number] if number != 51 else b"\0\0" + b"\0\0\1\0" + b"\0\0\0\1"
        if number != 51:
            rest = rest[:6] if number in (0, 60) else rest[:22]
            rest = (b"\x01\x04" + bytes(4)) if number in (0, 60) else (b"\x00\x00" + bytes(20))
        chain.append((number, bytes([then, sizes[number]]) + rest))
    return tuple(chain)


def _multicast(of: PacketDraw) -> None:
    draw = of.draw
    iface, source, _ = _ends(of)
    group = draw.one(
        ["224.0.0.1", "239.1.2.3", "255.255.255.255", "10.0.0.255", "10.1.0.255"]
        if of.v4
        else ["ff02::1", "ff0e::1", "ff02::5"]
    )
    packet = replace(_packet(of, source, group, draw.one([UDP, UDP, ICMP if of.v4 else ICMPV6])), ttl=draw.one([1, 64]))
    if packet.proto in (ICMP, ICMPV6):
        packet = replace(packet, icmp_type=8 if of.v4 else 128)
    _inject(of, packet, iface)


def _crowd(of: PacketDraw) -> None:
    """Several clients with the same port to one server: what makes NAT look for other ports."""
    draw = of.draw
    iface = draw.one([name for name in of.world.interfaces if of.addresses.hosts.get(name)])
    destination, proto = _destination(of), draw.one([UDP, UDP, TCP, ICMP if of.v4 else ICMPV6])
    port = draw.one(of.world.client_ports)
    server = draw.one(of.world.ports)
    for source in of.addresses.hosts[iface]:
        packet = _packet(of, source, destination, proto)
        if proto in (ICMP, ICMPV6):
            packet = replace(packet, icmp_type=8 if of.v4 else 128, icmp_rest=0x00070001)
        else:
            packet = replace(packet, sport=port, dport=server)
        key = _inject(of, packet, iface)
        if draw.chance(0.4):
            of.add(Answer(key))


_FLOWS = (
    (_udp, 8.0), (_tcp, 5.0), (_ping, 3.0), (_other_protocol, 1.2), (_odd_flags, 0.8), (_fragments, 0.8), (_broken, 1.0),
    (_optioned, 0.5), (_multicast, 0.4), (_crowd, 1.2),
)  # fmt: skip
