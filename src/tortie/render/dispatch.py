"""Dispatch chains: from a packet's interface, or its endpoint mark, to the chain of one endpoint.

Interfaces are split once by the letter behind their longest common prefix, so that a packet tests a handful of rules
instead of one for each endpoint. Names are compared and cut by bytes. Order and wording are Felix's (spec: rules 5; Felix
3.7 rules/dispatch.go).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tortie.render import names, text
from tortie.render.state import RenderContext
from tortie.render.text import DROP, Criterion, FelixRule, rule

Chains: TypeAlias = dict[str, list[FelixRule]]
_UNKNOWN_INTERFACE = "Unknown interface"


@dataclass(frozen=True, slots=True)
class _Split:
    """Interface names sorted into bins: a bin of several has a child chain with this suffix and matches this prefix."""

    bins: tuple[tuple[str, str, tuple[str, ...]], ...]
    """(prefix, suffix, names); a single name has no use for the first two."""


def split_names(interfaces: Iterable[str]) -> _Split:
    """Sorts names into bins by the byte behind their common prefix (spec: rules 5.2); `ValueError` for an empty name."""
    ordered = sorted({name.encode("utf-8", "surrogateescape") for name in interfaces})
    if ordered and not ordered[0]:
        raise ValueError("an interface without a name cannot be dispatched to")
    shared = _shared_length(ordered[0], ordered[-1]) if ordered else 0
    bins: dict[bytes, list[bytes]] = {}
    for name in ordered:
        bins.setdefault(name[: shared + 1], []).append(name)
    return _Split(
        tuple((_name(key), _name(key[shared:]), tuple(_name(name) for name in members)) for key, members in bins.items())
    )


def _shared_length(first: bytes, last: bytes) -> int:
    """How many bytes the first and the last of sorted names, and so all of them, start with."""
    length = 0
    for one, other in zip(first, last, strict=False):
        if one != other:
            break
        length += 1
    return length


def _name(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def dispatch_chains(
    root: str,
    split: _Split,
    match: Callable[[str], Criterion],
    target_prefix: str,
    end: Sequence[FelixRule] = (),
) -> Chains:
    """The child chains and, last, the root chain that send each interface to its own chain.

    `end` closes the root and every child, which the root goes to without coming back.
    """
    chains: Chains = {}
    top: list[FelixRule] = []
    for prefix, suffix, members in split.bins:
        rules = [rule(text.goto(names.chain_name(target_prefix, name)), match(name)) for name in members]
        if len(members) == 1:
            top += rules
        else:
            child = f"{root}-{suffix}"
            top.append(rule(text.goto(child), match(f"{prefix}+")))
            chains[child] = [*rules, *end]
    chains[root] = [*top, *end]
    return chains


def workload_dispatch_chains(interfaces: Iterable[str]) -> Chains:
    """filter: from and to every workload; traffic of other interfaces with a workload prefix is dropped."""
    split = split_names(interfaces)
    end = [rule(DROP, comment=_UNKNOWN_INTERFACE)]
    return {
        **dispatch_chains(names.FROM_WORKLOAD_DISPATCH, split, text.in_interface, names.FROM_WORKLOAD, end),
        **dispatch_chains(names.TO_WORKLOAD_DISPATCH, split, text.out_interface, names.TO_WORKLOAD, end),
    }


def host_dispatch_chains(interfaces: Iterable[str]) -> Chains:
    """filter and raw: from and to every host endpoint; other interfaces fall through."""
    split = split_names(interfaces)
    return {
        **dispatch_chains(names.FROM_HOST_ENDPOINT, split, text.in_interface, names.FROM_HOST),
        **dispatch_chains(names.TO_HOST_ENDPOINT, split, text.out_interface, names.TO_HOST),
    }


def host_forward_dispatch_chains(interfaces: Iterable[str]) -> Chains:
    """filter: the same for forwarded traffic."""
    split = split_names(interfaces)
    return {
        **dispatch_chains(names.FROM_HOST_FORWARD, split, text.in_interface, names.FROM_HOST_FORWARDED),
        **dispatch_chains(names.TO_HOST_FORWARD, split, text.out_interface, names.TO_HOST_FORWARDED),
    }


def pre_dnat_dispatch_chains(interfaces: Iterable[str], *, all_interfaces: bool) -> Chains:
    """mangle: to the pre-DNAT policy of every host endpoint, and of the endpoint for all interfaces if there is one."""
    rest = names.chain_name(names.FROM_HOST, names.ALL_INTERFACES_ALIAS)
    end = [rule(text.goto(rest))] if all_interfaces else []
    return dispatch_chains(names.FROM_HOST_ENDPOINT, split_names(interfaces), text.in_interface, names.FROM_HOST, end)


def mark_dispatch_chains(
    workloads: Iterable[str], hosts: Iterable[str], marks: Mapping[str, int], context: RenderContext
) -> Chains:
    """filter, under IPVS: from interface to endpoint mark, and from endpoint mark back to the endpoint's chain."""
    workloads, hosts = tuple(workloads), tuple(hosts)
    return {
        **_set_mark_chains(workloads, hosts, context),
        names.FROM_ENDPOINT_MARK: _from_mark_rules(workloads, hosts, marks, context),
    }


def _set_mark_chains(workloads: tuple[str, ...], hosts: tuple[str, ...], context: RenderContext) -> Chains:
    """Workloads and hosts are split apart, so both may want a child for one letter.

    In the original the hosts' child then replaces the workloads'; here the two are joined (docs/felix-differences.md).
    """
    of_workloads = dispatch_chains(names.SET_ENDPOINT_MARK, split_names(workloads), text.in_interface, names.SET_MARK)
    of_hosts = dispatch_chains(names.SET_ENDPOINT_MARK, split_names(hosts), text.in_interface, names.SET_MARK)
    bits = context.bits
    strangers = [
        rule(DROP, text.in_interface(f"{prefix}+"), comment="Unknown endpoint")
        for prefix in context.config.interface_prefixes
    ]
    root = [
        *of_workloads.pop(names.SET_ENDPOINT_MARK),
        *of_hosts.pop(names.SET_ENDPOINT_MARK),
        *strangers,
        rule(text.set_masked_mark(bits.non_calico, bits.endpoint), comment="Non-Cali endpoint mark"),
    ]
    children = {**of_workloads, **of_hosts}
    if not context.config.felix_exact:
        children = {name: [*of_workloads.get(name, []), *of_hosts.get(name, [])] for name in children}
    return {**children, names.SET_ENDPOINT_MARK: root}


def _from_mark_rules(
    workloads: Iterable[str], hosts: Iterable[str], marks: Mapping[str, int], context: RenderContext
) -> list[FelixRule]:
    found = []
    for prefix, interfaces in ((names.FROM_WORKLOAD, workloads), (names.FROM_HOST_FORWARDED, hosts)):
        for name in sorted(set(interfaces)):
            if name in marks:
                seen = text.mark_is(marks[name], context.bits.endpoint)
                found.append(rule(text.goto(names.chain_name(prefix, name)), seen))
    return [*found, rule(DROP, comment=_UNKNOWN_INTERFACE)]
