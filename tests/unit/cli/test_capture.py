from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from tests.unit.cli.test_batch import documents
from tests.unit.cli.test_trace import node, tortie
from tortie.cli.capture import LEAVING, OTHER_HOST
from tortie.cli.packet_option import parse_packet_words, split_words
from tortie.net.wire import format_packet

__all__ = ["node"]

ETH0, ETH1 = b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"
"""MAC addresses of the node."""
CLIENT, SERVER, STRANGER = b"\x02\0\0\0\0\x0a", b"\x02\0\0\0\0\x0b", b"\x02\0\0\0\0\x0c"


def frame(line: str, source: bytes = CLIENT, target: bytes = ETH0) -> bytes:
    """An Ethernet frame with the packet that a line of a batch describes."""
    packet = parse_packet_words(*split_words(line)).packet
    return target + source + b"\x08\0" + format_packet(packet)


ARP = b"\xff" * 6 + CLIENT + b"\x08\x06" + bytes(28)
SYN = frame("tcp 10.0.0.5:7 10.1.0.9:80")
SYN_ACK = frame("tcp 10.1.0.9:80 10.0.0.5:7 --tcp-flags SA", SERVER, ETH1)


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Where `written` puts a capture."""
    return tmp_path / "capture.pcap"


def written(path: Path, *frames: bytes, link_type: int = 1, cut: int | None = None, spoil: bytes = b"") -> Path:
    """A pcap file with a frame a second, each cut to `cut` bytes."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link_type)]
    for second, data in enumerate(frames):
        kept = data if cut is None else data[:cut]
        parts.append(struct.pack("<IIII", 1_700_000_000 + second, 0, len(kept), len(data)) + kept)
    path.write_bytes(b"".join(parts) + spoil)
    return path


def fates(*words: object) -> list[str]:
    """Verdict and device of every packet, or why it was left out."""
    found = tortie(*words, "--json")  # type: ignore[arg-type]
    made = documents(found.stdout)
    assert found.exit_code == (0 if any("verdict" in one for one in made) else 2), found.output
    return [one["left_out"] if "left_out" in one else f"{one['verdict']} {one['in_iface']}" for one in made]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (SYN, "ACCEPT eth0"),
        (frame("udp 10.0.0.5:7 10.1.0.9:53"), "REJECT eth0"),
        (frame("tcp 10.0.0.1:7 10.0.0.5:80", ETH0, CLIENT), "ACCEPT None"),
        (frame("tcp 10.1.0.9:80 10.0.0.5:7", ETH0, CLIENT), LEAVING),
        (frame("tcp 10.0.0.5:7 10.0.0.6:80", CLIENT, STRANGER), OTHER_HOST),
        (frame("udp 10.0.0.5:7 10.0.0.255:80", CLIENT, b"\xff" * 6), "ACCEPT eth0"),
        (ARP, "not an IP packet: ARP"),
        (b"short", "cut short in its link-layer header"),
    ],
    ids=["in", "refused", "own", "out", "other", "broadcast", "arp", "short"],
)
def test_a_frame_is_placed_by_its_addresses(node: Path, capture: Path, data: bytes, expected: str) -> None:
    assert fates("-n", node, "--pcap", written(capture, data)) == [expected]


def test_a_capture_without_link_layer_is_placed_by_source(node: Path, capture: Path) -> None:
    own = frame("tcp 10.0.0.1:7 10.0.0.5:80")
    assert fates("-n", node, "--pcap", written(capture, SYN[14:], own[14:], link_type=101)) == [
        "ACCEPT eth0",
        "ACCEPT None",
    ]


def test_the_sender_may_tell_the_device(node: Path, capture: Path) -> None:
    (node / "ip-neigh.json").write_text(
        json.dumps([{"dst": "10.1.0.9", "dev": "eth1", "lladdr": SERVER.hex(":"), "state": ["REACHABLE"]}])
    )
    strange = frame("tcp 10.0.0.5:7 10.0.0.6:80", SERVER, ETH1)
    assert fates("-n", node, "--pcap", written(capture, strange)) == ["ACCEPT eth1"]


def test_the_device_may_be_said(node: Path, capture: Path) -> None:
    assert fates("-n", node, "--pcap", written(capture, SYN), "-i", "eth1") == ["ACCEPT eth1"]


def test_a_source_without_a_way_back_is_left_out(node: Path, capture: Path) -> None:
    lost = frame("tcp 192.0.2.7:7 10.1.0.9:80")
    assert "cannot tell where 192.0.2.7 arrives" in fates("-n", node, "--pcap", written(capture, lost))[0]


def test_connections_live_through_a_capture(node: Path, capture: Path) -> None:
    path = written(capture, SYN, SYN_ACK)
    assert fates("-n", node, "--pcap", path) == ["ACCEPT eth0", "ACCEPT eth1"]
    assert fates("-n", node, "--pcap", path, "--stateless") == ["ACCEPT eth0", "REJECT eth1"]


