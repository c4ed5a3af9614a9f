"""Address pools (spec: model 1.12).

What needs the rest of the cluster to be checked, that no two pools overlap, is checked where the resources come together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Annotated, Any

from tortie.model.metadata import Metadata
from tortie.model.problem import FieldProblem
from tortie.model.reader import Reads
from tortie.model.scalar import SelectorText, read_strict_network
from tortie.net.address import IPFamily, Prefix, parse_prefix
from tortie.net.error import InvalidInput

_BLOCK_SIZES = {IPFamily.V4: (26, 20, 32), IPFamily.V6: (122, 116, 128)}
"""Default, smallest and largest prefix length of a block."""
_LINK_LOCAL = {IPFamily.V4: parse_prefix("169.254.0.0/16"), IPFamily.V6: parse_prefix("fe80::/10")}

_TOO_SMALL = "IP pool size is too small for use with Calico IPAM. It must be equal to or greater than the block size."


class IPIPMode(Enum):
    """When traffic between a pool's addresses is wrapped into IPIP."""

    ALWAYS = "Always"
    CROSS_SUBNET = "CrossSubnet"
    NEVER = "Never"


class VXLANMode(Enum):
    """When traffic between a pool's addresses is wrapped into VXLAN; there is no CrossSubnet in Calico 3.7."""

    ALWAYS = "Always"
    NEVER = "Never"


def _mode(kind: type[IPIPMode] | type[VXLANMode]) -> Reads:
    """Reads a mode; empty text is Never."""
    words = ", ".join(mode.value for mode in kind)

    def read(data: Any) -> IPIPMode | VXLANMode:
        try:
            return kind(data or "Never")
        except ValueError:
            raise FieldProblem(f"{data!r} is not one of {words}") from None

    return Reads(read)


def _read_cidr(data: Any) -> Prefix:
    if not data:
        raise FieldProblem("IPPool CIDR must be specified")
    try:
        prefix = read_strict_network(data)
    except InvalidInput as error:
        raise FieldProblem(f"IPPool CIDR must be a valid subnet: {error.message}", remedy=error.remedy) from None
    if "/" not in data:
        raise FieldProblem(f"IPPool CIDR must be a valid subnet: {data!r}", remedy=f"write {prefix}")
    return prefix


@dataclass(frozen=True, slots=True)
class IPPoolSpec:
    """What a pool says; a block size of 0 and an empty selector stand for the defaults."""

    cidr: Annotated[Prefix, Reads(_read_cidr)]
    vxlan_mode: Annotated[VXLANMode, _mode(VXLANMode)] = VXLANMode.NEVER
    ipip_mode: Annotated[IPIPMode, _mode(IPIPMode)] = IPIPMode.NEVER
    nat_outgoing: bool = False
    disabled: bool = False
    block_size: int = 0
    node_selector: SelectorText = ""

    def problems(self) -> Iterator[FieldProblem]:
        """What Calico 3.7 refuses in a pool, in its words."""
        family = self.cidr.family
        default, low, high = _BLOCK_SIZES[family]
        if self.block_size and not low <= self.block_size <= high:
            message = f"IPv{family.value} block size must be between {low} and {high}"
            yield FieldProblem(message, path=("blockSize",))
        if not self.disabled and self.cidr.length > (self.block_size or default):
            yield FieldProblem(_TOO_SMALL, path=("cidr",))
        if family is IPFamily.V6 and self.ipip_mode is not IPIPMode.NEVER:
            yield FieldProblem("IPIP is not supported on an IPv6 IP pool", path=("ipipMode",))
        if family is IPFamily.V6 and self.vxlan_mode is not VXLANMode.NEVER:
            message = "VXLANMode other than 'Never' is not supported on an IPv6 IP pool"
            yield FieldProblem(message, path=("vxlanMode",))
        if self.ipip_mode is not IPIPMode.NEVER and self.vxlan_mode is not VXLANMode.NEVER:
            yield FieldProblem("Cannot enable both VXLAN and IPIP on the same IPPool", path=("ipipMode",))
        if overlaps(self.cidr, _LINK_LOCAL[family]):
            message = f"IPPool CIDR overlaps with IPv{family.value} Link Local range {_LINK_LOCAL[family]}"
            yield FieldProblem(message, path=("cidr",))


@dataclass(frozen=True, slots=True)
class IPPool:
    """A network that workloads' addresses come from."""

    metadata: Metadata
    spec: IPPoolSpec

    def with_defaults(self) -> IPPool:
        """The pool with its block size and its selector of nodes filled in."""
        default, _, _ = _BLOCK_SIZES[self.spec.cidr.family]
        block_size = self.spec.block_size or default
        selector = self.spec.node_selector or "all()"
        return replace(self, spec=replace(self.spec, block_size=block_size, node_selector=selector))


def overlaps(one: Prefix, other: Prefix) -> bool:
    """True when two networks share an address."""
    if one.family is not other.family:
        return False
    return one.contains(other.address) if one.length <= other.length else other.contains(one.address)
