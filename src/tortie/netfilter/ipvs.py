"""IPVS services as values: what the kernel's load balancer answers at and where it sends connections.

A virtual service is known by protocol, address and port, or by the mark that rules gave the packet. How IPVS takes part
in the path is the simulator's business (spec: netfilter 13.3), the text is `codec`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tortie.net.address import Address, IPFamily


class Forwarding(Enum):
    """How a packet gets to a real server; `value` is ipvsadm's option."""

    MASQUERADING = "-m"
    """Its destination is rewritten."""
    GATEWAYING = "-g"
    """It is sent to the server's device as it is."""
    TUNNELLING = "-i"
    """It is wrapped into another packet."""


@dataclass(frozen=True, slots=True)
class RealServer:
    """Where connections go; `weight` 0 takes no new ones. `port` 0 keeps the packet's (services by mark)."""

    address: Address
    port: int
    forwarding: Forwarding
    weight: int = 1
    tunnel: tuple[str, ...] = ()
    """Words of a tunnel that is no IPIP, as ipvsadm writes them: `--tun-type`, `gue`, …"""


@dataclass(frozen=True, slots=True)
class VirtualService:
    """What IPVS answers at: `address`, `port` and `proto`, or `mark`; the other ones are None. Port 0 is any port."""

    family: IPFamily
    scheduler: str
    proto: int | None = None
    address: int | None = None
    port: int | None = None
    mark: int | None = None
    persistence_s: int | None = None
    """How long a client keeps its server; None without persistence."""
    persistence_length: int | None = None
    """Length of the prefix of client addresses that share a server, when it is not a single address."""
    engine: str | None = None
    one_packet: bool = False
    """Every packet is scheduled anew (UDP)."""
    scheduler_flags: str | None = None
    servers: tuple[RealServer, ...] = ()

    def __post_init__(self) -> None:
        if (self.mark is None) is (self.address is None):
            raise ValueError("a virtual service has either an address or a mark")