def test_the_sum_tells_fates_with_numbers_and_an_example(node: Path, capture: Path) -> None:
    dns = frame("udp 10.0.0.5:7 10.1.0.9:53")
    found = tortie("-n", node, "--pcap", written(capture, SYN, dns, dns, ARP))
    assert found.exit_code == 0, found.output
    assert found.stdout == (
        f"{capture}: 4 frames, 3 walked\n"
        "\n"
        "       2  REJECT  REJECTED in FORWARD by filter FORWARD rule 5: `-j REJECT --reject-with icmp-port-unreachable`\n"
        "                  first: packet 2, udp 10.0.0.5:7 > 10.1.0.9:53 ttl 64\n"
        "\n"
        "       1  ACCEPT  FORWARDED out of eth1: accepted in FORWARD by filter FORWARD rule 2, "
        "`-p tcp -m tcp --dport 80 -j ACCEPT`\n"
        "                  first: packet 1, tcp 10.0.0.5:7 > 10.1.0.9:80 SYN ttl 64\n"
        "\n"
        "       1  left out  not an IP packet: ARP\n"
    )


def test_a_packet_asked_for_is_shown_in_full(node: Path, capture: Path) -> None:
    path = written(capture, SYN, ARP)
    found = tortie("-n", node, "--pcap", path, "--packet", "1", "--packet", "2")
    assert found.stdout.startswith("packet 1: tcp 10.0.0.5:7 > 10.1.0.9:80 SYN ttl 64, arrives on eth0\n\nPREROUTING\n")
    assert "packet 2: left out, not an IP packet: ARP\n" in found.stdout
    made = documents(tortie("-n", node, "--pcap", path, "--packet", "1", "--json").stdout)
    assert made[0]["steps"]


def test_a_packet_that_is_not_there_is_an_error(node: Path, capture: Path) -> None:
    found = tortie("-n", node, "--pcap", written(capture, SYN), "--packet", "2")
    assert found.exit_code == 2
    assert found.stderr == f"tortie: {capture}: no packet 2 in this capture (it has 1)\n"


def test_packets_cut_short_by_the_capture_are_walked_and_counted(node: Path, capture: Path) -> None:
    long = frame("tcp 10.0.0.5:7 10.1.0.9:80 --length 1000")
    path = written(capture, long, cut=96)
    assert "1  walked though the capture cut them short" in tortie("-n", node, "--pcap", path).stdout
    assert "count as zeros" in documents(tortie("-n", node, "--pcap", path, "--json").stdout)[0]["remark"]


def test_a_damaged_capture_is_told_after_what_could_be_read(node: Path, capture: Path) -> None:
    found = tortie("-n", node, "--pcap", written(capture, SYN, spoil=b"\0" * 7))
    assert found.exit_code == 2
    assert "1 frames, 1 walked" in found.stdout
    assert found.stderr == f"tortie: {capture}: packet 2: its record header is cut short, the file ends\n"


@pytest.mark.parametrize(("content", "message"), [(b"", "neither a pcap"), (b"hello world", "neither a pcap")])
def test_what_is_no_capture_is_refused(node: Path, capture: Path, content: bytes, message: str) -> None:
    capture.write_bytes(content)
    found = tortie("-n", node, "--pcap", capture)
    assert (found.exit_code, found.stdout) == (2, "")
    assert message in found.stderr


@pytest.mark.parametrize(
    ("frames", "reason"), [((), "it is empty"), ((ARP, ARP), "not an IP packet: ARP")], ids=["empty", "arp"]
)
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_a_capture_of_which_nothing_can_be_walked_is_bad_input(
    node: Path, capture: Path, frames: tuple[bytes, ...], reason: str, options: tuple[str, ...]
) -> None:
    found = tortie("-n", node, "--pcap", written(capture, *frames), *options)
    assert found.exit_code == 2
    assert found.stderr == f"tortie: {capture}: no packet of this capture can be walked: {reason}\n"


def test_an_unknown_device_is_refused(node: Path, capture: Path) -> None:
    found = tortie("-n", node, "--pcap", written(capture, SYN), "-i", "eht0")
    assert found.exit_code == 2
    assert "did you mean eth0?" in found.stderr


def test_many_reasons_are_summed_up(node: Path, capture: Path) -> None:
    lost = [frame(f"tcp 192.0.2.{number}:7 10.1.0.9:80") for number in range(1, 15)]
    found = tortie("-n", node, "--pcap", written(capture, *lost))
    assert "4  left out  for other reasons" in found.stdout


def test_fates_differ_by_the_device_left_by_but_not_by_translated_addresses(node: Path, capture: Path) -> None:
    masquerade = "-t nat -A POSTROUTING -j MASQUERADE"
    rules = (node / "iptables-save").read_text()
    chains = "".join(f":{name} ACCEPT [0:0]\n" for name in ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"))
    (node / "iptables-save").write_text(f"{rules}*nat\n{chains}COMMIT\n")
    two = [frame(f"tcp 10.0.0.{number}:7 10.1.0.9:80") for number in (5, 6)]
    back = frame("tcp 10.1.0.9:7 10.0.0.5:80", SERVER, ETH1)
    found = tortie("-n", node, "--pcap", written(capture, *two, back), "--edit", masquerade)
    lines = [line.partition(":")[0] for line in found.stdout.splitlines() if "ACCEPT" in line]
    assert lines == ["       2  ACCEPT  FORWARDED out of eth1", "       1  ACCEPT  FORWARDED out of eth0"]
