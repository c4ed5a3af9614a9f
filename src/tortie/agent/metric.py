"""Prometheus metrics, under Felix's own names where the meaning is the same, so that its dashboards work.

Go's client does not put `_total` behind counters and Python's does; to keep the names, counters are given out as untyped,
which changes nothing for queries. Names are those of Felix 3.7 (spec: rules 10.9; Felix reference, "Prometheus metrics");
`tortie_…` are ours.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class Figures:
    """Everything that is counted; the loop changes it, the collector reads it."""

    gauges: dict[str, float] = field(default_factory=dict)
    counters: Counter[str] = field(default_factory=Counter)
    labelled: dict[str, dict[tuple[tuple[str, str], ...], float]] = field(default_factory=dict)
    """Gauges by name, then by labels."""
    sums: dict[str, float] = field(default_factory=dict)
    """Of summaries: the sum; the count is in `counters` under the same name."""
    latest: dict[str, deque[float]] = field(default_factory=dict)
    """Of summaries: the last values, of which the quantiles are."""

    def observe(self, name: str, value: float) -> None:
        """Adds one observation to a summary."""
        self.sums[name] = self.sums.get(name, 0.0) + value
        self.counters[name] += 1
        self.latest.setdefault(name, deque(maxlen=_LATEST)).append(value)


_LATEST = 200
"""Felix' quantiles are of the last ten minutes; here they are of so many values, and stay when nothing happens."""
QUANTILES = (0.5, 0.9, 0.99)
"""Those that Felix gives out, and its dashboards show (prometheus/client_golang 0.9, DefObjectives)."""


COUNTERS: Mapping[str, str] = {
    "felix_int_dataplane_failures": "Passes of programming that did not succeed; they are repeated.",
    "felix_int_dataplane_messages": "Changes of resources that were told.",
    "felix_resyncs_started": "Times that a source told everything that there is.",
    "felix_iptables_restore_calls": "Runs of iptables-restore.",
    "felix_iptables_restore_errors": "Runs of iptables-restore that failed.",
    "felix_iptables_save_calls": "Runs of iptables-save.",
    "felix_iptables_save_errors": "Runs of iptables-save that failed.",
    "felix_iptables_lines_executed": "Lines given to iptables-restore.",
    "felix_ipset_calls": "Runs of ipset.",
    "felix_ipset_errors": "Runs of ipset that failed.",
    "felix_ipset_lines_executed": "Lines given to ipset restore.",
    "felix_log_errors": "Lines of the log that could not be written.",
    "tortie_repairs": "Passes that found and repaired what another program had changed.",
    "tortie_commands_run": "Runs of ip, bridge and conntrack.",
}
GAUGES: Mapping[str, str] = {
    "felix_active_local_endpoints": "Workload and host endpoints of this node.",
    "felix_active_local_policies": "Policies that select an endpoint of this node.",
    "felix_active_local_selectors": "Selectors of active rules, each an ip set.",
    "felix_cluster_num_hosts": "Nodes of the cluster.",
    "felix_cluster_num_workload_endpoints": "Workload endpoints of the cluster.",
    "felix_cluster_num_host_endpoints": "Host endpoints of the cluster.",
    "felix_cluster_num_policies": "Policies of the cluster.",
    "felix_cluster_num_profiles": "Profiles of the cluster.",
    "felix_resync_state": "The datastore: 1 waiting for it, 2 reading everything, 3 in sync.",
    "felix_ipsets_total": "Ip sets of both families.",
    "tortie_unreadable_resources": "Resources of the datastore that cannot be read.",
    "tortie_ready": "1 while the kernel is as the datastore says.",
    "tortie_failed_passes": "Passes in a row that did not succeed.",
}
LABELLED: Mapping[str, str] = {
    "felix_ipsets_calico": "Ip sets of ours.",
    "felix_iptables_chains": "Chains of ours.",
    "felix_iptables_rules": "Rules of ours.",
}
SUMMARIES: Mapping[str, str] = {
    "felix_int_dataplane_apply_time_seconds": "Seconds that a pass of programming took.",
    "felix_int_dataplane_msg_batch_size": "Changes of resources that one pass took up.",
    "felix_exec_time_micros": "Microseconds that tools ran.",
}
_WITHOUT_QUANTILES = frozenset({"felix_exec_time_micros"})
"""Of these only totals are known."""


class FelixCollector(Collector):
    """Gives out the figures under their names; `refresh` is called before each time."""

    def __init__(self, figures: Figures, refresh: Callable[[], None]) -> None:
        self._figures = figures
        self._refresh = refresh

    def collect(self) -> Iterator[Metric]:
        """Every metric, zeros included."""
        self._refresh()
        figures = self._figures
        for name, text in COUNTERS.items():
            metric = Metric(name, text, "unknown")
            metric.add_sample(name, {}, figures.counters[name])
            yield metric
        for name, text in GAUGES.items():
            yield GaugeMetricFamily(name, text, value=figures.gauges.get(name, 0.0))
        for name, text in LABELLED.items():
            labelled = Metric(name, text, "gauge")
            for labels, value in figures.labelled.get(name, {}).items():
                labelled.add_sample(name, dict(labels), value)
            yield labelled
        for name, text in SUMMARIES.items():
            summary = SummaryMetricFamily(
                name, text, count_value=figures.counters[name], sum_value=figures.sums.get(name, 0.0)
            )
            if name not in _WITHOUT_QUANTILES:
                values = sorted(figures.latest.get(name, ()))
                for share in QUANTILES:
                    summary.add_sample(name, {"quantile": str(share)}, quantile(values, share))
            yield summary


def quantile(values: Sequence[float], share: float) -> float:
    """The value, of some in order, that `share` of them do not exceed; not a number when there are none."""
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else math.nan


def metrics_text(figures: Figures, refresh: Callable[[], None], *, process: bool) -> Callable[[], bytes]:
    """What gives the page of metrics; with `process` those of the process are on it too."""
    registry = CollectorRegistry()
    registry.register(FelixCollector(figures, refresh))
    if process:
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
    return lambda: generate_latest(registry)
