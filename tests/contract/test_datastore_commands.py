"""`tortie get`, `apply -f`, `create`, `replace`, `delete`, `ipam` over a real etcd: what they print, and how they end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from tests.etcd_server import EtcdServer, etcd_server
from tests.requirement import missing_for_etcd
from tortie.cli.main import main
from tortie.ipam.assign import AssignRequest, assign_address
from tortie.net.address import parse_address
from tortie.source.etcd_client import EtcdClient
from tortie.source.etcd_ipam import EtcdIpam

pytestmark = pytest.mark.skipif(missing_for_etcd() is not None, reason=str(missing_for_etcd()))

HEAD = "apiVersion: projectcalico.org/v3\n"
POOL = HEAD + "kind: IPPool\nmetadata: {name: p}\nspec: {cidr: 10.65.0.0/16, natOutgoing: true, ipipMode: CrossSubnet}\n"
POLICY = HEAD + "kind: NetworkPolicy\nmetadata: {name: web}\nspec: {order: 10, selector: app == 'web'}\n"
GLOBAL = HEAD + "kind: GlobalNetworkPolicy\nmetadata: {name: deny}\nspec: {types: [Ingress, Egress]}\n"
NODES = (
    HEAD + "kind: NodeList\nitems:\n- metadata: {name: n1}\n  spec: {bgp: {ipv4Address: 10.0.0.1/24, asNumber: 65001}}\n"
    "- metadata: {name: n2}\n  spec: {bgp: {ipv4Address: 10.0.0.2/24}}\n- metadata: {name: n3}\n"
)
ENDPOINT = (
    HEAD + "kind: WorkloadEndpoint\nmetadata: {namespace: prod}\nspec: {node: n1, orchestrator: k8s, pod: web-0,"
    " endpoint: eth0, interfaceName: cali1, ipNetworks: [10.65.0.1/32], profiles: [kns.prod],"
    " ipNATs: [{internalIP: 10.65.0.1, externalIP: 192.0.2.1}]}\n"
)


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


class Shell:
    """Runs commands against a server; input is stdin."""

    def __init__(self, server: EtcdServer) -> None:
        self.server = server

    def __call__(self, *words: str, text: str = "") -> Ran:
        environment = {"ETCD_ENDPOINTS": self.server.endpoint}
        found = CliRunner().invoke(main, [*words], input=text, env=environment)
        assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
        return Ran(found.exit_code, found.stdout, found.stderr)


@pytest.fixture(scope="module")
def server() -> Iterator[EtcdServer]:
    with etcd_server() as running:
        yield running


@pytest.fixture
def shell(server: EtcdServer) -> Shell:
    server.ctl("del", "--prefix", "/calico/")
    return Shell(server)


def apply(shell: Shell, *texts: str) -> None:
    assert shell("apply", "-f", "-", text="---\n".join(texts)).code == 0


# --- writing ---


def test_one_resource_is_applied_created_replaced_and_deleted(shell: Shell) -> None:
    assert shell("apply", "-f", "-", text=POOL) == Ran(0, "Successfully applied 1 'IPPool' resource(s)\n", "")
    assert shell("replace", "-f", "-", text=POOL) == Ran(0, "Successfully replaced 1 'IPPool' resource(s)\n", "")
    assert shell("delete", "-f", "-", text=POOL) == Ran(0, "Successfully deleted 1 'IPPool' resource(s)\n", "")
    assert shell("create", "-f", "-", text=POOL) == Ran(0, "Successfully created 1 'IPPool' resource(s)\n", "")


def test_of_many_each_is_told(shell: Shell) -> None:
    apply(shell, POLICY)
    found = shell("apply", "-f", "-", "-n", "prod", text=f"{POOL}---\n{POLICY}---\n{GLOBAL}")
    assert found.out.splitlines() == [
        "IPPool(p): created",
        "NetworkPolicy(prod/web): created",
        "GlobalNetworkPolicy(deny): created",
        "Successfully applied 3 resource(s)",
    ]
    again = shell("apply", "-f", "-", text=f"{POLICY}---\n{POLICY.replace('web}', 'db}')}")
    assert again.out.splitlines() == [
        "NetworkPolicy(default/web): updated",
        "NetworkPolicy(default/db): created",
        "Successfully applied 2 'NetworkPolicy' resource(s)",
    ]


def test_a_part_that_fails_does_not_stop_the_rest(shell: Shell) -> None:
    apply(shell, GLOBAL)
    found = shell("create", "-f", "-", text=f"{GLOBAL}---\n{POOL}---\n{POLICY}")
    assert found.code == 1
    assert found.out.splitlines() == [
        "IPPool(p): created",
        "NetworkPolicy(default/web): created",
        "Partial success: created 2 out of 3 resources",
    ]
    assert found.err.splitlines() == [
        "GlobalNetworkPolicy(deny): failed: resource already exists: GlobalNetworkPolicy(deny)",
        "tortie: Hit error: [resource already exists: GlobalNetworkPolicy(deny)]",
    ]


@pytest.mark.parametrize(
    ("words", "text", "err"),
    [
        pytest.param(
            ("create",),
            POOL,
            "Failed to create 'IPPool' resource: [resource already exists: IPPool(p)]",
            id="there already",
        ),
        pytest.param(
            ("replace",),
            POLICY,
            "Failed to replace 'NetworkPolicy' resource: "
            "[resource does not exist: NetworkPolicy(default/web) with error: <nil>]",
            id="not there",
        ),
        pytest.param(
            ("apply",),
            POOL.replace("name: p", "name: p, resourceVersion: '1'"),
            "Failed to apply 'IPPool' resource: [update conflict: IPPool(p)]",
            id="an old revision",
        ),
        pytest.param(
            ("apply",),
            POOL.replace("10.65", "10.66"),
            "Failed to apply 'IPPool' resource: [IPPool(p): IPPool CIDR cannot be modified (it is 10.65.0.0/16)]",
            id="what must not change",
        ),
        pytest.param(
            ("delete", "--namespace", "x"),
            POLICY,
            "Failed to delete 'NetworkPolicy' resource: [resource does not exist: NetworkPolicy(x/web) with error: <nil>]",
            id="nothing to delete",
        ),
        pytest.param(
            ("apply",),
            HEAD + "kind: ClusterInformation\nmetadata: {name: default}\n",
            "Failed to apply 'ClusterInformation' resource: [ClusterInformation(default): resource is readonly]",
            id="only read",
        ),
    ],
)
def test_what_the_datastore_refuses_ends_with_one(shell: Shell, words: tuple[str, ...], text: str, err: str) -> None:
    apply(shell, POOL)
    assert shell(*words, "-f", "-", text=text) == Ran(1, "", f"tortie: {err}\n")


def test_none_of_several_is_told_as_such(shell: Shell) -> None:
    apply(shell, NODES)
    found = shell("create", "-f", "-", text=NODES)
    assert (found.code, found.out) == (1, "")
    assert found.err.splitlines()[-1].startswith("tortie: Failed to create any 'Node' resources: [resource already exists")


def test_what_is_there_or_not_there_may_be_skipped(shell: Shell) -> None:
    apply(shell, POOL)
    assert shell("create", "-f", "-", "--skip-exists", text=POOL).code == 0
    assert shell("delete", "pool", "p", "q", "--skip-not-exists") == Ran(
        0, "IPPool(p): deleted\nIPPool(q): does not exist\nSuccessfully deleted 2 'IPPool' resource(s)\n", ""
    )


def test_nothing_is_written_when_one_resource_is_not_valid(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(f"{POOL}---\n{POLICY.replace('order: 10', 'order: first')}")
    found = shell("apply", "-f", str(file))
    assert (found.code, found.out) == (2, "")
    assert found.err == f"tortie: {file}:9: NetworkPolicy(web) spec.order: expected a number, not 'first'\n"
    assert shell("get", "pools", "-o", "name").out == ""


def test_a_directory_is_read_whole(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(POOL)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.json").write_text(json.dumps(yaml.safe_load(GLOBAL)))
    assert shell("create", "-f", str(tmp_path)).out.splitlines()[:2] == [
        "GlobalNetworkPolicy(deny): created",
        "IPPool(p): created",
    ]


# --- reading ---


def test_what_was_read_can_be_written_and_is_refused_once_it_has_changed(shell: Shell) -> None:
    apply(shell, POLICY)
    text = shell("get", "policy", "web", "-o", "yaml").out
    assert yaml.safe_load(text)["spec"] == {"order": 10, "selector": "app == 'web'", "types": ["Ingress"]}
    assert shell("replace", "-f", "-", text=text).code == 0
    assert "update conflict: NetworkPolicy(default/web)" in shell("replace", "-f", "-", text=text).err
    assert "update conflict: NetworkPolicy(default/web)" in shell("delete", "-f", "-", text=text).err
    exported = yaml.safe_load(shell("get", "policy", "web", "-o", "yaml", "--export").out)
    assert exported["metadata"] == {"name": "web", "namespace": "default", "creationTimestamp": None}


def test_one_is_shown_by_itself_several_as_a_list_all_as_calicos_list(shell: Shell) -> None:
    apply(shell, NODES)
    one = json.loads(shell("get", "node", "n1", "-o", "json").out)
    assert list(one) == ["kind", "apiVersion", "metadata", "spec"]
    assert one["metadata"]["resourceVersion"].isdigit()
    several = json.loads(shell("get", "node", "n2", "n1", "-o", "json").out)
    assert [node["metadata"]["name"] for node in several] == ["n2", "n1"]
    whole = yaml.safe_load(shell("get", "nodes", "-o", "yaml").out)
    assert (whole["kind"], whole["apiVersion"]) == ("NodeList", "projectcalico.org/v3")
    assert [node["metadata"]["name"] for node in whole["items"]] == ["n1", "n2", "n3"]
    assert whole["metadata"]["resourceVersion"].isdigit()
    assert whole["items"][2]["spec"] == {}


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        pytest.param(
            ("ippool",), ["NAME   CIDR           SELECTOR   ", "p      10.65.0.0/16   all()      ", ""], id="pool"
        ),
        pytest.param(
            ("pools", "-o", "wide"),
            [
                "NAME   CIDR           NAT    IPIPMODE      VXLANMODE   DISABLED   SELECTOR   ",
                "p      10.65.0.0/16   true   CrossSubnet   Never       false      all()      ",
                "",
            ],
            id="pool wide",
        ),
        pytest.param(
            ("node", "-o", "wide"),
            [
                "NAME   ASN         IPV4          IPV6   ",
                "n1     65001       10.0.0.1/24          ",
                "n2     (unknown)   10.0.0.2/24          ",
                "n3                                      ",
                "",
            ],
            id="node wide",
        ),
        pytest.param(("np",), ["NAME   ", "web    ", ""], id="policies of the default namespace"),
        pytest.param(
            ("Policies", "-a", "-o", "wide"),
            ["NAMESPACE   NAME   ORDER   SELECTOR       ", "default     web    10      app == 'web'   ", ""],
            id="policies of all",
        ),
        pytest.param(
            ("gnp", "-o", "wide"), ["NAME   ORDER   SELECTOR   ", "deny   <nil>              ", ""], id="no order"
        ),
        pytest.param(
            ("wep", "-n", "prod"),
            [
                "NAMESPACE   WORKLOAD   NODE   NETWORKS       INTERFACE   ",
                "prod        web-0      n1     10.65.0.1/32   cali1       ",
                "",
            ],
            id="endpoints",
        ),
        pytest.param(("wep",), ["WORKLOAD   NODE   NETWORKS   INTERFACE   ", ""], id="none there"),
        pytest.param(
            ("weps", "-A", "-o", "custom-columns=name,nats"),
            [
                "NAMESPACE   NAME                 NATS                    ",
                "prod        n1-k8s-web--0-eth0   {10.65.0.1 192.0.2.1}   ",
                "",
            ],
            id="columns",
        ),
        pytest.param(("nodes", "-o", "name"), ["node/n1", "node/n2", "node/n3"], id="names"),
        pytest.param(("felixconfig",), ["NAME      ", "default   ", ""], id="what the pool switched on"),
    ],
)
def test_tables_are_calicoctls(shell: Shell, words: tuple[str, ...], lines: list[str]) -> None:
    apply(shell, NODES, POOL, POLICY, GLOBAL, ENDPOINT)
    found = shell("get", *words)
    assert (found.code, found.err) == (0, "")
    assert found.out.splitlines() == lines


def test_the_clusters_as_number_is_shown_for_nodes_without_one(shell: Shell) -> None:
    apply(shell, NODES, HEAD + "kind: BGPConfiguration\nmetadata: {name: default}\nspec: {asNumber: 64999}\n")
    assert "n2     (64999)   10.0.0.2/24" in shell("get", "node", "-o", "wide").out


def test_what_is_missing_is_told_beside_what_is_found(shell: Shell) -> None:
    apply(shell, POOL)
    found = shell("get", "pool", "p", "q", "-o", "name")
    assert found == Ran(1, "ippool/p\n", "tortie: resource does not exist: IPPool(q) with error: <nil>\n")


def test_a_value_that_cannot_be_read_is_told_beside_the_others(shell: Shell) -> None:
    apply(shell, POOL)
    shell.server.ctl("put", "/calico/resources/v3/projectcalico.org/ippools/bad", "{}")
    found = shell("get", "pool", "-o", "name")
    assert (found.code, found.out) == (1, "ippool/p\n")
    assert found.err.startswith("tortie: /calico/resources/v3/projectcalico.org/ippools/bad: IPPool(bad)")
    assert found.err.count("\n") == 1


def test_files_name_what_to_get(shell: Shell) -> None:
    apply(shell, POOL, GLOBAL)
    assert shell("get", "-f", "-", "-o", "name", text=f"{GLOBAL}---\n{POOL}").out == "globalnetworkpolicy/deny\nippool/p\n"


# --- addresses ---


def give(shell: Shell) -> None:
    """Addresses to nodes, as their own programs would take them."""

    async def work() -> None:
        client = EtcdClient(shell.server.config)
        for node, text, more in (
            ("n1", "10.65.0.1", {"pod": "web-0", "namespace": "prod"}),
            ("n2", "10.65.0.2", {"type": "ipipTunnelAddress"}),
            ("n2", "10.65.0.70", {}),
        ):
            request = AssignRequest(node, handle=f"h-{text}", secondary={"node": node, **more})
            await EtcdIpam(client).run(assign_address(parse_address(text), request))
        await client.close()

    asyncio.run(work())


def test_usage_is_shown_as_calicoctl_shows_it(shell: Shell) -> None:
    apply(shell, NODES, POOL)
    give(shell)
    assert shell("ipam", "show", "--show-blocks").out == (
        "+----------+---------------+-----------+------------+--------------+\n"
        "| GROUPING |     CIDR      | IPS TOTAL | IPS IN USE |   IPS FREE   |\n"
        "+----------+---------------+-----------+------------+--------------+\n"
        "| IP Pool  | 10.65.0.0/16  | 65536     | 3 (0%)     | 65533 (100%) |\n"
        "| Block    | 10.65.0.0/26  | 64        | 2 (3%)     | 62 (97%)     |\n"
        "| Block    | 10.65.0.64/26 | 64        | 1 (2%)     | 63 (98%)     |\n"
        "+----------+---------------+-----------+------------+--------------+\n"
    )
    assert "Block" not in shell("ipam", "show").out


def test_who_has_an_address_is_shown(shell: Shell) -> None:
    apply(shell, NODES, POOL)
    give(shell)
    found = shell("ipam", "show", "--ip", "10.65.0.1")
    assert found == Ran(
        0,
        "IP 10.65.0.1 is in use\nAttributes:\n  namespace: prod\n  node: n1\n  pod: web-0\n  handle: h-10.65.0.1\n",
        "",
    )
    assert shell("ipam", "show", "--ip", "10.65.0.9") == Ran(0, "10.65.0.9 is not assigned\n", "")


def test_borrowed_addresses_are_shown(shell: Shell) -> None:
    apply(shell, NODES, POOL)
    give(shell)
    rows = [line.split("|")[1:-1] for line in shell("ipam", "show", "--show-borrowed").out.splitlines() if "|" in line]
    assert [[cell.strip() for cell in row] for row in rows[1:]] == [
        ["10.65.0.2", "n2", "10.65.0.0/26", "n1", "ipipTunnelAddress", ""],
    ]


def test_the_configuration_is_shown(shell: Shell) -> None:
    out = shell("ipam", "show", "--show-configuration").out
    assert "| StrictAffinity     | false |" in out
    assert "| AutoAllocateBlocks | true  |" in out


def test_an_address_is_released_once(shell: Shell) -> None:
    apply(shell, NODES, POOL)
    give(shell)
    assert shell("ipam", "release", "--ip", "10.65.0.1") == Ran(0, "Successfully released IP address 10.65.0.1\n", "")
    assert shell("ipam", "release", "--ip", "10.65.0.1") == Ran(1, "", "tortie: IP address 10.65.0.1 is not assigned\n")
    assert "/calico/ipam/v2/handle/h-10.65.0.1" not in shell.server.ctl("get", "--prefix", "--keys-only", "/").stdout


def test_a_pool_that_cannot_be_read_is_told_and_counts_for_none(shell: Shell) -> None:
    apply(shell, NODES, POOL)
    shell.server.ctl("put", "/calico/resources/v3/projectcalico.org/ippools/bad", "{}")
    found = shell("ipam", "show")
    assert found.code == 0
    assert found.err.startswith("tortie: /calico/resources/v3/projectcalico.org/ippools/bad: ")


def test_nodes_get_addresses_for_their_tunnels(shell: Shell) -> None:
    apply(shell, NODES, POOL)
    found = shell("ipam", "tunnel", "n1", "n2")
    assert (found.code, found.err) == (0, "")
    assert [line.partition(": IPIP 10.65.")[0] for line in found.out.splitlines()] == ["Node(n1)", "Node(n2)"]
    assert shell("ipam", "tunnel", "n2").out == f"{found.out.splitlines()[1]}\n"
    assert shell("ipam", "tunnel", "n9") == Ran(1, "", "tortie: resource does not exist: Node(n9) with error: <nil>\n")


# --- the datastore itself ---


def test_a_datastore_that_cannot_be_reached_ends_with_one(shell: Shell) -> None:
    environment = {"ETCD_ENDPOINTS": "http://127.0.0.1:1"}
    found = CliRunner().invoke(main, ["get", "pools"], env=environment)
    assert found.exit_code == 1
    assert found.stderr.startswith("tortie: http://127.0.0.1:1: ")
    assert found.stderr.count("\n") == 1
    many = CliRunner().invoke(main, ["apply", "-f", "-"], input=f"{POOL}---\n{GLOBAL}", env=environment)
    assert many.exit_code == 1
    assert "GlobalNetworkPolicy(deny): not tried" in many.stderr


def test_the_datastore_may_be_named_in_a_file(shell: Shell, tmp_path: Path) -> None:
    apply(shell, POOL)
    file = tmp_path / "calicoctl.cfg"
    file.write_text(
        "apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nmetadata:\n"
        f"spec:\n  datastoreType: etcdv3\n  etcdEndpoints: {shell.server.endpoint}\n"
    )
    found = CliRunner().invoke(main, ["get", "pools", "-o", "name", "-c", str(file)], env={"ETCD_ENDPOINTS": ""})
    assert (found.exit_code, found.stdout) == (0, "ippool/p\n")
