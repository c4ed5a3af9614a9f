"""Every extension by name and by the class of its value."""

from __future__ import annotations

from typing import Any

from tortie.codec.extension import Extension
from tortie.codec.match_bytes import BYTES_MATCHES
from tortie.codec.match_history import HISTORY_MATCHES
from tortie.codec.match_ipv6 import IPV6_MATCHES
from tortie.codec.match_network import NETWORK_MATCHES
from tortie.codec.match_state import STATE_MATCHES
from tortie.codec.match_time import TIME
from tortie.codec.match_transport import TRANSPORT_MATCHES
from tortie.codec.target_table import TARGETS
from tortie.net.address import IPFamily
from tortie.netfilter.match import OptionsMatch
from tortie.netfilter.target import ConnmarkRestore, ConnmarkSave, PlainTarget

_MATCHES = (
    *TRANSPORT_MATCHES,
    *NETWORK_MATCHES,
    *BYTES_MATCHES,
    *IPV6_MATCHES,
    *STATE_MATCHES,
    *HISTORY_MATCHES,
    TIME,
)


def _by_name(extensions: tuple[Extension, ...]) -> dict[IPFamily, dict[str, Extension]]:
    return {family: {item.name: item for item in extensions if family in item.families} for family in IPFamily}


MATCH_EXTENSIONS: dict[IPFamily, dict[str, Extension]] = _by_name(_MATCHES)
"""Match extensions of each family by their name after `-m`."""

TARGET_EXTENSIONS: dict[IPFamily, dict[str, Extension]] = _by_name(TARGETS)
"""Target extensions of each family by their name after `-j`."""


def _by_type(extensions: dict[str, Extension]) -> dict[type[Any], Extension]:
    found = {item.type: item for item in extensions.values() if item.type not in (OptionsMatch, PlainTarget)}
    if "CONNMARK" in extensions:
        found |= {ConnmarkSave: extensions["CONNMARK"], ConnmarkRestore: extensions["CONNMARK"]}
    return found


_MATCH_TYPES = {family: _by_type(extensions) for family, extensions in MATCH_EXTENSIONS.items()}
_TARGET_TYPES = {family: _by_type(extensions) for family, extensions in TARGET_EXTENSIONS.items()}


def match_extension(match: object, family: IPFamily) -> Extension:
    """The extension a match value belongs to; `ValueError` when the family has none."""
    if isinstance(match, OptionsMatch):
        return MATCH_EXTENSIONS[family][match.header]
    found = _MATCH_TYPES[family].get(type(match))
    if found is None:
        raise ValueError(f"{type(match).__name__} does not exist in IPv{family.value}")
    return found


def target_extension(target: object, family: IPFamily) -> Extension:
    """The extension a target value belongs to; `ValueError` when the family has none."""
    if isinstance(target, PlainTarget):
        return TARGET_EXTENSIONS[family][target.name]
    found = _TARGET_TYPES[family].get(type(target))
    if found is None:
        raise ValueError(f"{type(target).__name__} does not exist in IPv{family.value}")
    return found
