"""Draws rulesets of the shapes that real nodes have: Calico's, kube-proxy's, Docker's, firewalld's, and several at once.

Calico's come from Tortie's own renderer, over policies and endpoints drawn from the scenario's world; the interfaces
behind the first are the workloads'. The others are written here after what the programs are known to load (spec:
netfilter 13), with the world's addresses for services, containers and zones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.kernel.generate.draw import Draw
from tests.kernel.generate.packet import draw_frames, draw_shots
from tests.kernel.generate.scenario import PACKETS, SCENARIOS_PER_TOPOLOGY
from tests.kernel.generate.topology import draw_sysctls, draw_world
from tests.kernel.generate.world import World
from tests.kernel.scenario import Scenario
from tortie.calc.view import (
    ActivePolicy,
    ActiveProfile,
    ActiveRule,
    EndpointTier,
    HostEndpoint,
    IPPool,
    NetSet,
    NodeView,
    PortRange,
    RuleAction,
    RuleSide,
    WorkloadEndpoint,
    WorkloadId,
)
from tortie.codec.ipset import format_ipset_save
from tortie.codec.rule import format_rule
from tortie.net.address import IPFamily, Prefix, parse_address, parse_prefix
from tortie.netfilter.hook import BUILTIN_CHAINS, Backend, TableName
from tortie.netfilter.ipset import IPSet
from tortie.render.config import RenderConfig
from tortie.render.ruleset import complete_ruleset, render_node
from tortie.render.state import NodeInterface, NodeState


@dataclass(slots=True)
class Tables:
    """Rules of one family while several shapes add to them: chains by table, and rules in order."""

    chains: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    rules: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    policies: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, table: str, text: str, *chains: str) -> None:
        """Adds user chains and rule lines (`FORWARD -j X`)."""
        self.chains[table] += [chain for chain in chains if chain not in self.chains[table]]
        self.rules[table] += [f"-A {line.strip()}" for line in text.strip().splitlines()]

    def text(self) -> str:
        """For iptables-restore."""
        lines: list[str] = []
        for table in dict.fromkeys((*self.rules, *self.chains)):
            lines.append(f"*{table}")
            for hook in BUILTIN_CHAINS[TableName(table)]:
                lines.append(f":{hook.value} {self.policies.get((table, hook.value), 'ACCEPT')} [0:0]")
            lines += [f":{chain} - [0:0]" for chain in self.chains[table]]
            lines += [*self.rules[table], "COMMIT"]
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a shape draws from, and what it adds to."""

    draw: Draw
    world: World
    family: IPFamily
    tables: Tables

    @property
    def v4(self) -> bool:
        """True for IPv4."""
        return self.family is IPFamily.V4

    def host(self, iface: str) -> str:
        """An address behind an interface."""
        return self.draw.one(self.world.addresses[self.family].hosts[iface])

    def single(self, address: str) -> str:
        """An address as `-s` and `-d` print it."""
        return f"{address}/{32 if self.v4 else 128}"

    def to(self, address: str, port: int) -> str:
        """An address and port as `--to-destination` takes them."""
        return f"{address}:{port}" if self.v4 else f"[{address}]:{port}"


def draw_shaped_scenario(seed: int, *, packets: int = PACKETS) -> Scenario:
    """Scenario number `seed` with rules of one or several of the shapes."""
    block = seed // SCENARIOS_PER_TOPOLOGY
    world = draw_world(f"shaped {block}")
    backend = Backend.LEGACY if block % 2 == 0 else Backend.NFT
    draw = Draw(f"shaped scenario {seed}")
    families = draw.weighted([([IPFamily.V4], 5), ([IPFamily.V6], 3), (list(IPFamily), 2)])
    names = draw.some(list(_SHAPES), 1, 3)
    tables = {family: Tables() for family in families}
    sets = ""
    if "calico" in names:
        sets = _calico(draw, world, tables)
    for family in families:
        for name in names:
            _SHAPES[name](Shape(draw, world, family, tables[family]))
    return Scenario(
        name=f"{'+'.join(names)} {seed}",
        backend=backend,
        topology=world.topology,
        rules={family: one.text() for family, one in tables.items()},
        shots=draw_frames(Draw(f"frames {seed}"), world, draw_shots(draw, world, families, packets)),
        ip_sets=sets,
        sysctls=draw_sysctls(draw, world),
    )


# --- Calico ------------------------------------------------------------------------------------------------------


