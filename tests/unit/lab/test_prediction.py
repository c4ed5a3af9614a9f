"""Conversations across nodes, over snapshots made by hand: from wire to wire, there and back."""

from __future__ import annotations

import pytest

from tests import node_builder
from tests.unit.lab import laboratory
from tortie.lab.prediction import Predictor, Turn
from tortie.lab.probe import Outcome
from tortie.lab.verify import pod_interfaces
from tortie.net.address import parse_address
from tortie.net.protocol import TCP
from tortie.netfilter.conntrack import ConnEntry, ConnTuple
from tortie.simulator.walk import Node

TOPOLOGY = laboratory.topology()
STATIONS = laboratory.stations(TOPOLOGY)
INTERFACES = pod_interfaces(STATIONS.values())
WEB, NEAR, FAR = (INTERFACES[f"shop/{name}"] for name in ("web", "near", "far"))
DEFAULT = "0.0.0.0/0 via 10.10.0.254 dev eth0"
N1 = f"10.65.0.1/32 dev {WEB}; 10.65.0.2/32 dev {NEAR}; 10.65.1.0/24 via 10.10.0.2 dev eth0; {DEFAULT}"
N2 = f"10.65.1.1/32 dev {FAR}; 10.65.0.0/24 via 10.10.0.1 dev eth0; {DEFAULT}"
ROUTER = "10.65.0.0/24 via 10.10.0.1 dev eth0; 10.65.1.0/24 via 10.10.0.2 dev eth0"
OPEN = node_builder.EMPTY


def predictor(
    rules: str = OPEN,
    *,
    n2: str = N2,
    router: str = ROUTER,
    connections: tuple[ConnEntry, ...] = (),
) -> Predictor:
    nodes: dict[str, Node] = {
        "n1": node_builder.node(rules, links=f"eth0 10.10.0.1/24; {WEB}; {NEAR}", routes=N1, connections=connections),
        "n2": node_builder.node(links=f"eth0 10.10.0.2/24; {FAR}", routes=n2),
        "router": node_builder.node(links="eth0 10.10.0.254/24; eth1 192.0.2.254/24", routes=router),
    }
    pods = {(one.node, INTERFACES[name]): one for name, one in STATIONS.items() if name in INTERFACES}
    return Predictor(TOPOLOGY, nodes, tuple(STATIONS.values()), pods, {"fabric": "eth0", "outside": "eth1"})


def predicted(made: Predictor, source: str, name: str, probe: str = "tcp/80", *, port: int = 40000) -> str:
    station = STATIONS[source]
    outcome = Outcome(False, station.address, port)
    found = made.predict(station, laboratory.target(TOPOLOGY, name, probe), outcome)
    word = {True: "yes", False: "no", None: "unknown"}[found.connects]
    return f"{word}: {found.why}"


@pytest.mark.parametrize("probe", ["tcp/80", "icmp"])
@pytest.mark.parametrize(
    ("source", "name"),
    [
        *(("shop/near", "shop/web"), ("shop/far", "shop/web"), ("shop/web", "shop/far"), ("n1", "shop/web")),
        *(("n2", "shop/web"), ("n1", "n2"), ("office", "n1"), ("office", "shop/web"), ("shop/web", "office")),
    ],
)
def test_open_nodes_let_everything_through(source: str, name: str, probe: str) -> None:
    assert predicted(predictor(), source, name, probe) == "yes: both directions get through"


def drop(chain: str, match: str) -> str:
    return OPEN.replace("COMMIT", f"-A {chain} {match} -j DROP\nCOMMIT")


CLOSED: dict[str, tuple[str, Turn]] = {
    "the question": (drop("FORWARD", f"-o {WEB} -p tcp --dport 80"), Turn.QUESTION),
    "the answer": (drop("FORWARD", f"-i {WEB} -p tcp --sport 80"), Turn.ANSWER),
    "what follows the answer": (drop("FORWARD", "-p tcp --dport 80 -m conntrack --ctstate ESTABLISHED"), Turn.NEXT),
}


@pytest.mark.parametrize(("rules", "turn"), CLOSED.values(), ids=CLOSED)
def test_one_packet_that_is_dropped_is_enough(rules: str, turn: Turn) -> None:
    target = laboratory.target(TOPOLOGY, "shop/web", "tcp/80")
    found = predictor(rules).predict(STATIONS["shop/far"], target, Outcome(False, None, 40000), with_hops=True)
    assert (found.connects, found.node, found.hops[-1].turn) == (False, "n1", turn)
    assert found.why.startswith("n1: ")
    assert found.trace == found.hops[-1].walk.trace


