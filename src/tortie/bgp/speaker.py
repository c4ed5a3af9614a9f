"""What one node's BGP has to be, as a value: who it is, whom it talks to, what it announces.

Everything is decided here; the modules that write configuration only spell it (`bird1`, `bird2`). Addresses, AS numbers and
cluster ids are this node's own unless they are a peer's. Source: spec model 9.2 to 9.7 (confd's templates of Calico 3.7).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from tortie.net.address import Address, IPFamily, Prefix

DEFAULT_AS_NUMBER = 64512


class PeerKind(Enum):
    """Why there is a session; `value` is the beginning of its name, which status tools of Calico read."""

    MESH = "Mesh"
    GLOBAL = "Global"
    NODE = "Node"


class Tunnel(Enum):
    """What wraps the traffic between the addresses of a pool."""

    NONE = "none"
    IPIP = "ipip"
    IPIP_CROSS_SUBNET = "ipip-cross-subnet"
    VXLAN = "vxlan"


class LogLevel(Enum):
    """How much BIRD logs of a protocol."""

    DEBUG = "debug"
    INFO = "info"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Peer:
    """One session; `passive` waits for the other side, `reflect_to` treats it as a client of this route reflector."""

    kind: PeerKind
    address: Address
    as_number: int
    passive: bool = False
    reflect_to: bool = False

    @property
    def name(self) -> str:
        """The protocol's name in BIRD."""
        return f"{self.kind.value}_{str(self.address).replace('.', '_').replace(':', '_')}"


@dataclass(frozen=True, slots=True)
class PoolNetwork:
    """A pool's network: its addresses are announced, and what is learned for them is installed as the tunnel demands."""

    cidr: Prefix
    tunnel: Tunnel = Tunnel.NONE


@dataclass(frozen=True, slots=True)
class OwnBlock:
    """A block of addresses that this node claims; only a confirmed claim is announced as a whole."""

    cidr: Prefix
    confirmed: bool = True


@dataclass(frozen=True, slots=True)
class Speaker:
    """All of one node's BGP; each tuple is in the order in which it is written.

    A family without an address in `addresses` has no sessions. `static_routes` are announced and blackholed here,
    `rejected` never gets into the kernel.
    """

    node: str
    router_id: str
    as_number: int = DEFAULT_AS_NUMBER
    addresses: tuple[Address, ...] = ()
    subnet: Prefix | None = None
    """The IPv4 subnet that the node is in, within which cross-subnet pools need no tunnel."""
    cluster_id: str = ""
    log_level: LogLevel = LogLevel.INFO
    peers: tuple[Peer, ...] = ()
    pools: tuple[PoolNetwork, ...] = ()
    blocks: tuple[OwnBlock, ...] = ()
    static_routes: tuple[Prefix, ...] = ()
    rejected: tuple[Prefix, ...] = ()
    workload_prefixes: tuple[str, ...] = field(default=("cali",))
    """How names of workload interfaces begin; their subnets are no news to anybody."""

    def address(self, family: IPFamily) -> Address | None:
        """The node's address of a family."""
        return next((address for address in self.addresses if address.family is family), None)

    def peers_of(self, family: IPFamily) -> tuple[Peer, ...]:
        """The sessions of a family, which there are only where the node has an address."""
        if self.address(family) is None:
            return ()
        return tuple(peer for peer in self.peers if peer.address.family is family)
