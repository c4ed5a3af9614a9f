"""`tortie trace` as a function: words in, text and exit code out, on small snapshots and on the reference node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.unit.simulator.test_document import VALIDATOR
from tortie.cli.main import main

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "examples" / "reference-node" / "snapshot"

RULES = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 80 -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 22 -m limit --limit 3/hour -j ACCEPT
-A FORWARD -p icmp -j ACCEPT
-A FORWARD -j REJECT
COMMIT
"""
LINKS = [
    {"ifindex": 1, "ifname": "lo", "flags": ["LOOPBACK", "UP", "LOWER_UP"], "mtu": 65536, "link_type": "loopback",
     "addr_info": [{"family": "inet", "local": "127.0.0.1", "prefixlen": 8, "scope": "host"}]},
    {"ifindex": 2, "ifname": "eth0", "flags": ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"], "mtu": 1500,
     "link_type": "ether", "address": "02:00:00:00:00:01",
     "addr_info": [{"family": "inet", "local": "10.0.0.1", "prefixlen": 24, "broadcast": "10.0.0.255", "scope": "global"}]},
    {"ifindex": 3, "ifname": "eth1", "flags": ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"], "mtu": 1500,
     "link_type": "ether", "address": "02:00:00:00:00:02",
     "addr_info": [{"family": "inet", "local": "10.1.0.1", "prefixlen": 24, "broadcast": "10.1.0.255", "scope": "global"}]},
]  # fmt: skip
ROUTES = [
    {"dst": "10.0.0.0/24", "dev": "eth0", "protocol": "kernel", "scope": "link", "prefsrc": "10.0.0.1", "flags": []},
    {"dst": "10.1.0.0/24", "dev": "eth1", "protocol": "kernel", "scope": "link", "prefsrc": "10.1.0.1", "flags": []},
]
POLICY_RULES = [
    {"priority": 0, "src": "all", "table": "local"},
    {"priority": 32766, "src": "all", "table": "main"},
    {"priority": 32767, "src": "all", "table": "default"},
]
SYSCTL = "net.ipv4.ip_forward = 1\nnet.ipv4.conf.all.forwarding = 1\n" + "".join(
    f"net.ipv4.conf.{device}.{key} = {value}\n"
    for device in ("all", "default", "lo", "eth0", "eth1")
    for key, value in (("forwarding", 1), ("rp_filter", 0), ("accept_local", 0), ("route_localnet", 0))
)
WEB = ("tcp", "10.0.0.5:40000", "10.1.0.9:80")


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A router between two networks."""
    folder = tmp_path / "node"
    folder.mkdir()
    files: dict[str, Any] = {
        "iptables-save": RULES, "sysctl": SYSCTL, "ip-addr.json": LINKS, "ip-route.json": ROUTES,
        "ip-rule.json": POLICY_RULES, "conntrack": "# nothing\n",
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


@pytest.fixture
def rules_only(tmp_path: Path) -> Path:
    """What somebody sends in a mail: the rules and nothing else."""
    path = tmp_path / "iptables-save"
    path.write_text(RULES)
    return path


def tortie(*words: str | Path, text: str | None = None) -> Result:
    return CliRunner().invoke(main, ["trace", *map(str, words)], input=text)


def document(*words: str | Path) -> dict[str, Any]:
    found = tortie(*words, "--json")
    made: dict[str, Any] = json.loads(found.stdout)
    VALIDATOR.validate(made)
    return made


SHORT: list[tuple[tuple[str, ...], int, str]] = [
    (WEB, 0, "conversation WORKS: both directions get through"),
    ((*WEB, "--one"), 0, "FORWARDED out of eth1: accepted in FORWARD by filter FORWARD rule 2, `-p tcp -m tcp --dport 80"),
    (
        ("udp", "10.0.0.5:1", "10.1.0.9:53"),
        1,
        "REJECTED in FORWARD by filter FORWARD rule 5: `-j REJECT --reject-with icmp-",
    ),
    (("tcp", "10.0.0.5:1", "10.1.0.9:22"), 3, "NOT CERTAIN: "),
    (("icmp", "10.0.0.5", "10.1.0.9"), 0, "conversation WORKS"),
    (("tcp", "10.0.0.1:1", "10.1.0.9:25"), 0, "conversation WORKS"),
    (("tcp", "10.0.0.5:1", "192.0.2.1:80"), 1, "DROPPED by routing: "),
    (("tcp", "10.0.0.5:1", "10.1.0.9:80", "--state", "INVALID", "--one"), 0, "FORWARDED out of eth1"),
]


@pytest.mark.parametrize(("words", "code", "last"), SHORT, ids=[" ".join(words) for words, _, _ in SHORT])
def test_one_packet_has_an_exit_code_and_a_last_line(node: Path, words: tuple[str, ...], code: int, last: str) -> None:
    found = tortie("-n", node, *words)
    assert found.exit_code == code, found.output
    assert found.stdout.splitlines()[-1].startswith(last)
    assert found.stderr == ""


def test_the_document_holds_the_whole_walk(node: Path) -> None:
    made = document("-n", node, *WEB)
    assert (made["schema"], made["verdict"], made["disposition"], made["in_iface"]) == (1, "ACCEPT", "forwarded", "eth0")
    assert made["out"]["iface"] == "eth1"
    hit = [step for step in made["steps"] if step["kind"] == "rule" and step["matched"]]
    assert [(step["hook"], step["table"], step["chain"], step["rule"], step["target"]) for step in hit] == [
        ("FORWARD", "filter", "FORWARD", 2, "ACCEPT")
    ]
    assert made["flow"]["works"] is True
    assert made["flow"]["reply"]["packet"]["src"] == "10.1.0.9"
    assert made["flow"]["next"]["decided_by"]["rule"] == 1
    assert made["notes"] == ["arrives on eth0, by which this node would answer 10.0.0.5"]


@pytest.mark.parametrize("options", [(), ("--one",), ("--brief",), ("--misses",), ("--edit", "-F FORWARD")], ids=str)
@pytest.mark.parametrize(
    "words", [WEB, ("udp", "10.0.0.5:1", "10.1.0.9:53"), ("tcp", "10.0.0.5:1", "10.1.0.9:22")], ids=str
)
def test_every_document_fits_the_schema(node: Path, words: tuple[str, ...], options: tuple[str, ...]) -> None:
    document("-n", node, *words, *options)


def test_the_exit_code_is_the_same_with_json(node: Path) -> None:
    assert tortie("-n", node, "udp", "10.0.0.5:1", "10.1.0.9:53", "--json").exit_code == 1
    assert tortie("-n", node, "tcp", "10.0.0.5:1", "10.1.0.9:22", "--json").exit_code == 3


def test_an_edit_says_what_it_changes(node: Path) -> None:
    found = tortie("-n", node, *WEB, "--edit", "-I FORWARD 1 -s 10.0.0.0/8 -j DROP")
    assert found.exit_code == 1
    assert found.stdout.endswith(
        "edit   -I FORWARD 1 -s 10.0.0.0/8 -j DROP\n"
        "before FORWARDED out of eth1: accepted in FORWARD by filter FORWARD rule 2, `-p tcp -m tcp --dport 80 -j ACCEPT`\n"
        "after  DROPPED in FORWARD by filter FORWARD rule 1: `-s 10.0.0.0/8 -j DROP`\n"
        "change ACCEPT becomes DROP\n"
    )
    edit = document("-n", node, *WEB, "--edit", "iptables -I FORWARD 1 -s 10.0.0.0/8 -j DROP")["edit"]
    assert (edit["before"]["verdict"], edit["changes_verdict"]) == ("ACCEPT", True)


def test_an_assumption_decides_what_is_open(node: Path) -> None:
    ssh = ("-n", node, "tcp", "10.0.0.5:1", "10.1.0.9:22")
    assert tortie(*ssh, "--assume", "filter:FORWARD:3=match").exit_code == 0
    assert tortie(*ssh, "--assume", "filter:FORWARD:3=miss").exit_code == 1


def test_connections_may_be_given(node: Path, tmp_path: Path) -> None:
    listed = tmp_path / "connections"
    listed.write_text(
        "tcp      6 431999 ESTABLISHED src=10.0.0.5 dst=10.1.0.9 sport=7 dport=25 "
        "src=10.1.0.9 dst=10.0.0.5 sport=25 dport=7 [ASSURED] mark=0 use=1\n"
    )
    packet = ("-n", node, "tcp", "10.0.0.5:7", "10.1.0.9:25", "--tcp-flags", "ACK", "--one")
    assert tortie(*packet).exit_code == 1
    assert tortie(*packet, "--conntrack", listed).exit_code == 0


def test_rules_alone_are_enough_when_the_rest_is_said(rules_only: Path) -> None:
    found = tortie("-n", rules_only, *WEB, "-i", "eth0", "-o", "eth1", "--one")
    assert found.exit_code == 0, found.output
    assert "assumed: " in found.stdout


def test_what_is_missing_in_the_snapshot_is_told_everywhere(node: Path) -> None:
    (node / "remarks").write_text("ipset: not installed\n")
    found = tortie("-n", node, *WEB)
    assert found.stdout.splitlines()[2] == "note: snapshot: ipset: not installed"
    assert "snapshot: ipset: not installed" in document("-n", node, *WEB)["notes"]
    assert tortie("-n", node, "--batch", "-", text="").stderr == "tortie: snapshot: ipset: not installed\n"


def test_a_pipe_gets_no_colour_unless_told(node: Path) -> None:
    assert "\x1b[" not in tortie("-n", node, *WEB).stdout
    assert "\x1b[" in CliRunner().invoke(main, ["trace", "-n", str(node), *WEB, "--color", "always"], color=True).stdout


BAD: list[tuple[tuple[str, ...], str]] = [
    ((), "no packet to trace"),
    (("tcp", "10.0.0.5"), "three words, not 2"),
    (("tcpp", "10.0.0.5:1", "10.1.0.9:80"), "unknown protocol: 'tcpp'"),
    (("tcp", "10.0.0.5:1", "10.1.0.9:99999"), "port out of range: 99999"),
    (("tcp", "10.0.0.555:1", "10.1.0.9:80"), "not an IP address: '10.0.0.555'"),
    (("tcp", "10.0.0.5:1", "[fd00::1]:80"), "not of the same IP family"),
    ((*WEB, "-i", "eht0"), "no interface 'eht0' on this node (did you mean eth0?)"),
    ((*WEB, "-o", "eht1"), "no interface 'eht1' on this node (did you mean eth1?)"),
    (("tcp", "192.0.2.7:1", "10.1.0.9:80"), "cannot tell where 192.0.2.7 arrives"),
    ((*WEB, "--assume", "nonsense"), "not an assumption: 'nonsense'"),
    ((*WEB, "--assume", "filter:FORWARD:9=match"), "leaves nothing open to assume"),
    (("tcp", "10.0.0.5:1", "10.1.0.9:22", "--assume", "filter:FORWARD:3=yes"), "no such option (one of match, miss)"),
    (("tcp", "10.0.0.5:1", "10.1.0.9:22", "--assume", "route=eth9"), "it depends on filter:FORWARD:3"),
    ((*WEB, "--edit", "-A NOWHERE -j DROP"), "--edit '-A NOWHERE -j DROP'"),
    ((*WEB, "--edit", "-A FORWARD -j"), "--edit '-A FORWARD -j'"),
    ((*WEB, "--conntrack", "/nowhere"), "/nowhere: No such file"),
    ((*WEB, "--one", "--flow"), "--one and --flow exclude each other"),
    ((*WEB, "--packet", "3"), "--packet is for --pcap"),
    ((*WEB, "--stateful"), "--stateful and --stateless are for"),
    (("--batch", "x", "--pcap", "y"), "--batch and --pcap exclude each other"),
    ((*WEB, "--batch", "x"), "a packet and a file of packets"),
    (("--batch", "x", "--mark", "1"), "--mark belongs to a packet"),
    (("--pcap", "x", "--mark", "1"), "--mark is not for captures"),
    (("--pcap", "x", "--flow"), "--flow is for a single packet"),
    (("--batch", "/nowhere"), "/nowhere: No such file"),
]


@pytest.mark.parametrize(("words", "message"), BAD, ids=[" ".join(words) for words, _ in BAD])
def test_bad_input_is_one_line_and_code_2(node: Path, words: tuple[str, ...], message: str) -> None:
    found = tortie("-n", node, *words)
    assert found.exit_code == 2
    assert found.stdout == ""
    assert found.stderr.startswith("tortie: ")
    assert found.stderr.count("\n") == 1
    assert message in found.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (RULES[:-8], "COMMIT"),
        ("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT --nonsense\nCOMMIT\n", ":3: "),
        ("*filtre\n", ":1: "),
        ("\x00\x01\x02", ""),
        ("", ""),
    ],
    ids=["missing", "truncated", "unknown-option", "unknown-table", "binary", "empty"],
)
def test_a_file_that_is_no_snapshot_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "iptables-save"
    if content is not None:
        path.write_text(content)
    found = tortie("-n", path, *WEB, "-i", "eth0")
    assert found.exit_code == 2, found.output
    assert found.stderr.startswith("tortie: ")
    assert str(path) in found.stderr
    assert message in found.stderr
    assert "Traceback" not in found.output


REFERENCE_PACKETS = [
    (
        "tcp 10.20.0.12:40000 10.20.0.11:10250 -i eth0",
        0,
        "allowed by global policy host-access (ingress of host endpoint eth0",
    ),
    (
        "tcp 192.170.140.66:40001 192.170.21.3:80 -i eth0",
        0,
        "allowed by Kubernetes policy shop/web (ingress of workload cali5",
    ),
    (
        "tcp 192.170.21.2:40002 192.170.140.66:8080 -i calia7a3e029a7b",
        0,
        "allowed by profile of namespace default (egress of",
    ),
    (
        "tcp 192.170.80.2:40003 203.0.113.10:443 -i docker0",
        0,
        "FORWARDED out of eth0 as 10.20.0.11:40003 > 203.0.113.10:443",
    ),
    ("tcp 10.20.0.11:40005 10.20.0.12:6443", 0, "allowed by global policy host-access (egress of host endpoint eth0"),
    (
        "tcp 192.170.140.66:40007 192.170.21.3:8080 -i eth0",
        1,
        "no ingress policy of workload cali551b05c3e54 allowed it or",
    ),
    ("tcp 192.170.21.2:40008 10.20.0.11:10250 -i calia7a3e029a7b", 1, "DefaultEndpointToHostAction"),
    (
        "tcp 192.170.21.3:40009 192.170.21.4:5432 -i cali551b05c3e54",
        1,
        "no ingress policy of workload cali2d7243dcff6 allowed",
    ),
    ("tcp 192.170.140.66:40012 192.170.21.9:80 -i eth0", 1, "DROPPED by routing: blackhole 192.170.21.0/26"),
]


@pytest.mark.parametrize(("line", "code", "message"), REFERENCE_PACKETS, ids=[line for line, _, _ in REFERENCE_PACKETS])
def test_the_reference_nodes_packets_are_explained(line: str, code: int, message: str) -> None:
    found = tortie("-n", REFERENCE, *line.split(), "--one")
    assert found.exit_code == code, found.output
    assert message in found.stdout.splitlines()[-1]


@pytest.mark.parametrize("line", [line for line, _, _ in REFERENCE_PACKETS])
def test_the_reference_nodes_documents_fit_the_schema(line: str) -> None:
    document("-n", REFERENCE, *line.split())
