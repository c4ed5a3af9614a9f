"""`tortie render`, `plan`, `apply` and `flush` on a real kernel: what they promise is what it holds afterwards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.programming import FELIX_1, FELIX_1_SETS, FOREIGN
from tests.kernel.command_node import RESOURCES, CommandNode, command_node, set_lines

BACKENDS = pytest.mark.parametrize("backend", ["legacy", "nft"])
PROGRAMS = {"4": "iptables", "6": "ip6tables"}
THEIRS = "create theirs hash:ip family inet\nadd theirs 10.9.0.1\n"


@pytest.fixture(autouse=True)
def lock_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XTABLES_LOCKFILE", str(tmp_path / "lock"))


@pytest.fixture
def node() -> Iterator[CommandNode]:
    with command_node() as made:
        yield made


@pytest.fixture
def resources(tmp_path: Path) -> Path:
    """A copy of the reference node's resources, to be changed."""
    copied = tmp_path / "resources"
    shutil.copytree(RESOURCES, copied)
    return copied


def replace_in(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# --- render ------------------------------------------------------------------------------------------------------


@BACKENDS
def test_what_render_prints_is_what_the_kernel_prints(node: CommandNode, backend: str) -> None:
    assert node.command("apply", "--backend", backend).exit_code == 0
    for version, program in PROGRAMS.items():
        words = ("--live", "--only", "rules", "--ip-version", version, "--backend", backend)
        assert node.command("render", *words).stdout == node.rules(backend, program)
    assert set_lines(node.command("render", "--live", "--only", "sets").stdout) == node.sets()


@BACKENDS
def test_what_render_prints_to_be_restored_leaves_nothing_to_do(node: CommandNode, backend: str) -> None:
    node.run("ipset restore", node.command("render", "--live", "--format", "restore", "--only", "sets").stdout)
    for version, program in PROGRAMS.items():
        words = ("--live", "--format", "restore", "--only", "rules", "--ip-version", version)
        node.run(f"{program}-{backend}-restore --noflush", node.command("render", *words).stdout)
    assert node.command("plan", "--backend", backend, "--detailed-exitcode").exit_code == 0


# --- taking over -------------------------------------------------------------------------------------------------


@BACKENDS
def test_a_node_of_felix_3_7_is_taken_over_as_it_is(node: CommandNode, backend: str) -> None:
    exact = ("--live", "--felix-exact", "--format", "restore")
    node.run("ipset restore", node.command("render", *exact, "--only", "sets").stdout)
    for version, program in PROGRAMS.items():
        made = node.command("render", *exact, "--only", "rules", "--ip-version", version).stdout
        node.run(f"{program}-{backend}-restore --noflush", made)
    counted = node.run(f"iptables-{backend}-save -c").replace("[0:0] -A", "[7:700] -A")
    node.run(f"iptables-{backend}-restore -c", counted)
    before = node.everything()
    done = node.command("apply", "--backend", backend, "--json")
    assert json.loads(done.stdout)["steps"] == 0
    assert node.everything() == before
    assert node.run(f"iptables-{backend}-save -c").count("[7:700] -A cali-") > 100


@BACKENDS
def test_a_node_of_an_old_felix_is_cleaned_up(node: CommandNode, backend: str) -> None:
    node.run("ipset restore", FELIX_1_SETS)
    node.run(f"iptables-{backend}-restore --noflush", FOREIGN + FELIX_1)
    assert node.command("apply", "--backend", backend).exit_code == 0
    rules = node.rules(backend)
    assert "felix-" not in rules
    assert not any(name.startswith(("felix", "cali4t")) for name in node.sets())
    assert "-A FORWARD -s 10.9.0.0/16 -j theirs" in rules
    assert ":FORWARD DROP" in rules
    assert "-A POSTROUTING -o eth9 -j MASQUERADE" in rules
    assert node.command("plan", "--backend", backend, "--detailed-exitcode").exit_code == 0


# --- apply -------------------------------------------------------------------------------------------------------


def test_a_second_time_there_is_nothing_to_do(node: CommandNode) -> None:
    first, second = node.command("apply"), node.command("apply")
    assert first.stdout.startswith("reference (nft): programmed in ")
    assert second.stdout == "reference (nft): nothing to do\n"


@pytest.mark.parametrize("mode", ["Insert", "Append"])
def test_hooks_stand_where_the_settings_say(node: CommandNode, resources: Path, mode: str) -> None:
    replace_in(resources / "cluster.yaml", "  logSeverityScreen: Info\n", f"  chainInsertMode: {mode}\n")
    node.run("ipset restore", THEIRS)
    node.run("iptables-nft-restore --noflush", FOREIGN)
    assert node.command("apply", resources=str(resources)).exit_code == 0
    hooks = [line for line in node.rules("nft").splitlines() if line.startswith("-A FORWARD")]
    assert [("cali-FORWARD" in line) for line in hooks] == (
        [True, False, False] if mode == "Insert" else [False, False, True]
    )


def test_a_dry_run_changes_nothing(node: CommandNode) -> None:
    before = node.everything()
    done = node.command("apply", "--dry-run")
    assert done.exit_code == 0
    assert "+ Kubernetes NetworkPolicy shop/web" in done.stdout
    assert node.everything() == before


def test_the_other_back_end_is_remarked(node: CommandNode) -> None:
    node.command("apply", "--backend", "legacy")
    done = node.command("apply", "--backend", "nft")
    assert "the legacy back-end holds chains of ours too" in done.stderr


# --- who would be locked out -------------------------------------------------------------------------------------


@pytest.fixture
def shut(resources: Path) -> str:
    """Resources that leave no failsafe port open."""
    replace_in(resources / "cluster.yaml", "  defaultEndpointToHostAction: Drop\n", "  failsafeInboundHostPorts: []\n")
    return str(resources)


def test_nobody_is_locked_out_unless_forced(node: CommandNode, shut: str) -> None:
    assert node.command("apply").exit_code == 0
    before = node.everything()
    refused = node.command("apply", resources=shut)
    assert refused.exit_code == 2
    assert "this would lock out ssh to this node by eth0" in refused.stderr
    assert node.everything() == before
    assert node.command("apply", "--force", resources=shut).exit_code == 0
    assert "--dports 22 " not in node.rules("nft")


def test_the_ssh_session_that_this_runs_in_is_looked_at_first(node: CommandNode, shut: str) -> None:
    node.command("apply")
    told = node.command("apply", resources=shut, env={"SSH_CONNECTION": "10.20.0.50 5000 10.20.0.11 22"})
    assert "lock out the ssh session that this runs in: tcp 10.20.0.50:5000 > 10.20.0.11:22" in told.stderr


def test_a_name_that_no_resource_knows_programs_nothing_unless_forced(node: CommandNode) -> None:
    before = node.everything()
    node.name = "refrence"
    refused = node.command("apply")
    assert refused.exit_code == 2
    assert "did you mean reference?" in refused.stderr
    assert node.everything() == before
    assert node.command("apply", "--force").exit_code == 0


# --- conversations -----------------------------------------------------------------------------------------------

CONNECTION = (
    "conntrack -I -s 10.20.0.50 -d 192.170.21.3 -p tcp --sport 5000 --dport 80 "
    "--state ESTABLISHED -t 1000 -u ASSURED,SEEN_REPLY"
)


def test_a_connection_of_a_pod_that_goes_is_cut_and_that_of_a_policy_goes_on(node: CommandNode, resources: Path) -> None:
    node.run("ip link add cali551b05c3e54 type veth peer name pod")
    node.run("ip link set cali551b05c3e54 up")
    node.run("ip link set pod up")
    node.run("ip route add 192.170.21.3/32 dev cali551b05c3e54")
    node.run("sysctl -q -w net.ipv4.ip_forward=1")
    node.command("apply")
    node.run(CONNECTION)

    replace_in(resources / "policies.yaml", "      - 80\n", "      - 8080\n")
    found = json.loads(node.command("plan", "--json", resources=str(resources)).stdout)["conversations"]
    assert (len(found["cut"]), len(found["not_again"])) == (0, 1)

    text = (resources / "workloads.yaml").read_text().split("---\n")
    (resources / "workloads.yaml").write_text("---\n".join(part for part in text if "cali551b05c3e54" not in part))
    found = json.loads(node.command("plan", "--json", resources=str(resources)).stdout)["conversations"]
    assert [(one["first"], one["count"]) for one in found["cut"]] == [("tcp 10.20.0.50:5000 > 192.170.21.3:80 SYN", 1)]


# --- flush -------------------------------------------------------------------------------------------------------


def test_flush_leaves_what_others_made_in_both_back_ends(node: CommandNode) -> None:
    node.run("ipset restore", THEIRS)
    for backend in ("legacy", "nft"):
        node.run(f"iptables-{backend}-restore --noflush", FOREIGN)
    before = [node.rules(backend) for backend in ("legacy", "nft")]
    for backend in ("legacy", "nft"):
        assert node.command("apply", "--backend", backend).exit_code == 0
    assert node.tortie("flush", "--yes").exit_code == 0
    for backend, rules in zip(("legacy", "nft"), before, strict=True):
        left = node.rules(backend)
        assert "cali" not in left
        assert [line for line in left.splitlines() if line.startswith("-A")] == [
            line for line in rules.splitlines() if line.startswith("-A")
        ]
        assert ":FORWARD DROP" in left
    assert set(node.sets()) == {"theirs"}
    assert node.tortie("flush", "--yes").stdout == "nothing of Calico's was there\n"


def test_flush_of_one_back_end_leaves_the_other(node: CommandNode) -> None:
    for backend in ("legacy", "nft"):
        node.command("apply", "--backend", backend)
    kept = node.rules("nft")
    done = node.tortie("flush", "--yes", "--backend", "legacy")
    assert "cali" not in node.rules("legacy")
    assert node.rules("nft") == kept
    assert "stays: something uses it" in done.stderr


def test_a_set_that_another_uses_stays_and_all_others_go(node: CommandNode) -> None:
    node.command("apply")
    node.run(
        "iptables-legacy-restore --noflush",
        "*filter\n-A INPUT -m set --match-set cali40all-ipam-pools src -j DROP\nCOMMIT\n",
    )
    done = node.tortie("flush", "--yes", "--backend", "nft")
    assert done.exit_code == 0
    assert set(node.sets()) == {"cali40all-ipam-pools"}
    assert "set cali40all-ipam-pools stays" in done.stderr


def test_nothing_is_flushed_when_nobody_can_be_asked(node: CommandNode) -> None:
    node.command("apply")
    before = node.everything()
    assert node.tortie("flush").exit_code == 2
    assert node.everything() == before


# --- bad input ---------------------------------------------------------------------------------------------------

V3 = "apiVersion: projectcalico.org/v3\n"
BAD: dict[str, tuple[str, str]] = {
    "a resource that does not validate": (
        f"{V3}kind: GlobalNetworkPolicy\nmetadata: {{name: a}}\nspec:\n  ingress:\n  - action: Alow\n",
        "bad.yaml:6: GlobalNetworkPolicy(a) spec.ingress[0].action",
    ),
    "a field that is not known": (
        f"{V3}kind: GlobalNetworkPolicy\nmetadata: {{name: a}}\nspec:\n  selectr: all()\n",
        "bad.yaml:5: GlobalNetworkPolicy(a) spec.selectr",
    ),
    "a selector that does not parse": (
        f"{V3}kind: GlobalNetworkPolicy\nmetadata: {{name: a}}\nspec:\n  selector: a ==\n",
        "bad.yaml:5: GlobalNetworkPolicy(a) spec.selector",
    ),
    "a policy of a kind that is not there": (
        f"{V3}kind: StagedPolicy\nmetadata: {{name: a}}\n",
        "bad.yaml:2: StagedPolicy(a)",
    ),
    "two endpoints with one interface": (
        f"{V3}kind: HostEndpoint\nmetadata: {{name: z}}\nspec: {{node: reference, interfaceName: eth0}}\n",
        "bad.yaml:1: HostEndpoint(z)",
    ),
    "two resources of one name": (f"{V3}kind: Profile\nmetadata: {{name: kns.shop}}\n", "profiles.yaml:"),
    "a pool that is no network": (
        f"{V3}kind: IPPool\nmetadata: {{name: a}}\nspec: {{cidr: 10.0.0.0}}\n",
        "bad.yaml:4: IPPool(a) spec.cidr",
    ),
    "an unreadable file": ("\udcff\n", "bad.yaml:1: not UTF-8 text"),
    "broken YAML": ("kind: Pod\n  a: [\n", "bad.yaml:2: "),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_named_with_its_place_and_changes_nothing(
    node: CommandNode, resources: Path, text: str, message: str
) -> None:
    (resources / "bad.yaml").write_bytes(text.encode(errors="surrogateescape"))
    before = node.everything()
    for verb in ("apply", "plan", "render"):
        done = node.command(verb, resources=str(resources))
        assert done.exit_code == 2
        assert done.stderr.startswith(f"tortie: {resources}/")
        assert message in done.stderr
    assert node.command("plan", "--detailed-exitcode", resources=str(resources)).exit_code == 1
    assert node.everything() == before


def test_told_to_keep_going_what_is_valid_is_programmed_and_the_rest_closed(node: CommandNode, resources: Path) -> None:
    replace_in(resources / "policies.yaml", "      - 80\n", "      - eighty!\n")
    done = node.command("apply", "--keep-going", resources=str(resources))
    assert done.exit_code == 0, done.stderr
    assert "policies.yaml:17: NetworkPolicy(shop/knp.default.web)" in done.stderr
    assert "closed: policy shop/knp.default.web denies whatever it is asked" in done.stderr
    chain = [line for line in node.rules("nft").splitlines() if line.startswith("-A cali-pi-shop/knp.default.web")]
    assert [line.rpartition(" -j ")[2] for line in chain if "DROP" in line] == ["DROP"] * 3
    assert len(chain) == 3


def test_what_nothing_can_be_done_without_is_refused_also_then(node: CommandNode, resources: Path) -> None:
    replace_in(resources / "cluster.yaml", "  ipipEnabled: false\n", "  ipipEnabeld: false\n")
    before = node.everything()
    done = node.command("apply", "--keep-going", resources=str(resources))
    assert done.exit_code == 2
    assert "nothing can be done without it" in done.stderr
    assert node.everything() == before
