"""What a runtime gets for each kind of end, and where a call finds its node and its datastore."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cni.test_call import ADD
from tortie.cni.call import Call
from tortie.cni.config import NetworkConfig, parse_config
from tortie.cni.error import CniError, ErrorCode
from tortie.cni.file_datastore import FileDatastore
from tortie.cni.main import answer, etcd_config, node_name, open_datastore
from tortie.net.error import InvalidInput
from tortie.source.failure import DatastoreFailed

CONFIG = json.dumps({"cniVersion": "0.4.0", "name": "net"})


def _config(**keys: object) -> NetworkConfig:
    return parse_config(json.dumps({"cniVersion": "0.4.0", "name": "net"} | keys))


def _runner(outcome: object) -> Any:
    def run(call: Call, config: NetworkConfig, environment: Mapping[str, str]) -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return run


def test_a_result_is_printed() -> None:
    assert answer(_runner({"a": 1}), ADD, CONFIG) == (0, '{\n    "a": 1\n}\n')


def test_where_there_is_none_nothing_is() -> None:
    assert answer(_runner(None), ADD, CONFIG) == (0, "")


def test_version_needs_no_configuration() -> None:
    code, out = answer(_runner(None), {"CNI_COMMAND": "VERSION"}, "")
    assert code == 0
    assert json.loads(out)["cniVersion"] == "1.0.0"


FAILURES = {
    "an error of ours": (CniError("no", ErrorCode.TRY_AGAIN), 11, "no"),
    "bad input": (InvalidInput("no", source="x", line=3), 100, "x:3: no"),
    "a file": (OSError(2, "No such file or directory", "/x"), 100, "/x: No such file or directory"),
    "a datastore that does not answer": (DatastoreFailed("away"), 11, "away"),
    "a mistake of ours": (ValueError("oops"), 100, "ValueError: oops"),
}


@pytest.mark.parametrize(("error", "number", "message"), FAILURES.values(), ids=FAILURES)
def test_every_failure_is_an_error_object(error: Exception, number: int, message: str) -> None:
    code, out = answer(_runner(error), ADD, CONFIG)
    assert code == 1
    assert json.loads(out) == {"cniVersion": "0.4.0", "code": number, "msg": message}


def test_bad_configuration_is_an_error_object() -> None:
    code, out = answer(_runner(None), ADD, "nonsense")
    assert (code, json.loads(out)["code"]) == (1, 6)


def test_the_nodes_name_is_the_configurations_then_the_files(tmp_path: Path) -> None:
    file = tmp_path / "nodename"
    file.write_text("from-file\n")
    assert node_name(_config(nodename="mine"), file) == "mine"
    assert node_name(_config(), file) == "from-file"


def test_without_the_file_nothing_is_guessed_unless_allowed(tmp_path: Path) -> None:
    file = tmp_path / "nodename"
    with pytest.raises(CniError, match="check that the node agent runs"):
        node_name(_config(), file)
    assert node_name(_config(hostname="old"), file) == "old"
    assert node_name(_config(nodename_file_optional=True), file) != ""


def test_what_the_network_says_of_etcd_wins_over_the_environment() -> None:
    environment = {"ETCD_ENDPOINTS": "http://10.0.0.1:2379", "ETCD_USERNAME": "u"}
    found = etcd_config(_config(etcd_endpoints="http://10.0.0.2:2379"), environment)
    assert (found.etcd_endpoints, found.etcd_username) == ("http://10.0.0.2:2379", "u")
    assert etcd_config(_config(), environment).etcd_endpoints == "http://10.0.0.1:2379"
    old = etcd_config(_config(etcd_authority="10.0.0.3:2379", etcd_scheme="https"), {})
    assert old.etcd_endpoints == "https://10.0.0.3:2379"


def test_a_directory_is_datastore_and_manifests(tmp_path: Path) -> None:
    datastore, pods = open_datastore(_config(datastore_type="directory", datastore_dir=str(tmp_path)), {})
    assert isinstance(datastore, FileDatastore)
    assert pods is datastore


REFUSED = {
    "unknown": ({"datastore_type": "paper"}, "datastore_type: 'paper' is not one of directory, etcdv3"),
    "a directory without name": ({"datastore_type": "directory"}, "datastore_dir is missing"),
}


@pytest.mark.parametrize(("keys", "message"), REFUSED.values(), ids=REFUSED)
def test_bad_datastores(keys: dict[str, object], message: str) -> None:
    with pytest.raises(CniError, match=message):
        open_datastore(_config(**keys), {})
