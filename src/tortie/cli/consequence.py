"""What a change of rules does to conversations that are under way, and to who must be able to reach the node.

Packets are walked through the node as it is and as it would be, and the verdicts compared; nothing is concluded from the
rules' looks. A connection is *cut* when a packet of it, in either direction, gets through now and would not. One that goes
on, but whose first packet would be stopped if it were opened anew, is told apart. Somebody is *locked out* when a first
packet to the ports by which nodes are kept (ssh, BGP, etcd) gets through now and would not.

Connections are taken one for each pair of addresses and port that it goes to, and the number is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from tortie.cli.arrival import infer_interface, is_own_address
from tortie.net.address import Address, IPFamily, Prefix
from tortie.net.error import InvalidInput
from tortie.net.packet import Packet, describe_packet
from tortie.net.protocol import ICMP, ICMPV6, PORT_PROTOCOLS, SCTP, TCP
from tortie.netfilter.conntrack import ConnEntry, ConnTuple
from tortie.netfilter.rule import Ruleset
from tortie.netfilter.snapshot import Snapshot
from tortie.reconcile.wanted import Held
from tortie.simulator.session import Session, load_connections
from tortie.simulator.trace import Verdict
from tortie.simulator.walk import Arrival, Node, walk_all

MOST_CONNECTIONS = 1000
"""Groups of connections that are walked; six walks each."""
KEPT_PORTS: Mapping[int, str] = {22: "ssh", 179: "BGP", 2379: "etcd", 2380: "etcd peers"}
"""TCP ports by which nodes are reached and reach each other (spec: rules 11.3, failsafe ports)."""
_SYN, _ACK = 2, 16
_CLIENT_PORT = 40000
_SCTP_INIT = b"\x01\x00\x00\x14" + bytes(16)
_SCTP_DATA = b"\x00\x03\x00\x11" + bytes(16)


class Fate(Enum):
    """What becomes of a conversation; `value` is the word in documents."""

    STAYS = "stays"
    CUT = "cut"
    NOT_AGAIN = "not again"
    """It goes on, but could not be opened once more."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Conversation:
    """Connections between one pair of addresses to one port: how many there are, one of them, and their fate."""

    entry: ConnEntry
    count: int
    fate: Fate
    why: str = ""

    @property
    def text(self) -> str:
        """The connection in a few words."""
        return describe_packet(packet_of(self.entry.original, opens=True)).rpartition(" ttl ")[0]


@dataclass(frozen=True, slots=True)
class Conversations:
    """The conversations that do not simply stay; `walked` of `known` groups were looked at."""

    found: tuple[Conversation, ...]
    walked: int
    known: int | None
    """None when the snapshot holds no connections."""

    def of(self, fate: Fate) -> tuple[Conversation, ...]:
        """Those of one fate."""
        return tuple(one for one in self.found if one.fate is fate)


@dataclass(frozen=True, slots=True)
class Probe:
    """A first packet that must get through, and for whom."""

    what: str
    arrival: Arrival


