"""Clusters drawn from a small world, as users write them: plain data that `parse_resources` reads.

Policies, endpoints and packets should often meet, so addresses, labels, ports and names come from short lists. There are
two nodes; node-1 is the one that is looked at (`tests/cluster_node.py`). Packets are drawn in `cluster_packet`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.kernel.generate.draw import Draw
from tortie.model.read import Resources, parse_resources
from tortie.model.workload_name import pod_interface
from tortie.net.address import Address, IPFamily, parse_address

Object = dict[str, Any]

NODE, OTHER_NODE = "node-1", "node-2"
FLOATING = {IPFamily.V4: "10.77.0.1", IPFamily.V6: "fd00:77::1"}


@dataclass(frozen=True)
class Somebody:
    """Who there could be: an interface of node-1 and the addresses behind it."""

    interface: str
    v4: str
    v6: str

    def address(self, family: IPFamily) -> Address:
        return parse_address(self.v4 if family is IPFamily.V4 else self.v6)


WORKLOADS = {
    "web": Somebody("cali1", "10.65.0.2", "fd00:65::2"),
    "db": Somebody("cali12", "10.65.0.3", "fd00:65::3"),
    "api": Somebody("cali2", "10.65.0.4", "fd00:65::4"),
}
"""Workload endpoints of node-1."""
POD = Somebody(pod_interface("b", "pod"), "10.65.0.5", "fd00:65::5")
"""A Kubernetes pod of node-1; it has one address, of one family."""
FAR = Somebody("eth0", "10.65.1.2", "fd00:65:1::2")
"""A workload of node-2."""
NOBODY = Somebody("cali9", "10.65.0.9", "fd00:65::9")
"""At an interface that looks like a workload's and has no endpoint."""
STRANGERS = (
    Somebody("eth0", "10.0.0.1", "fd00::1"),
    Somebody("eth0", "10.0.0.200", "fd00::8001"),
    Somebody("eth1", "10.1.0.1", "fd00:1::1"),
)
OTHER_HOST = Somebody("eth0", "10.20.0.2", "fd00:20::2")
SELF = Somebody("eth0", "10.20.0.1", "fd00:20::1")
SELF_TOO = Somebody("eth1", "10.30.0.1", "fd00:30::1")

_NETS = {
    IPFamily.V4: (
        "0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/25", "10.0.0.1/32", "10.1.0.0/16", "10.20.0.0/24", "10.65.0.0/16",
        "10.65.0.2/32",
    ),
    IPFamily.V6: (
        "::/0", "fd00::/16", "fd00::/113", "fd00::1/128", "fd00:1::/32", "fd00:20::/64", "fd00:65::/32", "fd00:65::2/128",
    ),
}  # fmt: skip
_SELECTORS = (
    "all()",
    "has(role)",
    "role == 'x'",
    "role == 'x'",
    "role != 'x'",
    "role in {'x', 'z'}",
    "!has(role)",
    "role == 'x' || kind == 'net'",
    "has(kind) && !(role == 'y')",
    "kind == 'net'",
    "pcns.team == 'red'",
    "inherited == 'yes'",
    "projectcalico.org/namespace == 'a'",
    "projectcalico.org/namespace in {'a', 'b'}",
    "projectcalico.org/orchestrator == 'k8s'",
)
_NAMESPACE_SELECTORS = (
    "all()", "team == 'red'", "team != 'red'", "!has(team)", "!all()", "has(team) && all()", "stage in {'x'}",
)  # fmt: skip
_ENDPOINT_SELECTORS = ("", "all()", "all()", *_SELECTORS, "host == 'yes'", "host == 'yes'", "!has(host)")
_PORT_NAMES = ("http", "dns", "alt")


# --- rules -------------------------------------------------------------------------------------------------------


def _port(draw: Draw) -> object:
    first = draw.number(1, 6)
    return draw.one((first, f"{first}:{draw.number(first, 6)}", "http", "http", "dns"))


