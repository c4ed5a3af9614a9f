"""Whom a node talks to: the mesh of all nodes, and the peers of `BGPPeer` resources from both of their ends.

A `BGPPeer` has a remote side (an address, or nodes by their labels) and a local side (all nodes, one, or nodes by their
labels). Both ends must be configured, so each resource is read three times: for its global peers, for the peers of nodes,
and in reverse (spec: model 9.3). A peer of all nodes wins over one node's; else who comes first wins, in order of the
names. An AS number of 0 is the cluster's here; Calico 3.7 would write the 0, which BIRD refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tortie.bgp.speaker import DEFAULT_AS_NUMBER
from tortie.model.bgp import BGPConfiguration, BGPPeer
from tortie.model.node import Node
from tortie.model.parameter import CLUSTER_NAME
from tortie.model.read import Resources
from tortie.net.address import Address, IPFamily
from tortie.net.error import InvalidInput
from tortie.selector.evaluate import selects
from tortie.selector.parse import parse_selector


@dataclass(frozen=True, slots=True)
class Remote:
    """The other end of a session; `cluster_id` is empty unless it is a route reflector of the cluster."""

    address: Address
    as_number: int
    cluster_id: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """A node of the cluster as BGP sees it."""

    node: Node
    as_number: int

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.metadata.name

    @property
    def cluster_id(self) -> str:
        """Its cluster id as a route reflector, or empty."""
        bgp = self.node.spec.bgp
        return "" if bgp is None or bgp.route_reflector_cluster_id is None else str(bgp.route_reflector_cluster_id)

    def address(self, family: IPFamily) -> Address | None:
        """Its address of a family."""
        bgp = self.node.spec.bgp
        if bgp is None:
            return None
        prefix = bgp.ipv4_address if family is IPFamily.V4 else bgp.ipv6_address
        return None if prefix is None else Address(family, prefix.address)

    def remotes(self) -> Iterator[Remote]:
        """What another node would configure for it, once a family."""
        for family in IPFamily:
            address = self.address(family)
            if address is not None:
                yield Remote(address, self.as_number, self.cluster_id)


def cluster_as_number(resources: Resources) -> int:
    """The AS number of nodes that say nothing else."""
    configuration = resources.get(BGPConfiguration, CLUSTER_NAME)
    return DEFAULT_AS_NUMBER if configuration is None else configuration.spec.as_number or DEFAULT_AS_NUMBER


def mesh_enabled(resources: Resources) -> bool:
    """Whether every node talks to every other, which is so unless it is switched off."""
    configuration = resources.get(BGPConfiguration, CLUSTER_NAME)
    return configuration is None or configuration.spec.node_to_node_mesh_enabled is not False


def cluster_members(resources: Resources) -> tuple[Member, ...]:
    """All nodes, by name."""
    common = cluster_as_number(resources)
    return tuple(
        Member(node, (node.spec.bgp.as_number if node.spec.bgp is not None else None) or common)
        for node in resources.of(Node)
    )


@dataclass(frozen=True, slots=True)
class Peerings:
    """The peers of one node that resources name: those that all nodes have, and its own."""

    common: tuple[Remote, ...] = ()
    own: tuple[Remote, ...] = ()


def peerings_of(resources: Resources, name: str) -> Peerings:
    """Who the resources say a node talks to besides the mesh, each by the text of its address."""
    members = cluster_members(resources)
    common_as = cluster_as_number(resources)
    peers = resources.of(BGPPeer)
    common: dict[Address, Remote] = {}
    for peer in peers:
        if not peer.spec.node and not peer.spec.node_selector:
            _add(common, _remote_side(peer, members, common_as))
    own: dict[Address, Remote] = {}
    for peer in peers:
        if (peer.spec.node or peer.spec.node_selector) and name in _names(_local_side(peer, members), peer):
            _add(own, _remote_side(peer, members, common_as), without=common)
    for peer in peers:
        if name in {member.name for member in _far_side(peer, members, common_as)}:
            near = _local_side(peer, members) if peer.spec.node or peer.spec.node_selector else members
            _add(own, (remote for member in near if member.name != name for remote in member.remotes()), without=common)
    return Peerings(_by_text(common), _by_text(own))


def _add(found: dict[Address, Remote], remotes: Iterable[Remote], *, without: dict[Address, Remote] | None = None) -> None:
    for remote in remotes:
        if without is None or remote.address not in without:
            found.setdefault(remote.address, remote)


def _by_text(found: dict[Address, Remote]) -> tuple[Remote, ...]:
    return tuple(found[address] for address in sorted(found, key=str))


def _names(local: Iterable[Member], peer: BGPPeer) -> set[str]:
    """Names of the local side; a node that is named counts also before its resource is there."""
    return {member.name for member in local} | ({peer.spec.node} if peer.spec.node else set())


def _remote_side(peer: BGPPeer, members: tuple[Member, ...], common_as: int) -> Iterator[Remote]:
    if peer.spec.peer_selector:
        selected = _selected(peer.spec.peer_selector)
        for member in members:
            if selected(member):
                yield from member.remotes()
    elif peer.spec.peer_ip is not None:
        yield Remote(peer.spec.peer_ip, peer.spec.as_number or common_as)


def _local_side(peer: BGPPeer, members: tuple[Member, ...]) -> Iterator[Member]:
    if peer.spec.node_selector:
        return filter(_selected(peer.spec.node_selector), members)
    return (member for member in members if member.name == peer.spec.node)


def _far_side(peer: BGPPeer, members: tuple[Member, ...], common_as: int) -> Iterator[Member]:
    """Nodes of the cluster that are the remote side, and so need the peering in reverse."""
    if peer.spec.peer_selector:
        return filter(_selected(peer.spec.peer_selector), members)
    as_number = peer.spec.as_number or common_as
    return (
        member
        for member in members
        if peer.spec.peer_ip is not None
        and peer.spec.peer_ip in (member.address(IPFamily.V4), member.address(IPFamily.V6))
        and member.as_number == as_number
    )


def _selected(text: str) -> Callable[[Member], bool]:
    """Which nodes a selector selects; one that cannot be read selects none, as in Calico 3.7."""
    try:
        tree = parse_selector(text)
    except InvalidInput:
        return lambda member: False
    return lambda member: selects(tree, member.node.metadata.labels)
