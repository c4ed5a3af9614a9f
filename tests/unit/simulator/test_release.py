"""What an older kernel does otherwise: known, assumed or not known (seen on Linux 6.1.192 and 6.18)."""

from __future__ import annotations

import pytest

from tests.node_builder import left_as, node, packet, walk_packet
from tortie.simulator.release import RELEASE_SETTING, is_older, release_of
from tortie.simulator.trace import Trace, Verdict

TO_RANGE = """\
*nat
:PREROUTING ACCEPT
:INPUT ACCEPT
:OUTPUT ACCEPT
:POSTROUTING ACCEPT
-A PREROUTING -p udp -j DNAT --to-destination 10.1.0.9:80-90
"""
OLD, NEW = "6.1.0-56-amd64", "6.18.44"


def _trace(release: str | None, proto: str, port: int) -> Trace:
    made = node(TO_RANGE, sysctls={} if release is None else {RELEASE_SETTING: release})
    return walk_packet(
        made, packet(proto, "10.0.0.5:1", f"10.0.0.1:{port}" if proto == "udp" else f"10.1.0.9:{port}")
    ).trace


@pytest.mark.parametrize(
    ("sysctls", "expected"),
    [
        ({RELEASE_SETTING: OLD}, (6, 1)),
        ({RELEASE_SETTING: NEW}, (6, 18)),
        ({RELEASE_SETTING: "custom"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_reading_a_release(sysctls: dict[str, str] | None, expected: tuple[int, int] | None) -> None:
    assert release_of(sysctls) == expected


def test_only_a_release_that_is_known_is_older() -> None:
    assert [is_older(one, (6, 8)) for one in ((6, 1), (6, 8), (6, 18), None)] == [True, False, False, False]


@pytest.mark.parametrize(
    ("release", "port", "ports", "assumed"),
    [
        pytest.param(NEW, 53, None, False, id="the first of the range"),
        pytest.param(OLD, 53, (80, 90), False, id="any of the range"),
        pytest.param(None, 53, None, True, id="the first, as assumed"),
        pytest.param(OLD, 85, None, False, id="in the range already, on any kernel"),
        pytest.param(None, 85, None, False, id="in the range already, which assumes nothing"),
    ],
)
def test_dnat_to_a_range_of_ports(release: str | None, port: int, ports: tuple[int, int] | None, assumed: bool) -> None:
    trace = _trace(release, "udp", port)
    assert trace.out is not None
    assert trace.out.random_dport == ports
    assert any("6.8 or newer" in one for one in trace.assumptions) is assumed
    if ports is None:
        assert left_as(trace) == f"e1 10.0.0.5:1>10.1.0.9:{85 if port == 85 else 80}"


@pytest.mark.parametrize(
    ("release", "verdict", "assumed"),
    [(NEW, Verdict.ACCEPT, False), (OLD, Verdict.UNKNOWN, False), (None, Verdict.ACCEPT, True)],
)
def test_dccp(release: str | None, verdict: Verdict, assumed: bool) -> None:
    trace = _trace(release, "dccp", 80)
    assert trace.verdict is verdict
    assert any("6.16 or newer" in one for one in trace.assumptions) is assumed
    assert verdict is not Verdict.UNKNOWN or "older than Linux 6.16" in trace.decided_by.text
