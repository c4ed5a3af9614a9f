"""A node built with the real tools, read by Tortie and by collect.sh, and what the snapshot then says of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.kernel.oracle.namespace import Namespace
from tortie.cli.snapshot_file import load_snapshot
from tortie.codec.snapshot import parse_snapshot
from tortie.kernel.read import read_node
from tortie.kernel.run import Ran, run_tool
from tortie.net.address import IPFamily, parse_address, parse_prefix
from tortie.net.node import InterfaceAddress, NextHop, RouteType, RuleAction
from tortie.netfilter.conntrack import ConnTuple
from tortie.netfilter.hook import Backend, TableName
from tortie.netfilter.snapshot import ForeignChain, Snapshot

ROOT = Path(__file__).resolve().parents[2]
V4, V6 = IPFamily.V4, IPFamily.V6
A, P = parse_address, parse_prefix

BUILD = """
sysctl -q -w net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.addr_gen_mode=1
ip link set lo up
ip link add e0 type veth peer name p0
ip link add br0 type bridge
ip link add wan.5 type veth peer name x
ip link set p0 master br0
ip link set e0 mtu 1400 group 7
ip link set e0 up
ip link set p0 up
ip addr add 10.0.0.1/24 brd + dev e0
ip addr add 10.0.0.2/24 dev e0
ip addr add fd00::1/64 dev e0 nodad
ip addr add 10.9.0.1 peer 10.9.0.2/32 dev wan.5
ip nexthop add id 5 via 10.0.0.254 dev e0
ip route add default via 10.0.0.254 metric 100 mtu 1300
ip route add 10.1.0.0/16 nexthop via 10.0.0.254 weight 2 nexthop via 10.0.0.253 dev e0 onlink
ip route add unreachable 10.2.0.0/16 table 100
ip route add 10.3.0.0/16 via inet6 fd00::9 dev e0
ip route add 10.4.0.0/16 nhid 5
ip route add 10.5.0.0/16 encap ip id 5 dst 1.1.1.1 via 10.0.0.254 tos 0x10
ip -6 route add fd01::/32 from fd00:5::/32 via fd00::99
ip rule add not from 10.0.0.0/24 fwmark 0x10/0xf0 iif e0 table 100 priority 100
ip rule add ipproto tcp dport 80-90 prohibit priority 101
ip -6 rule add from fd00::/64 table 300 priority 10
ip neigh add 10.0.0.254 lladdr 00:11:22:33:44:55 dev e0
sysctl -q -w net.ipv4.conf.wan/5.rp_filter=2
ipset create nets hash:net
ipset add nets 10.0.0.0/8 nomatch
ipset create sets list:set
ipset add sets nets
iptables-nft -A INPUT -s 10.0.0.5 -m conntrack --ctstate NEW -j DROP
ip6tables-nft -t raw -A PREROUTING -s fd00::5 -j DROP
conntrack -I -s 10.0.0.5 -d 10.1.0.9 -p tcp --sport 5 --dport 80 --state ESTABLISHED -t 1000 -u ASSURED,SEEN_REPLY -m 7
conntrack -I -s fd00::5 -d fd00::6 -p icmpv6 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 77 -t 1000 -w 3
"""


@pytest.fixture(scope="module")
def lock_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    os.environ["XTABLES_LOCKFILE"] = str(tmp_path_factory.mktemp("lock") / "lock")
    yield
    del os.environ["XTABLES_LOCKFILE"]


@pytest.fixture(scope="module")
def namespace(lock_file: None) -> Iterator[Namespace]:
    made = Namespace()
    for line in BUILD.strip().splitlines():
        made.run(line.split())
    made.run(["nft", "-f", "-"], "table inet foreign {\nchain c { type filter hook forward priority 5; policy drop; }\n}\n")
    yield made
    made.close()


@pytest.fixture(scope="module")
def node(namespace: Namespace) -> Snapshot:
    with namespace:
        return parse_snapshot(read_node(run_tool), "node")


def test_nothing_is_left_out(node: Snapshot) -> None:
    assert node.unreadable == ()


def test_links(node: Snapshot) -> None:
    links = {link.name: link for link in node.links or ()}
    assert links["lo"].loopback and links["lo"].link_type == "loopback"
    assert (links["e0"].mtu, links["e0"].group, links["e0"].kind, links["e0"].link_type) == (1400, 7, "veth", "ether")
    assert (links["e0"].up, links["e0"].carrier, links["x"].up) == (True, True, False)
    assert (links["p0"].master, links["br0"].kind) == ("br0", "bridge")
    assert links["e0"].mac is not None and len(links["e0"].mac) == 6


def test_addresses(node: Snapshot) -> None:
    links = {link.name: link for link in node.links or ()}
    assert links["e0"].addresses[:3] == (
        InterfaceAddress(P("10.0.0.1/24"), broadcast=A("10.0.0.255").value),
        InterfaceAddress(P("10.0.0.2/24"), secondary=True),
        InterfaceAddress(P("fd00::1/64")),
    )
    assert links["wan.5"].addresses[0] == InterfaceAddress(P("10.9.0.1/32"), peer=P("10.9.0.2/32"))


def test_routes(node: Snapshot) -> None:
    routes = {str(route.prefix): route for route in node.routes[V4]}
    by_gateway = NextHop("e0", A("10.0.0.254"))
    assert (routes["0.0.0.0/0"].next_hops, routes["0.0.0.0/0"].metric, routes["0.0.0.0/0"].mtu) == (
        (by_gateway,),
        100,
        1300,
    )
    assert routes["10.1.0.0/16"].next_hops == (replace(by_gateway, weight=2), NextHop("e0", A("10.0.0.253"), onlink=True))
    assert (routes["10.2.0.0/16"].type, routes["10.2.0.0/16"].table) == (RouteType.UNREACHABLE, "100")
    assert routes["10.3.0.0/16"].next_hops == (NextHop("e0", A("fd00::9")),)
    assert (routes["10.4.0.0/16"].next_hops, routes["10.4.0.0/16"].nexthop_id) == ((by_gateway,), 5)
    assert (routes["10.5.0.0/16"].next_hops, routes["10.5.0.0/16"].tos) == ((replace(by_gateway, encap="ip"),), 0x10)
    assert (routes["10.0.0.1/32"].type, routes["10.0.0.1/32"].table) == (RouteType.LOCAL, "local")
    assert (routes["10.0.0.0/24"].scope, routes["10.0.0.0/24"].protocol) == ("link", "kernel")
    six = {str(route.prefix): route for route in node.routes[V6]}
    assert (six["fd01::/32"].source, six["fd01::/32"].next_hops) == (P("fd00:5::/32"), (NextHop("e0", A("fd00::99")),))
    assert six["fd00::1/128"].type is RouteType.LOCAL


def test_policy_rules(node: Snapshot) -> None:
    rules = {rule.priority: rule for rule in node.policy_rules[V4]}
    assert list(rules) == [0, 100, 101, 32766, 32767]
    assert [rules[number].table for number in (0, 32766, 32767)] == ["local", "main", "default"]
    assert (rules[100].negated, rules[100].source, rules[100].in_iface) == (True, P("10.0.0.0/24"), "e0")
    assert (rules[100].mark, rules[100].mark_mask, rules[100].table) == (0x10, 0xF0, "100")
    assert (rules[101].action, rules[101].ip_proto, rules[101].dport) == (RuleAction.PROHIBIT, 6, (80, 90))
    assert [rule.priority for rule in node.policy_rules[V6]] == [0, 10, 32766]
    assert not any(rule.unsupported for rule in rules.values())


def test_neighbours(node: Snapshot) -> None:
    known = {str(one.address): one for one in node.neighbours or ()}
    assert (known["10.0.0.254"].mac, known["10.0.0.254"].dev) == (bytes.fromhex("001122334455"), "e0")


def test_settings(node: Snapshot) -> None:
    assert node.sysctls is not None
    assert node.sysctls["net.ipv4.ip_forward"] in ("0", "1")
    assert node.sysctls["net.ipv4.conf.wan/5.rp_filter"] == "2"
    assert "net.netfilter.nf_conntrack_tcp_loose" in node.sysctls


def test_sets(node: Snapshot) -> None:
    assert node.ip_sets is not None
    assert [entry.nomatch for entry in node.ip_sets["nets"].entries] == [True]
    assert len(node.ip_sets["sets"].entries) == 1


def test_rules(node: Snapshot) -> None:
    assert [(one.family, one.backend, list(one.tables)) for one in node.rulesets] == [
        (V4, Backend.NFT, [TableName.FILTER]),
        (V6, Backend.NFT, [TableName.RAW]),
    ]


def test_connections(node: Snapshot) -> None:
    entries = {entry.original.proto: entry for entry in node.connections or ()}
    tcp, ping = entries[6], entries[58]
    assert tcp.original == ConnTuple(V4, 6, A("10.0.0.5").value, A("10.1.0.9").value, 5, 80)
    assert (tcp.state, tcp.assured, tcp.seen_reply, tcp.mark) == ("ESTABLISHED", True, True, 7)
    assert (ping.original.src_key, ping.original.dst_key, ping.zone_original, ping.zone_reply) == (77, 128 << 8, 3, 3)


def test_chains_beside_iptables(node: Snapshot) -> None:
    assert node.foreign_chains == (ForeignChain("inet", "foreign", "c", "filter", "forward", 5, "drop"),)


def test_no_ipvs(node: Snapshot) -> None:
    assert node.ipvs == () or Path("/proc/net/ip_vs").exists()


def files_of(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def run_inside(namespace: Namespace, command: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    with namespace:
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **environment}
        )


COLLECTORS = {
    "tortie": (sys.executable, "-m", "tortie.cli.main", "snapshot"),
    "sh": ("sh", "collect.sh"),
    "dash": ("dash", "collect.sh"),
    "busybox": ("busybox", "sh", "collect.sh"),
    "bash": ("bash", "--posix", "collect.sh"),
}


def collector(name: str) -> tuple[str, ...]:
    command = COLLECTORS[name]
    if run_tool([command[0], "-c", ":"] if name != "busybox" else ["busybox", "true"]).missing:
        pytest.skip(f"{name} is not installed")
    if name == "tortie":
        return (sys.executable, "-c", "from tortie.cli.main import main; main()", "snapshot")
    return command


@pytest.mark.parametrize("name", COLLECTORS)
def test_collectors_write_the_same_files(namespace: Namespace, node: Snapshot, tmp_path: Path, name: str) -> None:
    done = run_inside(namespace, [*collector(name), str(tmp_path / "node")])
    assert (done.returncode, done.stderr) == (0, f"{tmp_path}/node: 15 parts\n")
    loaded = load_snapshot(str(tmp_path / "node"))

    def still(one: Snapshot) -> Snapshot:
        """Without what the kernel does by itself meanwhile: its own multicast packets, neighbours, clocks."""
        made = [
            replace(e, timeout_s=None)
            for e in one.connections or ()
            if e.original.src in (A("10.0.0.5").value, A("fd00::5").value)
        ]
        return replace(one, name="", connections=tuple(sorted(made, key=repr)), neighbours=())

    assert still(loaded) == still(node)


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tgz"])
@pytest.mark.parametrize("name", ["tortie", "sh"])
def test_archives(namespace: Namespace, node: Snapshot, tmp_path: Path, name: str, suffix: str) -> None:
    done = run_inside(namespace, [*collector(name), str(tmp_path / f"node{suffix}")])
    assert done.returncode == 0, done.stderr
    loaded = load_snapshot(str(tmp_path / f"node{suffix}"))
    assert (loaded.files, loaded.rulesets) == (node.files, node.rulesets)


@pytest.mark.parametrize("name", ["tortie", "sh"])
def test_nothing_is_written_over(namespace: Namespace, tmp_path: Path, name: str) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").write_text("mine")
    for target in (full, full / "mine"):
        done = run_inside(namespace, [*collector(name), str(target)])
        assert done.returncode == 2
        assert str(target) in done.stderr
    assert files_of(full) == {"mine": b"mine"}


@pytest.mark.parametrize("name", ["tortie", "sh"])
def test_tools_that_are_missing_are_named(namespace: Namespace, tmp_path: Path, name: str) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    tools = "cat cmp cp cut env grep gzip head ip ls mkdir mktemp mv rm sed sh sysctl tail tar"
    for tool in [*tools.split(), "iptables-nft-save", "ip6tables-nft-save"]:
        found = run_tool(["sh", "-c", f"command -v {tool}"]).out.decode().strip()
        (bare / tool).symlink_to(found)
    script = (ROOT / "collect.sh").read_text().replace("PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin", f"PATH={bare}")
    (tmp_path / "collect.sh").write_text(script)
    if name == "sh":
        done = run_inside(namespace, ["sh", str(tmp_path / "collect.sh"), str(tmp_path / "node")])
        assert done.returncode == 3, done.stderr
        told = load_snapshot(str(tmp_path / "node")).unreadable
    else:
        only = {path.name for path in bare.iterdir()}
        with namespace:
            files = read_node(lambda command: run_tool(command) if command[0] in only else Ran(127))
        told = parse_snapshot(files, "node").unreadable
    missing = {"nft-chains": "nft", "ipset-save": "ipset"}
    if not Path("/proc/net/nf_conntrack").exists():
        missing["conntrack"] = "conntrack"
    assert told == tuple(f"{file}: {tool} is not installed" for file, tool in missing.items())


def test_reading_creates_no_legacy_table(lock_file: None) -> None:
    empty = Namespace()
    try:
        for names in ("ip_tables_names", "ip6_tables_names"):
            before = empty.run(["cat", f"/proc/net/{names}"])
            with empty:
                files = read_node(run_tool)
            assert before == empty.run(["cat", f"/proc/net/{names}"]) == ""
            assert not any("legacy" in file for file in files)
        assert empty.run(["nft", "list", "tables"]) == ""
    finally:
        empty.close()


def test_legacy_tables_that_exist_are_read(lock_file: None) -> None:
    both = Namespace()
    try:
        both.run(["iptables-legacy", "-A", "INPUT", "-s", "10.0.0.7", "-j", "DROP"])
        both.run(["iptables-nft", "-A", "INPUT", "-s", "10.0.0.5", "-j", "DROP"])
        both.run(["ip6tables-legacy", "-t", "raw", "-A", "OUTPUT", "-j", "ACCEPT"])
        with both:
            node = parse_snapshot(read_node(run_tool), "node")
        found = [(one.family, one.backend, list(one.tables)) for one in node.rulesets]
        assert found == [
            (V4, Backend.NFT, [TableName.FILTER]),
            (V4, Backend.LEGACY, [TableName.FILTER]),
            (V6, Backend.NFT, []),
            (V6, Backend.LEGACY, [TableName.RAW]),
        ]
        assert ["nft is taken to come first" in remark for remark in node.unreadable] == [True]
    finally:
        both.close()


@pytest.mark.parametrize("name", ["tortie", "sh"])
def test_changes_during_the_reading_are_told(lock_file: None, tmp_path: Path, name: str) -> None:
    """A sysctl of its own between the passes adds a member each time; the set then differs in every reading."""
    restless = Namespace()
    try:
        restless.run(["ipset", "create", "s", "hash:ip"])
        meddler = tmp_path / "sysctl"
        meddler.write_text('#!/bin/sh\nipset add s 10.0.0.$(ipset list s | wc -l) >&2\nexec /sbin/sysctl "$@"\n')
        meddler.chmod(0o755)
        path = f"{tmp_path}:{os.environ['PATH']}:/usr/sbin:/sbin"
        done = run_inside(restless, [*collector(name), str(tmp_path / "node")], PATH=path)
        assert done.returncode == 3, done.stderr
        assert load_snapshot(str(tmp_path / "node")).unreadable == ("changed while being read 4 times: ipset-save",)
    finally:
        restless.close()
