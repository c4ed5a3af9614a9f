"""Settings in the spellings of sysctl and of /proc/sys."""

from __future__ import annotations

import pytest

from tortie.codec.sysctl import parse_sysctls
from tortie.net.error import InvalidInput

LINES = {
    "sysctl -a": ("net.ipv4.ip_forward = 1", "net.ipv4.ip_forward", "1"),
    "sysctl.conf": ("net.ipv4.ip_forward=1", "net.ipv4.ip_forward", "1"),
    "with slashes": ("net/ipv4/ip_forward = 1", "net.ipv4.ip_forward", "1"),
    "interface with a dot, as sysctl prints it": (
        "net.ipv4.conf.e0/100.rp_filter = 2",
        "net.ipv4.conf.e0/100.rp_filter",
        "2",
    ),
    "interface with a dot, as a path": ("net/ipv4/conf/e0.100/rp_filter = 2", "net.ipv4.conf.e0/100.rp_filter", "2"),
    "grep -r . /proc/sys": ("/proc/sys/net/ipv4/conf/e0.100/rp_filter:2", "net.ipv4.conf.e0/100.rp_filter", "2"),
    "several numbers": ("net.ipv4.ip_local_port_range = 32768\t60999", "net.ipv4.ip_local_port_range", "32768\t60999"),
    "no value": ("net.ipv4.ip_local_reserved_ports = ", "net.ipv4.ip_local_reserved_ports", ""),
}


@pytest.mark.parametrize(("line", "name", "value"), LINES.values(), ids=LINES.keys())
def test_one_setting(line: str, name: str, value: str) -> None:
    assert parse_sysctls(line) == {name: value}


def test_remarks_and_comments_are_skipped() -> None:
    text = "# by hand\n\n; too\nsysctl: permission denied on key 'kernel.x'\ngrep: /proc/sys/x: Permission denied\n"
    assert parse_sysctls(text) == {}


def test_the_last_value_counts() -> None:
    assert parse_sysctls("net.a = 1\nnet.a = 2\n") == {"net.a": "2"}


@pytest.mark.parametrize("line", ["no setting", "= 1", "word = 1", "two words.x = 1", "/proc/sys/net/ipv4/ip_forward = 1"])
def test_refused_with_its_line(line: str) -> None:
    with pytest.raises(InvalidInput, match="name = value") as caught:
        parse_sysctls(f"net.a = 1\n{line}\n", source="sysctl")
    assert (caught.value.source, caught.value.line) == ("sysctl", 2)
