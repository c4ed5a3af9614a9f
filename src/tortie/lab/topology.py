"""What a laboratory is to be, from its YAML file: networks, nodes, pods, hosts outside, services, what to probe.

Everything is checked before anything is made: names that are not there, addresses that are used twice or are in no
network, a node without a network. Bad input names file, line and field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from tortie.model.document import Document, parse_documents
from tortie.model.name import Name, RequiredName, is_dns_label
from tortie.model.problem import FieldProblem, field_problem
from tortie.model.reader import Reads, read_value
from tortie.model.scalar import AddressV4, ASNumber, StrictNet, read_address_v4
from tortie.net.address import Address, IPFamily, Prefix
from tortie.net.error import InvalidInput
from tortie.net.protocol import ICMP, TCP, UDP

DEFAULT_NETWORK = "fabric"
DATASTORES = ("directory", "etcd")
LONGEST_NODE = 40
"""Of a node or host: BIRD's control socket is below its folder, and the path of a socket has 107 bytes (unix(7))."""
LONGEST_POD = 63
MOST_PODS = 1000
"""In one entry; each has a namespace, and attaching one takes a quarter of a second of a processor."""
_LAB_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,14}[a-z0-9])?")
_PROBE = re.compile(r"(tcp|udp)/([0-9]{1,5})")
_PROTOCOLS = {"tcp": TCP, "udp": UDP}


@dataclass(frozen=True, slots=True, order=True)
class Probe:
    """What is tried between any two: TCP or UDP to a port, or an ICMP echo, which has none."""

    protocol: int
    port: int = 0

    def __str__(self) -> str:
        if self.protocol == ICMP:
            return "icmp"
        return f"{'tcp' if self.protocol == TCP else 'udp'}/{self.port}"


def read_probe(data: Any) -> Probe:
    """A probe from `tcp/80`, `udp/53` or `icmp`; raises `FieldProblem`."""
    if data == "icmp":
        return Probe(ICMP)
    found = _PROBE.fullmatch(data) if isinstance(data, str) else None
    if found is None or not 0 < int(found[2]) < 65536:
        raise FieldProblem(f"{data!r} is nothing to probe", remedy="tcp/80, udp/53 or icmp")
    return Probe(_PROTOCOLS[found[1]], int(found[2]))


AnyProbe: TypeAlias = Annotated[Probe, Reads(read_probe)]


@dataclass(frozen=True, slots=True)
class Network:
    """An Ethernet of its own; where there is a router it has the last address of the subnet."""

    subnet: StrictNet

    @property
    def router(self) -> Address:
        """The router's address in it."""
        last = self.subnet.address | ((1 << (self.subnet.family.bits - self.subnet.length)) - 1)
        return Address(self.subnet.family, last - 1)

    def has_host(self, address: Address) -> bool:
        """Whether an address can be that of a host in it: neither the subnet's own nor that for all of it."""
        first = self.subnet.address
        return address.family is self.subnet.family and first < address.value <= self.router.value


@dataclass(frozen=True, slots=True)
class Router:
    """What connects the networks; with an AS number it speaks eBGP with every node."""

    as_number: ASNumber | None = None


@dataclass(frozen=True, slots=True)
class LabNode:
    """A node: an agent, a BIRD, pods."""

    name: RequiredName
    network: Name = DEFAULT_NETWORK
    address: AddressV4 = None
    as_number: ASNumber | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LabPod:
    """A pod; without a wish it gets an address of the pools."""

    name: RequiredName
    node: RequiredName
    namespace: Name = "default"
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    service_account: Name = ""
    address: AddressV4 = None
    floating_address: AddressV4 = None
    count: int = 1
    """So many pods alike, with a number behind the name."""

    def singles(self) -> tuple[LabPod, ...]:
        """Each of them by itself."""
        if self.count == 1:
            return (self,)
        return tuple(replace(self, name=f"{self.name}-{number}", count=1) for number in range(1, self.count + 1))

    def problems(self) -> Iterator[FieldProblem]:
        """What does not go together."""
        if self.count < 1:
            yield FieldProblem("at least one", path=("count",))
        if self.count > MOST_PODS:
            yield FieldProblem(f"at most {MOST_PODS}", path=("count",))
        if self.count > 1 and (self.address is not None or self.floating_address is not None):
            yield FieldProblem("several pods cannot have one address", path=("count",))


