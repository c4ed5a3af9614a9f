"""Resources as tables, with the columns of calicoctl 3.7 (its `resourcemgr`).

Cells are padded as Go's tabwriter does it there: at least five wide, three blanks behind the longest, the last one too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tortie.net.error import InvalidInput

Cell = Callable[[Any], str]
_LONGEST_NETS = 80
_PADDING, _NARROWEST = 3, 5


def _joined(values: Iterable[Any]) -> str:
    return ",".join(map(str, values))


def _shortened(values: Iterable[Any]) -> str:
    text = _joined(values)
    return text if len(text) <= _LONGEST_NETS else f"{text[: _LONGEST_NETS - 3]}..."


def _go(value: Any) -> str:
    """A value as Go's templates print it; what is not there is `<nil>`."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.17g}" if value != int(value) else str(int(value))
    return str(value)


def _bgp(field: str) -> Cell:
    def cell(node: Any) -> str:
        value = getattr(node.spec.bgp, field) if node.spec.bgp is not None else None
        return "" if value is None else str(value)

    return cell


def _peer_node(peer: Any) -> str:
    return str(peer.spec.node or peer.spec.node_selector or "(global)")


def _nats(endpoint: Any) -> str:
    return _joined(f"{{{nat.internal_ip} {nat.external_ip}}}" for nat in endpoint.spec.ip_nats)


_NAME: Mapping[str, Cell] = {"NAME": lambda one: str(one.metadata.name)}
_POLICY: Mapping[str, Cell] = {
    **_NAME,
    "ORDER": lambda policy: _go(policy.spec.order),
    "SELECTOR": lambda policy: str(policy.spec.selector),
}
_NETS: Mapping[str, Cell] = {**_NAME, "NETS": lambda one: _shortened(one.spec.nets)}
CELLS: Mapping[str, Mapping[str, Cell]] = {
    "BGPConfiguration": {
        **_NAME,
        "LOGSEVERITY": lambda config: str(config.spec.log_severity_screen),
        "MESHENABLED": lambda config: _dash(config.spec.node_to_node_mesh_enabled),
        "ASNUMBER": lambda config: _dash(config.spec.as_number),
    },
    "BGPPeer": {
        **_NAME,
        "PEERIP": lambda peer: "" if peer.spec.peer_ip is None else str(peer.spec.peer_ip),
        "NODE": _peer_node,
        "ASN": lambda peer: str(peer.spec.as_number),
    },
    "ClusterInformation": {
        **_NAME,
        "CLUSTERGUID": lambda info: str(info.spec.cluster_guid),
        "CLUSTERTYPE": lambda info: str(info.spec.cluster_type),
        "CALICOVERSION": lambda info: str(info.spec.calico_version),
        "DATASTOREREADY": lambda info: _go(info.spec.datastore_ready),
    },
    "FelixConfiguration": _NAME,
    "GlobalNetworkPolicy": _POLICY,
    "GlobalNetworkSet": _NETS,
    "HostEndpoint": {
        **_NAME,
        "NODE": lambda endpoint: str(endpoint.spec.node),
        "INTERFACE": lambda endpoint: str(endpoint.spec.interface_name),
        "IPS": lambda endpoint: _joined(endpoint.spec.expected_ips),
        "PROFILES": lambda endpoint: _joined(endpoint.spec.profiles),
    },
    "IPPool": {
        **_NAME,
        "CIDR": lambda pool: str(pool.spec.cidr),
        "NAT": lambda pool: _go(pool.spec.nat_outgoing),
        "IPIPMODE": lambda pool: str(pool.spec.ipip_mode.value),
        "VXLANMODE": lambda pool: str(pool.spec.vxlan_mode.value),
        "DISABLED": lambda pool: _go(pool.spec.disabled),
        "SELECTOR": lambda pool: str(pool.spec.node_selector),
    },
    "NetworkPolicy": _POLICY,
    "NetworkSet": _NETS,
    "Node": {**_NAME, "ASN": _bgp("as_number"), "IPV4": _bgp("ipv4_address"), "IPV6": _bgp("ipv6_address")},
    "Profile": {**_NAME, "LABELS": lambda profile: _joined(f"{k}:{v}" for k, v in profile.spec.labels_to_apply.items())},
    "WorkloadEndpoint": {
        **_NAME,
        "WORKLOAD": lambda endpoint: str(endpoint.spec.workload or endpoint.spec.pod),
        "ORCHESTRATOR": lambda endpoint: str(endpoint.spec.orchestrator),
        "NODE": lambda endpoint: str(endpoint.spec.node),
        "NETWORKS": lambda endpoint: _joined(endpoint.spec.ip_networks),
        "INTERFACE": lambda endpoint: str(endpoint.spec.interface_name),
        "PROFILES": lambda endpoint: _joined(endpoint.spec.profiles),
        "NATS": _nats,
    },
}
"""Kinds, and what each of their columns shows."""
NAMESPACED = ("NetworkPolicy", "NetworkSet", "WorkloadEndpoint")
_NARROW: Mapping[str, tuple[str, ...]] = {
    "GlobalNetworkPolicy": ("NAME",),
    "GlobalNetworkSet": ("NAME",),
    "HostEndpoint": ("NAME", "NODE"),
    "IPPool": ("NAME", "CIDR", "SELECTOR"),
    "NetworkPolicy": ("NAME",),
    "NetworkSet": ("NAME",),
    "Node": ("NAME",),
    "Profile": ("NAME",),
    "WorkloadEndpoint": ("WORKLOAD", "NODE", "NETWORKS", "INTERFACE"),
}
"""The columns of kinds that show more when asked to be wide."""
_WIDE: Mapping[str, tuple[str, ...]] = {
    "WorkloadEndpoint": ("NAME", "WORKLOAD", "NODE", "NETWORKS", "INTERFACE", "PROFILES", "NATS"),
}


def _dash(value: Any) -> str:
    return "-" if value is None else _go(value)


def default_columns(kind: str, *, wide: bool) -> tuple[str, ...]:
    """The columns that are shown when none are asked for."""
    whole = _WIDE.get(kind, tuple(CELLS[kind]))
    return whole if wide else _NARROW.get(kind, whole)


def format_table(
    kind: str, resources: Sequence[Any], columns: Sequence[str], *, with_namespace: bool = False, as_number: str = ""
) -> str:
    """The table, a heading first; `as_number` is the cluster's, for nodes without one. Raises `InvalidInput`."""
    cells = dict(CELLS[kind])
    if kind == "Node" and as_number:
        cells["ASN"] = lambda node: "" if node.spec.bgp is None else str(node.spec.bgp.as_number or f"({as_number})")
    if kind in NAMESPACED:
        cells["NAMESPACE"] = lambda one: str(one.metadata.namespace)
        if with_namespace and "NAMESPACE" not in columns:
            columns = ("NAMESPACE", *columns)
    for column in columns:
        if column not in cells:
            raise InvalidInput(f"Unknown heading {column}, valid values are: {', '.join(sorted(cells))}")
    rows = [tuple(columns), *(tuple(cells[column](one) for column in columns) for one in resources)]
    return format_rows(rows)


def format_rows(rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns that are as wide as they must be."""
    widths = [max(_NARROWEST, _PADDING + max(map(len, column))) for column in zip(*rows, strict=True)]
    lines = ("".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "".join(f"{line}\n" for line in lines)
