"""Where parameters come from, and what their texts mean to the agent (spec: rules 11)."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from tortie.agent.setting import (
    DEFAULT_SETTINGS,
    NEED_RESTART,
    WITHOUT_EFFECT,
    changed_parameters,
    effective_parameters,
    environment_parameters,
    local_parameters,
    parse_felix_file,
    parse_settings,
)
from tortie.model.parameter import FELIX_PARAMETERS
from tortie.net.error import InvalidInput


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[global]\nLogPrefix = x\n", {"LogPrefix": "x"}),
        ("[global]\nA=1\n[other]\nB: 2\n", {"A": "1", "B": "2"}),
        ("LogPrefix=x=y\n", {"LogPrefix": "x=y"}),
        ("# comment\n[global]\nA = 50%\n", {"A": "50%"}),
        ("", {}),
    ],
    ids=["one section", "sections mean nothing", "no section", "no interpolation", "empty"],
)
def test_the_file(text: str, found: dict[str, str]) -> None:
    assert parse_felix_file(text, "felix.cfg") == found


@pytest.mark.parametrize("text", ["[global\nA=1\n", "[global]\nnonsense\n"])
def test_a_file_that_is_none(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a configuration file"):
        parse_felix_file(text, "felix.cfg")


def test_the_environment_in_any_case() -> None:
    given = {"FELIX_LOGPREFIX": "a", "felix_IpInIpEnabled": "true", "PATH": "/bin"}
    assert environment_parameters(given) == {"LOGPREFIX": "a", "IpInIpEnabled": "true"}


def test_bytes_of_the_environment_that_are_no_text_are_marked() -> None:
    """Python hands them on as halves of surrogates, which nothing can write."""
    assert environment_parameters({"FELIX_LOGPREFIX": os.fsdecode(b"caf\xe9")}) == {"LOGPREFIX": "caf\ufffd"}


def test_environment_wins_over_file_and_both_over_the_datastore() -> None:
    local = local_parameters({"logprefix": "file", "InterfacePrefix": "tap"}, {"LOGPREFIX": "environment"})
    assert local == {"LogPrefix": "environment", "InterfacePrefix": "tap"}
    assert effective_parameters({"LogPrefix": "store", "VXLANMTU": "1400"}, local) == local | {"VXLANMTU": "1400"}


def test_where_etcd_is_may_be_said_in_any_case_too() -> None:
    given = environment_parameters({"FELIX_ETCDENDPOINTS": "http://e:1", "FELIX_DATASTORETYPE": "etcdv3"})
    assert local_parameters({}, given) == {"EtcdEndpoints": "http://e:1", "DatastoreType": "etcdv3"}


def test_an_empty_value_is_none_given() -> None:
    assert effective_parameters({"LogPrefix": "store"}, local_parameters({"LogPrefix": ""}, {})) == {"LogPrefix": "store"}


@pytest.mark.parametrize("name", ["FelixHostname", "DatastoreType", "EtcdEndpoints", "TyphaAddr"])
def test_where_it_is_itself_the_datastore_does_not_say(name: str) -> None:
    assert effective_parameters({name: "x"}, {}) == {}
    assert effective_parameters({}, {name: "x"}) == {name: "x"}


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("IptablesRefreshInterval", "60", "iptables_refresh_s", 60.0),
        ("IptablesRefreshInterval", "0.5", "iptables_refresh_s", 0.5),
        ("IptablesRefreshInterval", "-3", "iptables_refresh_s", 0.0),
        ("ipsetsrefreshinterval", "none", "ipsets_refresh_s", 0.0),
        ("HealthEnabled", "YES", "health_enabled", True),
        ("HealthPort", "0x2000", "health_port", 8192),
        ("LogSeverityScreen", "Warning", "log_level", "WARNING"),
        ("LogSeverityScreen", "none", "log_level", "CRITICAL"),
        ("LogSeverityScreen", "fatal", "log_level", "CRITICAL"),
        ("VXLANMTU", "1450", "vxlan_mtu", 1450),
        ("VXLANMTU", "none", "vxlan_mtu", 1410),
        ("OpenstackRegion", "north", "openstack_region", "north"),
    ],
)
def test_values(name: str, text: str, field: str, value: object) -> None:
    settings, warnings = parse_settings({name: text})
    assert settings == replace(DEFAULT_SETTINGS, **{field: value})  # type: ignore[arg-type]
    assert not warnings


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("IptablesRefreshInterval", "soon"),
        ("IptablesRefreshInterval", "inf"),
        ("HealthEnabled", "perhaps"),
        ("HealthPort", "70000"),
        ("LogSeverityScreen", "loud"),
        ("VXLANMTU", "x"),
    ],
)
def test_a_bad_value_is_replaced_by_the_default_with_a_warning(name: str, text: str) -> None:
    settings, warnings = parse_settings({name: text})
    assert settings == DEFAULT_SETTINGS
    assert len(warnings) == 1 and warnings[0].startswith(name) and warnings[0].endswith("the default is used")


def test_what_changed() -> None:
    assert changed_parameters({"a": "1", "b": "2", "c": "3"}, {"b": "2", "c": "4", "d": "5"}) == ("a", "c", "d")


def test_every_parameter_with_a_special_effect_is_one_of_felix() -> None:
    assert {name for name, _ in FELIX_PARAMETERS.values()} >= NEED_RESTART | WITHOUT_EFFECT
    assert not NEED_RESTART & WITHOUT_EFFECT
