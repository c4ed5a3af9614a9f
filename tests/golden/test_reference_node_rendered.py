"""Rendering the reference node's configuration gives the rules and sets of its snapshot.

A rule's hash covers its whole text and that of all rules before it, so equal hashes are equal chains. The configuration is
the one that examples/reference-node/README.md describes.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.save_text import read_tables
from tortie.calc.set_id import selector_set_id
from tortie.calc.view import (
    ActivePolicy,
    ActiveProfile,
    ActiveRule,
    EndpointTier,
    HostEndpoint,
    IcmpTest,
    IPPool,
    NetSet,
    NodeView,
    PortRange,
    RuleSide,
    WorkloadEndpoint,
    WorkloadId,
)
from tortie.codec.ipset import parse_ipsets
from tortie.net.address import IPFamily, parse_address, parse_prefix
from tortie.netfilter.match import CommentMatch
from tortie.netfilter.rule import Rule
from tortie.render.config import RenderConfig
from tortie.render.ruleset import Rendering, render_node
from tortie.render.state import NodeInterface, NodeState, detect_features

SNAPSHOT = Path(__file__).parents[2] / "examples" / "reference-node" / "snapshot"
FILES = {IPFamily.V4: "iptables-save", IPFamily.V6: "ip6tables-save"}

API_PODS = NetSet(
    selector_set_id('(projectcalico.org/namespace == "shop" && (projectcalico.org/orchestrator == "k8s" && app == "api"))'),
    frozenset({parse_prefix("192.170.21.6/32"), parse_prefix("192.170.140.70/32")}),
)
ALLOW = ActiveRule()
ANYWHERE = RuleSide()


def tcp(*ports: int, source: RuleSide = ANYWHERE) -> ActiveRule:
    return ActiveRule(
        protocol="tcp", source=source, destination=RuleSide(ports=tuple(PortRange(port, port) for port in ports))
    )


WEB = ActivePolicy("shop/knp.default.web", inbound=(tcp(80),), namespace="shop")
DB = ActivePolicy("shop/knp.default.db", inbound=(tcp(5432, source=RuleSide(ip_sets=(API_PODS.id,))),), namespace="shop")
HOST_ACCESS = ActivePolicy(
    "default.host-access",
    inbound=(
        ActiveRule(protocol="icmp", ip_version=IPFamily.V4, icmp=IcmpTest(8)),
        tcp(6443, 10250, source=RuleSide(nets=(parse_prefix("10.20.0.0/24"),))),
    ),
    outbound=(ALLOW,),
)


def pod(
    namespace: str, name: str, interface: str, address: str, *ingress: str, account: str = "default"
) -> WorkloadEndpoint:
    return WorkloadEndpoint(
        WorkloadId("k8s", f"{namespace}/{name}", "eth0"),
        interface,
        profiles=(f"kns.{namespace}", f"ksa.{namespace}.{account}"),
        networks=(parse_prefix(f"{address}/32"),),
        tiers=(EndpointTier(ingress=ingress),) if ingress else (),
    )


VIEW = NodeView(
    "reference",
    workloads=(
        pod("default", "client", "calia7a3e029a7b", "192.170.21.2"),
        pod("shop", "web", "cali551b05c3e54", "192.170.21.3", WEB.name),
        pod("shop", "db", "cali2d7243dcff6", "192.170.21.4", DB.name),
        pod("kube-system", "coredns", "cali96971f43451", "192.170.21.5", account="coredns"),
        pod("shop", "api", "cali50d8cbfc60a", "192.170.21.6"),
    ),
    host_endpoints=(
        HostEndpoint(
            "reference-eth0", "eth0", tiers=(EndpointTier(ingress=(HOST_ACCESS.name,), egress=(HOST_ACCESS.name,)),)
        ),
    ),
    policies=(WEB, DB, HOST_ACCESS),
    profiles=(
        *(ActiveProfile(f"kns.{namespace}", (ALLOW,), (ALLOW,)) for namespace in ("default", "shop", "kube-system")),
        ActiveProfile("ksa.default.default"),
        ActiveProfile("ksa.shop.default"),
        ActiveProfile("ksa.kube-system.coredns"),
    ),
    ip_sets=(API_PODS,),
    pools=(IPPool(parse_prefix("192.170.0.0/16"), masquerade=True),),
)
INTERFACES = {
    "lo": ("127.0.0.1", "::1"),
    "eth0": ("10.20.0.11", "fe80::5054:ff:fe14:b"),
    "docker0": ("192.170.80.1", "fe80::42:5fff:fe1c:7a90"),
    "veth3f1c2a9": ("fe80::9810:2eff:fe6b:4107",),
    "kube-ipvs0": ("10.96.0.1", "10.96.0.10", "10.96.71.20"),
    "calia7a3e029a7b": ("fe80::ecee:eeff:feee:eeee",),
}
STATE = NodeState(
    tuple(NodeInterface(name, frozenset(map(parse_address, addresses))) for name, addresses in INTERFACES.items()),
    detect_features("iptables v1.4.21", "Linux version 3.10.0-957.21.3.el7.x86_64"),
    ipvs=True,
)


@pytest.fixture(scope="module")
def rendering() -> Rendering:
    return render_node(VIEW, STATE, RenderConfig(felix_exact=True))


def hashes_in_snapshot(family: IPFamily) -> dict[tuple[str, str], list[str]]:
    """The hashes of our rules by table and chain; our chains are there also when they are empty."""
    found: dict[tuple[str, str], list[str]] = {}
    for table, lines in read_tables((SNAPSHOT / FILES[family]).read_text()).items():
        for line in lines:
            chain = line.split()[1] if line.startswith("-A") else line[1:].split()[0]
            digests = re.findall(r'--comment "cali:([^"]+)"', line)
            if digests or chain.startswith("cali-"):
                found.setdefault((table, chain), []).extend(digests)
    return found


def rule_hash(rule: Rule) -> str:
    return next(match.text.removeprefix("cali:") for match in rule.matches if isinstance(match, CommentMatch))


@pytest.mark.parametrize("family", IPFamily)
def test_every_chain_is_rendered_as_the_snapshot_has_it(rendering: Rendering, family: IPFamily) -> None:
    rendered = {
        (table.name.value, name): [rule_hash(rule) for rule in rules]
        for table in rendering.families[family].tables.values()
        for name, rules in [*((name, chain.rules) for name, chain in table.chains.items()), *table.hooks.items()]
    }
    assert rendered == hashes_in_snapshot(family)


def test_every_set_is_rendered_as_the_snapshot_has_it(rendering: Rendering) -> None:
    saved = parse_ipsets((SNAPSHOT / "ipset-save").read_text())
    rendered = {name: wanted for family in rendering.families.values() for name, wanted in family.ip_sets.items()}
    assert rendered.keys() == saved.keys()
    for name, wanted in rendered.items():
        assert (wanted.type, wanted.family) == (saved[name].type, saved[name].family)
        assert set(wanted.entries) == set(saved[name].entries)
        assert wanted.options["maxelem"] == saved[name].options["maxelem"]
