"""Draws ip sets of every type, filled from the world's constants."""

from __future__ import annotations

from tests.kernel.generate.draw import Draw
from tests.kernel.generate.match import NamedSet
from tests.kernel.generate.world import World
from tortie.net.address import IPFamily

TYPES: dict[str, tuple[str, ...]] = {
    "hash:ip": ("ip",),
    "hash:net": ("net",),
    "hash:ip,port": ("ip", "port"),
    "hash:net,port": ("net", "port"),
    "hash:ip,port,ip": ("ip", "port", "ip"),
    "hash:ip,port,net": ("ip", "port", "net"),
    "hash:net,iface": ("net", "iface"),
    "bitmap:port": ("port",),
    "bitmap:ip": ("ip",),
    "bitmap:ip,mac": ("ip", "mac"),
}
"""Set types of the oracle's kernel and their dimensions (spec: netfilter 8.1); list:set is drawn apart."""


def draw_ip_sets(draw: Draw, world: World, most: int = 5) -> tuple[str, list[NamedSet]]:
    """Restore text and what rules may name."""
    lines: list[str] = []
    named: list[NamedSet] = []
    for number in range(draw.number(0, most)):
        name = f"s{number}"
        kind = draw.one(list(TYPES))
        family = IPFamily.V4 if kind.startswith("bitmap:ip") else draw.one(list(IPFamily))
        lines += _one_set(draw, world, name, kind, family)
        named.append(NamedSet(name, len(TYPES[kind]), None if kind == "bitmap:port" else family))
    if len(named) > 1 and draw.chance(0.3):
        members = draw.some(named, 1, 3)
        lines.append("create sl list:set size 8")
        lines += [f"add sl {member.name}" for member in members]
        families = {member.family for member in members}
        if len(families - {None}) <= 1:
            family_of_list = next(iter(families - {None}), None)
            named.append(NamedSet("sl", max(member.dimensions for member in members), family_of_list, holds_set=True))
    return "".join(f"{line}\n" for line in lines), named


def _one_set(draw: Draw, world: World, name: str, kind: str, family: IPFamily) -> list[str]:
    options = []
    if kind == "bitmap:port":
        options.append("range 0-65535")
    elif kind.startswith("bitmap:ip"):
        options.append("range 10.0.0.0/16")
    else:
        options.append(f"family {'inet' if family is IPFamily.V4 else 'inet6'}")
        if kind == "hash:ip" and draw.chance(0.15):
            options.append(f"netmask {30 if family is IPFamily.V4 else 126}")
    counters = draw.chance(0.15)
    skbinfo = draw.chance(0.1)
    if counters:
        options.append("counters")
    if skbinfo:
        options.append("skbinfo")
    if draw.chance(0.1):
        options.append("timeout 600")
    lines = [f"create {name} {kind} {' '.join(options)}"]
    seen: set[str] = set()
    for _ in range(draw.number(0, 7)):
        element = _element(draw, world, kind, family)
        if element is None or element in seen:
            continue
        seen.add(element)
        extra = ""
        if "net" in kind and draw.chance(0.2):
            extra += " nomatch"
        if counters and draw.chance(0.5):
            extra = f" packets {draw.number(0, 3)} bytes 100" + extra
        if skbinfo and draw.chance(0.5):
            extra += f" skbmark {draw.one(world.marks):#x}/{draw.one(world.marks):#x}"
        lines.append(f"add {name} {element}{extra}")
    return lines


def _element(draw: Draw, world: World, kind: str, family: IPFamily) -> str | None:
    addresses = world.addresses[family]
    if kind.startswith("bitmap:ip"):
        inside = [address for address in addresses.all_hosts if address.startswith("10.0.")]
        if not inside:
            return None
        return draw.one(inside) + (
            f",{draw.one(['02:00:00:00:00:99', '02:00:00:00:00:01'])}" if "mac" in kind and draw.chance(0.5) else ""
        )
    parts = []
    for dimension in TYPES[kind]:
        match dimension:
            case "ip":
                parts.append(draw.one(addresses.ordinary))
            case "net":
                nets = [
                    net for net in addresses.nets if "/255" not in net and "/ffff" not in net and not net.endswith("/0")
                ]
                parts.append(draw.one(nets) if draw.chance(0.6) else draw.one(addresses.ordinary))
            case "port" if kind == "bitmap:port":
                parts.append(str(draw.one((*world.ports, *world.client_ports))))
            case "port":
                parts.append(_port(draw, world, family))
            case _:
                parts.append(draw.one((*world.interfaces, "lo")))
    return ",".join(parts)


def _port(draw: Draw, world: World, family: IPFamily) -> str:
    port = draw.one((*world.ports, *world.client_ports))
    icmp = "icmp:8/0" if family is IPFamily.V4 else "icmpv6:128/0"
    return draw.weighted(
        [
            (f"tcp:{port}", 4),
            (f"udp:{port}", 4),
            (icmp, 1),
            ("89:0", 0.5),
            (f"sctp:{port}", 0.5),
            (f"tcp:{port}-{port + 5}", 0.5),
        ]
    )
