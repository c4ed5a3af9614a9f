"""What a chain is for, told from its name, for programs whose chains are well known.

Goals: somebody who reads a walk should not need to know that `cali-tw-` means *to a workload*. Names are all that is
read, plus, for kube-proxy, the comments in which it writes a service's name, since the chain names themselves are hashes.
A chain that no row covers has no role; nothing here changes what a walk does. Text is a clause that fits after
`chain: `, and after *this chain is for*.

Sources: spec rules 3, 5, 6, 7 (Calico 3.7); spec netfilter 13 and the programs' own chain constants: kube-proxy
pkg/proxy/iptables, kubelet pkg/kubelet/kubelet_network_linux.go, libnetwork drivers/bridge/setup_ip_tables.go, firewalld
src/firewall/core/ipXtables.py, CNI plugins/meta/portmap/chain.go, flannel pkg/trafficmngr/iptables, libvirt
src/network/network_iptables.c, ufw conf/before.rules and src/backend_iptables.py, fail2ban config/action.d/iptables.conf.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from tortie.netfilter.hook import TableName
from tortie.netfilter.match import CommentMatch
from tortie.netfilter.rule import Chain, Rule, Ruleset
from tortie.netfilter.target import Goto, Jump

HASH_COMMENT_PREFIX = "cali:"
"""Calico's tracking comment starts so; it is no remark for people (spec: rules 1)."""


@dataclass(frozen=True, slots=True)
class Role:
    """What a chain is for: `owner` wrote it, `kind` is a short key, `subject` is what the name says it is about."""

    owner: str
    kind: str
    text: str
    subject: str = ""

    def __str__(self) -> str:
        return f"{self.owner}: {self.text}"


@dataclass(frozen=True, slots=True)
class _Row:
    """`{}` in `text` stands for the rest of the name; without `tables` the row holds in every table."""

    name: str
    kind: str
    text: str
    prefix: bool = False
    tables: tuple[TableName, ...] = ()


_RAW, _MANGLE, _NAT, _FILTER = (TableName.RAW,), (TableName.MANGLE,), (TableName.NAT,), (TableName.FILTER,)