def _end(draw: Draw, family: IPFamily, *, ports: bool) -> Object:
    end: Object = {}
    if draw.chance(1 / 7):
        end["selector"] = draw.one(_SELECTORS)
    if draw.chance(1 / 14):
        end["notSelector"] = draw.one(_SELECTORS)
    if draw.chance(1 / 12):
        end["namespaceSelector"] = draw.one(_NAMESPACE_SELECTORS)
    if draw.chance(1 / 20):
        accounts: Object = {"names": ["sa"]} if draw.chance(1 / 2) else {}
        if draw.chance(1 / 2):
            accounts["selector"] = draw.one(("grade == '1'", "all()"))
        end["serviceAccounts"] = accounts
    if draw.chance(1 / 8):
        end["nets"] = draw.some(_NETS[family], 1, 3)
    if draw.chance(1 / 15):
        end["notNets"] = draw.some(_NETS[family], 1, 2)
    if ports and draw.chance(1 / 2):
        end["ports"] = [_port(draw) for _ in range(draw.one((1, 1, 2, 3)))]
        if draw.chance(1 / 3):
            end["selector"] = draw.one(_SELECTORS)
    if ports and draw.chance(1 / 6):
        end["notPorts"] = [_port(draw) for _ in range(draw.number(1, 2))]
    return end


def _icmp(draw: Draw) -> Object:
    asked: Object = {"type": draw.one((8, 8, 3, 128, 128, 135))}
    return asked | ({"code": draw.number(0, 1)} if draw.chance(1 / 3) else {})


def _rule(draw: Draw, *, http: bool) -> Object:
    family = draw.one(tuple(IPFamily))
    rule: Object = {"action": draw.one(("Allow", "Allow", "Allow", "Deny", "Deny", "Pass", "Log"))}
    protocol = draw.one((None, None, None, "TCP", "TCP", "TCP", 6, "UDP", "UDP", 17, "SCTP", "ICMP", "ICMPv6", 1, 58))
    if protocol is not None:
        rule["protocol"] = protocol
    if draw.chance(1 / 4):
        return rule
    if protocol in ("ICMP", "ICMPv6"):
        family = IPFamily.V4 if protocol == "ICMP" else IPFamily.V6
        if draw.chance(1 / 2):
            rule["icmp"] = _icmp(draw)
    elif draw.chance(1 / 12):
        rule["ipVersion"] = family.value
    if protocol in ("ICMP", "ICMPv6", None) and draw.chance(1 / 6):
        rule["notICMP"] = _icmp(draw)
    if draw.chance(1 / 10):
        rule["notProtocol"] = draw.one(("TCP", 17, "SCTP"))
    if http and protocol in ("TCP", None) and rule["action"] == "Allow" and draw.chance(1 / 10):
        rule["http"] = {"methods": ["GET"]}
    for name in ("source", "destination"):
        end = _end(draw, family, ports=protocol in ("TCP", 6, "UDP", 17))
        if end:
            rule[name] = end
    return rule


def _rules(draw: Draw, most: int = 4, *, http: bool = False) -> list[Object]:
    return [_rule(draw, http=http) for _ in range(draw.number(0, most))]


# --- policies and profiles ---------------------------------------------------------------------------------------


def _calico(kind: str, name: str, spec: Object, namespace: str = "", labels: Object | None = None) -> Object:
    metadata: Object = {"name": name} | ({"namespace": namespace} if namespace else {})
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": metadata, "spec": spec}


def draw_policy(draw: Draw, name: str) -> Object:
    """A policy of Calico's, for workloads or for hosts."""
    spec: Object = {"ingress": _rules(draw, http=True), "egress": _rules(draw)}
    order = draw.one((None, 1, 2, 2, 1000.0))
    if order is not None:
        spec["order"] = order
    selector = draw.one(_ENDPOINT_SELECTORS)
    if selector:
        spec["selector"] = selector
    types = draw.one(([], ["Ingress"], ["Egress"], ["Ingress", "Egress"], ["Ingress", "Egress"]))
    if types:
        spec["types"] = types
    if draw.chance(1 / 3):
        return _calico("NetworkPolicy", name, spec, namespace=draw.one(("a", "b")))
    kind = draw.one(("", "", "applyOnForward", "doNotTrack", "doNotTrack", "preDNAT", "preDNAT"))
    if kind:
        spec["applyOnForward"] = spec[kind] = True
        spec["selector"] = draw.one(("all()", "host == 'yes'", "role == 'x'"))
    if kind == "preDNAT":
        spec["egress"] = []
        spec["types"] = ["Ingress"]
    return _calico("GlobalNetworkPolicy", name, spec)


