"""What both monitors of nf_tables print of real packets is read as the way that the packets went."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kernel.oracle.namespace import Namespace
from tortie.codec.tracelog import group_steps, parse_tracelog
from tortie.net.error import InvalidInput
from tortie.net.protocol import UDP
from tortie.netfilter.logged import LoggedStep, StepKind, logged_to_packet

COMMANDS = {
    "xtables-monitor": ("xtables-monitor", "--trace"),
    "nft monitor": ("nft", "monitor", "trace"),
}
PATIENCE_S = 5.0
PORT = 4242


@pytest.fixture(scope="module")
def namespace() -> Iterator[Namespace]:
    made = Namespace()
    for line in (
        "ip link set lo up",
        "ip addr add 10.0.0.1/32 dev lo",
        "iptables-nft -t raw -A OUTPUT -j TRACE",
        "iptables-nft -t raw -A OUTPUT -j MARK --set-mark 0x7",
        "iptables-nft -N a:b",
        "iptables-nft -A a:b -p udp -m udp --dport 4242 -j RETURN",
        "iptables-nft -A OUTPUT -j a:b",
        "iptables-nft -A OUTPUT -p udp -j DROP",
    ):
        made.run(line.split())
    yield made
    made.close()


def wait_for(found: Callable[[], tuple[LoggedStep, ...] | None], again: Callable[[], None]) -> tuple[LoggedStep, ...]:
    """Does a thing again and again until it shows; a monitor does not say when it is ready."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        again()
        time.sleep(0.05)
        if (steps := found()) is not None:
            return steps
    raise AssertionError("the monitor showed nothing")


WAY: list[tuple[str, str, str, str | None]] = [
    ("raw", "OUTPUT", "rule", "CONTINUE"),
    ("raw", "OUTPUT", "rule", "CONTINUE"),
    ("raw", "OUTPUT", "policy", "ACCEPT"),
    ("filter", "OUTPUT", "rule", "JUMP:a:b"),
    ("filter", "a:b", "rule", "RETURN"),
    ("filter", "OUTPUT", "rule", "DROP"),
]


def _as_6_1(*, tells_verdicts: bool) -> list[tuple[str, str, str, str | None]]:
    """Linux 6.1 tells the end of a base chain before its policy, and a rule that returns in the same form."""
    end = ("raw", "OUTPUT", "return", "CONTINUE" if tells_verdicts else None)
    returns = ("filter", "a:b", "return", "RETURN" if tells_verdicts else None)
    return [*WAY[:2], end, *WAY[2:4], returns, *WAY[5:]]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_monitor_tells_the_way_of_a_datagram(namespace: Namespace, tmp_path: Path, name: str) -> None:
    if shutil.which(COMMANDS[name][0]) is None:
        pytest.skip(f"{COMMANDS[name][0]} is not installed")
    log = tmp_path / "log"
    with namespace, log.open("wb") as out:
        monitor = subprocess.Popen(COMMANDS[name], stdout=out, stderr=subprocess.DEVNULL)
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def send() -> None:
        with contextlib.suppress(PermissionError):  # the rules drop it
            sender.sendto(b"hello", ("10.0.0.1", PORT))

    def last_packet() -> tuple[LoggedStep, ...] | None:
        text = log.read_text()
        try:
            groups = group_steps(parse_tracelog(text[: text.rfind("\n") + 1]))
        except InvalidInput:
            return None
        return next((group for group in groups if group[-1].verdict == "DROP" and group[0].packet is not None), None)

    try:
        steps = wait_for(last_packet, send)
    finally:
        monitor.terminate()
        monitor.wait(10)
        sender.close()
    told = [(step.table, step.chain, step.kind.value, step.verdict) for step in steps]
    older = any(step.kind is StepKind.RETURN for step in steps)
    assert told == (_as_6_1(tells_verdicts=name == "nft monitor") if older else WAY)
    if name == "xtables-monitor":
        rules = ["-A a:b -p udp -m udp --dport 4242 -j RETURN", "-A OUTPUT -p udp -j DROP"]
        assert [step.rule for step in steps if step.rule][-2:][older:] == rules[older:]
        assert [step.mark for step in steps if step.table == "filter"] == [7, 7, 7]
    packet = steps[-1].packet
    assert packet is not None
    assert (packet.dport, packet.length, packet.out_iface) == (PORT, 33, "lo")
    if name == "nft monitor":
        built = logged_to_packet(packet)
        assert built is not None and (built.proto, built.dport, built.length) == (UDP, PORT, 33)
