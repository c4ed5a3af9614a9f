"""Makes and removes the pair of interfaces of a container, with `ip` and /proc/sys.

A pair that is not finished is taken away again. What is removed is what carries the name of the node's end or, inside the
container, the name that the runtime gave: both are the plugin's by agreement.
"""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tortie.cni.error import CniError, ErrorCode
from tortie.cni.interface import (
    ANYWHERE,
    PodInterface,
    creation_words,
    inside_lines,
    inside_sysctls,
    outside_routes,
    outside_sysctls,
)
from tortie.kernel.namespace import inside
from tortie.kernel.run import Feed, Ran
from tortie.net.address import IPFamily, Prefix

_LINK_LOCAL_TRIES = 10
_LINK_LOCAL_PAUSE_S = 0.05
_SYSCTLS = Path("/proc/sys")
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESRCH, errno.EINVAL)
"""How a namespace looks that is no more, and all that was in it; EINVAL is the file that it was mounted on (setns(2))."""


def connect(run: Feed, interface: PodInterface, sleep: Callable[[float], None] = time.sleep) -> bytes:
    """Makes the pair, with addresses, routes and sysctls on both ends; returns the MAC of the container's end.

    What was there under the name of the node's end goes first. Raises `CniError`, with nothing of the pair left.
    """
    disconnect(run, interface.host_name)
    _ip(run, creation_words(interface))
    try:
        _write_sysctls(outside_sysctls(interface))
        _ip(run, ["link", "set", interface.host_name, "up"])
        with inside(interface.namespace_path):
            _write_sysctls(inside_sysctls(interface))
            _ip(run, ["link", "set", interface.name, "up"])
        link_local = _link_local(run, interface.host_name, sleep) if IPFamily.V6 in interface.families else None
        with inside(interface.namespace_path):
            _batch(run, inside_lines(interface, link_local))
            mac = _link(run, interface.name)["address"]
        _route(run, interface)
    except OSError as error:
        disconnect(run, interface.host_name)
        raise CniError(f"failed to set up {interface.host_name}: {error.filename}: {error.strerror}") from None
    except CniError:
        disconnect(run, interface.host_name)
        raise
    return bytes.fromhex(mac.replace(":", ""))


def disconnect(run: Feed, host_name: str) -> None:
    """Removes the node's end, and with it the other; nothing happens where there is none. Raises `CniError`."""
    if (_SYSCTLS / "net/ipv4/conf" / host_name).exists() or _exists(run, host_name):
        ran = run(["ip", "link", "del", host_name])
        if ran.code and _exists(run, host_name):
            raise CniError(f"failed to delete {host_name}: {ran.complaint}")


def disconnect_inside(run: Feed, namespace_path: str, name: str) -> None:
    """Removes the container's end, where namespace and link are there; raises `CniError` when it stays."""
    try:
        with inside(namespace_path):
            if _exists(run, name):
                ran = run(["ip", "link", "del", name])
                if ran.code and _exists(run, name):
                    raise CniError(f"failed to delete {name} in the container: {ran.complaint}")
    except OSError as error:
        if error.errno not in _GONE:
            raise CniError(f"failed to open netns {namespace_path!r}: {error.strerror}") from None


def check(run: Feed, interface: PodInterface) -> None:
    """Raises `CniError` with the first thing that is not as `connect` leaves it."""
    if not _exists(run, interface.host_name):
        raise CniError(f"interface {interface.host_name} is not there")
    try:
        with inside(interface.namespace_path):
            if not _exists(run, interface.name):
                raise CniError(f"interface {interface.name} is not in the container")
            held = _addresses(run, interface.name)
            for network in interface.networks:
                if network not in held:
                    raise CniError(f"{network} is not on {interface.name}")
                _check_default(run, interface, network.family)
    except OSError as error:
        raise CniError(f"{interface.namespace_path}: {error.strerror}", ErrorCode.OTHER) from None
    for network in interface.networks:
        if interface.host_name not in _route_devices(run, network):
            raise CniError(f"the node has no route to {network} on {interface.host_name}")


# --- steps -------------------------------------------------------------------------------------------------------


def _route(run: Feed, interface: PodInterface) -> None:
    """The node's routes; one that is there and equal is fine, one to another interface is not ours to take."""
    for network, line in zip(interface.networks, outside_routes(interface), strict=True):
        devices = _route_devices(run, network)
        if interface.host_name in devices:
            continue
        if devices:
            raise CniError(f"route to {network} exists already on {devices[0]}")
        _batch(run, [line])


def _link_local(run: Feed, name: str, sleep: Callable[[float], None]) -> str:
    """The link-local address of the node's end, which the kernel gives it a moment after the link is up."""
    for _ in range(_LINK_LOCAL_TRIES):
        for entry in _json(run, ["-6", "addr", "show", "dev", name, "scope", "link"]):
            for address in entry.get("addr_info", ()):
                if "local" in address:
                    return str(address["local"])
        sleep(_LINK_LOCAL_PAUSE_S)
    raise CniError(f"no IPv6 link-local address found on {name}")


def _addresses(run: Feed, name: str) -> set[Prefix]:
    from tortie.net.address import parse_prefix

    return {
        parse_prefix(f"{address['local']}/{address['prefixlen']}")
        for entry in _json(run, ["addr", "show", "dev", name])
        for address in entry.get("addr_info", ())
    }


def _check_default(run: Feed, interface: PodInterface, family: IPFamily) -> None:
    if interface.name not in _route_devices(run, ANYWHERE[family]):
        raise CniError(f"the container has no default route on {interface.name}")


def _route_devices(run: Feed, network: Prefix) -> list[str]:
    """The interfaces that the main table has exactly this network on."""
    entries = _json(run, [f"-{network.family.value}", "route", "show", "exact", str(network)])
    return [str(entry["dev"]) for entry in entries if "dev" in entry]


def _link(run: Feed, name: str) -> dict[str, Any]:
    return _json(run, ["link", "show", "dev", name])[0]


def _exists(run: Feed, name: str) -> bool:
    return run(["ip", "link", "show", "dev", name]).code == 0


def _write_sysctls(values: Iterable[tuple[str, str]]) -> None:
    for path, value in values:
        (_SYSCTLS / path).write_text(value)


def _ip(run: Feed, words: Sequence[str]) -> Ran:
    return _checked(["ip", *words], run(["ip", *words]))


def _batch(run: Feed, lines: Iterable[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    _checked(["ip", "-batch", "-"], run(["ip", "-batch", "-"], text.encode()))


def _json(run: Feed, words: Sequence[str]) -> list[dict[str, Any]]:
    command = ["ip", "-j", *words]
    found = json.loads(_checked(command, run(command)).out or b"[]")
    return [entry for entry in found if entry]


def _checked(command: Sequence[str], ran: Ran) -> Ran:
    if ran.missing:
        raise CniError(f"{command[0]} is not installed")
    if ran.code:
        raise CniError(f"`{' '.join(command)}`: {(ran.error.strip().splitlines() or [ran.complaint])[0]}")
    return ran
