"""Clusters for the tests of BGP, as short texts."""

from __future__ import annotations

from tortie.model.read import Resources, parse_resources


def node(name: str, bgp: str, labels: str = "") -> str:
    """A Node with a BGP part."""
    metadata = f"{{name: {name}, labels: {{{labels}}}}}"
    return f"apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {metadata}\nspec: {{bgp: {{{bgp}}}}}\n"


def peer(name: str, *fields: str) -> str:
    """A BGPPeer with these lines in its spec."""
    spec = "".join(f"  {line}\n" for line in fields)
    return f"apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {{name: {name}}}\nspec:\n{spec}"


def pool(name: str, cidr: str, mode: str = "") -> str:
    """An IPPool."""
    return f"apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {{name: {name}}}\nspec: {{cidr: '{cidr}'{mode}}}\n"


def affinity(node: str, cidr: str, state: str = "confirmed", deleted: str = "false") -> str:
    """A node's claim to a block."""
    name = f"{node}-{cidr.replace('.', '-').replace('/', '-').replace(':', '-')}"
    spec = f"cidr: '{cidr}', node: {node}, state: '{state}', deleted: '{deleted}'"
    return f"apiVersion: crd.projectcalico.org/v1\nkind: BlockAffinity\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"


def configuration(name: str, spec: str) -> str:
    """A BGPConfiguration."""
    return f"apiVersion: projectcalico.org/v3\nkind: BGPConfiguration\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"


def cluster(*texts: str) -> Resources:
    """All resources of these texts."""
    return parse_resources([("test", "---\n".join(texts))])


NODES = "---\n".join(
    (
        node("a", "ipv4Address: 10.0.0.1/24, ipv6Address: 'fd00::1/64'", "rack: one"),
        node("b", "ipv4Address: 10.0.0.2/24", "rack: two"),
        node("c", "ipv4Address: 10.0.0.3/24, asNumber: 65001"),
        node("r", "ipv4Address: 10.0.0.9/24, routeReflectorClusterID: 1.1.1.1", "reflector: 'yes'"),
    )
)
"""Four nodes: two racks, one of another AS, one route reflector."""
