"""Addresses for a container: from this cluster's pools in this process, or from another plugin (CNI specification, 4).

For pods the annotations of the pod, or of its namespace, may name pools or the very addresses (spec: model 10.3).
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tortie.cni.call import Call
from tortie.cni.config import OWN_IPAM, NetworkConfig
from tortie.cni.datastore import Datastore
from tortie.cni.error import CniError, ErrorCode
from tortie.cni.result import result_networks
from tortie.ipam.assign import AssignRequest, assign_address, auto_assign
from tortie.ipam.release import addresses_of_handle, release_handle
from tortie.model.pool import IPPool
from tortie.net.address import Address, IPFamily, Prefix, parse_address, parse_prefix
from tortie.net.error import InvalidInput

_ANNOTATION = "cni.projectcalico.org/"
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What a pod's annotations ask for: pools, addresses to be assigned, or addresses that nobody keeps account of."""

    pools: Mapping[IPFamily, tuple[str, ...]]
    addresses: tuple[Address, ...] = ()
    unmanaged: tuple[Address, ...] = ()


def read_wish(pod: Mapping[str, str], namespace: Mapping[str, str], config: NetworkConfig) -> Wish:
    """What annotations of a pod and its namespace ask for, over what the network says; raises `CniError`."""
    pools = {IPFamily.V4: config.ipam.ipv4_pools, IPFamily.V6: config.ipam.ipv6_pools}
    for family in IPFamily:
        for asker in (namespace, pod):
            named = annotated_list(asker, f"ipv{family.value}pools")
            pools[family] = named or pools[family]
    addresses = tuple(_addresses(pod, "ipAddrs"))
    unmanaged = tuple(_addresses(pod, "ipAddrsNoIpam"))
    if addresses and unmanaged:
        raise CniError("can't have both annotations: 'ipAddrs' and 'ipAddrsNoIpam' in use at the same time")
    if unmanaged and not config.addresses_without_ipam:
        raise CniError("requested feature is not enabled: ip_addrs_no_ipam")
    if addresses and config.ipam.type not in OWN_IPAM:
        raise CniError(f"annotation 'ipAddrs' needs the address plugin calico-ipam, not {config.ipam.type!r}")
    return Wish(pools, addresses, unmanaged)