_CALICO: tuple[_Row, ...] = (
    _Row("cali-PREROUTING", "entry", "marks what comes from workloads, then untracked host policy", tables=_RAW),
    _Row("cali-PREROUTING", "entry", "host policy that acts before destination NAT", tables=_MANGLE),
    _Row("cali-PREROUTING", "entry", "destination NAT of floating IPs", tables=_NAT),
    _Row("cali-OUTPUT", "entry", "untracked host policy for what this node sends", tables=_RAW),
    _Row("cali-OUTPUT", "entry", "destination NAT of floating IPs for what this node sends", tables=_NAT),
    _Row("cali-OUTPUT", "entry", "policy for what this node sends", tables=_FILTER),
    _Row("cali-POSTROUTING", "entry", "source NAT: floating IPs, pools with natOutgoing, tunnels", tables=_NAT),
    _Row("cali-INPUT", "entry", "policy for what is addressed to this node", tables=_FILTER),
    _Row("cali-FORWARD", "entry", "policy for what passes through this node", tables=_FILTER),
    _Row("cali-wl-to-host", "wl-to-host", "from a workload to this node itself"),
    _Row("cali-failsafe-in", "failsafe-in", "failsafe ports that stay open to this node"),
    _Row("cali-failsafe-out", "failsafe-out", "failsafe ports that stay open from this node"),
    _Row("cali-forward-check", "forward-check", "finds what IPVS will forward"),
    _Row("cali-set-endpoint-mark", "set-endpoint-mark", "marks which endpoint the packet came from"),
    _Row("cali-set-endpoint-mark-", "set-endpoint-mark", "the same for names that go on with {}", prefix=True),
    _Row("cali-from-endpoint-mark", "from-endpoint-mark", "picks the endpoint the packet came from by its mark"),
    _Row("cali-forward-endpoint-mark", "forward-endpoint-mark", "policy for what IPVS forwards"),
    _Row("cali-from-wl-dispatch", "from-wl-dispatch", "picks the workload the packet comes from"),
    _Row("cali-from-wl-dispatch-", "from-wl-dispatch", "the same for names that go on with {}", prefix=True),
    _Row("cali-to-wl-dispatch", "to-wl-dispatch", "picks the workload the packet goes to"),
    _Row("cali-to-wl-dispatch-", "to-wl-dispatch", "the same for names that go on with {}", prefix=True),
    _Row("cali-from-host-endpoint", "from-hep-dispatch", "picks the host endpoint the packet came in by"),
    _Row("cali-from-host-endpoint-", "from-hep-dispatch", "the same for names that go on with {}", prefix=True),
    _Row("cali-to-host-endpoint", "to-hep-dispatch", "picks the host endpoint the packet leaves by"),
    _Row("cali-to-host-endpoint-", "to-hep-dispatch", "the same for names that go on with {}", prefix=True),
    _Row("cali-from-hep-forward", "from-hep-forward", "forwarded: picks the host endpoint it came in by"),
    _Row("cali-from-hep-forward-", "from-hep-forward", "the same for names that go on with {}", prefix=True),
    _Row("cali-to-hep-forward", "to-hep-forward", "forwarded: picks the host endpoint it leaves by"),
    _Row("cali-to-hep-forward-", "to-hep-forward", "the same for names that go on with {}", prefix=True),
    _Row("cali-fip-dnat", "fip-dnat", "floating IPs to workload addresses"),
    _Row("cali-fip-snat", "fip-snat", "workload addresses to floating IPs"),
    _Row("cali-nat-outgoing", "nat-outgoing", "masquerade from pools with natOutgoing"),
    _Row("cali-tw-", "to-workload", "to workload {}", prefix=True),
    _Row("cali-fw-", "from-workload", "from workload {}", prefix=True),
    _Row("cali-sm-", "set-mark", "sets the endpoint mark of {}", prefix=True),
    _Row("cali-thfw-", "to-host-forward", "forwarded out of host endpoint {}", prefix=True),
    _Row("cali-fhfw-", "from-host-forward", "forwarded, came in by host endpoint {}", prefix=True),
    _Row("cali-th-", "to-host", "untracked, out of host endpoint {}", prefix=True, tables=_RAW),
    _Row("cali-fh-", "from-host", "untracked, in by host endpoint {}", prefix=True, tables=_RAW),
    _Row("cali-fh-", "from-host", "before DNAT, in by host endpoint {}", prefix=True, tables=_MANGLE),
    _Row("cali-th-", "to-host", "from this node out of host endpoint {}", prefix=True),
    _Row("cali-fh-", "from-host", "to this node by host endpoint {}", prefix=True),
    _Row("cali-pi-", "policy-in", "{}, ingress rules", prefix=True),
    _Row("cali-po-", "policy-out", "{}, egress rules", prefix=True),
    _Row("cali-pri-", "profile-in", "{}, ingress rules", prefix=True),
    _Row("cali-pro-", "profile-out", "{}, egress rules", prefix=True),
    _Row("cali-", "other", "a chain of a Calico release Tortie does not know", prefix=True),
)

