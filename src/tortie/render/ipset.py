"""The ip sets that the rules of one family name, with their members.

Every set exists once for each family, with the members of that family. Names, types and members are Felix's (spec: rules
9.1 to 9.4). In what order sets are written, swapped and destroyed is the reconciler's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import assert_never

from tortie.calc.view import ActiveSet, AddressSet, NetSet, NodeView, PortMember, PortSet
from tortie.net.address import Address, IPFamily, Prefix
from tortie.net.protocol import parse_protocol
from tortie.netfilter.ipset import IPSet, PortPart, SetEntry
from tortie.render import names
from tortie.render.config import RenderConfig
from tortie.render.state import NodeState

_FAMILY_WORD = {IPFamily.V4: "inet", IPFamily.V6: "inet6"}


def ip_sets(view: NodeView, state: NodeState, config: RenderConfig, family: IPFamily) -> dict[str, IPSet]:
    """Every set of ours of a family by its kernel name: those of active rules, then the well-known ones."""
    made = [_active_set(given, config, family) for given in sorted(view.ip_sets, key=lambda given: given.id)]
    pools = [pool for pool in view.pools if pool.cidr.family is family]
    made += [
        _net_set(names.ALL_POOLS_SET, (pool.cidr for pool in pools), config, family),
        _net_set(names.MASQUERADE_POOLS_SET, (pool.cidr for pool in pools if pool.masquerade), config, family),
        _address_set(names.THIS_HOST_SET, _own_addresses(state, config), config, family),
    ]
    if family is IPFamily.V4:
        made += _tunnel_sets(view, config)
    return {one.name: one for one in made}


def _active_set(given: ActiveSet, config: RenderConfig, family: IPFamily) -> IPSet:
    match given:
        case NetSet():
            return _net_set(given.id, given.members, config, family)
        case AddressSet():
            return _address_set(given.id, given.members, config, family)
        case PortSet():
            return _port_set(given.id, given.members, config, family)
        case _:
            assert_never(given)


def _tunnel_sets(view: NodeView, config: RenderConfig) -> list[IPSet]:
    """Whose tunnel packets are welcome: every node under IPIP, every other node with a tunnel endpoint under VXLAN."""
    family = IPFamily.V4
    made = []
    if config.ipip_enabled:
        nodes = [_host_prefix(host.address) for host in view.hosts]
        made.append(_net_set(names.ALL_HOSTS_SET, (*nodes, *config.external_nodes), config, family))
    if config.vxlan_enabled:
        parents = [_host_prefix(vtep.parent_address) for vtep in view.vteps if vtep.node != view.hostname]
        made.append(_net_set(names.ALL_VXLAN_SET, (*parents, *config.external_nodes), config, family))
    return made


def _own_addresses(state: NodeState, config: RenderConfig) -> list[Address]:
    return [
        address
        for interface in state.interfaces
        if not config.is_workload_interface(interface.name) and not config.is_excluded_interface(interface.name)
        for address in interface.addresses
    ]


def _net_set(set_id: str, members: Iterable[Prefix], config: RenderConfig, family: IPFamily) -> IPSet:
    nets = {(net.address & net.mask, net.length) for net in members if net.family is family}
    entries = tuple(SetEntry((Prefix(family, address, length),)) for address, length in sorted(nets))
    return _ip_set(set_id, "hash:net", entries, config, family)


def _address_set(set_id: str, members: Iterable[Address], config: RenderConfig, family: IPFamily) -> IPSet:
    values = sorted({address.value for address in members if address.family is family})
    entries = tuple(SetEntry((Prefix(family, value, family.bits),)) for value in values)
    return _ip_set(set_id, "hash:ip", entries, config, family)


def _port_set(set_id: str, members: Iterable[PortMember], config: RenderConfig, family: IPFamily) -> IPSet:
    found = sorted({(m.address.value, parse_protocol(m.protocol), m.port) for m in members if m.address.family is family})
    entries = tuple(SetEntry((Prefix(family, value, family.bits), PortPart(number, port))) for value, number, port in found)
    return _ip_set(set_id, "hash:ip,port", entries, config, family)


def _ip_set(set_id: str, kind: str, entries: Sequence[SetEntry], config: RenderConfig, family: IPFamily) -> IPSet:
    options = {"family": _FAMILY_WORD[family], "maxelem": str(config.max_ipset_size)}
    return IPSet(names.ip_set_name(family, set_id), kind, family, tuple(entries), options)


def _host_prefix(address: Address) -> Prefix:
    return Prefix(address.family, address.value, address.family.bits)
