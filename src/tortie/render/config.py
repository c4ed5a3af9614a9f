"""Configuration that decides rendered bytes: parameters as text, values of the right type.

A table names each parameter with its type, default and flags (spec: rules 11.3, which are those of Felix 3.7
config/config_params.go); a parameter that changes no rule and no set is not here. Reading follows the original: names in
any case, an empty value as if not given, `none` for the type's zero value, a bad value replaced by the default with a
warning, or refused where the table says so. Which source of configuration wins is decided before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tortie.calc.view import PortRange
from tortie.net.address import Address, IPFamily, Prefix, parse_address, parse_prefix
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import TableName

DEFAULT_MARK_MASK = 0xFFFF0000
OPENSTACK_INTERFACE_PREFIX = "tap"
DEFAULT_METADATA_ADDRESS = "127.0.0.1"
DEFAULT_METADATA_PORT = 8775
LONGEST_INTERFACE_PREFIX = 14
"""Felix allows one letter more, but then iptables refuses the prefix with its `+` (IFNAMSIZ is 16, checked)."""


@dataclass(frozen=True, slots=True)
class ProtocolPort:
    """A failsafe port: `tcp` or `udp`, and a number."""

    protocol: str
    port: int


def _failsafe(*words: str) -> tuple[ProtocolPort, ...]:
    return tuple(ProtocolPort(word[:3], int(word[4:])) for word in words)


@dataclass(frozen=True, slots=True)
class RenderConfig:
    """Everything the renderer is told; every field but the last is a parameter of Felix (`_rows` says which).

    `felix_exact` asks for Felix 3.7.5 byte for byte, its known defects included; without it they are corrected
    (docs/felix-differences.md).
    """

    ipv6_support: bool = True
    interface_prefixes: tuple[str, ...] = ("cali",)
    interface_exclude: tuple[str, ...] = ("^kube-ipvs0$",)
    """Regular expressions, searched for in an interface's name."""
    chain_insert_mode: str = "insert"
    endpoint_to_host_action: str = "DROP"
    filter_allow_action: str = "ACCEPT"
    mangle_allow_action: str = "ACCEPT"
    mark_mask: int = DEFAULT_MARK_MASK
    max_ipset_size: int = 1048576
    log_prefix: str = "calico-packet"
    disable_conntrack_invalid_check: bool = False
    failsafe_inbound: tuple[ProtocolPort, ...] = _failsafe(
        "tcp:22", "udp:68", "tcp:179", "tcp:2379", "tcp:2380", "tcp:6666", "tcp:6667"
    )
    failsafe_outbound: tuple[ProtocolPort, ...] = _failsafe(
        "udp:53", "udp:67", "tcp:179", "tcp:2379", "tcp:2380", "tcp:6666", "tcp:6667"
    )
    node_port_ranges: tuple[PortRange, ...] = (PortRange(30000, 32767),)
    nat_port_range: PortRange | None = None
    nat_outgoing_interface: str = ""
    """An interface name or prefix with `+`; empty for any."""
    ipip_enabled: bool = False
    ipip_tunnel_address: Address | None = None
    vxlan_enabled: bool = False
    vxlan_port: int = 4789
    vxlan_vni: int = 4096
    vxlan_tunnel_address: Address | None = None
    external_nodes: tuple[Prefix, ...] = ()
    metadata_host: str = DEFAULT_METADATA_ADDRESS
    metadata_port: int = DEFAULT_METADATA_PORT
    cluster_type: str = ""
    felix_exact: bool = False

    @property
    def openstack(self) -> bool:
        """True when anything suggests an OpenStack compute node (spec: rules 3.8)."""
        return (
            "openstack" in self.cluster_type.lower()
            or self.metadata_host not in ("", DEFAULT_METADATA_ADDRESS)
            or self.metadata_port not in (0, DEFAULT_METADATA_PORT)
            or OPENSTACK_INTERFACE_PREFIX in self.interface_prefixes
        )

    @property
    def metadata_address(self) -> Address | None:
        """The metadata server's IPv4 address; None when the parameter is a host name or empty."""
        try:
            address = parse_address(self.metadata_host)
        except InvalidInput:
            return None
        return address if address.family is IPFamily.V4 else None

    @property
    def families(self) -> tuple[IPFamily, ...]:
        """The families that get tables and sets."""
        return (IPFamily.V4, IPFamily.V6) if self.ipv6_support else (IPFamily.V4,)

    def allow_action(self, table: TableName) -> str:
        """`ACCEPT` or `RETURN`: what becomes of an accepted packet in filter or mangle."""
        return self.mangle_allow_action if table is TableName.MANGLE else self.filter_allow_action

    def is_workload_interface(self, name: str) -> bool:
        """True when the name starts with one of the workload prefixes."""
        return name.startswith(self.interface_prefixes)

    def is_excluded_interface(self, name: str) -> bool:
        """True when the addresses of the interface are to be ignored."""
        return any(re.search(pattern, name) for pattern in self.interface_exclude)


