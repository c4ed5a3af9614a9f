"""Rules made ready: long runs of rules that ask for one value of a field become a switch, and nothing changes by it."""

from __future__ import annotations

import pytest

from tests.node_builder import V4, node, packet, walk_packet
from tortie.netfilter.hook import Hook, TableName
from tortie.simulator.compiled import SHORTEST_RUN, CompiledChain, CompiledTable, Switch
from tortie.simulator.walk import Arrival, Node, walk

RUN = "\n".join(f"-A FORWARD -i e{number} -j c{number}" for number in range(4))
CHAINS = "\n".join(f":c{number} -" for number in range(4))


def compiled(made: Node) -> CompiledChain:
    """The compiled FORWARD chain, found where the walk finds it."""
    family = made.family(V4)
    table = next(one for one in made.snapshot.rulesets if one.family is V4).tables[TableName.FILTER]
    return CompiledTable(made.snapshot.rulesets[0].backend, V4, table, made.snapshot, family.router).bases[Hook.FORWARD]


SHORTENED = {
    "a run of interfaces": (RUN, [Switch]),
    "a run too short": ("\n".join(RUN.splitlines()[: SHORTEST_RUN - 1]), [object] * (SHORTEST_RUN - 1)),
    "a rule in the middle asks for nothing": (f"{RUN}\n-A FORWARD -j ACCEPT\n{RUN}", [Switch, object, Switch]),
    "prefixes and negations are no single value": (
        "\n".join(f"-A FORWARD {word} -j ACCEPT" for word in ("-i e+", "! -i e0", "-s 10.0.0.0/8", "! -d 1.1.1.1/32")),
        [object] * 4,
    ),
    "addresses": ("\n".join(f"-A FORWARD -d 10.1.0.{n}/32 -j ACCEPT" for n in range(5)), [Switch]),
}


@pytest.mark.parametrize("name", SHORTENED)
def test_where_switches_stand(name: str) -> None:
    rules, expected = SHORTENED[name]
    made = node(f"*filter\n:FORWARD ACCEPT\n{CHAINS}\n{rules}")
    found = compiled(made).quick_rules()
    assert [isinstance(one, Switch) for one in found] == [kind is Switch for kind in expected]


def test_a_switch_walks_every_rule_that_fits_in_order() -> None:
    rules = f"{RUN}\n-A FORWARD -i e1 -j ACCEPT\n-A FORWARD -i e1 -j DROP"
    made = node(f"*filter\n:FORWARD DROP\n{CHAINS}\n{rules}")
    for device, number in (("e1", 5), ("e2", None)):
        sent = packet("udp", "10.9.0.5:1", "10.3.0.9:2")
        for keep in (True, False):
            walked = walk(made, Arrival(sent, device), keep_steps=keep)
            assert walked.trace.decided_by.number == number


def test_a_chain_is_compiled_when_it_is_first_entered() -> None:
    made = node(f"*filter\n:FORWARD ACCEPT\n{CHAINS}\n{RUN}\n-A c0 -p udp -j ACCEPT\n-A c1 -p udp -j ACCEPT")
    chain = compiled(made)
    assert chain.compiled is None
    chain.rules()
    assert chain.table.chains["c0"].compiled is None
    walk_packet(made, packet("udp", "10.0.0.5:1", "10.1.0.9:2"))


def test_rules_that_test_the_same_have_memories_of_their_own() -> None:
    nth = "-m statistic --mode nth --every 2 --packet 0"
    made = node(f"*filter\n:FORWARD ACCEPT\n-A FORWARD {nth} -m mark --mark 0x1\n-A FORWARD {nth}\n")
    session = made.session()
    session.memory = {("filter", "FORWARD", 1, 0): 1, ("filter", "FORWARD", 2, 0): 0}
    walk(made, Arrival(packet("udp", "10.0.0.5:1", "10.1.0.9:2"), "e0"), session)
    assert session.memory == {("filter", "FORWARD", 1, 0): 0, ("filter", "FORWARD", 2, 0): 1}