def _calico(draw: Draw, world: World, tables: dict[IPFamily, Tables]) -> str:
    """Adds rendered rules to the tables and returns the text of their sets."""
    config = RenderConfig(
        interface_prefixes=tuple(world.interfaces[1:]) or ("cali",),
        endpoint_to_host_action=draw.one(["DROP", "ACCEPT", "RETURN"]),
        filter_allow_action=draw.weighted([("ACCEPT", 3), ("RETURN", 1)]),
        disable_conntrack_invalid_check=draw.chance(0.2),
        felix_exact=draw.chance(0.3),
    )
    own = frozenset(parse_address(one) for family in IPFamily for one in world.addresses[family].all_own)
    state = NodeState((NodeInterface(world.interfaces[0], own),), ipvs=draw.chance(0.4))
    rendering = render_node(_view(draw, world), state, config)
    sets: dict[str, IPSet] = {}
    for family, into in tables.items():
        rendered = rendering.families[family]
        sets.update(rendered.ip_sets)
        for name, table in complete_ruleset(rendered, Backend.LEGACY).tables.items():
            into.chains[name.value] += [chain.name for chain in table.chains.values() if chain.policy is None]
            into.rules[name.value] += [
                f"-A {chain.name} {format_rule(rule, family)}".rstrip()
                for chain in table.chains.values()
                for rule in chain.rules
            ]
    return format_ipset_save(sets)


def _view(draw: Draw, world: World) -> NodeView:
    nets = tuple(NetSet(f"s:set{number}", _members(draw, world)) for number in range(3))
    policies = tuple(
        ActivePolicy(f"default.p{number}", _policy_rules(draw, world), _policy_rules(draw, world)) for number in range(4)
    )
    names = tuple(policy.name for policy in policies)
    special = (
        ActivePolicy("default.raw", _policy_rules(draw, world), _policy_rules(draw, world), untracked=True),
        ActivePolicy("default.dnat", _policy_rules(draw, world), pre_dnat=True),
    )
    workloads = tuple(
        WorkloadEndpoint(
            WorkloadId("k8s", f"ns/{name}", "eth0"), name, active=draw.chance(0.9), profiles=("kns.ns",),
            tiers=_tiers(draw, names),
        )
        for name in world.interfaces[1:]
    )  # fmt: skip
    host = HostEndpoint(
        "host", world.interfaces[0], tiers=_tiers(draw, names),
        forward_tiers=_tiers(draw, names) if draw.chance(0.4) else (),
        untracked_tiers=(EndpointTier(("default.raw",), ("default.raw",)),) if draw.chance(0.3) else (),
        pre_dnat_tiers=(EndpointTier(("default.dnat",)),) if draw.chance(0.3) else (),
    )  # fmt: skip
    allow = (ActiveRule(),)
    return NodeView(
        "node",
        workloads=workloads,
        host_endpoints=(host,) if draw.chance(0.6) else (),
        policies=(*policies, *special),
        profiles=(ActiveProfile("kns.ns", _policy_rules(draw, world) if draw.chance(0.5) else allow, allow),),
        ip_sets=nets,
        pools=(
            IPPool(parse_prefix("10.0.0.0/8"), masquerade=draw.chance(0.5)),
            IPPool(parse_prefix("fd00::/16"), masquerade=draw.chance(0.5)),
        ),
    )


def _tiers(draw: Draw, names: tuple[str, ...]) -> tuple[EndpointTier, ...]:
    if draw.chance(0.15):
        return ()
    return (EndpointTier(tuple(draw.some(names, 0, 3)), tuple(draw.some(names, 0, 3))),)


def _members(draw: Draw, world: World) -> frozenset[Prefix]:
    texts = [one for family in IPFamily for one in (*world.addresses[family].ordinary, *_networks(world, family))]
    return frozenset(parse_prefix(text).network for text in draw.some(texts, 1, 8))


def _networks(world: World, family: IPFamily) -> list[str]:
    """The world's prefixes that have a length of their own, which not every mask has."""
    return [text for text in world.addresses[family].nets if text.rpartition("/")[2].isdigit() and not text.endswith("/0")]


def _policy_rules(draw: Draw, world: World) -> tuple[ActiveRule, ...]:
    return tuple(_policy_rule(draw, world) for _ in range(draw.number(1, 4)))


