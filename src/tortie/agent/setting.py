"""Felix's parameters as far as they concern the agent itself, and where all of them come from.

Precedence, highest first: environment, configuration file, datastore (the node's own over the cluster's, which `model`
has settled), default. Names are told apart in any case, an empty value counts as not given, a bad one is replaced by the
default with a warning (spec: rules 11.1). The parameters that decide rendered bytes are `render.config`'s.

The original ends at every change and is started again (exit code 129). Here nearly all take effect at once, because what
is programmed follows from the parameters alone; those in `NEED_RESTART` are about sockets that are open.
"""

from __future__ import annotations

import configparser
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tortie.model.parameter import FELIX_PARAMETERS
from tortie.model.problem import nearest
from tortie.net.error import InvalidInput

ENVIRONMENT_PREFIX = "felix_"
NEED_RESTART = frozenset(
    {"HealthEnabled", "HealthHost", "HealthPort", "PrometheusMetricsEnabled", "PrometheusMetricsPort"}
    | {"PrometheusGoMetricsEnabled", "PrometheusProcessMetricsEnabled"}
)
"""Parameters that take effect only in a new process."""
WITHOUT_EFFECT = frozenset(
    {"UseInternalDataplaneDriver", "DataplaneDriver", "XDPRefreshInterval", "XDPEnabled", "GenericXDPEnabled"}
    | {"NetlinkTimeoutSecs", "IptablesLockFilePath", "IptablesLockTimeoutSecs", "IptablesLockProbeIntervalMillis"}
    | {"LogFilePath", "LogSeverityFile", "LogSeveritySys", "PolicySyncPathPrefix", "UsageReportingEnabled"}
    | {"UsageReportingInitialDelaySecs", "UsageReportingIntervalSecs", "DebugMemoryProfilePath"}
    | {"DebugDisableLogDropping", "DebugSimulateCalcGraphHangAfter", "DebugSimulateDataplaneHangAfter"}
)
"""Parameters that Tortie reads and does nothing with: it logs to stderr, its iptables locks itself, it reports no usage."""
_LOCAL_ONLY = ("felixhostname", "datastoretype", "etcd", "typha")
"""Beginnings of parameters that count only in the file or the environment (spec: rules 11.3)."""
_SPELLINGS = {
    name.lower(): name
    for name in (
        *(name for name, _ in FELIX_PARAMETERS.values()),
        "FelixHostname", "DatastoreType", "ClusterGUID", "ClusterType", "CalicoVersion", "IpInIpTunnelAddr",
        "IPv4VXLANTunnelAddr", "EtcdAddr", "EtcdScheme", "EtcdKeyFile", "EtcdCertFile", "EtcdCaFile", "EtcdEndpoints",
    )
}  # fmt: skip
_OTHERS = ("typha",)
"""Beginnings of parameters that are Felix's and about programs that Tortie does without."""
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the agent is told about itself; fields are Felix's parameters, times in seconds, 0 for never."""

    iptables_refresh_s: float = 90.0
    post_write_check_s: float = 1.0
    ipsets_refresh_s: float = 10.0
    route_refresh_s: float = 90.0
    ignore_loose_rpf: bool = False
    ipip_mtu: int = 1440
    vxlan_mtu: int = 1410
    log_level: str = "INFO"
    health_enabled: bool = False
    health_host: str = "localhost"
    health_port: int = 9099
    metrics_enabled: bool = False
    metrics_port: int = 9091
    process_metrics_enabled: bool = True
    endpoint_reporting_enabled: bool = False
    endpoint_reporting_delay_s: float = 1.0
    reporting_interval_s: float = 30.0
    reporting_ttl_s: float = 90.0
    openstack_region: str = ""


DEFAULT_SETTINGS = Settings()

# --- sources -----------------------------------------------------------------------------------------------------


def parse_felix_file(text: str, source: str) -> dict[str, str]:
    """The parameters of a configuration file; sections mean nothing. Raises `InvalidInput`."""
    parser = configparser.ConfigParser(interpolation=None, strict=False, default_section="\0none")
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    if not any(line.lstrip().startswith("[") for line in text.splitlines()):
        text = "[global]\n" + text
    try:
        parser.read_string(text, source)
    except configparser.Error as error:
        line = getattr(error, "lineno", None)
        message = "not a configuration file: " + " ".join(str(error.message).split())
        raise InvalidInput(message, source=source, line=line, remedy="write NAME = VALUE lines below a [global]") from None
    return {name: value for section in parser.sections() for name, value in parser.items(section)}


def environment_parameters(environment: Mapping[str, str]) -> dict[str, str]:
    """The parameters in variables named `FELIX_` and the parameter, in any case; bytes that are no UTF-8 become U+FFFD."""
    return {
        name[len(ENVIRONMENT_PREFIX) :]: value.encode(errors="surrogateescape").decode(errors="replace")
        for name, value in environment.items()
        if name.lower().startswith(ENVIRONMENT_PREFIX)
    }


