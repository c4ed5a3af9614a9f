"""Arguments in every spelling the tools read, and as they are printed."""

from __future__ import annotations

import pytest

from tortie.codec import kind as k
from tortie.codec.kind import Kind
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput

V4, V6 = IPFamily.V4, IPFamily.V6

NET = Kind(k.read_net, lambda value, _: str(value))
PRINTED: list[tuple[Kind, IPFamily, str, str]] = [
    (k.number(), V4, "010", "8"),
    (k.number(), V4, "0x1F", "31"),
    (k.number(form="#x"), V4, "255", "0xff"),
    (k.number_range(65535), V4, "5:", "5:65535"),
    (k.number_range(65535), V4, ":5", "0:5"),
    (k.number_range(65535), V4, "5:5", "5"),
    (k.number_range(65535), V4, "9:5", "9:5"),
    (k.ports(), V4, "http", "80"),
    (k.ports(), V4, "ssh:", "22:65535"),
    (k.PORT_LIST, V4, "http,8000:8080,53", "80,8000:8080,53"),
    (k.MARK, V4, "16", "0x10"),
    (k.MARK, V4, "0x10/0xffffffff", "0x10"),
    (k.MARK, V4, "1/2", "0x1/0x2"),
    (k.XMARK, V4, "1", "0x1/0xffffffff"),
    (NET, V4, "10.1.2.3/8", "10.0.0.0/8"),
    (NET, V4, "10.1.2.3", "10.1.2.3/32"),
    (NET, V4, "10/8", "10.0.0.0/8"),
    (NET, V4, "10.0.0.5/255.0.255.255", "10.0.0.5/255.0.255.255"),
    (NET, V4, "any/0", "0.0.0.0/0"),
    (NET, V4, "65535", "0.0.255.255/32"),
    (NET, V4, "::ffff:1.2.3.4", "1.2.3.4/32"),
    (NET, V6, "FD00::0:1/64", "fd00::/64"),
    (NET, V6, "::1.2.3.4", "::1.2.3.4/128"),
    (NET, V6, "::1:0", "::0.1.0.0/128"),
    (NET, V6, "fd00::5/ffff::ffff", "fd00::5/ffff::ffff"),
    (k.HOST_MASK, V4, "10.1.2.3/16", "10.1.2.3/16"),
    (k.HOST_MASK, V4, "10.1.2.3/32", "10.1.2.3"),
    (k.HOST_MASK, V4, "10.1.2.3/255.0.255.0", "10.1.2.3"),
    (k.PREFIX, V4, "10.1.2.3", "10.1.2.3/32"),
    (k.ADDRESS_RANGE, V4, "10.0.0.1", "10.0.0.1-10.0.0.1"),
    (k.MAC, V4, "0:1:2:A:bb:c", "00:01:02:0a:bb:0c"),
    (k.PROTOCOL, V4, "17", "udp"),
    (k.PROTOCOL, V4, "253", "253"),
    (k.string(4), V4, "abcdef", "abcd"),
    (k.string(3), V4, "aé b", '"aé"'),
]


@pytest.mark.parametrize(("kind", "family", "text", "printed"), PRINTED, ids=[f"{text} {end}" for *_, text, end in PRINTED])
def test_an_argument_is_printed_as_the_tools_print_it(kind: Kind, family: IPFamily, text: str, printed: str) -> None:
    assert kind.write(kind.read(text, family), family) == printed


REFUSED: list[tuple[Kind, IPFamily, str]] = [
    (k.number(), V4, ""),
    (k.number(), V4, "-1"),
    (k.number(), V4, "+1"),
    (k.number(), V4, "1_000"),
    (k.number(), V4, "08"),
    (k.number(), V4, "0x"),
    (k.number(), V4, "4294967296"),
    (k.number(0, 255), V4, "256"),
    (k.number(), V4, "\u0661"),
    (k.ports(upward=True), V4, "5:3"),
    (k.ports(), V4, "nosuch"),
    (k.PORT_LIST, V4, "5:5"),
    (k.PORT_LIST, V4, ",".join(["1"] * 16)),
    (k.PORT_LIST, V4, ",".join(["1:2"] * 8)),
    (NET, V4, "fd00::1"),
    (NET, V6, "10.0.0.1"),
    (NET, V4, "10.0.0.256"),
    (NET, V4, "10.0.0.1/33"),
    (NET, V4, "host"),
    (k.MAC, V4, "00:11:22:33:44"),
    (k.MAC, V4, "00:11:22:33:44:gg"),
    (k.string(4), V4, ""),
]


@pytest.mark.parametrize(
    ("kind", "family", "text"), REFUSED, ids=[f"{family.name} {text!r}" for _, family, text in REFUSED]
)
def test_what_no_tool_reads_is_refused(kind: Kind, family: IPFamily, text: str) -> None:
    with pytest.raises(InvalidInput):
        kind.read(text, family)
