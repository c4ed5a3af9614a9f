"""Matches and targets that need the whole node: tracking, routing, sockets, the clock.

Each case is a scenario that the simulator has to walk as the kernel does, without a doubt.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import pytest

from tests.cases.match_case import BOTH, LEGACY
from tests.cases.matches import ACK, FIN, PSH, RST, SYN, later, v4, v6
from tests.kernel.differential import Judge
from tests.kernel.scenario import Given, Interface, Scenario, Shot, Topology
from tortie.net.address import IPFamily
from tortie.net.packet import Packet
from tortie.net.wire import format_packet
from tortie.netfilter.hook import Backend

V4, V6 = IPFamily.V4, IPFamily.V6
CHAINS = ":PREROUTING ACCEPT\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\n"
PLAIN = Topology(
    (Interface("e0", ("10.0.0.1/24", "fd00::1/64"), 1400), Interface("e1", ("10.1.0.1/24", "fd00:1::1/64"), 1450)),
)
Coming = Packet | tuple[str, Packet]


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge() as made:
        yield made


def agree(
    judge: Judge,
    rules: Sequence[str],
    packets: Sequence[Coming | Given],
    *,
    raw: Sequence[str] = (),
    family: IPFamily = V4,
    backends: Sequence[Backend] = BOTH,
) -> None:
    """Walks the packets on both sides; `rules` are PREROUTING's of mangle unless they name a chain."""
    lines = [rule if rule.startswith(("-A", ":")) else f"-A PREROUTING {rule}" for rule in rules]
    text = f"*mangle\n{CHAINS}" + "".join(f"{line}\n" for line in lines) + "COMMIT\n"
    if raw:
        text += "*raw\n:PREROUTING ACCEPT\n:OUTPUT ACCEPT\n" + "".join(f"-A PREROUTING {one}\n" for one in raw) + "COMMIT\n"
    shots = tuple(Shot(key, _given(packet)) for key, packet in enumerate(packets))
    for backend in backends:
        report = judge.judge(Scenario("matches", backend, PLAIN, {family: text}, shots))
        assert report.refused is None
        assert report.mismatches == []
        assert report.unknown == {}
        assert report.packets == len(packets)


def _given(packet: Coming | Given) -> Given:
    if isinstance(packet, Given):
        return packet
    iface, value = packet if isinstance(packet, tuple) else ("e0", packet)
    return Given(format_packet(value), iface)


def back(**fields: object) -> tuple[str, Packet]:
    """The answer's direction."""
    return "e1", v4(src="10.1.0.9", dst="10.0.0.5", **fields)


# --- tracking ----------------------------------------------------------------------------------------------------

OPENING = [
    v4(proto=6, sport=9 + number, dport=80, tcp_flags=flags)
    for number, flags in enumerate((SYN, SYN | ACK, ACK, PSH | ACK, FIN, FIN | ACK, RST, RST | ACK, 0, SYN | FIN))
]
FLOW = [
    back(proto=6, sport=80, dport=9, tcp_flags=SYN | ACK), v4(proto=6, sport=9, dport=80, tcp_flags=ACK), v4(), back(),
    v4(),
    v4(proto=1, icmp_type=8, icmp_rest=0x50001), v4(proto=1, icmp_type=0, icmp_rest=0x60001),
]  # fmt: skip
CONNTRACK = [
    f"-m conntrack {options}"
    for options in (
        "--ctstate NEW", "--ctstate INVALID", "--ctstate ESTABLISHED,RELATED", "! --ctstate NEW", "--ctstate UNTRACKED",
        "--ctproto 6", "! --ctproto 6", "--ctorigsrc 10.0.0.0/24", "! --ctorigsrc 10.0.0.5", "--ctorigdst 10.1.0.9",
        "--ctreplsrc 10.1.0.9", "--ctrepldst 10.0.0.5", "--ctorigsrcport 9", "--ctorigdstport 80", "! --ctreplsrcport 80",
        "--ctrepldstport 9:12", "--ctstatus NONE", "! --ctstatus NONE", "--ctstatus CONFIRMED",
        "--ctstatus SEEN_REPLY,ASSURED",
        "! --ctstatus CONFIRMED", "--ctdir ORIGINAL", "--ctdir REPLY", "--ctstate NEW,UNTRACKED --ctdir ORIGINAL",
        "--ctorigsrcport 5", "--ctorigdstport 2048",
    )
] + ["-m state --state NEW", "-m state ! --state NEW", "-m connmark --mark 0", "-m connmark ! --mark 5"]  # fmt: skip


