"""Draws nodes: interfaces with addresses of both families, routes of every type, policy rules, and sysctls."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tests.kernel.generate.draw import Draw
from tests.kernel.generate.world import Addresses, World
from tests.kernel.scenario import Interface, Topology
from tortie.net.address import IPFamily

_NAMES = (
    ("e0", "e1", "e2", "e3"),
    ("eth0", "eth1", "docker0", "br-1"),
    ("ens3", "cali01", "cali02", "tunl0x"),
    ("eth0.10", "cni0", "vxlan1", "veth1"),
)
MARKS = (0x1, 0x10, 0x64, 0x4000, 0x10000, 0xFF00FF)
_TABLES = ("100", "101")


@dataclass(slots=True)
class _Plan:
    """One family's addresses and commands while they are drawn."""

    family: IPFamily
    own: dict[str, tuple[str, ...]] = field(default_factory=dict)
    hosts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    remote: list[str] = field(default_factory=list)
    nets: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    assigned: dict[str, list[str]] = field(default_factory=dict)
    """Interface to what `ip addr add` is given."""

    @property
    def host_length(self) -> int:
        return 32 if self.family is IPFamily.V4 else 128

    def subnet(self, number: int, host: int) -> str:
        """A host of subnet `number`."""
        return f"10.{number}.0.{host}" if self.family is IPFamily.V4 else f"fd00:{number:x}::{host:x}"

    @property
    def length(self) -> int:
        return 24 if self.family is IPFamily.V4 else 64


def draw_world(seed: str) -> World:
    """A node with its world."""
    draw = Draw(f"world {seed}")
    names = draw.one(_NAMES)[: draw.number(2, 4)]
    plans = {family: _draw_family(draw, family, names) for family in IPFamily}
    interfaces = tuple(
        Interface(
            name,
            tuple(text for plan in plans.values() for text in plan.assigned.get(name, ())),
            draw.weighted([(1500, 6), (1400, 1), (1280, 1)]),
        )
        for name in names
    )
    if (ethernet := Draw(f"ethernet {seed}")).chance(0.3):
        interfaces = tuple(
            replace(one, mac=f"02:00:00:00:01:{number:02x}") if ethernet.chance(0.6) else one
            for number, one in enumerate(interfaces)
        )
    topology = Topology(interfaces, {family: tuple(plan.commands) for family, plan in plans.items()})
    return World(topology, {family: _addresses(plan) for family, plan in plans.items()}, MARKS)


def _draw_family(draw: Draw, family: IPFamily, names: tuple[str, ...]) -> _Plan:
    plan = _Plan(family)
    for number, name in enumerate(names):
        style = draw.weighted([("subnet", 7), ("two", 2), ("workload", 2), ("none", 0.5), ("link", 0.5)])
        if number == 0 and style in ("workload", "none"):
            style = "subnet"
        _draw_interface(draw, plan, number, name, style)
    _draw_routes(draw, plan, names)
    if draw.chance(0.5):
        _draw_policy_rules(draw, plan, names)
    return plan


def _draw_interface(draw: Draw, plan: _Plan, number: int, name: str, style: str) -> None:
    node, hosts = plan.subnet(number, 1), tuple(plan.subnet(number, host) for host in (5, 6, 9))
    plan.assigned[name] = []
    if style == "none":
        plan.hosts[name] = hosts
        return
    if style == "workload":
        # Calico's way: no address on the device, a host route to the one workload behind it.
        plan.commands.append(f"route add {hosts[0]}/{plan.host_length} dev {name} scope link")
        plan.hosts[name] = hosts[:1]
        return
    own = [node]
    plan.assigned[name].append(f"{node}/{plan.length}")
    if style == "two":
        second = plan.subnet(number, 2) if draw.chance(0.5) else plan.subnet(number + 100, 1)
        own.append(second)
        plan.assigned[name].append(f"{second}/{plan.length}")
    if style == "link" and plan.family is IPFamily.V4:
        own.insert(0, f"169.254.{number}.9")
        plan.assigned[name].insert(0, f"169.254.{number}.9/24 scope link")
    plan.own[name] = tuple(own)
    plan.hosts[name] = hosts
    network = plan.subnet(number, 0)
    plan.nets.append(f"{network if plan.family is IPFamily.V4 else network.removesuffix('0')}/{plan.length}")


