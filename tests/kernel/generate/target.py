"""Draws what a rule does: every target this kernel and Tortie know, where the kernel allows it (spec: netfilter 6).

TEE is not drawn, as the oracle cannot always tell a packet from its copy; `tests/cases/found` has scenarios with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.kernel.generate.match import MatchDraw
from tortie.netfilter.hook import Backend, Hook, TableName

_REJECTS_V4 = (
    "icmp-net-unreachable", "icmp-host-unreachable", "icmp-proto-unreachable", "icmp-port-unreachable",
    "icmp-net-prohibited", "icmp-host-prohibited", "icmp-admin-prohibited",
)  # fmt: skip
_REJECTS_V6 = (
    "icmp6-no-route", "icmp6-adm-prohibited", "icmp6-addr-unreachable", "icmp6-port-unreachable", "icmp6-policy-fail",
    "icmp6-reject-route",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DrawnTarget:
    """The words of a target, the protocol it needs in the rule (None: any), and a match it needs besides."""

    words: str
    protocol: int | None = None
    needs: str = ""


Maker = Callable[[MatchDraw], "DrawnTarget | None"]


def draw_target(of: MatchDraw) -> DrawnTarget:
    """One target that may stand at this place; jumps are drawn by the caller."""
    offers = [*_EVERYWHERE, *_BY_TABLE.get(of.place.table, ())]
    while True:
        target = of.draw.weighted(offers)(of)
        if target is not None:
            return target


def _fixed(words: str) -> Maker:
    def make(of: MatchDraw) -> DrawnTarget:
        return DrawnTarget(words)

    return make


def _drop(of: MatchDraw) -> DrawnTarget | None:
    return None if of.place.table is TableName.NAT else DrawnTarget("-j DROP")


def _mark(of: MatchDraw) -> DrawnTarget:
    value, mask = of.mark(), of.mark()
    form = of.draw.one(
        [f"--set-mark {value:#x}", f"--set-xmark {value:#x}/{mask:#x}", f"--or-mark {value:#x}",
         f"--and-mark {~mask & 0xFFFFFFFF:#x}", f"--xor-mark {value:#x}", f"--set-mark {value:#x}/{value:#x}"]
    )  # fmt: skip
    return DrawnTarget(f"-j MARK {form}")


def _connmark(of: MatchDraw) -> DrawnTarget:
    value, mask = of.mark(), of.draw.one([0xFFFFFFFF, 0xFFFF, of.mark()])
    form = of.draw.one(
        [f"--set-mark {value:#x}", f"--set-xmark {value:#x}/{mask:#x}", "--save-mark", "--restore-mark",
         f"--save-mark --nfmask {mask:#x} --ctmask {value:#x}",
         f"--restore-mark --nfmask {value:#x} --ctmask {mask:#x}", f"--restore-mark --mask {mask:#x}",
         f"--or-mark {value:#x}"]
    )  # fmt: skip
    return DrawnTarget(f"-j CONNMARK {form}")


def _log(of: MatchDraw) -> DrawnTarget:
    # NFLOG group 0 is the trace's own.
    return DrawnTarget(of.draw.one(["-j LOG --log-prefix p", "-j NFLOG --nflog-group 5", "-j AUDIT --type drop"]))


def _set(of: MatchDraw) -> DrawnTarget | None:
    fitting = [one for one in of.sets if one.family in (None, of.place.family) and not one.holds_set]
    if not fitting:
        return None
    chosen = of.draw.one(fitting)
    flags = ",".join(of.draw.one(["src", "dst"]) for _ in range(chosen.dimensions))
    operation = of.draw.weighted([("add", 4), ("del", 2), ("map", 1)])
    tail = {"add": of.draw.one(["", " --exist"]), "del": "", "map": " --map-mark"}[operation]
    if operation == "map" and of.place.table is not TableName.MANGLE:
        return None
    return DrawnTarget(f"-j SET --{operation}-set {chosen.name} {flags}{tail}")


def _queue(of: MatchDraw) -> DrawnTarget:
    return DrawnTarget(of.draw.one(["-j NFQUEUE --queue-num 7 --queue-bypass", "-j NFQUEUE --queue-num 7"]))


def _classify(of: MatchDraw) -> DrawnTarget | None:
    return DrawnTarget("-j CLASSIFY --set-class 1:10") if of.place.has_output else None


def _mss(of: MatchDraw) -> DrawnTarget | None:
    syn = "--tcp-flags SYN,RST SYN"
    if of.place.has_output and of.draw.chance(0.4):
        return DrawnTarget("-j TCPMSS --clamp-mss-to-pmtu", 6, syn)
    return DrawnTarget(f"-j TCPMSS --set-mss {of.draw.one([1000, 1400])}", 6, syn)


def _reject(of: MatchDraw) -> DrawnTarget:
    if of.draw.chance(0.3):
        return DrawnTarget("-j REJECT --reject-with tcp-reset", 6)
    return DrawnTarget(f"-j REJECT --reject-with {of.draw.one(_REJECTS_V4 if of.v4 else _REJECTS_V6)}")


def _notrack(of: MatchDraw) -> DrawnTarget:
    forms = [
        "-j CT --notrack",
        "-j CT --notrack",
        "-j NOTRACK",
        "-j CT --zone 5",
        "-j CT --zone-orig 6",
        "-j CT --zone mark",
        "-j CT",
    ]
    return DrawnTarget(of.draw.one(forms))


def _trace(of: MatchDraw) -> DrawnTarget:
    return DrawnTarget("-j TRACE" if of.place.backend is Backend.NFT else "-j NFLOG --nflog-group 6")


def _ttl(of: MatchDraw) -> DrawnTarget:
    name = "TTL --ttl" if of.v4 else "HL --hl"
    return DrawnTarget(f"-j {name}-{of.draw.one(['set 64', 'set 1', 'dec 1', 'dec 100', 'inc 5', 'inc 255'])}")


def _tos(of: MatchDraw) -> DrawnTarget:
    forms = [
        "TOS --set-tos 0x10",
        "TOS --set-tos 0x10/0x1c",
        "TOS --or-tos 0x08",
        "TOS --and-tos 0xf0",
        "DSCP --set-dscp 46",
        "DSCP --set-dscp-class AF11",
    ]
    return DrawnTarget(f"-j {of.draw.one(forms)}")


def _ecn(of: MatchDraw) -> DrawnTarget | None:
    return DrawnTarget("-j ECN --ecn-tcp-remove", 6) if of.v4 else None


def _strip(of: MatchDraw) -> DrawnTarget:
    return DrawnTarget(f"-j TCPOPTSTRIP --strip-options {of.draw.one(['2', '3,8', '4'])}", 6)


def _tproxy(of: MatchDraw) -> DrawnTarget | None:
    if not of.place.only(Hook.PREROUTING):
        return None
    return DrawnTarget("-j TPROXY --on-port 9 --tproxy-mark 0x1", of.draw.one([6, 17]))


def _address_range(of: MatchDraw, *, ports: bool) -> tuple[str, int | None]:
    """Where NAT goes: an address, a range, a port; the protocol that ports need."""
    addresses = of.world.addresses[of.place.family]
    draw = of.draw
    target = draw.one((*addresses.all_hosts, *addresses.all_own, *addresses.remote))
    if draw.chance(0.25):
        low = draw.one(addresses.all_hosts)
        target = f"{low}-{low[:-1]}{'99' if of.v4 else 'ff'}"
    if draw.chance(0.04) and ports:
        target = "127.0.0.1" if of.v4 else "::1"
    if not (ports and draw.chance(0.5)):
        return target, None
    if not of.v4:
        target = f"[{target}]"
    port = draw.one(["8080", "53", "5000-5003", "3000", "80-90", "1024-65535"])
    return f"{target}:{port}", draw.one([6, 17])


def _dnat(of: MatchDraw) -> DrawnTarget | None:
    if not of.place.only(Hook.PREROUTING, Hook.OUTPUT):
        return None
    target, protocol = _address_range(of, ports=True)
    if protocol is not None and of.draw.chance(0.15):
        target = f"{target.rpartition(':')[0]}:5000-5010/{of.draw.one([53, 7000, 5000])}"
    flags = of.draw.weighted([("", 8), (" --random", 1), (" --persistent", 1)])
    return DrawnTarget(f"-j DNAT --to-destination {target}{flags}", protocol)


def _redirect(of: MatchDraw) -> DrawnTarget | None:
    if not of.place.only(Hook.PREROUTING, Hook.OUTPUT):
        return None
    if of.draw.chance(0.5):
        return DrawnTarget(f"-j REDIRECT --to-ports {of.draw.one(['8080', '5000-5003'])}", of.draw.one([6, 17]))
    return DrawnTarget("-j REDIRECT")


def _snat(of: MatchDraw) -> DrawnTarget | None:
    if not of.place.only(Hook.INPUT, Hook.POSTROUTING):
        return None
    target, protocol = _address_range(of, ports=True)
    flags = of.draw.weighted([("", 8), (" --random", 1), (" --random-fully", 1), (" --persistent", 1)])
    return DrawnTarget(f"-j SNAT --to-source {target}{flags}", protocol)


def _masquerade(of: MatchDraw) -> DrawnTarget | None:
    if not of.place.only(Hook.POSTROUTING):
        return None
    if of.draw.chance(0.25):
        return DrawnTarget(
            f"-j MASQUERADE --to-ports {of.draw.one(['3000', '2000-2003', '1024-65535'])}", of.draw.one([6, 17])
        )
    return DrawnTarget(f"-j MASQUERADE{of.draw.weighted([('', 6), (' --random', 1), (' --random-fully', 1)])}")


def _netmap(of: MatchDraw) -> DrawnTarget:
    nets = [
        net
        for net in of.world.addresses[of.place.family].nets
        if "/255" not in net and "/ffff" not in net and not net.endswith("/0")
    ]
    return DrawnTarget(f"-j NETMAP --to {of.draw.one(nets)}")


_EVERYWHERE: tuple[tuple[Maker, float], ...] = (
    (_fixed("-j ACCEPT"), 4), (_drop, 1.5), (_fixed("-j RETURN"), 1.5), (_fixed(""), 1.5), (_mark, 5), (_connmark, 2),
    (_log, 0.7), (_set, 2), (_queue, 0.1), (_classify, 0.3), (_mss, 0.4),
)  # fmt: skip
_BY_TABLE: dict[TableName, tuple[tuple[Maker, float], ...]] = {
    TableName.RAW: ((_notrack, 2), (_trace, 0.2)),
    TableName.MANGLE: (
        (_ttl, 1),
        (_tos, 1.5),
        (_ecn, 0.2),
        (_strip, 0.4),
        (_tproxy, 0.4),
        (_fixed("-j CHECKSUM --checksum-fill"), 0.2),
    ),
    TableName.NAT: ((_dnat, 12), (_redirect, 4), (_snat, 10), (_masquerade, 8), (_netmap, 2)),
    TableName.FILTER: ((_reject, 3),),
    TableName.SECURITY: (),
}
