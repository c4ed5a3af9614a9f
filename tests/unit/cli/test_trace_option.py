from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.unit.cli.test_trace import node, tortie
from tortie.cli.main import main
from tortie.cli.packet_option import PACKET_OPTIONS
from tortie.cli.trace_option import TraceRequest, check_request
from tortie.net.error import InvalidInput

__all__ = ["node"]

HELP = CliRunner().invoke(main, ["trace", "--help"]).stdout


def test_options_stand_under_headings() -> None:
    headings = [line for line in HELP.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["The node:", "The packet:", "Many packets:", "What is shown:", "Help:"]


@pytest.mark.parametrize("option", PACKET_OPTIONS, ids=lambda option: option.key)
def test_every_option_of_a_packet_is_an_option_of_the_command(option: object) -> None:
    names = option.names  # type: ignore[attr-defined]
    section = HELP.partition("The packet:")[2].partition("Many packets:")[0]
    assert any(line.strip().startswith(", ".join(names)) for line in section.splitlines())


WORDS = [
    "tcp 10.0.0.5:7 10.1.0.9:80",
    "udp 10.0.0.5:7 10.1.0.9:53 --mark 0x7 --ttl 9 --tos 0x10 --df --length 99",
    "icmp 10.0.0.5 10.1.0.9 --icmp-type 13/0 --icmp-id 7 -i eth1",
    "tcp 10.0.0.1:7 10.1.0.9:80 --local --uid 3 --gid 4 --groups 5,6 -o eth1 --tcp-flags FA",
    "tcp 10.0.0.5:7 10.1.0.9:80 --state INVALID --mac 2:0:0:0:0:1 --frame broadcast --payload 0x00ff --bad-checksum",
    "udp 10.0.0.5 10.1.0.9 --frag 1480+ -i eth0 --time 77",
]


@pytest.mark.parametrize("line", WORDS)
def test_the_same_words_mean_the_same_on_the_command_line_and_in_a_batch(node: Path, line: str) -> None:
    alone = json.loads(tortie("-n", node, *line.split(), "--one", "--json").stdout)
    in_batch = json.loads(tortie("-n", node, "--batch", "-", text=line).stdout)
    assert in_batch.pop("line") == 1
    assert in_batch == alone


@pytest.mark.parametrize(
    "request_",
    [
        TraceRequest(words=("tcp", "a", "b")),
        TraceRequest(batch="-", stateful=True, brief=True),
        TraceRequest(pcap="-", given={"in_iface": "eth0"}, packet=(3,)),
    ],
)
def test_options_that_go_together_are_fine(request_: TraceRequest) -> None:
    check_request(request_)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (TraceRequest(), "no packet to trace"),
        (TraceRequest(batch="a", pcap="b"), "exclude each other"),
        (TraceRequest(words=("x",), one=True, flow=True), "exclude each other"),
        (TraceRequest(words=("x",), brief=True, misses=True), "--brief and --misses exclude each other"),
        (TraceRequest(words=("x",), packet=(1,)), "--packet is for --pcap"),
        (TraceRequest(words=("x",), stateful=False), "--stateful and --stateless"),
        (TraceRequest(pcap="a", given={"tcp_flags": "S"}), "--tcp-flags is not for captures"),
        (TraceRequest(batch="a", misses=True), "--misses is for text"),
        (TraceRequest(batch="a", one=True), "--one is for a single packet"),
        (TraceRequest(pcap="a", one=True), "--one is for a single packet"),
        (TraceRequest(node="-", batch="-"), "only once"),
        (TraceRequest(words=("x",), node="-", conntrack="-"), "only once"),
    ],
)
def test_options_that_do_not_go_together_are_refused(request_: TraceRequest, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        check_request(request_)
