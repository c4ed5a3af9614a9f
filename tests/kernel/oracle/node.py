"""One real node: a namespace with TUN devices, rules loaded by the real tools, and every listener the oracle has.

`prepare` gives it rules, sets and sysctls, `inject` asks about one packet, `clear` takes everything away again so that
the next scenario of the same topology can use the same namespace. All that a packet causes has happened when `inject`
returns; nothing here waits (spec: kernel-oracle 1).
"""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.kernel.oracle.conntrack import ConnectionTable
from tests.kernel.oracle.device import DeliveryTap, LocalSender, Tun
from tests.kernel.oracle.drop_reason import DropReasons
from tests.kernel.oracle.namespace import Namespace, ToolFailed
from tests.kernel.oracle.outcome import Departure, EventKind, KernelWalk, Kind, Origin, Outcome
from tests.kernel.oracle.separate import assign_departures, packet_kind, separate
from tests.kernel.oracle.trace import TRACE_RULESET, LegacyTrace, NftTrace, count_rules, number_handles
from tests.kernel.patience import Patience
from tests.kernel.scenario import NEIGHBOUR_MAC, Given, Topology
from tortie.net.address import IPFamily
from tortie.netfilter.conntrack import ConnEntry
from tortie.netfilter.hook import BUILTIN_CHAINS, Backend, TableName

_PROGRAM = {IPFamily.V4: "iptables", IPFamily.V6: "ip6tables"}
_TABLE_LIST = {IPFamily.V4: "/proc/net/ip_tables_names", IPFamily.V6: "/proc/net/ip6_tables_names"}
_MOST_DESTROYS = 50

QUIET: tuple[tuple[str, str], ...] = (
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv6/conf/all/forwarding", "1"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
    ("net/ipv4/conf/all/accept_redirects", "0"),
    ("net/ipv4/conf/default/accept_redirects", "0"),
    ("net/ipv6/conf/all/accept_redirects", "0"),
    ("net/ipv6/conf/default/accept_redirects", "0"),
    ("net/ipv6/conf/all/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv6/conf/default/router_solicitations", "0"),
    ("net/ipv6/conf/default/addr_gen_mode", "1"),
    ("net/ipv4/icmp_ratelimit", "0"),
    ("net/ipv4/icmp_ratemask", "0"),
    ("net/ipv6/icmp/ratelimit", "0"),
    ("net/ipv6/icmp/ratemask", "\n"),
    ("net/ipv6/auto_flowlabels", "0"),
)
"""What makes a node answer at once, every time, and say nothing of itself (spec: kernel-oracle 3.4).

A kind of error that a mask leaves out is not held back by the whole machine's limit either (icmpv4_global_allow,
icmpv6_global_allow), which only newer kernels have for each namespace.
"""
LOGGERS: tuple[tuple[str, str], ...] = (
    ("net/netfilter/nf_log/2", "nfnetlink_log"),
    ("net/netfilter/nf_log/10", "nfnetlink_log"),
)
"""Who gets the steps of the legacy trace; the kernel takes the name only after it has loaded that module."""


class Refused(Exception):
    """A tool or the kernel refused rules, sets or commands of a scenario."""