@dataclass(frozen=True, slots=True)
class _Parameter:
    """One row of the table of parameters: Felix's name, our field, how it is read, what `none` means, and flags."""

    name: str
    field: str
    parse: Callable[[str], object]
    zero: object
    non_zero: bool = False
    die: bool = False


def parse_config(parameters: Mapping[str, str], *, felix_exact: bool = False) -> tuple[RenderConfig, tuple[str, ...]]:
    """Reads parameters given as text; returns the configuration and warnings about values that were replaced.

    Raises `InvalidInput` for a bad value that the original refuses to start with, and for a mask too small to render.
    """
    given = {name.lower(): value for name, value in parameters.items() if value}
    values: dict[str, object] = {}
    warnings: list[str] = []
    for row in _rows(felix_exact):
        text = given.get(row.name.lower())
        if text is None:
            continue
        try:
            values[row.field] = _read(row, text)
        except InvalidInput as problem:
            if row.die or text.lower() == "none":
                raise
            warnings.append(f"{problem}; the default is used")
    return RenderConfig(**values, felix_exact=felix_exact), tuple(warnings)  # type: ignore[arg-type]


def _read(row: _Parameter, text: str) -> object:
    if text.lower() == "none":
        if row.non_zero:
            raise InvalidInput(f"{row.name} cannot be none", remedy="leave it out to use the default")
        return row.zero
    try:
        return row.parse(text)
    except InvalidInput as problem:
        raise InvalidInput(f"{row.name}: {problem.message}", remedy=problem.remedy) from None


# --- types (spec: rules 11.2) ------------------------------------------------------------------------------------

_TRUE = ("true", "1", "yes", "y", "t")
_FALSE = ("false", "0", "no", "n", "f")
_INTEGER = re.compile(r"([+-]?)(?:0[xX]([0-9a-fA-F]+)|0([0-7]*)|([1-9][0-9]*))")
_NOT_IN_RE2 = re.compile(r"\(\?(?:[=!#>(]|<[=!])|\\[1-9]|[*+?}]\+")


def _bool(text: str) -> bool:
    word = text.lower()
    if word not in (*_TRUE, *_FALSE):
        raise InvalidInput(f"not a boolean: {text!r}", remedy="use true or false")
    return word in _TRUE


def _number(text: str) -> int:
    found = _INTEGER.fullmatch(text)
    if found is None:
        raise InvalidInput(f"not a whole number: {text!r}")
    sign, hexadecimal, octal, decimal = found.groups()
    digits, base = (hexadecimal, 16) if hexadecimal else (decimal, 10) if decimal else (octal or "0", 8)
    return int(digits, base) * (-1 if sign == "-" else 1)


