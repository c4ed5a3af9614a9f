"""The facts V80 to V87 (spec: netfilter 14) about rules in the shape of kube-proxy's and Docker's (spec: netfilter 13).

The pod 10.244.1.2 behind c1 serves 10.96.0.10:80 and the node port 30080; 10.96.0.20:80 is a service that nothing serves.
The container 172.17.0.2 behind docker0 serves the node's port 8080.
"""

from __future__ import annotations

from tests.cases.matches import SYN, v4
from tests.cases.vector import V4, Seen, Vector
from tests.kernel.scenario import Answer, Given, Interface, Topology
from tortie.net.wire import format_packet

CLUSTER_NODE = Topology(
    (Interface("e0", ("10.0.0.1/24",)), Interface("c1", ("10.244.1.1/24",)), Interface("c2", ("10.244.2.1/24",))),
    {V4: ("route add default via 10.0.0.254 dev e0",)},
)
DOCKER_NODE = Topology((Interface("e0", ("10.0.0.1/24",)), Interface("docker0", ("172.17.0.1/16",))))
KUBE_PROXY = {
    "nat": [
        "-A PREROUTING -j KUBE-SERVICES",
        "-A OUTPUT -j KUBE-SERVICES",
        "-A POSTROUTING -j KUBE-POSTROUTING",
        "-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j KUBE-SVC",
        "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS",
        "-A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-EXT",
        "-A KUBE-EXT -j KUBE-MARK-MASQ",
        "-A KUBE-EXT -j KUBE-SVC",
        "-A KUBE-SVC ! -s 10.244.0.0/16 -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ",
        "-A KUBE-SVC -j KUBE-SEP",
        "-A KUBE-SEP -s 10.244.1.2/32 -j KUBE-MARK-MASQ",
        "-A KUBE-SEP -p tcp -m tcp -j DNAT --to-destination 10.244.1.2:8080",
        "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
        "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
        "-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0",
        "-A KUBE-POSTROUTING -j MASQUERADE --random-fully",
    ],
    "filter": [
        ":FORWARD DROP",
        "-A INPUT -j KUBE-FIREWALL",
        "-A FORWARD -j KUBE-FORWARD",
        "-A FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES",
        "-A FORWARD -s 10.244.0.0/16 -j ACCEPT",
        "-A OUTPUT -o lo",
        "-A OUTPUT -m mark --mark 0x4000/0x4000",
        "-A OUTPUT -j KUBE-FIREWALL",
        "-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
        "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
        "-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT",
        "-A KUBE-FORWARD -d 10.244.2.2/32 -s 10.244.1.2/32",
        "-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A KUBE-SERVICES -d 10.96.0.20/32 -p tcp -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable",
    ],
    "mangle": ["-A POSTROUTING -m mark ! --mark 0x0", "-A POSTROUTING -o docker0"],
}
"""kube-proxy's rules for one service, with target-less rules that show marks and devices."""
DOCKER = {
    "nat": [
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        "-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
        "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
        "-A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE",
        "-A DOCKER -i docker0 -j RETURN",
        "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
    ],
    "filter": ["-A OUTPUT -o lo", "-A OUTPUT -o docker0"],
    "mangle": ["-A POSTROUTING -o docker0", "-A POSTROUTING -o lo"],
}


def _syn(src: str, dst: str, dport: int, iface: str | None) -> Given:
    packet = v4(src, dst, proto=6, sport=40000, dport=dport, tcp_flags=SYN, identification=77)
    return Given(format_packet(packet), iface)


def _kube(name: str, fact: str, *seen: Seen, sysctls: tuple[tuple[str, str], ...] = ()) -> Vector:
    return Vector(name, fact, KUBE_PROXY, seen, CLUSTER_NODE, sysctls)


