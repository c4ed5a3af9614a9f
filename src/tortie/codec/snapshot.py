"""A snapshot as files with fixed names, each what one tool printed, to a `Snapshot`.

A file that is not there leaves its part unknown, never empty: no `ipset-save` means that sets are not known. A file without
a single byte is what a failed command leaves behind a `>`, so it counts as not there either, with a remark; the collectors
write a comment where a tool had nothing to print. A file that cannot be read is `InvalidInput` with its line, since half a
snapshot that looks whole is worse than none; leaving the file out is the way to go on without it.

Names: see `SNAPSHOT_FILES`. `remarks` holds one remark a line from whoever collected the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from tortie.codec.conntrack import parse_conntrack
from tortie.codec.ipset import parse_ipsets
from tortie.codec.ipvs import parse_ipvs
from tortie.codec.nft_chain import parse_foreign_chains
from tortie.codec.node import parse_links, parse_neighbours, parse_nexthops, parse_policy_rules, parse_routes
from tortie.codec.save import parse_save
from tortie.codec.sysctl import parse_sysctls
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.net.node import Link
from tortie.netfilter.hook import Backend
from tortie.netfilter.rule import Ruleset
from tortie.netfilter.snapshot import Snapshot

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_V4, _V6 = IPFamily.V4, IPFamily.V6
RULE_FILES: dict[str, tuple[IPFamily, Backend | None]] = {
    "iptables-save": (_V4, None),
    "iptables-nft-save": (_V4, Backend.NFT),
    "iptables-legacy-save": (_V4, Backend.LEGACY),
    "ip6tables-save": (_V6, None),
    "ip6tables-nft-save": (_V6, Backend.NFT),
    "ip6tables-legacy-save": (_V6, Backend.LEGACY),
}
"""Files of rules; where the name leaves the back-end open the text says it."""
REMARKS = "remarks"
SNAPSHOT_FILES: dict[str, str] = {
    **{name: name for name in RULE_FILES},
    "ipset-save": "ipset save",
    "ipset-list": "ipset list, where ipset-save is missing",
    "ip-link.json": "ip -N -j -d link",
    "ip-addr.json": "ip -N -j addr",
    "ip-route.json": "ip -N -j -4 route show table all",
    "ip6-route.json": "ip -N -j -6 route show table all",
    "ip-nexthop.json": "ip -N -j nexthop",
    "ip-rule.json": "ip -N -j -4 rule",
    "ip6-rule.json": "ip -N -j -6 rule",
    "ip-neigh.json": "ip -N -j neigh",
    "sysctl": "sysctl -a",
    "conntrack": "conntrack -L",
    "ipvs": "ipvsadm -Sn",
    "nft-chains": "nft -y list chains",
    REMARKS: "remarks of the collector, one a line",
}
"""Every name that a snapshot may hold, and the command whose output it is."""


def parse_snapshot(files: Mapping[str, bytes], name: str) -> Snapshot:
    """The snapshot that the files hold; `name` says where they came from. Raises `InvalidInput` with file and line."""
    draft = _Draft(name)
    for file in sorted(files, key=_order):
        draft.take(file, files[file])
    return draft.finish()


def decode_text(data: bytes, source: str) -> tuple[str, str | None]:
    """A tool's output as text, and a remark when bytes had to be replaced; raises `InvalidInput` for binary data."""
    place = data.find(b"\0")
    if place >= 0:
        raise InvalidInput("binary data, not text", source=source, line=data.count(b"\n", 0, place) + 1)
    try:
        return data.decode(), None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return data.decode(
            errors="replace"
        ), f"{source}: bytes that are not UTF-8 are shown as U+FFFD, first in line {line}"


def _order(file: str) -> int:
    """Place of a name in `SNAPSHOT_FILES`, so that remarks come in one order; unknown names go last."""
    names = list(SNAPSHOT_FILES)
    return names.index(file) if file in SNAPSHOT_FILES else len(names)


class _Parser(Protocol[T_co]):
    """Every parser of a part: text to value, with the file's name for its errors."""

    def __call__(self, text: str, *, source: str) -> T_co: ...


