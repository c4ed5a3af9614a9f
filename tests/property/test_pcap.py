"""Captures agree with scapy's writers, and whatever bytes come, a capture is frames or invalid input."""

from __future__ import annotations

import contextlib
import importlib
import logging
import struct
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.strategies.wire import packets
from tortie.net.error import InvalidInput
from tortie.net.packet import Packet
from tortie.net.pcap import parse_capture
from tortie.net.wire import format_packet

LINKS = (0, 1, 12, 101, 108, 113, 228, 229, 276, 5)


@pytest.fixture(scope="module")
def scapy() -> Any:
    """scapy's readers and writers, imported without its remarks about the machine's network."""
    logging.getLogger("scapy").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("scapy.all")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("capture") / "capture")


@pytest.mark.parametrize("kind", ["PcapWriter", "PcapNgWriter"])
@examples(30)
@given(found=st.lists(packets(), max_size=4))
def test_scapys_captures_hold_the_same_packets(scapy: Any, path: str, kind: str, found: list[Packet]) -> None:
    writer = getattr(scapy, kind)(path)
    ethernet = scapy.Ether(src="00:11:22:33:44:55", dst="02:aa:bb:cc:dd:ee")
    for packet in found:
        ethernet.type = 0x0800 if packet.family.value == 4 else 0x86DD
        writer.write(ethernet / scapy.Raw(format_packet(packet)))
    writer.close()
    frames = list(parse_capture(Path(path).read_bytes())) if found else []
    assert [frame.packet for frame in frames] == found
    assert all(frame.mac_source == bytes.fromhex("001122334455") for frame in frames)


@st.composite
def damaged_captures(draw: st.DrawFn) -> bytes:
    """A capture of a few frames with some bytes changed, or cut short."""
    link = draw(st.sampled_from(LINKS))
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link)
    for frame in draw(st.lists(st.binary(max_size=30) | packets().map(format_packet), max_size=3)):
        missing = draw(st.integers(0, 100))
        out += struct.pack("<IIII", 0, 0, len(frame), len(frame) + missing) + frame
    raw = bytearray(out)
    for _ in range(draw(st.integers(0, 3))):
        raw[draw(st.integers(0, len(raw) - 1))] = draw(st.integers(0, 255))
    return bytes(raw[: draw(st.integers(0, len(raw)))] if draw(st.booleans()) else raw)


@st.composite
def damaged_blocks(draw: st.DrawFn) -> bytes:
    """Blocks of a pcapng file whose contents are drawn."""
    order = draw(st.sampled_from("<>"))
    out = b""
    first = (0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))
    kinds = st.sampled_from([1, 2, 3, 5, 6, 77])
    for kind, body in [first, *draw(st.lists(st.tuples(kinds, st.binary(max_size=60)), max_size=6))]:
        padded = body + bytes(-len(body) % 4)
        size = struct.pack(f"{order}I", len(padded) + 12)
        out += struct.pack(f"{order}I", kind) + size + padded + size
    return out


@given(st.binary(max_size=100) | damaged_captures() | damaged_blocks())
def test_any_bytes_are_frames_or_invalid_input(data: bytes) -> None:
    with contextlib.suppress(InvalidInput):
        for frame in parse_capture(data):
            assert frame.packet is not None or frame.problem
