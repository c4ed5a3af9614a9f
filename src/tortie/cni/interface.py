"""The pair of interfaces between a container and its node, as values: what each end has (spec: model 10.4).

The container's end has its addresses alone, each as a network of one, and sends everything to the node's end: for IPv4
by way of 169.254.1.1, which nobody has and the node answers ARP for, for IPv6 by way of the link-local address of the
node's end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tortie.net.address import IPFamily, Prefix, parse_prefix

HOST_MAC = "ee:ee:ee:ee:ee:ee"
GATEWAY_V4 = "169.254.1.1"
ANYWHERE = {IPFamily.V4: parse_prefix("0.0.0.0/0"), IPFamily.V6: parse_prefix("::/0")}


@dataclass(frozen=True, slots=True)
class PodInterface:
    """One pair: `name` in the namespace at `namespace_path`, `host_name` on the node; an MTU of 0 is the kernel's own."""

    name: str
    host_name: str
    namespace_path: str
    networks: tuple[Prefix, ...]
    mtu: int = 0
    allow_forwarding: bool = False

    @property
    def families(self) -> tuple[IPFamily, ...]:
        """The families of its addresses."""
        return tuple(family for family in IPFamily if any(network.family is family for network in self.networks))


def creation_words(interface: PodInterface) -> list[str]:
    """What `ip` is told, on the node, to make the pair with its other end in the container."""
    mtu = ["mtu", str(interface.mtu)] if interface.mtu else []
    return [
        *("link", "add", interface.host_name, *mtu, "address", HOST_MAC),
        *("type", "veth", "peer", "name", interface.name, *mtu, "netns", interface.namespace_path),
    ]


def inside_lines(interface: PodInterface, host_link_local: str | None) -> Iterator[str]:
    """What `ip -batch` is told in the container; `host_link_local` is needed where there is IPv6."""
    name = interface.name
    yield f"link set {name} up"
    for network in interface.networks:
        extra = " nodad" if network.family is IPFamily.V6 else ""
        yield f"addr add {network} dev {name}{extra}"
    if IPFamily.V4 in interface.families:
        yield f"route add {GATEWAY_V4}/32 dev {name} scope link"
        yield f"route add {ANYWHERE[IPFamily.V4]} via {GATEWAY_V4} dev {name}"
    if IPFamily.V6 in interface.families:
        if host_link_local is None:
            raise ValueError("IPv6 needs the node's link-local address")
        yield f"route add {ANYWHERE[IPFamily.V6]} via {host_link_local} dev {name}"


def inside_sysctls(interface: PodInterface) -> Iterator[tuple[str, str]]:
    """Sysctls in the container, as paths below /proc/sys and values, in order."""
    forward = "1" if interface.allow_forwarding else "0"
    if IPFamily.V4 in interface.families:
        yield "net/ipv4/ip_forward", forward
    if IPFamily.V6 in interface.families:
        for name in ("all", "default", "lo"):
            yield f"net/ipv6/conf/{name}/disable_ipv6", "0"
        yield "net/ipv6/conf/all/forwarding", forward


def outside_sysctls(interface: PodInterface) -> Iterator[tuple[str, str]]:
    """Sysctls of the node's end."""
    name = interface.host_name
    if IPFamily.V4 in interface.families:
        yield f"net/ipv4/neigh/{name}/proxy_delay", "0"
        yield f"net/ipv4/conf/{name}/proxy_arp", "1"
        yield f"net/ipv4/conf/{name}/forwarding", "1"
    if IPFamily.V6 in interface.families:
        yield f"net/ipv6/conf/{name}/disable_ipv6", "0"
        yield f"net/ipv6/conf/{name}/proxy_ndp", "1"
        yield f"net/ipv6/conf/{name}/forwarding", "1"


def outside_routes(interface: PodInterface) -> Iterator[str]:
    """The node's routes to the container, for `ip -batch`."""
    for network in interface.networks:
        yield f"route add {network} dev {interface.host_name} scope link"
