"""Configuration for BIRD 1.6: one daemon and three files a family, as Calico lays them out (spec: model 9.4 to 9.7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tortie.bgp import route_filter
from tortie.bgp.route_filter import TunnelWord
from tortie.bgp.speaker import LogLevel, Peer, Speaker
from tortie.net.address import IPFamily

MAIN_FILES = {IPFamily.V4: "bird.cfg", IPFamily.V6: "bird6.cfg"}
"""What each daemon is started with; the others are included."""


def bird1_files(speaker: Speaker, tunnel_word: TunnelWord = TunnelWord.UNKNOWN) -> dict[str, str]:
    """File name to text; included files come before those that include them."""
    files: dict[str, str] = {}
    for family, main in MAIN_FILES.items():
        stem = main.removesuffix(".cfg")
        files[f"{stem}_aggr.cfg"] = _text(_aggregation(speaker, family))
        files[f"{stem}_ipam.cfg"] = _text(_filters(speaker, family, tunnel_word))
        files[main] = _text(_main(speaker, family, stem))
    return files


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def log_lines(level: LogLevel) -> tuple[str, ...]:
    """What a protocol logs."""
    return {
        LogLevel.DEBUG: ("debug all;",),
        LogLevel.INFO: ("debug { states };",),
        LogLevel.NONE: (),
    }[level]


def interface_pattern(prefixes: tuple[str, ...]) -> str:
    """All interfaces but those of workloads, as `protocol direct` wants them."""
    return ", ".join((*(f'-"{prefix}*"' for prefix in prefixes), '"*"'))


def block(head: str, body: Iterable[str], tail: str = "}") -> Iterator[str]:
    """A statement with a body, indented."""
    yield f"{head} {{"
    yield from (f"  {line}" for line in body)
    yield tail


def static_lines(speaker: Speaker, family: IPFamily) -> tuple[str, ...]:
    """The routes that this node answers for: its blocks, whatever their state, and for IPv4 the announced services."""
    nets = [own.cidr for own in speaker.blocks if own.cidr.family is family]
    if family is IPFamily.V4:
        nets += [net for net in speaker.static_routes if net.family is family]
    return tuple(f"route {net} blackhole;" for net in nets)


def _aggregation(speaker: Speaker, family: IPFamily) -> Iterator[str]:
    routes = static_lines(speaker, family)
    if routes:
        yield from block("protocol static", routes)
    yield from route_filter.aggregation_lines(speaker, family)


def _filters(speaker: Speaker, family: IPFamily, tunnel_word: TunnelWord) -> Iterator[str]:
    yield from route_filter.announced_lines(speaker, family)
    if family is IPFamily.V4:
        yield from route_filter.installed_lines(speaker, tunnel_word)


def _main(speaker: Speaker, family: IPFamily, stem: str) -> Iterator[str]:
    log = log_lines(speaker.log_level)
    yield f'include "{stem}_aggr.cfg";'
    yield f'include "{stem}_ipam.cfg";'
    yield f"router id {speaker.router_id};"
    exported = f"filter {route_filter.INSTALLED}" if family is IPFamily.V4 else "all"
    kernel = ("learn;", "persist;", "scan time 2;", "import all;", f"export {exported};", "graceful restart;")
    yield from block("protocol kernel", kernel)
    yield from block("protocol device", (*log, "scan time 2;"))
    yield from block("protocol direct", (*log, f"interface {interface_pattern(speaker.workload_prefixes)};"))
    address = speaker.address(family)
    if address is None:
        yield f"# {speaker.node} has no IPv{family.value} address: no BGP"
        return
    template = (
        *log,
        'description "Connection to BGP peer";',
        f"local as {speaker.as_number};",
        "multihop;",
        "gateway recursive;",
        "import all;",
        f"export filter {route_filter.ANNOUNCED};",
        f"source address {address};",
        "add paths on;",
        "graceful restart;",
        "connect delay time 2;",
        "connect retry time 5;",
        "error wait time 5,30;",
    )
    yield from block("template bgp bgp_template", template)
    for peer in speaker.peers_of(family):
        yield from block(f"protocol bgp {peer.name} from bgp_template", peer_lines(peer, speaker.cluster_id))


def peer_lines(peer: Peer, cluster_id: str) -> Iterator[str]:
    """What is said of one peer; the same in both versions of BIRD."""
    yield f"neighbor {peer.address} as {peer.as_number};"
    if peer.passive:
        yield "passive on;"
    if peer.reflect_to:
        yield "rr client;"
        yield f"rr cluster id {cluster_id};"
