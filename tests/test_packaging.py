"""What is shipped to run the agent: the unit and the manifest can be read, and give no more than the agent needs."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tortie.agent.metric import COUNTERS, GAUGES, LABELLED, SUMMARIES
from tortie.agent.setting import NEED_RESTART, WITHOUT_EFFECT
from tortie.cli.agent import agent
from tortie.source.kubernetes import KINDS

PACKAGING = Path(__file__).parents[1] / "packaging"
UNIT = PACKAGING / "tortie-agent.service"
MANIFEST = PACKAGING / "tortie-agent.yaml"


def unit() -> configparser.ConfigParser:
    found = configparser.ConfigParser(strict=False, interpolation=None)
    found.optionxform = str  # type: ignore[assignment,method-assign]
    found.read_string(UNIT.read_text())
    return found


def objects() -> dict[str, Any]:
    return {document["kind"]: document for document in yaml.safe_load_all(MANIFEST.read_text())}


def container() -> dict[str, Any]:
    (found,) = objects()["DaemonSet"]["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def parsed(words: list[str]) -> dict[str, Any]:
    """What the command understands by these words."""
    with agent.make_context("agent", list(words)) as context:
        return context.params


def test_the_unit_runs_a_command_that_there_is() -> None:
    words = unit()["Service"]["ExecStart"].split()
    assert words[:2] == ["/usr/bin/tortie", "agent"]
    assert parsed(words[2:])["source_name"] == "${TORTIE_SOURCE}"


def test_the_unit_starts_it_again_whatever_happens() -> None:
    service = unit()["Service"]
    assert (service["Restart"], service["RestartForceExitStatus"]) == ("always", "129")
    # By itself systemd gives up after five starts within ten seconds (systemd.unit(5)).
    assert unit()["Unit"]["StartLimitIntervalSec"] == "0"


def test_the_unit_gives_the_network_and_nothing_else() -> None:
    service = unit()["Service"]
    assert service["CapabilityBoundingSet"].split() == ["CAP_NET_ADMIN", "CAP_NET_RAW"]
    assert service["NoNewPrivileges"] == "yes"
    assert "ProtectKernelTunables" not in service  # it writes below /proc/sys/net


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/usr/bin/tortie", "/bin/true"))
    verified = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_manifest_runs_a_command_that_there_is() -> None:
    name, *words = container()["args"]
    assert name == "agent"
    assert parsed(words)["source_name"] == "kubernetes"


def test_the_agent_may_read_exactly_what_it_reads() -> None:
    rules = objects()["ClusterRole"]["rules"]
    allowed = {(group, name) for rule in rules for group in rule["apiGroups"] for name in rule["resources"]}
    assert allowed == {(kind.group, kind.plural) for kind in KINDS}
    assert {verb for rule in rules for verb in rule["verbs"]} == {"list", "watch"}


def test_names_in_the_manifest_fit_each_other() -> None:
    found = objects()
    name = found["ServiceAccount"]["metadata"]["name"]
    binding = found["ClusterRoleBinding"]
    assert binding["roleRef"]["name"] == found["ClusterRole"]["metadata"]["name"]
    assert [(subject["name"], subject["namespace"]) for subject in binding["subjects"]] == [(name, "kube-system")]
    spec = found["DaemonSet"]["spec"]
    assert spec["template"]["spec"]["serviceAccountName"] == name
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    volumes = {volume["name"] for volume in spec["template"]["spec"]["volumes"]}
    assert {mount["name"] for mount in container()["volumeMounts"]} == volumes


def test_the_container_is_not_privileged() -> None:
    security = container()["securityContext"]
    assert security["privileged"] is False and security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}
    pod = objects()["DaemonSet"]["spec"]["template"]["spec"]
    assert pod["hostNetwork"] is True and not pod.get("hostPID") and not pod.get("hostIPC")


def test_settings_are_written_where_the_nodes_own_are_mounted() -> None:
    folder = parsed(container()["args"][1:])["proc_sys"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container()["volumeMounts"]}
    assert Path(mounts["net-settings"]) == folder / "net"


def test_probes_ask_pages_that_there_are() -> None:
    environment = {entry["name"]: entry.get("value") for entry in container()["env"]}
    assert (environment["FELIX_HEALTHENABLED"], environment["FELIX_HEALTHHOST"]) == ("true", "localhost")
    for probe, path in (("livenessProbe", "/liveness"), ("readinessProbe", "/readiness")):
        assert container()[probe]["httpGet"] == {"host": "localhost", "port": 9099, "path": path}


def test_options_in_both_are_told_by_help() -> None:
    assert isinstance(agent, click.Command)
    options = {option for parameter in agent.params for option in parameter.opts}
    assert {word for word in container()["args"] if word.startswith("--")} <= options


@pytest.mark.parametrize("name", sorted({*COUNTERS, *GAUGES, *LABELLED, *SUMMARIES, *NEED_RESTART, *WITHOUT_EFFECT}))
def test_the_page_about_the_agent_names_what_there_is(name: str) -> None:
    assert f"`{name}`" in (PACKAGING.parent / "docs" / "agent.md").read_text()