def _named_port_rule(draw: Draw) -> Object:
    """A rule about ports by name of whom a selector selects."""
    end: Object = {draw.one(("ports", "ports", "notPorts")): [draw.one(_PORT_NAMES)]}
    if draw.chance(1 / 4):
        end["ports"] = [*end.get("ports", []), 3]
    if draw.chance(2 / 3):
        end[draw.one(("selector", "selector", "notSelector"))] = draw.one(_SELECTORS)
    action = draw.one(("Allow", "Allow", "Deny"))
    return {"action": action, "protocol": draw.one(("TCP", 6, "UDP", 17)), draw.one(("source", "destination")): end}


def draw_only_policy(draw: Draw) -> Object:
    """A policy for all, of few rules in one direction, so that each of their conditions decides something."""
    rules = [_named_port_rule(draw) if draw.chance(1 / 2) else _rule(draw, http=False) for _ in range(draw.number(1, 2))]
    there, back = draw.one((("ingress", "egress"), ("egress", "ingress")))
    spec = {"selector": "all()", there: rules, back: [{"action": "Allow"}], "types": ["Ingress", "Egress"]}
    if draw.chance(1 / 2):
        return _calico("NetworkPolicy", "p", spec, draw.one(("a", "b")))
    return _calico("GlobalNetworkPolicy", "p", spec)


def draw_kubernetes_policy(draw: Draw) -> Object:
    """A NetworkPolicy of Kubernetes'."""
    types = draw.one((["Ingress"], ["Egress"], ["Ingress", "Egress"]))
    spec = {
        "podSelector": _label_selector(draw, "role"),
        "ingress": _items(draw, "from"),
        "egress": _items(draw, "to"),
        "policyTypes": types,
    }
    metadata = {"name": "k", "namespace": draw.one(("a", "b"))}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def _items(draw: Draw, peers: str) -> list[Object]:
    made = []
    for _ in range(draw.number(0, 2)):
        item: Object = {}
        if draw.chance(1 / 2):
            item[peers] = [_peer(draw) for _ in range(draw.number(1, 2))]
        if draw.chance(1 / 2):
            item["ports"] = [_kubernetes_port(draw) for _ in range(draw.number(1, 2))]
        made.append(item)
    return made


def _label_selector(draw: Draw, *names: str) -> Object:
    if draw.chance(1 / 3):
        return {}
    if draw.chance(2 / 3):
        return {"matchLabels": {draw.one(names): draw.one(("x", "red"))}}
    operator = draw.one(("In", "NotIn", "Exists", "DoesNotExist"))
    values = {"values": ["x", "red"]} if "In" in operator else {}
    return {"matchExpressions": [{"key": draw.one(names), "operator": operator} | values]}


def _peer(draw: Draw) -> Object:
    if draw.chance(1 / 3):
        block: Object = {"cidr": draw.one(("10.0.0.0/8", "10.65.0.0/16", "fd00::/16"))}
        if block["cidr"] == "10.0.0.0/8" and draw.chance(1 / 2):
            block["except"] = ["10.65.0.0/16", "10.0.0.1/32"]
        return {"ipBlock": block}
    found: Object = {"podSelector": _label_selector(draw, "role")} if draw.chance(1 / 2) else {}
    if not found or draw.chance(1 / 2):
        found["namespaceSelector"] = _label_selector(draw, "team", "stage")
    return found


def _kubernetes_port(draw: Draw) -> Object:
    found: Object = {"protocol": draw.one(("TCP", "UDP", "SCTP"))}
    return found | ({"port": draw.one((1, 2, 3, "http", "dns"))} if draw.chance(1 / 2) else {})


def _namespace(draw: Draw, name: str) -> Object | None:
    """A namespace, from which its profile comes, or that profile with rules of its own, or nothing."""
    own: Object = {"team": draw.one(("red", "blue"))} | ({"stage": "x"} if draw.chance(1 / 3) else {})
    if draw.chance(1 / 8):
        return None
    if draw.chance(1 / 2):
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": own}}
    return _profile(draw, f"kns.{name}", {f"pcns.{label}": value for label, value in own.items()})