_KUBERNETES: tuple[_Row, ...] = (
    _Row("KUBE-SERVICES", "services", "picks the service by its address", tables=_NAT),
    _Row("KUBE-SERVICES", "services", "refuses services without endpoints"),
    _Row("KUBE-EXTERNAL-SERVICES", "services", "refuses external addresses of services without endpoints"),
    _Row("KUBE-NODEPORTS", "nodeports", "picks the service by node port", tables=_NAT),
    _Row("KUBE-NODEPORTS", "nodeports", "opens health checks of node ports"),
    _Row("KUBE-NODE-PORT", "nodeports", "picks the service by node port (IPVS)"),
    _Row("KUBE-SVC-", "service", "service {}: picks an endpoint", prefix=True),
    _Row("KUBE-SVL-", "service", "service {}: picks an endpoint on this node", prefix=True),
    _Row("KUBE-XLB-", "service", "service {}: from outside, endpoints on this node", prefix=True),
    _Row("KUBE-EXT-", "service", "service {}: traffic from outside the cluster", prefix=True),
    _Row("KUBE-FW-", "service", "service {}: load balancer, allowed sources", prefix=True),
    _Row("KUBE-SEP-", "endpoint", "service {}: one endpoint", prefix=True),
    _Row("KUBE-MARK-MASQ", "mark-masq", "marks the packet for masquerading"),
    _Row("KUBE-MARK-DROP", "mark-drop", "marks the packet for dropping"),
    _Row("KUBE-POSTROUTING", "postrouting", "masquerades what KUBE-MARK-MASQ marked"),
    _Row("KUBE-FORWARD", "forward", "lets traffic of services pass"),
    _Row("KUBE-FIREWALL", "firewall", "drops what was marked for dropping, and martians to 127.0.0.0/8"),
    _Row("KUBE-PROXY-FIREWALL", "firewall", "enforces loadBalancerSourceRanges"),
    _Row("KUBE-PROXY-CANARY", "canary", "empty; tells kube-proxy that its rules are still there"),
    _Row("KUBE-KUBELET-CANARY", "canary", "empty; tells the kubelet that its rules are still there"),
    _Row("KUBE-LOAD-BALANCER", "services", "load balancer addresses (IPVS)"),
    _Row("KUBE-SOURCE-RANGES-FIREWALL", "firewall", "enforces loadBalancerSourceRanges (IPVS)"),
    _Row("KUBE-IPVS-FILTER", "ipvs-filter", "refuses ports of service addresses that no service has"),
    _Row("KUBE-IPVS-OUT-FILTER", "ipvs-filter", "the same for what this node sends"),
)

_DOCKER: tuple[_Row, ...] = (
    _Row("DOCKER", "published", "published ports to containers", tables=_NAT),
    _Row("DOCKER", "published", "lets published ports through to containers"),
    _Row("DOCKER-USER", "user", "the administrator's own rules, before Docker's"),
    _Row("DOCKER-FORWARD", "forward", "policy for container traffic"),
    _Row("DOCKER-CT", "established", "lets known connections of container networks pass"),
    _Row("DOCKER-BRIDGE", "bridge", "picks the container network the packet goes to"),
    _Row("DOCKER-INTERNAL", "internal", "keeps internal networks closed"),
    _Row("DOCKER-INGRESS", "ingress", "swarm's routing mesh"),
    _Row("DOCKER-ISOLATION", "isolation", "keeps container networks apart"),
    _Row("DOCKER-ISOLATION-STAGE-1", "isolation", "finds what leaves a container network"),
    _Row("DOCKER-ISOLATION-STAGE-2", "isolation", "keeps container networks apart"),
)

_CNI: tuple[_Row, ...] = (
    _Row("CNI-HOSTPORT-DNAT", "hostport", "host ports to pods"),
    _Row("CNI-HOSTPORT-SETMARK", "mark-masq", "marks host port traffic for masquerading"),
    _Row("CNI-HOSTPORT-MASQ", "masquerade", "masquerades marked host port traffic"),
    _Row("CNI-DN-", "hostport", "host ports of one pod", prefix=True),
    _Row("CNI-FORWARD", "forward", "lets traffic of CNI networks pass"),
    _Row("CNI-ADMIN", "user", "the administrator's own rules, before the CNI plugin's"),
    _Row("CNI-ISOLATION-STAGE-1", "isolation", "finds what leaves a CNI network"),
    _Row("CNI-ISOLATION-STAGE-2", "isolation", "keeps CNI networks apart"),
)

_FLANNEL: tuple[_Row, ...] = (
    _Row("FLANNEL-FWD", "forward", "lets pod traffic pass"),
    _Row("FLANNEL-POSTRTG", "masquerade", "masquerades pod traffic that leaves the cluster"),
)

_LIBVIRT: tuple[_Row, ...] = (
    _Row("LIBVIRT_INP", "input", "DHCP and DNS from guests to this node"),
    _Row("LIBVIRT_OUT", "output", "DHCP and DNS from this node to guests"),
    _Row("LIBVIRT_FWI", "forward", "traffic into guest networks"),
    _Row("LIBVIRT_FWO", "forward", "traffic out of guest networks"),
    _Row("LIBVIRT_FWX", "forward", "traffic inside a guest network"),
    _Row("LIBVIRT_PRT", "masquerade", "masquerades guest networks"),
)

