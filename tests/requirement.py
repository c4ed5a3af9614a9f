"""What tests ask of the machine they run on, and how to find out whether it is there."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

KERNEL_PROGRAMS = ("ip", "ipset", "iptables-legacy-restore", "iptables-nft-restore", "nft", "unshare")

KERNEL_PROBES = {
    "network namespaces": ("true",),
    "ip sets": ("ipset", "list"),
    "iptables' legacy tables": ("iptables-legacy", "-t", "raw", "-S"),
    "iptables' legacy tables for IPv6": ("ip6tables-legacy", "-t", "raw", "-S"),
    "iptables on nf_tables": ("iptables-nft", "-t", "raw", "-S"),
    "nf_tables": ("nft", "list", "ruleset"),
}
"""What the kernel must offer, and a command that works in a new network namespace when it does."""


@functools.cache
def missing_for_kernel() -> str | None:
    """The first thing that tests/kernel needs and does not find here; None when it can run."""
    if os.geteuid() != 0:
        return "not root"
    if not Path("/dev/net/tun").exists():
        return "no /dev/net/tun"
    if not Path("/etc/protocols").exists():
        return "no /etc/protocols"
    for program in KERNEL_PROGRAMS:
        if shutil.which(program) is None:
            return f"{program} is not installed"
    environment = {**os.environ, "XTABLES_LOCKFILE": os.devnull}
    for feature, command in KERNEL_PROBES.items():
        probe = subprocess.run(["unshare", "--net", *command], env=environment, capture_output=True, text=True, check=False)
        if probe.returncode != 0:
            return f"the kernel has no {feature} ({probe.stderr.strip().splitlines()[-1:]})"
    return None


ETCD_PROGRAMS = ("etcd", "etcdctl")


@functools.cache
def missing_for_etcd() -> str | None:
    """The first thing that tests over real etcd need and do not find here; None when they can run."""
    for program in ETCD_PROGRAMS:
        if shutil.which(program) is None:
            return f"{program} is not installed"
    return None


@functools.cache
def missing_for_faketime() -> str | None:
    """What tests that set the clock of programs need and do not find here; None when they can run."""
    if fake_time_library() is None:
        return "libfaketimeMT is not installed"
    return None


def fake_time_library() -> Path | None:
    """The library that gives programs another time, as Debian's package faketime has it; None when it is not there."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
