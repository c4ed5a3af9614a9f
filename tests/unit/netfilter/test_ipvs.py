"""A virtual service is known by an address or by a mark, never by both or neither."""

from __future__ import annotations

import pytest

from tortie.net.address import IPFamily
from tortie.netfilter.ipvs import VirtualService


@pytest.mark.parametrize(("address", "mark"), [(None, None), (1, 1)])
def test_refused(address: int | None, mark: int | None) -> None:
    with pytest.raises(ValueError, match="either an address or a mark"):
        VirtualService(IPFamily.V4, "rr", address=address, mark=mark)


@pytest.mark.parametrize(("address", "mark"), [(0, None), (None, 0)])
def test_zero_is_an_address_and_a_mark(address: int | None, mark: int | None) -> None:
    service = VirtualService(IPFamily.V4, "rr", address=address, mark=mark)
    assert (service.address, service.mark) == (address, mark)
