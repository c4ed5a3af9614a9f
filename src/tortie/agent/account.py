"""What happens, in figures: which event and which report moves which metric."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from tortie.agent.event import Event, Programmed
from tortie.agent.metric import Figures
from tortie.agent.report import Part, Report, Shape
from tortie.agent.state import Agent
from tortie.model.event import Changed, InSync, Regained, Removed
from tortie.net.address import IPFamily

_FAMILY_WORDS = {IPFamily.V4: "inet", IPFamily.V6: "inet6"}
_WAITING, _READING, _IN_SYNC = 1, 2, 3
_CLUSTER_GAUGES = {
    "Node": "felix_cluster_num_hosts",
    "WorkloadEndpoint": "felix_cluster_num_workload_endpoints",
    "HostEndpoint": "felix_cluster_num_host_endpoints",
    "Profile": "felix_cluster_num_profiles",
}
_TOOL_COUNTERS = {
    "iptables-restore calls": "felix_iptables_restore_calls",
    "iptables-restore errors": "felix_iptables_restore_errors",
    "iptables-restore lines": "felix_iptables_lines_executed",
    "iptables-save calls": "felix_iptables_save_calls",
    "iptables-save errors": "felix_iptables_save_errors",
    "ipset calls": "felix_ipset_calls",
    "ipset errors": "felix_ipset_errors",
    "ipset lines": "felix_ipset_lines_executed",
}
_COMMANDS = ("ip calls", "bridge calls", "conntrack calls")


class Account:
    """Keeps the figures; `batch` counts what was told since the last pass began."""

    def __init__(self, figures: Figures) -> None:
        self.figures = figures
        self._batch = 0

    def happened(self, event: Event) -> None:
        """Counts one event."""
        counters = self.figures.counters
        match event:
            case Changed() | Removed():
                counters["felix_int_dataplane_messages"] += 1
                self._batch += 1
            case InSync() | Regained():
                counters["felix_resyncs_started"] += 1
            case Programmed(report):
                self._programmed(report)
            case _:
                pass

    def pass_begins(self, parts: frozenset[Part]) -> None:
        """A pass takes up what was told; one that only looks takes up nothing."""
        if Part.RULES in parts:
            self.figures.observe("felix_int_dataplane_msg_batch_size", self._batch)
            self._batch = 0

    def _programmed(self, report: Report) -> None:
        figures = self.figures
        if report.parts & {Part.RULES, Part.NETWORK}:
            figures.observe("felix_int_dataplane_apply_time_seconds", report.seconds)
        if report.problems:
            figures.counters["felix_int_dataplane_failures"] += 1
        if Part.RULES not in report.parts and report.rules is not None and report.rules.steps:
            figures.counters["tortie_repairs"] += 1
        if report.shape is not None:
            self._shape(report.shape)

    def _shape(self, shape: Shape) -> None:
        gauges, labelled = self.figures.gauges, self.figures.labelled
        gauges["felix_active_local_endpoints"] = shape.view.get("endpoints", 0)
        gauges["felix_active_local_policies"] = shape.view.get("policies", 0)
        gauges["felix_active_local_selectors"] = shape.view.get("selectors", 0)
        gauges["felix_ipsets_total"] = sum(shape.sets.values())
        labelled["felix_ipsets_calico"] = {
            (("ip_version", _FAMILY_WORDS[family]),): count for family, count in shape.sets.items()
        }
        for name, place in (("felix_iptables_chains", 0), ("felix_iptables_rules", 1)):
            labelled[name] = {
                (("ip_version", str(family.value)), ("table", table.value)): counts[place]
                for (family, table), counts in shape.tables.items()
            }

    def refresh(self, state: Agent, cluster: Counter[str], tools: Mapping[str, int], seconds: float) -> None:
        """Takes over what is counted elsewhere; `tools` and `seconds` are what was run, and for how long."""
        gauges, counters = self.figures.gauges, self.figures.counters
        for kind, name in _CLUSTER_GAUGES.items():
            gauges[name] = cluster[kind]
        gauges["felix_cluster_num_policies"] = cluster["NetworkPolicy"] + cluster["GlobalNetworkPolicy"]
        gauges["felix_resync_state"] = _WAITING if state.lost else _IN_SYNC if state.in_sync else _READING
        gauges["tortie_unreadable_resources"] = len(state.unreadable)
        gauges["tortie_ready"] = float(state.ready)
        gauges["tortie_failed_passes"] = state.failures
        for kind, name in _TOOL_COUNTERS.items():
            counters[name] = tools.get(kind, 0)
        counters["tortie_commands_run"] = sum(tools.get(kind, 0) for kind in _COMMANDS)
        counters["felix_exec_time_micros"] = sum(count for kind, count in tools.items() if kind.endswith(" calls"))
        self.figures.sums["felix_exec_time_micros"] = seconds * 1e6
