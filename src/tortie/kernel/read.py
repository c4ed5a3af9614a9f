"""Reads the live node into the files of a snapshot, with the node's own tools.

Invariants:
- Nothing on the node changes. Listing a legacy table creates it and `ipvsadm` loads IPVS, so both run only where
  /proc says that there is something to list (spec: netfilter 1.2).
- The parts belong together. All that configures the node is read twice and compared without counters and clocks; when it
  changed in between it is read again, a few times, and in the end the snapshot says that it changed.
- A tool that is missing or fails is a remark in the snapshot and a part that is not known. A tool that has nothing to
  print leaves a comment (or an empty list), since a file without a byte is what failures leave.

`collect.sh` does the same without Python; tests/kernel/test_read.py holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tortie.codec.snapshot import REMARKS
from tortie.kernel.run import Ran, Run

MOST_READINGS = 4
"""How often the configuration is read before a change is told instead."""

IP_COMMANDS: dict[str, tuple[str, ...]] = {
    "ip-link.json": ("-d", "link"),
    "ip-addr.json": ("addr",),
    "ip-route.json": ("-4", "route", "show", "table", "all"),
    "ip6-route.json": ("-6", "route", "show", "table", "all"),
    "ip-nexthop.json": ("nexthop",),
    "ip-rule.json": ("-4", "rule"),
    "ip6-rule.json": ("-6", "rule"),
}
"""Arguments of `ip -N -j` for each file that configures the node."""
SYSCTLS = re.compile(
    r"kernel\.osrelease|net\.(?:"
    r"ipv4\.(?:conf\.|fib_|fwmark_reflect|icmp_|ip_|nexthop_compat_mode|vs\.|\w*l3mdev_accept)|"
    r"ipv6\.(?:conf\.(?!.*\.stable_secret)|fib_|fwmark_reflect|icmp\.|ip_nonlocal_bind|bindv6only)|"
    r"netfilter\.(?!nf_conntrack_count)|bridge\.)"
)
"""Settings that decide what becomes of a packet, and which kernel it is; secrets and what counts are left out."""
_CLOCKS: dict[str, re.Pattern[bytes]] = {
    "rules": re.compile(rb"^#.*\n|\[\d+:\d+\]", re.MULTILINE),
    "sets": re.compile(rb" (?:timeout|packets|bytes) \d+"),
    "ip": re.compile(rb'"(?:valid_life_time|preferred_life_time|expires|fdb_n_learned|\w*_timer)":[0-9.]+'),
}
"""What changes by itself in each kind of file: counters, times left, comments with the date."""


def read_node(run: Run) -> dict[str, bytes]:
    """The files of a snapshot of this node, by name; `run` runs the tools."""
    before = _Reading(run).configuration()
    changed: list[str] = []
    for _ in range(MOST_READINGS - 1):
        reading = _Reading(run).configuration()
        changed = _differences(before.files, reading.files)
        before = reading
        if not changed:
            break
    if changed:
        before.remarks.append(f"changed while being read {MOST_READINGS} times: {', '.join(changed)}")
    return before.state().all_files()


def _differences(first: dict[str, bytes], second: dict[str, bytes]) -> list[str]:
    """Names of the files that differ in more than counters and clocks."""
    return sorted(
        name for name in first.keys() | second.keys() if _steady(name, first.get(name)) != _steady(name, second.get(name))
    )


def _steady(name: str, data: bytes | None) -> bytes | None:
    if data is None:
        return None
    kind = "ip" if name.endswith(".json") else "sets" if name == "ipset-save" else "rules" if "tables" in name else None
    return data if kind is None else _CLOCKS[kind].sub(b"", data)


class _Reading:
    """One pass over the node."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.files: dict[str, bytes] = {}
        self.remarks: list[str] = []

    def configuration(self) -> _Reading:
        """Reads what stays as it is until somebody changes it."""
        self._rules("iptables", "/proc/net/ip_tables_names")
        self._rules("ip6tables", "/proc/net/ip6_tables_names")
        self._tool("nft-chains", ["nft", "-y", "list", "chains"])
        self._tool("ipset-save", ["ipset", "save"])
        self._ipvs()
        for file, arguments in IP_COMMANDS.items():
            self._ip(file, arguments)
        self._sysctls()
        return self

    def state(self) -> _Reading:
        """Reads what packets change all the time."""
        self._ip("ip-neigh.json", ("neigh",))
        self._connections()
        return self

    def all_files(self) -> dict[str, bytes]:
        """The files, with the remarks as one of them."""
        if not self.remarks:
            return self.files
        return self.files | {REMARKS: "".join(f"{remark}\n" for remark in self.remarks).encode()}

    # --- parts ---------------------------------------------------------------------------------------------------

    def _rules(self, tool: str, names: str) -> None:
        listed = self._run(["cat", names])
        legacy = listed.code == 0 and bool(listed.out.strip())
        nft = self._run([f"{tool}-nft-save"])
        if not nft.missing:
            self._keep(f"{tool}-nft-save", [f"{tool}-nft-save"], nft)
        else:
            # A system with one back-end only has the plain name, and its output says which one that is.
            plain = self._run([f"{tool}-save"])
            self._keep(f"{tool}-save", [f"{tool}-save"], plain)
            legacy = legacy and (plain.code != 0 or b"(nf_tables)" in plain.out[:1000])
        if legacy:
            self._tool(f"{tool}-legacy-save", [f"{tool}-legacy-save"])

    def _ipvs(self) -> None:
        if self._run(["cat", "/proc/net/ip_vs"]).code != 0:
            self.files["ipvs"] = b"# no IPVS in this kernel\n"
            return
        self._tool("ipvs", ["ipvsadm", "-Sn"])

    def _ip(self, file: str, arguments: Sequence[str]) -> None:
        command = ["ip", "-N", "-j", *arguments]
        ran = self._run(command)
        if ran.code != 0 and not ran.missing:  # before 5.2 there was no -N
            command = ["ip", "-j", *arguments]
            ran = self._run(command)
        self._keep(file, command, ran, nothing=b"[]\n")

    def _sysctls(self) -> None:
        ran = self._run(["sysctl", "-a"])
        # Some settings cannot be read by anyone; sysctl then ends with an error although it printed the others.
        lines = [line for line in ran.out.splitlines(keepends=True) if SYSCTLS.match(line.decode(errors="replace"))]
        if lines:
            ran = Ran(0, b"".join(lines))
        self._keep("sysctl", ["sysctl", "-a"], ran)

    def _connections(self) -> None:
        families = [self._run(["conntrack", "-L", "-f", family]) for family in ("ipv4", "ipv6")]
        if families[0].missing:
            table = self._run(["cat", "/proc/net/nf_conntrack"])
            if table.code == 0:
                self._keep("conntrack", ["cat", "/proc/net/nf_conntrack"], table)
                return
        failed = [ran for ran in families if ran.code != 0]
        self._keep("conntrack", ["conntrack", "-L"], failed[0] if failed else Ran(0, b"".join(ran.out for ran in families)))

    # --- one tool ------------------------------------------------------------------------------------------------

    def _tool(self, file: str, command: Sequence[str]) -> None:
        self._keep(file, command, self._run(command))

    def _keep(self, file: str, command: Sequence[str], ran: Ran, *, nothing: bytes | None = None) -> None:
        """Takes a tool's output as a file, or says why there is none."""
        text = " ".join(command)
        if ran.missing:
            self.remarks.append(f"{file}: {command[0]} is not installed")
        elif ran.code != 0:
            self.remarks.append(f"{file}: `{text}` failed: {ran.complaint}")
        elif ran.out.strip():
            self.files[file] = ran.out
        else:
            self.files[file] = f"# {text} printed nothing\n".encode() if nothing is None else nothing