def test_connections_are_tested_by_state_tuple_status_and_direction(judge: Judge) -> None:
    agree(judge, CONNTRACK, [*OPENING, *FLOW])


def test_without_an_entry_only_the_state_counts(judge: Judge) -> None:
    agree(judge, CONNTRACK, [v4(), v4(proto=6, tcp_flags=FIN)], raw=["-p udp -j CT --notrack"])


STATE_IN_RAW = ["-m conntrack --ctstate INVALID", "-m conntrack --ctstate NEW", "-m conntrack --ctstate UNTRACKED"]
TURNS = [v4(), back(), v4(), back()]


@pytest.mark.parametrize(
    "raw",
    [
        [*STATE_IN_RAW, "-j CT --notrack", *STATE_IN_RAW, "-m state --state UNTRACKED"],
        ["-j CT", *STATE_IN_RAW, "-m state --state NEW", "-j CT --notrack", *STATE_IN_RAW],
        ["-i e0 -j CT --zone 5", "-j CT --zone 7"],
        ["-j CT --zone 5"],
        ["-i e0 -j CT --zone-orig 5"],
        ["-j CT --zone-reply 5"],
        ["-j MARK --set-mark 0x10007", "-j CT --zone mark", "-i e1 -j MARK --set-mark 0x20007"],
        ["-j CT --zone mark", "-j MARK --set-mark 0x10007"],
    ],
    ids=[
        "notrack",
        "an empty template",
        "first of two",
        "one zone",
        "one way",
        "the other way",
        "by mark",
        "by later mark",
    ],
)
def test_ct_rules_say_how_a_packet_is_tracked(judge: Judge, raw: list[str]) -> None:
    agree(judge, ["-m conntrack --ctstate NEW", "-m conntrack --ctstate ESTABLISHED,UNTRACKED"], TURNS, raw=raw)


@pytest.mark.parametrize("target", ["CT", "CT --zone 3", "CT --notrack"])
def test_a_template_switches_tracking_on(judge: Judge, target: str) -> None:
    agree(judge, ["-m mark --mark 0"], [v4()], raw=[f"-j {target}"])


def test_connection_marks(judge: Judge) -> None:
    rules = [
        "-m connmark --mark 5", "-j CONNMARK --set-mark 0x5", "-m connmark --mark 5", "-m connmark ! --mark 5",
        "-m connmark --mark 0x15/0xf", "-j MARK --set-mark 0x1234", "-j CONNMARK --save-mark --nfmask 0xff --ctmask 0xffff",
        "-m connmark --mark 0x34", "-j CONNMARK --set-xmark 0xff00/0x0ff0", "-j MARK --set-mark 0",
        "-j CONNMARK --restore-mark --nfmask 0xf --ctmask 0xffff", "-m connmark ! --mark 0/1",
    ]  # fmt: skip
    agree(judge, rules, [v4(), v4(proto=6, tcp_flags=FIN), v4()])


