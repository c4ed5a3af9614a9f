"""Really connects: from one station to a target, by TCP, UDP or ICMP, hundreds at a time in one process.

Every station has a server for every port in question that sends back what it gets, by TCP and UDP; the kernel answers echo
requests. What counts is the echo: a handshake alone may be one direction's luck. A socket belongs to the network namespace
that it was made in, so one process has them all. What has no answer after `PATIENCE_S` is taken for not connected: in a
laboratory nothing is lost but what somebody drops.
"""

from __future__ import annotations

import errno
import itertools
import os
import resource
import selectors
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from tortie.kernel.namespace import inside
from tortie.kernel.refusal import KernelRefused
from tortie.lab.machine import Machine
from tortie.lab.station import Station, Target
from tortie.net.address import Address, parse_address
from tortie.net.protocol import ICMP, TCP, UDP

PATIENCE_S = 2.0
"""A second after the first SYN the kernel sends another, so this is two tries."""
AT_A_TIME = 800
_FILES = 4 * AT_A_TIME
"""Files that a process must be able to have open: tries and servers."""
_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_ICMP_HEADER = struct.Struct("!BBHHH")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a try: whether it connected, from which address and port, and the kernel's word if it had one.

    The port of an echo request is its identifier.
    """

    connected: bool
    source: Address | None = None
    source_port: int = 0
    word: str = ""


@dataclass(slots=True)
class _Try:
    """One try in flight."""

    number: int
    station: Station
    target: Target
    outcome: Outcome | None = None
    sock: socket.socket | None = None
    source: Address | None = None
    source_port: int = 0
    asked: bool = False


@contextmanager
def serving(machine: Machine, stations: Iterable[Station], targets: Iterable[Target]) -> Iterator[Prober]:
    """Servers at all stations, and a prober; everything is closed at the end.

    Raises `OSError` when a namespace is gone, `KernelRefused` when a port is somebody else's.
    """
    _allow_files()
    ports = sorted({(one.probe.protocol, one.port) for one in targets if one.port})
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        prober = Prober(machine, selector, stack)
        for station in stations:
            with inside(machine.path(station.namespace)):
                for protocol, port in ports:
                    kind = socket.SOCK_STREAM if protocol == TCP else socket.SOCK_DGRAM
                    server = stack.enter_context(socket.socket(socket.AF_INET, kind))
                    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    server.setblocking(False)
                    try:
                        server.bind(("", port))
                        if protocol == TCP:
                            server.listen(AT_A_TIME)
                    except OSError as error:  # somebody else has it: BIRD its 179, another command all of them
                        word = f"port {port} of {station.name}: {error.strerror}"
                        raise KernelRefused(["listening"], word) from None
                    selector.register(server, selectors.EVENT_READ, prober.accept if protocol == TCP else _echo)
        try:
            yield prober
        finally:
            prober.close()


@dataclass(slots=True)
class Prober:
    """Tries; servers answer only while it does."""

    machine: Machine
    selector: selectors.BaseSelector
    stack: ExitStack
    _pings: dict[str, socket.socket] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(int.from_bytes(os.urandom(2), "big") + 1))
    """Begun anywhere, so that a second run's echo requests are not taken for the first one's connections."""
    _waiting: dict[int, _Try] = field(default_factory=dict)

    def probe(self, pairs: Iterable[tuple[Station, Target]], patience_s: float = PATIENCE_S) -> list[Outcome]:
        """Tries all pairs, and tells the outcomes in their order."""
        found: list[Outcome] = []
        queue = list(pairs)
        for start in range(0, len(queue), AT_A_TIME):
            tries = [_Try(next(self._numbers), *pair) for pair in queue[start : start + AT_A_TIME]]
            self._begin(tries)
            self._wait(tries, patience_s)
            found += [self._end(one) for one in tries]
        return found

    def close(self) -> None:
        """Closes the connections that somebody left open."""
        for key in list(self.selector.get_map().values()):
            if key.data == self._serve:
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()

    # --- beginning ---

    def _begin(self, tries: Iterable[_Try]) -> None:
        by_station: dict[str, list[_Try]] = {}
        for one in tries:
            by_station.setdefault(one.station.namespace, []).append(one)
        for namespace, some in by_station.items():
            with inside(self.machine.path(namespace)):
                for one in some:
                    self._send(one, namespace)

    def _send(self, one: _Try, namespace: str) -> None:
        self._waiting[one.number] = one
        address = str(one.target.address)
        try:
            if one.target.probe.protocol == ICMP:
                self._ping(one, namespace, address)
                return
            kind = socket.SOCK_STREAM if one.target.probe.protocol == TCP else socket.SOCK_DGRAM
            one.sock = socket.socket(socket.AF_INET, kind)
            one.sock.setblocking(False)
            code = one.sock.connect_ex((address, one.target.probe.port))
            one.source, one.source_port = _own_end(one.sock)
            if code not in (0, errno.EINPROGRESS):
                self._settle(one, connected=False, word=os.strerror(code))
                return
            if kind == socket.SOCK_DGRAM:
                one.sock.send(str(one.number).encode())
            self.selector.register(
                one.sock, selectors.EVENT_WRITE if kind == socket.SOCK_STREAM else selectors.EVENT_READ, one
            )
        except OSError as error:
            self._settle(one, connected=False, word=error.strerror or str(error))

    def _ping(self, one: _Try, namespace: str, address: str) -> None:
        """Sends an echo request; its identifier is the lower half of the try's number, its sequence number the upper."""
        sock = self._pings.get(namespace)
        if sock is None:
            sock = self._pings[namespace] = self.stack.enter_context(
                socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            )
            sock.setblocking(False)
            self.selector.register(sock, selectors.EVENT_READ, self._hear_pings)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:  # tells which source a packet would have
            if asker.connect_ex((address, 9)) == 0:
                one.source, _ = _own_end(asker)
        identifier, sequence = one.number & 0xFFFF, one.number >> 16 & 0xFFFF
        one.source_port = identifier
        header = _ICMP_HEADER.pack(_ECHO_REQUEST, 0, 0, identifier, sequence)
        sock.sendto(_ICMP_HEADER.pack(_ECHO_REQUEST, 0, _checksum(header), identifier, sequence), (address, 0))

    # --- waiting ---

    def _wait(self, tries: Iterable[_Try], patience_s: float) -> None:
        end = time.monotonic() + patience_s
        left = {one.number for one in tries if one.outcome is None}
        while left and (rest := end - time.monotonic()) > 0:
            for key, _ in self.selector.select(rest):
                if isinstance(key.data, _Try):
                    self._hear(key.data)
                else:
                    key.data(key.fileobj)
            left = {number for number in left if self._waiting[number].outcome is None}

    def _hear_pings(self, sock: object) -> None:
        assert isinstance(sock, socket.socket)
        try:
            while True:
                data = sock.recv(2048)
                kind, _, _, identifier, sequence = _ICMP_HEADER.unpack_from(data, (data[0] & 15) * 4)
                one = self._waiting.get(sequence << 16 | identifier)
                if kind == _ECHO_REPLY and one is not None:
                    self._settle(one, connected=True)
        except OSError:
            return

    def _hear(self, one: _Try) -> None:
        assert one.sock is not None
        if one.target.probe.protocol == UDP:
            self._hear_echo(one)
            return
        code = one.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._settle(one, connected=False, word=os.strerror(code))
        elif not one.asked:
            one.asked = True
            self.selector.modify(one.sock, selectors.EVENT_READ, one)
            try:
                one.sock.send(str(one.number).encode())
            except OSError as error:  # ended by the other side meanwhile
                self._settle(one, connected=False, word=error.strerror or "")
        else:
            self._hear_echo(one)

    def _hear_echo(self, one: _Try) -> None:
        assert one.sock is not None
        try:
            self._settle(one, connected=one.sock.recv(64) == str(one.number).encode())
        except OSError as error:
            self._settle(one, connected=False, word=error.strerror or "")

    def accept(self, listener: object) -> None:
        """Takes connections, and sends back what comes by them until they end."""
        assert isinstance(listener, socket.socket)
        try:
            while True:
                connection, _ = listener.accept()
                connection.setblocking(False)
                self.selector.register(connection, selectors.EVENT_READ, self._serve)
        except OSError:
            return  # nobody else is waiting

    def _serve(self, connection: object) -> None:
        assert isinstance(connection, socket.socket)
        try:
            data = connection.recv(64)
            if data:
                connection.send(data)
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.selector.unregister(connection)
        connection.close()

    def _settle(self, one: _Try, *, connected: bool, word: str = "") -> None:
        if one.outcome is None:
            one.outcome = Outcome(connected, one.source, one.source_port, word)
            if one.sock is not None and one.sock.fileno() >= 0 and one.sock in self.selector.get_map():
                self.selector.unregister(one.sock)

    def _end(self, one: _Try) -> Outcome:
        self._settle(one, connected=False, word="no answer")
        del self._waiting[one.number]
        if one.sock is not None:
            one.sock.close()
        assert one.outcome is not None
        return one.outcome


def _allow_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard), hard))


def _own_end(sock: socket.socket) -> tuple[Address | None, int]:
    host, port = sock.getsockname()
    return (None, port) if host == "0.0.0.0" else (parse_address(host), port)  # noqa: S104


def _echo(server: object) -> None:
    assert isinstance(server, socket.socket)
    try:
        while True:
            data, peer = server.recvfrom(64)
            server.sendto(data, peer)
    except OSError:
        return


def _checksum(data: bytes) -> int:
    total = sum(int.from_bytes(data[place : place + 2], "big") for place in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