class Change:
    """A node before and after, ready for packets."""

    def __init__(self, snapshot: Snapshot, after: Held) -> None:
        """`after` replaces the rules of its own back-end and all sets."""
        bare = replace(snapshot, connections=())
        self.entries = snapshot.connections
        self.before = Node.from_snapshot(bare)
        self.after = Node.from_snapshot(
            replace(bare, rulesets=tuple(_rulesets(snapshot.rulesets, after)), ip_sets=after.ip_sets)
        )

    # --- conversations ---

    def conversations(self, most: int = MOST_CONNECTIONS) -> Conversations:
        """What becomes of the connections of the snapshot."""
        if self.entries is None:
            return Conversations((), 0, None)
        groups = _groups(self.entries)
        chosen = list(groups.values())[:most]
        sessions = (self._session(self.before, chosen), self._session(self.after, chosen))
        found = []
        for entry, count in chosen:
            fate, why = self._fate(entry, sessions)
            if fate is not Fate.STAYS:
                found.append(Conversation(entry, count, fate, why))
        return Conversations(tuple(found), len(chosen), len(groups))

    def _session(self, node: Node, chosen: Iterable[tuple[ConnEntry, int]]) -> Session:
        session = node.session()
        load_connections(session, (entry for entry, _ in chosen))
        return session

    def _fate(self, entry: ConnEntry, sessions: tuple[Session, Session]) -> tuple[Fate, str]:
        unsure = ""
        for direction in (entry.original, entry.reply) if entry.seen_reply else (entry.original,):
            packet = packet_of(direction)
            try:
                arrival = self._arrival(packet)
            except InvalidInput as error:
                unsure = error.message
                continue
            before, _ = _verdict(self.before, arrival, sessions[0])
            after, why = _verdict(self.after, arrival, sessions[1])
            if before is Verdict.ACCEPT and after in (Verdict.DROP, Verdict.REJECT):
                return Fate.CUT, why
            if before is Verdict.ACCEPT and after is not Verdict.ACCEPT:
                unsure = why
        if unsure:
            return Fate.UNKNOWN, unsure
        opening = packet_of(entry.original, opens=True)
        told = self.compare(self._arrival(opening))
        return (Fate.NOT_AGAIN, told) if told else (Fate.STAYS, "")

    def _arrival(self, packet: Packet) -> Arrival:
        """How a packet meets the node; raises `InvalidInput` when that cannot be told."""
        if is_own_address(self.before, packet.family, packet.src):
            return Arrival(packet)
        return Arrival(packet, in_iface=infer_interface(self.before, packet)[0])

    def compare(self, arrival: Arrival) -> str:
        """Why a first packet that gets through now no longer would; empty if it still would, or does not now."""
        before, _ = _verdict(self.before, arrival, self.before.session())
        if before is not Verdict.ACCEPT:
            return ""
        after, why = _verdict(self.after, arrival, self.after.session())
        return "" if after is Verdict.ACCEPT else why

    # --- who must get in ---

    def locked_out(self, probes: Iterable[Probe]) -> tuple[tuple[Probe, str], ...]:
        """The probes that would no longer get through, each with what decides."""
        found = []
        for probe in probes:
            why = self.compare(probe.arrival)
            if why:
                found.append((probe, why))
        return tuple(found)

    def probes(self, workload_prefixes: tuple[str, ...], ssh_connection: str = "") -> Iterator[Probe]:
        """First packets to and from the node's own addresses on the kept ports, and of the ssh session that is open.

        A neighbour stands for whoever asks: for every network of the node an address in it, and whoever has a connection
        to such a port.
        """
        yield from self._ssh_probe(ssh_connection)
        for iface, own in self._own_addresses(workload_prefixes):
            other = _neighbour(own)
            if other is None:
                continue
            for port, name in KEPT_PORTS.items():
                inwards = _tcp(other, Address(own.family, own.address), port)
                yield Probe(f"{name} to this node by {iface}", Arrival(inwards, in_iface=iface))
                outwards = _tcp(Address(own.family, own.address), other, port)
                yield Probe(f"{name} from this node by {iface}", Arrival(outwards))
        yield from self._probes_of_connections()

    def _own_addresses(self, workload_prefixes: tuple[str, ...]) -> Iterator[tuple[str, Prefix]]:
        for link in self.before.snapshot.links or ():
            if link.loopback or not link.up or link.name.startswith(workload_prefixes):
                continue
            yield from ((link.name, own.prefix) for own in link.addresses if own.scope == "global")

    def _probes_of_connections(self) -> Iterator[Probe]:
        seen: set[tuple[int, int, int]] = set()
        for entry in self.entries or ():
            way = entry.original
            key = (way.src, way.dst, way.dst_key)
            if way.proto != TCP or way.dst_key not in KEPT_PORTS or key in seen or len(seen) >= MOST_CONNECTIONS:
                continue
            ends = (is_own_address(self.before, way.family, address) for address in (way.src, way.dst))
            if any(ends):
                seen.add(key)
                packet = packet_of(way, opens=True)
                try:
                    yield Probe(f"{KEPT_PORTS[way.dst_key]}, of which there is a connection", self._arrival(packet))
                except InvalidInput:
                    continue

    def _ssh_probe(self, given: str) -> Iterator[Probe]:
        """SSH_CONNECTION is `client port server port` (ssh(1)); an address may carry a zone behind %."""
        words = given.split()
        if len(words) != 4:
            return
        from tortie.net.address import parse_address

        try:
            client, server = (parse_address(word.partition("%")[0]) for word in (words[0], words[2]))
            packet = replace_ports(_tcp(client, server, int(words[3])), int(words[1]))
            yield Probe("the ssh session that this runs in", self._arrival(packet))
        except (InvalidInput, ValueError):
            return


