"""What files and environments say of the datastore."""

from __future__ import annotations

from pathlib import Path

import pytest

from tortie.net.error import InvalidInput
from tortie.source import client_config
from tortie.source.client_config import (
    ClientConfig,
    DatastoreType,
    Endpoint,
    config_from_environment,
    load_config,
    parse_config,
    parse_endpoint,
)

FILE = """\
apiVersion: projectcalico.org/v3
kind: CalicoAPIConfig
metadata:
spec:
  datastoreType: etcdv3
  etcdEndpoints: https://a:2379,https://b:2379
  etcdUsername: felix
  etcdPassword: word
  etcdCACertFile: /ca.pem
  etcdCertFile: /cert.pem
  etcdKeyFile: /key.pem
"""


def test_a_file() -> None:
    found = parse_config(FILE, "calicoctl.cfg")
    assert found == ClientConfig(
        etcd_endpoints="https://a:2379,https://b:2379",
        etcd_username="felix",
        etcd_password="word",
        etcd_ca_cert_file="/ca.pem",
        etcd_cert_file="/cert.pem",
        etcd_key_file="/key.pem",
    )
    assert found.endpoints == (Endpoint("a:2379", True), Endpoint("b:2379", True))


def test_a_file_for_kubernetes() -> None:
    text = (
        FILE.partition("spec:")[0] + "spec: {datastoreType: kubernetes, kubeconfig: /k, k8sInsecureSkipTLSVerify: true}\n"
    )
    found = parse_config(text)
    assert found.datastore_type is DatastoreType.KUBERNETES
    assert found.kubeconfig == "/k" and found.k8s_insecure_skip_tls_verify


@pytest.mark.parametrize(
    ("old", "new", "refusal"),
    [
        ("CalicoAPIConfig", "Node", "f:2: kind: expected a CalicoAPIConfig"),
        ("org/v3", "org/v1", "f:1: apiVersion: expected version projectcalico.org/v3"),
        ("etcdv3", "etcdv2", "f:5: spec.datastoreType: 'etcdv2' is not one of etcdv3, kubernetes"),
        ("etcdUsername", "etcdUser", "f:7: spec.etcdUser: unknown field 'etcdUser' (did you mean etcdUsername?)"),
        (FILE, "", "f: expected one CalicoAPIConfig, not 0"),
        ("metadata:", "- x", "f:3: "),
    ],
)
def test_files_that_are_refused(old: str, new: str, refusal: str) -> None:
    with pytest.raises(InvalidInput) as error:
        parse_config(FILE.replace(old, new), "f")
    assert str(error.value).startswith(refusal)


def test_the_environment_with_and_without_calicos_prefix() -> None:
    found = config_from_environment(
        {
            "ETCD_ENDPOINTS": "http://a:1",
            "CALICO_ETCD_ENDPOINTS": "http://b:1",
            "CALICO_ETCD_CA_CERT_FILE": "/ca",
            "K8S_API_ENDPOINT": "https://k",
            "USE_POD_CIDR": "true",
            "ETCD_USERNAME": "",
        }
    )
    assert found == ClientConfig(
        etcd_endpoints="http://b:1", etcd_ca_cert_file="/ca", k8s_api_endpoint="https://k", k8s_use_pod_cidr=True
    )
    assert config_from_environment({}).datastore_type is DatastoreType.ETCD


@pytest.mark.parametrize(
    ("environment", "refusal"),
    [
        ({"DATASTORE_TYPE": "etcd"}, "DATASTORE_TYPE: 'etcd' is not one of etcdv3, kubernetes"),
        ({"CALICO_K8S_INSECURE_SKIP_TLS_VERIFY": "maybe"}, "CALICO_K8S_INSECURE_SKIP_TLS_VERIFY: expected true or false"),
    ],
)
def test_environments_that_are_refused(environment: dict[str, str], refusal: str) -> None:
    with pytest.raises(InvalidInput, match=refusal):
        config_from_environment(environment)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://10.0.0.1:2379", Endpoint("10.0.0.1:2379", False)),
        (" https://etcd.example:4001/ ", Endpoint("etcd.example:4001", True)),
        ("http://etcd", Endpoint("etcd:2379", False)),
        ("http://[fd00::1]:1", Endpoint("[fd00::1]:1", False)),
        ("http://[fd00::1]", Endpoint("[fd00::1]:2379", False)),
    ],
)
def test_endpoints(text: str, expected: Endpoint) -> None:
    assert parse_endpoint(text) == expected


@pytest.mark.parametrize("text", ["10.0.0.1:2379", "ftp://a:1", "http://", "http://a:b", "http://a:70000", "http://a/b"])
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"write it as http://10\.0\.0\.1:2379"):
        parse_endpoint(text)


def test_without_endpoints_there_is_no_etcd() -> None:
    with pytest.raises(InvalidInput, match="no etcd endpoints specified"):
        _ = ClientConfig().endpoints


def test_which_word_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"ETCD_ENDPOINTS": "http://environment:1"}
    default, named = tmp_path / "default.cfg", tmp_path / "named.cfg"
    monkeypatch.setattr(client_config, "DEFAULT_FILE", default)
    named.write_text(FILE)
    assert load_config(None, environment).etcd_endpoints == "http://environment:1"
    assert load_config(named, environment).etcd_username == "felix"
    default.write_text(FILE.replace("felix", "other"))
    assert load_config(None, environment).etcd_username == "other"
    with pytest.raises(InvalidInput, match="nothing: cannot be read"):
        load_config(Path("nothing"), environment)
