"""`tortie explain-log` on logs that are written down from walks, over the small node of `test_trace`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.logged_text import kernel_log
from tests.unit.cli.test_batch import documents
from tests.unit.cli.test_trace import RULES, node
from tortie.cli.arrival import plan_arrival
from tortie.cli.main import main
from tortie.cli.packet_option import parse_packet_words, split_words
from tortie.cli.snapshot_file import load_snapshot
from tortie.simulator.walk import Node, walk

__all__ = ["node"]

WEB, DNS = "tcp 10.0.0.5:7 10.1.0.9:80", "udp 10.0.0.5:7 10.1.0.9:53"
RAW = "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A PREROUTING -j TRACE\nCOMMIT\n"


@pytest.fixture
def traced(node: Path) -> Path:
    """The node with tracing switched on."""
    (node / "iptables-save").write_text(RAW + RULES)
    return node


def log_of(snapshot: Path, *lines: str, **more: Any) -> str:
    """What the kernel would log of these packets, one after the other."""
    ready = Node.from_snapshot(load_snapshot(str(snapshot)))
    session = ready.session()
    text = "[    1.000000] eth0: link up\n"
    for line in lines:
        arrival = plan_arrival(parse_packet_words(*split_words(line)), ready).arrival
        text += kernel_log(walk(ready, arrival, session).trace, since=1, **more)
    return text


def explain(*words: object, text: str | None = None) -> Result:
    return CliRunner().invoke(main, ["explain-log", *map(str, words)], input=text)


def test_a_log_of_the_same_rules_agrees(traced: Path) -> None:
    found = explain("-n", traced, "-", text=log_of(traced, WEB, DNS))
    assert found.exit_code == 0, found.output
    assert found.stdout == (
        "packet 1: tcp 10.0.0.5:7 > 10.1.0.9:80 SYN ttl 64, arrives on eth0, lines 2-3\n"
        "\n"
        "PREROUTING\n"
        "  raw       none of 1 rule matched, policy ACCEPT\n"
        "FORWARD\n"
        "  filter\n"
        "    FORWARD:2  -p tcp -m tcp --dport 80 -j ACCEPT\n"
        "\n"
        "log       ends with filter:FORWARD rule 2\n"
        "simulator FORWARDED out of eth1: accepted in FORWARD by filter FORWARD rule 2, "
        "`-p tcp -m tcp --dport 80 -j ACCEPT`\n"
        "AGREES\n"
        "\n"
        "packet 2: udp 10.0.0.5:7 > 10.1.0.9:53 ttl 64, arrives on eth0, lines 4-5\n"
        "\n"
        "PREROUTING\n"
        "  raw       none of 1 rule matched, policy ACCEPT\n"
        "FORWARD\n"
        "  filter\n"
        "    FORWARD:5  -j REJECT --reject-with icmp-port-unreachable\n"
        "\n"
        "log       ends with filter:FORWARD rule 5\n"
        "simulator REJECTED in FORWARD by filter FORWARD rule 5: `-j REJECT --reject-with icmp-port-unreachable`\n"
        "AGREES\n"
        "\n"
        "2 packets in the log: 2 agree, 0 disagree\n"
    )


def test_brief_leaves_out_the_steps(traced: Path) -> None:
    found = explain("-n", traced, "-", "--brief", text=log_of(traced, WEB))
    assert "PREROUTING" not in found.stdout
    assert "AGREES" in found.stdout


def test_other_rules_disagree_where_they_part(traced: Path) -> None:
    text = log_of(traced, WEB)
    (traced / "iptables-save").write_text(RAW + RULES.replace("--dport 80", "--dport 81"))
    found = explain("-n", traced, "-", text=text)
    assert found.exit_code == 1
    assert (
        "DISAGREES at line 3: the log has filter:FORWARD rule 2, the simulator filter:FORWARD rule 5: "
        "destination port is 80, not 81\n"
    ) in found.stdout
    assert found.stdout.endswith("1 packet in the log: 0 agree, 1 disagrees\n")


def test_the_log_decides_what_the_snapshot_cannot(traced: Path) -> None:
    """The rule with a limit comes first in what the simulator tries, and the log says that it did not match."""
    text = log_of(traced, "tcp 10.0.0.5:7 10.1.0.9:22").replace("FORWARD:rule:3", "FORWARD:rule:5")
    found = explain("-n", traced, "-", text=text)
    assert found.exit_code == 0, found.output
    assert "simulator REJECTED in FORWARD by filter FORWARD rule 5" in found.stdout


def test_a_connection_that_the_snapshot_lacks_is_taken_for_granted_and_said(traced: Path) -> None:
    text = log_of(traced, "tcp 10.0.0.5:7 10.1.0.9:25 --tcp-flags ACK --state ESTABLISHED")
    found = explain("-n", traced, "-", text=text)
    assert found.exit_code == 0, found.output
    assert "AGREES, taking it as ESTABLISHED\n" in found.stdout


def test_packets_of_one_connection_are_followed(traced: Path) -> None:
    back = "tcp 10.1.0.9:80 10.0.0.5:7 --tcp-flags SA"
    found = explain("-n", traced, "-", text=log_of(traced, WEB, back))
    assert found.stdout.endswith("2 packets in the log: 2 agree, 0 disagree\n")
    assert "taking it as" not in found.stdout


def test_a_packet_that_the_log_does_not_show_whole_is_not_compared(traced: Path) -> None:
    line = "TRACE: filter:FORWARD:rule:2 IN=eth0 OUT=eth1 SRC=10.0.0.5 DST=10.1.0.9 LEN=40 TTL=63 PROTO=TCP SPT=7 DPT=80\n"
    found = explain("-n", traced, "-", text=line)
    assert found.exit_code == 3
    assert "NOT COMPARED: the log begins in FORWARD, and does not show the packet as it came\n" in found.stdout
    assert found.stdout.endswith("1 packet in the log: 0 agree, 0 disagree, 1 could not be compared\n")


def test_a_device_that_the_node_does_not_have_is_not_compared(traced: Path) -> None:
    found = explain("-n", traced, "-", text=log_of(traced, WEB).replace("IN=eth0", "IN=eth7"))
    assert found.exit_code == 3
    assert "NOT COMPARED: no interface 'eth7'" in found.stdout


def test_documents_fit_the_schema(traced: Path) -> None:
    text = log_of(traced, WEB, DNS)
    (traced / "iptables-save").write_text(RAW + RULES.replace("--dport 80", "--dport 81"))
    found = explain("-n", traced, "-", "--json", text=text)
    assert found.exit_code == 1
    first, second = documents(found.stdout)
    assert (first["agrees"], first["difference_line"], first["lines"]) == (False, 3, [2, 3])
    assert first["difference"].endswith("destination port is 80, not 81")
    assert (second["agrees"], second["difference"], second["taken_as"]) == (True, None, [])
    assert [step["rule"] for step in second["log"] if step["kind"] == "rule"] == [5]
    assert second["simulator"]["verdict"] == "REJECT"


@pytest.mark.parametrize(
    ("text", "message"),
    [("nothing here\n", "no TRACE line in it"), ("[ 1.0] TRACE: filter:FORWARD:rule:1 IN=eth0 OU\n", "stdin:1: ")],
    ids=["none", "cut"],
)
def test_a_text_that_is_no_log_is_refused(traced: Path, text: str, message: str) -> None:
    found = explain("-n", traced, "-", text=text)
    assert (found.exit_code, found.stdout) == (2, "")
    assert message in found.stderr


def test_a_file_that_is_not_there_is_named(traced: Path) -> None:
    found = explain("-n", traced, traced / "missing")
    assert found.exit_code == 2
    assert "missing: No such file" in found.stderr


def test_connections_before_the_log_may_be_given(traced: Path, tmp_path: Path) -> None:
    listed = tmp_path / "connections"
    listed.write_text(
        "tcp      6 431999 ESTABLISHED src=10.0.0.5 dst=10.1.0.9 sport=7 dport=25 "
        "src=10.1.0.9 dst=10.0.0.5 sport=25 dport=7 [ASSURED] mark=0 use=1\n"
    )
    text = log_of(traced, "tcp 10.0.0.5:7 10.1.0.9:25 --tcp-flags ACK --state ESTABLISHED")
    found = explain("-n", traced, "-", "--conntrack", listed, "--json", text=text)
    assert json.loads(found.stdout)["taken_as"] == []
