"""Features told from version texts (spec: rules 1.4)."""

from __future__ import annotations

import pytest

from tortie.net.error import InvalidInput
from tortie.render.config import RenderConfig
from tortie.render.state import Features, NodeState, detect_features, render_context

KERNEL = "Linux version 4.19.0-5-amd64 (debian-kernel@lists.debian.org)"
ALL, NONE = Features(True, True), Features(False, False)


@pytest.mark.parametrize(
    ("iptables", "kernel", "expected"),
    [
        ("iptables v1.8.2 (nf_tables)", KERNEL, ALL),
        ("iptables v1.6.2", KERNEL, ALL),
        ("iptables v1.6.1", KERNEL, Features(True, False)),
        ("iptables v1.6.0", KERNEL, Features(True, False)),
        ("iptables v1.4.21", KERNEL, NONE),
        ("iptables v1.8.2", "Linux version 3.13.11", NONE),
        ("iptables v1.8.2", "Linux version 3.14.0", ALL),
        ("garbage", KERNEL, NONE),
        ("iptables v1.8.2", "garbage", NONE),
        ("iptables v1.8", KERNEL, NONE),
    ],
)
def test_features(iptables: str, kernel: str, expected: Features) -> None:
    assert detect_features(iptables, kernel) == expected


def test_a_context_needs_a_mask_with_room_for_endpoints() -> None:
    with pytest.raises(InvalidInput, match="needed"):
        render_context(RenderConfig(mark_mask=0xF0000), NodeState())
