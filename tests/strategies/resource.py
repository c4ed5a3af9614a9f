"""Resources as they come when somebody edits them by hand, a template fills them in wrongly, or a file is cut."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from tests.strategies.damage import damaged

EXAMPLES = Path(__file__).parents[2] / "examples" / "reference-node" / "resources"
CALICO, STORED = "projectcalico.org/v3", "crd.projectcalico.org/v1"


def _made(version: str, kind: str, spec: Any, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "a", **metadata}, "spec": spec}


ENTITY = {
    "nets": ["10.0.0.0/8"],
    "notNets": ["10.1.0.0/16"],
    "selector": "a == 'b' && has(c)",
    "notSelector": "d in {'e', 'f'}",
    "namespaceSelector": "team == 'red'",
    "ports": [80, "http", "1:2"],
    "notPorts": ["8080"],
    "serviceAccounts": {"names": ["sa"], "selector": "x == 'y'"},
}
RULE = {
    "action": "Allow",
    "ipVersion": 4,
    "protocol": "TCP",
    "source": ENTITY,
    "destination": {"ports": [53]},
    "http": {"methods": ["GET"], "paths": [{"exact": "/a"}]},
}
ICMP_RULE = {"action": "Deny", "protocol": "ICMP", "icmp": {"type": 8, "code": 0}, "notICMP": {"type": 3}}
OTHERS: list[dict[str, Any]] = [
    _made(CALICO, "GlobalNetworkPolicy", {"order": 1.5, "selector": "all()", "ingress": [RULE], "egress": [ICMP_RULE]}),
    _made(
        CALICO,
        "GlobalNetworkPolicy",
        {
            "preDNAT": True,
            "applyOnForward": True,
            "types": ["Ingress"],
            "ingress": [ICMP_RULE],
            "selector": "role == 'node'",
        },
        name="b",
    ),
    _made(CALICO, "NetworkPolicy", {"ingress": [RULE], "selector": "a == 'b'"}, namespace="shop"),
    _made(CALICO, "GlobalNetworkSet", {"nets": ["10.9.0.0/16", "fd00::1", "0.0.0.0/0"]}, labels={"a": "b"}),
    _made(CALICO, "NetworkSet", {"nets": ["10.9.0.1"]}, namespace="shop", labels={"a": "b", "c": "d"}),
    _made(CALICO, "Profile", {"labelsToApply": {"a": "b"}, "egress": [RULE | {"http": None}]}),
    _made(CALICO, "HostEndpoint", {"node": "reference", "interfaceName": "*", "ports": []}, labels={"role": "node"}),
    _made(CALICO, "HostEndpoint", {"node": "reference", "expectedIPs": ["10.20.0.11", "fd00::1"]}, name="b"),
    _made(CALICO, "BGPPeer", {"node": "reference", "peerIP": "10.0.0.1", "asNumber": "1.10"}),
    _made(
        CALICO,
        "FelixConfiguration",
        {
            "failsafeInboundHostPorts": [{"protocol": "tcp", "port": 22}],
            "kubeNodePortRanges": ["30000:32767", 80],
            "natPortRange": "1000:2000",
            "externalNodesList": ["10.0.0.0/8"],
            "iptablesMarkMask": 4294901760,
            "interfacePrefix": "cali,tap",
            "interfaceExclude": "/^x/,kube-ipvs0",
            "logPrefix": "p",
            "vxlanEnabled": True,
            "vxlanVNI": 4096,
            "ipipEnabled": True,
            "openstackRegion": "r",
            "reportingInterval": "1m30s",
        },
        name="node.reference",
        annotations={"config.projectcalico.org/MetadataAddr": "10.0.0.1"},
    ),
    _made(
        STORED,
        "IPAMBlock",
        {
            "cidr": "192.170.21.0/26",
            "affinity": "host:reference",
            "allocations": [None, 0],
            "attributes": [{"handle_id": "h", "secondary": {"node": "reference"}}],
            "unallocated": [0],
            "strictAffinity": False,
        },
    ),
    _made(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        {
            "podSelector": {
                "matchLabels": {"a": "b"},
                "matchExpressions": [{"key": "c", "operator": "In", "values": ["d"]}],
            },
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}], "ports": [{"port": 80}]}
            ],
            "egress": [{"to": [{"namespaceSelector": {}}], "ports": [{"port": "dns", "protocol": "UDP"}]}],
        },
        namespace="shop",
    ),
    {
        **_made("v1", "Pod", {"nodeName": "reference", "containers": [{"ports": [{"name": "dns", "containerPort": 53}]}]}),
        "status": {"podIP": "10.65.0.9", "phase": "Running"},
    },
    _made("v1", "Namespace", {}, labels={"team": "red"}),
    _made("v1", "Node", {"podCIDR": "10.65.0.0/24"}, annotations={"projectcalico.org/IPv4Address": "10.0.0.1/24"}),
]
FILES = [path.read_text() for path in sorted(EXAMPLES.glob("*.yaml"))]
OBJECTS: list[dict[str, Any]] = [
    one
    for text in FILES
    for document in yaml.safe_load_all(text)
    for one in (document["items"] if document["kind"] == "List" else [document])
] + OTHERS
"""Every kind, with every field that decides rules in one of them."""

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from((0, 1, -1, 4, 6, 58, 255, 256, 65535, 65536, 2**31, 2**32, 2**63, 2**64, 0.5, 1e300, float("nan"))),
    st.sampled_from((
        "", " ", "a", "A", "-", "*", "all()", "has(", "!", "10.0.0.0/8", "10.0.0.1", "10.0.0.1/8", "fd00::/8",
        "::ffff:10.0.0.1", "0.0.0.0/0", "::/0", "TCP", "tcp", "ICMPv6", "SCTP", "80", "80:70", "1:65535", "http", "Allow",
        "Pass", "eth0", "cali+", "reference", "default", "node.reference", "kns.shop", "knp.default.x", "a" * 70, "a" * 300,
        "ä", "\u2028", "\0", "'", '"', "a == 'b'", "none", "0x", "1e3", "{}", "[1:2]", "pcns.team",
        "projectcalico.org/namespace",
    )),
    st.text(max_size=6),
)  # fmt: skip
values = st.one_of(
    scalars, st.lists(scalars, max_size=2), st.dictionaries(st.sampled_from(("a", "name", "selector", "ports")), scalars)
)


@st.composite
def edited_objects(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Some objects, a few of whose values were replaced, taken out, doubled or put under another key."""
    chosen = draw(st.lists(st.sampled_from(OBJECTS), min_size=1, max_size=6))
    objects = [deepcopy(one) for one in chosen]
    for _ in range(draw(st.integers(0, 3))):
        container, key = draw(st.sampled_from(list(_places(objects))))
        match draw(st.sampled_from(("replace", "remove", "double", "borrow"))):
            case "replace":
                container[key] = draw(values)
            case "remove":
                del container[key]
            case "double" if isinstance(container, list):
                container.append(deepcopy(container[key]))
            case "double":
                container[draw(st.sampled_from(("x", "spec", "selector", "action")))] = deepcopy(container[key])
            case _:
                other, place = draw(st.sampled_from(list(_places(objects))))
                container[key] = deepcopy(other[place])
        if not any(True for _ in _places(objects)):
            break
    return objects


def _places(value: Any) -> Any:
    """Every place in nested containers, as (container, key)."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from _places(inner)


edited_texts = edited_objects().flatmap(
    lambda objects: st.sampled_from((
        json.dumps(objects),
        json.dumps({"kind": "List", "items": objects}, indent=1),
        "\n---\n".join(json.dumps(one, indent=2) for one in objects),
        yaml.safe_dump_all([one for one in objects if isinstance(one, dict)], allow_unicode=True),
    ))
)  # fmt: skip
"""Edited objects in each form of text."""
damaged_texts = st.sampled_from([*FILES, json.dumps(OTHERS, indent=1), yaml.safe_dump_all(OTHERS)]).flatmap(damaged)
"""Good files with a few things changed in their text."""