class KernelNode:
    """A node of one topology; `drop_reasons` also asks the kernel why it threw packets away."""

    def __init__(self, topology: Topology, backend: Backend, *, drop_reasons: bool = False) -> None:
        self.topology = topology
        self.backend = backend
        self.namespace = Namespace()
        self._lock = Path(tempfile.mkdtemp(prefix="xtables-lock-")) / "lock"
        self.namespace.write_sysctls(QUIET)
        self._tuns = {
            interface.name: Tun(self.namespace, interface.name, mac_bytes(interface.mac))
            for interface in topology.interfaces
        }
        self._configure(topology)
        with self.namespace:
            self._interfaces = dict(socket.if_nameindex())
            self._legacy_trace = LegacyTrace()
            self.namespace.write_sysctls(LOGGERS)
            self._nft_trace = NftTrace() if backend is Backend.NFT else None
            self.connections = ConnectionTable()
        self._sender = LocalSender(self.namespace)
        self._tap = DeliveryTap(self.namespace)
        self._drops = DropReasons() if drop_reasons else None
        self._entries: dict[int, ConnEntry] = {}
        self.patience = Patience()
        """What the kernel's own limits on ICMP errors have used up on this node."""
        self.saved: dict[tuple[IPFamily, Backend], str] = {}
        """What the save programs printed when the rules were last changed."""
        self._has_sets = False
        self._saved_sysctls: list[tuple[str, str]] = []
        self._counts: dict[tuple[IPFamily, str, str], int] = {}
        self._nft_counts: dict[tuple[IPFamily, str, str], int] = {}
        self._handles: dict[tuple[IPFamily, str, str, int], int] = {}
        self._run("nft", "-f", "-", text=TRACE_RULESET)
        for family in IPFamily:
            self._restore(family, Backend.LEGACY, _empty_tables((TableName.RAW,)))

    def close(self) -> None:
        """Gives everything back; the namespace ends."""
        for tun in self._tuns.values():
            tun.close()
        for part in (self._legacy_trace, self._nft_trace, self.connections, self._sender, self._tap, self._drops):
            if part is not None:
                part.close()
        self.namespace.close()
        self._lock.unlink(missing_ok=True)
        self._lock.parent.rmdir()

    # --- state -------------------------------------------------------------------------------------------------

    def prepare(self, rules: Mapping[IPFamily, str], ip_sets: str = "", sysctls: Sequence[tuple[str, str]] = ()) -> None:
        """Loads a scenario's state; raises `Refused` (and clears up) when a tool or the kernel refuses it."""
        try:
            for name, value in sysctls:
                if self.namespace.lacks_sysctl(name):
                    continue
                self._saved_sysctls.append((name, self.namespace.read_sysctl(name)))
                self.namespace.write_sysctls([(name, value)])
            if ip_sets:
                self._has_sets = True
                self._run("ipset", "restore", "-exist", text=ip_sets)
            for family, text in rules.items():
                self._restore(family, self.backend, text)
        except (ToolFailed, OSError) as error:
            self.clear()
            raise Refused(str(error)) from error
        self.refresh()

    def refresh(self) -> None:
        """Reads how many rules chains have and which handle is which rule; needed after every change of rules."""
        self._counts = self._count(Backend.LEGACY)
        if self.backend is Backend.NFT:
            self._nft_counts = self._count(Backend.NFT)
            self._handles = number_handles(self._run("nft", "-a", "list", "ruleset"))
        self._forget()

    def _count(self, backend: Backend) -> dict[tuple[IPFamily, str, str], int]:
        texts = {family: self.save(family, backend) for family in IPFamily}
        self.saved.update({(family, backend): text for family, text in texts.items()})
        return count_rules(texts)

    def clear(self) -> None:
        """Takes rules, sets, connections and changed sysctls away."""
        if self.backend is Backend.NFT:
            self._run("nft", "-f", "-", text="flush ruleset\n" + TRACE_RULESET)
        for family in IPFamily:
            with self.namespace:
                names = Path(_TABLE_LIST[family]).read_text().split()
            self._restore(family, Backend.LEGACY, _empty_tables(tuple(TableName(name) for name in names)))
        if self._has_sets:
            self._destroy_sets()
            self._has_sets = False
        self.connections.delete(self._entries.values())
        self._entries.clear()
        if self.connection_count():
            self.connections.flush()
        self.namespace.write_sysctls(reversed(self._saved_sysctls))
        self._saved_sysctls.clear()
        self._sender.close()
        self._forget()

    def moment(self) -> float:
        """The node's clock, in seconds since 1970."""
        return time.time()

    def connection_count(self) -> int:
        """How many entries the connection table of this node holds."""
        return int(self.namespace.read_sysctl("net/netfilter/nf_conntrack_count"))

    def save(self, family: IPFamily, backend: Backend, *, counters: bool = False) -> str:
        """What the save program of a back-end prints."""
        options = ("-c",) if counters else ()
        return self._run(f"{_PROGRAM[family]}-{backend.value}-save", *options)

    def run(self, *command: str, text: str | None = None) -> str:
        """Runs any program in the node; raises `ToolFailed`."""
        return self._run(*command, text=text)

    # --- one packet --------------------------------------------------------------------------------------------

    def inject(self, given: Given) -> Outcome:
        """Lets a packet arrive or be sent, and returns everything that happened because of it."""
        if given.in_iface is None:
            error = self._sender.send(
                given.data, mark=given.mark, uid=given.uid, gid=given.gid, device=given.device, bound=given.bound
            )
        else:
            source = mac_bytes(given.mac_source or NEIGHBOUR_MAC)
            error = self._tuns[given.in_iface].arrive(given.data, source, mac_bytes(given.mac_destination))
        walks = self._walks(given)
        leaving = [(name, data) for name, tun in self._tuns.items() for data in tun.departures()]
        departures = assign_departures(leaving, walks)
        events = tuple(self.connections.events())
        for event in events:
            identity = event.entry.id or 0
            if event.kind is EventKind.DESTROY:
                self._entries.pop(identity, None)
            else:
                self._entries[identity] = event.entry
        return Outcome(
            walks=walks,
            departures=departures,
            delivered=self._delivered(walks[0]),
            errno=error,
            events=events,
            drops=self._drops.read() if self._drops is not None else (),
            drop_names=self._drops.names if self._drops is not None else frozenset(),
        )

    def _walks(self, given: Given) -> tuple[KernelWalk, ...]:
        legacy = self._legacy_trace.read(self._counts, self._interfaces)
        nft = None
        if self._nft_trace is not None:
            nft = self._nft_trace.read(self._nft_counts, self._handles, self._interfaces)
        return separate(legacy, nft, given.data, local=given.in_iface is None)

    def _delivered(self, own: KernelWalk) -> tuple[Departure, ...]:
        kind = packet_kind(own.last) if own.last is not None else None
        iface = own.steps[-1].in_iface if own.steps else ""
        found = []
        for data in self._tap.read():
            got = packet_kind(data)
            whole = kind is Kind.LATER_FRAGMENT and got in (Kind.OTHER, Kind.HANDSHAKE_ANSWER)
            found.append(Departure(iface, data, Origin.INJECTED if got is kind or whole else Origin.MADE))
        return tuple(found)

    # --- tools -------------------------------------------------------------------------------------------------

    def _configure(self, topology: Topology) -> None:
        lines = ["link set lo up"]
        for interface in topology.interfaces:
            if interface.mac:
                lines.append(f"link set {interface.name} address {interface.mac} arp off")
            lines.append(f"link set {interface.name} mtu {interface.mtu} up")
            for address in interface.addresses:
                nodad = " nodad" if ":" in address else ""
                lines.append(f"addr add {address} dev {interface.name}{nodad}")
        try:
            self._run("ip", "-batch", "-", text="\n".join(lines) + "\n")
            for family, commands in topology.commands.items():
                if commands:
                    self._run("ip", f"-{family.value}", "-batch", "-", text="\n".join(commands) + "\n")
        except ToolFailed as error:
            raise Refused(str(error)) from error

    def _restore(self, family: IPFamily, backend: Backend, text: str) -> None:
        if backend is Backend.LEGACY and "*raw" not in text.split("\n"):
            text += _empty_tables((TableName.RAW,))
        self._run(f"{_PROGRAM[family]}-{backend.value}-restore", text=text)

    def _destroy_sets(self) -> None:
        for _ in range(_MOST_DESTROYS):
            if not self._run("ipset", "list", "-n").strip():
                return
            # A list:set refers to its members until it is flushed; destruction itself is asynchronous.
            self._run("ipset", "flush")
            try:
                self._run("ipset", "destroy")
            except ToolFailed:
                os.sched_yield()
        raise ToolFailed("ip sets could not be destroyed")

    def _forget(self) -> None:
        """Reads away whatever the last change caused."""
        self._legacy_trace.read(self._counts, self._interfaces)
        for tun in self._tuns.values():
            for _ in tun.departures():
                pass
        self.connections.events()
        for _ in self._tap.read():
            pass
        if self._drops is not None:
            self._drops.read()

    def _run(self, *command: str, text: str | None = None) -> str:
        return self.namespace.run(command, text, environment={"XTABLES_LOCKFILE": str(self._lock)})


def mac_bytes(text: str) -> bytes:
    """An Ethernet address as bytes; none for no text."""
    return bytes.fromhex(text.replace(":", ""))


def _empty_tables(tables: Sequence[TableName]) -> str:
    lines = []
    for table in tables:
        lines += [f"*{table.value}", *(f":{hook.value} ACCEPT [0:0]" for hook in BUILTIN_CHAINS[table]), "COMMIT"]
    return "".join(f"{line}\n" for line in lines)
