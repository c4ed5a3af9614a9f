"""BGP: what all nodes do, and whom they talk to (spec: model 1.14, 1.15)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from tortie.model.metadata import Metadata
from tortie.model.name import Name
from tortie.model.problem import FieldProblem
from tortie.model.reader import Named, Reads
from tortie.model.scalar import AnyAddress, ASNumber, read_word_of

LOG_LEVELS = ("Debug", "Info", "Warning", "Error", "Fatal")
LogLevel: TypeAlias = Annotated[str, Reads(read_word_of(*LOG_LEVELS))]
"""Empty or one of `LOG_LEVELS`."""


@dataclass(frozen=True, slots=True)
class BGPConfigurationSpec:
    """Settings of BGP; what is not given has Calico's defaults: Info, a mesh of all nodes, AS 64512."""

    log_severity_screen: LogLevel = ""
    node_to_node_mesh_enabled: bool | None = None
    as_number: ASNumber | None = None


@dataclass(frozen=True, slots=True)
class BGPConfiguration:
    """BGP's settings for the cluster (`default`) or for one node (`node.<name>`)."""

    metadata: Metadata
    spec: BGPConfigurationSpec = BGPConfigurationSpec()

    def problems(self) -> Iterator[FieldProblem]:
        """Two settings are the cluster's alone."""
        if self.metadata.name == "default":
            return
        if self.spec.node_to_node_mesh_enabled is not None:
            message = "Cannot set nodeToNodeMeshEnabled on a non default BGP Configuration."
            yield FieldProblem(message, path=("spec", "nodeToNodeMeshEnabled"))
        if self.spec.as_number is not None:
            message = "Cannot set ASNumber on a non default BGP Configuration."
            yield FieldProblem(message, path=("spec", "asNumber"))


@dataclass(frozen=True, slots=True)
class BGPPeerSpec:
    """Which nodes have the peer, and who it is: an address, or nodes of the cluster by their labels.

    The selectors are not checked, as in Calico 3.7: one that cannot be read selects nothing.
    """

    node: Name = ""
    peer_ip: Annotated[AnyAddress | None, Named("peerIP")] = None
    as_number: ASNumber = 0
    node_selector: str = ""
    peer_selector: str = ""

    def problems(self) -> Iterator[FieldProblem]:
        """What excludes each other."""
        if self.node and self.node_selector:
            yield FieldProblem("Node field must be empty when NodeSelector is specified", path=("node",))
        if self.peer_ip is not None and self.peer_selector:
            yield FieldProblem("PeerIP field must be empty when PeerSelector is specified", path=("peerIP",))
        if self.as_number and self.peer_selector:
            yield FieldProblem("ASNumber field must be empty when PeerSelector is specified", path=("asNumber",))


@dataclass(frozen=True, slots=True)
class BGPPeer:
    """A peer of some or all nodes."""

    metadata: Metadata
    spec: BGPPeerSpec = BGPPeerSpec()
