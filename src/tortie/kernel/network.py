"""Routes, neighbours, tunnel devices and settings of the node: read with `ip -j` and `bridge -j`, changed in batches.

A batch goes on behind a line that fails, since its lines are about different devices; each failure is told with its step.
That there is nothing left to do is found out by reading again, not by exit codes. Sources: ip(8) `-batch`, `-force`;
bridge(8); conntrack(8); proc_sys_net(5).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tortie.codec.ip_json import Node, parse_nodes
from tortie.codec.node import parse_links, parse_neighbours, parse_routes
from tortie.kernel.refusal import KernelRefused
from tortie.kernel.run import Feed, Ran
from tortie.net.address import Address, IPFamily, parse_address
from tortie.net.error import InvalidInput
from tortie.net.node import Link, Route
from tortie.reconcile.network import (
    ForgetConnections,
    ForwardingEntry,
    HeldNetwork,
    MakeIpip,
    NetworkStep,
    SetSetting,
    Setting,
    VxlanFacts,
    WantedNetwork,
)
from tortie.reconcile.network_text import batch_line

T = TypeVar("T")

_FAILED_LINE = re.compile(r"Command failed .*:(\d+)")
_SOURCE = re.compile(rb"\bsrc=(\S+)")
_CONNTRACK_TRIES = 4
_NO_IPIP = "this kernel has no IPIP (CONFIG_NET_IPIP, module ipip): load it, or turn IpInIpEnabled off"
_FAMILY_WORD = {IPFamily.V4: "ipv4", IPFamily.V6: "ipv6"}


@dataclass(frozen=True, slots=True)
class FailedStep:
    """A step that was not done, and what was said."""

    step: NetworkStep
    message: str


class Network:
    """The node's network behind its tools; `sysctls` is the folder that holds the settings."""

    def __init__(self, run: Feed, sysctls: Path = Path("/proc/sys")) -> None:
        self._run = run
        self._sysctls = sysctls
        self._known: dict[str, tuple[str, Any]] = {}
        """What was listed last, by what it lists, and what it means: hardly ever is it another."""

    # --- reading ---

    def links(self) -> tuple[Link, ...]:
        """All devices with their addresses; raises `KernelRefused`, or `InvalidInput` for senseless output."""
        return self._understood("ip addr", self._listed("ip", "addr"), lambda text: parse_links(text, source="ip addr"))

    def read(self, wanted: WantedNetwork) -> HeldNetwork:
        """What is held of everything that the wanted network speaks of; raises as `links` does."""
        links = {link.name: link for link in self.links()}
        vxlan = forwarding = None
        if wanted.vxlan_name in links:
            vxlan = _vxlan_facts(self._listed("ip", "-d", "link", "show", "dev", wanted.vxlan_name))
            forwarding = self._listed("bridge", "fdb", "show", "dev", wanted.vxlan_name)
        return HeldNetwork(
            links,
            vxlan,
            tuple(route for family in wanted.families for route in self._routes(family)),
            parse_neighbours(self._listed("ip", "neigh", "show", "nud", "permanent"), source="ip neigh"),
            _forwarding_entries(wanted.vxlan_name, forwarding or ""),
            self._read_settings(wanted.settings),
        )

    def _routes(self, family: IPFamily) -> tuple[Route, ...]:
        arguments = (f"-{family.value}", "route", "show", "table", "main")
        text = self._listed("ip", *arguments)
        return self._understood(" ".join(arguments), text, lambda text: parse_routes(text, family, source="ip route"))

    def _understood(self, what: str, text: str, parse: Callable[[str], T]) -> T:
        """What a listing means; one that is as it was last is not parsed again."""
        known = self._known.get(what)
        if known is None or known[0] != text:
            known = self._known[what] = text, parse(text)
        meaning: T = known[1]
        return meaning

    def _listed(self, tool: str, *arguments: str) -> str:
        numeric = ("-N",) if tool == "ip" else ()
        command = [tool, *numeric, "-j", *arguments]
        ran = self._run(command)
        if ran.code != 0:
            raise KernelRefused(command, "not installed" if ran.missing else ran.complaint)
        return ran.out.decode(errors="replace")

    def _read_settings(self, settings: Iterable[Setting]) -> Mapping[str, str]:
        found = {}
        for setting in settings:
            try:
                # A node has thousands of these, and they are read in every pass.
                file = os.open(f"{self._sysctls}/{setting.path}", os.O_RDONLY)
            except OSError:
                continue
            try:
                found[setting.path] = os.read(file, 4096).decode(errors="replace").strip()
            except OSError:
                continue
            finally:
                os.close(file)
        return found

    # --- changing ---

    def carry_out(self, steps: Sequence[NetworkStep]) -> tuple[FailedStep, ...]:
        """Takes the steps in order, whatever becomes of each; returns those that failed."""
        failed: list[FailedStep] = []
        batch: list[tuple[str, str, NetworkStep]] = []
        sources: dict[IPFamily, frozenset[Address] | None] = {}
        for step in steps:
            if isinstance(step, (SetSetting, ForgetConnections)):
                failed += self._run_batches(batch)
                batch = []
                message = self._write(step) if isinstance(step, SetSetting) else self._forget(step.address, sources)
                failed += [FailedStep(step, message)] if message else []
            else:
                batch.append((*batch_line(step), step))
        return (*failed, *self._run_batches(batch))

    def _run_batches(self, lines: Sequence[tuple[str, str, NetworkStep]]) -> list[FailedStep]:
        """Lines for one tool that follow each other are one run of it."""
        failed: list[FailedStep] = []
        start = 0
        while start < len(lines):
            end = start
            while end < len(lines) and lines[end][0] == lines[start][0]:
                end += 1
            failed += self._run_batch(lines[start][0], lines[start:end])
            start = end
        return failed

    def _run_batch(self, tool: str, lines: Sequence[tuple[str, str, NetworkStep]]) -> list[FailedStep]:
        text = "".join(f"{line}\n" for _, line, _ in lines)
        ran = self._run([tool, "-force", "-batch", "-"], text.encode())
        if ran.code == 0:
            return []
        steps = [step for _, _, step in lines]
        failed = _failures(ran, steps) or [
            FailedStep(step, "not installed" if ran.missing else ran.complaint) for step in steps
        ]
        return [one for one in failed if not _is_there(one)]

    def _write(self, step: SetSetting) -> str | None:
        try:
            file = os.open(self._sysctls / step.setting.path, os.O_WRONLY | os.O_TRUNC)
            try:
                os.write(file, step.setting.value.encode())
            finally:
                os.close(file)
        except OSError as error:
            return error.strerror or str(error)
        return None

    def _forget(self, address: Address, sources: dict[IPFamily, frozenset[Address] | None]) -> str | None:
        """Both directions, up to four tries each (spec: model 7.1); what is not there is forgotten already.

        Each deletion goes through the whole table in the kernel, so `sources` of all conversations are listed first, once
        for all addresses that are forgotten together: of most there is none.
        """
        if address.family not in sources:
            sources[address.family] = self._sources(address.family)
        known = sources[address.family]
        if known is not None and address not in known:
            return None
        for option in ("--orig-src", "--reply-src"):
            command = ["conntrack", "--family", _FAMILY_WORD[address.family], "--delete", option, str(address)]
            for _ in range(_CONNTRACK_TRIES):
                ran = self._run(command)
                if ran.code == 0 or "0 flow entries" in ran.error:
                    break
                if ran.missing:
                    return "conntrack is not installed, so conversations of the address go on"
            else:
                return ran.complaint
        return None

    def _sources(self, family: IPFamily) -> frozenset[Address] | None:
        """Sources of conversations, in either direction; None where they cannot be listed."""
        ran = self._run(["conntrack", "--family", _FAMILY_WORD[family], "--dump"])
        if ran.code != 0:
            return None
        try:
            return frozenset(parse_address(text.decode()) for text in set(_SOURCE.findall(ran.out)))
        except (InvalidInput, UnicodeDecodeError):
            return None


