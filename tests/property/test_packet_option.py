"""Whatever somebody writes into a batch, the answer is a packet for a wire, or one line that says why not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tortie.cli.packet_option import PACKET_OPTIONS, parse_packet_words, split_words
from tortie.net.error import InvalidInput
from tortie.net.wire import format_packet

PROTOCOLS = st.sampled_from(["tcp", "udp", "icmp", "icmpv6", "sctp", "dccp", "udplite", "esp", "gre", "58", "255", "x"])
ENDS = st.sampled_from(["10.0.0.5", "10.0.0.5:80", "fd00::5", "[fd00::5]:80", "[fd00::5", "::", "10.0.0.5:", "a", "1:2:3"])
VALUES = st.one_of(
    st.sampled_from(
        ["0", "1", "255", "65535", "0x10", "SYN", "S,A", "3/4", "echo-reply", "1480+", "0+", "8", "NEW", "", "é"]
    ),
    st.text(alphabet=st.characters(blacklist_characters="\"'\\", blacklist_categories=["Z", "C"]), max_size=6),
)
NAMES = st.sampled_from([name for option in PACKET_OPTIONS for name in option.names])
OPTIONS = st.lists(st.tuples(NAMES, VALUES).map(" ".join), max_size=4).map(" ".join)
LINES = st.one_of(st.tuples(PROTOCOLS, ENDS, ENDS, OPTIONS).map(" ".join), st.text(max_size=60))


@examples(500)
@given(LINES)
def test_a_line_is_a_packet_or_is_refused(line: str) -> None:
    try:
        asked = parse_packet_words(*split_words(line))
    except InvalidInput as error:
        refusal = str(error)
    else:
        refusal = ""
    assert "\n" not in refusal
    if refusal:
        return
    assert asked.packet.length == len(format_packet(asked.packet))


FAMILIES = st.sampled_from([("10.0.0.5", "10.1.0.9", "{}:{}"), ("fd00::5", "fd00::9", "[{}]:{}")])
KINDS = st.sampled_from(["tcp", "udp", "sctp", "dccp", "udplite", "icmp", "esp", "gre", "253"])
PORTS = st.integers(0, 65535)
SMALL = st.integers(0, 255)
COMMON = {
    "--mark": st.integers(0, 0xFFFFFFFF).map(hex),
    "--ttl": SMALL.map(str),
    "--tos": SMALL.map(hex),
    "--length": st.integers(100, 65535).map(str),
    "--payload": st.binary(max_size=20).map(lambda body: f"0x{body.hex()}"),
    "--state": st.sampled_from(["NEW", "established", "UNTRACKED"]),
    "--mac": st.binary(min_size=6, max_size=6).map(lambda mac: mac.hex(":")),
    "--bad-checksum": st.just(""),
    "--time": st.integers(0, 2**31).map(str),
}


@st.composite
def packet_lines(draw: st.DrawFn) -> str:
    """A line that is right by construction."""
    kind = draw(KINDS)
    src, dst, joint = draw(FAMILIES)
    if kind in ("tcp", "udp", "sctp", "dccp", "udplite"):
        src, dst = joint.format(src, draw(PORTS)), joint.format(dst, draw(PORTS))
    words = [kind, src, dst]
    for name in draw(st.lists(st.sampled_from(sorted(COMMON)), unique=True)):
        words += [name, value] if (value := draw(COMMON[name])) else [name]
    if kind == "tcp" and draw(st.booleans()):
        words += ["--tcp-flags", draw(st.sampled_from(["SYN", "SYN,ACK", "FA", "none", "all", "EC"]))]
    if kind == "icmp" and draw(st.booleans()):
        words += ["--icmp-type", f"{draw(SMALL)}/{draw(SMALL)}", "--icmp-id", str(draw(PORTS))]
    return " ".join(words)


@given(packet_lines())
def test_a_line_that_is_right_is_a_packet_for_a_wire(line: str) -> None:
    packet = parse_packet_words(*split_words(line)).packet
    assert packet.length == len(format_packet(packet))
