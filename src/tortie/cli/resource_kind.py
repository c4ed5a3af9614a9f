"""What users may call a kind of resource (spec: model 1.4)."""

from __future__ import annotations

from collections.abc import Mapping

from tortie.net.error import InvalidInput

ALIASES: Mapping[str, tuple[str, ...]] = {
    "BGPConfiguration": ("bgpconfiguration", "bgpconfigurations", "bgpconfig", "bgpconfigs"),
    "BGPPeer": ("bgppeer", "bgppeers", "bgpp", "bgpps", "bp", "bps"),
    "ClusterInformation": ("clusterinformation", "clusterinformations", "clusterinfo", "clusterinfos"),
    "FelixConfiguration": ("felixconfiguration", "felixconfigurations", "felixconfig", "felixconfigs"),
    "GlobalNetworkPolicy": ("globalnetworkpolicy", "globalnetworkpolicies", "gnp", "gnps"),
    "GlobalNetworkSet": ("globalnetworkset", "globalnetworksets", "gnetsets"),
    "HostEndpoint": ("hostendpoint", "hostendpoints", "hep", "heps"),
    "IPPool": ("ippool", "ippools", "ipp", "ipps", "pool", "pools"),
    "NetworkPolicy": ("networkpolicy", "networkpolicies", "policy", "np", "policies", "pol", "pols"),
    "NetworkSet": ("networkset", "networksets", "netsets"),
    "Node": ("node", "nodes", "no", "nos"),
    "Profile": ("profile", "profiles", "pro", "pros"),
    "WorkloadEndpoint": ("workloadendpoint", "workloadendpoints", "wep", "weps"),
}
"""Kinds, and the words for them; capitals do not count."""
_KINDS = {alias: kind for kind, aliases in ALIASES.items() for alias in aliases}


def find_kind(word: str) -> str:
    """The kind that a word stands for; raises `InvalidInput` in calicoctl's words."""
    kind = _KINDS.get(word.lower())
    if kind is None:
        from tortie.model.problem import nearest

        remedy = nearest(word, _KINDS) or f"one of {', '.join(aliases[0] for aliases in ALIASES.values())}"
        raise InvalidInput(f"resource type '{word}' is not supported", remedy=remedy)
    return kind