def test_a_rule_that_cannot_be_read_makes_the_answer_unknown() -> None:
    found = predicted(
        predictor(OPEN.replace("COMMIT", "-A FORWARD -m nobody --knows it -j DROP\nCOMMIT")), "shop/far", "shop/web"
    )
    assert found.startswith("unknown: not known at n1: ")


def test_a_node_without_a_way_back() -> None:
    found = predicted(predictor(n2=N2.partition(";")[0]), "shop/web", "shop/far")
    assert found.startswith("no: n2: ")


def test_a_packet_for_nobody() -> None:
    lost = N2.replace("via 10.10.0.1 ", "via 10.10.0.77 ")
    assert predicted(predictor(n2=lost), "shop/far", "shop/web") == "no: nobody has the next hop's address"


def test_a_packet_that_goes_round_and_round() -> None:
    around = predictor(n2=N2.replace("10.65.1.1/32 dev", "10.65.9.9/32 dev").replace("0.0.0.0/0", "10.65.1.1/32"))
    assert predicted(around, "shop/web", "shop/far") == "no: still under way after 8 nodes"


NAT = """*nat
:PREROUTING ACCEPT
:POSTROUTING ACCEPT
-A PREROUTING -d 10.10.0.1 -p tcp --dport 30080 -j DNAT --to-destination 10.65.0.1:80
-A PREROUTING -d 10.67.0.10 -j DNAT --to-destination 10.65.0.1
-A POSTROUTING -s 10.65.0.0/16 ! -d 10.65.0.0/16 -o eth0 -j MASQUERADE
COMMIT
"""


def test_services_floating_addresses_and_masquerading() -> None:
    made = predictor(OPEN + NAT, router=f"{ROUTER}; 10.67.0.10/32 via 10.10.0.1 dev eth0")
    for source, name, probe in (
        ("office", "web@n1", "tcp/30080"),
        ("office", "shop/web (10.67.0.10)", "tcp/80"),
        ("shop/web", "office", "tcp/80"),
    ):
        assert predicted(made, source, name, probe) == "yes: both directions get through"
    hidden = predictor(OPEN + NAT, router="")
    assert predicted(hidden, "shop/web", "office") == "yes: both directions get through"
    assert predicted(predictor(router=""), "shop/web", "office").startswith("no: router: ")


def test_walks_are_kept_where_they_are_wanted() -> None:
    station, target = STATIONS["shop/far"], laboratory.target(TOPOLOGY, "shop/web", "tcp/80")
    outcome = Outcome(True, station.address, 40000)
    found = predictor().predict(station, target, outcome, with_hops=True)
    assert [(hop.turn, hop.node) for hop in found.hops] == [
        *((Turn.QUESTION, "n2"), (Turn.QUESTION, "n1"), (Turn.ANSWER, "n1"), (Turn.ANSWER, "n2")),
        *((Turn.NEXT, "n2"), (Turn.NEXT, "n1")),
    ]
    assert predictor().predict(station, target, outcome).hops == ()


def test_connections_of_before_are_met_by_their_own_port_alone() -> None:
    """A connection that was let in before the rules closed goes on; a new one does not."""
    rules = OPEN.replace(
        "COMMIT", f"-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT\n-A FORWARD -o {WEB} -j DROP\nCOMMIT"
    )
    source, destination = parse_address("10.65.1.1").value, parse_address("10.65.0.1").value
    family = STATIONS["n1"].address.family
    original = ConnTuple(family, TCP, source, destination, 40000, 80)
    reply = ConnTuple(family, TCP, destination, source, 80, 40000)
    entry = ConnEntry(original, reply, seen_reply=True, assured=True, state="ESTABLISHED", timeout_s=100)
    made = predictor(rules, connections=(entry,))
    assert [entry.original.src_key for entry in made._met("n1", 40000)] == [40000]
    assert made._met("n1", 40001) == []
    assert predicted(made, "shop/far", "shop/web", port=40001).startswith("no: n1: ")


def test_the_identifier_of_an_echo_request_is_its_port() -> None:
    station, target = STATIONS["shop/far"], laboratory.target(TOPOLOGY, "shop/web", "icmp")
    found = predictor().predict(station, target, Outcome(True, station.address, 777), with_hops=True)
    assert found.hops[0].walk.trace.packet.icmp_rest >> 16 == 777