def _draw_routes(draw: Draw, plan: _Plan, names: tuple[str, ...]) -> None:
    v4 = plan.family is IPFamily.V4
    gateways = [(name, hosts[-1]) for name, hosts in plan.hosts.items() if name in plan.own]
    gateway_of = dict(gateways)
    if draw.chance(0.75):
        name, gateway = draw.one(gateways)
        plan.commands.append(f"route add default via {gateway} dev {name}{' metric 100' if draw.chance(0.3) else ''}")
    for number in range(draw.number(1, 5)):
        host, net = (
            (f"50.{number}.1.1", f"50.{number}.0.0/16") if v4 else (f"2001:db8:{number}::1", f"2001:db8:{number}::/48")
        )
        plan.remote.append(host)
        plan.nets.append(net)
        name = draw.one(names)
        kind = draw.weighted(
            [
                ("via", 5),
                ("dev", 2),
                ("unreachable", 1),
                ("prohibit", 1),
                ("blackhole", 1),
                ("throw", 0.7),
                ("src", 1),
                ("tos", 0.7),
            ]
        )
        via = f"via {gateway_of[name]} dev {name}" if name in gateway_of else f"dev {name}"
        if kind == "via":
            plan.commands.append(f"route add {net} {via}")
        elif kind == "dev":
            plan.commands.append(f"route add {net} dev {name}")
        elif kind == "src" and name in plan.own:
            plan.commands.append(f"route add {net} {via} src {draw.one(plan.own[name])}")
        elif kind == "tos" and v4:
            plan.commands += [f"route add {net} tos 0x10 {via}", f"route add {net} dev {draw.one(names)}"]
        elif kind in ("unreachable", "prohibit", "blackhole", "throw"):
            plan.commands.append(f"route add {kind} {net}")
            if draw.chance(0.3):
                plan.commands.append(f"route add {net} {via} metric 2000")
    plan.remote.append("8.8.8.8" if v4 else "2001:4860::8888")


def _draw_policy_rules(draw: Draw, plan: _Plan, names: tuple[str, ...]) -> None:
    v4 = plan.family is IPFamily.V4
    everything = "0.0.0.0/0" if v4 else "::/0"
    for table in _TABLES:
        name = draw.one(names)
        target = draw.weighted(
            [
                (f"{everything} dev {name}", 5),
                (f"unreachable {everything}", 1),
                (f"blackhole {everything}", 0.7),
                (f"throw {everything}", 0.7),
            ]
        )
        plan.commands.append(f"route add {target} table {table}")
        if plan.remote and draw.chance(0.4):
            plan.commands.append(
                f"route add {draw.one(plan.remote)}/{plan.host_length} dev {draw.one(names)} table {table}"
            )
    selectors = [
        f"fwmark {draw.one(MARKS):#x}",
        f"fwmark {draw.one(MARKS):#x}/{draw.one(MARKS):#x}",
        f"from {draw.one(plan.nets)}",
        f"to {draw.one(plan.nets)}",
        f"iif {draw.one(names)}",
        "iif lo",
        f"oif {draw.one(names)}",
        f"from {draw.one(plan.nets)} iif {draw.one(names)}",
        f"not to {draw.one(plan.nets)}",
        "tos 0x10" if v4 else f"to {draw.one(plan.nets)}",
        f"iif {draw.one(names)} ipproto udp",
        f"iif {draw.one(names)} ipproto tcp dport 80",
        f"iif {draw.one(names)} ipproto udp sport 1000-5000",
    ]
    for priority, selector in zip(range(1000, 1010), draw.some(selectors, 1, 4), strict=False):
        action = draw.weighted(
            [(f"table {draw.one(_TABLES)}", 6), ("prohibit", 0.4), ("unreachable", 0.4), ("blackhole", 0.4)]
        )
        if action.startswith("table") and draw.chance(0.15):
            action = f"table main suppress_prefixlength {draw.one([0, 16])}"
        if selector.startswith(("iif lo", "not", "to", "from")) and action in ("prohibit", "unreachable", "blackhole"):
            action = f"table {draw.one(_TABLES)}"
        plan.commands.append(f"rule add {selector} priority {priority} {action}")


