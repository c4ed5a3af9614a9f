"""Results in every version of the CNI specification: what this plugin prints, and what other plugins print to it.

As Calico has it, a result names the node's end of the interface and the addresses, each as a network of one; no gateway, no
routes (spec: model 10.5).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tortie.cni.config import NEWEST_VERSION, VERSIONS
from tortie.cni.error import CniError
from tortie.net.address import IPFamily, Prefix, parse_prefix
from tortie.net.error import InvalidInput

_OLD_VERSIONS = ("0.1.0", "0.2.0")
_OLD_KEYS = {IPFamily.V4: "ip4", IPFamily.V6: "ip6"}


def add_result(version: str, host_interface: str, networks: Iterable[Prefix]) -> dict[str, Any]:
    """The result of ADD in a version of the specification; without `host_interface` that of an address plugin."""
    if version in _OLD_VERSIONS:
        old = {_OLD_KEYS[network.family]: {"ip": str(network)} for network in networks}
        return {"cniVersion": "0.2.0", **old, "dns": {}}
    result: dict[str, Any] = {"cniVersion": version}
    if host_interface:
        result["interfaces"] = [{"name": host_interface}]
    result["ips"] = [_address(version, network) for network in networks]
    return result | {"dns": {}}


def _address(version: str, network: Prefix) -> dict[str, str]:
    """Since 1.0.0 the family goes without saying."""
    family = {} if version == NEWEST_VERSION else {"version": str(network.family.value)}
    return {**family, "address": str(network)}


def version_result() -> dict[str, Any]:
    """The answer to VERSION."""
    return {"cniVersion": NEWEST_VERSION, "supportedVersions": list(VERSIONS)}


def format_document(document: Mapping[str, Any]) -> str:
    """A document as Calico prints it."""
    return json.dumps(document, indent=4) + "\n"


def result_networks(result: Mapping[str, Any]) -> tuple[Prefix, ...]:
    """The addresses in a result of any version, as networks of one address; raises `CniError`."""
    texts: list[Any] = []
    for key in _OLD_KEYS.values():
        if isinstance(result.get(key), dict):
            texts.append(result[key].get("ip"))
    ips = result.get("ips", [])
    if not isinstance(ips, list):
        raise CniError("cannot read the result: ips is not a list")
    texts += [entry.get("address") if isinstance(entry, dict) else None for entry in ips]
    return tuple(_network(text) for text in texts)


def _network(text: object) -> Prefix:
    try:
        found = parse_prefix(text) if isinstance(text, str) else None
    except InvalidInput:
        found = None
    if found is None:
        raise CniError(f"cannot read the result: {text!r} is no address")
    return Prefix(found.family, found.address, found.family.bits)
