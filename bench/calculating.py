"""The calculation at the shape of Felix's own benchmark: 250,000 endpoints, 200 of them local, and 10,000 policies.

As in Felix's `BenchmarkInitialSnapshot200Local250kTotal10000TagPols` (felix/calc) a pod is in one of 100 namespaces and has
labels of a few values each and one marker of 31; a policy is for pods with a marker and allows from five markers. The other
shape is what clusters look like: a policy belongs to a namespace, is for one application there, and allows from another and
from one in all namespaces of a team.

First everything is told to a fresh calculation in a process of its own, resources kept as a source keeps them. Then single
resources change, from the update to the new view. Felix itself cannot run here; what else a change could cost is to work
everything out again, which is the ratio.
"""

from __future__ import annotations

import gc
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.measure import Figure
from tortie.calc.calculation import Calculation
from tortie.model.endpoint import WorkloadEndpoint, WorkloadEndpointSpec
from tortie.model.metadata import Metadata
from tortie.model.policy import GlobalNetworkPolicy, GlobalNetworkPolicySpec, NetworkPolicy, NetworkPolicySpec
from tortie.model.profile import Profile, ProfileSpec
from tortie.model.read import Key, key_of
from tortie.model.resource import Resource
from tortie.model.rule import Action, EntityRule, PolicyRule
from tortie.model.workload_name import format_workload_name, pod_interface
from tortie.net.address import IPFamily, Prefix

ENDPOINTS, LOCAL, POLICIES, NAMESPACES, RULES = 250_000, 200, 10_000, 100, 5
APPS, TEAMS = 100, 10
MOST_BYTES, MOST_SECONDS = 4 << 30, 0.020
MARKERS = tuple(f"marker-{number}" for number in range(31))
PERIODS = (10, 11, 20, 30, 40)
CHANGES = 41


def figures(_folder: Path) -> Iterator[Figure]:
    """Both shapes, each in a process of its own."""
    for shape in ("markers", "namespaces"):
        words = [sys.executable, "-m", "bench.calculating", shape]
        ended = subprocess.run(words, capture_output=True, text=True, check=True)
        for what, value, aim, met in json.loads(ended.stdout):
            yield Figure(what, value, aim, met)


# --- what there is -----------------------------------------------------------------------------------------------


def pod(number: int, node: str) -> WorkloadEndpoint:
    """A pod with the labels of the benchmark."""
    namespace, name = f"namespace-{number % NAMESPACES}", f"pod-{number}"
    labels = {f"one-in-{period}": f"value-{number % period}" for period in PERIODS}
    labels[MARKERS[number % len(MARKERS)]] = "true"
    labels["app"] = f"app-{number // NAMESPACES % APPS}"
    spec = WorkloadEndpointSpec(
        node=node,
        orchestrator="k8s",
        pod=name,
        endpoint="eth0",
        ip_networks=(Prefix(IPFamily.V4, 0x0A000001 + number, 32),),
        profiles=(f"kns.{namespace}",),
        interface_name=pod_interface(namespace, name),
    )
    metadata = Metadata(name=format_workload_name(spec.identifiers), namespace=namespace, labels=labels)
    return WorkloadEndpoint(metadata, spec).with_defaults()


def namespace_profile(number: int, team: int | None = None) -> Profile:
    """What a namespace becomes; ten of them are a team's."""
    team = number % TEAMS if team is None else team
    labels = {"pcns.projectcalico.org/name": f"namespace-{number}", "pcns.team": f"team-{team}"}
    return Profile(
        Metadata(name=f"kns.namespace-{number}"),
        ProfileSpec(ingress=(PolicyRule(Action.ALLOW),), egress=(PolicyRule(Action.ALLOW),), labels_to_apply=labels),
    )


def allow_from(*selectors: str) -> tuple[PolicyRule, ...]:
    """A rule for each selector."""
    return tuple(PolicyRule(Action.ALLOW, source=EntityRule(selector=selector)) for selector in selectors)


def marker_policy(number: int, *more: str) -> GlobalNetworkPolicy:
    """A policy for pods with a marker, which allows from five markers and from `more`."""
    rules = allow_from(*(f"has({MARKERS[(number + rule) % len(MARKERS)]})" for rule in range(RULES)), *more)
    spec = GlobalNetworkPolicySpec(selector=f"has({MARKERS[number % len(MARKERS)]})", ingress=rules)
    return GlobalNetworkPolicy(Metadata(name=f"policy-{number}"), spec)