def _rulesets(given: Iterable[Ruleset], after: Held) -> Iterator[Ruleset]:
    places = {(one.family, one.backend) for one in after.rulesets.values()}
    for one in given:
        if (one.family, one.backend) not in places:
            yield one
    yield from after.rulesets.values()


def _groups(entries: Iterable[ConnEntry]) -> dict[tuple[int, int, int, int, IPFamily], tuple[ConnEntry, int]]:
    """Connections by who talks to whom about what; those that pass by the rules are left out."""
    found: dict[tuple[int, int, int, int, IPFamily], tuple[ConnEntry, int]] = {}
    for entry in entries:
        if entry.offloaded:
            continue
        way = entry.original
        key = (way.proto, way.src, way.dst, way.dst_key, way.family)
        first, count = found.get(key, (entry, 0))
        found[key] = first, count + 1
    return found


def _verdict(node: Node, arrival: Arrival, session: Session) -> tuple[Verdict, str]:
    result, _ = walk_all(node, arrival, session, keep_steps=False)
    decided = result.trace.decided_by
    where = f" ({decided.table.value} {decided.chain})" if decided.table is not None and decided.chain else ""
    return result.verdict, f"{decided.text}{where}"


# --- packets -----------------------------------------------------------------------------------------------------


def packet_of(way: ConnTuple, *, opens: bool = False) -> Packet:
    """A packet of one direction of a connection: one in the middle of it, or the one that opens it."""
    family, proto = way.family, way.proto
    if proto in PORT_PROTOCOLS:
        payload = (_SCTP_INIT if opens else _SCTP_DATA) if proto == SCTP else b""
        flags = (_SYN if opens else _ACK) if proto == TCP else 0
        return Packet(
            family, way.src, way.dst, proto, sport=way.src_key, dport=way.dst_key, tcp_flags=flags, payload=payload
        )
    if proto in (ICMP, ICMPV6):
        kind, code = way.dst_key >> 8, way.dst_key & 0xFF
        return Packet(family, way.src, way.dst, proto, icmp_type=kind, icmp_code=code, icmp_rest=way.src_key << 16)
    return Packet(family, way.src, way.dst, proto, transport=b"")


def _tcp(src: Address, dst: Address, port: int) -> Packet:
    return Packet(src.family, src.value, dst.value, TCP, sport=_CLIENT_PORT, dport=port, tcp_flags=_SYN)


def replace_ports(packet: Packet, sport: int) -> Packet:
    """The packet from another port."""
    from msgspec import structs

    return structs.replace(packet, sport=sport)


def _neighbour(own: Prefix) -> Address | None:
    """Another address in the network of one's own; None where there is no room for one."""
    size = own.family.bits - own.length
    if size < 1:
        return None
    network = own.address >> size << size
    for offset in (1, 2, 3, 0):
        candidate = network + offset
        if offset < 1 << size and candidate != own.address:
            return Address(own.family, candidate)
    return None
