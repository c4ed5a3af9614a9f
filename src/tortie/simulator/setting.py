"""The per-device sysctls that routing reads, and how `all` and the device's own value combine.

The table is linux/inetdevice.h (IN_DEV_ORCONF, IN_DEV_ANDCONF, IN_DEV_MAXCONF) for IPv4 and the readers in
net/ipv6/ for IPv6 (spec: netfilter 10.4). A setting that the snapshot does not hold is read as `ASSUMED` says, with
`known` False: whoever reads it states the assumption where another value would change the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from tortie.net.address import IPFamily


class Combine(Enum):
    """How the values of `conf.all` and of the device become one."""

    DEVICE = "device"
    ALL = "all"
    EITHER = "either"
    BOTH = "both"
    GREATER = "greater"


COMBINATION: dict[IPFamily, dict[str, Combine]] = {
    IPFamily.V4: {
        "forwarding": Combine.DEVICE,
        "rp_filter": Combine.GREATER,
        "accept_local": Combine.EITHER,
        "route_localnet": Combine.EITHER,
        "src_valid_mark": Combine.EITHER,
        "send_redirects": Combine.EITHER,
        "shared_media": Combine.EITHER,
        "ignore_routes_with_linkdown": Combine.EITHER,
        "drop_unicast_in_l2_multicast": Combine.EITHER,
        "bc_forwarding": Combine.BOTH,
        "mc_forwarding": Combine.BOTH,
        "accept_source_route": Combine.BOTH,
    },
    IPFamily.V6: {
        "forwarding": Combine.ALL,
        "force_forwarding": Combine.DEVICE,
        "mc_forwarding": Combine.DEVICE,
        "disable_ipv6": Combine.DEVICE,
        "ignore_routes_with_linkdown": Combine.DEVICE,
        "drop_unicast_in_l2_multicast": Combine.DEVICE,
        "use_oif_addrs_only": Combine.DEVICE,
        "mtu": Combine.DEVICE,
    },
}

ASSUMED = {"forwarding": 1, "send_redirects": 1, "shared_media": 1}
"""Values taken for settings that the snapshot lacks; 0 for all others. Forwarding is the exception among the kernel's
defaults: a node whose FORWARD chains are asked about is taken to be a router."""

_NEWER = frozenset({"force_forwarding", "bc_forwarding", "drop_unicast_in_l2_multicast", "ignore_routes_with_linkdown"})
"""Settings that older kernels lack: absent beside others means off."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting's value in force, and the full name of the sysctl that decided it."""

    value: int
    name: str
    known: bool = True

    @property
    def assumption(self) -> str:
        """The value as an assumption in words."""
        return f"{self.name} is {self.value} (not in the snapshot)"


class Settings:
    """One family's sysctls of a snapshot, read by key and device."""

    __slots__ = ("_cache", "_combination", "_family", "_prefix", "_sysctls")

    def __init__(self, sysctls: Mapping[str, str] | None, family: IPFamily) -> None:
        self._sysctls = sysctls
        self._family = family
        self._combination = COMBINATION[family]
        self._prefix = f"net.ipv{family.value}."
        self._cache: dict[tuple[str, str], Setting] = {}

    def conf(self, key: str, iface: str) -> Setting:
        """The value of `conf.*.KEY` in force for a device."""
        found = self._cache.get((key, iface))
        if found is None:
            found = self._cache[key, iface] = self._combine(key, iface)
        return found

    def device(self, key: str, iface: str) -> Setting:
        """The device's own value, whatever `all` says."""
        return self._one(key, iface)

    def flag(self, key: str) -> Setting:
        """A setting outside `conf`, such as `fwmark_reflect`."""
        value = self._read(f"{self._prefix}{key}")
        name = f"{self._prefix}{key}"
        return Setting(ASSUMED.get(key, 0), name, False) if value is None else Setting(value, name)

    def _combine(self, key: str, iface: str) -> Setting:
        how = self._combination[key]
        if how is Combine.ALL:
            return self._one(key, "all")
        own = self._one(key, iface)
        if how is Combine.DEVICE:
            return own
        every = self._one(key, "all")
        known = own.known and every.known
        if how is Combine.GREATER:
            chosen = own if own.value >= every.value else every
            return Setting(chosen.value, chosen.name, known)
        decisive = how is Combine.EITHER
        for one in (own, every):
            if bool(one.value) is decisive and one.known:
                return one
        for one in (own, every):
            if bool(one.value) is decisive or not one.known:
                return Setting(one.value, one.name, False)
        return own

    def _one(self, key: str, where: str) -> Setting:
        # sysctl prints the dots of a device's name as slashes.
        name = f"{self._prefix}conf.{where.replace('.', '/')}.{key}"
        value = self._read(name)
        if value is None and "." in where:
            value = self._read(f"{self._prefix}conf.{where}.{key}")
        if value is None and key == "forwarding" and self._family is IPFamily.V4:
            # ip_forward is conf.all.forwarding; writing it sets every device (spec: netfilter 10.4).
            general = self._read("net.ipv4.ip_forward")
            if general is not None:
                return Setting(general, "net.ipv4.ip_forward")
        if value is None and key in _NEWER and self._sysctls:
            return Setting(0, name)
        return Setting(ASSUMED.get(key, 0), name, False) if value is None else Setting(value, name)

    def _read(self, name: str) -> int | None:
        text = self._sysctls.get(name) if self._sysctls is not None else None
        if text is None:
            return None
        try:
            return int(text.split()[0], 0)
        except (ValueError, IndexError):
            return None
