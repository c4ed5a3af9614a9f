"""What the node itself tells the renderer: its interfaces, its iptables, whether IPVS is in use.

None of it comes from the cluster's resources. The values are handed in by whoever can look (`kernel`); detecting features
from version texts is pure and lives here. `RenderContext` is what all rendering of one node shares.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tortie.net.address import Address
from tortie.netfilter.hook import TableName
from tortie.render.config import RenderConfig
from tortie.render.marks import MarkBits, allocate_bits
from tortie.render.text import ACCEPT, RETURN, Action

_IPTABLES_VERSION = re.compile(r"v(\d+\.\d+\.\d+)")
_KERNEL_VERSION = re.compile(r"Linux version (\d+\.\d+\.\d+)")
_OLDEST_IPTABLES = (1, 4, 7)
_OLDEST_KERNEL = (3, 10, 0)


@dataclass(frozen=True, slots=True)
class Features:
    """What iptables and kernel can do, as far as it changes rule text and so the hashes of all later rules of a chain."""

    snat_random_fully: bool = True
    masquerade_random_fully: bool = True


def detect_features(iptables_version: str, proc_version: str) -> Features:
    """Features from what `iptables --version` and `/proc/version` say; of an unreadable text the oldest is assumed.

    One detector serves both families; only the IPv4 binary is asked (spec: rules 1.4).
    """
    iptables = _version(_IPTABLES_VERSION, iptables_version, _OLDEST_IPTABLES)
    kernel_new_enough = _version(_KERNEL_VERSION, proc_version, _OLDEST_KERNEL) >= (3, 14, 0)
    return Features(
        snat_random_fully=kernel_new_enough and iptables >= (1, 6, 0),
        masquerade_random_fully=kernel_new_enough and iptables >= (1, 6, 2),
    )


def _version(pattern: re.Pattern[str], text: str, otherwise: tuple[int, ...]) -> tuple[int, ...]:
    found = pattern.search(text)
    return tuple(int(part) for part in found.group(1).split(".")) if found else otherwise


@dataclass(frozen=True, slots=True)
class NodeInterface:
    """A network interface of the node and all its addresses."""

    name: str
    addresses: frozenset[Address] = frozenset()


@dataclass(frozen=True, slots=True)
class NodeState:
    """The node as it is: `ipvs` is whether `kube-ipvs0` existed at start-up."""

    interfaces: tuple[NodeInterface, ...] = ()
    features: Features = Features()
    ipvs: bool = False
    endpoint_marks: Mapping[str, int] = field(default_factory=dict)
    """Endpoint marks that are in use already, by interface; they are kept (spec: rules 2.3)."""


@dataclass(frozen=True, slots=True)
class RenderContext:
    """What every chain of one node is rendered with."""

    config: RenderConfig
    bits: MarkBits
    features: Features = Features()
    ipvs: bool = False

    def allow(self, table: TableName) -> Action:
        """What is done with an accepted packet in filter or mangle: ACCEPT, or RETURN where so configured."""
        return RETURN if self.config.allow_action(table) == "RETURN" else ACCEPT


def render_context(config: RenderConfig, state: NodeState) -> RenderContext:
    """The context of a configuration on a node; raises `InvalidInput` when the mark mask is too small."""
    return RenderContext(config, allocate_bits(config.mark_mask), state.features, state.ipvs)
