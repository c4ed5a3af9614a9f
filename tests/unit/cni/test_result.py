"""Results, in each version of the specification (spec: model 10.5; CNI specification, section 5)."""

from __future__ import annotations

import pytest

from tortie.cni.error import CniError
from tortie.cni.result import add_result, format_document, result_networks, version_result
from tortie.net.address import parse_prefix

NETWORKS = (parse_prefix("10.0.0.5/32"), parse_prefix("fd00::5/128"))
RESULTS = {
    "0.1.0": {"cniVersion": "0.2.0", "ip4": {"ip": "10.0.0.5/32"}, "ip6": {"ip": "fd00::5/128"}, "dns": {}},
    "0.2.0": {"cniVersion": "0.2.0", "ip4": {"ip": "10.0.0.5/32"}, "ip6": {"ip": "fd00::5/128"}, "dns": {}},
    "0.3.1": {
        "cniVersion": "0.3.1",
        "interfaces": [{"name": "cali1"}],
        "ips": [{"version": "4", "address": "10.0.0.5/32"}, {"version": "6", "address": "fd00::5/128"}],
        "dns": {},
    },
    "0.4.0": {
        "cniVersion": "0.4.0",
        "interfaces": [{"name": "cali1"}],
        "ips": [{"version": "4", "address": "10.0.0.5/32"}, {"version": "6", "address": "fd00::5/128"}],
        "dns": {},
    },
    "1.0.0": {
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "cali1"}],
        "ips": [{"address": "10.0.0.5/32"}, {"address": "fd00::5/128"}],
        "dns": {},
    },
}


@pytest.mark.parametrize("version", RESULTS)
def test_result(version: str) -> None:
    assert add_result(version, "cali1", NETWORKS) == RESULTS[version]


@pytest.mark.parametrize("version", RESULTS)
def test_a_result_of_any_version_can_be_read(version: str) -> None:
    assert result_networks(RESULTS[version]) == NETWORKS


def test_addresses_of_other_plugins_become_networks_of_one() -> None:
    assert result_networks({"ips": [{"address": "10.0.0.5/24", "gateway": "10.0.0.1"}]}) == NETWORKS[:1]


def test_an_address_plugin_has_no_interfaces() -> None:
    assert "interfaces" not in add_result("0.4.0", "", NETWORKS)


BAD = {
    "ips is no list": ({"ips": {}}, "cannot read the result: ips is not a list"),
    "an entry is none": ({"ips": ["x"]}, "cannot read the result: None is no address"),
    "no address": ({"ips": [{"address": "nobody"}]}, "cannot read the result: 'nobody' is no address"),
}


@pytest.mark.parametrize(("result", "message"), BAD.values(), ids=BAD)
def test_results_that_make_no_sense(result: dict[str, object], message: str) -> None:
    with pytest.raises(CniError, match=message):
        result_networks(result)


def test_versions() -> None:
    found = version_result()
    assert found["cniVersion"] == "1.0.0"
    assert {"0.3.1", "0.4.0", "1.0.0"} <= set(found["supportedVersions"])


def test_documents_are_indented_as_calico_has_it() -> None:
    assert format_document({"a": 1}) == '{\n    "a": 1\n}\n'