def _profile(draw: Draw, name: str, handed_on: Object) -> Object:
    spec = {"ingress": _rules(draw, 2), "egress": _rules(draw, 2), "labelsToApply": handed_on}
    return _calico("Profile", name, spec)


def _service_account(draw: Draw, namespace: str) -> Object:
    metadata = {"name": "sa", "namespace": namespace, "labels": {"grade": draw.one(("1", "2"))}}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


# --- endpoints and sets ------------------------------------------------------------------------------------------


def _labels(draw: Draw) -> Object:
    labels: Object = {}
    if draw.chance(3 / 4):
        labels["role"] = draw.one(("x", "x", "y", "z"))
    if draw.chance(1 / 12):
        labels["inherited"] = "no"
    if draw.chance(1 / 12):
        labels["pcns.team"] = "red"
    return labels


def _endpoint_ports(draw: Draw) -> list[Object]:
    return [
        {"name": name, "protocol": draw.one(("TCP", "UDP")), "port": draw.number(1, 2)}
        for name in _PORT_NAMES
        if draw.chance(1 / 2)
    ]


def _profiles(draw: Draw, namespace: str) -> list[str]:
    its = f"kns.{namespace}"
    return draw.one(
        (
            [its],
            [its],
            [its],
            [its],
            [its, f"ksa.{namespace}.sa"],
            [],
            ["shared"],
            ["shared", its],
            [its, "shared"],
            [its, "missing"],
        )
    )


def _workload(draw: Draw, name: str, who: Somebody, node: str, interface: str) -> Object:
    namespace = draw.one(("a", "b"))
    addresses = draw.one(((who.v4, who.v6), (who.v4, who.v6), (who.v4, who.v6), (who.v4,), (who.v6,), ()))
    labels = _labels(draw)
    if draw.chance(1 / 3):
        labels["projectcalico.org/serviceaccount"] = "sa"
    spec: Object = {
        "node": node,
        "orchestrator": "k8s",
        "pod": name,
        "endpoint": "eth0",
        "interfaceName": interface,
        "ipNetworks": [f"{address}/{128 if ':' in address else 32}" for address in addresses],
        "profiles": _profiles(draw, namespace),
        "ports": _endpoint_ports(draw),
    }
    if name == "web" and draw.chance(1 / 3):
        wanted = ((who.v4, FLOATING[IPFamily.V4]), (who.v6, FLOATING[IPFamily.V6]))
        spec["ipNATs"] = [{"internalIP": own, "externalIP": other} for own, other in wanted if own in addresses]
    return _calico("WorkloadEndpoint", "", spec, namespace, labels)


def _workloads(draw: Draw) -> list[Object]:
    """Most of them there; rarely two of them on one interface."""
    made = []
    for name, who in WORKLOADS.items():
        if draw.chance(7 / 8):
            made.append(_workload(draw, name, who, NODE, "cali1" if draw.chance(1 / 40) else who.interface))
    if draw.chance(3 / 4):
        made.append(_workload(draw, "far", FAR, OTHER_NODE, "cali1"))
    return made + ([_pod(draw)] if draw.chance(1 / 2) else [])


