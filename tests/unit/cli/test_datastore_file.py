"""Resources for the datastore from files: in order, all valid, and only Calico's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tortie.cli.datastore_file import Named, read_file_names, read_file_resources
from tortie.model.read import Key, key_of
from tortie.net.error import InvalidInput

HEAD = "apiVersion: projectcalico.org/v3\n"
POOL = HEAD + "kind: IPPool\nmetadata: {name: p}\nspec: {cidr: 10.0.0.0/16}\n"
POLICY = HEAD + "kind: NetworkPolicy\nmetadata: {name: a}\n"
ENDPOINT = HEAD + (
    "kind: WorkloadEndpoint\nmetadata: {resourceVersion: '7'}\nspec: {node: n1, orchestrator: k8s, pod: p, endpoint: eth0,"
    " interfaceName: cali1}\n"
)


def write(tmp_path: Path, *texts: str) -> list[str]:
    file = tmp_path / "f.yaml"
    file.write_text("---\n".join(texts))
    return [str(file)]


def test_resources_keep_their_order_and_get_the_namespace(tmp_path: Path) -> None:
    found = read_file_resources(write(tmp_path, POOL, POLICY, ENDPOINT), "prod")
    assert [str(key_of(resource)) for resource in found] == [
        "IPPool(p)",
        "NetworkPolicy(prod/a)",
        "WorkloadEndpoint(prod/n1-k8s-p-eth0)",
    ]


def test_names_need_no_valid_resource(tmp_path: Path) -> None:
    broken = POOL.replace("10.0.0.0/16", "nonsense").replace("name: p", "name: p, resourceVersion: '5'")
    assert read_file_names(write(tmp_path, broken, POLICY, ENDPOINT), "prod") == [
        Named(Key("IPPool", "", "p"), "5"),
        Named(Key("NetworkPolicy", "prod", "a")),
        Named(Key("WorkloadEndpoint", "prod", "n1-k8s-p-eth0"), "7"),
    ]


def test_words_that_yaml_takes_for_truth_are_names(tmp_path: Path) -> None:
    texts = write(tmp_path, HEAD + "kind: Node\nmetadata: {name: n}\n")
    assert read_file_names(texts, "default")[0].key == key_of(read_file_resources(texts, "default")[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n", "this is not the datastore's to keep", id="Kubernetes'"
        ),
        pytest.param(
            "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\n", "v1 Secret is nothing that Calico reads", id="none"
        ),
        pytest.param(HEAD + "kind: IPPol\nmetadata: {name: x}\n", "unknown kind 'IPPol'", id="misspelt"),
        pytest.param("kind: IPPool\n", "the object has no apiVersion", id="no version"),
        pytest.param("- 1\n", "expected an object with apiVersion and kind", id="no object"),
        pytest.param(POLICY.replace("name: a", "name: ''"), "the resource has no name", id="no name"),
        pytest.param(HEAD + "kind: IPPool\n", "metadata is missing", id="no metadata"),
        pytest.param("{", "not JSON", id="no JSON"),
        pytest.param("", "No resources specified in file", id="nothing"),
        pytest.param(f"{POOL}---\n{POOL}", "IPPool(p): already defined at", id="twice"),
    ],
)
@pytest.mark.parametrize("read", [read_file_resources, read_file_names], ids=["resources", "names"])
def test_what_is_not_the_datastores_is_refused_with_its_place(
    tmp_path: Path, text: str, message: str, read: type[object]
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read(write(tmp_path, text), "default")  # type: ignore[call-arg]
    assert message in str(refusal.value)
    assert "f.yaml" in str(refusal.value)
