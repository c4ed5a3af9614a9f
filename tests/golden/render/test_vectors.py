"""Every vector of rules and hashes that is known of Felix 3.7.5, rendered by us.

The files beside this one and the tables below are the vectors of spec rules 13.1 to 13.7 as they stand: those of 13.2 to
13.7 agree with the original renderer run on the same inputs, 13.1 with its own unit tests. A hash stands for its rule and
all rules before it, so a last hash stands for a whole chain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from tests.golden.render.vectors import Vector, printed, read_vectors
from tortie.calc.set_id import named_port_set_id, selector_set_id
from tortie.calc.view import (
    ActiveRule,
    EndpointTier,
    HostEndpoint,
    IcmpTest,
    IPPool,
    NatMapping,
    PortRange,
    RuleAction,
    RuleSide,
    WorkloadEndpoint,
    WorkloadId,
)
from tortie.net.address import IPFamily, parse_address, parse_prefix
from tortie.netfilter.hook import TableName
from tortie.render import dispatch, nat, static
from tortie.render import endpoint as endpoint_chains
from tortie.render.config import parse_config
from tortie.render.endpoint import (
    EndpointChain,
    EndpointRenderer,
    MarkChain,
    host_filter_chains,
    host_mangle_chains,
    host_raw_chains,
)
from tortie.render.hash import rule_hashes
from tortie.render.marks import allocate_bits, allocate_endpoint_marks
from tortie.render.policy import policy_rules
from tortie.render.state import Features, RenderContext
from tortie.render.text import FelixRule

V4, V6 = IPFamily.V4, IPFamily.V6
RAW, MANGLE, NAT, FILTER = TableName.RAW, TableName.MANGLE, TableName.NAT, TableName.FILTER
Chains = dict[str, list[FelixRule]]

IPIP = {"IpInIpEnabled": "true"}
IPIP_ADDRESS = {**IPIP, "IpInIpTunnelAddr": "10.65.0.1"}
VXLAN = {"VXLANEnabled": "true"}
VXLAN_ADDRESS = {**VXLAN, "IPv4VXLANTunnelAddr": "10.65.0.1"}
OPENSTACK = {"ClusterType": "openstack,bgp"}
METADATA = {**OPENSTACK, "MetadataAddr": "10.0.0.1"}
NO_METADATA = {**OPENSTACK, "MetadataAddr": "none"}
TWO_PREFIXES = {"InterfacePrefix": "cali,tap"}
MASQUERADED = (IPPool(parse_prefix("10.65.0.0/16"), True), IPPool(parse_prefix("fd00::/64"), True))


def context(
    parameters: dict[str, str] | None = None,
    *,
    ipvs: bool = False,
    features: Features | None = None,
    felix_exact: bool = True,
) -> RenderContext:
    config, warnings = parse_config(parameters or {}, felix_exact=felix_exact)
    assert not warnings
    return RenderContext(config, allocate_bits(config.mark_mask), features or Features(), ipvs)


def tables(
    family: IPFamily = V4, parameters: dict[str, str] | None = None, *, ipvs: bool = False, old_iptables: bool = False
) -> dict[TableName, Chains]:
    """Every static chain, by table."""
    features = Features(snat_random_fully=False, masquerade_random_fully=False) if old_iptables else Features()
    shared = context(parameters, ipvs=ipvs, features=features)
    mapping = NatMapping(parse_address("172.16.1.3"), parse_address("10.65.0.2"))
    return {name: static.static_chains(shared, name, family) for name in (RAW, MANGLE, FILTER)} | {
        NAT: nat.nat_chains(shared, family, MASQUERADED, [mapping])
    }


# --- the hash alone (13.1) ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", read_vectors("algorithm").values(), ids=read_vectors("algorithm"))
def test_hash_of_words(vector: Vector) -> None:
    assert tuple(rule_hashes(vector.chain, [words for _, words in vector.lines])) == tuple(
        digest for digest, _ in vector.lines
    )


# --- hooks (13.2) ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", read_vectors("hooks").values(), ids=read_vectors("hooks"))
def test_hook(vector: Vector) -> None:
    for table in (RAW, MANGLE, NAT, FILTER):
        hooks = static.hook_rules(table)
        assert (vector.chain in hooks) == (table.value in vector.note.split(", "))
        if vector.chain in hooks:
            assert printed(vector.chain, hooks[vector.chain]) == vector.lines


# --- static chains (13.3) ----------------------------------------------------------------------------------------

STATIC: dict[str, list[FelixRule]] = {
    "cali-PREROUTING: raw, IPv4": tables()[RAW]["cali-PREROUTING"],
    "cali-PREROUTING: raw, IPv6": tables(V6)[RAW]["cali-PREROUTING"],
    "cali-OUTPUT: raw": tables()[RAW]["cali-OUTPUT"],
    "cali-failsafe-in: raw; the first seven are also the whole mangle and filter chain": tables()[RAW]["cali-failsafe-in"],
    "cali-PREROUTING: mangle": tables()[MANGLE]["cali-PREROUTING"],
    "cali-PREROUTING: nat": tables()[NAT]["cali-PREROUTING"],
    "cali-OUTPUT: nat": tables()[NAT]["cali-OUTPUT"],
    "cali-POSTROUTING: nat, IPv4, IPIP and VXLAN on, both tunnel addresses set": tables(
        V4, {**IPIP_ADDRESS, **VXLAN_ADDRESS}
    )[NAT]["cali-POSTROUTING"],
    "cali-fip-dnat: 172.16.1.3 to 10.65.0.2": tables()[NAT]["cali-fip-dnat"],
    "cali-fip-snat: same mapping": tables()[NAT]["cali-fip-snat"],
    "cali-FORWARD: filter": tables()[FILTER]["cali-FORWARD"],
    "cali-INPUT: filter, plain; also every IPv6 non-IPVS case": tables()[FILTER]["cali-INPUT"],
    "cali-INPUT: filter, IPv4, IPIP and VXLAN on": tables(V4, {**IPIP, **VXLAN})[FILTER]["cali-INPUT"],
    "cali-OUTPUT: filter, plain; also every IPv6 non-IPVS case": tables()[FILTER]["cali-OUTPUT"],
    "cali-OUTPUT: filter, IPv4, IPIP and VXLAN on": tables(V4, {**IPIP, **VXLAN})[FILTER]["cali-OUTPUT"],
    "cali-wl-to-host: filter, IPv4": tables()[FILTER]["cali-wl-to-host"],
    "cali-forward-check: IPVS, IPv4": tables(ipvs=True)[FILTER]["cali-forward-check"],
    "cali-forward-endpoint-mark: IPVS": tables(ipvs=True)[FILTER]["cali-forward-endpoint-mark"],
}


@pytest.mark.parametrize(("name", "vector"), read_vectors("static").items(), ids=read_vectors("static"))
def test_static_chain(name: str, vector: Vector) -> None:
    assert printed(vector.chain, STATIC[name]) == vector.lines


@pytest.mark.parametrize("table", [MANGLE, FILTER])
@pytest.mark.parametrize("family", [V4, V6])
def test_failsafe_in_has_replies_only_in_raw(table: TableName, family: IPFamily) -> None:
    whole = read_vectors("static")["cali-failsafe-in: raw; the first seven are also the whole mangle and filter chain"]
    assert printed("cali-failsafe-in", tables(family)[table]["cali-failsafe-in"]) == whole.lines[:7]


@pytest.mark.parametrize("parameters", [{}, IPIP_ADDRESS, VXLAN_ADDRESS], ids=["plain", "IPIP", "VXLAN"])
@pytest.mark.parametrize("chain", ["cali-INPUT", "cali-OUTPUT"])
def test_tunnels_do_not_show_in_ipv6(chain: str, parameters: dict[str, str]) -> None:
    vector = read_vectors("static")[f"{chain}: filter, plain; also every IPv6 non-IPVS case"]
    assert printed(chain, tables(V6, parameters)[FILTER][chain]) == vector.lines


# --- static chains, variants (13.4) ------------------------------------------------------------------------------

Case = tuple[str, Callable[[], dict[TableName, Chains]], TableName, str, int, str]
VARIANTS: list[Case] = [
    ("raw, IPv4, two prefixes", lambda: tables(V4, TWO_PREFIXES), RAW, "cali-PREROUTING", 5, "r2vhCtTX09HZaA3P"),
    ("raw, IPv6, two prefixes", lambda: tables(V6, TWO_PREFIXES), RAW, "cali-PREROUTING", 6, "wxHKEgcOdfR3BjuL"),
    ("filter", lambda: tables(), FILTER, "cali-failsafe-out", 7, "UwLSebGONJUG4yG-"),
    ("raw", lambda: tables(), RAW, "cali-failsafe-out", 14, "Ot9A94gzys2kTtDj"),
    (
        "mangle returns",
        lambda: tables(V4, {"IptablesMangleAllowAction": "RETURN"}),
        MANGLE,
        "cali-PREROUTING",
        4,
        "TIsuIlT5Zof96VNA",
    ),
    ("OpenStack metadata", lambda: tables(V4, METADATA), NAT, "cali-PREROUTING", 2, "IIdsIBttB5onaREL"),
    ("no tunnel address", lambda: tables(V4, {**IPIP, **VXLAN}), NAT, "cali-POSTROUTING", 2, "nYKhEzDlr11Jccal"),
    ("IPv6", lambda: tables(V6, {**IPIP_ADDRESS, **VXLAN_ADDRESS}), NAT, "cali-POSTROUTING", 2, "nYKhEzDlr11Jccal"),
    ("IPIP only", lambda: tables(V4, IPIP_ADDRESS), NAT, "cali-POSTROUTING", 3, "SXWvdsbh4Mw7wOln"),
    (
        "IPIP only, no random-fully",
        lambda: tables(V4, IPIP_ADDRESS, old_iptables=True),
        NAT,
        "cali-POSTROUTING",
        3,
        "JHlpT-eSqR1TvyYm",
    ),
    ("VXLAN only", lambda: tables(V4, VXLAN_ADDRESS), NAT, "cali-POSTROUTING", 3, "e9dnSgSVNmIcpVhP"),
    (
        "NATPortRange",
        lambda: tables(V4, {"NATPortRange": "32768:65000"}),
        NAT,
        "cali-nat-outgoing",
        5,
        "WHZyKh8vCvcKwq5Y",
    ),
    ("IPv4", lambda: tables(), NAT, "cali-nat-outgoing", 1, "flqWnvo8yq4ULQLa"),
    (
        "IPv4, no random-fully",
        lambda: tables(V4, old_iptables=True),
        NAT,
        "cali-nat-outgoing",
        1,
        "Dw4T8UWPnCLxRJiI",
    ),
    ("IPv6", lambda: tables(V6), NAT, "cali-nat-outgoing", 1, "Ir_z2t1P6-CxTDof"),
    (
        "outgoing interface",
        lambda: tables(V4, {"IptablesNATOutgoingInterfaceFilter": "eth+"}),
        NAT,
        "cali-nat-outgoing",
        1,
        "9xQAFI8zaY6lTKhP",
    ),
    (
        "filter returns",
        lambda: tables(V4, {"IptablesFilterAllowAction": "RETURN"}),
        FILTER,
        "cali-FORWARD",
        6,
        "SU7Iw8UzmfuuJbVr",
    ),
    ("two prefixes", lambda: tables(V4, TWO_PREFIXES), FILTER, "cali-FORWARD", 8, "ypjUGu2WdBeOF0kU"),
    ("IPVS", lambda: tables(ipvs=True), FILTER, "cali-INPUT", 8, "JEbIi4mUTjL17qKC"),
    ("IPVS, IPv6", lambda: tables(V6, {**IPIP, **VXLAN}, ipvs=True), FILTER, "cali-INPUT", 8, "JEbIi4mUTjL17qKC"),
    ("IPIP", lambda: tables(V4, IPIP), FILTER, "cali-INPUT", 7, "q-Vz2ZT9iGE331LL"),
    ("VXLAN", lambda: tables(V4, VXLAN), FILTER, "cali-INPUT", 7, "n8W0ObaEpzyxlXkF"),
    ("IPVS, IPIP", lambda: tables(V4, IPIP, ipvs=True), FILTER, "cali-INPUT", 10, "inBL01YlfurT0dbI"),
    (
        "IPVS, IPIP, VXLAN",
        lambda: tables(V4, {**IPIP, **VXLAN}, ipvs=True),
        FILTER,
        "cali-INPUT",
        12,
        "Lt36ml4ocJnCjZPe",
    ),
    ("IPIP", lambda: tables(V4, IPIP), FILTER, "cali-OUTPUT", 6, "tvSSMDBWrme3CUqM"),
    ("VXLAN", lambda: tables(V4, VXLAN), FILTER, "cali-OUTPUT", 6, "qW8Z4yCUgUBcHfL9"),
    ("IPVS", lambda: tables(ipvs=True), FILTER, "cali-OUTPUT", 6, "fc01z4huRzkD5TWj"),
    ("IPVS, IPv6", lambda: tables(V6, {**IPIP, **VXLAN}, ipvs=True), FILTER, "cali-OUTPUT", 6, "fc01z4huRzkD5TWj"),
    ("IPVS, IPIP", lambda: tables(V4, IPIP, ipvs=True), FILTER, "cali-OUTPUT", 7, "wankpMDC2Cy1KfBv"),
    (
        "returns",
        lambda: tables(V4, {"DefaultEndpointToHostAction": "RETURN"}),
        FILTER,
        "cali-wl-to-host",
        2,
        "sO1YJiY1b553biDi",
    ),
    (
        "accepts",
        lambda: tables(V4, {"DefaultEndpointToHostAction": "ACCEPT"}),
        FILTER,
        "cali-wl-to-host",
        2,
        "nSZbcOoG1xPONxb8",
    ),
    ("IPv6", lambda: tables(V6), FILTER, "cali-wl-to-host", 8, "Cmr-IOh4RtgoJi_H"),
    ("IPv6, OpenStack", lambda: tables(V6, OPENSTACK), FILTER, "cali-wl-to-host", 10, "HgTk6VtHID_gtiXL"),
    ("OpenStack metadata", lambda: tables(V4, METADATA), FILTER, "cali-wl-to-host", 5, "R1KKjhIyZuFJCTMY"),
    ("IPVS, IPv6", lambda: tables(V6, ipvs=True), FILTER, "cali-forward-check", 4, "s5OAa1zjNk2pPPHq"),
]


@pytest.mark.parametrize(
    ("make", "table", "chain", "length", "last"),
    [case[1:] for case in VARIANTS],
    ids=[f"{case[2].value} {case[3]}: {case[0]}" for case in VARIANTS],
)
def test_static_chain_variant(
    make: Callable[[], dict[TableName, Chains]], table: TableName, chain: str, length: int, last: str
) -> None:
    rules = make()[table][chain]
    assert len(rules) == length
    assert printed(chain, rules)[-1][0] == last


# --- dispatch (13.5) ---------------------------------------------------------------------------------------------

WORKLOADS = ("cali1234", "cali2333", "cali2444")


def mark_chains(workloads: tuple[str, ...], hosts: tuple[str, ...]) -> Chains:
    shared = context(ipvs=True)
    marks = allocate_endpoint_marks(shared.bits.endpoint, (*workloads, *hosts))
    return dispatch.mark_dispatch_chains(workloads, hosts, marks, shared)


DISPATCH: Chains = (
    dispatch.workload_dispatch_chains(reversed(WORKLOADS))
    | mark_chains(WORKLOADS, ("eth0",))
    | dispatch.pre_dnat_dispatch_chains(["eth0"], all_interfaces=True)
)


@pytest.mark.parametrize("vector", read_vectors("dispatch").values(), ids=lambda vector: vector.chain)
def test_dispatch_chain(vector: Vector) -> None:
    assert printed(vector.chain, DISPATCH[vector.chain]) == vector.lines


def test_pre_dnat_dispatch_without_an_endpoint_for_all_interfaces() -> None:
    chains = dispatch.pre_dnat_dispatch_chains(["eth0"], all_interfaces=False)
    vectors = {vector.chain: vector for vector in read_vectors("dispatch").values()}
    assert (
        printed("cali-from-host-endpoint", chains["cali-from-host-endpoint"])
        == (vectors["cali-from-host-endpoint"].lines[:1])
    )


@pytest.mark.parametrize(
    ("chains", "chain", "length", "last"),
    [
        (DISPATCH, "cali-to-wl-dispatch-2", 3, "y9W45Ac6x2uqir6b"),
        (dispatch.workload_dispatch_chains([]), "cali-from-wl-dispatch", 1, "zTj6P0TIgYvgz-md"),
        (dispatch.workload_dispatch_chains([]), "cali-to-wl-dispatch", 1, "7KNphB1nNHw80nIO"),
        (mark_chains((), ()), "cali-set-endpoint-mark", 2, "nKOjq8N2yzfmS3jk"),
        (mark_chains((), ()), "cali-from-endpoint-mark", 1, "9dpftzl-pNycbr37"),
        (dispatch.host_dispatch_chains(["eth0"]), "cali-to-host-endpoint", 1, "V4pJqNn3W6Q-9O0L"),
        (dispatch.host_forward_dispatch_chains(["eth0"]), "cali-from-hep-forward", 1, "6O-AN86dgHLlj3tn"),
        (dispatch.host_forward_dispatch_chains(["eth0"]), "cali-to-hep-forward", 1, "HlQ6_XxCeBnZYtKH"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_dispatch_chain_variant(chains: Chains, chain: str, length: int, last: str) -> None:
    assert len(chains[chain]) == length
    assert printed(chain, chains[chain])[-1][0] == last


# --- endpoint chains (13.6) --------------------------------------------------------------------------------------

WORKLOAD = WorkloadEndpoint(WorkloadId("k8s", "default/pod", "eth0"), "cali1234")
PROFILES = ("kns.default", "ksa.default.default")


def tier(*, ingress: tuple[str, ...] = (), egress: tuple[str, ...] = ()) -> tuple[EndpointTier, ...]:
    return (EndpointTier(ingress, egress),)


def workload_chains(endpoint: WorkloadEndpoint, parameters: dict[str, str] | None = None) -> Chains:
    return rules_of(endpoint_chains.workload_chains(endpoint), context(parameters))


def rules_of(chains: Iterable[EndpointChain | MarkChain], shared: RenderContext | None = None) -> Chains:
    renderer = EndpointRenderer(shared or context(ipvs=True))
    return {chain.name: renderer.rules(chain) for chain in chains}


UNTRACKED = HostEndpoint("h", "eth0", untracked_tiers=tier(ingress=("notrack",), egress=("notrack",)))
PRE_DNAT = HostEndpoint("h", "eth0", pre_dnat_tiers=tier(ingress=("predns",)))
ALLOW_IN = HostEndpoint("h", "eth0", profiles=("prof1",), tiers=tier(ingress=("allow-in",)))
ALLOW_OUT = HostEndpoint("h", "eth0", tiers=tier(egress=("allow-out",)))
FORWARD_IN = HostEndpoint("h", "eth0", forward_tiers=tier(ingress=("allow-in",)))

ENDPOINTS: dict[str, list[FelixRule]] = {
    "cali-tw-cali1234: ingress policy default/knp.default.allow-dns, profiles kns.default and ksa.default.default": (
        workload_chains(replace(WORKLOAD, profiles=PROFILES, tiers=tier(ingress=("default/knp.default.allow-dns",))))
    )["cali-tw-cali1234"],
    "cali-fw-cali1234: no policies, same profiles": workload_chains(replace(WORKLOAD, profiles=PROFILES))[
        "cali-fw-cali1234"
    ],
    "cali-fh-eth0: filter; ingress policy allow-in, profile prof1": rules_of(host_filter_chains("eth0", ALLOW_IN))[
        "cali-fh-eth0"
    ],
    "cali-fh-eth0: raw; untracked policy notrack": rules_of(host_raw_chains("eth0", UNTRACKED))["cali-fh-eth0"],
    "cali-thfw-eth0: no apply-on-forward policies": rules_of(host_filter_chains("eth0", ALLOW_IN))["cali-thfw-eth0"],
}


@pytest.mark.parametrize(("name", "vector"), read_vectors("endpoint").items(), ids=read_vectors("endpoint"))
def test_endpoint_chain(name: str, vector: Vector) -> None:
    assert printed(vector.chain, ENDPOINTS[name]) == vector.lines


@pytest.mark.parametrize(
    ("chains", "chain", "length", "last"),
    [
        (workload_chains(replace(WORKLOAD, profiles=PROFILES)), "cali-tw-cali1234", 8, "WWbaSIe3lC33N9GD"),
        (workload_chains(WORKLOAD), "cali-fw-cali1234", 6, "dI4pgkUdLsVmH2wm"),
        (workload_chains(replace(WORKLOAD, active=False)), "cali-tw-cali1234", 1, "xW6s1lmM1LOW8eqX"),
        (workload_chains(replace(WORKLOAD, active=False)), "cali-fw-cali1234", 1, "DESrjkuvi-ddgwcs"),
        (rules_of([MarkChain("cali1234", 0xCD400000)]), "cali-sm-cali1234", 1, "oWFVVfEagulgOMQS"),
        (rules_of(host_filter_chains("eth0", ALLOW_OUT)), "cali-th-eth0", 9, "kYMz-wWJhzTKq1sV"),
        (rules_of(host_filter_chains("eth0", FORWARD_IN)), "cali-fhfw-eth0", 7, "5iZQnSSu15Ck92Ds"),
        (rules_of(host_raw_chains("eth0", UNTRACKED)), "cali-th-eth0", 6, "cayJPPZmDN3EGse0"),
        (
            workload_chains(
                replace(WORKLOAD, profiles=("kns.default",)),
                {"IptablesFilterAllowAction": "RETURN", "DisableConntrackInvalidCheck": "true"},
            ),
            "cali-tw-cali1234",
            6,
            "FwR32vB7X4S2aZpm",
        ),
        (rules_of(host_mangle_chains("eth0", PRE_DNAT)), "cali-fh-eth0", 7, "_5xbyaduwII8mY6o"),
        (
            rules_of(host_mangle_chains("any-interface-at-all", PRE_DNAT)),
            "cali-fh-any-interface-at-all",
            7,
            "hWUgF2iMK1FcncOV",
        ),
    ],
    ids=[
        "to workload: no policies",
        "from workload: no policies, no profiles",
        "to workload: down",
        "from workload: down",
        "set mark",
        "to host: no profiles",
        "from host, forwarded",
        "to host: untracked",
        "to workload: returns, no invalid check",
        "from host: pre-DNAT",
        "from any host interface: pre-DNAT",
    ],
)
def test_endpoint_chain_variant(chains: Chains, chain: str, length: int, last: str) -> None:
    assert len(chains[chain]) == length
    assert printed(chain, chains[chain])[-1][0] == last


# --- policy and profile chains (13.7) ----------------------------------------------------------------------------


def port(number: int) -> PortRange:
    return PortRange(number, number)


ALL_SELECTED = selector_set_id("all()")
HTTP = named_port_set_id(ALL_SELECTED, "tcp", "http")
DEMO = (
    ActiveRule(
        protocol="tcp",
        source=RuleSide(ip_sets=(ALL_SELECTED,)),
        destination=RuleSide(ports=(port(80), port(443))),
    ),
    ActiveRule(RuleAction.NEXT_TIER, ip_version=V4, protocol="icmp", icmp=IcmpTest(8)),
    ActiveRule(RuleAction.LOG, protocol="udp", destination=RuleSide(ports=(port(53),))),
    ActiveRule(RuleAction.DENY, source=RuleSide(nets=(parse_prefix("10.0.0.0/8"),))),
)
BLOCKS = ActiveRule(
    protocol="tcp",
    source=RuleSide(
        nets=(parse_prefix("10.0.0.0/24"), parse_prefix("10.0.1.0/24")),
        not_nets=(parse_prefix("10.0.0.7/32"),),
    ),
    destination=RuleSide(ports=(port(8080),), named_port_sets=(HTTP,)),
)
EXCEPTION = ActiveRule(
    RuleAction.DENY,
    destination=RuleSide(nets=(parse_prefix("10.0.0.0/8"),), not_nets=(parse_prefix("10.1.0.0/16"),)),
)
POLICIES: dict[str, tuple[IPFamily, tuple[ActiveRule, ...]]] = {
    "cali-pri-kns.default: one allow-all rule": (V4, (ActiveRule(),)),
    "cali-pi-demo: IPv4; allow tcp 80,443 from set all(); pass icmp type 8; log udp 53; deny 10.0.0.0/8": (V4, DEMO),
    "cali-pi-demo: IPv6; same policy": (V6, DEMO),
    "cali-pi-blocks: allow tcp from 10.0.0.0/24 or 10.0.1.0/24, not from 10.0.0.7/32, to port 8080 or named port http": (
        V4,
        (BLOCKS,),
    ),
    "cali-po-neg: deny to 10.0.0.0/8 but not 10.1.0.0/16": (V4, (EXCEPTION,)),
}


@pytest.mark.parametrize("felix_exact", [True, False], ids=["exact", "corrected"])
@pytest.mark.parametrize(("name", "vector"), read_vectors("policy").items(), ids=read_vectors("policy"))
def test_policy_chain(name: str, vector: Vector, felix_exact: bool) -> None:
    family, rules = POLICIES[name]
    assert printed(vector.chain, policy_rules(rules, family, context(felix_exact=felix_exact))) == vector.lines
