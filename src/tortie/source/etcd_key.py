"""Where Calico 3.7 keeps what in etcd (spec: model 8.1, 8.5, 8.6).

Policies are kept under their stored names (`default.x`); keys of resources here have the names that users see. Blocks,
affinities, handles and the configuration of IPAM have keys of their own, and are told as the resources that Calico makes
of them in Kubernetes (1.16).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from tortie.model.policy import shown_name
from tortie.model.read import Key
from tortie.net.address import Prefix, parse_prefix
from tortie.net.error import InvalidInput

RESOURCES = "/calico/resources/v3/projectcalico.org/"
IPAM = "/calico/ipam/v2/"
IPAM_CONFIG = f"{IPAM}config"
IPAM_BLOCKS = f"{IPAM}assignment/"
IPAM_HOSTS = f"{IPAM}host/"
IPAM_HANDLES = f"{IPAM}handle/"

PLURALS: Mapping[str, str] = {
    "BGPConfiguration": "bgpconfigurations",
    "BGPPeer": "bgppeers",
    "ClusterInformation": "clusterinformations",
    "FelixConfiguration": "felixconfigurations",
    "GlobalNetworkPolicy": "globalnetworkpolicies",
    "GlobalNetworkSet": "globalnetworksets",
    "HostEndpoint": "hostendpoints",
    "IPPool": "ippools",
    "NetworkPolicy": "networkpolicies",
    "NetworkSet": "networksets",
    "Node": "nodes",
    "Profile": "profiles",
    "WorkloadEndpoint": "workloadendpoints",
}
"""Kinds and the words for them in keys."""
IPAM_PLURALS: Mapping[str, str] = {
    "BlockAffinity": "blockaffinities",
    "IPAMBlock": "ipamblocks",
    "IPAMConfig": "ipamconfigs",
    "IPAMHandle": "ipamhandles",
}
"""Kinds that only Kubernetes knows by these words: in etcd they have the keys of IPAM."""
_KINDS = {plural: kind for kind, plural in PLURALS.items()}
_NAMESPACED = frozenset({"NetworkPolicy", "NetworkSet", "WorkloadEndpoint"})
_POLICIES = frozenset({"NetworkPolicy", "GlobalNetworkPolicy"})
_STORED_AS_IS = ("knp.", "ossg.")
_LONGEST_AFFINITY = 252


def stored_name(kind: str, name: str) -> str:
    """The name that a resource is kept under: policies' begin with their tier (spec: model 1.9)."""
    return f"default.{name}" if kind in _POLICIES and not name.startswith(_STORED_AS_IS) else name


def kind_prefix(kind: str, namespace: str = "") -> str:
    """What the keys of a kind, or of one namespace of it, begin with; the last letter is a slash."""
    assert not namespace or kind in _NAMESPACED
    return f"{RESOURCES}{PLURALS[kind]}/" + (f"{namespace}/" if namespace else "")


def resource_key(key: Key) -> str:
    """The key of a resource that is none of IPAM's."""
    assert bool(key.namespace) == (key.kind in _NAMESPACED), key
    return kind_prefix(key.kind, key.namespace) + stored_name(key.kind, key.name)


def block_key(cidr: Prefix) -> str:
    """The key of a block of addresses."""
    return f"{IPAM_BLOCKS}ipv{cidr.family.value}/block/{_dashed(cidr)}"


def affinity_key(host: str, cidr: Prefix) -> str:
    """The key of a node's claim to a block."""
    return f"{IPAM_HOSTS}{host}/ipv{cidr.family.value}/block/{_dashed(cidr)}"


def handle_key(handle: str) -> str:
    """The key of what one asker holds."""
    return IPAM_HANDLES + handle


def _dashed(cidr: Prefix) -> str:
    return str(cidr).replace("/", "-")


def block_name(cidr: Prefix) -> str:
    """What a block is called as a resource: `10-0-0-0-26` (spec: model 1.16)."""
    return str(cidr).translate(_NAME_LETTERS)


_NAME_LETTERS = str.maketrans(".:/", "---")