def annotated_list(annotations: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The strings that an annotation of Calico's lists, none where there is no such annotation; raises `CniError`."""
    text = annotations.get(_ANNOTATION + name, "")
    if not text:
        return ()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise CniError(f"failed to parse annotation {_ANNOTATION}{name}: {text!r} is no JSON list of strings")
    return tuple(found)


def annotated_addresses(annotations: Mapping[str, str], name: str) -> Iterator[Address]:
    """The addresses that an annotation of Calico's lists; raises `CniError`."""
    for text in annotated_list(annotations, name):
        try:
            yield parse_address(text)
        except InvalidInput as error:
            raise CniError(f"failed to parse annotation {_ANNOTATION}{name}: {error}") from None


def _addresses(annotations: Mapping[str, str], name: str) -> Iterator[Address]:
    seen: set[IPFamily] = set()
    for address in annotated_addresses(annotations, name):
        if address.family in seen:
            raise CniError(f"annotation {_ANNOTATION}{name} has more than one IPv{address.family.value} address")
        seen.add(address.family)
        yield address


# --- our own pools -----------------------------------------------------------------------------------------------


def handle_of(call: Call, config: NetworkConfig) -> str:
    """What a container's addresses are kept and released under."""
    return f"{config.name}.{call.container_id}"


def take(datastore: Datastore, call: Call, config: NetworkConfig, node: str, wish: Wish) -> tuple[Prefix, ...]:
    """Addresses for a container, each as a network of one; raises `CniError`, and then holds none."""
    if config.ipam.type not in OWN_IPAM:
        return result_networks(_delegate(call, config, "ADD"))
    handle = handle_of(call, config)
    noted = {"node": node} | ({} if call.pod is None else {"namespace": call.pod[0], "pod": call.pod[1]})
    asked = wish.addresses or tuple(_asked(call))
    try:
        if asked:
            given = [_assign(datastore, address, node, handle, noted) for address in asked]
        else:
            given = [
                address
                for family, wanted in ((IPFamily.V4, config.ipam.assign_ipv4), (IPFamily.V6, config.ipam.assign_ipv6))
                if wanted
                for address in _next(datastore, family, node, handle, noted, wish.pools[family])
            ]
    except (CniError, InvalidInput):
        datastore.addresses(release_handle(handle))
        raise
    return tuple(Prefix(address.family, address.value, address.family.bits) for address in given)


def _asked(call: Call) -> Iterator[Address]:
    text = call.arguments.get("IP", "")
    if text:
        try:
            yield parse_address(text)
        except InvalidInput as error:
            raise CniError(f"CNI_ARGS: IP: {error}", ErrorCode.BAD_ENVIRONMENT) from None


def _assign(datastore: Datastore, address: Address, node: str, handle: str, noted: Mapping[str, str]) -> Address:
    request = AssignRequest(node, address.family, handle=handle, secondary=noted)
    datastore.addresses(assign_address(address, request))
    return address


def _next(
    datastore: Datastore, family: IPFamily, node: str, handle: str, noted: Mapping[str, str], pools: Iterable[str]
) -> tuple[Address, ...]:
    cidrs = tuple(_pool_cidr(datastore.pools(), family, text) for text in pools)
    found = datastore.addresses(auto_assign(AssignRequest(node, family, handle=handle, secondary=noted, pools=cidrs)))
    if not found.addresses:
        message = f"failed to request 1 IPv{family.value} addresses. IPAM allocated only 0"
        raise CniError(message, details=found.shortage)
    return found.addresses


def _pool_cidr(pools: Iterable[IPPool], family: IPFamily, text: str) -> Prefix:
    """A pool by its CIDR or its name."""
    for pool in pools:
        if text in (pool.metadata.name, str(pool.spec.cidr)) and pool.spec.cidr.family is family:
            return pool.spec.cidr
    try:
        found = parse_prefix(text)
    except InvalidInput:
        raise CniError(f'error parsing pool "{text}": there is no pool of this name') from None
    if found.family is not family:
        raise CniError(f'error parsing pool "{text}": it is not of IPv{family.value}')
    return found


def give_back(datastore: Datastore, call: Call, config: NetworkConfig) -> None:
    """Releases all that a container holds, which may be nothing; raises `CniError`."""
    if config.ipam.type in OWN_IPAM:
        datastore.addresses(release_handle(handle_of(call, config)))
    elif config.ipam.type:
        _delegate(call, config, "DEL")


def check_held(datastore: Datastore, call: Call, config: NetworkConfig) -> None:
    """Raises `CniError` unless the container still holds what ADD gave it."""
    held = datastore.addresses(addresses_of_handle(handle_of(call, config))) or ()
    for network in result_networks(config.previous or {}):
        if Address(network.family, network.address) not in held:
            raise CniError(f"{network} is not assigned to {handle_of(call, config)}")


# --- another plugin ----------------------------------------------------------------------------------------------


def _delegate(call: Call, config: NetworkConfig, command: str) -> Mapping[str, Any]:
    """Runs the address plugin that the configuration names; raises `CniError` with what it says."""
    name = config.ipam.type
    if not name:
        raise CniError("no address plugin is configured: ipam.type is missing", ErrorCode.BAD_CONFIGURATION)
    if "/" in name:
        raise CniError(f"ipam.type: {name!r} is no plugin's name", ErrorCode.BAD_CONFIGURATION)
    program = next((path for folder in call.path if (path := Path(folder) / name).is_file()), None)
    if program is None:
        raise CniError(f'failed to find plugin "{name}" in path {list(call.path)}')
    environment = {**os.environ, "CNI_COMMAND": command}
    try:
        done = subprocess.run(  # noqa: S603
            [str(program)],
            input=config.text.encode(),
            capture_output=True,
            check=False,
            env=environment,
            timeout=_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CniError(f"address plugin {name}: {error}") from None
    try:
        document = json.loads(done.stdout) if done.stdout.strip() else {}
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise CniError(f"address plugin {name}: its answer is no JSON object")
    if done.returncode:
        raise CniError(
            str(document.get("msg") or f"address plugin {name} failed"), details=str(document.get("details", ""))
        )
    return document
