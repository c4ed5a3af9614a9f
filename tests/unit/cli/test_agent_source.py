"""What `--source` means, and who says where the datastore is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tortie.cli.agent_source import _client_config, open_source
from tortie.cli.agent_status import EtcdStatus
from tortie.net.error import InvalidInput
from tortie.source.directory import DirectorySource
from tortie.source.etcd import EtcdSource


def test_a_directory_also_one_that_is_not_there_yet(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "later"):
        source, sinks = open_source(str(path), "n", {})
        assert isinstance(source, DirectorySource) and sinks == []


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="not a directory"):
        open_source(str(tmp_path / "file"), "n", {})


def test_etcd_takes_the_status_as_well() -> None:
    source, sinks = open_source("etcd", "n", {"EtcdEndpoints": "http://127.0.0.1:1"})
    assert isinstance(source, EtcdSource)
    assert [type(sink) for sink in sinks] == [EtcdStatus]


@pytest.mark.parametrize(
    ("environment", "local", "endpoints"),
    [
        ({"ETCD_ENDPOINTS": "http://10.0.0.1:2379"}, {}, "http://10.0.0.1:2379"),
        ({"ETCD_ENDPOINTS": "http://10.0.0.1:2379"}, {"EtcdEndpoints": "http://10.0.0.2:2379"}, "http://10.0.0.2:2379"),
        ({}, {"EtcdAddr": "10.0.0.3:2379", "EtcdScheme": "https"}, "https://10.0.0.3:2379"),
        ({}, {"EtcdAddr": "10.0.0.3:2379", "EtcdEndpoints": "http://10.0.0.2:2379"}, "http://10.0.0.2:2379"),
    ],
    ids=["as calicoctl", "as Felix, which wins", "an address", "endpoints over an address"],
)
def test_where_etcd_is(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], local: dict[str, str], endpoints: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert _client_config(local).etcd_endpoints == endpoints