def test_counters_labels_and_helpers_of_connections(judge: Judge) -> None:
    rules = [
        "-m connbytes --connbytes 2 --connbytes-dir both --connbytes-mode packets",
        "-m connbytes --connbytes 1:1 --connbytes-dir original --connbytes-mode packets",
        "-m connbytes ! --connbytes 1:1 --connbytes-dir original --connbytes-mode packets",
        "-m connbytes ! --connbytes 1:2 --connbytes-dir original --connbytes-mode packets",
        "-m connbytes --connbytes 28:100 --connbytes-dir reply --connbytes-mode bytes",
        "-m connbytes --connbytes 28:30 --connbytes-dir both --connbytes-mode avgpkt",
        "-m connbytes ! --connbytes 3 --connbytes-dir original --connbytes-mode packets",
        "-m connlabel --label 5", "-m connlabel ! --label 5", "-p udp -m connlabel --label 5 --set",
        "-m connlabel --label 5",
        "-m connlabel --label 6", "-m helper --helper ftp", "-m helper ! --helper ftp",
    ]  # fmt: skip
    packets = [v4(), v4(), back(), v4(payload=bytes(50)), v4(proto=6, tcp_flags=0), v4(proto=6, tcp_flags=SYN)]
    agree(judge, rules, packets)


def test_numbers_of_connections(judge: Judge) -> None:
    rules = [
        "-m connlimit --connlimit-above 2", "-m connlimit --connlimit-upto 2",
        "-m connlimit --connlimit-above 2 --connlimit-mask 24", "-m connlimit --connlimit-above 3 --connlimit-daddr",
    ]  # fmt: skip
    packets: list[Coming] = [v4(sport=port) for port in range(1, 6)]
    packets += [v4(sport=1), v4(src="10.0.0.6", sport=1), back(dport=1), v4(sport=2)]
    agree(judge, rules, packets)


def test_nodes_of_a_cluster(judge: Judge) -> None:
    rules = [
        "-m cluster --cluster-total-nodes 2 --cluster-local-node 1 --cluster-hash-seed 0xdeadbeef",
        "-m cluster --cluster-total-nodes 3 ! --cluster-local-node 2 --cluster-hash-seed 1",
    ]
    agree(judge, rules, [*(v4(src=f"10.0.0.{number}") for number in range(2, 30)), v4(proto=6, tcp_flags=0)])
    agree(judge, rules, [v6(src=f"fd00:{number}::{number}") for number in range(2, 30)], family=V6)


# --- routing -----------------------------------------------------------------------------------------------------


def test_address_types_and_reverse_paths(judge: Judge) -> None:
    rules = [
        f"-m addrtype {options}"
        for options in (
            "--dst-type LOCAL", "! --dst-type LOCAL", "--dst-type UNICAST", "--src-type UNICAST --dst-type BROADCAST",
            "--dst-type MULTICAST", "--dst-type LOCAL --limit-iface-in", "--dst-type UNREACHABLE,BLACKHOLE,PROHIBIT",
        )
    ] + ["-m rpfilter", "-m rpfilter --invert", "-m rpfilter --loose", "-m rpfilter --accept-local"]  # fmt: skip
    to = ("10.1.0.9", "10.0.0.1", "10.1.0.1", "10.0.0.255", "255.255.255.255", "224.0.0.1", "127.0.0.1")
    agree(judge, rules, [*(v4(dst=dst) for dst in to), *(v4(src=src) for src in ("10.1.0.7", "9.9.9.9", "10.1.0.1"))])


def test_address_types_and_reverse_paths_of_ipv6(judge: Judge) -> None:
    rules = [
        f"-m addrtype {options}"
        for options in (
            "--dst-type LOCAL", "! --dst-type LOCAL", "--dst-type UNICAST", "--dst-type MULTICAST",
            "--dst-type UNICAST,LOCAL",
            "--dst-type ANYCAST", "--dst-type UNREACHABLE", "--src-type UNICAST --dst-type LOCAL --limit-iface-in",
        )
    ] + ["-m rpfilter", "-m rpfilter --invert", "-m rpfilter --loose"]  # fmt: skip
    to = ("fd00:1::9", "fd00::1", "fd00:1::1", "fd00::", "fd77::1", "ff02::1")
    agree(judge, rules, [*(v6(dst=dst) for dst in to), v6(src="fd00:1::7"), v6(src="fd99::1")], family=V6)


