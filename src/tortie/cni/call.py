"""What a runtime asks for: a command, and the container it is about, from the environment (CNI specification, section 2).

The network's configuration comes on stdin and is read by `config`. Nothing here looks at the node.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from tortie.cni.error import CniError, ErrorCode

_CONTAINER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")
_LONGEST_INTERFACE = 15
_NEEDED = {
    "ADD": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"),
    "DEL": ("CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"),
    "CHECK": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"),
    "VERSION": (),
}


class Command(Enum):
    """What is to be done."""

    ADD = "ADD"
    DEL = "DEL"
    CHECK = "CHECK"
    VERSION = "VERSION"


@dataclass(frozen=True, slots=True)
class Call:
    """One call; `arguments` are those of CNI_ARGS, `path` is where other plugins are. Empty is not given."""

    command: Command
    container_id: str = ""
    namespace_path: str = ""
    interface: str = ""
    path: tuple[str, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def pod(self) -> tuple[str, str] | None:
        """Namespace and name of the pod; None for a container that is no pod of Kubernetes."""
        name, namespace = self.arguments.get("K8S_POD_NAME", ""), self.arguments.get("K8S_POD_NAMESPACE", "")
        return (namespace, name) if name and namespace else None


def parse_call(environment: Mapping[str, str]) -> Call:
    """The call that the environment describes; raises `CniError`."""
    word = environment.get("CNI_COMMAND", "")
    if word not in _NEEDED:
        message = f"unknown CNI_COMMAND: {word}" if word else "required env variables missing"
        raise CniError(message, ErrorCode.BAD_ENVIRONMENT, "" if word else "CNI_COMMAND")
    missing = [name for name in _NEEDED[word] if not environment.get(name)]
    if missing:
        raise CniError("required env variables missing", ErrorCode.BAD_ENVIRONMENT, ", ".join(missing))
    call = Call(
        Command(word),
        environment.get("CNI_CONTAINERID", ""),
        environment.get("CNI_NETNS", ""),
        environment.get("CNI_IFNAME", ""),
        tuple(folder for folder in environment.get("CNI_PATH", "").split(":") if folder),
        _arguments(environment.get("CNI_ARGS", "")),
    )
    if call.command is not Command.VERSION:
        _check(call)
    return call


def _arguments(text: str) -> dict[str, str]:
    found = {}
    for pair in text.split(";"):
        if pair:
            name, equals, value = pair.partition("=")
            if not equals:
                raise CniError(f"CNI_ARGS: invalid pair {pair!r}", ErrorCode.BAD_ENVIRONMENT)
            found[name] = value
    return found


def _check(call: Call) -> None:
    if not _CONTAINER_ID.fullmatch(call.container_id):
        raise CniError(f"CNI_CONTAINERID {call.container_id!r} is not a container's id", ErrorCode.BAD_ENVIRONMENT)
    name = call.interface
    if len(name.encode()) > _LONGEST_INTERFACE or name in (".", "..") or re.search(r"[/:\s]", name):
        raise CniError(f"CNI_IFNAME {name!r} cannot be an interface's name", ErrorCode.BAD_ENVIRONMENT)