def _int(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = _number(text)
        if not low <= value <= high:
            raise InvalidInput(f"{value} is not between {low} and {high}")
        return value

    return parse


def _mark_mask(text: str) -> int:
    value = _number(text)
    if not 0 <= value <= 0xFFFFFFFF or value.bit_count() < 2:
        raise InvalidInput(f"{text!r} is not a mask of 32 bits with at least two set")
    return value


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        for word in words:
            if word.lower() == text.lower():
                return word
        raise InvalidInput(f"unknown value {text!r}", remedy=f"use one of {', '.join(words)}")

    return parse


def _protocol_ports(text: str) -> tuple[ProtocolPort, ...]:
    found = []
    for word in text.split(","):
        head, colon, tail = word.strip().partition(":")
        name, number = (head.lower(), tail) if colon else ("tcp", head)
        if name not in ("tcp", "udp"):
            raise InvalidInput(f"unknown protocol in {word!r}", remedy="use tcp:PORT or udp:PORT")
        found.append(ProtocolPort(name, _port(number)))
    return tuple(found)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise InvalidInput(f"not a port: {text!r}")
    return int(text)


def _port_range(text: str) -> PortRange:
    head, colon, tail = text.partition(":")
    first = _port(head)
    last = _port(tail) if colon else first
    if first > last:
        raise InvalidInput(f"the range {text!r} ends before it starts")
    return PortRange(first, last)


def _port_ranges(text: str) -> tuple[PortRange, ...]:
    return tuple(_port_range(word) for word in text.split(","))


def _port_ranges_or_printed_list(text: str) -> tuple[PortRange, ...]:
    """Also reads `[1:2 3]`, which is how a list in a FelixConfiguration resource arrives (spec: model Q7)."""
    if text.startswith("[") and text.endswith("]"):
        return tuple(_port_range(word) for word in text[1:-1].split())
    return _port_ranges(text)


def _external_nodes(text: str) -> tuple[Prefix, ...]:
    found = []
    for word in text.split(","):
        prefix = parse_prefix(word.strip()).network
        if prefix.family is not IPFamily.V4:
            raise InvalidInput(f"not an IPv4 network: {word!r}")
        found.append(prefix)
    return tuple(found)


def _matching(pattern: str, what: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise InvalidInput(f"not {what}: {text!r}")
        return text

    return parse


def _interface_prefixes(text: str) -> tuple[str, ...]:
    _matching(r"[a-zA-Z0-9_-]{1,15}(,[a-zA-Z0-9_-]{1,15})*", "a list of interface prefixes")(text)
    prefixes = tuple(text.split(","))
    if any(len(prefix) > LONGEST_INTERFACE_PREFIX for prefix in prefixes):
        raise InvalidInput(f"a prefix in {text!r} leaves no room for an interface's own letters")
    return prefixes


def _interface_patterns(text: str) -> tuple[str, ...]:
    patterns = []
    for word in text.split(","):
        if len(word) > 1 and word.startswith("/") and word.endswith("/"):
            pattern = word[1:-1]
        else:
            pattern = f"^{re.escape(_matching(r'[a-zA-Z0-9:._+-]{1,15}', 'an interface name')(word))}$"
        try:
            re.compile(pattern)
        except re.error as problem:
            raise InvalidInput(f"not a regular expression: {word!r} ({problem})") from None
        if not pattern or _NOT_IN_RE2.search(pattern):
            raise InvalidInput(f"not a regular expression of RE2: {word!r}")
        patterns.append(pattern)
    return tuple(patterns)


def _log_prefix(text: str) -> str:
    if any(ord(letter) < 0x20 or letter == "\x7f" for letter in text):
        raise InvalidInput(f"control characters in {text!r}")
    return text


_HOST = r"[a-zA-Z0-9_.-]+"
_EVERY_INT = _int(-(2**63), 2**63 - 1)


def _rows(felix_exact: bool) -> Iterable[_Parameter]:
    """The table of parameters (spec: rules 11.3)."""
    node_ports = _port_ranges if felix_exact else _port_ranges_or_printed_list
    return (
        _Parameter("Ipv6Support", "ipv6_support", _bool, False),
        _Parameter("InterfacePrefix", "interface_prefixes", _interface_prefixes, (), non_zero=True, die=True),
        _Parameter("InterfaceExclude", "interface_exclude", _interface_patterns, ()),
        _Parameter("ChainInsertMode", "chain_insert_mode", _one_of("insert", "append"), "", non_zero=True, die=True),
        _Parameter(
            "DefaultEndpointToHostAction",
            "endpoint_to_host_action",
            _one_of("DROP", "RETURN", "ACCEPT"),
            "",
            non_zero=True,
            die=True,
        ),
        _Parameter(
            "IptablesFilterAllowAction", "filter_allow_action", _one_of("ACCEPT", "RETURN"), "", non_zero=True, die=True
        ),
        _Parameter(
            "IptablesMangleAllowAction", "mangle_allow_action", _one_of("ACCEPT", "RETURN"), "", non_zero=True, die=True
        ),
        _Parameter("IptablesMarkMask", "mark_mask", _mark_mask, 0, non_zero=True, die=True),
        _Parameter("MaxIpsetSize", "max_ipset_size", _int(1, 0xFFFFFFFF), 0, non_zero=True),
        _Parameter("LogPrefix", "log_prefix", _log_prefix, ""),
        _Parameter("DisableConntrackInvalidCheck", "disable_conntrack_invalid_check", _bool, False),
        _Parameter("FailsafeInboundHostPorts", "failsafe_inbound", _protocol_ports, (), die=True),
        _Parameter("FailsafeOutboundHostPorts", "failsafe_outbound", _protocol_ports, (), die=True),
        _Parameter("KubeNodePortRanges", "node_port_ranges", node_ports, ()),
        _Parameter("NATPortRange", "nat_port_range", _port_range, None),
        _Parameter(
            "IptablesNATOutgoingInterfaceFilter",
            "nat_outgoing_interface",
            _matching(r"[a-zA-Z0-9:._+-]{1,15}", "an interface"),
            "",
        ),
        _Parameter("IpInIpEnabled", "ipip_enabled", _bool, False),
        _Parameter("IpInIpTunnelAddr", "ipip_tunnel_address", parse_address, None),
        _Parameter("VXLANEnabled", "vxlan_enabled", _bool, False),
        _Parameter("VXLANPort", "vxlan_port", _EVERY_INT, 0),
        _Parameter("VXLANVNI", "vxlan_vni", _int(0, 0xFFFFFFFF), 0),
        _Parameter("IPv4VXLANTunnelAddr", "vxlan_tunnel_address", parse_address, None),
        _Parameter("ExternalNodesCIDRList", "external_nodes", _external_nodes, (), die=True),
        _Parameter("MetadataAddr", "metadata_host", _matching(_HOST, "a host"), "", die=True),
        _Parameter("MetadataPort", "metadata_port", _int(0, 65535), 0, die=True),
        _Parameter("ClusterType", "cluster_type", str, ""),
    )
