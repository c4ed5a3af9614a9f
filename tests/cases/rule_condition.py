"""Conditions of policy rules: the rule, a packet, and whether it holds (spec: model 1.8, 4.3, 4.5).

The cluster is `WORLD` and `MORE`: web in namespace a (team red, role front), db in b (team blue, role back, port 5432 is
called sql), far in a on another node, accounted in a with the service account robot; and three network sets.
"""

from __future__ import annotations

from dataclasses import replace

from tests.reference_builder import flow, resource, workload
from tortie.reference.flow import Flow

MORE = (
    resource("GlobalNetworkSet", "outside", "{nets: [10.0.0.0/24, 0.0.0.0/0]}", labels="{kind: net}")
    + resource("GlobalNetworkSet", "near", "{nets: [10.0.0.0/24]}", labels="{kind: near}")
    + resource("NetworkSet", "own", "{nets: [10.9.0.0/16]}", namespace="a", labels="{role: front}")
    + workload(
        "accounted", "a", "cali6", "10.65.0.6", labels="{role: front, projectcalico.org/serviceaccount: robot}",
        more="profiles: [kns.a, ksa.a.robot]",
    )
    + resource("Profile", "ksa.a.robot", "{labelsToApply: {pcsa.grade: high}}")
)  # fmt: skip
WEB_TO_DB = flow("tcp 10.65.0.2:1000 > 10.65.0.3:5432", "cali1", "cali2")
DB_TO_WEB = flow("tcp 10.65.0.3:1000 > 10.65.0.2:80", "cali2", "cali1")
FAR_TO_DB = flow("tcp 10.65.1.2:1000 > 10.65.0.3:80", "eth0", "cali2")
NEAR_TO_DB = flow("udp 10.0.0.9:1000 > 10.65.0.3:5432", "eth0", "cali2")
SET_TO_DB = flow("tcp 10.9.0.1:1000 > 10.65.0.3:80", "eth0", "cali2")
ACCOUNTED_TO_DB = flow("tcp 10.65.0.6:1000 > 10.65.0.3:80", "cali6", "cali2")
V6 = flow("tcp [fd00::1]:1 > [fd00:65::2]:80", "eth0", "cali1")
PING = flow("icmp 10.0.0.1 > 10.65.0.2 8/0", "eth0", "cali1")
PING6 = flow("icmpv6 fd00::1 > fd00:65::2 128/0", "eth0", "cali1")
STRANGE = replace(PING, protocol=58)
STRANGE6 = replace(PING6, protocol=1)
"""The other family's ICMP."""

CONDITIONS: tuple[tuple[str, Flow, bool], ...] = (
    ("protocol: TCP", WEB_TO_DB, True),
    ("protocol: 6", WEB_TO_DB, True),
    ("protocol: UDP", WEB_TO_DB, False),
    ("notProtocol: TCP", WEB_TO_DB, False),
    ("notProtocol: 17", WEB_TO_DB, True),
    ("ipVersion: 4", WEB_TO_DB, True),
    ("ipVersion: 4", V6, False),
    ("protocol: ICMP", PING, True),
    ("protocol: ICMP", PING6, False),
    ("protocol: ICMP", STRANGE6, False),
    ("protocol: ICMPv6", PING6, True),
    ("protocol: ICMPv6", STRANGE, False),
    ("protocol: 58", PING6, True),
    ("protocol: ICMP, icmp: {type: 8}", PING, True),
    ("protocol: ICMP, icmp: {type: 8, code: 1}", PING, False),
    ("protocol: ICMP, icmp: {}", PING, True),
    ("protocol: ICMP, notICMP: {type: 8}", PING, False),
    ("notICMP: {type: 8}", WEB_TO_DB, True),
    ("notICMP: {}", PING, True),
    ("source: {nets: [10.65.0.0/16]}", WEB_TO_DB, True),
    ("source: {nets: [10.0.0.0/24, 10.65.0.2/32]}", WEB_TO_DB, True),
    ("source: {nets: [10.0.0.0/24]}", WEB_TO_DB, False),
    ("source: {notNets: [10.65.0.2/32]}", WEB_TO_DB, False),
    ("source: {notNets: [10.0.0.0/24]}", WEB_TO_DB, True),
    ("source: {notNets: [10.0.0.0/24]}", V6, False),
    ("protocol: TCP, destination: {ports: [5432]}", WEB_TO_DB, True),
    ("protocol: TCP, destination: {ports: ['5000:5400', '5400:6000']}", WEB_TO_DB, True),
    ("protocol: TCP, source: {ports: [5432]}", WEB_TO_DB, False),
    ("protocol: TCP, destination: {notPorts: [5432]}", WEB_TO_DB, False),
    ("protocol: TCP, destination: {ports: [sql]}", WEB_TO_DB, True),
    ("protocol: UDP, destination: {ports: [sql]}", NEAR_TO_DB, False),
    ("protocol: TCP, destination: {ports: [sql, 80]}", DB_TO_WEB, True),
    ("protocol: TCP, destination: {notPorts: [sql]}", WEB_TO_DB, False),
    ("protocol: TCP, destination: {ports: [sql], selector: role == 'front'}", WEB_TO_DB, False),
    ("protocol: TCP, destination: {notPorts: [sql], selector: role == 'back'}", WEB_TO_DB, False),
    ("source: {selector: role == 'front'}", WEB_TO_DB, True),
    ("source: {selector: pcns.team == 'red'}", WEB_TO_DB, True),
    ("source: {selector: role == 'front'}", DB_TO_WEB, False),
    ("source: {selector: kind == 'net'}", NEAR_TO_DB, True),
    ("source: {selector: all()}", PING, True),
    ("source: {selector: kind == 'near'}", PING, True),
    ("source: {selector: has(role)}", NEAR_TO_DB, False),
    ("source: {notSelector: role == 'front'}", WEB_TO_DB, False),
    ("source: {notSelector: role == 'front'}", NEAR_TO_DB, True),
    ("source: {selector: has(role), notSelector: role == 'front'}", WEB_TO_DB, False),
    ("source: {selector: has(role), notSelector: role == 'front'}", DB_TO_WEB, True),
    ("source: {namespaceSelector: team == 'red'}", WEB_TO_DB, True),
    ("source: {namespaceSelector: team == 'red'}", DB_TO_WEB, False),
    ("source: {namespaceSelector: all()}", SET_TO_DB, True),
    ("source: {namespaceSelector: all(), notSelector: has(role)}", NEAR_TO_DB, False),
    ("source: {namespaceSelector: '!has(team)'}", NEAR_TO_DB, True),
    ("source: {serviceAccounts: {names: [robot]}}", ACCOUNTED_TO_DB, True),
    ("source: {serviceAccounts: {names: [robot]}}", WEB_TO_DB, False),
    ("source: {serviceAccounts: {selector: grade == 'high'}}", ACCOUNTED_TO_DB, True),
    ("source: {serviceAccounts: {names: [robot], selector: grade == 'low'}}", ACCOUNTED_TO_DB, False),
    ("source: {serviceAccounts: {}}", NEAR_TO_DB, True),
)
"""For rules of the whole cluster."""
