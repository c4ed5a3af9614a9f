"""Names: the vectors of spec rules 13.8, and lengths in bytes."""

from __future__ import annotations

import re

import pytest

from tortie.net.address import IPFamily
from tortie.render import names
from tortie.render.names import chain_name, ip_set_name, limited_name, temporary_set_name


@pytest.mark.parametrize(
    ("prefix", "suffix", "expected"),
    [
        ("cali-pi-", "default.allow-all", "cali-pi-default.allow-all"),
        ("cali-pri-", "ksa.default.default", "cali-pri-ksa.default.default"),
        ("cali-pri-", "ksa.kube-system.coredns", "cali-pri-_u2Tn2rSoAPffvE7JO6"),
        ("cali-pi-", "default/knp.default.allow-dns", "cali-pi-_N0mE1uEul9nsAbL_P-4"),
        ("cali-po-", "default/knp.default.allow-dns", "cali-po-_N0mE1uEul9nsAbL_P-4"),
        ("cali-pi-", "_234567890123456789", "cali-pi-_234567890123456789"),
        ("cali-pi-", "_2345678901234567890", "cali-pi-_NRWGJbcgjLYWITkwn5H"),
        ("cali-pi-", "abcdefghijklmnopqrst", "cali-pi-abcdefghijklmnopqrst"),
        ("cali-pi-", "abcdefghijklmnopqrstu", "cali-pi-_JfYqWj1BTsbiCQfffzZ"),
        ("cali-fh-", "any-interface-at-all", "cali-fh-any-interface-at-all"),
    ],
)
def test_chain_name(prefix: str, suffix: str, expected: str) -> None:
    assert chain_name(prefix, suffix) == expected


@pytest.mark.parametrize(
    ("suffix", "longest", "expected"),
    [("123456", 11, "felix123456"), ("_2345", 10, "felix_kMQI"), ("12345678910", 13, "felix_Y2QCZIS")],
)
def test_limiter(suffix: str, longest: int, expected: str) -> None:
    assert limited_name("felix", suffix, longest) == expected


def test_length_is_counted_in_bytes() -> None:
    assert limited_name("cali-pi-", "a" * 20) == "cali-pi-" + "a" * 20
    assert limited_name("cali-pi-", "ä" + "a" * 19).startswith("cali-pi-_")


@pytest.mark.parametrize("suffix", ["", "a b", "a\nb"])
def test_a_name_that_iptables_cannot_read_back_is_refused(suffix: str) -> None:
    with pytest.raises(ValueError, match="no chain can be named"):
        chain_name("cali-pi-", suffix)


@pytest.mark.parametrize(
    ("set_id", "expected"),
    [
        ("s:5y5I3VdRZfDU01O--xXAPx2yxCQQqMf0M6IWug", "cali40s:5y5I3VdRZfDU01O--xXAPx2"),
        ("s:15BsN3lAoN-RxJvEZg4cV1d_NN1IZSgW1ReU-g", "cali40s:15BsN3lAoN-RxJvEZg4cV1d"),
        ("s:4g010_DunYvItGg3dv2MxnaJYxWEVRwn0exiaA", "cali40s:4g010_DunYvItGg3dv2Mxna"),
        ("n:cl9_Kgeu4H0OGLbhovVR3NBLUOZscKeMK1Mu4A", "cali40n:cl9_Kgeu4H0OGLbhovVR3NB"),
        ("n:wBUuGT_s8isCYKpah3eXsbdmUcK81NRtDXrUEA", "cali40n:wBUuGT_s8isCYKpah3eXsbd"),
        ("n:s4IebwKotj0fXDZc6DX1YxEZL-5QXvNpY1Zlgw", "cali40n:s4IebwKotj0fXDZc6DX1YxE"),
        ("n:OBc0h7Ak6b6OoZ3Pk5_7Ho7JUkAobzKf3L7avQ", "cali40n:OBc0h7Ak6b6OoZ3Pk5_7Ho7"),
        ("all-ipam-pools", "cali40all-ipam-pools"),
        ("masq-ipam-pools", "cali40masq-ipam-pools"),
        ("this-host", "cali40this-host"),
    ],
)
def test_set_name(set_id: str, expected: str) -> None:
    assert ip_set_name(IPFamily.V4, set_id) == expected
    assert ip_set_name(IPFamily.V6, set_id) == expected.replace("cali40", "cali60")


def test_temporary_set_name() -> None:
    assert temporary_set_name(IPFamily.V4, 0) == "cali4t0"
    assert temporary_set_name(IPFamily.V6, 12) == "cali6t12"


@pytest.mark.parametrize("family", IPFamily)
def test_every_set_of_ours_is_recognised_and_of_one_family(family: IPFamily) -> None:
    other = IPFamily.V6 if family is IPFamily.V4 else IPFamily.V4
    for name in (ip_set_name(family, "this-host"), temporary_set_name(family, 3)):
        assert re.search(names.OUR_SET_PATTERNS[family], name)
        assert not re.search(names.OUR_SET_PATTERNS[other], name)
