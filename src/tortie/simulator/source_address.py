"""Which of its addresses a node puts into a packet: the choice for an unspecified source, MASQUERADE and REDIRECT.

IPv4 takes the first fitting address of a list (inet_select_addr in net/ipv4/devinet.c; spec: netfilter 5.5). IPv6 weighs
all addresses against each other by RFC 6724 as the kernel has it (ipv6_dev_get_saddr in net/ipv6/addrconf.c): same address,
scope, not deprecated, outgoing device, label, longest common prefix. Privacy and optimistic addresses are not told apart:
a snapshot does not say which ones are.
"""

from __future__ import annotations

from enum import IntFlag

from tortie.net.node import InterfaceAddress
from tortie.simulator.device import SCOPE, Devices, scope_number

_HOST, _LINK = SCOPE["host"], SCOPE["link"]


def select_v4(devices: Devices, iface: str, towards: int, scope: int, *, route_localnet: bool) -> int | None:
    """The source for packets out of a device: an address whose subnet holds `towards` (0 for any), else the first of the
    device with that scope or wider, else one of another device; None when the node has none."""
    widest = _LINK if route_localnet else _HOST
    first: int | None = None
    for own in devices.addresses.get(iface, ()):
        if own.secondary or min(scope_number(own.scope), widest) > scope:
            continue
        if not towards or on_subnet(own, towards):
            return own.prefix.address
        if first is None:
            first = own.prefix.address
    if first is not None:
        return first
    for link in devices.ordered:
        if devices.in_vrf(link.name) != devices.in_vrf(iface):
            continue
        for own in devices.addresses[link.name]:
            number = scope_number(own.scope)
            if not own.secondary and number != _LINK and number <= scope:
                return own.prefix.address
    return None


def on_subnet(own: InterfaceAddress, address: int) -> bool:
    """True when an address lies in the subnet of an interface address; of its peer where it has one."""
    prefix = own.peer if own.peer is not None else own.prefix
    return not (prefix.address ^ address) & own.prefix.mask


def redirect_v4(devices: Devices, iface: str) -> int | None:
    """Where REDIRECT sends a packet that came in by a device: its first address of any scope (spec: netfilter 5.6)."""
    found = devices.addresses.get(iface, ())
    return found[0].prefix.address if found else None


# --- IPv6 --------------------------------------------------------------------------------------------------------


class Kind6(IntFlag):
    """The kernel's classes of IPv6 addresses (include/net/ipv6.h); an address may be in several, `::` is in none."""

    UNICAST = 1
    MULTICAST = 2
    LOOPBACK = 0x10
    LINK_LOCAL = 0x20
    SITE_LOCAL = 0x40
    COMPATIBLE = 0x80
    MAPPED = 0x1000


_LINK_SCOPE, _SITE_SCOPE, _GLOBAL_SCOPE = 2, 5, 14
_SCOPE_CLASSES = Kind6.LOOPBACK | Kind6.LINK_LOCAL | Kind6.SITE_LOCAL | Kind6.COMPATIBLE
_MULTICAST_CLASS = {1: Kind6.LOOPBACK, 2: Kind6.LINK_LOCAL, 5: Kind6.SITE_LOCAL}


def classify_v6(address: int) -> tuple[Kind6, int]:
    """The classes of an address and its scope from 0 to 15, -1 for `::` (__ipv6_addr_type in net/ipv6/addrconf_core.c)."""
    top = address >> 120
    if top == 0xFF:
        scope = address >> 112 & 15
        return Kind6.MULTICAST | _MULTICAST_CLASS.get(scope, Kind6(0)), scope
    if top >> 5 not in (0, 7):
        return Kind6.UNICAST, _GLOBAL_SCOPE
    ten = address >> 118
    if ten == 0x3FA:
        return Kind6.UNICAST | Kind6.LINK_LOCAL, _LINK_SCOPE
    if ten == 0x3FB:
        return Kind6.UNICAST | Kind6.SITE_LOCAL, _SITE_SCOPE
    if address >> 32 == 0:
        if address == 0:
            return Kind6(0), -1
        if address == 1:
            return Kind6.UNICAST | Kind6.LOOPBACK, _LINK_SCOPE
        return Kind6.UNICAST | Kind6.COMPATIBLE, _GLOBAL_SCOPE
    if address >> 32 == 0xFFFF:
        return Kind6.MAPPED, _GLOBAL_SCOPE
    return Kind6.UNICAST, _GLOBAL_SCOPE


