"""What was decided about a flow, by what, and in which words.

A decision is a list of findings, one for every place on the packet's way that policy has a say in, in the order in which
they come. The last one that says anything decides: a packet is denied at the first place that denies it, and allowed when
none is left. Values are values; the words are made at the end of the module.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias, assert_never

from tortie.model.read import Key
from tortie.model.rule import Action
from tortie.net.address import Address


class Verdict(Enum):
    """What becomes of a flow, as far as Calico is concerned; UNKNOWN when that cannot be told from what is given."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNKNOWN = "cannot tell"


class Says(Enum):
    """What one place says; NOTHING leaves it to the next."""

    ALLOW = "allow"
    DENY = "deny"
    NOTHING = "nothing"
    UNKNOWN = "unknown"


class Direction(Enum):
    """A direction as the endpoint sees it."""

    INGRESS = "ingress"
    EGRESS = "egress"


class Stage(Enum):
    """A place on a packet's way; the four kinds of policy first (spec: model 6.3)."""

    UNTRACKED = "untracked policy"
    PRE_DNAT = "pre-DNAT policy"
    FORWARD = "policy for forwarded traffic"
    NORMAL = "policy"
    SOURCE = "check of the source"
    TUNNEL = "tunnels between nodes"
    TO_HOST = "workload to host"
    NODE = "the node"


# --- reasons -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ByRule:
    """A rule of a policy or profile; `number` counts from 1 in its direction. With `unseen_http` a condition is ignored."""

    owner: Key
    number: int
    action: Action
    unseen_http: bool = False


@dataclass(frozen=True, slots=True)
class NoRule:
    """Policies apply and none of their rules has an answer."""

    policies: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class NoProfile:
    """It is left to the profiles, `passed` by a rule or because no policy applies, and none has an answer."""

    profiles: tuple[str, ...]
    passed: ByRule | None = None


@dataclass(frozen=True, slots=True)
class NoSuchProfile:
    """The endpoint names a profile that does not exist, which denies everything."""

    name: str


@dataclass(frozen=True, slots=True)
class NoForwardPolicy:
    """No policy of a host endpoint applies to forwarded traffic in this direction: it is allowed."""


@dataclass(frozen=True, slots=True)
class FailsafePort:
    """A port of the node that no policy can close."""

    protocol: int
    port: int


@dataclass(frozen=True, slots=True)
class EndpointToHost:
    """What DefaultEndpointToHostAction says of traffic from workloads to their host that their policy lets out."""

    action: str


@dataclass(frozen=True, slots=True)
class UnknownInterface:
    """A workload's interface, by its name, of which no endpoint is known."""

    interface: str


@dataclass(frozen=True, slots=True)
class ForeignSource:
    """A workload sends from an address that is not its own."""

    source: Address
    interface: str


@dataclass(frozen=True, slots=True)
class TunnelPacket:
    """A packet of the tunnels between nodes: from or to one of Calico's, from a stranger, or made by a workload."""

    kind: str
    peer: str


@dataclass(frozen=True, slots=True)
class NeighbourDiscovery:
    """ICMPv6 without which a workload does not find its host."""

    icmp_type: int


@dataclass(frozen=True, slots=True)
class KnownConnection:
    """The packet belongs to a connection whose first packet was let through."""


@dataclass(frozen=True, slots=True)
class NoConnection:
    """Connection tracking calls the packet invalid."""


@dataclass(frozen=True, slots=True)
class HostToWorkload:
    """A node reaches its own workloads, whatever policy says."""


@dataclass(frozen=True, slots=True)
class NoPolicyApplies:
    """Nothing of Calico's has a say here."""


@dataclass(frozen=True, slots=True)
class NoIPv6:
    """IPv6 support is off: Calico has no rules for IPv6."""


@dataclass(frozen=True, slots=True)
class CannotTell:
    """What would have to be known."""

    what: str


