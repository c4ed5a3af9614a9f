"""The packets that tell Tortie from Felix 3.7.5 (docs/felix-differences.md), with the nodes that they meet.

Each case is walked by the simulator (tests/golden/render/test_felix_differences.py) and sent to a real kernel
(tests/kernel/test_felix_differences.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tortie.calc.calculation import calculate
from tortie.calc.view import (
    ActivePolicy,
    ActiveProfile,
    ActiveRule,
    EndpointTier,
    HostEndpoint,
    NodeView,
    PortMember,
    PortRange,
    PortSet,
    RuleAction,
    RuleSide,
    WorkloadEndpoint,
    WorkloadId,
)
from tortie.model.read import parse_resources
from tortie.model.resource_conversion import resources_to_v1
from tortie.net.address import IPFamily, parse_address, parse_prefix
from tortie.net.packet import Packet
from tortie.net.protocol import SCTP, TCP
from tortie.render.config import RenderConfig, parse_config

ALLOW = ActiveRule()
EVERYTHING = ActiveProfile("kns.ns", (ALLOW,), (ALLOW,))
NODE = "node-1"
EMPTY = NodeView(NODE)
HOST_ADDRESS, SERVICE_ADDRESS = "10.20.0.1", "10.96.0.1"
"""Of eth0; of a service that IPVS would serve, which is local as well."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A packet, the device that it comes by (None: the node sends it), and whether it gets through in each rendering."""

    packet: Packet
    in_iface: str | None
    in_felix: bool
    in_tortie: bool
    answer_by: str | None = None
    """The device by which the answer comes; then it is the answer that is asked about."""

    def gets_through(self, *, felix_exact: bool) -> bool:
        """Whether it gets through."""
        return self.in_felix if felix_exact else self.in_tortie


@dataclass(frozen=True, slots=True)
class Case:
    """A node and packets for it; a `view` of its own, or made from `resources`."""

    trials: tuple[Trial, ...]
    view: NodeView = EMPTY
    resources: str = ""
    routes: Mapping[str, str] = field(default_factory=dict)
    hosts: tuple[str, ...] = ("eth0",)
    parameters: Mapping[str, str] = field(default_factory=dict)
    ipvs: bool = False

    def config(self, *, felix_exact: bool) -> RenderConfig:
        """What the renderer is told."""
        return parse_config(self.parameters, felix_exact=felix_exact)[0]

    def node_view(self, *, felix_exact: bool) -> NodeView:
        """The node's view, which conversion may have a say in."""
        if not self.resources:
            return self.view
        read = parse_resources([("case", self.resources)])
        return calculate(resources_to_v1(read, felix_exact=felix_exact), NODE)


def tcp(src: str, dst: str, port: int) -> Packet:
    """A TCP SYN."""
    return Packet(IPFamily.V4, parse_address(src).value, parse_address(dst).value, TCP, 40000, port, tcp_flags=2)


def sctp(src: str, dst: str, port: int) -> Packet:
    """An SCTP INIT."""
    chunk = bytes([1, 0, 0, 20, 0, 0, 0, 1, 0, 0, 5, 220, 0, 1, 0, 1, 0, 0, 0, 1])
    return Packet(IPFamily.V4, parse_address(src).value, parse_address(dst).value, SCTP, 40000, port, payload=chunk)


def _nets(text: str) -> RuleSide:
    return RuleSide(nets=tuple(parse_prefix(word) for word in text.split()))


def _pod(name: str, interface: str, **more: object) -> WorkloadEndpoint:
    return WorkloadEndpoint(WorkloadId("k8s", f"ns/{name}", "eth0"), interface, **more)  # type: ignore[arg-type]


# --- the cases ---------------------------------------------------------------------------------------------------

