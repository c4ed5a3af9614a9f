"""A cluster whose resources are files in a directory: the datastore of a machine that has no other.

Endpoints are written where the agent reads them, each a file of its own, under another name first and then renamed, so that
nobody ever sees half of one. Pods and namespaces are manifests among the other files. A file that cannot be read hides
what is in it and nothing else.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from tortie.ipam.command import Steps
from tortie.model import kubernetes as k8s
from tortie.model.cluster import ClusterInformation
from tortie.model.document import parse_documents
from tortie.model.endpoint import WorkloadEndpoint
from tortie.model.pool import IPPool
from tortie.model.profile import Profile
from tortie.model.read import Resources, parse_resources
from tortie.model.reader import read_value
from tortie.model.resource import Resource
from tortie.model.writer import plain_resource
from tortie.net.error import InvalidInput
from tortie.source.file_ipam import FileIpam
from tortie.source.tree import read_file, reading_order, scan_tree

T = TypeVar("T")
ENDPOINTS = "workloadendpoints"
PROFILES = "profiles"
"""Folders that what is written here goes to."""
_LARGEST_FILE = 64 << 20


class FileDatastore:
    """Resources in the files below `directory`, addresses below `ipam_directory`; a `Datastore` and `Pods`."""

    def __init__(self, directory: Path, ipam_directory: Path) -> None:
        """Nothing is read or made before it is asked for."""
        self._directory = directory
        self._ipam_directory = ipam_directory
        self._read: Resources | None = None

    def ready(self) -> bool:
        """False while the cluster says so."""
        found = self._resources().get(ClusterInformation, "default")
        return found is None or found.spec.datastore_ready is not False

    def endpoint(self, namespace: str, name: str) -> WorkloadEndpoint | None:
        """An endpoint that was written here, or is in any other file."""
        return self._resources().get(WorkloadEndpoint, name, namespace)

    def put_endpoint(self, endpoint: WorkloadEndpoint) -> None:
        """Writes the endpoint's own file; raises `OSError`."""
        self._write(self._endpoint_file(endpoint), endpoint)

    def remove_endpoint(self, endpoint: WorkloadEndpoint) -> None:
        """Removes the endpoint's own file unless another container has it by now; raises `OSError`."""
        path = self._endpoint_file(endpoint)
        with suppress(FileNotFoundError), self._alone(path.parent):
            now = _endpoint_in(path)
            if now is None or now.spec.container_id == endpoint.spec.container_id:
                path.unlink()
        self._read = None

    def profile(self, name: str) -> Profile | None:
        """A profile in any file."""
        return self._resources().get(Profile, name)

    def create_profile(self, profile: Profile) -> None:
        """Writes the profile's own file; raises `OSError`."""
        self._write(self._directory / PROFILES / f"{profile.metadata.name}.json", profile)

    def pools(self) -> tuple[IPPool, ...]:
        """The pools in all files."""
        return self._resources().of(IPPool)

    def addresses(self, steps: Steps[T]) -> T:
        """Carries out an operation on addresses."""
        return asyncio.run(FileIpam(self._ipam_directory, self._resources()).run(steps))

    def close(self) -> None:
        """There is nothing to give up."""

    def pod(self, namespace: str, name: str) -> k8s.Pod | None:
        """The manifest of a pod."""
        found = self._manifest("Pod", namespace, name)
        return None if found is None else read_value(k8s.Pod, found)

    def namespace_annotations(self, name: str) -> dict[str, str]:
        """The annotations in the manifest of a namespace."""
        found = self._manifest("Namespace", "", name)
        return {} if found is None else dict(read_value(k8s.Namespace, found).metadata.annotations)

    # --- files ---

    def _endpoint_file(self, endpoint: WorkloadEndpoint) -> Path:
        return self._directory / ENDPOINTS / f"{endpoint.metadata.namespace}.{endpoint.metadata.name}.json"

    def _write(self, path: Path, resource: Resource) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with draft.open("w") as file:
                json.dump(plain_resource(resource), file, indent=2)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            with self._alone(path.parent):
                draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        self._read = None

    @contextmanager
    def _alone(self, folder: Path) -> Iterator[None]:
        """Keeps other processes from writing in a folder meanwhile; raises `OSError` when there is none."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _texts(self) -> Iterator[tuple[str, str]]:
        """Every file that can be read; one that somebody removes meanwhile is none."""
        root = str(self._directory)
        for path in sorted(scan_tree(root).files, key=lambda path: reading_order(root, path)):
            with suppress(OSError, ValueError):
                yield path, read_file(path, _LARGEST_FILE)

    def _resources(self) -> Resources:
        if self._read is None:
            self._read = parse_resources(self._texts(), keep_going=True)
        return self._read

    def _manifest(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """The fields of an object of Kubernetes, without its type."""
        for _, text in self._texts():
            if f"{kind}" not in text or name not in text:
                continue
            with suppress(InvalidInput):
                for document in parse_documents(text):
                    if _is(document.data, kind, namespace, name):
                        fields = {key: value for key, value in document.data.items() if key not in ("apiVersion", "kind")}
                        return fields | {"metadata": {"namespace": namespace} | fields["metadata"]}
        return None


def _endpoint_in(path: Path) -> WorkloadEndpoint | None:
    """The endpoint that a file holds; None where it cannot be read. Raises `OSError`."""
    try:
        text = read_file(str(path), _LARGEST_FILE)
    except ValueError:
        return None
    return next(iter(parse_resources([(str(path), text)], keep_going=True).of(WorkloadEndpoint)), None)


def _is(data: Any, kind: str, namespace: str, name: str) -> bool:
    if type(data) is not dict or data.get("kind") != kind or data.get("apiVersion") != "v1":
        return False
    metadata = data.get("metadata")
    if type(metadata) is not dict or metadata.get("name") != name:
        return False
    return not namespace or metadata.get("namespace", "default") == namespace
