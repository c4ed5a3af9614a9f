"""Address pools: defaults and what is refused (spec: model 1.12)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.model_value import read_spec, refusal_of_spec
from tortie.model.pool import IPIPMode, IPPool, VXLANMode, overlaps
from tortie.net.address import parse_prefix


@pytest.mark.parametrize(("cidr", "block_size"), [("10.0.0.0/16", 26), ("fd00::/48", 122)])
def test_defaults(cidr: str, block_size: int) -> None:
    spec = read_spec(IPPool, {"cidr": cidr}).with_defaults().spec
    assert (spec.block_size, spec.node_selector) == (block_size, "all()")
    assert (spec.ipip_mode, spec.vxlan_mode, spec.nat_outgoing) == (IPIPMode.NEVER, VXLANMode.NEVER, False)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "spec: cidr is missing"),
    ({"cidr": ""}, "IPPool CIDR must be specified"),
    ({"cidr": "10.0.0.1/16"}, "IPPool CIDR must be a valid subnet"),
    ({"cidr": "10.0.0.1"}, "IPPool CIDR must be a valid subnet"),
    ({"cidr": "10.0.0.0/27"}, "IP pool size is too small for use with Calico IPAM."),
    ({"cidr": "10.0.0.0/16", "blockSize": 19}, "IPv4 block size must be between 20 and 32"),
    ({"cidr": "fd00::/48", "blockSize": 129}, "IPv6 block size must be between 116 and 128"),
    ({"cidr": "fd00::/48", "ipipMode": "Always"}, "IPIP is not supported on an IPv6 IP pool"),
    ({"cidr": "fd00::/48", "vxlanMode": "Always"}, "VXLANMode other than 'Never' is not supported on an IPv6 IP pool"),
    (
        {"cidr": "10.0.0.0/16", "ipipMode": "Always", "vxlanMode": "Always"},
        "Cannot enable both VXLAN and IPIP on the same IPPool",
    ),
    ({"cidr": "10.0.0.0/16", "vxlanMode": "CrossSubnet"}, "'CrossSubnet' is not one of Always, Never"),
    ({"cidr": "169.254.1.0/24"}, "IPPool CIDR overlaps with IPv4 Link Local range 169.254.0.0/16"),
    ({"cidr": "fe80::/64"}, "IPPool CIDR overlaps with IPv6 Link Local range fe80::/10"),
    ({"cidr": "10.0.0.0/16", "nodeSelector": "a"}, "expected an operator after label 'a'"),
]


@pytest.mark.parametrize(("spec", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_refused(spec: dict[str, Any], message: str) -> None:
    assert message in refusal_of_spec(IPPool, spec)


def test_a_disabled_pool_may_be_smaller_than_a_block() -> None:
    assert read_spec(IPPool, {"cidr": "10.0.0.0/27", "disabled": True}).spec.disabled


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [("10.0.0.0/8", "10.1.0.0/16", True), ("10.0.0.0/9", "10.128.0.0/9", False), ("0.0.0.0/0", "::/0", False)],
)
def test_overlaps(one: str, other: str, shared: bool) -> None:
    assert overlaps(parse_prefix(one), parse_prefix(other)) is shared
    assert overlaps(parse_prefix(other), parse_prefix(one)) is shared
