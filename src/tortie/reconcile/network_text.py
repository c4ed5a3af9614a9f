"""Steps of a network plan as lines for `ip -batch` and `bridge -batch`, and in words.

Only what those tools do has a line; settings and connections are somebody else's work. Everything in a line is a value of
ours or a device's name, and names are checked: the tools read words.
"""

from __future__ import annotations

import re
from typing import assert_never

from tortie.net.address import IPFamily
from tortie.reconcile.network import (
    AddAddress,
    AddForwarding,
    AddRoute,
    DeleteAddress,
    DeleteDevice,
    DeleteForwarding,
    DeleteNeighbour,
    DeleteRoute,
    DeviceRoute,
    ForgetConnections,
    MakeIpip,
    MakeVxlan,
    NetworkStep,
    SetMac,
    SetMtu,
    SetNeighbour,
    SetSetting,
    SetUp,
)

_NAME = re.compile(r"[^\s/\\'\"]{1,15}")


def is_device_name(name: str) -> bool:
    """True for a name that the kernel takes for a device and that a line of a batch can hold."""
    return _NAME.fullmatch(name) is not None and name not in (".", "..")


def batch_line(step: NetworkStep) -> tuple[str, str]:
    """The tool, `ip` or `bridge`, and the line; raises `ValueError` for a step that is neither's work."""
    match step:
        case MakeVxlan(device):
            options = f"id {device.vni} dstport {device.port} local {device.local} dev {_name(device.parent)} nolearning"
            return "ip", f"link add {_name(device.name)} address {_mac(device.mac)} type vxlan {options}"
        case MakeIpip(ipip):
            return "ip", f"tunnel add {_name(ipip.name)} mode ipip"
        case DeleteDevice(name):
            return "ip", f"link delete {_name(name)}"
        case SetMtu(name, mtu):
            return "ip", f"link set {_name(name)} mtu {mtu}"
        case SetMac(name, mac):
            return "ip", f"link set {_name(name)} address {_mac(mac)}"
        case SetUp(name):
            return "ip", f"link set {_name(name)} up"
        case AddAddress(name, prefix):
            return "ip", f"address add {prefix} dev {_name(name)}"
        case DeleteAddress(name, prefix):
            return "ip", f"address delete {prefix} dev {_name(name)}"
        case AddRoute(route):
            return "ip", f"route add {_route(route)}"
        case DeleteRoute(destination, name):
            return "ip", f"route delete {destination} dev {_name(name)} table main"
        case SetNeighbour(one):
            return "ip", f"neighbour replace {one.address} lladdr {_mac(one.mac)} dev {_name(one.device)} nud permanent"
        case DeleteNeighbour(name, address):
            return "ip", f"neighbour delete {address} dev {_name(name)}"
        case AddForwarding(entry):
            return "bridge", f"fdb append {_mac(entry.mac)} dev {_name(entry.device)} dst {entry.remote} self permanent"
        case DeleteForwarding(entry):
            return "bridge", f"fdb delete {_mac(entry.mac)} dev {_name(entry.device)} dst {entry.remote} self"
        case SetSetting() | ForgetConnections():
            raise ValueError(f"{step} is not done by ip")
        case _:
            assert_never(step)


def describe_network_step(step: NetworkStep) -> str:
    """The step as what is run or written."""
    match step:
        case SetSetting(setting):
            return f"{setting.path} = {setting.value}"
        case ForgetConnections(address):
            return f"conntrack: forget {address}"
        case _:
            return " ".join(batch_line(step))


def _route(route: DeviceRoute) -> str:
    way = f"dev {_name(route.device)}"
    if route.gateway is not None:
        return f"{route.destination} via {route.gateway} {way} onlink proto boot table main"
    scope = " scope link" if route.destination.family is IPFamily.V4 else ""
    return f"{route.destination} {way}{scope} proto boot table main"


def _name(name: str) -> str:
    if not is_device_name(name):
        raise ValueError(f"no device is called {name!r}")
    return name


def _mac(mac: bytes) -> str:
    return mac.hex(":")