class _Draft:
    """A snapshot in the making: the texts by name and the remarks so far."""

    __slots__ = ("name", "remarks", "texts")

    def __init__(self, name: str) -> None:
        self.name = name
        self.texts: dict[str, str] = {}
        self.remarks: list[str] = []

    def take(self, file: str, data: bytes) -> None:
        """Takes one file, or remarks why not."""
        if file not in SNAPSHOT_FILES:
            self.remarks.append(f"{file}: no file of a snapshot, not read")
            return
        text, remark = decode_text(data, self._where(file))
        if remark is not None:
            self.remarks.append(remark)
        if file == REMARKS:
            self.remarks += [line for line in text.splitlines() if line.strip()]
        elif not text.strip():
            self.remarks.append(f"{file}: empty, which is what a failed command leaves; it counts as missing")
        else:
            self.texts[file] = text

    def _where(self, file: str) -> str:
        return f"{self.name}/{file}"

    def _part(self, file: str, parse: _Parser[T]) -> T | None:
        """What a file holds, None without it."""
        text = self.texts.get(file)
        return None if text is None else parse(text, source=self._where(file))

    def finish(self) -> Snapshot:
        """The snapshot that the taken files hold."""
        nexthops = self._part("ip-nexthop.json", parse_nexthops)
        routes = {
            family: self._part(file, partial(parse_routes, family=family, nexthops=nexthops))
            for family, file in ((_V4, "ip-route.json"), (_V6, "ip6-route.json"))
        }
        rules = {
            family: self._part(file, partial(parse_policy_rules, family=family))
            for family, file in ((_V4, "ip-rule.json"), (_V6, "ip6-rule.json"))
        }
        snapshot = Snapshot(
            name=self.name,
            rulesets=self._rulesets(),
            ip_sets=self._part("ipset-save" if "ipset-save" in self.texts else "ipset-list", parse_ipsets),
            links=self._links(),
            routes={family: found for family, found in routes.items() if found is not None},
            policy_rules={family: found for family, found in rules.items() if found is not None},
            neighbours=self._part("ip-neigh.json", parse_neighbours),
            sysctls=self._part("sysctl", parse_sysctls),
            connections=self._part("conntrack", parse_conntrack),
            ipvs=self._part("ipvs", parse_ipvs),
            foreign_chains=self._part("nft-chains", parse_foreign_chains),
        )
        return replace(snapshot, unreadable=tuple(self.remarks), files=tuple(self.texts))

    def _links(self) -> tuple[Link, ...] | None:
        if "ip-addr.json" not in self.texts and "ip-link.json" in self.texts:
            self.remarks.append("ip-link.json: not used without ip-addr.json, since it leaves the addresses unknown")
        details = self.texts.get("ip-link.json")
        return self._part("ip-addr.json", partial(parse_links, link_text=details))

    def _rulesets(self) -> tuple[Ruleset, ...]:
        found: dict[tuple[IPFamily, Backend], Ruleset] = {}
        for file, (family, backend) in sorted(RULE_FILES.items(), key=lambda item: item[1][1] is None):
            text = self.texts.get(file)
            if text is None:
                continue
            ruleset = parse_save(text, family, source=self._where(file), backend=backend).ruleset
            if (family, ruleset.backend) in found:
                self.remarks.append(f"{file}: not used, another file holds the rules of the same back-end")
                del self.texts[file]
                continue
            found[family, ruleset.backend] = ruleset
        for family in IPFamily:
            self._remark_backends(family, found)
        return tuple(sorted(found.values(), key=lambda one: (one.family.value, one.backend is Backend.LEGACY)))

    def _remark_backends(self, family: IPFamily, found: Mapping[tuple[IPFamily, Backend], Ruleset]) -> None:
        legacy, nft = found.get((family, Backend.LEGACY)), found.get((family, Backend.NFT))
        tool = "iptables" if family is _V4 else "ip6tables"
        if legacy is not None and nft is not None and legacy.tables.keys() & nft.tables.keys():
            self.remarks.append(
                f"{tool}: legacy and nft rules are both loaded; which of them the kernel asks first is not in a snapshot, "
                "nft is taken to come first"
            )
        unread = any(
            _LEGACY_WARNING.format(tool) in text
            for file, text in self.texts.items()
            if RULE_FILES.get(file, (None,))[0] is family
        )
        if legacy is None and unread:
            self.remarks.append(f"{tool}: legacy tables are present as well, but {tool}-legacy-save is missing")


_LEGACY_WARNING = "Warning: {}-legacy tables present"