def local_parameters(file: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """What counts on this machine, whatever the datastore says."""
    return _spelled(file) | _spelled(environment)


def effective_parameters(datastore: Mapping[str, str], local: Mapping[str, str]) -> dict[str, str]:
    """What counts in the end; the datastore has no say in where it is itself."""
    told = {name: text for name, text in _spelled(datastore).items() if not name.lower().startswith(_LOCAL_ONLY)}
    return told | _spelled(local)


def _spelled(parameters: Mapping[str, str]) -> dict[str, str]:
    """Values that are given, under the names that Felix has for them."""
    return {_SPELLINGS.get(name.lower(), name): text for name, text in parameters.items() if text}


def is_known(name: str) -> bool:
    """True for a parameter that Felix 3.7 has; it passes over others (spec: rules 11.1)."""
    return name.lower() in _SPELLINGS or name.lower().startswith(_OTHERS)


def has_effect(name: str) -> bool:
    """True for a parameter that Tortie does something with."""
    return name.lower() in _SPELLINGS and name not in WITHOUT_EFFECT


def unknown_parameter(name: str) -> str:
    """What is said of a parameter that is not known: that it does nothing, and which may have been meant."""
    remedy = nearest(name, _SPELLINGS.values())
    return f"parameter {name} is none of Felix 3.7 and has no effect" + (f" ({remedy})" if remedy else "")


# --- values ------------------------------------------------------------------------------------------------------


def _bool(text: str) -> bool:
    word = text.lower()
    if word not in ("true", "1", "yes", "y", "t", "false", "0", "no", "n", "f"):
        raise InvalidInput(f"not a boolean: {text!r}", remedy="use true or false")
    return word in ("true", "1", "yes", "y", "t")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidInput(f"not a number of seconds: {text!r}")
    return max(value, 0.0)


def _number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text, 0)
        except ValueError:
            raise InvalidInput(f"not a whole number: {text!r}") from None
        if not low <= value <= high:
            raise InvalidInput(f"{value} is not between {low} and {high}")
        return value

    return parse


def _level(text: str) -> str:
    word = {"WARN": "WARNING", "FATAL": "CRITICAL", "PANIC": "CRITICAL", "TRACE": "DEBUG"}.get(text.upper(), text.upper())
    if word not in LEVELS:
        raise InvalidInput(f"no level: {text!r}", remedy=f"use one of {', '.join(LEVELS)}")
    return word


_port = _number(0, 65535)
_mtu = _number(68, 65535)

_ROWS: Mapping[str, tuple[str, Callable[[str], object], object]] = {
    "IptablesRefreshInterval": ("iptables_refresh_s", _seconds, 0.0),
    "IptablesPostWriteCheckIntervalSecs": ("post_write_check_s", _seconds, 0.0),
    "IpsetsRefreshInterval": ("ipsets_refresh_s", _seconds, 0.0),
    "RouteRefreshInterval": ("route_refresh_s", _seconds, 0.0),
    "IgnoreLooseRPF": ("ignore_loose_rpf", _bool, False),
    "IpInIpMtu": ("ipip_mtu", _mtu, 1440),
    "VXLANMTU": ("vxlan_mtu", _mtu, 1410),
    "LogSeverityScreen": ("log_level", _level, "CRITICAL"),
    "HealthEnabled": ("health_enabled", _bool, False),
    "HealthHost": ("health_host", str, ""),
    "HealthPort": ("health_port", _port, 0),
    "PrometheusMetricsEnabled": ("metrics_enabled", _bool, False),
    "PrometheusMetricsPort": ("metrics_port", _port, 0),
    "PrometheusProcessMetricsEnabled": ("process_metrics_enabled", _bool, False),
    "EndpointReportingEnabled": ("endpoint_reporting_enabled", _bool, False),
    "EndpointReportingDelaySecs": ("endpoint_reporting_delay_s", _seconds, 0.0),
    "ReportingIntervalSecs": ("reporting_interval_s", _seconds, 0.0),
    "ReportingTTLSecs": ("reporting_ttl_s", _seconds, 0.0),
    "OpenstackRegion": ("openstack_region", str, ""),
}
"""Felix's name: our field, how a text is read, and what `none` means (spec: rules 11.2, 11.3)."""


def parse_settings(parameters: Mapping[str, str]) -> tuple[Settings, tuple[str, ...]]:
    """The agent's own part of the parameters, and warnings about values that were replaced by their defaults."""
    values: dict[str, object] = {}
    warnings: list[str] = []
    for name, text in _spelled(parameters).items():
        if name not in _ROWS:
            continue
        field, parse, zero = _ROWS[name]
        try:
            values[field] = zero if text.lower() == "none" else parse(text)
        except InvalidInput as problem:
            warnings.append(f"{name}: {problem}; the default is used")
    return Settings(**values), tuple(warnings)  # type: ignore[arg-type]


def changed_parameters(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Names of parameters that differ, sorted."""
    return tuple(sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)))