_MASQUERADED = "mangle:POST:1 nat:POST:1 KUBE-POSTROUTING:2 KUBE-POSTROUTING:3"
_ANY = "1024-65535"
GENERATOR_VECTORS = (
    _kube(
        "V80",
        "a pod that reaches itself by its service is masqueraded with the node's address on the pod's device",
        Seen(
            _syn("10.244.1.2", "10.96.0.10", 80, "c1"),
            f"c1 10.244.1.1:{_ANY}>10.244.1.2:8080",
            hits="nat:PRE:1 KUBE-SERVICES:1 KUBE-SVC:2 KUBE-SEP:1 KUBE-MARK-MASQ:1 KUBE-SEP:2 "
            f"filter:FWD:1 KUBE-FORWARD:2 {_MASQUERADED}",
        ),
    ),
    _kube(
        "V81",
        "another pod is not masqueraded, and FORWARD sees the reply come from the pod",
        Seen(
            _syn("10.244.2.2", "10.96.0.10", 80, "c2"),
            "c1 10.244.2.2:40000>10.244.1.2:8080",
            hits="nat:PRE:1 KUBE-SERVICES:1 KUBE-SVC:2 KUBE-SEP:2 filter:FWD:1 FWD:2 FWD:3 nat:POST:1 KUBE-POSTROUTING:1",
        ),
        Seen(Answer(0), "c2 10.96.0.10:80>10.244.2.2:40000", hits="filter:FWD:1 KUBE-FORWARD:3 KUBE-FORWARD:4"),
    ),
    _kube(
        "V82",
        "the node is masqueraded by a mark set in OUTPUT, seen in filter and taken away in POSTROUTING",
        Seen(
            _syn("10.0.0.1", "10.96.0.10", 80, None),
            f"c1 10.244.1.1:{_ANY}>10.244.1.2:8080",
            hits="nat:OUT:1 KUBE-SERVICES:1 KUBE-SVC:1 KUBE-MARK-MASQ:1 KUBE-SVC:2 KUBE-SEP:2 "
            f"filter:OUT:2 OUT:3 {_MASQUERADED}",
        ),
    ),
    _kube(
        "V83",
        "a node port from outside is marked, translated and forwarded by its mark",
        Seen(
            _syn("10.0.0.5", "10.0.0.1", 30080, "e0"),
            f"c1 10.244.1.1:{_ANY}>10.244.1.2:8080",
            hits="nat:PRE:1 KUBE-SERVICES:2 KUBE-NODEPORTS:1 KUBE-EXT:1 KUBE-MARK-MASQ:1 KUBE-EXT:2 KUBE-SVC:2 KUBE-SEP:2 "
            f"filter:FWD:1 KUBE-FORWARD:2 {_MASQUERADED}",
        ),
    ),
    _kube(
        "V84",
        "the node port at 127.0.0.1 fails from the node",
        Seen(_syn("127.0.0.1", "127.0.0.1", 30080, None), "EINVAL"),
    ),
    _kube(
        "V84 allowed",
        "with route_localnet it leaves masqueraded, and filter OUTPUT sees lo",
        Seen(
            _syn("127.0.0.1", "127.0.0.1", 30080, None),
            f"c1 10.244.1.1:{_ANY}>10.244.1.2:8080",
            hits="nat:OUT:1 KUBE-SERVICES:2 KUBE-NODEPORTS:1 KUBE-EXT:1 KUBE-MARK-MASQ:1 KUBE-EXT:2 KUBE-SVC:2 KUBE-SEP:2 "
            f"filter:OUT:1 OUT:2 OUT:3 {_MASQUERADED}",
        ),
        sysctls=(("net/ipv4/conf/all/route_localnet", "1"),),
    ),
    _kube(
        "V85",
        "KUBE-FIREWALL drops what route_localnet lets in for 127.0.0.1",
        Seen(
            _syn("10.0.0.5", "127.0.0.1", 22, "e0"),
            "gone",
            hits="nat:PRE:1 KUBE-SERVICES:2 filter:IN:1 KUBE-FIREWALL:1",
        ),
        sysctls=(("net/ipv4/conf/e0/route_localnet", "1"),),
    ),
    _kube(
        "V86",
        "a service without endpoints is refused by the node's address on the pod's device",
        Seen(
            _syn("10.244.2.2", "10.96.0.20", 80, "c2"),
            "gone",
            hits="nat:PRE:1 filter:FWD:1 FWD:2 KUBE-SERVICES:1",
            made=("c2 10.244.2.1>10.244.2.2 icmp 3/3 quoting 10.244.2.2:40000>10.96.0.20:80",),
        ),
    ),
    Vector(
        "V87",
        "the node reaches a published port by DNAT in OUTPUT; filter OUTPUT sees lo, POSTROUTING docker0",
        DOCKER,
        (
            Seen(
                _syn("10.0.0.1", "10.0.0.1", 8080, None),
                "docker0 10.0.0.1:40000>172.17.0.2:80",
                hits="nat:OUT:1 DOCKER:2 filter:OUT:1 mangle:POST:1",
            ),
        ),
        DOCKER_NODE,
    ),
)