def _read_given_address(data: Any) -> Address:
    found = read_address_v4(data)
    if found is None:
        raise FieldProblem("an address is needed")
    return found


@dataclass(frozen=True, slots=True)
class Outside:
    """A host that is no node."""

    name: RequiredName
    address: Annotated[Address, Reads(_read_given_address)]
    network: Name = DEFAULT_NETWORK


@dataclass(frozen=True, slots=True)
class LabNamespace:
    """A namespace of Kubernetes; one that pods name and nobody describes has no labels."""

    name: RequiredName
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Service:
    """A port of every node that leads to a pod, as Kubernetes' NodePorts do."""

    name: RequiredName
    node_port: int
    pod: RequiredName
    port: int
    namespace: Name = "default"

    def problems(self) -> Iterator[FieldProblem]:
        """Ports are ports."""
        for name, port in (("nodePort", self.node_port), ("port", self.port)):
            if not 0 < port < 65536:
                yield FieldProblem(f"port {port} is not between 1 and 65535", path=(name,))


def _read_lab_name(data: Any) -> str:
    if not isinstance(data, str) or not _LAB_NAME.fullmatch(data):
        raise FieldProblem(f"{data!r} cannot be a laboratory's name", remedy="at most 16 of a-z, 0-9 and -")
    return data


def _read_datastore(data: Any) -> str:
    if data not in DATASTORES:
        raise FieldProblem(f"{data!r} is not one of {', '.join(DATASTORES)}")
    return str(data)


_FABRIC = Network(Prefix(IPFamily.V4, 0x0A0A0000, 24))


