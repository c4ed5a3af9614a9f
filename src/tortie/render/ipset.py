"""The ip sets that the rules of one family name, with their members.

Every set exists once for each family, with the members of that family. Names, types and members are Felix's (spec: rules
9.1 to 9.4). In what order sets are written, swapped and destroyed is the reconciler's business.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, assert_never

from tortie.calc.member_set import changed_members
from tortie.calc.view import ActiveSet, AddressSet, NetSet, NodeView, PortMember, PortSet
from tortie.net.address import Address, IPFamily, Prefix
from tortie.net.protocol import parse_protocol
from tortie.netfilter.ipset import IPSet, PortPart, SetEntry
from tortie.render import names
from tortie.render.config import RenderConfig
from tortie.render.memory import Joined, Kept, Same
from tortie.render.state import NodeState

_FAMILY_WORD = {IPFamily.V4: "inet", IPFamily.V6: "inet6"}


def ip_sets(view: NodeView, state: NodeState, config: RenderConfig, family: IPFamily) -> Mapping[str, IPSet]:
    """Every set of ours of a family by its kernel name: those of active rules, then the well-known ones."""
    return NodeSets(config, family).of(view, state)


class NodeSets:
    """The sets of one family, for one view after the other; what is the same again is the same object (`memory`)."""

    def __init__(self, config: RenderConfig, family: IPFamily) -> None:
        self._config = config
        self._family = family
        self._active: Kept[str, ActiveSet, IPSet] = Kept(self._make)
        self._well_known: Same[dict[str, IPSet]] = Same()
        self._all: Joined[str, IPSet] = Joined()

    def of(self, view: NodeView, state: NodeState) -> Mapping[str, IPSet]:
        """Every set of ours by its kernel name: those of active rules, then the well-known ones."""
        ordered = sorted(view.ip_sets, key=lambda given: given.id)
        active = self._active.renew({names.ip_set_name(self._family, given.id): given for given in ordered})
        around = (view.pools, view.hosts, view.vteps, view.hostname, state.interfaces)
        return self._all.of(active, self._well_known.of(around, lambda: self._well_known_sets(view, state)))

    def _make(self, _name: str, given: ActiveSet, last: tuple[ActiveSet, IPSet] | None) -> IPSet:
        made = None if last is None else _changed_set(*last, given, self._family)
        return _active_set(given, self._config, self._family) if made is None else made

    def _well_known_sets(self, view: NodeView, state: NodeState) -> dict[str, IPSet]:
        config, family = self._config, self._family
        pools = [pool for pool in view.pools if pool.cidr.family is family]
        made = [
            _net_set(names.ALL_POOLS_SET, (pool.cidr for pool in pools), config, family),
            _net_set(names.MASQUERADE_POOLS_SET, (pool.cidr for pool in pools if pool.masquerade), config, family),
            _address_set(names.THIS_HOST_SET, _own_addresses(state, config), config, family),
        ]
        if family is IPFamily.V4:
            made += _tunnel_sets(view, config)
        return {one.name: one for one in made}


_FEW = 1024
"""Up to so many members that came or went are put into their places; more, and the set is made anew."""


def _changed_set(before: ActiveSet, made: IPSet, given: ActiveSet, family: IPFamily) -> IPSet | None:
    """The set that was made before, with other members; None where it has to be made anew."""
    if isinstance(before, NetSet) and isinstance(given, NetSet):
        nets = changed_members(before.members, given.members)
        return _edited(made, _sort_keys(nets[0], family), _sort_keys(nets[1], family), family)
    if isinstance(before, PortSet) and isinstance(given, PortSet):
        ports = changed_members(before.members, given.members)
        return _edited(made, _sort_keys(ports[0], family), _sort_keys(ports[1], family), family)
    return None


def _edited(made: IPSet, came: set[_Key], went: set[_Key], family: IPFamily) -> IPSet | None:
    if not came and not went:
        return made
    if len(came) + len(went) > _FEW:
        return None
    entries = list(made.entries)
    for key in went:
        place = bisect_left(entries, key, key=_entry_key)
        if _entry_key(entries[place]) != key:
            raise ValueError(f"set {made.name} lost a member that it did not have")
        del entries[place]
    for key in came:
        entries.insert(bisect_left(entries, key, key=_entry_key), _entry(key, family))
    return replace(made, entries=tuple(entries))


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


# --- members -----------------------------------------------------------------------------------------------------

_Key: TypeAlias = tuple[int, ...]
"""What members are sorted by, and all that an entry is made from: address and length, or address, protocol and port."""


def _sort_key(member: Prefix | PortMember, family: IPFamily) -> _Key | None:
    """The key of a member; None when it is of another family."""
    if isinstance(member, Prefix):
        return (member.address & member.mask, member.length) if member.family is family else None
    if member.address.family is not family:
        return None
    return member.address.value, parse_protocol(member.protocol), member.port


def _sort_keys(members: Iterable[Prefix | PortMember], family: IPFamily) -> set[_Key]:
    return {key for member in members if (key := _sort_key(member, family)) is not None}


def _entry(key: _Key, family: IPFamily) -> SetEntry:
    if len(key) == 2:
        return SetEntry((Prefix(family, key[0], key[1]),))
    return SetEntry((Prefix(family, key[0], family.bits), PortPart(key[1], key[2])))


def _entry_key(entry: SetEntry) -> _Key:
    """The key that an entry was made from."""
    address, *port = entry.parts
    assert isinstance(address, Prefix)
    if not port:
        return address.address, address.length
    assert isinstance(port[0], PortPart) and port[0].proto is not None
    return address.address, port[0].proto, port[0].port


def _entries(members: Iterable[Prefix | PortMember], family: IPFamily) -> tuple[SetEntry, ...]:
    return tuple(_entry(key, family) for key in sorted(_sort_keys(members, family)))


def _net_set(set_id: str, members: Iterable[Prefix], config: RenderConfig, family: IPFamily) -> IPSet:
    return _ip_set(set_id, "hash:net", _entries(members, family), config, family)


def _address_set(set_id: str, members: Iterable[Address], config: RenderConfig, family: IPFamily) -> IPSet:
    hosts = (_host_prefix(address) for address in members)
    return _ip_set(set_id, "hash:ip", _entries(hosts, family), config, family)


def _port_set(set_id: str, members: Iterable[PortMember], config: RenderConfig, family: IPFamily) -> IPSet:
    return _ip_set(set_id, "hash:ip,port", _entries(members, family), config, family)


def _ip_set(set_id: str, kind: str, entries: Sequence[SetEntry], config: RenderConfig, family: IPFamily) -> IPSet:
    options = {"family": _FAMILY_WORD[family], "maxelem": str(config.max_ipset_size)}
    return IPSet(names.ip_set_name(family, set_id), kind, family, tuple(entries), options)


def _host_prefix(address: Address) -> Prefix:
    return Prefix(address.family, address.value, address.family.bits)