def _failures(ran: Ran, steps: Sequence[NetworkStep]) -> list[FailedStep]:
    """What a batch said of its lines: complaints, and behind them the number of the line that they are about."""
    failed = []
    said: list[str] = []
    for line in ran.error.splitlines():
        found = _FAILED_LINE.match(line)
        if found is None:
            said.append(line.strip())
            continue
        if 0 < int(found[1]) <= len(steps):
            step = steps[int(found[1]) - 1]
            failed.append(FailedStep(step, _explained(step, "; ".join(said))))
        said = []
    return failed


def _is_there(failed: FailedStep) -> bool:
    """Asking for `tunl0` loads the module, which makes it, so that it is always there already (spec: model 7.6)."""
    return isinstance(failed.step, MakeIpip) and failed.message.endswith("File exists")


def _explained(step: NetworkStep, message: str) -> str:
    if isinstance(step, MakeIpip) and "No such device" in message:
        return _NO_IPIP
    return message.removeprefix("RTNETLINK answers: ") or "failed"


def _vxlan_facts(text: str) -> VxlanFacts | None:
    for node in parse_nodes(text, "link"):
        info = node.child("linkinfo")
        data = None if info is None else info.child("info_data")
        if info is None or data is None or info.text("info_kind") != "vxlan":
            return None
        plain = not any(data.flag(option) for option in ("l2miss", "gbp")) and "group" not in data
        return VxlanFacts(data.number("id"), data.number("port"), data.text("link"), data.address("local"), plain)
    return None


def _forwarding_entries(device: str, text: str) -> frozenset[ForwardingEntry]:
    return frozenset(entry for node in parse_nodes(text, "entry") if (entry := _forwarding_entry(device, node)) is not None)


def _forwarding_entry(device: str, node: Node) -> ForwardingEntry | None:
    mac, remote = node.text("mac"), node.text("dst")
    if mac is None or remote is None or node.text("state") != "permanent":
        return None
    try:
        return ForwardingEntry(device, bytes.fromhex(mac.replace(":", "")), parse_address(remote))
    except (ValueError, InvalidInput):
        return None
