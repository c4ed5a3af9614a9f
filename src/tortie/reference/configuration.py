"""What the configuration of a node says about policy, read from the resources (spec: model 1.13).

The node's own FelixConfiguration wins over the cluster's, field by field. What stands in a node's file or environment is
not among the resources: whoever knows of it hands in a `Configuration`. A parameter that an annotation overrides is text
that only Felix reads; if it matters here, the configuration says which it is, and decisions say that they cannot tell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tortie.model.cluster import ClusterInformation
from tortie.model.felix_configuration import FelixConfiguration
from tortie.model.read import Resources
from tortie.net.address import Prefix, parse_prefix
from tortie.net.error import InvalidInput
from tortie.net.protocol import TCP, UDP

ProtocolPorts = frozenset[tuple[int, int]]
"""Protocol numbers with ports."""

_ANNOTATION_PREFIX = "config.projectcalico.org/"
_THAT_MATTER = frozenset(
    (
        "ipv6support", "interfaceprefix", "interfaceexclude", "defaultendpointtohostaction", "failsafeinboundhostports",
        "failsafeoutboundhostports", "disableconntrackinvalidcheck", "ipinipenabled", "vxlanenabled", "vxlanport",
        "vxlanvni", "externalnodescidrlist", "metadataaddr", "metadataport", "clustertype",
    )
)  # fmt: skip
"""Parameters that change what is allowed, in small letters."""


def _ports(protocol: int, *numbers: int) -> ProtocolPorts:
    return frozenset((protocol, number) for number in numbers)


@dataclass(frozen=True, slots=True)
class Configuration:
    """The parameters that decide about packets, with Felix's defaults."""

    ipv6_support: bool = True
    interface_prefixes: tuple[str, ...] = ("cali",)
    interface_exclude: tuple[str, ...] = ("kube-ipvs0",)
    """Names, or regular expressions between slashes."""
    endpoint_to_host_action: str = "Drop"
    failsafe_inbound: ProtocolPorts = _ports(TCP, 22, 179, 2379, 2380, 6666, 6667) | _ports(UDP, 68)
    failsafe_outbound: ProtocolPorts = _ports(TCP, 179, 2379, 2380, 6666, 6667) | _ports(UDP, 53, 67)
    drop_invalid: bool = True
    ipip_enabled: bool = False
    vxlan_enabled: bool = False
    vxlan_port: int = 4789
    vxlan_vni: int = 4096
    external_nodes: tuple[Prefix, ...] = ()
    openstack: bool = False
    unreadable: str = ""
    """What about the configuration cannot be read here; empty when all can."""

    def is_workload_interface(self, name: str) -> bool:
        """True for an interface that is a workload's by its name."""
        return name.startswith(self.interface_prefixes)

    def is_excluded_interface(self, name: str) -> bool:
        """True for an interface that no host endpoint is found at."""
        for word in self.interface_exclude:
            if len(word) > 1 and word.startswith("/") and word.endswith("/"):
                if re.search(word[1:-1], name):
                    return True
            elif word == name:
                return True
        return False


def read_configuration(resources: Resources, node: str) -> Configuration:
    """What the resources say about one node."""
    told = [found for name in (f"node.{node}", "default") if (found := resources.get(FelixConfiguration, name)) is not None]

    def said(field: str) -> Any:
        """The first that is said; empty text says nothing (spec: model 4.6)."""
        return next((value for one in told if (value := getattr(one.spec, field)) not in (None, "")), None)

    information = resources.get(ClusterInformation, "default")
    given: dict[str, Any] = {
        "ipv6_support": said("ipv6_support"),
        "interface_prefixes": _words(said("interface_prefix")),
        "interface_exclude": _words(said("interface_exclude")),
        "endpoint_to_host_action": said("default_endpoint_to_host_action"),
        "drop_invalid": _opposite(said("disable_conntrack_invalid_check")),
        "ipip_enabled": said("ipip_enabled"),
        "vxlan_enabled": said("vxlan_enabled"),
        "vxlan_port": said("vxlan_port"),
        "vxlan_vni": said("vxlan_vni"),
    }
    unreadable = [_overridden(one) for one in told]
    for field in ("failsafe_inbound", "failsafe_outbound"):
        ports = said(f"{field}_host_ports")
        if ports is not None:
            given[field] = frozenset((_PROTOCOLS.get(one.protocol.lower(), -1), one.port) for one in ports)
            unreadable += [f"a failsafe port has protocol {one.protocol}" for one in ports if _is_unknown(one.protocol)]
    try:
        given["external_nodes"] = tuple(parse_prefix(text).network for text in said("external_nodes_list") or ())
    except InvalidInput as problem:
        unreadable.append(str(problem))
    prefixes = given["interface_prefixes"] or ()
    given["openstack"] = (
        (information is not None and "openstack" in information.spec.cluster_type.lower())
        or said("metadata_addr") not in (None, "127.0.0.1")
        or said("metadata_port") not in (None, 0, 8775)
        or "tap" in prefixes
    )
    known = {field: value for field, value in given.items() if value is not None}
    return Configuration(**known, unreadable=next(filter(None, unreadable), ""))


_PROTOCOLS = {"tcp": TCP, "udp": UDP}


def _is_unknown(protocol: str) -> bool:
    return protocol.lower() not in _PROTOCOLS


def _words(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(text.split(","))


def _opposite(switch: bool | None) -> bool | None:
    return None if switch is None else not switch


def _overridden(configuration: FelixConfiguration) -> str:
    for name in configuration.metadata.annotations:
        if name.startswith(_ANNOTATION_PREFIX) and name.removeprefix(_ANNOTATION_PREFIX).lower() in _THAT_MATTER:
            return f"an annotation of FelixConfiguration({configuration.metadata.name}) overrides {name}"
    return ""
