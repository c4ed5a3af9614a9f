"""What is worked out depends on what there is, never on how it came to be so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.calc_builder import HERE, allow_from, allow_to_port, host_endpoint, network_set, policy, workload
from tests.state_sequence import EMPTY, EXPANSIONS, Expansion, State, run_and_check
from tortie.model import v1
from tortie.model.read import Key
from tortie.net.address import parse_address, parse_prefix


def state(name: str, config: dict[str, str] | None = None, **values: v1.Value) -> State:
    """A state; each value has a key of its own, which is the same in every state."""
    return State(name, {Key("any", "", key): value for key, value in values.items()}, config or {})


def but(other: State, name: str, **values: v1.Value | None) -> State:
    """Another state with some values changed, or with None gone."""
    kept = dict(other.values)
    for key, value in values.items():
        if value is None:
            del kept[Key("any", "", key)]
        else:
            kept[Key("any", "", key)] = value
    return State(name, kept, other.config)


WEB = workload("web", "10.0.0.1 fd00::1", labels={"app": "web"}, profiles=("kns.ns",), ports="http:tcp:80")
CLIENT = workload("client", "10.0.0.2", "elsewhere", labels={"app": "client"}, profiles=("kns.ns",), ports="http:tcp:81")
TEAM = v1.Profile("kns.ns", {"pcns.team": "red"}, inbound=(v1.Rule("allow"),))
FROM_CLIENTS = policy("from-clients", "app == 'web'", allow_from("app == 'client'"))
FROM_TEAM = policy("from-team", "has(app)", allow_from("pcns.team == 'red'"), order=5)
TO_HTTP = policy("to-http", "all()", allow_to_port("http"))

PODS = state("two pods", web=WEB, client=CLIENT, team=TEAM)
ONE_POLICY = but(PODS, "a policy", p=FROM_CLIENTS)
TWO_POLICIES = but(ONE_POLICY, "two policies", q=FROM_TEAM)
ALL = but(TWO_POLICIES, "three policies", r=TO_HTTP)
HOST = state("a host endpoint", h=host_endpoint("eth0", "172.16.0.1"), p=policy("all", "all()", apply_on_forward=True))

SET_A, SET_B = network_set("a", "10.0.0.2/32 10.1.0.0/16", app="client"), network_set("b", "10.1.0.0/16", app="client")
TUNNELS = state(
    "tunnels",
    {"VXLANEnabled": "true"},
    pool=v1.Pool(parse_prefix("10.0.0.0/16"), vxlan_mode="always", masquerade=True),
    here=v1.Host(HERE, parse_address("172.16.0.1"), vxlan_address=parse_address("10.0.1.0")),
    there=v1.Host("there", parse_address("172.16.0.2"), vxlan_address=parse_address("10.0.2.0")),
    block=v1.Block(parse_prefix("10.0.2.0/26"), "there"),
    borrowed=v1.Block(parse_prefix("10.0.1.0/26"), HERE, ((parse_address("10.0.1.7"), "there"),)),
)
THERE = TUNNELS.values[Key("any", "", "there")]

FOUR = {name: workload(name, "10.0.0.2", "there", labels={"app": "client"}) for name in ("a", "b", "c", "d")}
CLIENT_PORTS = policy("ports", "all()", allow_to_port("http", "tcp", "app == 'client'"))

SEQUENCES: dict[str, list[State]] = {
    "pods and policies come": [EMPTY, PODS, ONE_POLICY, TWO_POLICIES, ALL],
    "a policy goes before its endpoint": [ALL, but(ALL, "q gone", q=None), but(ALL, "q and web gone", q=None, web=None)],
    "an endpoint goes before its policy": [ALL, but(ALL, "web gone", web=None), but(ALL, "both gone", web=None, p=None)],
    "a set goes while others use its members": [
        but(TWO_POLICIES, "with p twice", r=replace(FROM_CLIENTS, name="again")),
        but(TWO_POLICIES, "p gone", p=None, r=replace(FROM_CLIENTS, name="again")),
        but(TWO_POLICIES, "both gone", p=None),
        but(TWO_POLICIES, "q gone too", p=None, q=None),
        TWO_POLICIES,
    ],
    "two share an address": [
        but(ONE_POLICY, "shared", twin=workload("twin", "10.0.0.2", "third", labels={"app": "client"})),
        but(ONE_POLICY, "first gone", client=None, twin=workload("twin", "10.0.0.2", "third", labels={"app": "client"})),
        but(ONE_POLICY, "other", client=None, twin=workload("twin", "10.0.0.3", "third", labels={"app": "client"})),
        but(ONE_POLICY, "no client", client=None),
    ],
    "four share an address": [
        state("four", web=WEB, p=FROM_CLIENTS, **FOUR),
        state("three", web=WEB, p=FROM_CLIENTS, **{key: FOUR[key] for key in ("a", "b", "c")}),
        state("two", web=WEB, p=FROM_CLIENTS, **{key: FOUR[key] for key in ("b", "c")}),
        state("one", web=WEB, p=FROM_CLIENTS, **{key: FOUR[key] for key in ("c",)}),
        state("none", web=WEB, p=FROM_CLIENTS),
    ],
    "two sets of one selector": [
        but(PODS, "addresses", p=FROM_CLIENTS),
        but(PODS, "ports too", p=FROM_CLIENTS, q=CLIENT_PORTS),
        but(PODS, "ports", q=CLIENT_PORTS),
        but(PODS, "moved", client=replace(CLIENT, labels={}), q=CLIENT_PORTS),
        but(PODS, "neither"),
    ],
    "network sets overlap with each other and with a pod": [
        but(ONE_POLICY, "a", a=SET_A),
        but(ONE_POLICY, "a and b", a=SET_A, b=SET_B),
        but(ONE_POLICY, "b", b=SET_B, client=None),
        but(ONE_POLICY, "b relabelled", b=replace(SET_B, labels={"app": "other"}), client=None),
        but(ONE_POLICY, "everything", b=network_set("b", "0.0.0.0/0 ::/0", app="client")),
    ],
    "a pod moves": [
        ALL,
        but(ALL, "moved here", client=replace(CLIENT, node=HERE)),
        but(ALL, "moved away", web=replace(WEB, node="x")),
    ],
    "a pod changes its labels": [
        ALL,
        but(ALL, "no more a client", client=replace(CLIENT, labels={})),
        but(ALL, "no more selected", web=replace(WEB, labels={"app": "client"})),
        but(ALL, "its own team", client=replace(CLIENT, labels={"app": "client", "pcns.team": "blue"})),
    ],
    "a pod changes its addresses and ports": [
        ALL,
        but(ALL, "another", client=replace(CLIENT, networks=(parse_prefix("10.0.0.9/32"), parse_prefix("fd00::9/128")))),
        but(ALL, "swapped", client=replace(CLIENT, networks=WEB.networks), web=replace(WEB, networks=CLIENT.networks)),
        but(ALL, "two ports", web=replace(WEB, ports=(*WEB.ports, *CLIENT.ports))),
        but(ALL, "no ports", web=replace(WEB, ports=()), client=replace(CLIENT, ports=())),
    ],
    "a profile changes": [
        ALL,
        but(ALL, "other labels", team=replace(TEAM, labels={"pcns.team": "blue"})),
        but(ALL, "no labels", team=replace(TEAM, labels={})),
        but(ALL, "with a set", team=replace(TEAM, inbound=(allow_from("app == 'client'"),))),
        but(ALL, "with a wrong rule", team=replace(TEAM, inbound=(v1.Rule("allow", protocol=0),))),
        but(ALL, "missing", team=None),
        but(ALL, "not listed", web=replace(WEB, profiles=()), client=replace(CLIENT, profiles=())),
        but(ALL, "listed twice", web=replace(WEB, profiles=("kns.ns", "other", "kns.ns"))),
    ],
    "a policy changes": [
        ALL,
        but(ALL, "other rules", p=replace(FROM_CLIENTS, inbound=(allow_from("has(app)"),))),
        but(ALL, "other order", p=replace(FROM_CLIENTS, order=1.0)),
        but(ALL, "other direction", p=replace(FROM_CLIENTS, egress=False)),
        but(ALL, "other selector", p=policy("from-clients", "app == 'client'", allow_from("app == 'client'"))),
        but(ALL, "selects nothing", p=policy("from-clients", "has(none)", allow_from("app == 'client'"))),
        but(ALL, "wrong", p=replace(FROM_CLIENTS, inbound=(v1.Rule("allow", protocol=0),))),
        but(ALL, "another name", p=replace(FROM_CLIENTS, name="renamed")),
    ],
    "a host endpoint in all tiers": [
        HOST,
        but(HOST, "untracked", p=policy("all", "all()", untracked=True)),
        but(HOST, "before translation", p=policy("all", "all()", pre_dnat=True)),
        but(HOST, "elsewhere", h=host_endpoint("eth0", "172.16.0.1", "elsewhere")),
        but(HOST, "unusable", h=host_endpoint("eth0", interface="no good")),
        but(HOST, "gone", h=None),
    ],
    "tunnels": [
        TUNNELS,
        but(TUNNELS, "without a tunnel", there=replace(THERE, vxlan_address=None)),
        but(TUNNELS, "with another", there=replace(THERE, vxlan_address=parse_address("10.0.2.1"))),
        but(TUNNELS, "gone", there=None),
        but(TUNNELS, "no pool", pool=None),
        but(TUNNELS, "ours", block=v1.Block(parse_prefix("10.0.2.0/26"), HERE)),
        but(TUNNELS, "returned", borrowed=v1.Block(parse_prefix("10.0.1.0/26"), HERE)),
        replace(TUNNELS, name="off", config={}),
    ],
    "blocks that overlap": [
        TUNNELS,
        but(TUNNELS, "inside", inner=v1.Block(parse_prefix("10.0.1.7/32"), "third"), third=replace(THERE, name="third")),
        but(TUNNELS, "inside and gone", inner=v1.Block(parse_prefix("10.0.1.7/32"), "third")),
    ],
    "a resource comes to mean another": [
        state("a policy", x=FROM_CLIENTS, y=v1.Pool(parse_prefix("10.0.0.0/16")), web=WEB),
        state("another", x=FROM_TEAM, y=v1.Pool(parse_prefix("10.1.0.0/16")), web=WEB),
        state("one by one", x=FROM_TEAM, y=v1.Pool(parse_prefix("10.1.0.0/16")), web=replace(WEB, workload="ns/other")),
    ],
    "parameters": [replace(ALL, config={"A": "1"}), replace(ALL, config={"A": "2", "B": ""}), ALL],
}  # fmt: skip


@pytest.mark.parametrize("expand", EXPANSIONS, ids=lambda expand: expand.__name__)
@pytest.mark.parametrize("states", SEQUENCES.values(), ids=SEQUENCES.keys())
def test_what_is_worked_out_depends_on_what_there_is(states: list[State], expand: Expansion) -> None:
    for run in expand(states):
        run_and_check(run, HERE)