def namespaced_policy(number: int, *more: str) -> NetworkPolicy:
    """A policy for one application of a namespace, which allows from others and from `more`."""
    namespace, app = number % NAMESPACES, number // NAMESPACES % APPS
    team = EntityRule(namespace_selector=f"team == 'team-{namespace % TEAMS}'", selector=f"app == 'app-{(app + 2) % APPS}'")
    rules = (*allow_from(f"app == 'app-{(app + 1) % APPS}'", *more), PolicyRule(Action.ALLOW, source=team))
    spec = NetworkPolicySpec(selector=f"app == 'app-{app}'", ingress=rules)
    return NetworkPolicy(Metadata(name=f"policy-{number}", namespace=f"namespace-{namespace}"), spec)


def everything(policy: Callable[..., Resource]) -> list[Resource]:
    """The whole cluster; local pods are spread over it."""
    every = ENDPOINTS // LOCAL
    found: list[Resource] = [policy(number) for number in range(POLICIES)]
    found += [namespace_profile(number) for number in range(NAMESPACES)]
    found += [
        pod(number, "here" if number % every == number // every % every else "elsewhere") for number in range(ENDPOINTS)
    ]
    return found


# --- what is measured --------------------------------------------------------------------------------------------


def measure(shape: str) -> list[tuple[str, str, str, bool | None]]:
    """The lines of a shape."""
    policy = marker_policy if shape == "markers" else namespaced_policy
    resources = [(key_of(one), one) for one in everything(policy)]
    held = _held_bytes()
    calculation = Calculation("here")
    gc.disable()
    start = time.process_time()
    for key, one in resources:
        calculation.update(key, one)
    calculation.flush()
    view = calculation.view()
    first = time.process_time() - start
    gc.enable()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    members = sum(len(one.members) for one in view.ip_sets)
    what = f"{len(view.policies):,} active policies, {len(view.ip_sets):,} sets, {members:,} members"
    assert len(view.workloads) == LOCAL
    lines: list[tuple[str, str, str, bool | None]] = [
        (f"calculating 250,000 endpoints, {shape}", f"{first:.1f} s: {what}", "", None),
        (
            "  memory of that process, resources included",
            f"{peak / 2**30:.2f} GiB, {(peak - held) / 2**30:.2f} of it the calculation's",
            "under 4 GiB",
            peak < MOST_BYTES,
        ),
    ]
    gc.freeze()
    for name, changes in kinds_of_change(policy).items():
        taken = change_seconds(calculation, changes)
        lines.append(
            (
                f"  {name}, to the new view",
                f"{taken * 1000:.2f} ms, 1/{first / taken:,.0f} of everything",
                "under 20 ms",
                taken < MOST_SECONDS,
            )
        )
    return lines


def _held_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def kinds_of_change(policy: Callable[..., Any]) -> dict[str, list[list[Resource]]]:
    """Changes by name, each a list of what is updated together."""
    every = ENDPOINTS // LOCAL
    local = [number for number in range(ENDPOINTS) if number % every == number // every % every]
    remote = [number + 1 for number in local[:CHANGES]]
    active = [
        number % POLICIES for number in local[-CHANGES:]
    ]  # the policy for a pod's application is called by the pod's number
    return {
        "a pod elsewhere comes": [[pod(ENDPOINTS + number, "elsewhere")] for number in range(CHANGES)],
        "a pod here comes": [[pod(ENDPOINTS + 1000 + number, "here")] for number in range(CHANGES)],
        "a pod elsewhere changes a label": [[relabelled(pod(number, "elsewhere"))] for number in remote],
        "a pod here changes a label": [[relabelled(pod(number, "here"))] for number in local[:CHANGES]],
        "a policy changes a rule": [[policy(number, "has(marker-1)")] for number in active],
        "a policy names a new set": [
            [policy(number, f"one-in-40 == 'value-{place}'")] for place, number in enumerate(active[:40])
        ],
        "a policy comes": [[policy(POLICIES + number)] for number in range(CHANGES)],
        "a namespace changes a label": [[namespace_profile(number, number + 1)] for number in range(CHANGES)],
    }


def relabelled(given: WorkloadEndpoint) -> WorkloadEndpoint:
    """The pod with another marker and another application."""
    labels = dict(given.metadata.labels) | {"app": "app-1", MARKERS[3]: "true"}
    return replace(given, metadata=replace(given.metadata, labels=labels))


def change_seconds(calculation: Calculation, changes: list[list[Resource]]) -> float:
    """Median processor time from an update to the new view, in seconds."""
    times = []
    for updates in changes:
        keyed: list[tuple[Key, Resource]] = [(key_of(one), one) for one in updates]
        start = time.process_time()
        for key, one in keyed:
            calculation.update(key, one)
        calculation.flush()
        calculation.view()
        times.append(time.process_time() - start)
    return statistics.median(times)


if __name__ == "__main__":
    json.dump(measure(sys.argv[1]), sys.stdout)
