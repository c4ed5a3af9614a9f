"""Pods that talk while something is done to the agent: what is allowed must arrive, what is not must never."""

from __future__ import annotations

import random
import socket
import threading
import time
from contextlib import suppress

from tests.kernel.agent_node import AgentNode, allow_from, udp_socket

CLOSED = """\
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: closed, namespace: prod}
spec: {selector: app == 'a', types: [Ingress]}
"""
"""Lets pod a hear only what belongs to a conversation that it began."""


class Conversation:
    """Pod a asks pod b and b answers, again and again; pod c tries the same and must never be heard.

    Beside that a has asked b once for a stream, before all else. With `CLOSED` it comes through as long as the kernel knows
    that a began it: whoever makes the kernel forget ends it for good.
    """

    def __init__(self, node: AgentNode) -> None:
        self._asking = udp_socket(node.pods["a"], "10.65.0.2", 6000)
        self._streamed = udp_socket(node.pods["a"], "10.65.0.2", 6001)
        self._answering = udp_socket(node.pods["b"], "10.65.0.3", 7000)
        self._forbidden = udp_socket(node.pods["c"], "10.65.0.4", 6000)
        self.asked = self.answered = self.intruded = self.streamed = self.received = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._talk)

    def __enter__(self) -> Conversation:
        self._send(self._streamed)
        time.sleep(0.2)
        assert self._receive(self._answering) == ("10.65.0.2", 6001)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for one in (self._asking, self._streamed, self._answering, self._forbidden):
            one.close()

    def _talk(self) -> None:
        while not self._stop.is_set():
            self._send(self._asking)
            self.asked += 1
            self._send(self._forbidden)
            with suppress(OSError):
                self._answering.sendto(b"z", ("10.65.0.2", 6001))
            self.streamed += 1
            time.sleep(0.004)
            self._hear()
        time.sleep(0.05)
        self._hear()

    def _send(self, one: socket.socket) -> None:
        with suppress(OSError):
            one.sendto(b"x", ("10.65.0.3", 7000))

    def _hear(self) -> None:
        while (heard := self._receive(self._answering)) is not None:
            if heard[0] == "10.65.0.4":
                self.intruded += 1
            else:
                self._answering.sendto(b"y", heard)
        time.sleep(0.001)
        while self._receive(self._asking) is not None:
            self.answered += 1
        while self._receive(self._streamed) is not None:
            self.received += 1

    @staticmethod
    def _receive(one: socket.socket) -> tuple[str, int] | None:
        try:
            address, port = one.recvfrom(10)[1]
        except BlockingIOError:
            return None
        return str(address), int(port)


def kill_again_and_again(node: AgentNode, draw: random.Random, rounds: int) -> None:
    """Policy changes, and the agent dies by SIGKILL in the midst of it, or ends; no packet may be lost or let through."""
    node.write("closed.yaml", CLOSED)
    node.start()
    node.until(node.is_ready)
    with Conversation(node) as talk:
        for number in range(rounds):
            node.write("policy.yaml", allow_from("p", "a", "b", 7000), allow_from(f"q{number}", "b", "c", 80 + number))
            time.sleep(draw.uniform(0.05, 0.6))
            node.kill()
            node.start()
            time.sleep(draw.uniform(0.4, 1.2))
            if number % 4 == 1:
                node.kill()
                node.start()
            if number % 4 == 3:
                node.until(node.is_ready)
                assert node.end() == 0
                node.start()
        node.until(node.is_ready)
        node.write("policy.yaml", allow_from("p", "a", "b", 7000))
        time.sleep(0.5)
    assert talk.asked > 100 * rounds
    assert (talk.answered, talk.received, talk.intruded) == (talk.asked, talk.streamed, 0)
