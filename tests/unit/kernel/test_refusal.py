"""What is said when the kernel refuses."""

from __future__ import annotations

import pytest

from tortie.kernel.refusal import KernelRefused


@pytest.mark.parametrize(
    ("refusal", "text"),
    [
        (KernelRefused(("ip", "link"), "no"), "`ip link`: no"),
        (KernelRefused(("ipset", "restore"), "no", "add a 1.2.3.4"), "`ipset restore`: no (at `add a 1.2.3.4`)"),
        (
            KernelRefused(("ipset", "restore"), "ipset v7.17: Error in line 1: Hash is full, cannot add more elements"),
            "`ipset restore`: ipset v7.17: Error in line 1: Hash is full, cannot add more elements; "
            "the set has no room for more members: raise MaxIpsetSize, or let selectors choose fewer",
        ),
    ],
    ids=["a command", "and a line", "and what is to be done"],
)
def test_in_words(refusal: KernelRefused, text: str) -> None:
    assert str(refusal) == text
