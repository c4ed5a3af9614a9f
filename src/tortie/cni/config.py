"""The network's configuration, as runtimes hand it to a plugin on stdin, with Calico's keys (spec: model 10.2).

Keys that are not known are passed over, as the CNI specification wants it; those that are must make sense. Where pods and
endpoints are kept is `datastore_type`: Calico's etcd, or `directory`, which is ours: resources are files in
`datastore_dir`, addresses are kept in `ipam_dir`. Pods that are asked of no API are manifests in `manifests_dir`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tortie.cni.error import CniError, ErrorCode

VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0")
"""Versions of the CNI specification that are spoken."""
NEWEST_VERSION = VERSIONS[-1]
OLDEST_VERSION = VERSIONS[0]
CHECK_SINCE = "0.4.0"
OWN_IPAM = ("calico-ipam", "tortie-ipam")
"""Address plugins that are done in this process."""
_NETWORK_NAME = re.compile(r"[a-zA-Z0-9_.\-]+")
_LABEL_JUNK = re.compile(r"[^-_.a-zA-Z0-9]")
_SMALLEST_MTU, _LARGEST_MTU = 68, 65535


@dataclass(frozen=True, slots=True)
class IpamConfig:
    """Where addresses come from."""

    type: str = ""
    assign_ipv4: bool = True
    assign_ipv6: bool = False
    ipv4_pools: tuple[str, ...] = ()
    ipv6_pools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """One network. `text` is what came, for plugins that are called in turn; `raw` is the same as plain data."""

    version: str
    name: str
    text: str
    raw: Mapping[str, Any]
    ipam: IpamConfig = IpamConfig()
    mtu: int = 0
    node_name: str = ""
    host_name: str = ""
    node_name_file_optional: bool = False
    datastore_type: str = ""
    datastore_dir: str = ""
    ipam_dir: str = ""
    manifests_dir: str = ""
    policy_type: str = ""
    allow_ip_forwarding: bool = False
    addresses_without_ipam: bool = False
    floating_addresses: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    previous: Mapping[str, Any] | None = None


def parse_config(text: str) -> NetworkConfig:
    """The configuration; raises `CniError` with the key that is wrong."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CniError("failed to load netconf", ErrorCode.UNREADABLE_CONFIGURATION, str(error)) from None
    if not isinstance(raw, dict):
        raise CniError("failed to load netconf", ErrorCode.UNREADABLE_CONFIGURATION, "not an object")
    reader = _Reader(raw)
    version = reader.text("cniVersion") or OLDEST_VERSION
    if version not in VERSIONS:
        supported = ", ".join(VERSIONS)
        details = f"config is {version!r}, plugin supports {supported}"
        raise CniError("incompatible CNI versions", ErrorCode.INCOMPATIBLE_VERSION, details)
    name = reader.text("name")
    if not name:
        raise CniError("missing network name", ErrorCode.BAD_CONFIGURATION)
    if not _NETWORK_NAME.fullmatch(name):
        raise CniError(f"invalid characters found in network name {name!r}", ErrorCode.BAD_CONFIGURATION)
    mtu = reader.number("mtu")
    if mtu and not _SMALLEST_MTU <= mtu <= _LARGEST_MTU:
        raise CniError(f"mtu: {mtu} is not between {_SMALLEST_MTU} and {_LARGEST_MTU}", ErrorCode.BAD_CONFIGURATION)
    features = reader.inside("feature_control")
    return NetworkConfig(
        version,
        name,
        text,
        raw,
        ipam=_ipam(reader.inside("ipam")),
        mtu=mtu,
        node_name=reader.text("nodename"),
        host_name=reader.text("hostname"),
        node_name_file_optional=reader.switch("nodename_file_optional"),
        datastore_type=reader.text("datastore_type"),
        datastore_dir=reader.text("datastore_dir"),
        ipam_dir=reader.text("ipam_dir"),
        manifests_dir=reader.text("manifests_dir"),
        policy_type=reader.inside("policy").text("type"),
        allow_ip_forwarding=reader.inside("container_settings").switch("allow_ip_forwarding"),
        addresses_without_ipam=features.switch("ip_addrs_no_ipam"),
        floating_addresses=features.switch("floating_ips"),
        labels=_labels(reader),
        previous=reader.inside("prevResult").raw if "prevResult" in raw else None,
    )


def _ipam(reader: _Reader) -> IpamConfig:
    return IpamConfig(
        reader.text("type"),
        assign_ipv4=reader.word("assign_ipv4", default=True),
        assign_ipv6=reader.word("assign_ipv6", default=False),
        ipv4_pools=reader.texts("ipv4_pools"),
        ipv6_pools=reader.texts("ipv6_pools"),
    )


def _labels(reader: _Reader) -> dict[str, str]:
    """Labels that Mesos gives a container, without what a label cannot hold."""
    info = reader.inside("args").inside("org.apache.mesos").inside("network_info").inside("labels")
    entries = info.raw.get("labels", [])
    if not isinstance(entries, list):
        raise info.wrong("labels", "a list")
    found = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("key"), str) or not isinstance(entry.get("value"), str):
            raise info.wrong("labels", "a list of objects with key and value")
        found[_sanitised(entry["key"])] = _sanitised(entry["value"])
    return found


def _sanitised(text: str) -> str:
    return _LABEL_JUNK.sub("-", text).strip("-_.")


class _Reader:
    """Reads keys of an object, each as what it must be."""

    def __init__(self, raw: Mapping[str, Any], path: str = "") -> None:
        self.raw = raw
        self._path = path

    def wrong(self, key: str, wanted: str) -> CniError:
        return CniError(f"{self._path}{key}: {self.raw.get(key)!r} is not {wanted}", ErrorCode.BAD_CONFIGURATION)

    def inside(self, key: str) -> _Reader:
        found = self.raw.get(key) or {}
        if not isinstance(found, dict):
            raise self.wrong(key, "an object")
        return _Reader(found, f"{self._path}{key}.")

    def text(self, key: str) -> str:
        found = self.raw.get(key) or ""
        if not isinstance(found, str):
            raise self.wrong(key, "a string")
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        found = self.raw.get(key) or []
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise self.wrong(key, "a list of strings")
        return tuple(found)

    def number(self, key: str) -> int:
        found = self.raw.get(key) or 0
        if type(found) is not int:
            raise self.wrong(key, "a number")
        return found

    def switch(self, key: str) -> bool:
        found = self.raw.get(key) or False
        if type(found) is not bool:
            raise self.wrong(key, "true or false")
        return found

    def word(self, key: str, *, default: bool) -> bool:
        """True or false as a string, which is how Calico has it in the part about addresses."""
        found = self.raw.get(key)
        if found is None:
            return default
        if found not in ("true", "false"):
            raise self.wrong(key, '"true" or "false"')
        return bool(found == "true")
