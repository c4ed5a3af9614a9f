"""The tree keeps its promises: tests mirror src, and the page of dependencies names what is really depended on."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "tortie"
UNIT = ROOT / "tests" / "unit"

TESTED_ELSEWHERE: dict[str, str] = {
    "agent/command": "tests/unit/agent/test_step.py: values only",
    "agent/event": "tests/unit/agent/test_step.py: values only",
    "agent/port": "tests/unit/agent/test_program.py: Protocols only",
    "agent/state": "tests/unit/agent/test_status.py: values only",
    "explain/basis": "tests/unit/explain/test_world.py: values only",
    "audit/finding": "tests/unit/audit/test_node.py: values only",
    "net/node": "tests/unit/codec/test_node.py: values only",
    "cni/datastore": "tests/contract/cni_datastore.py: a Protocol",
    "cni/etcd_datastore": "tests/contract/test_cni_etcd.py",
    "cni/file_datastore": "tests/contract/test_cni_files.py",
    "cni/kubernetes_pods": "tests/contract/test_cni_kubernetes.py",
    "cni/plugin": "tests/kernel/test_cni.py: needs a kernel",
    "cni/wiring": "tests/kernel/test_cni.py: needs a kernel",
    "lab/etcd": "tests/kernel/test_lab.py: needs a server",
    "lab/outage": "tests/kernel/test_lab.py: needs a kernel",
    "lab/probe": "tests/kernel/test_lab.py: needs a kernel",
    "lab/verify": "tests/kernel/test_lab.py: needs a kernel",
    "model/event": "tests/contract/source.py: values only",
    "model/v1": "tests/unit/model/test_resource_conversion.py: values only",
    "netfilter/conntrack": "tests/unit/codec/test_conntrack.py: values only",
    "netfilter/snapshot": "tests/unit/codec/test_snapshot.py: values only",
    "netfilter/target": "tests/unit/codec/test_rule.py: values only",
    "reconcile/step": "tests/unit/reconcile/test_text.py: values only",
    "source/calico_client": "tests/contract/test_etcd_store.py: over real etcd",
    "source/etcd_ipam": "tests/contract/test_etcd_ipam.py: over real etcd",
    "source/etcd_store": "tests/contract/test_etcd_store.py: over real etcd",
    "source/failure": "tests/unit/source/test_etcd_client.py: values only",
    "selector/tree": "tests/unit/selector/test_parse.py: values only",
    "reconcile/wanted": "tests/unit/reconcile/test_plan.py: values only",
}
"""Modules without a file in tests/unit, and where they are tested instead."""

COMPLETE = (
    "agent",
    "audit",
    "bgp",
    "calc",
    "cni",
    "explain",
    "ipam",
    "lab",
    "model",
    "net",
    "netfilter",
    "reconcile",
    "reference",
    "render",
    "selector",
    "source",
)
"""Packages in which every module has its test file; a package joins when it has them all, and never leaves."""


def _modules() -> set[str]:
    return {
        path.relative_to(PACKAGE).with_suffix("").as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py")
    }


def _unit_files() -> set[str]:
    return {
        path.relative_to(UNIT).with_name(path.stem.removeprefix("test_")).as_posix() for path in UNIT.rglob("test_*.py")
    }


def test_every_unit_test_file_belongs_to_a_module() -> None:
    assert _unit_files() - _modules() == set()


def test_every_module_has_its_unit_test_file() -> None:
    missing = _modules() - _unit_files() - TESTED_ELSEWHERE.keys()
    assert {module for module in missing if module.split("/")[0] in COMPLETE} == set()


def test_what_is_tested_elsewhere_is_a_module_without_a_file() -> None:
    assert TESTED_ELSEWHERE.keys() <= _modules() - _unit_files()


def _dependencies() -> list[tuple[str, str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["dev"],
        *project["build-system"]["requires"],
    ]
    return [(words[1], words[2]) for entry in listed if (words := re.fullmatch(r"([\w-]+)(.*)", entry))]


@pytest.mark.parametrize(("name", "versions"), _dependencies())
def test_every_dependency_stands_on_its_page_with_its_range(name: str, versions: str) -> None:
    assert re.fullmatch(r">=[\d.]+,<[\d.]+", versions), "both ends of the range are pinned"
    assert f"| {name} | {versions} |" in (ROOT / "docs" / "dependencies.md").read_text()


def _debian_packages() -> set[str]:
    lines = (ROOT / "tools" / "debian-packages.txt").read_text().splitlines()
    return {line.split()[1] for line in lines if not line.startswith("#")}


@pytest.mark.parametrize("package", sorted(_debian_packages()))
def test_every_debian_package_stands_on_the_page_of_dependencies(package: str) -> None:
    assert f"| {package} |" in (ROOT / "docs" / "dependencies.md").read_text()
