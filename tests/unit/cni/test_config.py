"""A network's configuration, and what is wrong with it (spec: model 10.2)."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.cni.config import IpamConfig, parse_config
from tortie.cni.error import CniError, ErrorCode

SMALL = {"cniVersion": "0.4.0", "name": "net"}


def _parse(**keys: object) -> object:
    return parse_config(json.dumps(SMALL | keys))


def test_everything_has_a_default() -> None:
    config = parse_config(json.dumps(SMALL))
    assert (config.version, config.name, config.mtu, config.policy_type, config.previous) == ("0.4.0", "net", 0, "", None)
    assert config.ipam == IpamConfig("", assign_ipv4=True, assign_ipv6=False)
    assert not (config.allow_ip_forwarding or config.floating_addresses or config.addresses_without_ipam)


def test_everything_that_calico_knows() -> None:
    config = parse_config(
        json.dumps(
            SMALL
            | {
                "mtu": 1440,
                "nodename": "n1",
                "ipam": {"type": "calico-ipam", "assign_ipv4": "false", "assign_ipv6": "true", "ipv6_pools": ["p6"]},
                "policy": {"type": "k8s"},
                "container_settings": {"allow_ip_forwarding": True},
                "feature_control": {"floating_ips": True, "ip_addrs_no_ipam": True},
                "prevResult": {"ips": []},
                "kind of thing that nobody knows": [1],
            }
        )
    )
    assert (config.mtu, config.node_name, config.policy_type) == (1440, "n1", "k8s")
    assert config.ipam == IpamConfig("calico-ipam", assign_ipv4=False, assign_ipv6=True, ipv6_pools=("p6",))
    assert config.allow_ip_forwarding
    assert config.floating_addresses
    assert config.addresses_without_ipam
    assert config.previous == {"ips": []}


def test_labels_of_mesos_lose_what_a_label_cannot_hold() -> None:
    labels = [{"key": "a b", "value": "c/d-"}]
    config = parse_config(
        json.dumps(SMALL | {"args": {"org.apache.mesos": {"network_info": {"labels": {"labels": labels}}}}})
    )
    assert config.labels == {"a-b": "c-d"}


def test_the_oldest_version_goes_without_saying() -> None:
    assert parse_config('{"name": "net"}').version == "0.1.0"


REFUSED = {
    "no JSON": ("{", ErrorCode.UNREADABLE_CONFIGURATION, "failed to load netconf"),
    "no object": ("[]", ErrorCode.UNREADABLE_CONFIGURATION, "failed to load netconf"),
    "nothing": ("", ErrorCode.UNREADABLE_CONFIGURATION, "failed to load netconf"),
    "a version from the future": (
        json.dumps(SMALL | {"cniVersion": "9.0.0"}),
        ErrorCode.INCOMPATIBLE_VERSION,
        "incompatible CNI versions",
    ),
    "no name": ('{"cniVersion": "0.4.0"}', ErrorCode.BAD_CONFIGURATION, "missing network name"),
    "a name that is a path": (
        json.dumps(SMALL | {"name": "a/b"}),
        ErrorCode.BAD_CONFIGURATION,
        "invalid characters found in network name 'a/b'",
    ),
    "a number as text": (json.dumps(SMALL | {"mtu": "big"}), ErrorCode.BAD_CONFIGURATION, "mtu: 'big' is not a number"),
    "an MTU that cannot be": (
        json.dumps(SMALL | {"mtu": 10}),
        ErrorCode.BAD_CONFIGURATION,
        "mtu: 10 is not between 68 and 65535",
    ),
    "a switch that is none": (
        json.dumps(SMALL | {"container_settings": {"allow_ip_forwarding": "yes"}}),
        ErrorCode.BAD_CONFIGURATION,
        "container_settings.allow_ip_forwarding: 'yes' is not true or false",
    ),
    "a word that is a switch": (
        json.dumps(SMALL | {"ipam": {"assign_ipv4": True}}),
        ErrorCode.BAD_CONFIGURATION,
        'ipam.assign_ipv4: True is not "true" or "false"',
    ),
    "a list that is none": (
        json.dumps(SMALL | {"ipam": {"ipv4_pools": "p"}}),
        ErrorCode.BAD_CONFIGURATION,
        "ipam.ipv4_pools: 'p' is not a list of strings",
    ),
    "a part that is none": (json.dumps(SMALL | {"ipam": "x"}), ErrorCode.BAD_CONFIGURATION, "ipam: 'x' is not an object"),
}


@pytest.mark.parametrize(("text", "code", "message"), REFUSED.values(), ids=REFUSED)
def test_bad_configurations(text: str, code: ErrorCode, message: str) -> None:
    with pytest.raises(CniError) as caught:
        parse_config(text)
    assert (caught.value.code, caught.value.message) == (code, message)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = ("name", "cniVersion", "mtu", "ipam", "policy", "args", "prevResult", "feature_control", "container_settings")


@given(st.dictionaries(st.sampled_from(KEYS), JSON))
def test_whatever_comes_is_read_or_refused(raw: dict[str, object]) -> None:
    with suppress(CniError):
        assert parse_config(json.dumps(raw)).name == raw["name"]
