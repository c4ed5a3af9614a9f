"""Whether IPv4 believes a packet's source: rp_filter, own addresses as source, and `-m rpfilter`.

Both look the source up as if it were a destination, with the packet's destination as source. rp_filter and accept_local
are part of input routing (fib_validate_source in net/ipv4/fib_frontend.c): the lookup then runs with the *output* device as
its input device when the packet is forwarded, as sent by the node itself when it is delivered. Without rp_filter the kernel
takes a short cut that only knows own addresses, unless policy rules or local routes were ever changed; where the full check
would say more, the answer carries an assumption. The match (net/ipv4/netfilter/ipt_rpfilter.c) has neither of these.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tortie.net.address import IPFamily, format_address
from tortie.net.node import RouteType
from tortie.net.packet import Packet
from tortie.net.protocol import AH, PORT_PROTOCOLS
from tortie.net.wire import FRAGMENT
from tortie.simulator.device import LOOPBACK, Devices
from tortie.simulator.policy import Flow, Policy4
from tortie.simulator.route_maker import RouteMaker
from tortie.simulator.setting import Settings

_UNTOUCHED = "no policy rule or local route was ever changed in this namespace, so sources are not looked up"


@dataclass(frozen=True, slots=True)
class Checked:
    """What the check says of a source: believed, refused (`reason` is the kernel's word for it), or in doubt."""

    reason: str = ""
    sysctl: str | None = None
    why: str = ""
    direct: bool = False
    """The source is on the link of the input device."""
    doubt: str = ""
    assumptions: tuple[str, ...] = ()


def dissect(packet: Packet) -> tuple[int, int, int]:
    """Protocol and ports as input routing reads them for policy rules (__skb_flow_dissect in net/core/flow_dissector.c).

    No ports from fragments, not even from the first or a lone one; an AH header hides what is behind it.
    """
    for number, _ in packet.extensions:
        if number == AH:
            return AH, 0, 0
        if number == FRAGMENT:
            return packet.proto, 0, 0
    if packet.is_fragment or packet.proto not in PORT_PROTOCOLS:
        return packet.proto, 0, 0
    if packet.transport is None:
        return packet.proto, packet.sport, packet.dport
    if len(packet.transport) < 4:
        return packet.proto, 0, 0
    return packet.proto, int.from_bytes(packet.transport[:2], "big"), int.from_bytes(packet.transport[2:4], "big")


class SourceCheck:
    """The check of one node."""

    __slots__ = ("_custom_local", "_devices", "_maker", "_own", "_policy", "_settings")

    def __init__(
        self, policy: Policy4, devices: Devices, settings: Settings, maker: RouteMaker, own: frozenset[int], *,
        custom_local: bool,
    ) -> None:  # fmt: skip
        """`own` holds the node's addresses; `custom_local` says that somebody added routes of type local."""
        self._policy = policy
        self._devices = devices
        self._settings = settings
        self._maker = maker
        self._own = own
        self._custom_local = custom_local

    def check(self, packet: Packet, in_iface: str, mark: int, *, dst: int, out_iface: str = "") -> Checked:
        """The check of input routing; `dst` is 0 for broadcast and groups, `out_iface` empty unless forwarded."""
        setting = self._settings.conf("rp_filter", in_iface)
        flow = self._reverse_flow(packet, dst, out_iface, in_iface, mark)
        checked = self._check(packet.src, flow, in_iface, out_iface, setting.value)
        if not setting.known:
            strict = self._check(packet.src, flow, in_iface, out_iface, 1)
            loose = self._check(packet.src, flow, in_iface, out_iface, 2)
            if {strict.reason, loose.reason} != {checked.reason}:
                checked = replace(checked, assumptions=(*checked.assumptions, setting.assumption))
        if checked.reason == "IP_RPFILTER":
            return replace(checked, sysctl=setting.name)
        return checked

    def _check(self, src: int, flow: Flow, in_iface: str, out_iface: str, rp_filter: int) -> Checked:
        redirects = in_iface == out_iface and self._settings.conf("send_redirects", in_iface).value
        if rp_filter or redirects:
            return self._look_up(src, flow, in_iface, rp_filter)
        accepting = self._settings.conf("accept_local", in_iface)
        if accepting.value:
            return Checked()
        if self._custom_local or self._policy.custom:
            return self._look_up(src, flow, in_iface, rp_filter)
        if src in self._own:
            return self._own_source(src, in_iface)
        full = self._look_up(src, flow, in_iface, 0)
        return Checked(assumptions=(_UNTOUCHED,)) if full.reason and not full.doubt else Checked()

    def _look_up(self, src: int, flow: Flow, in_iface: str, rp_filter: int) -> Checked:
        """__fib_validate_source: the route back to the source."""
        found = self._policy.lookup(flow)
        if found.doubt:
            return Checked(doubt=f"the way back to {_text(src)}: {found.doubt}")
        if found.errno:
            return _no_way_back(src, in_iface, "no route leads to it", rp_filter)
        entry = found.entry
        assert entry is not None
        local = entry.route.type is RouteType.LOCAL
        if local:
            if not self._settings.conf("accept_local", in_iface).value:
                return self._own_source(src, in_iface)
        elif entry.route.type is not RouteType.UNICAST:
            why = f"the source {_text(src)} is no host's: {self._maker.describe(found)}"
            return Checked("IP_INVALID_SOURCE", why=why)
        if found.hop is not None and found.hop.iface is None:
            return Checked(doubt=f"the way back to {_text(src)}: {self._maker.describe(found)}: {found.hop.doubt}")
        if any(hop.iface == in_iface for hop in entry.hops) or (local and self._devices.is_loopback(in_iface)):
            return Checked(direct=found.hop is not None and found.hop.direct, assumptions=found.assumptions)
        if self._devices.known and not self._devices.addresses.get(in_iface):
            return _no_way_back(src, in_iface, f"{in_iface} has no IPv4 address", rp_filter)
        if rp_filter == 1:
            refused = _no_way_back(src, in_iface, self._maker.describe(found), 1)
            return replace(refused, assumptions=found.assumptions)
        by_device = self._policy.lookup(flow._replace(oif=in_iface), ignoring_carrier=True)
        hop = by_device.hop
        direct = (
            hop is not None
            and not by_device.errno
            and by_device.entry is not None
            and by_device.entry.route.type is RouteType.UNICAST
            and hop.direct
        )
        return Checked(direct=direct)

    def _own_source(self, src: int, in_iface: str) -> Checked:
        setting = self._settings.conf("accept_local", in_iface)
        why = f"the source {_text(src)} is an address of this node ({setting.name} is off)"
        return Checked("IP_LOCAL_SOURCE", setting.name, why, assumptions=() if setting.known else (setting.assumption,))

    def _reverse_flow(self, packet: Packet, dst: int, out_iface: str, in_iface: str, mark: int) -> Flow:
        used = mark if mark and self._settings.conf("src_valid_mark", in_iface).value else 0
        proto, sport, dport = dissect(packet) if self._policy.dissects else (0, 0, 0)
        return Flow(packet.src, dst, packet.tos, used, out_iface or LOOPBACK, "", 0, proto, dport, sport)

    def passes_match(self, packet: Packet, in_iface: str, mark: int, *, loose: bool, accept_local: bool) -> bool | str:
        """`-m rpfilter`; text says what is not known."""
        src, dst = packet.src, packet.dst
        if self._devices.is_loopback(in_iface):
            return True
        if src == 0 and (dst == 0xFFFFFFFF or dst >> 8 == 0xE00000):
            return True
        back = 0 if dst >> 28 == 14 or dst == 0xFFFFFFFF else dst
        found = self._policy.lookup(Flow(src, back, packet.tos, mark), ignoring_carrier=True)
        if found.doubt:
            return found.doubt
        if found.errno or found.entry is None:
            return False
        kind = found.entry.route.type
        if kind is not RouteType.UNICAST and not (kind is RouteType.LOCAL and accept_local):
            return False
        return loose or any(hop.iface == in_iface for hop in found.entry.hops)


def _text(address: int) -> str:
    return format_address(IPFamily.V4, address)


def _no_way_back(src: int, in_iface: str, because: str, rp_filter: int) -> Checked:
    if not rp_filter:
        return Checked()
    how = "strict" if rp_filter == 1 else "loose"
    return Checked("IP_RPFILTER", why=f"{how} reverse-path filter on {in_iface}: the source is {_text(src)}, and {because}")
