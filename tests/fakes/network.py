"""A node's network as a value behind the tools that change it: `ip`, `bridge` and `conntrack`, and files for settings.

It refuses what the kernel refuses where plans could go wrong: devices that are not there or not up, routes that are there
already, modules that are missing. Commands are those that `kernel.network` gives; anything else is a mistake of the test.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tortie.kernel.run import Ran
from tortie.net.address import IPFamily, Prefix, parse_address, parse_prefix


class _Refused(Exception):
    pass


@dataclass
class FakeLink:
    name: str
    index: int
    up: bool = True
    carrier: bool = True
    mtu: int = 1500
    mac: str = "02:00:00:00:00:01"
    addresses: list[str] = field(default_factory=list)
    info: dict[str, Any] | None = None

    def shown(self) -> dict[str, Any]:
        flags = ["BROADCAST", *(["UP"] if self.up else []), *(["LOWER_UP"] if self.up and self.carrier else [])]
        infos = [
            {"family": "inet6" if ":" in text else "inet", "local": text.partition("/")[0],
             "prefixlen": int(text.partition("/")[2]), "scope": "global"}
            for text in self.addresses
        ]  # fmt: skip
        shown = {"ifname": self.name, "ifindex": self.index, "flags": flags, "mtu": self.mtu, "address": self.mac}
        shown |= {"link_type": "ether", "addr_info": infos}
        return shown if self.info is None else {**shown, "linkinfo": self.info}


@dataclass
class FakeNetwork:
    """Runs the tools' commands; `sysctls` is a folder of the test's."""

    sysctls: Path
    modules: frozenset[str] = frozenset({"vxlan"})
    links: dict[str, FakeLink] = field(default_factory=dict)
    routes: dict[Prefix, dict[str, Any]] = field(default_factory=dict)
    neighbours: dict[tuple[str, str], str] = field(default_factory=dict)
    forwarding: dict[tuple[str, str, str], None] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    made: int = 0
    failing: str | None = None
    """Every tool fails and says this."""

    def add_link(self, name: str, *addresses: str, up: bool = True) -> None:
        self.made += 1
        self.links[name] = FakeLink(name, self.made, up=up, addresses=list(addresses))
        for family, words in (("ipv4", ("rp_filter", "route_localnet", "proxy_arp", "forwarding")),
                              ("ipv6", ("proxy_ndp", "forwarding"))):  # fmt: skip
            self._settings(f"net/{family}/conf/{name}", words)
        self._settings(f"net/ipv4/neigh/{name}", ("proxy_delay",))
        self._settings("net/ipv4/conf/default", ("rp_filter",))
        self._settings("net/ipv4/conf/all", ("rp_filter",))

    def _settings(self, folder: str, words: Iterable[str]) -> None:
        (self.sysctls / folder).mkdir(parents=True, exist_ok=True)
        for word in words:
            (self.sysctls / folder / word).write_text("80\n" if word == "proxy_delay" else "0\n")

    def remove_link(self, name: str) -> None:
        """With all that is on it, as the kernel does."""
        del self.links[name]
        self.routes = {prefix: route for prefix, route in self.routes.items() if route["dev"] != name}
        self.neighbours = {key: mac for key, mac in self.neighbours.items() if key[0] != name}
        self.forwarding = {key: None for key in self.forwarding if key[0] != name}

    def set_up(self, name: str, up: bool) -> None:
        self.links[name].up = up
        if not up:
            self.routes = {prefix: route for prefix, route in self.routes.items() if route["dev"] != name}

    def setting(self, path: str) -> str:
        return (self.sysctls / path).read_text().strip()

    # --- tools ---

    def __call__(self, command: Sequence[str], data: bytes = b"") -> Ran:
        self.commands.append(" ".join(command))
        if self.failing is not None:
            return Ran(1, error=self.failing)
        match list(command):
            case ["ip", "-N", "-j", "addr"]:
                return _json([link.shown() for link in self.links.values()])
            case ["ip", "-N", "-j", "-d", "link", "show", "dev", name]:
                return _json([self.links[name].shown()])
            case ["ip", "-N", "-j", ("-4" | "-6") as family, "route", "show", "table", "main"]:
                wanted = IPFamily(int(family[1:]))
                return _json([route for prefix, route in self.routes.items() if prefix.family is wanted])
            case ["ip", "-N", "-j", "neigh", "show", "nud", "permanent"]:
                return _json([{"dst": address, "dev": device, "lladdr": mac, "state": ["PERMANENT"]}
                              for (device, address), mac in self.neighbours.items()])  # fmt: skip
            case ["bridge", "-j", "fdb", "show", "dev", name]:
                return _json([{"mac": mac, "dst": remote, "flags": ["self"], "state": "permanent"}
                              for device, mac, remote in self.forwarding if device == name])  # fmt: skip
            case [("ip" | "bridge") as tool, "-force", "-batch", "-"]:
                return self._batch(tool, data.decode())
            case ["conntrack", "--family", _, "--dump"]:
                return Ran(1, error="conntrack v1.4.7 (conntrack-tools): Operation failed: no such file\n")
            case ["conntrack", "--family", _, "--delete", option, address]:
                self.forgotten.append(f"{option} {address}")
                return Ran(1, error="conntrack v1.4.7 (conntrack-tools): 0 flow entries have been deleted.\n")
            case _:
                raise AssertionError(command)

    def _batch(self, tool: str, text: str) -> Ran:
        said = []
        for number, line in enumerate(text.splitlines(), 1):
            try:
                self._line(tool, line.split())
            except _Refused as refused:
                said += [f"RTNETLINK answers: {refused}", f"Command failed -:{number}"]
        return Ran(1 if said else 0, error="\n".join(said))

    def _device(self, words: list[str]) -> FakeLink:
        name = words[words.index("dev") + 1]
        if name not in self.links:
            raise _Refused(f'Cannot find device "{name}"')
        return self.links[name]

    def _line(self, tool: str, words: list[str]) -> None:
        match words:
            case ["link", "add", name, "address", mac, "type", "vxlan", *options]:
                self._make(name, "vxlan", mac, {
                    "id": int(options[1]), "port": int(options[3]), "local": options[5], "link": options[7],
                })  # fmt: skip
            case ["tunnel", "add", "tunl0", "mode", "ipip"]:
                # Asking loads the module, which makes the device, and so the device is always there already.
                if "tunl0" not in self.links:
                    self._make("tunl0", "ipip", "0.0.0.0", {})
                raise _Refused('add tunnel "tunl0" failed: File exists')
            case ["link", "delete", name]:
                self.remove_link(name)
            case ["link", "set", name, "mtu", number]:
                self._named(name).mtu = int(number)
            case ["link", "set", name, "address", mac]:
                self._named(name).mac = mac
            case ["link", "set", name, "up"]:
                self._named(name).up = True
            case ["address", "add", prefix, "dev", name]:
                self._named(name).addresses.append(prefix)
            case ["address", "delete", prefix, "dev", name]:
                self._named(name).addresses.remove(prefix)
            case ["route", "add", destination, *rest]:
                self._add_route(parse_prefix(destination), rest)
            case ["route", "delete", destination, "dev", name, "table", "main"]:
                prefix = parse_prefix(destination)
                if self.routes.get(prefix, {}).get("dev") != name:
                    raise _Refused("No such process")
                del self.routes[prefix]
            case ["neighbour", "replace", address, "lladdr", mac, "dev", name, "nud", "permanent"]:
                self._named(name)
                self.neighbours[name, str(parse_address(address))] = mac
            case ["neighbour", "delete", address, "dev", name]:
                del self.neighbours[name, address]
            case ["fdb", "append", mac, "dev", name, "dst", remote, "self", "permanent"] if tool == "bridge":
                self.forwarding[name, mac, remote] = None
            case ["fdb", "delete", mac, "dev", name, "dst", remote, "self"] if tool == "bridge":
                del self.forwarding[name, mac, remote]
            case _:
                raise AssertionError(words)

    def _named(self, name: str) -> FakeLink:
        return self._device(["dev", name])

    def _make(self, name: str, kind: str, mac: str, data: dict[str, Any]) -> None:
        if kind not in self.modules:
            raise _Refused("No such device")
        if name in self.links:
            raise _Refused("File exists")
        self.made += 1
        self.links[name] = FakeLink(name, self.made, up=False, mac=mac)
        self.links[name].info = {"info_kind": kind, "info_data": data}

    def _add_route(self, prefix: Prefix, rest: list[str]) -> None:
        link = self._device(rest)
        if not link.up:
            raise _Refused("Network is down")
        if prefix in self.routes:
            raise _Refused("File exists")
        if prefix.network != prefix:
            raise _Refused("Invalid prefix for given prefix length.")
        self.routes[prefix] = {
            "dst": str(prefix),
            "dev": link.name,
            "scope": "253" if "scope" in rest else "0",
            "flags": [],
        }
        if "via" in rest:
            self.routes[prefix] |= {"gateway": rest[rest.index("via") + 1], "flags": ["onlink"]}


def _json(value: list[dict[str, Any]]) -> Ran:
    return Ran(0, json.dumps(value).encode())
