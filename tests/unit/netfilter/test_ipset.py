"""What each dimension of a set holds."""

from __future__ import annotations

import pytest

from tortie.net.address import IPFamily
from tortie.netfilter.ipset import SET_DIMENSIONS, IPSet


@pytest.mark.parametrize(
    ("kind", "dimensions"),
    [("hash:net", ("net",)), ("hash:ip,port,net", ("ip", "port", "net")), ("list:set", ("set",)), ("hash:new", ())],
)
def test_dimensions(kind: str, dimensions: tuple[str, ...]) -> None:
    assert IPSet("a", kind, IPFamily.V4).dimensions == dimensions


def test_a_types_name_lists_its_dimensions() -> None:
    assert all(kind.partition(":")[2].split(",") == list(found) for kind, found in SET_DIMENSIONS.items())
