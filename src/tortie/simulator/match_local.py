"""Tests of sockets and of the node's surroundings (spec: netfilter 7.5, 7.6).

The sending socket is known where the caller described it. Tables of open sockets, CPUs, control groups, accounting
objects and fingerprints are in no snapshot, so tests of those are doubts, but for packets that they can never match.

Sources: net/netfilter/xt_owner.c, xt_socket.c, xt_cgroup.c, xt_osf.c, xt_ipvs.c, xt_nfacct.c.
"""

from __future__ import annotations

from tortie.net.packet import Packet
from tortie.net.protocol import ICMP, TCP, UDP
from tortie.netfilter.hook import Hook
from tortie.netfilter.match import CgroupMatch, CpuMatch, IpvsMatch, OsfMatch, OwnerMatch, SocketMatch
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.answer import Answer, Doubt, DoubtKind
from tortie.simulator.context import Context
from tortie.simulator.match_header import Holds, doubtful
from tortie.simulator.match_ipv6 import in_range
from tortie.simulator.skb import Skb
from tortie.simulator.tracking_table import ICMP_ERRORS, ICMPV6_ERRORS

_SYN = 2
_IPVS_SYSCTLS = "net.ipv4.vs."
_ALWAYS_THERE = "net.core.somaxconn"


# --- owner -------------------------------------------------------------------------------------------------------


def compile_owner(match: OwnerMatch) -> Holds:
    """`-m owner`: without a socket, or without its file, exactly the inverted tests hold."""

    def test(skb: Skb) -> Answer:
        if skb.socket is None and not skb.socket_known:
            return Doubt(DoubtKind.UNKNOWN, f"the sending socket {_owner_words(match)}")
        return owner_miss(match, skb)

    return test


def _owner_words(match: OwnerMatch) -> str:
    words = []
    for name, ids in (("user", match.uid), ("group", match.gid)):
        if ids is not None:
            span = ids.value
            numbers = str(span.low) if span.low == span.high else f"{span.low} to {span.high}"
            words.append(f"is {'not ' if ids.inverted else ''}of {name} {numbers}")
    if match.socket_exists is not None:
        words.append("does not exist" if match.socket_exists.inverted else "exists")
    return " and ".join(words)


def owner_miss(match: OwnerMatch, skb: Skb) -> Answer:
    """The answer for a packet whose socket is known."""
    socket = skb.socket
    ids = [test for test in (match.uid, match.gid) if test is not None]
    exists = match.socket_exists
    if socket is None:
        plain = any(not test.inverted for test in ids) or (exists is not None and not exists.inverted)
        return not plain and not match.supplementary_groups
    if exists is not None and exists.inverted:
        return False
    if not socket.has_file:
        return all(test.inverted for test in ids)
    doubt: Answer = True
    if match.uid is not None:
        if socket.uid is None:
            doubt = Doubt(DoubtKind.UNKNOWN, f"the sending socket {_owner_words(match)}")
        elif not in_range(match.uid, socket.uid):
            return False
    if match.gid is not None:
        groups = (socket.gid, *socket.groups) if match.supplementary_groups else (socket.gid,)
        if any(group is not None and group in match.gid.value for group in groups):
            return False if match.gid.inverted else doubt
        if socket.gid is None:
            return Doubt(DoubtKind.UNKNOWN, f"the sending socket {_owner_words(match)}")
        return doubt if match.gid.inverted else False
    return doubt


def explain_owner(skb: Skb) -> str:
    """Why `-m owner` missed."""
    socket = skb.socket
    if socket is None:
        return "the packet has no sending socket"
    if not socket.has_file:
        return "the sending socket is the kernel's own"
    return f"the sending socket is of user {socket.uid} and group {socket.gid}"


# --- sockets and surroundings ------------------------------------------------------------------------------------


def compile_socket(match: SocketMatch) -> Holds:
    """`-m socket`: only TCP, UDP and ICMP errors (about such) are looked up."""
    kind = "a transparent socket" if match.transparent else "a socket"
    doubt = Doubt(DoubtKind.UNKNOWN, f"{kind} is open for the packet")
    return lambda skb: doubt if _may_have_socket(skb.packet) else False


def _may_have_socket(packet: Packet) -> bool:
    if packet.transport is not None:
        return False
    if packet.is_icmp:
        return packet.icmp_type in (ICMP_ERRORS if packet.proto == ICMP else ICMPV6_ERRORS)
    return packet.proto in (TCP, UDP)


def compile_cgroup(match: CgroupMatch) -> Holds:
    """`-m cgroup`: false without a socket, even inverted; on arrival early demultiplexing may have found one."""
    which = match.path if match.path is not None else f"class {match.classid:#x}"
    doubt = Doubt(DoubtKind.UNKNOWN, f"the socket is {'not ' if match.inverted else ''}in control group {which}")

    def test(skb: Skb) -> Answer:
        found_early = skb.hook in (Hook.PREROUTING, Hook.INPUT)
        return False if skb.socket is None and skb.socket_known and not found_early else doubt

    return test


def compile_cpu(match: CpuMatch) -> Holds:
    """`-m cpu`."""
    doubt = Doubt(DoubtKind.CHANCE, f"the packet is {'not ' if match.inverted else ''}handled by CPU {match.cpu}")
    return lambda _: doubt


def compile_osf(match: OsfMatch) -> Holds:
    """`-m osf`: fingerprints of TCP packets with SYN."""
    doubt = Doubt(DoubtKind.UNKNOWN, f"the sender's fingerprint is {'not ' if match.inverted else ''}{match.genre}")

    def test(skb: Skb) -> Answer:
        packet = skb.packet
        return doubt if packet.proto == TCP and packet.transport is None and packet.tcp_flags & _SYN else False

    return test


def compile_ipvs(match: IpvsMatch, context: Context) -> Holds:
    """`-m ipvs`: a node without virtual services, or whose settings show no IPVS, handles no packet by it."""
    snapshot = context.snapshot
    if snapshot.ipvs != () and not lacks_sysctls(snapshot, _IPVS_SYSCTLS):
        return doubtful("IPVS handles the packet as the rule asks")
    others = (
        match.protocol, match.virtual_address, match.virtual_port, match.direction, match.method, match.control_port,
    )  # fmt: skip
    answer = match.ipvs is not None and match.ipvs.inverted and all(option is None for option in others)
    return lambda _: answer


def lacks_sysctls(snapshot: Snapshot, prefix: str) -> bool:
    """True when the snapshot's settings are a whole `sysctl -a` and have none of this name: the kernel lacks the part."""
    sysctls = snapshot.sysctls
    return sysctls is not None and _ALWAYS_THERE in sysctls and not any(name.startswith(prefix) for name in sysctls)
