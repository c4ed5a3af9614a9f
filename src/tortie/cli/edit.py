"""Changes to a snapshot's rules before a packet is walked: *what if this rule were there?*

An edit is an iptables command line as an administrator would type it. It changes values in memory; the node and its files
are not touched. Which ruleset it means is told by its first word, or by the packet's family where there is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tortie.codec.command import apply_command
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import Backend
from tortie.netfilter.rule import Ruleset
from tortie.netfilter.snapshot import Snapshot

_PROGRAMS: dict[str, tuple[IPFamily, Backend | None]] = {
    "iptables": (IPFamily.V4, None),
    "iptables-legacy": (IPFamily.V4, Backend.LEGACY),
    "iptables-nft": (IPFamily.V4, Backend.NFT),
    "ip6tables": (IPFamily.V6, None),
    "ip6tables-legacy": (IPFamily.V6, Backend.LEGACY),
    "ip6tables-nft": (IPFamily.V6, Backend.NFT),
}


def apply_edits(snapshot: Snapshot, commands: Iterable[str], family: IPFamily) -> Snapshot:
    """The snapshot after all commands, in order; raises `InvalidInput` that names the command at fault."""
    for command in commands:
        try:
            snapshot = _apply(snapshot, command.strip(), family)
        except InvalidInput as error:
            raise error.at(source=f"--edit {command!r}") from None
    return snapshot


def _apply(snapshot: Snapshot, command: str, family: IPFamily) -> Snapshot:
    program = command.partition(" ")[0].rsplit("/", 1)[-1]
    backend: Backend | None = None
    if not program.startswith("-"):
        found = _PROGRAMS.get(program)
        if found is None:
            remedy = f"one of {', '.join(_PROGRAMS)}, or options alone"
            raise InvalidInput(f"not an iptables command: {program!r}", remedy=remedy)
        (family, backend), command = found, command.partition(" ")[2]
    old = _pick(snapshot, family, backend)
    new = apply_command(old, command)
    return replace(snapshot, rulesets=tuple(new if one is old else one for one in snapshot.rulesets))


def _pick(snapshot: Snapshot, family: IPFamily, backend: Backend | None) -> Ruleset:
    fitting = [one for one in snapshot.rulesets if one.family is family and backend in (None, one.backend)]
    if not fitting:
        what = f"IPv{family.value}" if backend is None else f"IPv{family.value} {backend.value}"
        raise InvalidInput(f"the snapshot holds no {what} rules to change")
    if len(fitting) > 1:
        raise InvalidInput(
            "both back-ends hold rules", remedy="say iptables-legacy or iptables-nft in front of the command"
        )
    return fitting[0]
