"""Per-device settings: how `all` and the device combine, and what is known of a value (spec: netfilter 10.4)."""

from __future__ import annotations

import pytest

from tortie.net.address import IPFamily
from tortie.simulator.setting import ASSUMED, COMBINATION, Combine, Settings

V4, V6 = IPFamily.V4, IPFamily.V6

TABLE = {
    "rp_filter": [((0, 0), 0), ((1, 0), 1), ((0, 2), 2), ((1, 2), 2), ((2, 1), 2)],
    "accept_local": [((0, 0), 0), ((1, 0), 1), ((0, 1), 1)],
    "send_redirects": [((0, 0), 0), ((1, 0), 1), ((0, 1), 1)],
    "bc_forwarding": [((0, 0), 0), ((1, 0), 0), ((0, 1), 0), ((1, 1), 1)],
    "forwarding": [((1, 0), 0), ((0, 1), 1)],
}
"""Key to pairs of (all, device) and the value in force."""


@pytest.mark.parametrize(
    ("key", "every", "own", "expected"),
    [(key, every, own, value) for key, rows in TABLE.items() for (every, own), value in rows],
)
def test_all_and_the_device_combine(key: str, every: int, own: int, expected: int) -> None:
    given = {f"net.ipv4.conf.all.{key}": str(every), f"net.ipv4.conf.e0.{key}": str(own)}
    setting = Settings(given, V4).conf(key, "e0")
    assert (setting.value, setting.known) == (expected, True)


@pytest.mark.parametrize(("key", "value", "known"), [("accept_local", 1, True), ("accept_local", 0, False)])
def test_one_known_half_may_decide(key: str, value: int, known: bool) -> None:
    setting = Settings({f"net.ipv4.conf.all.{key}": str(value)}, V4).conf(key, "e0")
    assert (setting.value, setting.known) == (value, known)


def test_the_sysctl_that_decided_is_named() -> None:
    given = {"net.ipv4.conf.all.rp_filter": "1", "net.ipv4.conf.e0.rp_filter": "2", "net.ipv4.conf.e1.rp_filter": "0"}
    settings = Settings(given, V4)
    assert settings.conf("rp_filter", "e0").name == "net.ipv4.conf.e0.rp_filter"
    assert settings.conf("rp_filter", "e1").name == "net.ipv4.conf.all.rp_filter"


def test_ipv6_forwards_as_a_whole() -> None:
    given = {"net.ipv6.conf.all.forwarding": "1", "net.ipv6.conf.e0.forwarding": "0"}
    assert Settings(given, V6).conf("forwarding", "e0").value == 1
    assert Settings(given, V6).device("forwarding", "e0").value == 0


def test_ip_forward_stands_for_devices_that_are_not_listed() -> None:
    setting = Settings({"net.ipv4.ip_forward": "0"}, V4).conf("forwarding", "e0")
    assert (setting.value, setting.known, setting.name) == (0, True, "net.ipv4.ip_forward")


def test_dots_in_device_names_are_slashes() -> None:
    for name in ("eth0/100", "eth0.100"):
        assert Settings({f"net.ipv4.conf.{name}.rp_filter": "1"}, V4).conf("rp_filter", "eth0.100").value == 1


@pytest.mark.parametrize("key", sorted(COMBINATION[V4]))
def test_a_missing_setting_is_assumed(key: str) -> None:
    setting = Settings(None, V4).conf(key, "e0")
    assert (setting.value, setting.known) == (ASSUMED.get(key, 0), False)
    assert setting.assumption.endswith(f".{key} is {setting.value} (not in the snapshot)")


def test_a_setting_that_older_kernels_lack_is_off_beside_others() -> None:
    setting = Settings({"net.ipv6.conf.all.forwarding": "0"}, V6).conf("force_forwarding", "e0")
    assert (setting.value, setting.known) == (0, True)


@pytest.mark.parametrize("text", ["", "on", "0x"])
def test_a_value_that_is_no_number_is_not_known(text: str) -> None:
    assert not Settings({"net.ipv4.fwmark_reflect": text}, V4).flag("fwmark_reflect").known


def test_every_key_of_both_families_says_how_it_combines() -> None:
    assert {key for keys in COMBINATION.values() for key in keys} >= set(ASSUMED)
    assert all(isinstance(how, Combine) for keys in COMBINATION.values() for how in keys.values())
