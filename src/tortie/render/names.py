"""Every Calico spelling: chains, set names, comments, and what marks a kernel object as ours.

Nothing else in Tortie spells these out; `reconcile` and `kernel` are handed the prefixes and patterns as values. Lengths
are counted in bytes. Sources: spec rules 3 to 9 (Felix 3.7 rules/rule_defs.go, ipsets/ipset_defs.go, hashutils/id.go).
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from functools import lru_cache
from hashlib import sha256

from tortie.net.address import IPFamily

MAX_CHAIN_NAME = 28
MAX_SET_NAME = 31

TRACKING_COMMENT = "cali:"
"""What the comment that carries a rule's hash starts with."""

PREROUTING = "cali-PREROUTING"
POSTROUTING = "cali-POSTROUTING"
INPUT = "cali-INPUT"
FORWARD = "cali-FORWARD"
OUTPUT = "cali-OUTPUT"
FAILSAFE_IN = "cali-failsafe-in"
FAILSAFE_OUT = "cali-failsafe-out"
WORKLOAD_TO_HOST = "cali-wl-to-host"
FORWARD_CHECK = "cali-forward-check"
FORWARD_ENDPOINT_MARK = "cali-forward-endpoint-mark"
FROM_WORKLOAD_DISPATCH = "cali-from-wl-dispatch"
TO_WORKLOAD_DISPATCH = "cali-to-wl-dispatch"
FROM_HOST_ENDPOINT = "cali-from-host-endpoint"
TO_HOST_ENDPOINT = "cali-to-host-endpoint"
FROM_HOST_FORWARD = "cali-from-hep-forward"
TO_HOST_FORWARD = "cali-to-hep-forward"
SET_ENDPOINT_MARK = "cali-set-endpoint-mark"
FROM_ENDPOINT_MARK = "cali-from-endpoint-mark"
NAT_OUTGOING = "cali-nat-outgoing"
FLOATING_DNAT = "cali-fip-dnat"
FLOATING_SNAT = "cali-fip-snat"

TO_WORKLOAD = "cali-tw-"
FROM_WORKLOAD = "cali-fw-"
TO_HOST = "cali-th-"
FROM_HOST = "cali-fh-"
TO_HOST_FORWARDED = "cali-thfw-"
FROM_HOST_FORWARDED = "cali-fhfw-"
SET_MARK = "cali-sm-"
POLICY_INBOUND = "cali-pi-"
POLICY_OUTBOUND = "cali-po-"
PROFILE_INBOUND = "cali-pri-"
PROFILE_OUTBOUND = "cali-pro-"

ALL_INTERFACES_ALIAS = "any-interface-at-all"
"""What stands for the interface of an all-interfaces host endpoint in chain names."""

IPIP_DEVICE = "tunl0"
VXLAN_DEVICE = "vxlan.calico"
IPVS_DEVICE = "kube-ipvs0"

ALL_POOLS_SET = "all-ipam-pools"
MASQUERADE_POOLS_SET = "masq-ipam-pools"
THIS_HOST_SET = "this-host"
ALL_HOSTS_SET = "all-hosts-net"
ALL_VXLAN_SET = "all-vxlan-net"

OUR_CHAIN_PREFIXES = (
    "cali-", "califw-", "calitw-", "califh-", "calith-", "calipi-", "calipo-", "felix-",
)  # fmt: skip
"""Chains that are ours by name, those of older versions included (spec: rules 10.2)."""

OUR_SET_PATTERNS: dict[IPFamily, str] = {
    IPFamily.V4: "^(cali4|felix-4|felix-masq-ipam-pools|felix-all-ipam-pools)",
    IPFamily.V6: "^(cali6|felix-6)",
}
"""Sets that are ours by name: whatever matches and is not wanted is deleted (spec: rules 9.1)."""

TRACKED_RULE = rf"{TRACKING_COMMENT}[a-zA-Z0-9_-]"
"""How the comment of a rule of ours starts, wherever the rule stands (spec: rules 10.2)."""

OLD_NAT_RULES = (
    "^-A POSTROUTING .* felix-masq-ipam-pools .*",
    "^-A POSTROUTING -o tunl0 -m addrtype ! --src-type LOCAL --limit-iface-out -m addrtype --src-type LOCAL -j MASQUERADE",
)
"""Rules that old versions put into nat without a comment, beside jumps to chains of ours (spec: rules 10.2)."""

FENCE_COMMENT = f"{TRACKING_COMMENT}closed-while-changing"
"""The comment of rules that close a chain while rules and sets change together; to Felix a stale rule of its own."""


def limited_name(prefix: str, suffix: str, longest: int = MAX_CHAIN_NAME) -> str:
    """Prefix and suffix, or the prefix with a digest of the suffix when the two are too long (spec: rules 7.1).

    A suffix that starts with `_` could be mistaken for a digest, so it is also replaced when it would just fit.
    """
    raw = suffix.encode()
    head, total = len(prefix.encode()), len(prefix.encode()) + len(raw)
    if total > longest or (total == longest and suffix.startswith("_")):
        digest = urlsafe_b64encode(sha256(raw).digest()).decode().rstrip("=")
        return f"{prefix}_{digest[: longest - 1 - head]}"
    return prefix + suffix


@lru_cache(maxsize=65536)
def chain_name(prefix: str, suffix: str) -> str:
    """The chain of a policy, a profile or an interface: one of the prefixes above and the object's name."""
    name = limited_name(prefix, suffix)
    if not suffix or any(letter.isspace() for letter in name):
        raise ValueError(f"no chain can be named {name!r}")
    return name


def ip_set_name(family: IPFamily, set_id: str) -> str:
    """The kernel's name of a set: family, format version 0 and as much of the id as fits (spec: rules 9.1)."""
    return f"cali{family.value}0{set_id}".encode()[:MAX_SET_NAME].decode(errors="ignore")


def temporary_set_name(family: IPFamily, number: int) -> str:
    """The name of the set that a rewrite fills before it is swapped in."""
    return f"cali{family.value}t{number}"
