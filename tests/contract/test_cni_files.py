"""The CNI plugin's datastore of files, and what only it has: manifests, files of other people, half-written ones."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.cni_datastore import ENDPOINT, NODE, POOL, CniDatastoreContract, cluster_information
from tortie.cni.file_datastore import FileDatastore
from tortie.model.read import key_of
from tortie.model.resource import Resource
from tortie.model.writer import plain_resource

MANIFESTS = """apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, annotations: {a: b}}
"""


@dataclass
class FileWorld:
    """A directory of resources, another of addresses."""

    folder: Path

    def open(self) -> FileDatastore:
        return FileDatastore(self.folder / "resources", self.folder / "ipam")

    def put(self, resource: Resource) -> None:
        folder = self.folder / "resources"
        folder.mkdir(exist_ok=True)
        key = key_of(resource)
        (folder / f"{key.kind}-{key.name}.json").write_text(json.dumps(plain_resource(resource)))


@pytest.fixture
def world(tmp_path: Path) -> FileWorld:
    made = FileWorld(tmp_path)
    for resource in (POOL, NODE, cluster_information(ready=True)):
        made.put(resource)
    return made


class TestFiles(CniDatastoreContract):
    """The contract over files."""

    def test_a_directory_that_says_nothing_of_itself_is_ready(self, world: FileWorld) -> None:
        (world.folder / "resources" / "ClusterInformation-default.json").unlink()
        assert world.open().ready()

    def test_pods_and_namespaces_are_manifests(self, world: FileWorld) -> None:
        (world.folder / "resources" / "shop.yaml").write_text(MANIFESTS)
        datastore = world.open()
        pod = datastore.pod("shop", "web")
        assert pod is not None
        assert (pod.metadata.namespace, pod.metadata.labels) == ("shop", {"app": "web"})
        other = datastore.pod("default", "web")
        assert other is not None
        assert other.metadata.labels == {}
        assert datastore.pod("shop", "nobody") is None
        assert datastore.namespace_annotations("shop") == {"a": "b"}
        assert datastore.namespace_annotations("elsewhere") == {}

    def test_a_file_that_makes_no_sense_hides_itself_alone(self, world: FileWorld) -> None:
        (world.folder / "resources" / "bad.yaml").write_text("kind: [\n")
        datastore = world.open()
        datastore.put_endpoint(ENDPOINT)
        assert datastore.endpoint("shop", ENDPOINT.metadata.name) is not None

    def test_nothing_of_anybody_else_is_removed(self, world: FileWorld) -> None:
        world.put(ENDPOINT)
        datastore = world.open()
        datastore.remove_endpoint(ENDPOINT)
        assert world.open().endpoint("shop", ENDPOINT.metadata.name) is not None

    def test_no_draft_stays_behind(self, world: FileWorld) -> None:
        world.open().put_endpoint(ENDPOINT)
        names = [path.name for path in (world.folder / "resources" / "workloadendpoints").iterdir()]
        assert names == ["shop.n1-k8s-web-eth0.json"]
