"""The packets that tell Tortie from Felix 3.7.5, sent to a real kernel that holds the one rendering or the other.

What the page (docs/felix-differences.md) says of packets is shown here, with both back-ends; that Felix writes what the
tools refuse is shown too, for the rows whose text the renderer makes in no mode. The others are in `test_render`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from tests.felix_difference import CASES, HOST_ADDRESS, SERVICE_ADDRESS, Case, Trial
from tests.kernel.oracle.node import KernelNode
from tests.kernel.oracle.outcome import Origin, Outcome
from tests.kernel.recipe import Memory, make
from tests.kernel.scenario import Answer, Given, Interface, Topology
from tortie.cli.rendered_text import restore_text
from tortie.codec.ipset import format_ipset_save
from tortie.net.address import IPFamily, parse_address
from tortie.net.wire import format_packet
from tortie.netfilter.hook import Backend
from tortie.render.ruleset import Rendering, render_node
from tortie.render.state import NodeInterface, NodeState

V4 = IPFamily.V4
BACKENDS = pytest.mark.parametrize("backend", Backend, ids=lambda backend: backend.value)


def topology(case: Case) -> Topology:
    """A TUN device for each interface; what no pod has goes out by eth0."""
    names = dict.fromkeys((*case.hosts, *case.routes.values()))
    own = (f"{HOST_ADDRESS}/32", f"{SERVICE_ADDRESS}/32")
    interfaces = tuple(Interface(name, own if name == "eth0" else ()) for name in names)
    routes = [f"route add {net} dev {name} scope link" for net, name in case.routes.items()]
    return Topology(interfaces, {V4: (*routes, "route add default dev eth0 scope link")})


def rendered(case: Case, *, felix_exact: bool) -> Rendering:
    addresses = frozenset({parse_address(HOST_ADDRESS)})
    interfaces = tuple(NodeInterface(name, addresses if name == "eth0" else frozenset()) for name in case.hosts)
    config = case.config(felix_exact=felix_exact)
    return render_node(case.node_view(felix_exact=felix_exact), NodeState(interfaces, ipvs=case.ipvs), config)


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def node(case: Case, backend: Backend) -> Iterator[KernelNode]:
    made = KernelNode(topology(case), backend)
    yield made
    made.close()


@BACKENDS
def test_packets_get_through_as_the_page_says(node: KernelNode, case: Case, backend: Backend) -> None:
    for felix_exact in (True, False):
        made = rendered(case, felix_exact=felix_exact).families[V4]
        node.prepare({V4: restore_text(made)}, format_ipset_save(made.ip_sets))
        for trial in case.trials:
            assert gets_through(node, trial) is trial.gets_through(felix_exact=felix_exact), (trial, felix_exact)
        node.clear()


def gets_through(node: KernelNode, trial: Trial) -> bool:
    """Whether a packet, or its answer, leaves the node or reaches a socket."""
    given = Given(format_packet(structs.replace(trial.packet, identification=1)), trial.in_iface)
    outcome = node.inject(given)
    if trial.answer_by is None:
        return arrived(outcome)
    assert arrived(outcome)
    memory = Memory()
    memory.keep(1, given, outcome)
    answer = make(Answer(1, in_iface=trial.answer_by), memory)
    assert answer is not None
    return arrived(node.inject(answer))


def arrived(outcome: Outcome) -> bool:
    return bool(outcome.sent) or any(one.origin is Origin.INJECTED for one in outcome.delivered)


# --- what Felix would write, and no tool takes --------------------------------------------------------------------

FELIX_WORDS = {
    "a prefix of 15 letters": "filter cali-x --in-interface fifteen-letters+ --jump DROP",
    "an IPv6 metadata address": (
        "nat cali-x -p tcp -m multiport --destination-ports 80 --destination 169.254.169.254/32 "
        "--jump DNAT --to-destination fd00::1:8775"
    ),
    "a VNI outside 32 bits": (
        'filter cali-x -p 17 -m multiport --destination-ports 4789 -m u32 --u32 "0>>22&0x3C@12>>8=0x1ffffffff" --jump DROP'
    ),
    "a log prefix of two lines": 'filter cali-x --jump LOG --log-prefix "a\nb: " --log-level 5',
}


def load(text: str, command: str, lock: Path) -> int:
    done = subprocess.run(
        ["unshare", "--net", *command.split()],
        input=text,
        text=True,
        env={**os.environ, "XTABLES_LOCKFILE": str(lock)},
        capture_output=True,
        check=False,
    )
    return done.returncode


@BACKENDS
@pytest.mark.parametrize("words", FELIX_WORDS.values(), ids=FELIX_WORDS)
def test_rules_that_no_tool_takes(words: str, backend: Backend, tmp_path: Path) -> None:
    table, chain, rest = words.split(" ", 2)
    command = f"iptables-{backend.value}-restore --noflush"
    assert load(f"*{table}\n:{chain} - -\n-A {chain} {rest}\nCOMMIT\n", command, tmp_path / "lock") != 0
    assert load(f"*{table}\n:{chain} - -\nCOMMIT\n", command, tmp_path / "lock") == 0


@pytest.mark.parametrize(("size", "taken"), [(-1, False), (2**32, False), (1, True), (2**32 - 1, True)])
def test_sizes_of_sets(size: int, taken: bool, tmp_path: Path) -> None:
    text = f"create cali40s:x hash:net family inet maxelem {size}\n"
    assert (load(text, "ipset restore", tmp_path / "lock") == 0) is taken