_WEB = PortSet("n:web", frozenset({PortMember(parse_address("10.65.0.2"), "tcp", 8080)}))
_THREE_LISTS = ActiveRule(
    protocol="tcp",
    source=_nets("10.1.0.0/24 10.1.1.0/24"),
    destination=RuleSide(
        nets=_nets("10.65.1.0/24 10.65.2.0/24").nets, ports=(PortRange(80, 80),), named_port_sets=("n:web",)
    ),
)
THREE_LISTS = Case(
    (
        # Ports and sources hold, the destination is in neither net.
        Trial(tcp("10.1.0.1", "10.65.0.2", 80), "eth0", True, False),
        Trial(tcp("10.1.0.1", "10.65.1.2", 80), "eth0", True, True),
        Trial(tcp("10.1.2.1", "10.65.1.2", 80), "eth0", False, False),
        Trial(tcp("10.1.0.1", "10.65.1.2", 81), "eth0", False, False),
    ),
    NodeView(
        NODE,
        workloads=(_pod("pod", "cali1", tiers=(EndpointTier(("default.p",)),)),),
        policies=(ActivePolicy("default.p", (_THREE_LISTS,)),),
        ip_sets=(_WEB,),
    ),
    routes={"10.65.0.0/16": "cali1"},
)

_PASS_81 = ActiveRule(RuleAction.NEXT_TIER, protocol="tcp", destination=RuleSide(ports=(PortRange(81, 81),)))
PASS_IN_A_PROFILE = Case(
    (
        # The policy passes; the profile passes port 81 and allows everything else, which Felix never reads.
        Trial(tcp("10.1.0.1", "10.65.0.2", 80), "eth0", False, True),
        Trial(tcp("10.1.0.1", "10.65.0.2", 81), "eth0", False, False),
    ),
    NodeView(
        NODE,
        workloads=(_pod("pod", "cali1", profiles=("p",), tiers=(EndpointTier(("default.p",)),)),),
        policies=(ActivePolicy("default.p", (ActiveRule(RuleAction.NEXT_TIER),)),),
        profiles=(ActiveProfile("p", (_PASS_81, ALLOW), (ALLOW,)),),
    ),
    routes={"10.65.0.2/32": "cali1"},
)

SHARED_LETTER = Case(
    (
        # A pod on calie1 opens a connection to a service: Felix takes it for traffic to the host.
        Trial(tcp("10.65.0.2", SERVICE_ADDRESS, 443), "calie1", False, True),
        Trial(tcp("10.65.0.4", SERVICE_ADDRESS, 443), "calib", True, True),
    ),
    NodeView(
        NODE,
        workloads=tuple(_pod(name, name, profiles=("kns.ns",)) for name in ("calib", "calie1", "calie2")),
        host_endpoints=tuple(HostEndpoint(name, name) for name in ("bond0", "eth0", "eth1")),
        profiles=(EVERYTHING,),
    ),
    routes={"10.65.0.2/32": "calie1", "10.65.0.3/32": "calie2", "10.65.0.4/32": "calib"},
    hosts=("bond0", "eth0", "eth1"),
    ipvs=True,
)

NODE_PORTS = Case(
    (
        # Felix has not read the range and asks the host endpoint's policy.
        Trial(tcp("10.1.0.1", HOST_ADDRESS, 20000), "eth0", False, True),
        Trial(tcp("10.1.0.1", HOST_ADDRESS, 30000), "eth0", True, False),
    ),
    NodeView(NODE, host_endpoints=(HostEndpoint("host", "eth0"),)),
    parameters={"KubeNodePortRanges": "[20000:20100]"},
    ipvs=True,
)

ANSWERS_TO_THE_HOST = Case(
    (
        # The host opens a connection to a pod: Felix drops the answer, as if the pod had opened one to the host.
        Trial(tcp(HOST_ADDRESS, "10.65.0.2", 80), None, True, True),
        Trial(tcp(HOST_ADDRESS, "10.65.0.2", 81), None, False, True, answer_by="cali1"),
        Trial(tcp("10.65.0.2", HOST_ADDRESS, 80), "cali1", False, False),
    ),
    NodeView(NODE, workloads=(_pod("pod", "cali1", profiles=("kns.ns",)),), profiles=(EVERYTHING,)),
    routes={"10.65.0.2/32": "cali1"},
    parameters={"IptablesFilterAllowAction": "RETURN"},
)