Reason: TypeAlias = (
    ByRule
    | NoRule
    | NoProfile
    | NoSuchProfile
    | NoForwardPolicy
    | FailsafePort
    | EndpointToHost
    | UnknownInterface
    | ForeignSource
    | TunnelPacket
    | NeighbourDiscovery
    | KnownConnection
    | NoConnection
    | HostToWorkload
    | NoPolicyApplies
    | NoIPv6
    | CannotTell
)
"""Why a place says what it says; readers end in `assert_never`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one place on the packet's way says, and why; without `endpoint` the place is the node itself."""

    stage: Stage
    says: Says
    reason: Reason
    direction: Direction | None = None
    endpoint: Key | None = None

    def __str__(self) -> str:
        return describe_finding(self)


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a flow at a node, and everything that had a say, in order."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    untracked: bool = False
    """True when untracked policy lets the packet through before connection tracking has seen it."""

    @property
    def decided_by(self) -> Finding:
        """The finding that settles it: what denies, or the last that allows."""
        return next((finding for finding in reversed(self.findings) if finding.says is not Says.NOTHING), self.findings[-1])

    def __str__(self) -> str:
        return describe_decision(self)


def decision_of(findings: tuple[Finding, ...], first: Direction) -> Decision:
    """The decision that findings amount to; where nothing has a say, the packet is let through.

    `first` is the direction in which policy sees the packet first. What a node says to itself is seen in both, and
    untracked policy that lets it back in comes too late for connection tracking (spec: netfilter 2.5).
    """
    told = findings or (Finding(Stage.NODE, Says.ALLOW, NoPolicyApplies()),)
    last = told[-1].says
    verdict = {Says.DENY: Verdict.DENIED, Says.UNKNOWN: Verdict.UNKNOWN}.get(last, Verdict.ALLOWED)
    early = [one for one in told if one.stage is Stage.UNTRACKED and one.direction is first]
    return Decision(verdict, told, any(one.says is Says.ALLOW for one in early))


# --- words -------------------------------------------------------------------------------------------------------


def describe_decision(decision: Decision) -> str:
    """One line: the verdict, and what settles it; for an allowed flow everything that allowed it."""
    if decision.verdict is Verdict.ALLOWED:
        told = [finding for finding in decision.findings if finding.says is Says.ALLOW] or list(decision.findings)
    else:
        told = [decision.decided_by]
    return f"{decision.verdict.value}: {'; '.join(map(describe_finding, told))}"


def describe_finding(finding: Finding) -> str:
    """One line: where, and why."""
    if finding.endpoint is None or finding.direction is None:
        return describe_reason(finding.reason)
    kind = "" if finding.stage is Stage.NORMAL else f" ({finding.stage.value})"
    return f"{finding.direction.value} of {finding.endpoint}{kind}: {describe_reason(finding.reason)}"


_ACTIONS = {Action.ALLOW: "allows", Action.DENY: "denies", Action.PASS: "passes", Action.LOG: "logs"}


def describe_reason(reason: Reason) -> str:
    """Why, in words."""
    match reason:
        case ByRule(owner, number, action, unseen_http):
            unseen = ", whatever the HTTP request (nodes do not look at it)" if unseen_http else ""
            return f"rule {number} of {owner} {_ACTIONS[action]} it{unseen}"
        case NoRule(policies):
            return f"no rule of {', '.join(map(str, policies))} holds"
        case NoProfile(profiles, passed):
            before = "no policy applies" if passed is None else describe_reason(passed)
            those = f"no rule of {', '.join(profiles)} holds" if profiles else "there is no profile"
            return f"{before}, and {those}"
        case NoSuchProfile(name):
            return f"the profile {name} does not exist"
        case NoForwardPolicy():
            return "no policy applies, and forwarded traffic is allowed"
        case FailsafePort(protocol, port):
            return f"port {port} of protocol {protocol} is failsafe"
        case EndpointToHost(action):
            return f"workload to host, DefaultEndpointToHostAction is {action}"
        case UnknownInterface(interface):
            return f"no workload endpoint is known at {interface}"
        case ForeignSource(source, interface):
            return f"{source} is no address of the workload at {interface}"
        case TunnelPacket(kind, peer):
            return f"{kind} packet, {peer}"
        case NeighbourDiscovery(icmp_type):
            return f"ICMPv6 type {icmp_type} of a workload to its host is always allowed"
        case KnownConnection():
            return "it belongs to a known connection"
        case NoConnection():
            return "it belongs to no connection and cannot begin one"
        case HostToWorkload():
            return "a node reaches its own workloads"
        case NoPolicyApplies():
            return "no policy applies"
        case NoIPv6():
            return "IPv6 support is off, so nothing is enforced"
        case CannotTell(what):
            return what
        case _:
            assert_never(reason)
