"""Where a container's addresses come from: annotations, arguments, pools, other plugins (spec: model 10.2, 10.3, 10.7)."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tortie.cni.addressing import Wish, check_held, give_back, handle_of, read_wish, take
from tortie.cni.call import Call, Command
from tortie.cni.config import NetworkConfig, parse_config
from tortie.cni.error import CniError
from tortie.cni.file_datastore import FileDatastore
from tortie.ipam.release import addresses_of_handle
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput

RESOURCES = """apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: n1}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: first}
spec: {cidr: 10.65.0.0/24}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: second}
spec: {cidr: 10.66.0.0/24}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: six}
spec: {cidr: "fd65::/120"}
"""
CALL = Call(Command.ADD, "abc", "/x", "eth0")
NOTHING: Mapping[str, str] = {}


@pytest.fixture
def datastore(tmp_path: Path) -> FileDatastore:
    (tmp_path / "resources").mkdir()
    (tmp_path / "resources" / "all.yaml").write_text(RESOURCES)
    return FileDatastore(tmp_path / "resources", tmp_path / "ipam")


def _config(**ipam: object) -> NetworkConfig:
    return parse_config(json.dumps({"cniVersion": "0.4.0", "name": "net", "ipam": {"type": "calico-ipam"} | ipam}))


def _taken(datastore: FileDatastore, config: NetworkConfig, call: Call = CALL, wish: Wish | None = None) -> list[str]:
    return [str(one) for one in take(datastore, call, config, "n1", wish or read_wish(NOTHING, NOTHING, config))]


def test_one_ipv4_address_is_given_unless_something_else_is_asked(datastore: FileDatastore) -> None:
    (network,) = _taken(datastore, _config(ipv4_pools=["first"]))
    assert network.startswith("10.65.0.")
    assert network.endswith("/32")


def test_a_family_each_as_the_network_says(datastore: FileDatastore) -> None:
    networks = _taken(datastore, _config(assign_ipv6="true", ipv4_pools=["10.66.0.0/24"]))
    assert [network.split(".")[0].split("::")[0] for network in networks] == ["10", "fd65"]
    assert networks[0].startswith("10.66.")
    assert _taken(datastore, _config(assign_ipv4="false"), replace(CALL, container_id="other")) == []


def test_what_is_given_is_held_until_it_is_given_back(datastore: FileDatastore) -> None:
    config = _config()
    (network,) = _taken(datastore, config)
    held = replace(config, previous={"ips": [{"address": network}]})
    check_held(datastore, CALL, held)
    give_back(datastore, CALL, config)
    give_back(datastore, CALL, config)
    with pytest.raises(CniError, match=r"is not assigned to net\.abc"):
        check_held(datastore, CALL, held)


def test_an_address_that_the_runtime_asks_for(datastore: FileDatastore) -> None:
    call = replace(CALL, arguments={"IP": "10.65.0.77"})
    assert _taken(datastore, _config(), call) == ["10.65.0.77/32"]
    with pytest.raises(InvalidInput):
        _taken(datastore, _config(), replace(call, container_id="other"))


def test_addresses_that_the_pod_asks_for_win_over_all_else(datastore: FileDatastore) -> None:
    config = _config()
    wish = read_wish({"cni.projectcalico.org/ipAddrs": '["10.66.0.9"]'}, NOTHING, config)
    assert _taken(datastore, config, wish=wish) == ["10.66.0.9/32"]


def test_when_one_family_cannot_be_had_the_other_is_given_back(datastore: FileDatastore) -> None:
    config = _config(assign_ipv6="true", ipv6_pools=["nobody"])
    with pytest.raises(CniError, match='error parsing pool "nobody": there is no pool of this name'):
        _taken(datastore, config)
    assert datastore.addresses(addresses_of_handle(handle_of(CALL, config))) is None


def test_a_pool_that_is_used_up(datastore: FileDatastore) -> None:
    config = _config(ipv4_pools=["first"])
    for number in range(256):
        _taken(datastore, config, replace(CALL, container_id=f"c{number}"))
    with pytest.raises(CniError) as caught:
        _taken(datastore, config)
    assert caught.value.message == "failed to request 1 IPv4 addresses. IPAM allocated only 0"
    assert "10.65.0.0/24" in caught.value.details


PREFIX = "cni.projectcalico.org/"
POOLS = {
    "the network's": (NOTHING, NOTHING, ("first",)),
    "the namespace's win": (NOTHING, {f"{PREFIX}ipv4pools": '["second"]'}, ("second",)),
    "the pod's win over those": ({f"{PREFIX}ipv4pools": '["a", "b"]'}, {f"{PREFIX}ipv4pools": '["second"]'}, ("a", "b")),
}


@pytest.mark.parametrize(("pod", "namespace", "pools"), POOLS.values(), ids=POOLS)
def test_which_pools(pod: Mapping[str, str], namespace: Mapping[str, str], pools: tuple[str, ...]) -> None:
    assert read_wish(pod, namespace, _config(ipv4_pools=["first"])).pools[IPFamily.V4] == pools


UNMANAGED = {f"{PREFIX}ipAddrsNoIpam": '["10.0.0.1"]'}
REFUSED = {
    "not JSON": ({f"{PREFIX}ipv4pools": "first"}, "is no JSON list of strings"),
    "not an address": ({f"{PREFIX}ipAddrs": '["nobody"]'}, "failed to parse annotation cni.projectcalico.org/ipAddrs"),
    "two of a family": ({f"{PREFIX}ipAddrs": '["10.0.0.1", "10.0.0.2"]'}, "has more than one IPv4 address"),
    "both ways": (UNMANAGED | {f"{PREFIX}ipAddrs": '["10.0.0.1"]'}, "can't have both annotations"),
    "without its switch": (UNMANAGED, "requested feature is not enabled: ip_addrs_no_ipam"),
}


@pytest.mark.parametrize(("annotations", "message"), REFUSED.values(), ids=REFUSED)
def test_bad_annotations(annotations: Mapping[str, str], message: str) -> None:
    with pytest.raises(CniError, match=message):
        read_wish(annotations, NOTHING, _config())


def test_addresses_by_name_need_our_own_address_plugin() -> None:
    with pytest.raises(CniError, match="needs the address plugin calico-ipam, not 'host-local'"):
        read_wish({f"{PREFIX}ipAddrs": '["10.0.0.1"]'}, NOTHING, _config(type="host-local"))


# --- another plugin ----------------------------------------------------------------------------------------------


def _plugin(folder: Path, body: str) -> Call:
    program = folder / "other-ipam"
    program.write_text(f"#!/bin/sh\ncat > {folder}/stdin\nprintenv CNI_COMMAND >> {folder}/commands\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return replace(CALL, path=("/nowhere", str(folder)))


def test_another_plugin_is_given_the_configuration_and_its_answer_counts(datastore: FileDatastore, tmp_path: Path) -> None:
    answer = '{"cniVersion": "0.4.0", "ips": [{"version": "4", "address": "192.0.2.7/24"}]}'
    call = _plugin(tmp_path, f"echo '{answer}'")
    config = _config(type="other-ipam")
    assert _taken(datastore, config, call) == ["192.0.2.7/32"]
    give_back(datastore, call, config)
    assert (tmp_path / "commands").read_text().split() == ["ADD", "DEL"]
    assert (tmp_path / "stdin").read_text() == config.text


FAILURES = {
    "its own words": ("""echo '{"code": 100, "msg": "no more", "details": "at all"}'; exit 1""", "no more"),
    "no words": ("exit 1", "address plugin other-ipam failed"),
    "nonsense": ("echo nonsense", "address plugin other-ipam: its answer is no JSON object"),
}


@pytest.mark.parametrize(("body", "message"), FAILURES.values(), ids=FAILURES)
def test_another_plugin_that_fails(datastore: FileDatastore, tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(CniError, match=message):
        _taken(datastore, _config(type="other-ipam"), _plugin(tmp_path, body))


MISSING = {
    "not there": ("nobody", r'failed to find plugin "nobody" in path \[\]'),
    "a path": ("../x", r"ipam.type: '../x' is no plugin's name"),
    "not named": ("", "no address plugin is configured: ipam.type is missing"),
}


@pytest.mark.parametrize(("name", "message"), MISSING.values(), ids=MISSING)
def test_another_plugin_that_cannot_be_run(datastore: FileDatastore, name: str, message: str) -> None:
    with pytest.raises(CniError, match=message):
        _taken(datastore, _config(type=name))
