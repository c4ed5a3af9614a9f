"""Where the API server is and who we are, from all that may say so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tortie.net.error import InvalidInput
from tortie.source.client_config import ClientConfig
from tortie.source.kubernetes_client import KubernetesClient, kubernetes_config

KUBECONFIG: dict[str, Any] = {
    "current-context": "here",
    "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    "clusters": [{"name": "c", "cluster": {"server": "https://k:6443", "certificate-authority": "ca.pem"}}],
    "users": [{"name": "u", "user": {"token": "word"}}],
}


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """What a pod has of its account."""
    for name in ("token", "namespace", "ca.crt"):
        (tmp_path / name).write_text(name)
    return tmp_path


def written(folder: Path, config: Any) -> str:
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return str(path)


def test_a_kubeconfig_and_what_goes_before_it(tmp_path: Path) -> None:
    path = written(tmp_path, KUBECONFIG)
    found = kubernetes_config(ClientConfig(kubeconfig=path), tmp_path)
    assert found.cluster.server == "https://k:6443" and found.user is not None and found.user.token == "word"
    assert found.abs_file("ca.pem") == tmp_path / "ca.pem"
    given = ClientConfig(kubeconfig=path, k8s_api_endpoint="https://other", k8s_api_token="t", k8s_ca_file="/ca")
    found = kubernetes_config(given, tmp_path)
    assert found.cluster.server == "https://other" and found.user is not None and found.user.token == "t"
    assert found.cluster.certificate_auth == "/ca"


def test_one_by_one(tmp_path: Path) -> None:
    given = ClientConfig(
        k8s_api_endpoint="https://k", k8s_cert_file="/c", k8s_key_file="/k", k8s_insecure_skip_tls_verify=True
    )
    found = kubernetes_config(given, tmp_path)
    assert found.user is not None and (found.user.client_cert, found.user.client_key) == ("/c", "/k")
    assert found.cluster.insecure and found.cluster.server == "https://k"


def test_in_a_pod(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    found = kubernetes_config(ClientConfig(), account)
    assert found.cluster.server == "https://[fd00::1]:443"
    assert found.user is not None and found.user.token_file == str(account / "token")


def test_nowhere(tmp_path: Path, account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    for folder in (tmp_path / "nothing", account):
        with pytest.raises(InvalidInput, match="nothing says where the Kubernetes API is"):
            kubernetes_config(ClientConfig(), folder)


@pytest.mark.parametrize(
    "config",
    [
        {},
        [],
        None,
        KUBECONFIG | {"current-context": "there"},
        KUBECONFIG | {"clusters": []},
        KUBECONFIG | {"users": []},
        KUBECONFIG | {"clusters": [{"name": "c", "cluster": {"server": 7}}]},
        KUBECONFIG | {"clusters": "x"},
    ],
)
def test_kubeconfigs_that_are_none(tmp_path: Path, config: Any) -> None:
    path = written(tmp_path, config)
    with pytest.raises(InvalidInput) as refusal:
        kubernetes_config(ClientConfig(kubeconfig=path), tmp_path)
    assert refusal.value.source == path


@pytest.mark.parametrize("text", ["{{", "\x00", "a: *b"])
def test_kubeconfigs_that_are_no_yaml(tmp_path: Path, text: str) -> None:
    (tmp_path / "kubeconfig").write_text(text)
    with pytest.raises(InvalidInput, match="is no kubeconfig"):
        kubernetes_config(ClientConfig(kubeconfig=str(tmp_path / "kubeconfig")), tmp_path)


def test_a_kubeconfig_or_certificates_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not found"):
        kubernetes_config(ClientConfig(kubeconfig=str(tmp_path / "nothing")), tmp_path)
    with pytest.raises(InvalidInput, match="cannot use the certificates"):
        KubernetesClient(ClientConfig(k8s_api_endpoint="https://k", k8s_ca_file=str(tmp_path / "nothing")))
