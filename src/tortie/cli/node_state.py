"""What a node says of itself that rendering needs: from a snapshot, or from the live node.

Interfaces and addresses, whether IPVS is in use, which endpoint marks the rules give out already, and what iptables can
do. The last is not in a snapshot; rules of ours in it show it, else tools of this decade are taken for granted, and said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tortie.calc.view import ALL_INTERFACES
from tortie.kernel.refusal import KernelRefused
from tortie.kernel.run import Feed
from tortie.model.endpoint import HostEndpoint
from tortie.model.node import Node
from tortie.model.read import Resources
from tortie.net.address import Address
from tortie.net.error import InvalidInput
from tortie.net.node import Link
from tortie.netfilter.hook import TableName
from tortie.netfilter.rule import Rule, Ruleset
from tortie.netfilter.snapshot import Snapshot
from tortie.netfilter.target import MarkTarget, Masquerade, Snat
from tortie.render import names
from tortie.render.state import Features, NodeInterface, NodeState, detect_features

_SUPPOSED = "?"
"""Stands for the interface that has the node's own address, whatever its name is; no host endpoint can name it."""


@dataclass(frozen=True, slots=True)
class ToldState:
    """A node's state, and what of it was taken for granted."""

    state: NodeState
    remarks: tuple[str, ...] = ()


def snapshot_state(snapshot: Snapshot) -> ToldState:
    """The state of the node in a snapshot; raises `InvalidInput` when the snapshot does not hold its interfaces."""
    if snapshot.links is None:
        raise InvalidInput(
            "the snapshot holds no addresses, which decide rules and sets",
            source=snapshot.name,
            remedy="make one with `tortie snapshot`, or add ip-addr.json",
        )
    remarks: tuple[str, ...] = ()
    features = features_of_rules(snapshot.rulesets)
    if features is None:
        features = Features()
        remarks = ("no rule tells what this node's iptables can do: taken to be 1.6.2 or later, on Linux 3.14 or later",)
    return ToldState(_state(snapshot.links, features, snapshot.rulesets), remarks)


def supposed_state(resources: Resources, node: str) -> ToldState:
    """What the resources tell of a node that nobody looked at: the interfaces of its host endpoints, its own address."""
    addresses: dict[str, frozenset[Address]] = {}
    unplaced: dict[str, frozenset[Address]] = {}
    for host in resources.of(HostEndpoint):
        if host.spec.node != node or host.spec.interface_name == ALL_INTERFACES:
            continue
        if host.spec.interface_name:
            addresses[host.spec.interface_name] = frozenset(host.spec.expected_ips)
        else:
            unplaced[host.metadata.name] = frozenset(host.spec.expected_ips)
    own = resources.get(Node, node)
    if own is not None and own.spec.bgp is not None:
        given = [one for one in (own.spec.bgp.ipv4_address, own.spec.bgp.ipv6_address) if one is not None]
        found = frozenset(Address(one.family, one.address) for one in given)
        known = frozenset(address for some in (*addresses.values(), *unplaced.values()) for address in some)
        if found - known:
            addresses[_SUPPOSED] = found - known
    interfaces = tuple(NodeInterface(name, some) for name, some in sorted(addresses.items()))
    remarks = ["the node's own interfaces and tools are not known (-n, --live): the sets of its addresses are a guess"]
    remarks += [f"HostEndpoint({name}): on which interface its addresses are is not known" for name in unplaced]
    return ToldState(NodeState(interfaces), tuple(remarks))


def live_state(run: Feed, rulesets: Iterable[Ruleset]) -> NodeState:
    """The state of this node, whose rules were read already.

    Raises `KernelRefused` when a tool fails, `InvalidInput` for senseless output.
    """
    from tortie.codec.node import parse_links

    command = ["ip", "-N", "-j", "addr"]
    ran = run(command)
    if ran.code != 0 and not ran.missing:  # before 5.2 there was no -N
        command = ["ip", "-j", "addr"]
        ran = run(command)
    if ran.code != 0:
        raise KernelRefused(command, "not installed" if ran.missing else ran.complaint)
    links = parse_links(ran.out.decode(errors="replace"), source=" ".join(command))
    version, kernel = run(["iptables", "--version"]), run(["cat", "/proc/version"])
    features = detect_features(version.out.decode(errors="replace"), kernel.out.decode(errors="replace"))
    return _state(links, features, rulesets)


def _state(links: Iterable[Link], features: Features, rulesets: Iterable[Ruleset]) -> NodeState:
    given = tuple(links)
    return NodeState(
        tuple(NodeInterface(link.name, _addresses(link)) for link in given),
        features,
        ipvs=any(link.name == names.IPVS_DEVICE for link in given),
        endpoint_marks=endpoint_marks(rulesets),
    )


def _addresses(link: Link) -> frozenset[Address]:
    return frozenset(Address(own.prefix.family, own.prefix.address) for own in link.addresses)


# --- what rules show ---------------------------------------------------------------------------------------------


def features_of_rules(rulesets: Iterable[Ruleset]) -> Features | None:
    """What iptables could do when our rules were written; None when no rule of ours shows it."""
    for ruleset in rulesets:
        for rule in _our_rules(ruleset, TableName.NAT):
            match rule.target:
                case Masquerade(random_fully=fully):
                    return Features(masquerade_random_fully=fully)
                case Snat(random_fully=fully) if not fully:
                    return Features(snat_random_fully=False, masquerade_random_fully=False)
                case _:
                    pass
    return None


def endpoint_marks(rulesets: Iterable[Ruleset]) -> dict[str, int]:
    """The endpoint marks that rules give out, by interface; one that two interfaces have counts for neither."""
    found: dict[str, int] = {}
    for ruleset in rulesets:
        table = ruleset.tables.get(TableName.FILTER)
        for name, chain in () if table is None else table.chains.items():
            if not name.startswith(names.SET_MARK):
                continue
            for rule in chain.rules:
                if isinstance(rule.target, MarkTarget):
                    found.setdefault(name.removeprefix(names.SET_MARK), rule.target.value)
    marks = list(found.values())
    return {interface: mark for interface, mark in found.items() if marks.count(mark) == 1}


def _our_rules(ruleset: Ruleset, name: TableName) -> Iterator[Rule]:
    table = ruleset.tables.get(name)
    for chain in () if table is None else table.chains.values():
        if chain.name.startswith(names.OUR_CHAIN_PREFIXES):
            yield from chain.rules
