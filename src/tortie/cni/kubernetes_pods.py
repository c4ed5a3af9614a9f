"""Pods and namespaces, asked of the Kubernetes API one at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tortie.model import kubernetes as k8s
from tortie.model.reader import read_value
from tortie.source.client_config import ClientConfig
from tortie.source.failure import DatastoreFailed
from tortie.source.kubernetes_client import kubernetes_config

_NOT_FOUND = 404


class KubernetesPods:
    """A `Pods`; methods raise `DatastoreFailed` when the API cannot be asked."""

    def __init__(self, config: ClientConfig) -> None:
        """Raises `InvalidInput` when nothing says where the API is."""
        from lightkube import Client
        from lightkube.config.kubeconfig import SERVICE_ACCOUNT

        self._client = Client(config=kubernetes_config(config, Path(SERVICE_ACCOUNT)))

    def pod(self, namespace: str, name: str) -> k8s.Pod | None:
        """A pod."""
        from lightkube.resources.core_v1 import Pod

        found = self._get(Pod, name, namespace)
        return None if found is None else read_value(k8s.Pod, found)

    def namespace_annotations(self, name: str) -> dict[str, str]:
        """The annotations of a namespace."""
        from lightkube.resources.core_v1 import Namespace

        found = self._get(Namespace, name, None)
        return {} if found is None else dict(read_value(k8s.Namespace, found).metadata.annotations)

    def close(self) -> None:
        """Ends the connection."""
        self._client.close()

    def _get(self, kind: Any, name: str, namespace: str | None) -> dict[str, Any] | None:
        from httpx2 import HTTPError
        from lightkube.core.exceptions import ApiError

        try:
            found: dict[str, Any] = self._client.get(kind, name, namespace=namespace).to_dict()
        except ApiError as error:
            if error.status.code == _NOT_FOUND:
                return None
            raise DatastoreFailed(f"Kubernetes API: {error.status.message or error}") from None
        except HTTPError as error:
            raise DatastoreFailed(f"Kubernetes API: {error}") from None
        return {key: value for key, value in found.items() if key not in ("apiVersion", "kind")}