PLUS_IN_A_NAME = Case(
    (
        # An interface that nobody knows, and whose name begins as the pod's.
        Trial(tcp("10.65.0.3", "10.1.0.1", 80), "cali12", True, False),
        Trial(tcp("10.65.0.4", "10.1.0.1", 80), "cali2", False, False),
    ),
    NodeView(NODE, workloads=(_pod("pod", "cali1+", profiles=("kns.ns",)),), profiles=(EVERYTHING,)),
    routes={"10.65.0.3/32": "cali12", "10.65.0.4/32": "cali2"},
)

_POD = """
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {namespace: ns, labels: {app: web}}
spec:
  {node: node-1, orchestrator: k8s, pod: web, endpoint: eth0, interfaceName: cali1, ipNetworks: [10.65.0.2/32],
   profiles: [kns.ns]}
---
apiVersion: projectcalico.org/v3
kind: Profile
metadata: {name: kns.ns}
spec: {ingress: [{action: Allow}], egress: [{action: Allow}]}
---
"""
SCTP_PORTS = Case(
    (
        # The policy allows one port of SCTP; Felix leaves it out, so the profile lets everything in.
        Trial(sctp("10.1.0.1", "10.65.0.2", 9999), "eth0", True, False),
        Trial(tcp("10.1.0.1", "10.65.0.2", 80), "eth0", True, False),
        Trial(sctp("10.1.0.1", "10.65.0.2", 7777), "eth0", True, True),
    ),
    resources=_POD
    + """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: ns}
spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{protocol: SCTP, port: 7777}]}]}
""",
    routes={"10.65.0.2/32": "cali1"},
)

POSING_LABELS = Case(
    (
        # Another node's host endpoint says of itself that it belongs to a namespace of the red team.
        Trial(tcp("10.20.0.9", "10.65.0.2", 80), "eth0", True, False),
        Trial(tcp("10.20.0.8", "10.65.0.2", 80), "eth0", False, False),
        # So does a set of networks.
        Trial(tcp("10.9.0.1", "10.65.0.2", 80), "eth0", True, False),
    ),
    resources=_POD
    + """
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: ns}
spec: {ingress: [{action: Allow, source: {namespaceSelector: team == 'red'}}]}
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: other, labels: {pcns.team: red}}
spec: {node: node-2, interfaceName: eth0, expectedIPs: [10.20.0.9]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: other, labels: {pcns.team: red}}
spec: {nets: [10.9.0.0/16]}
""",
    routes={"10.65.0.2/32": "cali1"},
)

LONG_PROFILE_NAME = Case(
    (
        Trial(tcp("10.20.0.9", HOST_ADDRESS, 8000), "eth0", True, False),
        Trial(tcp("10.20.0.9", HOST_ADDRESS, 8001), "eth0", True, True),
    ),
    resources=f"""
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {{name: eth0, labels: {{role: host}}}}
spec: {{node: {NODE}, interfaceName: eth0, profiles: [{"p" * 63}.{"q" * 65}]}}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {{name: host}}
spec: {{selector: role == 'host', ingress: [{{action: Allow, protocol: TCP, destination: {{ports: [8001]}}}}]}}
""",
)

CASES: dict[str, Case] = {
    "three lists in one rule": THREE_LISTS,
    "a profile with a Pass rule": PASS_IN_A_PROFILE,
    "workload and host interfaces that share a letter under IPVS": SHARED_LETTER,
    "node ports from the datastore": NODE_PORTS,
    "answers of a workload to its host where accepted packets return": ANSWERS_TO_THE_HOST,
    "a workload interface with a plus in its name": PLUS_IN_A_NAME,
    "a policy with ports of SCTP": SCTP_PORTS,
    "labels that pose as a namespace's": POSING_LABELS,
    "a host endpoint with a profile of a long name": LONG_PROFILE_NAME,
}