def _policy_rule(draw: Draw, world: World) -> ActiveRule:
    protocol = draw.one([None, "tcp", "udp", "udp"])
    family = draw.weighted([(None, 5), (IPFamily.V4, 1), (IPFamily.V6, 1)])
    action = draw.weighted([(RuleAction.ALLOW, 6), (RuleAction.DENY, 2), (RuleAction.NEXT_TIER, 1), (RuleAction.LOG, 1)])
    return ActiveRule(
        action,
        family,
        protocol=protocol,
        source=_side(draw, world, family, ports=protocol is not None and draw.chance(0.2)),
        destination=_side(draw, world, family, ports=protocol is not None and draw.chance(0.6)),
    )


def _side(draw: Draw, world: World, family: IPFamily | None, *, ports: bool) -> RuleSide:
    chosen = family or draw.one(list(IPFamily))
    given = tuple(parse_prefix(text).network for text in draw.some(_networks(world, chosen), 1, 2))
    nets = given if draw.chance(0.25) else ()
    refused = given if not nets and draw.chance(0.1) else ()
    ranges = tuple(PortRange(port, min(port + draw.number(0, 3), 65535)) for port in draw.some(world.ports, 1, 3))
    return RuleSide(
        nets=nets,
        not_nets=refused,
        ports=ranges if ports else (),
        ip_sets=(f"s:set{draw.number(0, 2)}",) if draw.chance(0.35) else (),
        not_ip_sets=(f"s:set{draw.number(0, 2)}",) if draw.chance(0.1) else (),
    )


# --- kube-proxy, Docker, firewalld -------------------------------------------------------------------------------


def _kube_proxy(of: Shape) -> None:
    """Iptables mode (spec: netfilter 13.2)."""
    draw, tables, addresses = of.draw, of.tables, of.world.addresses[of.family]
    top = ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ")
    tables.add(
        "nat",
        """PREROUTING -j KUBE-SERVICES
        OUTPUT -j KUBE-SERVICES
        POSTROUTING -j KUBE-POSTROUTING
        KUBE-MARK-MASQ -j MARK --or-mark 0x4000
        KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
        KUBE-POSTROUTING -j MARK --xor-mark 0x4000""",
        *top,
    )
    tables.add("nat", f"KUBE-POSTROUTING -j MASQUERADE{draw.one(['', ' --random-fully'])}")
    for number, address in enumerate(addresses.virtual[:2]):
        _service(of, f"{number}{of.family.value}", address, draw.one(of.world.ports), draw.one(["tcp", "udp"]))
    tables.add("nat", "KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS")
    tables.add(
        "filter",
        """FORWARD -j KUBE-FORWARD
        INPUT -j KUBE-FIREWALL
        OUTPUT -j KUBE-FIREWALL
        KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
        KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
        KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT""",
        "KUBE-FORWARD",
        "KUBE-FIREWALL",
    )
    loopback = "127.0.0.0/8" if of.v4 else "::1/128"
    tables.add(
        "filter",
        f"KUBE-FIREWALL ! -s {loopback} -d {loopback} -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
    )
    dead = of.single(addresses.virtual[-1])
    tables.add("filter", f"FORWARD -d {dead} -m conntrack --ctstate NEW -j REJECT\nOUTPUT -d {dead} -j REJECT")


def _service(of: Shape, name: str, address: str, port: int, proto: str) -> None:
    tables, draw = of.tables, of.draw
    service, pods = f"KUBE-SVC-{name}", [of.host(iface) for iface in draw.some(_with_hosts(of), 1, 2)]
    ends = [f"KUBE-SEP-{name}{number}" for number in range(len(pods))]
    there = f"-d {of.single(address)} -p {proto} -m {proto} --dport {port}"
    tables.add("nat", f"KUBE-SERVICES {there} -j {service}", service, *ends)
    if draw.chance(0.5):
        tables.add("nat", f"KUBE-NODEPORTS -p {proto} -m {proto} --dport {draw.one(of.world.ports)} -j {service}")
    tables.add("nat", f"{service} ! -s {of.single(pods[0])} {there} -j KUBE-MARK-MASQ")
    for number, (pod, end) in enumerate(zip(pods, ends, strict=True)):
        left = len(pods) - number
        chance = f"-m statistic --mode random --probability {1 / left:.11f} " if left > 1 else ""
        tables.add(
            "nat",
            f"""{service} {chance}-j {end}
            {end} -s {of.single(pod)} -j KUBE-MARK-MASQ
            {end} -p {proto} -j DNAT --to-destination {of.to(pod, draw.one(of.world.ports))}""",
        )


