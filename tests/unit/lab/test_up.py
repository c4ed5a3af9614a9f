"""What programs of a laboratory are told: the router's BIRD, the plugin, the agent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.lab import laboratory
from tortie.kernel.refusal import KernelRefused
from tortie.lab.machine import Machine
from tortie.lab.up import (
    Laboratory,
    agent_environment,
    check_programs,
    cni_config,
    read_record,
    router_config,
    status,
    write_record,
)
from tortie.net.error import InvalidInput

ROUTER = """\
router id 10.10.0.254;
protocol device { scan time 2; }
protocol direct { ipv4; }
protocol kernel { ipv4 { import none; export where source != RTS_DEVICE; }; scan time 2; }
template bgp node { local as 65000; ipv4 { import all; export all; next hop self; }; connect retry time 2;
  connect delay time 1; error wait time 1,5; multihop; }
protocol bgp node_10_10_0_1 from node { neighbor 10.10.0.1 as 64512; }
protocol bgp node_10_10_0_2 from node { neighbor 10.10.0.2 as 65002; }
"""


@pytest.fixture
def lab(tmp_path: Path) -> Laboratory:
    (tmp_path / "shop").mkdir()
    return Laboratory(laboratory.topology(), Machine("shop", tmp_path), patience_s=0.2)


def test_the_router_talks_to_every_node() -> None:
    found = laboratory.topology(nodes="nodes: [{name: n1}, {name: n2, asNumber: 65002}]")
    assert router_config(found) == ROUTER


def test_the_plugin_finds_the_directory(lab: Laboratory, tmp_path: Path) -> None:
    assert cni_config(lab, "n1") == {
        "cniVersion": "0.4.0",
        "name": "lab",
        "type": "tortie-cni",
        "nodename": "n1",
        "ipam": {"type": "calico-ipam"},
        "feature_control": {"floating_ips": True},
        "datastore_type": "directory",
        "datastore_dir": str(tmp_path / "shop" / "resources"),
        "ipam_dir": str(tmp_path / "shop" / "ipam"),
        "policy": {"type": "k8s"},
    }


def test_the_plugin_finds_etcd(tmp_path: Path) -> None:
    lab = Laboratory(laboratory.topology(mesh="", probes="probes: [icmp]\ndatastore: etcd"), Machine("shop", tmp_path))
    found = cni_config(lab, "n1")
    assert (found["datastore_type"], found["etcd_endpoints"]) == ("etcdv3", "http://10.10.0.253:2379")
    assert found["manifests_dir"] == str(tmp_path / "shop" / "resources")
    for name in ("ETCD_ENDPOINTS", "FELIX_ETCDENDPOINTS"):
        assert lab.environment[name] == "http://10.10.0.253:2379"


def test_the_agent_has_a_lock_of_its_own(lab: Laboratory, tmp_path: Path) -> None:
    found = agent_environment(lab, "n1")
    assert found["XTABLES_LOCKFILE"] == str(tmp_path / "shop" / "nodes" / "n1" / "xtables.lock")


def test_what_is_up_is_written_down(lab: Laboratory) -> None:
    attached = laboratory.attached(lab.topology)
    write_record(lab, attached)
    assert read_record(lab) == attached


def test_a_laboratory_that_is_not_up_says_so(lab: Laboratory) -> None:
    with pytest.raises(InvalidInput, match=r"laboratory shop is not up \(tortie lab up TOPOLOGY.yaml\)"):
        read_record(lab)
    lab.record().write_text("{")
    with pytest.raises(InvalidInput, match="laboratory shop is not up"):
        read_record(lab)


def test_a_pod_that_was_added_to_the_file_since_is_named(lab: Laboratory) -> None:
    write_record(lab, laboratory.attached(lab.topology)[:2])
    with pytest.raises(InvalidInput, match="is up without pod shop/far"):
        read_record(lab)


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    for name in ("ip", "iptables", "ipset", "bird"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    with pytest.raises(KernelRefused, match="`birdc`: not installed"):
        check_programs(laboratory.topology(), str(tmp_path))


def test_an_agent_that_has_said_nothing_has_no_status(lab: Laboratory) -> None:
    assert status(lab, "n1") == {}
    lab.folder("n1").mkdir(parents=True)
    (lab.folder("n1") / "status.json").write_text(json.dumps({"ready": True}))
    assert status(lab, "n1") == {"ready": True}


def test_waiting_ends_with_the_problem(lab: Laboratory) -> None:
    with pytest.raises(KernelRefused, match="n1 sleeps"):
        lab.wait(lambda: False, lambda: "n1 sleeps")


def test_waiting_for_a_process_ends_with_it(tmp_path: Path) -> None:
    patient = Laboratory(laboratory.topology(), Machine("shop", tmp_path))
    with pytest.raises(KernelRefused, match="it has ended"):
        patient.wait(lambda: False, lambda: "it has ended", 2**22 + 1)  # above the largest number that a process can have
