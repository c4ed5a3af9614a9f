"""Tables of resources, with calicoctl's columns and padding."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.cli.resource_kind import ALIASES
from tortie.cli.resource_table import CELLS, default_columns, format_rows, format_table
from tortie.model.read import parse_resources
from tortie.net.error import InvalidInput


def one(text: str) -> Any:
    (resource,) = parse_resources([("test", f"apiVersion: projectcalico.org/v3\n{text}")])
    return resource


def cells(text: str, *, wide: bool = True) -> dict[str, str]:
    resource = one(text)
    kind = type(resource).__name__
    columns = default_columns(kind, wide=wide)
    _, row = format_table(kind, [resource], columns).splitlines()
    return dict(zip(columns, (cell.strip() for cell in _cut(kind, resource, row)), strict=True))


def _cut(kind: str, resource: Any, row: str) -> list[str]:
    found = []
    for column in default_columns(kind, wide=True):
        width = len(format_table(kind, [resource], [column]).splitlines()[0])
        found.append(row[:width])
        row = row[width:]
    return found


def test_every_kind_has_columns() -> None:
    assert CELLS.keys() == ALIASES.keys()
    for kind in CELLS:
        for wide in (False, True):
            assert set(default_columns(kind, wide=wide)) <= CELLS[kind].keys()


def test_columns_are_five_wide_at_least_and_end_in_three_blanks() -> None:
    assert format_rows([("A", "LONGER"), ("b", ""), ("cccc", "x")]) == (
        "A      LONGER   \nb               \ncccc   x        \n"
    )
    assert format_rows([("A",)]) == "A    \n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "kind: BGPPeer\nmetadata: {name: a}\nspec: {peerIP: 10.0.0.1, asNumber: 65000}\n",
            {"NAME": "a", "PEERIP": "10.0.0.1", "NODE": "(global)", "ASN": "65000"},
            id="a global peer",
        ),
        pytest.param(
            "kind: BGPPeer\nmetadata: {name: a}\nspec: {nodeSelector: has(x), peerSelector: all()}\n",
            {"NAME": "a", "PEERIP": "", "NODE": "has(x)", "ASN": "0"},
            id="a peer by labels",
        ),
        pytest.param(
            "kind: BGPConfiguration\nmetadata: {name: default}\nspec: {nodeToNodeMeshEnabled: false}\n",
            {"NAME": "default", "LOGSEVERITY": "", "MESHENABLED": "false", "ASNUMBER": "-"},
            id="BGP",
        ),
        pytest.param(
            "kind: HostEndpoint\nmetadata: {name: h}\nspec: {node: n1, expectedIPs: [10.0.0.1], profiles: [p, q]}\n",
            {"NAME": "h", "NODE": "n1", "INTERFACE": "", "IPS": "10.0.0.1", "PROFILES": "p,q"},
            id="a host endpoint",
        ),
        pytest.param(
            "kind: GlobalNetworkPolicy\nmetadata: {name: g}\nspec: {order: 1.5}\n",
            {"NAME": "g", "ORDER": "1.5", "SELECTOR": ""},
            id="an order",
        ),
        pytest.param(
            "kind: ClusterInformation\nmetadata: {name: default}\nspec: {clusterType: 'k8s,bgp'}\n",
            {
                "NAME": "default",
                "CLUSTERGUID": "",
                "CLUSTERTYPE": "k8s,bgp",
                "CALICOVERSION": "",
                "DATASTOREREADY": "<nil>",
            },
            id="the cluster",
        ),
        pytest.param(
            "kind: Profile\nmetadata: {name: p}\nspec: {labelsToApply: {a: b}}\n",
            {"NAME": "p", "LABELS": "a:b"},
            id="profile",
        ),
    ],
)
def test_cells(text: str, expected: dict[str, str]) -> None:
    assert cells(text) == expected


def test_long_lists_of_networks_are_cut() -> None:
    nets = ", ".join(f"10.0.{index}.0/24" for index in range(20))
    found = cells(f"kind: GlobalNetworkSet\nmetadata: {{name: s}}\nspec: {{nets: [{nets}]}}\n")["NETS"]
    assert len(found) == 80
    assert found.endswith("...")


def test_the_namespace_is_shown_when_wanted_and_only_where_there_is_one() -> None:
    policy = one("kind: NetworkPolicy\nmetadata: {name: p, namespace: ns}\n")
    assert format_table("NetworkPolicy", [policy], ("NAME",), with_namespace=True).startswith("NAMESPACE   NAME")
    pool = one("kind: IPPool\nmetadata: {name: p}\nspec: {cidr: 10.0.0.0/16}\n")
    assert format_table("IPPool", [pool], ("NAME",), with_namespace=True).startswith("NAME")


def test_an_unknown_column_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InvalidInput, match="Unknown heading NODE, valid values are: LABELS, NAME"):
        format_table("Profile", [], ("NODE",))
