"""What kernels do otherwise than the newest, told by the release in a snapshot (`kernel.osrelease`).

A release says which kernel a distribution began with; what it carried back later is not seen. So an older kernel is asked
for all that either may do, and a snapshot without a release is read as one of a new kernel, with that as an assumption.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Release = tuple[int, int]
"""The first two numbers: 6.1.0-56-amd64 is (6, 1)."""

RELEASE_SETTING = "kernel.osrelease"
DNAT_IN_ORDER: Release = (6, 8)
"""DNAT to a range of ports begins at the first from here on, and anywhere before (nf_nat_l4proto_unique_tuple; seen random
on 6.1.192, in order on 6.18)."""
DCCP_GONE: Release = (6, 16)
"""From here on DCCP is a protocol like any unknown one; before, conntrack follows it by ports and state."""

_RELEASE = re.compile(r"(\d+)\.(\d+)")


def release_of(sysctls: Mapping[str, str] | None) -> Release | None:
    """The release among a snapshot's settings; None when it is not told, or not in numbers."""
    found = _RELEASE.match((sysctls or {}).get(RELEASE_SETTING, ""))
    return (int(found[1]), int(found[2])) if found else None


def is_older(release: Release | None, than: Release) -> bool:
    """True for a kernel that is known to be older."""
    return release is not None and release < than
