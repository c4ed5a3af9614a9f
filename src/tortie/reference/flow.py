"""A packet at a node, as policy sees it: where it enters, where it leaves, and what connection tracking knows of it.

Routing is no part of this package. Whoever asks knows by which interface the packet comes and goes; nobody may ask for a
packet that neither comes nor goes, since what a node says to itself leaves by `lo`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from tortie.net.address import Address, IPFamily
from tortie.net.protocol import DCCP, ICMP, ICMPV6, SCTP, TCP, protocol_name

LOOPBACK = "lo"


class Tracking(Enum):
    """What connection tracking makes of a packet; UNTRACKED is what it passes over.

    That is what untracked policy has let through, and IPv6's neighbour discovery.
    """

    NEW = "new"
    ESTABLISHED = "established"
    INVALID = "invalid"
    UNTRACKED = "untracked"


@dataclass(frozen=True, slots=True)
class Flow:
    """One packet of a conversation. `enters` None: the node makes it; `leaves` None: it is for the node itself.

    `translated` and `translated_port` are the destination behind the node's NAT, where they differ: what is written in
    rules that are not Calico's, such as those of Kubernetes services, only the asker can know. Floating addresses of
    Calico's own are found in the resources. `looks_to_leave` matters for what the node makes itself and then translates:
    the interface by which the untranslated destination is reached. `vni` is that of a VXLAN packet. Ports are 0 where
    there are none.
    """

    source: Address
    destination: Address
    protocol: int
    source_port: int = 0
    destination_port: int = 0
    icmp_type: int = 0
    icmp_code: int = 0
    enters: str | None = None
    leaves: str | None = None
    translated: Address | None = None
    translated_port: int | None = None
    looks_to_leave: str | None = None
    tracking: Tracking = Tracking.NEW
    vni: int | None = None

    def __post_init__(self) -> None:
        if self.source.family is not self.destination.family:
            raise ValueError(f"{self.source} and {self.destination} are of two families")
        if self.enters is None and self.leaves is None:
            raise ValueError(f"what a node says to itself leaves by {LOOPBACK}")

    @property
    def family(self) -> IPFamily:
        """IPv4 or IPv6."""
        return self.source.family

    @property
    def is_icmp(self) -> bool:
        """True for ICMP in IPv4 and ICMPv6 in IPv6."""
        return self.protocol == (ICMP if self.family is IPFamily.V4 else ICMPV6)

    @property
    def is_translated(self) -> bool:
        """True when the asker says that the destination is translated."""
        return self.translated is not None or self.translated_port is not None

    def behind_translation(self) -> Flow:
        """The packet as it is behind the node's NAT of destinations."""
        return replace(
            self,
            destination=self.destination if self.translated is None else self.translated,
            destination_port=self.destination_port if self.translated_port is None else self.translated_port,
            translated=None,
            translated_port=None,
        )

    def answered(self, *, untracked: bool) -> Flow:
        """The first answer, which comes where this packet went; `untracked` says that tracking never saw this one.

        To such an answer tracking says what it says to a stray one (spec: netfilter 4): UDP and protocols without
        states begin a connection with it, TCP, SCTP, DCCP and ICMP have none that begins so.
        """
        asked = self.behind_translation()
        enters, leaves = self.leaves, self.enters
        if enters == LOOPBACK:
            enters, leaves = None, LOOPBACK
        stateful = self.is_icmp or self.protocol in (TCP, SCTP, DCCP)
        stray = Tracking.INVALID if stateful else Tracking.NEW
        is_known = not untracked and self.tracking in (Tracking.NEW, Tracking.ESTABLISHED)
        return Flow(
            source=asked.destination,
            destination=asked.source,
            protocol=self.protocol,
            source_port=asked.destination_port,
            destination_port=asked.source_port,
            icmp_type=_ANSWERS.get(self.icmp_type, self.icmp_type) if self.is_icmp else 0,
            icmp_code=self.icmp_code,
            enters=enters,
            leaves=leaves,
            tracking=Tracking.ESTABLISHED if is_known else stray,
            vni=self.vni,
        )

    def __str__(self) -> str:
        return describe_flow(self)


_ANSWERS = {8: 0, 128: 129}
"""Echo requests to echo replies, ICMP and ICMPv6."""


def describe_flow(flow: Flow) -> str:
    """One line: `tcp 10.0.0.5:40000 > 10.65.0.2:80, enters eth0, leaves cali1`."""
    joint = "[{}]:{}" if flow.family is IPFamily.V6 else "{}:{}"
    ends = []
    for address, port in ((flow.source, flow.source_port), (flow.destination, flow.destination_port)):
        ends.append(joint.format(address, port) if port else str(address))
    words = f"{protocol_name(flow.protocol)} {' > '.join(ends)}"
    if flow.is_icmp:
        words += f" type {flow.icmp_type} code {flow.icmp_code}"
    if flow.is_translated:
        behind = flow.behind_translation()
        words += f" (translated to {joint.format(behind.destination, behind.destination_port)})"
    if flow.tracking is not Tracking.NEW:
        words += f" ({flow.tracking.value})"
    enters = "made by the node" if flow.enters is None else f"enters {flow.enters}"
    leaves = "for the node" if flow.leaves is None else f"leaves {flow.leaves}"
    return f"{words}, {enters}, {leaves}"