def needs_device(address: int) -> bool:
    """True for addresses that mean something on one link only: multicast, link-local, `::1` (rt6_need_strict)."""
    return bool(classify_v6(address)[0] & (Kind6.MULTICAST | Kind6.LINK_LOCAL | Kind6.LOOPBACK))


_LABELS: tuple[tuple[int, int, int], ...] = (
    (1, 128, 0),
    (0, 96, 3),
    (0xFFFF << 32, 96, 4),
    (0x2001_0000 << 96, 32, 6),
    (0x2001_0010 << 96, 28, 7),
    (0x3FFE << 112, 16, 12),
    (0x2002 << 112, 16, 2),
    (0xFEC0 << 112, 10, 11),
    (0xFC00 << 112, 7, 5),
    (0, 0, 1),
)
"""Prefix, length and label, longest prefix first (ip6addrlbl_init_table in net/ipv6/addrlabel.c)."""


def label_v6(address: int) -> int:
    """The label of RFC 6724's policy table, as the kernel has it by default."""
    return next(label for prefix, length, label in _LABELS if not (prefix ^ address) >> (128 - length))


def _rank(own: InterfaceAddress, on_device: bool, dst: int, dst_scope: int) -> tuple[int, ...]:
    """What RFC 6724 compares, in its order: greater wins."""
    address = own.prefix.address
    classes, scope = classify_v6(address)
    return (
        address == dst,
        -scope if scope >= dst_scope else scope - 128,
        bool(classes & (Kind6.MAPPED | Kind6.COMPATIBLE | Kind6.LOOPBACK)) or not own.deprecated,
        on_device,
        label_v6(address) == label_v6(dst),
        # Rule 8 compares no further than the prefix of the source.
        _is_orchid(address) == _is_orchid(dst),
        min(128 - (address ^ dst).bit_length(), own.prefix.length),
    )


def _is_orchid(address: int) -> bool:
    return address >> 100 == 0x2001_001


def select_v6(devices: Devices, iface: str | None, dst: int, *, only_device: bool = False) -> int | None:
    """The best source toward `dst` for packets out of a device; None when there is none.

    `only_device` is the sysctl use_oif_addrs_only; destinations on the link and groups ask for it by themselves.
    """
    classes, dst_scope = classify_v6(dst)
    if iface is not None and (classes & Kind6.MULTICAST or dst_scope <= _LINK_SCOPE):
        only_device = True
    best: int | None = None
    best_rank: tuple[int, ...] = ()
    for link in devices.ordered:
        if iface is not None and link.name != iface and (only_device or devices.in_vrf(link.name) != devices.in_vrf(iface)):
            continue
        for own in devices.addresses[link.name]:
            if own.tentative or own.prefix.address == 0:
                continue
            rank = _rank(own, iface is None or link.name == iface, dst, dst_scope)
            if best is None or rank > best_rank:
                best, best_rank = own.prefix.address, rank
    return best


def redirect_v6(devices: Devices, iface: str, dst: int | None) -> int | None:
    """Where REDIRECT sends a packet that came in by a device: the first address of the destination's scope class
    (nf_nat_redirect_ipv6 in net/netfilter/nf_nat_redirect.c)."""
    wanted = classify_v6(dst)[0] & _SCOPE_CLASSES if dst is not None else Kind6(0)
    for own in devices.addresses.get(iface, ()):
        classes = classify_v6(own.prefix.address)[0]
        if classes & Kind6.MAPPED or own.tentative or (wanted and not wanted & classes):
            continue
        return own.prefix.address
    return None


def solicited_node_group(address: int) -> int:
    """The multicast group that every owner of an address listens to (RFC 4291 section 2.7.1)."""
    return 0xFF02_0000_0000_0000_0000_0001_FF00_0000 | address & 0xFFFFFF
