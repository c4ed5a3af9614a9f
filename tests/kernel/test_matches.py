"""Every match, and every target that lets the rules go on, asked of the real kernel by its counters.

`python -m tests.kernel.test_matches` writes what this kernel answers below tests/recorded, where the same cases are
replayed without a kernel.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator

import pytest

from tests.cases.match_case import RECORDED, Case, Result, simulate, to_record
from tests.cases.matches import CASES, v4
from tests.kernel.oracle.node import KernelNode
from tests.kernel.oracle.outcome import Origin
from tests.kernel.scenario import Given, Interface, Topology
from tests.match_builder import Question
from tortie.net.wire import format_packet
from tortie.netfilter.hook import Backend
from tortie.simulator.answer import Doubt

TOPOLOGY = Topology(
    (Interface("e0", ("10.0.0.1/24", "fd00::1/64")), Interface("e1", ("10.1.0.1/24", "fd00:1::1/64"))),
)
HEAD = "*mangle\n:PREROUTING ACCEPT\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\n"
COUNTED = re.compile(r"^\[(\d+):\d+\] -A (?:PREROUTING|FORWARD)\b", re.MULTILINE)


def ask(node: KernelNode, case: Case) -> list[Result]:
    """What the kernel does with the packets of a case."""
    rules = "".join(f"-A {case.hook.value} {rule}\n" for rule in case.rules)
    node.prepare({case.family: f"{HEAD}{rules}COMMIT\n"}, case.sets)
    results = []
    before = [0] * len(case.rules)
    for iface, packet in case.shots:
        outcome = node.inject(Given(format_packet(packet), iface))
        after = [int(count) for count in COUNTED.findall(node.save(case.family, node.backend, counters=True))]
        hits = tuple(number for number, (old, new) in enumerate(zip(before, after, strict=True), 1) if new > old)
        left = [one.data for one in outcome.departures if one.origin is Origin.INJECTED]
        results.append(Result(hits, left[0] if left else None))
        before = after
    node.clear()
    return results


@pytest.fixture(scope="module", params=Backend, ids=lambda backend: backend.value)
def node(request: pytest.FixtureRequest) -> Iterator[KernelNode]:
    made = node_of(request.param)
    yield made
    made.close()


def node_of(backend: Backend) -> KernelNode:
    made = KernelNode(TOPOLOGY, backend)
    made.namespace.write_sysctls((f"net/ipv4/conf/{name}/rp_filter", "0") for name in ("e0", "e1"))
    return made


def _cases(backend: Backend) -> list[Case]:
    return [case for case in CASES if backend in case.backends]


def test_kernel_and_simulator_agree_on_every_case(node: KernelNode) -> None:
    different = {}
    for case in _cases(node.backend):
        kernel, simulated = ask(node, case), simulate(case, node.backend)
        if kernel != simulated:
            different[case.name] = [
                (number, str(packet), a, b)
                for number, ((_, packet), a, b) in enumerate(zip(case.shots, kernel, simulated, strict=True))
                if a != b
            ]
    assert different == {}


def test_nft_tests_two_inverted_ports_as_a_pair_or_one_by_one(node: KernelNode) -> None:
    ends = [(53, 80), (53, 81), (54, 80), (54, 81)]
    packets = tuple(v4(sport=sport, dport=dport) for sport, dport in ends)
    rule = "-p udp -m udp ! --sport 53 ! --dport 80"
    hits = [bool(result.hits) for result in ask(node, Case("pair", (rule,), packets))]
    question = Question(rule, backend=node.backend)
    answers = [question.ask(packet) for packet in packets]
    if node.backend is Backend.LEGACY:
        assert answers == hits == [False, False, False, True]
    else:
        assert hits in ([False, True, True, True], [False, False, False, True])
        assert [answers[0], answers[3]] == [False, True]
        assert all(isinstance(answer, Doubt) for answer in answers[1:3])


def record() -> None:
    """Writes this kernel's answers down."""
    release = ".".join(os.uname().release.split(".")[:2])
    answers: dict[str, dict[str, object]] = {}
    for backend in Backend:
        node = node_of(backend)
        for case in _cases(backend):
            answers.setdefault(case.name, {})[backend.value] = to_record(case, ask(node, case))
        node.close()
    path = RECORDED / release / "matches.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(rows)}" for name, rows in sorted(answers.items()))
    path.write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    record()
