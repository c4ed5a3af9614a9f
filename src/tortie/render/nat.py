"""The chains of the nat table: floating addresses, masquerading of pools, tunnel addresses.

Order and wording are Felix's (spec: rules 3.3 and 8; Felix 3.7 rules/static.go, rules/nat.go, dataplane/linux/masq_mgr.go,
floating_ip_mgr.go). All six chains always exist.
"""

from __future__ import annotations

from collections.abc import Iterable

from tortie.calc.view import IPPool, NatMapping, PortRange
from tortie.net.address import Address, IPFamily, parse_prefix
from tortie.netfilter.match import Side
from tortie.render import names, text
from tortie.render.state import RenderContext
from tortie.render.text import RETURN, FelixRule, rule

METADATA_NET = parse_prefix("169.254.169.254/32")
_METADATA_PORT = PortRange(80, 80)

Rules = list[FelixRule]


def nat_chains(
    context: RenderContext, family: IPFamily, pools: Iterable[IPPool], mappings: Iterable[NatMapping]
) -> dict[str, Rules]:
    """Every chain of ours in nat, in order of generation."""
    own = [mapping for mapping in mappings if mapping.external.family is family]
    return {
        names.PREROUTING: prerouting_rules(context, family),
        names.POSTROUTING: postrouting_rules(context, family),
        names.OUTPUT: [rule(text.jump(names.FLOATING_DNAT))],
        names.FLOATING_DNAT: floating_dnat_rules(own),
        names.FLOATING_SNAT: floating_snat_rules(context, own),
        names.NAT_OUTGOING: nat_outgoing_rules(context, family, pools),
    }


def prerouting_rules(context: RenderContext, family: IPFamily) -> Rules:
    """Floating addresses first, then OpenStack's metadata service."""
    config = context.config
    rules = [rule(text.jump(names.FLOATING_DNAT))]
    address = config.metadata_address
    if family is IPFamily.V4 and config.openstack and address is not None:
        rules.append(
            rule(
                text.dnat(address, config.metadata_port),
                text.protocol("tcp"),
                text.ports(Side.DST, (_METADATA_PORT,)),
                text.net(Side.DST, METADATA_NET),
            )
        )
    return rules


def postrouting_rules(context: RenderContext, family: IPFamily) -> Rules:
    """Floating addresses, pools, and what leaves by a tunnel from an address that is not the tunnel's."""
    config = context.config
    rules = [rule(text.jump(names.FLOATING_SNAT)), rule(text.jump(names.NAT_OUTGOING))]
    tunnels = (
        (names.IPIP_DEVICE, config.ipip_enabled and config.ipip_tunnel_address is not None),
        (names.VXLAN_DEVICE, config.vxlan_enabled and config.vxlan_tunnel_address is not None),
    )
    for device, wanted in tunnels:
        if wanted and family is IPFamily.V4:
            rules.append(
                rule(
                    text.masquerade(random_fully=context.features.masquerade_random_fully),
                    text.out_interface(device),
                    text.SOURCE_NOT_LOCAL_OUT,
                    text.SOURCE_LOCAL,
                )
            )
    return rules


def nat_outgoing_rules(context: RenderContext, family: IPFamily, pools: Iterable[IPPool]) -> Rules:
    """Masquerades what goes from a pool that asks for it to an address outside all pools; nothing if no pool asks."""
    if not any(pool.masquerade and pool.cidr.family is family for pool in pools):
        return []
    config = context.config
    base = (
        text.in_set(names.ip_set_name(family, names.MASQUERADE_POOLS_SET), Side.SRC),
        text.in_set(names.ip_set_name(family, names.ALL_POOLS_SET), Side.DST, inverted=True),
    )
    last = (text.out_interface(config.nat_outgoing_interface),) if config.nat_outgoing_interface else ()
    random_fully = context.features.masquerade_random_fully
    rules: Rules = []
    ports = config.nat_port_range
    if ports is not None and ports.last > 0:
        ranged = text.masquerade(random_fully=random_fully, to_ports=ports)
        for name in ("tcp", "udp"):
            spelt = text.protocol(name)
            rules.append(rule(ranged, *base, spelt, *last))
            rules.append(rule(RETURN, *base, spelt, *last))
    return [*rules, rule(text.masquerade(random_fully=random_fully), *base, *last)]


def floating_dnat_rules(mappings: Iterable[NatMapping]) -> Rules:
    """To each external address its internal one; of several the one that is smallest as text (spec: rules 8.2)."""
    best: dict[Address, Address] = {}
    for mapping in mappings:
        best[mapping.external] = min(best.get(mapping.external, mapping.internal), mapping.internal, key=_spelling)
    return [rule(text.dnat(best[external]), text.host(Side.DST, external)) for external in sorted(best, key=_spelling)]


def floating_snat_rules(context: RenderContext, mappings: Iterable[NatMapping]) -> Rules:
    """What a workload sends to itself by way of its external address must seem to come from there."""
    best: dict[Address, Address] = {}
    for mapping in mappings:
        best[mapping.internal] = min(best.get(mapping.internal, mapping.external), mapping.external, key=_spelling)
    return [
        rule(
            text.snat(best[internal], random_fully=context.features.snat_random_fully),
            text.host(Side.DST, internal),
            text.host(Side.SRC, internal),
        )
        for internal in sorted(best, key=_spelling)
    ]


def _spelling(address: Address) -> str:
    return text.go_address(address.family, address.value)
