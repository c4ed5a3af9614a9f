"""Short spellings for the tables of vectors: packets of the spec's hosts A and B, and what adds a vector.

Where a vector waits for an ICMP redirect its sender is no other vector's: to one receiver they come ever more rarely
(ip_rt_send_redirect in net/ipv4/route.c).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.cases.matches import later, v4
from tests.cases.vector import Seen, Vector
from tests.kernel.scenario import Given
from tortie.net.packet import Packet
from tortie.net.wire import format_packet


def add(table: list[Vector], name: str, fact: str, rules: Mapping[str, Sequence[str]], *seen: Seen, **fields: Any) -> None:
    """Adds a vector to a table."""
    table.append(Vector(name, fact, rules, seen, **fields))


def given(packet: Packet, iface: str = "e0") -> Given:
    """A packet that arrives."""
    return Given(format_packet(packet), iface)


def own(src: str = "10.1.0.1", dst: str = "8.8.8.8", **fields: Any) -> Given:
    """An IPv4 packet that the node sends."""
    options = {name: fields.pop(name) for name in ("device",) if name in fields}
    return Given(format_packet(v4(src, dst, **{"sport": 1, "dport": 53, "identification": 77, **fields})), None, **options)


def udp(
    src: str = "10.0.0.5", dst: str = "10.1.0.9", sport: int = 1, dport: int = 2, iface: str = "e0", **fields: Any
) -> Given:
    """A UDP packet that arrives."""
    return given(v4(src, dst, sport=sport, dport=dport, **fields), iface)


def tcp(flags: int, src: str = "10.0.0.5", dst: str = "10.1.0.9", sport: int = 9, dport: int = 80, **fields: Any) -> Given:
    """A TCP packet that arrives at e0."""
    return given(v4(src, dst, proto=6, sport=sport, dport=dport, tcp_flags=flags, **fields))


def pieces(data: bytes = b"", iface: str = "e0", **fields: Any) -> tuple[Given, Given]:
    """A UDP packet 5>9 with 16 bytes or `data`, in two fragments."""
    body = format_packet(v4(sport=5, dport=9, payload=data or bytes(16), **fields))[20:]
    first = later(17, 0, body[:16], more_fragments=True, identification=9, **fields)
    return given(first, iface), given(later(17, 2, body[16:], identification=9, **fields), iface)


A_TO_B = "10.0.0.5:1>10.1.0.9:2"
A_OUT = f"e1 {A_TO_B}"
FRAGMENTS_OUT = "e1 10.0.0.5:5>10.1.0.9:9"
NEW = "-m conntrack --ctstate NEW"
PLAIN_NAT = ("-A PREROUTING -p udp", "-A POSTROUTING -p udp -j ACCEPT")
TO_MARK = "-j MARK --set-mark 0x64"
BY_E1, BY_E3 = "e1 10.1.0.1:1>8.8.8.8:53", "e3 10.1.0.1:1>8.8.8.8:53"
MASQUERADE = "-A POSTROUTING -o e1 -j MASQUERADE"


def tests(chain: str, *options: str) -> list[str]:
    """Rules without targets."""
    return [f"-A {chain} {option}" for option in options]