def affinity_name(host: str, cidr: Prefix) -> str:
    """What a node's claim is called as a resource; a long one ends in a hash (spec: model 1.16)."""
    block = block_name(cidr)
    name = f"{host}-{block}"
    if len(name) <= _LONGEST_AFFINITY:
        return name
    digest = hashlib.sha256(f"{host}+{block}".encode()).hexdigest()[:11]
    return f"{name[: _LONGEST_AFFINITY - len(digest) - 1]}-{digest}"


def parse_key(text: str) -> Key | None:
    """The resource that is kept under a key, by the name that users see; None for keys of something else."""
    if text.startswith(RESOURCES):
        return _parse_resource(text.removeprefix(RESOURCES).split("/"))
    if text == IPAM_CONFIG:
        return Key("IPAMConfig", "", "default")
    if text.startswith(IPAM_HANDLES) and text != IPAM_HANDLES:
        return Key("IPAMHandle", "", text.removeprefix(IPAM_HANDLES).lower())
    found = parse_ipam_key(text)
    if found is None:
        return None
    host, cidr = found
    if host is None:
        return Key("IPAMBlock", "", block_name(cidr))
    return Key("BlockAffinity", "", affinity_name(host, cidr))


def _parse_resource(words: list[str]) -> Key | None:
    kind = _KINDS.get(words[0])
    if kind is None or len(words) != (3 if kind in _NAMESPACED else 2) or not all(words):
        return None
    name = shown_name(words[-1]) if kind in _POLICIES else words[-1]
    if stored_name(kind, name) != words[-1]:
        return None  # A policy without a tier, or of another one than Calico 3.7 has.
    return Key(kind, words[1] if kind in _NAMESPACED else "", name)


def parse_ipam_key(text: str) -> tuple[str | None, Prefix] | None:
    """The block that a key of IPAM is about, behind the host that claims it; None for other keys.

    The host is None when the key is the block's own.
    """
    host: str | None = None
    if text.startswith(IPAM_BLOCKS):
        words = text.removeprefix(IPAM_BLOCKS).split("/")
    elif text.startswith(IPAM_HOSTS):
        host, *words = text.removeprefix(IPAM_HOSTS).split("/")
    else:
        return None
    if len(words) != 3 or words[1] != "block" or host == "" or "-" not in words[2]:
        return None
    try:
        cidr = parse_prefix("/".join(words[2].rsplit("-", 1)))
    except InvalidInput:
        return None
    return (host, cidr) if words[0] == f"ipv{cidr.family.value}" else None


# --- what Felix reports ------------------------------------------------------------------------------------------

_FELIX = "/calico/felix/"


def _region(region: str) -> str:
    return f"region-{region}" if region else "no-region"


def escape_part(text: str) -> str:
    """A name as one part of a path (spec: model 8.5)."""
    return text.replace("%", "%25").replace("/", "%2f")


def felix_status_key(host: str, region: str = "") -> str:
    """Where Felix says that it is alive, until that runs out."""
    return f"{_FELIX}v2/{_region(region)}/host/{host}/status"


def felix_last_status_key(host: str, region: str = "") -> str:
    """Where what Felix said last stays."""
    return f"{_FELIX}v2/{_region(region)}/host/{host}/last_reported_status"


def workload_status_key(host: str, orchestrator: str, workload: str, endpoint: str, region: str = "") -> str:
    """Where the status of a workload's endpoint is; `workload` is `<namespace>/<name>` as in Felix's ids."""
    parts = f"{escape_part(orchestrator)}/{escape_part(workload)}/endpoint/{escape_part(endpoint)}"
    return f"{workload_status_prefix(host, region)}{parts}"


def workload_status_prefix(host: str, region: str = "") -> str:
    """What the keys of a host's workloads' status begin with."""
    return f"{_FELIX}v2/{_region(region)}/host/{host}/workload/"


def host_endpoint_status_key(host: str, name: str) -> str:
    """Where the status of a host endpoint is."""
    return f"{host_endpoint_status_prefix(host)}{escape_part(name)}"


def host_endpoint_status_prefix(host: str) -> str:
    """What the keys of a host's host endpoints' status begin with."""
    return f"{_FELIX}v1/host/{host}/endpoint/"