def test_mss_is_clamped_to_the_smaller_mtu_of_both_ways(judge: Judge) -> None:
    rules = ["-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu"]
    options = (b"", b"\2\4\5\xb4", b"\2\4\1\0", b"\1\1\2\4\5\xb4\1\1", b"\0\2\4\5\xb4\0\0\0")
    agree(judge, rules, [v4(proto=6, sport=9, dport=80, tcp_flags=SYN, tcp_options=one) for one in options])
    agree(judge, rules, [v6(proto=6, sport=9, dport=80, tcp_flags=SYN, tcp_options=one) for one in options], family=V6)


def test_a_chain_reached_from_postrouting_knows_the_input_device(judge: Judge) -> None:
    rules = [":X - [0:0]", "-A POSTROUTING -j X", "-A X -i e0", "-A X ! -i e0", "-A X -i lo", "-A X -o e1"]
    agree(judge, rules, [v4(), v4(dst="10.0.0.1", proto=1, icmp_type=8)])


# --- sockets and the clock ---------------------------------------------------------------------------------------


def test_owners_of_sockets(judge: Judge) -> None:
    options = (
        "--uid-owner 0", "! --uid-owner 0", "--uid-owner 5-1000", "--gid-owner 7", "! --gid-owner 7", "--socket-exists",
        "! --socket-exists", "--uid-owner 5 --gid-owner 7", "! --uid-owner 5 ! --gid-owner 7",
        "--gid-owner 7 --suppl-groups",
        "! --gid-owner 7 --suppl-groups", "--socket-exists ! --uid-owner 0",
    )  # fmt: skip
    rules = [f"-A {chain} -m owner {option}" for chain in ("OUTPUT", "POSTROUTING") for option in options]
    own = format_packet(v4(src="10.1.0.1", identification=77))
    sent = [Given(own, None, uid=uid, gid=gid) for uid, gid in ((0, 0), (5, 7), (5, 0), (1000, 7), (1001, 8))]
    caused = [v4(ttl=1), v4(dst="10.0.0.1", dport=9), v4(dst="10.0.0.1", proto=6, tcp_flags=SYN, dport=9)]
    agree(judge, rules, [*sent, v4(), *caused])


def test_times_of_day_and_days(judge: Judge) -> None:
    now = time.time()

    def at(offset_s: int) -> str:
        return time.strftime("%H:%M:%S", time.gmtime(now + offset_s))

    today = time.gmtime(now)
    day, yesterday = time.strftime("%a", today), time.strftime("%a", time.gmtime(now - 86400))
    rules = [
        f"-m time {options}"
        for options in (
            f"--timestart {at(-600)} --timestop {at(600)}", f"--timestart {at(600)} --timestop {at(-600)}",
            f"--timestart {at(600)} --timestop {at(1200)}", f"--weekdays {day}", f"! --weekdays {day}",
            f"--monthdays {today.tm_mday}", f"--datestart {time.strftime('%Y-%m-%d', today)}", "--datestop 2020-01-01",
        )
    ]  # fmt: skip
    if at(3600) > at(1800):
        nights = f"--timestart {at(3600)} --timestop {at(1800)} --contiguous"
        rules += [f"-m time {nights} --weekdays {day}", f"-m time {nights} --weekdays {yesterday}"]
    agree(judge, rules, [v4()])


def test_later_fragments_are_put_together_where_tracking_runs(judge: Judge) -> None:
    rules = ["-m conntrack --ctstate NEW", "-f", "-p udp -m udp --dport 9"]
    whole = v4(sport=5, dport=9, payload=bytes(16), identification=9)
    data = format_packet(whole)[20:]
    first = later(17, 0, data[:16], more_fragments=True, identification=9)
    agree(judge, rules, [first, later(17, 2, data[16:], identification=9)], backends=(LEGACY,))
