"""Settings below /proc/sys that the node and workloads' interfaces need (spec: model 7.2), in the order of writing.

`rp_filter` 1 on a workload's interface is what stops it from sending with an address that is not routed to it, and it holds
only while the setting for all interfaces is not looser (Documentation/networking/ip-sysctl.rst: the larger of the two
counts).
"""

from __future__ import annotations

from collections.abc import Iterable

from tortie.net.address import IPFamily
from tortie.reconcile.network import Setting

ALL_RP_FILTER = "net/ipv4/conf/all/rp_filter"
_OF_WORKLOADS: dict[IPFamily, tuple[tuple[str, str], ...]] = {
    IPFamily.V4: (
        ("net/ipv4/conf/{}/rp_filter", "1"),
        ("net/ipv4/conf/{}/route_localnet", "1"),
        ("net/ipv4/neigh/{}/proxy_delay", "0"),
        ("net/ipv4/conf/{}/proxy_arp", "1"),
        ("net/ipv4/conf/{}/forwarding", "1"),
    ),
    IPFamily.V6: (
        ("net/ipv6/conf/{}/proxy_ndp", "1"),
        ("net/ipv6/conf/{}/forwarding", "1"),
    ),
}


def node_settings() -> tuple[Setting, ...]:
    """What interfaces that come later start with."""
    return (Setting("net/ipv4/conf/default/rp_filter", "1"),)


def workload_settings(interfaces: Iterable[str], families: tuple[IPFamily, ...]) -> tuple[Setting, ...]:
    """What the interfaces of workloads need."""
    return tuple(
        Setting(path.format(interface), value, interface)
        for interface in interfaces
        for family in families
        for path, value in _OF_WORKLOADS[family]
    )


def loose_source_check(all_rp_filter: str | None, *, ignore: bool) -> str | None:
    """What is wrong with the setting for all interfaces, if anything; None too where it is to be ignored."""
    if ignore or all_rp_filter is None or not all_rp_filter.isdigit() or int(all_rp_filter) <= 1:
        return None
    return (
        f"net.ipv4.conf.all.rp_filter is {all_rp_filter}: workloads could send with addresses of others; "
        "set it to 0 or 1, or set IgnoreLooseRPF"
    )
