"""One rule of a policy or profile, as the user writes it (spec: model 1.8).

Selectors stay text: what becomes of them is decided where the rule's namespace is known. What the original refuses is
refused with its words; a rule that is here can be converted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

from tortie.model.problem import FieldProblem
from tortie.model.reader import Named, Reads, read_int
from tortie.model.scalar import (
    AnyPort,
    AnyProtocol,
    IPVersion,
    NamedPort,
    Port,
    SelectorText,
    StrictCidr,
    supports_ports,
)
from tortie.net.address import IPFamily


class Action(Enum):
    """What a policy rule says; `value` as users write it."""

    ALLOW = "Allow"
    DENY = "Deny"
    LOG = "Log"
    PASS = "Pass"  # noqa: S105


def _small(high: int) -> Reads:
    def read(data: Any) -> int:
        number = read_int(data)
        if not 0 <= number <= high:
            raise FieldProblem(f"{number} is not between 0 and {high}")
        return number

    return Reads(read)


@dataclass(frozen=True, slots=True)
class IcmpMatch:
    """An ICMP or ICMPv6 type, with a code or with any; without a type it asks nothing."""

    type: Annotated[int | None, _small(254)] = None
    code: Annotated[int | None, _small(255)] = None

    def problems(self) -> Iterator[FieldProblem]:
        """A code needs a type."""
        if self.code is not None and self.type is None:
            yield FieldProblem("ICMP code specified without an ICMP type", path=("code",))


@dataclass(frozen=True, slots=True)
class HttpPath:
    """A request's path, whole or by its beginning; exactly one is given."""

    exact: str = ""
    prefix: str = ""

    def problems(self) -> Iterator[FieldProblem]:
        """What is wrong with the path."""
        if bool(self.exact) == bool(self.prefix):
            yield FieldProblem("give either 'exact' or 'prefix'")
        path = self.exact or self.prefix
        if not path.startswith("/") or any(letter in path for letter in "? #"):
            yield FieldProblem(f"invalid path {path!r}", remedy="it starts with '/' and has no '?', '#' or blank")


@dataclass(frozen=True, slots=True)
class HttpMatch:
    """What a rule asks of HTTP requests: no rule of iptables can, so only the policy-sync API is told."""

    methods: tuple[str, ...] = ()
    paths: tuple[HttpPath, ...] = ()

    def problems(self) -> Iterator[FieldProblem]:
        """No method is named twice."""
        if len(set(self.methods)) != len(self.methods):
            yield FieldProblem("the same method is there twice", path=("methods",))


@dataclass(frozen=True, slots=True)
class ServiceAccountMatch:
    """Service accounts by name and by label; both must hold where both are given."""

    names: tuple[str, ...] = ()
    selector: SelectorText = ""


@dataclass(frozen=True, slots=True)
class EntityRule:
    """What a rule asks of one end of a connection; a list is a choice, everything given must hold."""

    nets: tuple[StrictCidr, ...] = ()
    selector: SelectorText = ""
    namespace_selector: SelectorText = ""
    ports: tuple[AnyPort, ...] = ()
    not_nets: tuple[StrictCidr, ...] = ()
    not_selector: SelectorText = ""
    not_ports: tuple[AnyPort, ...] = ()
    service_accounts: ServiceAccountMatch | None = None

    @property
    def named_ports(self) -> tuple[NamedPort, ...]:
        """The ports that are given by name, negated ones among them."""
        return tuple(port for port in (*self.ports, *self.not_ports) if isinstance(port, NamedPort))


ANY = EntityRule()
"""An end of which nothing is asked."""


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One rule of a policy or profile."""

    action: Action
    ip_version: Annotated[IPVersion | None, Named("ipVersion")] = None
    protocol: AnyProtocol | None = None
    icmp: IcmpMatch | None = None
    not_protocol: AnyProtocol | None = None
    not_icmp: Annotated[IcmpMatch | None, Named("notICMP")] = None
    source: EntityRule = ANY
    destination: EntityRule = ANY
    http: HttpMatch | None = None

    def problems(self) -> Iterator[FieldProblem]:
        """What Calico 3.7 refuses in a rule (spec: model 1.8), in its words."""
        if not supports_ports(self.protocol):
            for side, name, _ in self._port_lists():
                remedy = None if self.protocol is None else "Calico 3.7 has ports for TCP and UDP only"
                message = "rules that specify ports must set protocol to TCP or UDP"
                yield FieldProblem(message, path=(side, name), remedy=remedy)
        if self.http is not None:
            yield from self._http_problems()
        if self.icmp is not None and self.protocol not in ("ICMP", "ICMPv6"):
            yield FieldProblem("rules that specify ICMP fields must set protocol to ICMP", path=("icmp",))
        for name, version in (("ICMP", IPFamily.V4), ("ICMPv6", IPFamily.V6)):
            if name in (self.protocol, self.not_protocol) and self.ip_version not in (None, version):
                message = f"must set ipversion to '{version.value}' with protocol {name.lower()}"
                yield FieldProblem(message, path=("ipVersion",))
        yield from self._net_problems()

    def _port_lists(self) -> Iterator[tuple[str, str, tuple[Port, ...]]]:
        for side, entity in (("source", self.source), ("destination", self.destination)):
            for name, ports in (("ports", entity.ports), ("notPorts", entity.not_ports)):
                if ports:
                    yield side, name, ports

    def _http_problems(self) -> Iterator[FieldProblem]:
        if self.protocol not in (None, "TCP"):
            message = "rules that specify HTTP fields must set protocol to TCP or empty"
            yield FieldProblem(message, path=("protocol",))
        if self.action is not Action.ALLOW:
            yield FieldProblem("only valid for Allow rules", path=("http",))

    def _net_problems(self) -> Iterator[FieldProblem]:
        seen = None
        for side, entity in (("source", self.source), ("destination", self.destination)):
            for name, nets in (("nets", entity.nets), ("notNets", entity.not_nets)):
                for index, net in enumerate(nets):
                    if self.ip_version not in (None, net.family):
                        yield FieldProblem("rule IP version doesn't match CIDR version", path=(side, name, index))
                    if seen not in (None, net.family):
                        yield FieldProblem("rule contains both IPv4 and IPv6 CIDRs", path=(side, name, index))
                    seen = net.family