def _docker(of: Shape) -> None:
    """The classic set (spec: netfilter 13.1), with the last interface as Docker's bridge."""
    draw, tables, bridge = of.draw, of.tables, of.world.interfaces[-1]
    container = of.host(bridge) if bridge in _with_hosts(of) else of.host(_with_hosts(of)[0])
    net, port, inside = of.single(container), draw.one(of.world.ports), draw.one(of.world.ports)
    not_loopback = " ! -d 127.0.0.0/8" if of.v4 else " ! -d ::1/128"
    tables.add(
        "nat",
        f"""PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
        OUTPUT{draw.one(["", not_loopback])} -m addrtype --dst-type LOCAL -j DOCKER
        POSTROUTING -s {net} ! -o {bridge} -j MASQUERADE
        POSTROUTING -s {net} -d {net} -p tcp -m tcp --dport {inside} -j MASQUERADE
        DOCKER -i {bridge} -j RETURN
        DOCKER ! -i {bridge} -p tcp -m tcp --dport {port} -j DNAT --to-destination {of.to(container, inside)}""",
        "DOCKER",
    )
    tables.policies["filter", "FORWARD"] = "DROP"
    tables.add(
        "filter",
        f"""FORWARD -j DOCKER-USER
        FORWARD -j DOCKER-ISOLATION-STAGE-1
        FORWARD -o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        FORWARD -o {bridge} -j DOCKER
        FORWARD -i {bridge} ! -o {bridge} -j ACCEPT
        FORWARD -i {bridge} -o {bridge} -j ACCEPT
        DOCKER -d {net} ! -i {bridge} -o {bridge} -p tcp -m tcp --dport {inside} -j ACCEPT
        DOCKER-ISOLATION-STAGE-1 -i {bridge} ! -o {bridge} -j DOCKER-ISOLATION-STAGE-2
        DOCKER-ISOLATION-STAGE-1 -j RETURN
        DOCKER-ISOLATION-STAGE-2 -o {bridge} -j DROP
        DOCKER-ISOLATION-STAGE-2 -j RETURN
        DOCKER-USER -j RETURN""",
        "DOCKER",
        "DOCKER-USER",
        "DOCKER-ISOLATION-STAGE-1",
        "DOCKER-ISOLATION-STAGE-2",
    )


def _firewalld(of: Shape) -> None:
    """Zones found by goto (spec: netfilter 13.4)."""
    draw, tables, first = of.draw, of.tables, of.world.interfaces[0]
    net = draw.one(_networks(of.world, of.family))
    refuse = "REJECT --reject-with icmp-host-prohibited" if of.v4 else "REJECT --reject-with icmp6-adm-prohibited"
    icmp = "icmp" if of.v4 else "ipv6-icmp"
    for chain, zone in (("INPUT", "IN"), ("FORWARD", "FWD")):
        zones = f"{chain}_ZONES"
        tables.add(
            "filter",
            f"""{chain} -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT
            {chain} -i lo -j ACCEPT
            {chain} -m conntrack --ctstate INVALID -j DROP
            {chain} -j {zones}
            {chain} -j {refuse}
            {zones} -s {net} -g {zone}_trusted
            {zones} -i {first} -g {zone}_public
            {zones} -g {zone}_public
            {zone}_trusted -j ACCEPT
            {zone}_public -j {zone}_public_allow
            {zone}_public -p {icmp} -j ACCEPT
            {zone}_public_allow -p tcp -m tcp --dport {draw.one(of.world.ports)} -m conntrack --ctstate NEW -j ACCEPT
            {zone}_public_allow -p udp -m udp --dport {draw.one(of.world.ports)} -j ACCEPT""",
            zones,
            f"{zone}_trusted",
            f"{zone}_public",
            f"{zone}_public_allow",
        )
    if draw.chance(0.5):
        tables.add("nat", f"POSTROUTING ! -o lo -j POST_public\nPOST_public -o {first} -j MASQUERADE", "POST_public")


def _with_hosts(of: Shape) -> list[str]:
    hosts = of.world.addresses[of.family].hosts
    return [name for name in of.world.interfaces if hosts.get(name)]


def _nothing(of: Shape) -> None:
    """Calico's rules are rendered for both families at once."""


_SHAPES: dict[str, Callable[[Shape], None]] = {
    "calico": _nothing,
    "kube-proxy": _kube_proxy,
    "docker": _docker,
    "firewalld": _firewalld,
}