def _pod(draw: Draw) -> Object:
    ports = [
        {"name": port["name"], "protocol": port["protocol"], "containerPort": port["port"]}
        for port in _endpoint_ports(draw)
    ]
    labels = {"role": draw.one(("x", "y"))} if draw.chance(1 / 2) else {}
    spec = {
        "nodeName": NODE,
        "serviceAccountName": draw.one(("sa", "default")),
        "containers": [{"name": "c", "image": "c", "ports": ports}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pod", "namespace": "b", "labels": labels},
        "spec": spec,
        "status": {"podIP": draw.one((POD.v4, POD.v6)), "phase": draw.one(("Running", "Running", "Succeeded"))},
    }


def _host_endpoint(draw: Draw, name: str) -> Object:
    spec: Object = {"node": draw.one((NODE, NODE, NODE, NODE, NODE, OTHER_NODE))}
    place = draw.one(("eth0", "eth0", "eth0", "eth1", "*", "*", "lo", "expected", "expected"))
    if place == "expected":
        spec["expectedIPs"] = draw.some((SELF.v4, SELF.v6, SELF_TOO.v4, OTHER_HOST.v4, "10.0.0.1"), 1, 3)
    else:
        spec["interfaceName"] = place
    labels = _labels(draw) | ({"host": "yes"} if draw.chance(3 / 4) else {})
    if draw.chance(1 / 10):
        labels["projectcalico.org/namespace"] = "a"
    spec["profiles"] = draw.one(([], ["shared"], ["shared"], ["kns.a"], ["missing"]))
    spec["ports"] = _endpoint_ports(draw)
    return _calico("HostEndpoint", name, spec, labels=labels)


def draw_network_set(draw: Draw, kind: str) -> Object:
    """A NetworkSet or GlobalNetworkSet."""
    nets = draw.some((*_NETS[IPFamily.V4], *_NETS[IPFamily.V6], "10.0.0.1"), 0, 3)
    namespace = draw.one(("a", "b")) if kind == "NetworkSet" else ""
    return _calico(kind, "nets", {"nets": nets}, namespace, _labels(draw) | {"kind": "net"})


# --- nodes and configuration -------------------------------------------------------------------------------------


def _nodes() -> list[Object]:
    return [
        _calico("Node", name, {"bgp": {"ipv4Address": f"{who.v4}/24"}, "ipv4VXLANTunnelAddr": tunnel})
        for name, who, tunnel in ((NODE, SELF, "10.65.0.1"), (OTHER_NODE, OTHER_HOST, "10.65.1.1"))
    ]


def _configuration(draw: Draw, name: str) -> Object:
    spec: Object = {}
    for field in ("failsafeInboundHostPorts", "failsafeOutboundHostPorts"):
        if draw.chance(2 / 3):
            spec[field] = [
                {"protocol": draw.one(("tcp", "udp", "TCP")), "port": draw.number(1, 6)} for _ in range(draw.number(0, 2))
            ]
    if draw.chance(2 / 3):
        spec["defaultEndpointToHostAction"] = draw.one(("Drop", "Accept", "Accept", "Return"))
    for field in ("iptablesFilterAllowAction", "iptablesMangleAllowAction"):
        if draw.chance(1 / 5):
            spec[field] = "Return"
    for field in ("ipipEnabled", "vxlanEnabled", "disableConntrackInvalidCheck"):
        if draw.chance(1 / 4):
            spec[field] = True
    if draw.chance(1 / 10):
        spec["interfacePrefix"] = draw.one(("cali", "cali1,cali", "cali,tapx"))
    if draw.chance(1 / 15):
        spec["interfaceExclude"] = draw.one(("eth1", "/^eth[0]$/,x"))
    if draw.chance(1 / 15):
        spec["externalNodesList"] = ["10.1.0.0/16"]
    if draw.chance(1 / 60):
        spec["ipv6Support"] = False
    if draw.chance(1 / 10):
        spec["vxlanVNI"] = 7
    return _calico("FelixConfiguration", name, spec)


# --- clusters ----------------------------------------------------------------------------------------------------


def draw_cluster(draw: Draw) -> list[Object]:
    """A cluster of some twenty objects."""
    objects = _nodes()
    objects += [_configuration(draw, name) for name in ("default", f"node.{NODE}") if draw.chance(1 / 2)]
    objects += [found for name in ("a", "b") if (found := _namespace(draw, name)) is not None]
    objects += [_service_account(draw, namespace) for namespace in ("a", "b") if draw.chance(1 / 2)]
    if draw.chance(3 / 4):
        objects.append(_profile(draw, "shared", {"inherited": "yes", "role": "z"}))
    objects += _workloads(draw)
    objects += [draw_network_set(draw, kind) for kind in ("NetworkSet", "GlobalNetworkSet") if draw.chance(1 / 2)]
    if draw.chance(1 / 3):
        return [*objects, draw_only_policy(draw)]
    objects += [_host_endpoint(draw, name) for name in ("h1", "h2", "h3") if draw.chance(3 / 4)]
    objects += [draw_policy(draw, f"p{number}") for number in range(draw.number(1, 6))]
    return objects + ([draw_kubernetes_policy(draw)] if draw.chance(1 / 3) else [])


def read_cluster(objects: list[Object]) -> Resources:
    """The resources that these objects are."""
    return parse_resources([("cluster", json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))])
