"""What moves which metric."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.scenario.world import PROFILE, resources
from tortie.agent.account import Account
from tortie.agent.event import Programmed
from tortie.agent.metric import Figures
from tortie.agent.report import Part, Report, RulesReport, Shape
from tortie.agent.state import Agent
from tortie.model.event import InSync, Removed
from tortie.net.address import IPFamily
from tortie.netfilter.hook import TableName

CHANGED = resources(PROFILE)[0]
ALL = frozenset({Part.RULES, Part.NETWORK})


@pytest.fixture
def account() -> Account:
    return Account(Figures())


def test_messages_and_batches(account: Account) -> None:
    for event in (CHANGED, CHANGED, Removed(CHANGED.key), InSync()):
        account.happened(event)
    account.pass_begins(frozenset({Part.CHECK_SETS}))
    account.pass_begins(ALL)
    counters = account.figures.counters
    assert (counters["felix_int_dataplane_messages"], counters["felix_resyncs_started"]) == (3, 1)
    assert account.figures.sums["felix_int_dataplane_msg_batch_size"] == 3
    assert counters["felix_int_dataplane_msg_batch_size"] == 1


def test_passes_and_failures(account: Account) -> None:
    account.happened(Programmed(Report(ALL, seconds=0.5)))
    account.happened(Programmed(Report(ALL, refused="no", seconds=0.5)))
    account.happened(Programmed(Report(frozenset({Part.CHECK_SETS}), seconds=9)))
    assert account.figures.sums["felix_int_dataplane_apply_time_seconds"] == 1.0
    assert account.figures.counters["felix_int_dataplane_failures"] == 1


def test_repairs_are_writes_in_passes_that_only_look(account: Account) -> None:
    wrote = RulesReport(steps=2)
    account.happened(Programmed(Report(ALL, wrote)))
    account.happened(Programmed(Report(frozenset({Part.CHECK_RULES}), wrote)))
    assert account.figures.counters["tortie_repairs"] == 1


def test_how_much_was_rendered(account: Account) -> None:
    shape = Shape({(IPFamily.V4, TableName.FILTER): (20, 300)}, {IPFamily.V4: 5, IPFamily.V6: 4}, {"endpoints": 7})
    account.happened(Programmed(Report(ALL, shape=shape)))
    figures = account.figures
    assert figures.gauges["felix_active_local_endpoints"] == 7
    assert figures.gauges["felix_ipsets_total"] == 9
    assert figures.labelled["felix_iptables_rules"] == {(("ip_version", "4"), ("table", "filter")): 300}
    assert figures.labelled["felix_ipsets_calico"] == {(("ip_version", "inet"),): 5, (("ip_version", "inet6"),): 4}


@pytest.mark.parametrize(
    ("state", "number"), [(Agent("n"), 2), (Agent("n", in_sync=True), 3), (Agent("n", in_sync=True, lost="gone"), 1)]
)
def test_the_state_of_the_datastore(account: Account, state: Agent, number: int) -> None:
    account.refresh(state, Counter(), {}, 0.0)
    assert account.figures.gauges["felix_resync_state"] == number


def test_what_is_counted_elsewhere(account: Account) -> None:
    cluster = Counter({"Node": 3, "NetworkPolicy": 4, "GlobalNetworkPolicy": 5})
    tools = {"ipset calls": 6, "iptables-save calls": 7, "ip calls": 2, "conntrack calls": 1}
    account.refresh(replace(Agent("n"), failures=2), cluster, tools, 0.25)
    gauges, counters = account.figures.gauges, account.figures.counters
    assert (gauges["felix_cluster_num_hosts"], gauges["felix_cluster_num_policies"]) == (3, 9)
    assert (counters["felix_ipset_calls"], counters["felix_iptables_save_calls"], counters["tortie_commands_run"]) == (
        6,
        7,
        3,
    )
    assert account.figures.sums["felix_exec_time_micros"] == 250_000
    assert gauges["tortie_failed_passes"] == 2
