"""Metrics under Felix's names."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tortie.agent.metric import Figures, metrics_text, quantile


def page(figures: Figures, *, process: bool = False) -> list[str]:
    return metrics_text(figures, lambda: None, process=process)().decode().splitlines()


def test_counters_keep_the_names_that_dashboards_ask_for() -> None:
    figures = Figures()
    figures.counters["felix_ipset_calls"] += 3
    lines = page(figures)
    assert "felix_ipset_calls 3.0" in lines
    assert not [line for line in lines if line.startswith("felix_ipset_calls_total")]


def test_everything_is_there_from_the_beginning() -> None:
    names = {line.split()[0].partition("{")[0] for line in page(Figures()) if not line.startswith("#")}
    assert {
        "felix_active_local_endpoints", "felix_iptables_restore_calls", "felix_resyncs_started", "felix_cluster_num_hosts",
        "felix_int_dataplane_apply_time_seconds_count", "felix_int_dataplane_apply_time_seconds_sum",
    } <= names  # fmt: skip


def test_summaries_have_count_and_sum() -> None:
    figures = Figures()
    figures.observe("felix_int_dataplane_apply_time_seconds", 0.5)
    figures.observe("felix_int_dataplane_apply_time_seconds", 0.25)
    lines = page(figures)
    assert "felix_int_dataplane_apply_time_seconds_count 2.0" in lines
    assert "felix_int_dataplane_apply_time_seconds_sum 0.75" in lines


def test_quantiles_are_those_that_dashboards_show() -> None:
    """As `felix_int_dataplane_apply_time_seconds{quantile="0.99"}` on Calico's own dashboard of Felix."""
    figures = Figures()
    name = "felix_int_dataplane_apply_time_seconds"
    assert f'{name}{{quantile="0.5"}} NaN' in page(figures)
    for value in range(1000, 0, -1):
        figures.observe(name, float(value))
    lines = page(figures)
    assert [line for line in lines if "quantile" in line and line.startswith(name)] == [
        f'{name}{{quantile="0.5"}} 100.0',
        f'{name}{{quantile="0.9"}} 180.0',
        f'{name}{{quantile="0.99"}} 198.0',
    ]
    assert f"{name}_count 1000.0" in lines


@pytest.mark.parametrize(
    ("values", "share", "found"), [((3.0,), 0.99, 3.0), ((1.0, 2.0), 0.5, 1.0), ((1.0, 2.0), 0.9, 2.0)]
)
def test_a_quantile(values: tuple[float, ...], share: float, found: float) -> None:
    assert quantile(values, share) == found


def test_the_page_is_what_prometheus_reads() -> None:
    figures = Figures()
    figures.observe("felix_int_dataplane_msg_batch_size", 2.0)
    families = {family.name: family for family in text_string_to_metric_families("\n".join(page(figures)) + "\n")}
    assert {sample.name for sample in families["felix_int_dataplane_msg_batch_size"].samples} == {
        "felix_int_dataplane_msg_batch_size", "felix_int_dataplane_msg_batch_size_count",
        "felix_int_dataplane_msg_batch_size_sum",
    }  # fmt: skip


def test_labels() -> None:
    figures = Figures()
    figures.labelled["felix_ipsets_calico"] = {(("ip_version", "inet"),): 7}
    assert 'felix_ipsets_calico{ip_version="inet"} 7.0' in page(figures)


def test_what_is_counted_elsewhere_is_asked_for_each_time() -> None:
    figures = Figures()
    text = metrics_text(figures, lambda: figures.gauges.update(felix_cluster_num_hosts=9), process=False)
    assert b"felix_cluster_num_hosts 9.0" in text()


def test_the_process_itself_if_asked_for() -> None:
    assert any(line.startswith("process_resident_memory_bytes") for line in page(Figures(), process=True))
    assert not any(line.startswith("process_") for line in page(Figures()))
