"""Where the agent's resources come from: `--source` to a source, with Calico's own configuration of clients."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tortie.net.error import InvalidInput

if TYPE_CHECKING:
    from tortie.agent.port import Source, StatusSink
    from tortie.source.client_config import ClientConfig

_FROM_FELIX = {
    "DatastoreType": "datastore_type", "EtcdEndpoints": "etcd_endpoints", "EtcdCaFile": "etcd_ca_cert_file",
    "EtcdCertFile": "etcd_cert_file", "EtcdKeyFile": "etcd_key_file",
}  # fmt: skip
"""Felix's local parameters for the datastore, and the client's fields for the same."""


def open_source(name: str, node: str, local: Mapping[str, str]) -> tuple[Source, list[StatusSink]]:
    """The source, and where in it the status goes; `local` are the parameters of file and environment.

    Raises `InvalidInput` for a place that there cannot be.
    """
    if name == "etcd":
        from tortie.cli.agent_status import EtcdStatus
        from tortie.source.etcd import EtcdSource
        from tortie.source.etcd_client import EtcdClient

        config = _client_config(local)
        # Status is written by a client of its own, so that a slow write holds nothing up.
        return EtcdSource(EtcdClient(config)), [EtcdStatus(EtcdClient(config))]
    if name == "kubernetes":
        from tortie.model.resource import ReadOptions
        from tortie.model.workload_name import DEFAULT_INTERFACE_PREFIX
        from tortie.source.kubernetes import KubernetesSource
        from tortie.source.kubernetes_client import KubernetesClient

        config = _client_config(local)
        # Pods' interfaces are named as Calico's plugin names them (spec: model 2.2).
        prefix = local.get("InterfacePrefix", "").partition(",")[0] or DEFAULT_INTERFACE_PREFIX
        options = ReadOptions(interface_prefix=prefix, use_pod_cidr=config.k8s_use_pod_cidr)
        return KubernetesSource(KubernetesClient(config), options=options), []
    folder = Path(name)
    if folder.exists() and not folder.is_dir():
        raise InvalidInput(f"{name} is not a directory", remedy="--source takes a directory, etcd or kubernetes")
    from tortie.source.directory import DirectorySource

    return DirectorySource(folder), []


def _client_config(local: Mapping[str, str]) -> ClientConfig:
    from tortie.source.client_config import load_config

    config = load_config(None, os.environ)
    changes: dict[str, Any] = {
        field: local[name] for name, field in _FROM_FELIX.items() if name in local and name != "DatastoreType"
    }
    if "EtcdAddr" in local and "EtcdEndpoints" not in local:
        changes["etcd_endpoints"] = f"{local.get('EtcdScheme', 'http')}://{local['EtcdAddr']}"
    return replace(config, **changes)