@dataclass(frozen=True, slots=True)
class Topology:
    """A whole laboratory. `resources` are files and directories beside the file: pools, policies, configuration."""

    name: Annotated[str, Reads(_read_lab_name)]
    nodes: tuple[LabNode, ...]
    networks: Mapping[str, Network] = field(default_factory=lambda: {DEFAULT_NETWORK: _FABRIC})
    router: Router | None = None
    namespaces: tuple[LabNamespace, ...] = ()
    pods: tuple[LabPod, ...] = ()
    hosts: tuple[Outside, ...] = ()
    services: tuple[Service, ...] = ()
    resources: tuple[str, ...] = ()
    datastore: Annotated[str, Reads(_read_datastore)] = "directory"
    probes: tuple[AnyProbe, ...] = (Probe(TCP, 80), Probe(ICMP))
    mesh: bool = True

    def problems(self) -> Iterator[FieldProblem]:
        """What does not hold together."""
        if not self.nodes:
            yield FieldProblem("a laboratory without nodes", path=("nodes",))
        if not self.networks:
            yield FieldProblem("a laboratory without networks", path=("networks",))
        yield from self._length_problems()
        yield from self._network_problems()
        yield from self._name_problems()
        yield from self._service_problems()
        yield from self._address_problems()

    def _network_problems(self) -> Iterator[FieldProblem]:
        nets = list(self.networks.items())
        for place, (name, network) in enumerate(nets):
            if network.subnet.family is not IPFamily.V4 or not 8 <= network.subnet.length <= 29:
                yield FieldProblem("an IPv4 network from /8 to /29", path=("networks", name, "subnet"))
            for other, earlier in nets[:place]:
                if _overlap(network.subnet, earlier.subnet):
                    yield FieldProblem(f"overlaps with {other}, {earlier.subnet}", path=("networks", name, "subnet"))
        if len(nets) > 1 and self.router is None:
            yield FieldProblem("several networks need a router", path=("networks",), remedy="say 'router: {}'")
        for kind, wanted in (
            ("nodes", [one.network for one in self.nodes]),
            ("hosts", [one.network for one in self.hosts]),
        ):
            for place, network_name in enumerate(wanted):
                if network_name not in self.networks:
                    known = ", ".join(self.networks)
                    message = f"there is no network {network_name!r}"
                    yield FieldProblem(message, path=(kind, place, "network"), remedy=f"one of {known}")

    def _length_problems(self) -> Iterator[FieldProblem]:
        """Names become parts of the names of files, namespaces and sockets, which have room for so much."""
        for name in self.networks:
            if not is_dns_label(name):
                message = f"{name!r} cannot be a network's name"
                yield FieldProblem(message, path=("networks", name), remedy="at most 63 of a-z, 0-9 and -")
        for kind, longest, names in (
            ("nodes", LONGEST_NODE, [node.name for node in self.nodes]),
            ("hosts", LONGEST_NODE, [host.name for host in self.hosts]),
            ("pods", LONGEST_POD, [pod.name for pod in self.pods]),
            ("pods", LONGEST_POD, [pod.namespace for pod in self.pods]),
        ):
            for place, name in enumerate(names):
                if len(name) > longest:
                    field = "namespace" if kind == "pods" and name != self.pods[place].name else "name"
                    message = f"{name} is {len(name)} long"
                    yield FieldProblem(message, path=(kind, place, field), remedy=f"at most {longest} here")

    def _name_problems(self) -> Iterator[FieldProblem]:
        seen: dict[str, str] = {"router": "the router", "etcd": "the datastore"}
        for kind, names in (
            ("nodes", [node.name for node in self.nodes]),
            ("hosts", [host.name for host in self.hosts]),
            ("pods", [f"{pod.namespace}/{pod.name}" for pod in self.pods]),
            ("namespaces", [f"namespace {one.name}" for one in self.namespaces]),
            ("services", [f"service {one.namespace}/{one.name}" for one in self.services]),
        ):
            for place, name in enumerate(names):
                if name in seen:
                    yield FieldProblem(f"{name} is already the name of {seen[name]}", path=(kind, place, "name"))
                seen[name] = f"{kind}[{place}]"
        nodes = {node.name for node in self.nodes}
        numbered: dict[tuple[str, str], int] = {}
        for place, pod in enumerate(self.pods):
            if pod.node not in nodes:
                message = f"there is no node {pod.node!r}"
                yield FieldProblem(message, path=("pods", place, "node"), remedy=f"one of {', '.join(sorted(nodes))}")
            for single in pod.singles():
                if numbered.setdefault((single.namespace, single.name), place) != place:
                    yield FieldProblem(f"there are two pods {single.namespace}/{single.name}", path=("pods", place, "name"))

    def _service_problems(self) -> Iterator[FieldProblem]:
        pods = {(pod.namespace, pod.name) for pod in self.all_pods}
        ports: dict[int, str] = {probe.port: "a probe's" for probe in self.probes if probe.protocol == TCP}
        for place, service in enumerate(self.services):
            if (service.namespace, service.pod) not in pods:
                yield FieldProblem(f"there is no pod {service.namespace}/{service.pod}", path=("services", place, "pod"))
            if service.node_port in ports:
                message = f"port {service.node_port} is {ports[service.node_port]} already"
                yield FieldProblem(message, path=("services", place, "nodePort"))
            ports[service.node_port] = f"service {service.name}'s"
        for place, probe in enumerate(self.probes):
            if probe in self.probes[:place]:
                yield FieldProblem(f"{probe} is there twice", path=("probes", place))
        if not self.probes and not self.services:
            yield FieldProblem("there is nothing to try", path=("probes",), remedy="tcp/80, udp/53 or icmp")

    def _address_problems(self) -> Iterator[FieldProblem]:
        seen: dict[Address, str] = {}
        for name, network in self.networks.items():
            seen[network.router] = f"the router in {name}"
        if self.datastore == "etcd" and self.networks:
            seen[self.etcd_address] = "the datastore"
        given: list[tuple[tuple[str | int, ...], str, Address | None, Network | None]] = [
            *((("nodes", i), n.name, n.address, self.networks.get(n.network)) for i, n in enumerate(self.nodes)),
            *((("hosts", i), h.name, h.address, self.networks.get(h.network)) for i, h in enumerate(self.hosts)),
            *((("pods", i), p.name, p.address, None) for i, p in enumerate(self.pods)),
            *((("pods", i), p.name, p.floating_address, None) for i, p in enumerate(self.pods)),
        ]
        for path, name, address, inside in given:
            if address is None:
                continue
            if address in seen:
                yield FieldProblem(f"{address} is already that of {seen[address]}", path=(*path, "address"))
            seen[address] = name
            if inside is not None and not inside.has_host(address):
                yield FieldProblem(f"{address} is no host's address in {inside.subnet}", path=(*path, "address"))
            around = [one for one, network in self.networks.items() if inside is None and network.has_host(address)]
            if around:
                yield FieldProblem(f"{address} is in network {around[0]}, and pods are in none", path=(*path, "address"))
        for name, network in self.networks.items():
            wanted = sum(node.network == name for node in self.nodes) + sum(host.network == name for host in self.hosts)
            if wanted > (1 << (32 - network.subnet.length)) - 4:
                yield FieldProblem(f"has no room for {wanted} nodes and hosts", path=("networks", name, "subnet"))

    @property
    def all_pods(self) -> tuple[LabPod, ...]:
        """Every single pod."""
        return tuple(single for pod in self.pods for single in pod.singles())

    @property
    def etcd_address(self) -> Address:
        """Where a datastore of its own is: the address before the router's in the first network."""
        router = next(iter(self.networks.values())).router
        return Address(router.family, router.value - 1)

    def node_addresses(self) -> dict[str, Address]:
        """Every node's address: its own wish, else the first that is free in its network."""
        taken = {node.address for node in self.nodes} | {host.address for host in self.hosts}
        taken |= {network.router for network in self.networks.values()} | {self.etcd_address}
        found: dict[str, Address] = {}
        for node in self.nodes:
            address = node.address
            if address is None:
                subnet = self.networks[node.network].subnet
                candidates = (Address(subnet.family, subnet.address + offset) for offset in range(1, 1 << 24))
                address = next(candidate for candidate in candidates if candidate not in taken)
                taken.add(address)
            found[node.name] = address
        return found


def _overlap(one: Prefix, other: Prefix) -> bool:
    return one.contains(other.address) or other.contains(one.address)


def parse_topology(text: str, source: str) -> Topology:
    """The laboratory that a file describes; raises `InvalidInput` with file and line."""
    try:
        documents = list(parse_documents(text))
    except InvalidInput as error:
        raise error.at(source=source) from None
    if len(documents) != 1:
        raise InvalidInput(f"expected one laboratory, not {len(documents)}", source=source)
    return _read(documents[0], source)


def _read(document: Document, source: str) -> Topology:
    try:
        return read_value(Topology, document.data)
    except InvalidInput as error:
        problem = field_problem(error)
        line = document.line_of(problem.path)
        raise problem.resolved(source=source, line=line) from None


def resource_paths(topology: Topology, file: Path) -> tuple[Path, ...]:
    """The resources' files and directories, which are beside the topology's file; raises `InvalidInput`."""
    found = []
    for text in topology.resources:
        path = file.parent / text
        if not path.exists():
            raise InvalidInput(f"resources: there is no {text}", source=str(file), remedy=f"looked for {path}")
        found.append(path)
    return tuple(found)
