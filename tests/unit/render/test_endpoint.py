"""What the vectors in tests/golden/render leave open about endpoint chains (spec: rules 6)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tortie.calc.view import EndpointTier, HostEndpoint, WorkloadEndpoint, WorkloadId
from tortie.render import endpoint
from tortie.render.config import RenderConfig
from tortie.render.endpoint import ChainKind, EndpointRenderer, MarkChain
from tortie.render.state import NodeState, render_context

CONTEXT = render_context(RenderConfig(), NodeState())
RENDERER = EndpointRenderer(CONTEXT)
WORKLOAD = WorkloadEndpoint(WorkloadId("k8s", "default/pod", "eth0"), "cali1")


def words(kind: ChainKind, *policies: str, renderer: EndpointRenderer = RENDERER) -> list[str]:
    return [rule.words for rule in renderer.endpoint_rules(kind, policies)]


@pytest.mark.parametrize(
    ("kind", "last"),
    [
        (endpoint.TO_WORKLOAD, "Drop if no profiles matched"),
        (endpoint.FROM_HOST, "Drop if no profiles matched"),
        (endpoint.FROM_HOST_FORWARDED, "Drop if no policies passed packet"),
        (endpoint.FROM_HOST_UNTRACKED, "Return if policy accepted"),
        (endpoint.FROM_HOST_PRE_DNAT, "Return if policy accepted"),
    ],
)
def test_a_chain_with_policies_ends_as_its_kind_does(kind: ChainKind, last: str) -> None:
    assert f'--comment "{last}"' in words(kind, "p")[-1]


def test_only_untracked_policy_sees_no_connections_and_makes_none() -> None:
    for kind in (endpoint.FROM_HOST_UNTRACKED, endpoint.TO_HOST_UNTRACKED):
        assert not any("conntrack" in text for text in words(kind, "p"))
        assert any("NOTRACK" in text for text in words(kind, "p"))
    for kind in (endpoint.TO_WORKLOAD, endpoint.FROM_HOST_FORWARDED, endpoint.FROM_HOST_PRE_DNAT):
        assert any("conntrack" in text for text in words(kind, "p"))
        assert not any("NOTRACK" in text for text in words(kind, "p"))


@pytest.mark.parametrize(
    ("setting", "kind", "marks_before"),
    [
        ({"filter_allow_action": "RETURN"}, endpoint.TO_WORKLOAD, True),
        ({"filter_allow_action": "RETURN"}, endpoint.FROM_HOST_PRE_DNAT, False),
        ({"mangle_allow_action": "RETURN"}, endpoint.TO_WORKLOAD, False),
        ({"mangle_allow_action": "RETURN"}, endpoint.FROM_HOST_PRE_DNAT, True),
    ],
)
def test_allow_action_of_the_table_decides_about_known_connections(
    setting: dict[str, str], kind: ChainKind, marks_before: bool
) -> None:
    config = replace(RenderConfig(), **setting)
    first, second, *_ = words(kind, renderer=EndpointRenderer(replace(CONTEXT, config=config)))
    established = "-m conntrack --ctstate RELATED,ESTABLISHED --jump"
    if marks_before:
        assert (first, second) == (f"{established} MARK --set-mark 0x10000/0x10000", f"{established} RETURN")
    else:
        assert first == f"{established} ACCEPT"


def test_policies_follow_each_other_in_their_order() -> None:
    jumps = [text.rpartition(" ")[2] for text in words(endpoint.TO_WORKLOAD, "b", "a") if "cali-pi-" in text]
    assert jumps == ["cali-pi-b", "cali-pi-a"]


def test_only_the_first_tier_counts() -> None:
    tiers = (EndpointTier(("first",)), EndpointTier(("second",)))
    chain, _ = endpoint.workload_chains(replace(WORKLOAD, tiers=tiers))
    rules = RENDERER.rules(chain)
    assert any("cali-pi-first" in rule.words for rule in rules)
    assert not any("second" in rule.words for rule in rules)


def test_chains_of_a_host_endpoint_in_order_of_generation() -> None:
    host = HostEndpoint("h", "eth0")
    assert [chain.name for chain in endpoint.host_filter_chains("eth0", host)] == [
        "cali-th-eth0",
        "cali-fh-eth0",
        "cali-thfw-eth0",
        "cali-fhfw-eth0",
    ]
    assert [chain.name for chain in endpoint.host_raw_chains("eth0", host)] == ["cali-th-eth0", "cali-fh-eth0"]
    assert [chain.name for chain in endpoint.host_mangle_chains("eth0", host)] == ["cali-fh-eth0"]


def test_an_endpoint_without_a_mark_has_an_empty_chain() -> None:
    chain = MarkChain("cali1", None)
    assert (chain.name, RENDERER.rules(chain)) == ("cali-sm-cali1", [])


def test_the_chains_of_a_workload_that_is_down_do_not_depend_on_its_policies() -> None:
    down = replace(WORKLOAD, active=False)
    assert endpoint.workload_chains(down) == endpoint.workload_chains(
        replace(down, tiers=(EndpointTier(("p",), ("p",)),), profiles=("kns.ns",))
    )