_UFW: tuple[_Row, ...] = (
    _Row("ufw-before-", "stage", "{}: rules before the user's", prefix=True),
    _Row("ufw-after-", "stage", "{}: rules after the user's", prefix=True),
    _Row("ufw-reject-", "stage", "{}: refuses what is left", prefix=True),
    _Row("ufw-track-", "stage", "{}: lets new connections start", prefix=True),
    _Row("ufw-user-limit", "limit", "refuses what comes too often"),
    _Row("ufw-user-limit-accept", "limit", "accepts what does not come too often"),
    _Row("ufw-user-logging-", "logging", "{}: logs", prefix=True),
    _Row("ufw-user-", "user", "{}: the administrator's rules", prefix=True),
    _Row("ufw-logging-", "logging", "logs: {}", prefix=True),
    _Row("ufw-not-local", "not-local", "drops what is not addressed to this node"),
    _Row("ufw-skip-to-policy-", "policy", "{}: the default policy", prefix=True),
)

_FAIL2BAN: tuple[_Row, ...] = (_Row("f2b-", "jail", "addresses banned by the jail {}", prefix=True),)

_OWNERS: tuple[tuple[str, str, tuple[_Row, ...]], ...] = (
    ("cali-", "Calico", _CALICO),
    ("KUBE-", "Kubernetes", _KUBERNETES),
    ("DOCKER", "Docker", _DOCKER),
    ("CNI-", "CNI", _CNI),
    ("FLANNEL-", "flannel", _FLANNEL),
    ("LIBVIRT_", "libvirt", _LIBVIRT),
    ("ufw", "ufw", _UFW),
    ("f2b-", "fail2ban", _FAIL2BAN),
)

_ZONE_DIRECTIONS: dict[str, str] = {
    "IN": "to this node",
    "FWD": "forwarded",
    "FWDI": "forwarded, in by",
    "FWDO": "forwarded, out by",
    "PRE": "before routing",
    "POST": "before leaving",
    "OUT": "from this node",
}
_ZONE_PARTS: dict[str, str] = {
    "pre": "rich rules with a negative priority",
    "log": "rules that log",
    "deny": "rules that refuse",
    "allow": "rules that allow",
    "post": "rich rules with a positive priority",
}
_FIREWALLD_DISPATCH: dict[str, str] = {
    "direct": "direct rules of firewalld",
    "ZONES": "picks the zone",
    "ZONES_SOURCE": "picks the zone by source",
    "POLICIES_pre": "firewalld policies before the zone",
    "POLICIES_post": "firewalld policies after the zone",
    "IN_ZONES": "picks the zone the packet came in by",
    "OUT_ZONES": "picks the zone the packet leaves by",
    "IN_ZONES_SOURCE": "picks the zone the packet came in by, by source",
    "OUT_ZONES_SOURCE": "picks the zone the packet leaves by, by destination",
}
_SERVICE_PREFIXES: tuple[str, ...] = ("KUBE-SVC-", "KUBE-SVL-", "KUBE-XLB-", "KUBE-EXT-", "KUBE-FW-", "KUBE-SEP-")


def chain_role(table: TableName, chain: str, services: Mapping[str, str] | None = None) -> Role | None:
    """What a chain is for, or None for a chain of nobody well known; `services` names kube-proxy's hashed chains."""
    role = _role_by_name(table, chain)
    if services and role is not None and role.kind in ("service", "endpoint") and chain in services:
        return Role(role.owner, role.kind, role.text.replace(role.subject, services[chain]), services[chain])
    return role


@lru_cache(maxsize=65536)
def _role_by_name(table: TableName, chain: str) -> Role | None:
    for start, owner, rows in _OWNERS:
        if chain.startswith(start):
            row = _find(rows, table, _ipv4_name(chain))
            return None if row is None else _role(owner, row, _ipv4_name(chain))
    return _firewalld_role(chain)


def _ipv4_name(chain: str) -> str:
    """ufw calls its IPv6 chains `ufw6-`; everything else has one name in both families."""
    return f"ufw-{chain[5:]}" if chain.startswith("ufw6-") else chain


