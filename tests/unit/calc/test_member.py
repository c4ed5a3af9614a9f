"""What a candidate puts into sets (spec: model 6.5); whose members are together in one set: test_calculation.py."""

from __future__ import annotations

import pytest

from tests.calc_builder import host_endpoint, network_set, workload
from tortie.calc.member import Candidate, candidate_of, members_of
from tortie.model import v1
from tortie.selector.tree import All


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (workload("a", "10.0.0.1 fd00::1"), "10.0.0.1/32 fd00::1/128"),
        (host_endpoint("h", "10.0.0.1 fd00::1"), "10.0.0.1/32 fd00::1/128"),
        (host_endpoint("h"), ""),
        (network_set("n", "10.0.0.0/8 0.0.0.0/0"), "10.0.0.0/8 0.0.0.0/1 128.0.0.0/1"),
        (network_set("n", "::/0"), "::/1 8000::/1"),
    ],
    ids=["workload", "host endpoint", "host endpoint by interface", "network set", "everything of IPv6"],
)
def test_networks(value: v1.Workload | v1.HostEndpoint | v1.NetworkSet, expected: str) -> None:
    assert " ".join(map(str, members_of(candidate_of(value), None))) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (workload("a", "10.0.0.1", ports="http:tcp:80 http:udp:81 web:tcp:82"), ["10.0.0.1 80"]),
        (workload("a", "10.0.0.1", ports="http:tcp:80 http:tcp:81"), ["10.0.0.1 80", "10.0.0.1 81"]),
        (host_endpoint("h", "10.0.0.1 fd00::1", ports="http:tcp:80"), ["10.0.0.1 80", "fd00::1 80"]),
        (host_endpoint("h", ports="http:tcp:80"), []),
        (network_set("n", "10.0.0.0/8"), []),
    ],
    ids=["name and protocol", "one name, two numbers", "every address", "no address is known", "networks have no ports"],
)
def test_named_ports(value: v1.Workload | v1.HostEndpoint | v1.NetworkSet, expected: list[str]) -> None:
    port = v1.NamedPort(All(), "tcp", "http")
    assert [f"{member.address} {member.port}" for member in members_of(candidate_of(value), port)] == expected


def test_a_candidate_becomes_like_another_and_stays_itself() -> None:
    one, other = candidate_of(workload("a", "10.0.0.1")), candidate_of(workload("b", "10.0.0.2", ports="http:tcp:80"))
    assert not one.has_the_same(other)
    one.take(other)
    assert one.has_the_same(other)
    assert one is not other
    assert not one.has_the_same(Candidate(other.networks))
