"""The kernel's own trace of a conversation on `lo` agrees with the simulator, packet by packet, without any help.

The snapshot is taken from the same namespace, so this is the whole way of a user: `tortie snapshot`, a monitor's log,
`tortie explain-log`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.oracle.namespace import Namespace
from tortie.simulator.release import RELEASE_SETTING, is_older, release_of

RULES = """\
*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A OUTPUT -p udp -j TRACE
COMMIT
*mangle
:OUTPUT ACCEPT [0:0]
-A OUTPUT -p udp -m udp --dport 53 -j MARK --set-xmark 0x5/0xffffffff
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:web - [0:0]
-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
-A INPUT -p udp -m udp --dport 53 -j web
-A INPUT -p udp -m udp --dport 54 -j REJECT
-A web -m mark --mark 0x5 -j RETURN
-A web -j DROP
COMMIT
"""
COMMANDS = {"xtables-monitor": ("xtables-monitor", "--trace"), "nft monitor": ("nft", "monitor", "trace")}
PATIENCE_S = 10.0
FIRST_PORT, LAST_PORT = 53, 55
TORTIE = (sys.executable, "-c", "import sys; from tortie.cli.main import main; sys.exit(main())")
TALK = """
import socket
client, server = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in "12")
client.bind(("127.0.0.1", 4000))
server.bind(("127.0.0.1", 53))
client.sendto(b"question", ("127.0.0.1", 53))
server.sendto(b"answer", server.recvfrom(99)[1])
for port in (54, 55):
    try:
        client.sendto(b"hello", ("127.0.0.1", port))
    except ConnectionRefusedError:
        pass
"""


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    made = Namespace()
    made.run(["ip", "link", "set", "lo", "up"])
    made.run(["iptables-nft-restore"], RULES)
    yield made
    made.close()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_kernels_trace_agrees_with_the_simulator(namespace: Namespace, tmp_path: Path, name: str) -> None:
    for program in (COMMANDS[name][0], "conntrack"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if name == "xtables-monitor" and is_older(release_of({RELEASE_SETTING: os.uname().release}), (6, 2)):
        pytest.skip("Linux 6.1 gives what comes back on lo another number, and xtables-monitor no packet for it")
    environment = {"XTABLES_LOCKFILE": str(tmp_path / "lock")}
    node, log = tmp_path / "node.tar", tmp_path / "log"
    namespace.run([*TORTIE, "snapshot", str(node)], environment=environment)
    record(namespace, COMMANDS[name], log)
    found = subprocess.run(
        [*TORTIE, "explain-log", "-n", str(node), str(log), "--brief"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
    last = found.stdout.splitlines()[-1]
    assert last.endswith(" agree, 0 disagree")
    assert int(last.split(" ")[0]) >= 8, "a question, its answer and two more datagrams, each on both its ways"


def record(namespace: Namespace, command: tuple[str, ...], log: Path) -> None:
    """Lets a monitor watch one whole conversation; earlier tries are only there to find out that it is ready."""
    with namespace, log.open("ab") as out:
        monitor = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + PATIENCE_S
        while not (shows(log, FIRST_PORT) and shows(log, LAST_PORT)) and time.monotonic() < end:
            namespace.run(["conntrack", "-F"])
            log.write_bytes(b"")
            namespace.run([sys.executable, "-c", TALK])
            time.sleep(0.1)
    finally:
        monitor.terminate()
        monitor.wait(10)
    assert shows(log, LAST_PORT), "the monitor showed nothing"


def shows(log: Path, port: int) -> bool:
    """True when a datagram to this port is in the log, and the log's last line is whole."""
    text = log.read_text(errors="replace")
    return any(word in text for word in (f"DPORT={port}", f"dport {port}")) and text.endswith("\n")