def service_names(rulesets: Iterable[Ruleset]) -> dict[str, str]:
    """kube-proxy's hashed chains to the service each is for, from the comments in them and in rules that jump to them."""
    names: dict[str, str] = {}
    for ruleset in rulesets:
        for table in ruleset.tables.values():
            for chain in table.chains.values():
                _collect_services(chain, names)
    return names


def remarks(rule: Rule) -> tuple[str, ...]:
    """The comments of a rule that were written for people: all but Calico's tracking hash."""
    texts = (match.text for match in rule.matches if isinstance(match, CommentMatch))
    return tuple(text for text in texts if not text.startswith(HASH_COMMENT_PREFIX))


def _find(rows: tuple[_Row, ...], table: TableName, chain: str) -> _Row | None:
    """The row of a name: an exact one, else the longest prefix; a row for this table goes before one for all."""
    best: tuple[bool, int, bool] | None = None
    found: _Row | None = None
    for row in rows:
        if row.tables and table not in row.tables:
            continue
        fits = len(chain) > len(row.name) and chain.startswith(row.name) if row.prefix else chain == row.name
        rank = (not row.prefix, len(row.name), bool(row.tables))
        if fits and (best is None or rank > best):
            best, found = rank, row
    return found


def _role(owner: str, row: _Row, chain: str) -> Role:
    if not row.prefix:
        return Role(owner, row.kind, row.text)
    rest = chain[len(row.name) :]
    subject = rest
    if row.kind in ("policy-in", "policy-out"):
        subject = policy_subject(rest)
    elif row.kind in ("profile-in", "profile-out"):
        subject = profile_subject(rest)
    elif row.kind in ("from-host", "to-host") and rest == "any-interface-at-all":
        subject = "* (any interface)"
    return Role(owner, row.kind, row.text.replace("{}", subject), subject)


def policy_subject(stored: str) -> str:
    """A policy's name as people write it, from the datastore's spelling in a chain name (spec: rules 7.1)."""
    if stored.startswith("_"):
        return f"the policy with the long name (hash {stored[1:]})"
    namespace, slash, name = stored.partition("/")
    if not slash:
        return f"global policy {stored.removeprefix('default.')}"
    if name.startswith("knp.default."):
        return f"Kubernetes policy {namespace}/{name.removeprefix('knp.default.')}"
    return f"policy {namespace}/{name.removeprefix('default.')}"


def profile_subject(stored: str) -> str:
    """A profile as people know it: the namespace or service account it stands for, else its name (spec: rules 7.1)."""
    if stored.startswith("_"):
        return f"the profile with the long name (hash {stored[1:]})"
    if stored.startswith("kns."):
        return f"profile of namespace {stored[4:]}"
    if stored.startswith("ksa."):
        return f"profile of service account {stored[4:].replace('.', '/', 1)}"
    return f"profile {stored}"


def _firewalld_role(chain: str) -> Role | None:
    """firewalld's chains: `INPUT_ZONES` and the like, and `IN_public_allow` (spec: netfilter 13.4)."""
    head, underscore, rest = chain.partition("_")
    if not underscore or not rest:
        return None
    if head in ("INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"):
        text = _FIREWALLD_DISPATCH.get(rest)
        return None if text is None else Role("firewalld", "dispatch", text)
    direction = _ZONE_DIRECTIONS.get(head)
    if direction is None:
        return None
    zone, _, part = rest.rpartition("_")
    if part in _ZONE_PARTS and zone:
        return Role("firewalld", "zone-part", f"zone or policy {zone}, {direction}: {_ZONE_PARTS[part]}", zone)
    return Role("firewalld", "zone", f"zone or policy {rest}, {direction}", rest)


def _collect_services(chain: Chain, names: dict[str, str]) -> None:
    own = chain.name.startswith(_SERVICE_PREFIXES)
    for rule in chain.rules:
        texts = remarks(rule)
        name = texts[0].split(" ", 1)[0] if texts else ""
        if "/" not in name:
            continue
        if own:
            names.setdefault(chain.name, name)
        match rule.target:
            case Jump(target) | Goto(target) if target.startswith(_SERVICE_PREFIXES):
                names.setdefault(target, name)
            case _:
                pass
