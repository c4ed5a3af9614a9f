"""Who there is, with which labels and addresses (spec: model 3.4, 4.4, 6.5)."""

from __future__ import annotations

from tests.reference_builder import host, profile, read, resource, workload
from tortie.net.address import parse_address
from tortie.reference.party import OF_NAMESPACE, parties


def labels_of(*texts: str) -> dict[str, dict[str, str]]:
    """Labels of everybody, by the last word of the name, without those that say what is said elsewhere."""
    found = {}
    for party in parties(read(*texts)):
        kept = {label: value for label, value in party.labels.items() if not label.startswith("projectcalico.org/o")}
        found[party.key.name] = kept
    return found


def test_an_endpoint_inherits_what_it_does_not_have() -> None:
    made = workload("w", "a", "cali1", "10.65.0.2", labels="{own: '1'}", more="profiles: [first, gone, second]")
    given = profile("first", "{own: '2', one: '2'}") + profile("second", "{one: '3', two: '3'}")
    expected = {"own": "1", "one": "2", "two": "3", "projectcalico.org/namespace": "a"}
    assert labels_of(made, given) == {"node--1-k8s-w-eth0": expected}


def test_only_profiles_say_what_a_namespace_says() -> None:
    made = host("h", "interfaceName: eth0, profiles: [p]", "{pcns.team: red, pcsa.x: y, role: z}")
    assert labels_of(made, profile("p", "{pcns.team: blue}")) == {"h": {"role": "z", "pcns.team": "blue"}}


def test_a_set_of_a_namespace_says_so() -> None:
    sets = resource("NetworkSet", "s", "{nets: [10.0.0.0/8]}", namespace="a", labels="{pcns.team: red, x: z}")
    sets += resource("GlobalNetworkSet", "g", "{nets: [10.0.0.0/8]}", labels="{pcns.team: red, x: z}")
    assert labels_of(sets) == {"s": {"x": "z", "projectcalico.org/namespace": "a"}, "g": {"x": "z"}}


def test_addresses() -> None:
    everybody = parties(
        read(
            workload("ready", "a", "cali1", "10.65.0.2", "fd00:65::2"),
            workload("new", "a", "cali2"),
            host("h", "interfaceName: eth0, expectedIPs: [10.20.0.1]"),
            resource("GlobalNetworkSet", "g", "{nets: [10.0.0.0/8]}"),
        )
    )
    assert [party.key.name for party in everybody] == ["node--1-k8s-ready-eth0", "h", "g"]
    ready, with_address, networks = everybody
    assert ready.has(parse_address("fd00:65::2")) and not ready.has(parse_address("fd00:65::3"))
    assert with_address.has(parse_address("10.20.0.1"))
    assert networks.has(parse_address("10.20.0.1")) and not networks.has(parse_address("fd00::1"))


def test_what_a_namespace_hands_on_is_called_as_it_is_there() -> None:
    made = workload("w", "a", "cali1", "10.65.0.2") + profile("kns.a", "{pcns.team: red}")
    (party,) = parties(read(made))
    assert party.handed_on(OF_NAMESPACE) == {"team": "red"}