def _addresses(plan: _Plan) -> Addresses:
    odd: tuple[str, ...]
    if plan.family is IPFamily.V4:
        odd = (
            "0.0.0.0", "255.255.255.255", "127.0.0.1", "127.8.8.8", "224.0.0.1", "239.1.2.3", "10.0.0.255", "10.1.0.255",
            "10.0.0.0", "240.0.0.1", "0.1.2.3", "169.254.3.16",
        )  # fmt: skip
        virtual = ("10.96.0.1", "10.96.0.10", "192.0.2.1")
        nets = (
            *plan.nets,
            "10.0.0.0/8",
            "10.96.0.0/12",
            "0.0.0.0/0",
            "10.0.0.5/255.0.255.255",
            "10.0.0.4/30",
            "127.0.0.0/8",
        )
    else:
        odd = ("::", "::1", "ff02::1", "ff0e::1", "fe80::5", "fd00::", "fd00:1::", "2002::1", "ff01::1")
        virtual = ("fd00:96::1", "fd00:96::a", "2001:db8:ffff::1")
        nets = (*plan.nets, "fd00::/8", "fd00:96::/64", "::/0", "fd00::5/ffff::ffff", "fd00::4/126", "fe80::/10")
    return Addresses(plan.own, plan.hosts, tuple(plan.remote), odd, virtual, nets)


_ON_OFF = ("0", "1")


def draw_sysctls(draw: Draw, world: World) -> tuple[tuple[str, str], ...]:
    """Sysctls that matter to a packet's way; most scenarios have few of them changed."""
    changes: list[tuple[str, str]] = [("net/netfilter/nf_conntrack_tcp_be_liberal", "1" if draw.chance(0.8) else "0")]
    devices = ("all", *world.interfaces)
    rare = [
        ("net/ipv4/conf/{dev}/rp_filter", ("0", "1", "2")),
        ("net/ipv4/conf/{dev}/accept_local", _ON_OFF),
        ("net/ipv4/conf/{dev}/route_localnet", _ON_OFF),
        ("net/ipv4/conf/{dev}/src_valid_mark", _ON_OFF),
        ("net/ipv4/conf/{dev}/send_redirects", _ON_OFF),
        ("net/ipv4/conf/{dev}/bc_forwarding", _ON_OFF),
        ("net/ipv4/conf/{dev}/accept_source_route", _ON_OFF),
        ("net/ipv4/conf/{dev}/forwarding", _ON_OFF),
        ("net/ipv6/conf/{dev}/forwarding", _ON_OFF),
        ("net/ipv6/conf/{dev}/force_forwarding", _ON_OFF),
        ("net/ipv4/fwmark_reflect", _ON_OFF),
        ("net/ipv6/fwmark_reflect", _ON_OFF),
        ("net/ipv4/icmp_echo_ignore_all", _ON_OFF),
        ("net/ipv4/icmp_errors_use_inbound_ifaddr", _ON_OFF),
        ("net/netfilter/nf_conntrack_tcp_loose", _ON_OFF),
        ("net/netfilter/nf_conntrack_checksum", _ON_OFF),
        ("net/netfilter/nf_conntrack_acct", _ON_OFF),
    ]
    for name, values in rare:
        if draw.chance(0.08):
            changes.append((name.format(dev=draw.one(devices)), draw.one(values)))
            if name.endswith("route_localnet") and draw.chance(0.5):
                changes.append(("net/ipv4/conf/all/route_localnet", "1"))
    if draw.chance(0.04):
        changes.append(("net/ipv4/ip_forward", "0"))
    if draw.chance(0.04):
        changes.append(("net/ipv6/conf/all/forwarding", "0"))
    return tuple(changes)
