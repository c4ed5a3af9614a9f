"""Real servers of etcd for tests: on loopback, with ports and a data directory of their own, alone or as a cluster.

Tests that use them ask `missing_for_etcd` first (tests/requirement.py). A server is killed when its context ends, whatever
became of the test. Nothing is waited for longer than `START_S`.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tortie.source.client_config import ClientConfig

START_S = 20.0
_TURN_S = 0.02
_ALONE = ("--heartbeat-interval", "10", "--election-timeout", "50")
_PATIENT = ("--heartbeat-interval", "50", "--election-timeout", "500")


@dataclass
class TlsFiles:
    """Certificates in files: what a server shows, and whom it trusts."""

    certificate: Path
    key: Path
    authority: Path


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens at."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@dataclass
class EtcdServer:
    """One server, that can be killed and started again on the same data and port."""

    directory: Path
    name: str = "one"
    client_port: int = 0
    peer_port: int = 0
    cluster: str = ""
    tls: TlsFiles | None = None
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.client_port:
            self.client_port, self.peer_port = free_ports(2)

    @property
    def endpoint(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.client_port}"

    @property
    def peer(self) -> str:
        return f"{self.name}=http://127.0.0.1:{self.peer_port}"

    @property
    def config(self) -> ClientConfig:
        return ClientConfig(etcd_endpoints=self.endpoint)

    def launch(self) -> None:
        """Starts the process, without waiting for it."""
        assert self.process is None
        peer = f"http://127.0.0.1:{self.peer_port}"
        command = [
            "etcd", "--name", self.name, "--data-dir", str(self.directory / self.name), "--log-level", "error",
            "--listen-client-urls", self.endpoint, "--advertise-client-urls", self.endpoint,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", self.cluster or self.peer, "--unsafe-no-fsync", "--bcrypt-cost", "4",
            # Alone, a server is its own leader as soon as its time is up; others are given time to answer.
            *(_PATIENT if self.cluster else _ALONE), *self.options,
        ]  # fmt: skip
        if self.tls:
            command += [
                "--cert-file", str(self.tls.certificate), "--key-file", str(self.tls.key),
                "--client-cert-auth", "--trusted-ca-file", str(self.tls.authority),
            ]  # fmt: skip
        with (self.directory / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def start(self) -> None:
        """Starts the process and waits until its port answers."""
        self.launch()
        self.wait()

    def wait(self) -> None:
        """Waits until the port answers and the cluster has a leader."""
        end = time.monotonic() + START_S
        while self.ctl("endpoint", "health", check=False).returncode:
            assert self.process is not None and self.process.poll() is None, self.log()
            assert time.monotonic() < end, self.log()
            time.sleep(_TURN_S)

    def wait_without_leader(self) -> None:
        """Waits until the server knows that it has lost the others."""
        end = time.monotonic() + START_S
        while json.loads(self.ctl("endpoint", "status", "-w", "json").stdout)[0]["Status"].get("leader"):
            assert time.monotonic() < end, self.log()
            time.sleep(_TURN_S)

    def kill(self) -> None:
        """Ends the process without a word."""
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def wipe(self) -> None:
        """Throws the data away; the server must be down."""
        assert self.process is None
        shutil.rmtree(self.directory / self.name, ignore_errors=True)

    def log(self) -> str:
        return (self.directory / f"{self.name}.log").read_text(errors="replace")[-2000:]

    def ctl(self, *words: str, user: str = "", check: bool = True, text: str = "") -> subprocess.CompletedProcess[str]:
        """Runs etcdctl against this server."""
        command = ["etcdctl", "--endpoints", self.endpoint, "--command-timeout", "10s"]
        if self.tls:
            command += [
                "--cert", str(self.tls.certificate), "--key", str(self.tls.key), "--cacert", str(self.tls.authority),
            ]  # fmt: skip
        if user:
            command += ["--user", user]
        ran = subprocess.run([*command, *words], input=text, capture_output=True, text=True, env=_ENVIRONMENT, check=False)
        assert not check or ran.returncode == 0, ran.stderr
        return ran

    def revision(self) -> int:
        """The cluster's revision."""
        (status,) = json.loads(self.ctl("endpoint", "status", "-w", "json").stdout)
        return int(status["Status"]["header"]["revision"])

    def compact(self) -> None:
        """Forgets all history but the present."""
        self.ctl("compact", str(self.revision()))


_ENVIRONMENT = {"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin"}


@contextmanager
def etcd_server(tls: TlsFiles | None = None, options: tuple[str, ...] = ()) -> Iterator[EtcdServer]:
    """A server of its own, running."""
    with tempfile.TemporaryDirectory(prefix="etcd-") as directory:
        server = EtcdServer(Path(directory), tls=tls, options=options)
        try:
            server.start()
            yield server
        finally:
            server.kill()


@contextmanager
def etcd_cluster(size: int) -> Iterator[list[EtcdServer]]:
    """Several servers that form a cluster, running."""
    with tempfile.TemporaryDirectory(prefix="etcd-") as directory:
        servers = [EtcdServer(Path(directory), name=f"member-{index}") for index in range(size)]
        peers = ",".join(server.peer for server in servers)
        for server in servers:
            server.cluster = peers
        try:
            for server in servers:
                server.launch()
            for server in servers:
                server.wait()
            yield servers
        finally:
            for server in servers:
                server.kill()
