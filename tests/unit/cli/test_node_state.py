"""What a node says of itself, from snapshots, from tools, and from resources where nobody looked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tortie.cli.node_state import endpoint_marks, features_of_rules, live_state, snapshot_state, supposed_state
from tortie.cli.snapshot_file import load_snapshot
from tortie.codec.save import parse_save
from tortie.kernel.refusal import KernelRefused
from tortie.kernel.run import Ran
from tortie.model.read import parse_resources
from tortie.net.address import IPFamily, parse_address
from tortie.net.error import InvalidInput
from tortie.netfilter.rule import Ruleset
from tortie.netfilter.snapshot import Snapshot
from tortie.render.state import Features, NodeInterface

REFERENCE = Path(__file__).parents[3] / "examples" / "reference-node" / "snapshot"


def rules(text: str) -> Ruleset:
    return parse_save(text, IPFamily.V4).ruleset


def nat(target: str) -> Ruleset:
    return rules(f"*nat\n:cali-nat-outgoing - [0:0]\n-A cali-nat-outgoing -j {target}\nCOMMIT\n")


def marks(*given: tuple[str, str]) -> Ruleset:
    chains = "".join(f":cali-sm-{name} - [0:0]\n" for name, _ in given)
    lines = "".join(f"-A cali-sm-{name} -j MARK --set-xmark {mark}/0xfff00000\n" for name, mark in given)
    return rules(f"*filter\n{chains}{lines}COMMIT\n")


# --- from a snapshot ---------------------------------------------------------------------------------------------


def test_the_interfaces_of_a_snapshot_with_their_addresses() -> None:
    state = snapshot_state(load_snapshot(str(REFERENCE))).state
    assert parse_address("10.20.0.11") in next(one for one in state.interfaces if one.name == "eth0").addresses
    assert state.ipvs


def test_a_snapshot_without_addresses_is_refused() -> None:
    with pytest.raises(InvalidInput, match="the snapshot holds no addresses"):
        snapshot_state(Snapshot("some"))


def test_without_rules_of_ours_features_are_taken_for_granted_and_said() -> None:
    told = snapshot_state(Snapshot("some", links=()))
    assert told.state.features == Features()
    assert len(told.remarks) == 1


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("MASQUERADE --random-fully", Features()),
        ("MASQUERADE", Features(masquerade_random_fully=False)),
        ("SNAT --to-source 1.2.3.4", Features(False, False)),
        ("ACCEPT", None),
    ],
    ids=["all", "no masquerade", "no SNAT", "nothing seen"],
)
def test_rules_show_what_iptables_could_do(target: str, expected: Features | None) -> None:
    assert features_of_rules([nat(target)]) == expected


def test_masquerading_of_others_shows_nothing() -> None:
    assert features_of_rules([rules("*nat\n-A POSTROUTING -o docker0 -j MASQUERADE\nCOMMIT\n")]) is None


def test_endpoint_marks_that_rules_give_out() -> None:
    assert endpoint_marks([marks(("cali1", "0x200000"), ("eth0", "0x300000"))]) == {"cali1": 0x200000, "eth0": 0x300000}


def test_a_mark_that_two_interfaces_have_counts_for_neither() -> None:
    assert endpoint_marks([marks(("cali1", "0x200000"), ("cali2", "0x200000"), ("cali3", "0x400000"))]) == {
        "cali3": 0x400000
    }


# --- from the live node ------------------------------------------------------------------------------------------

ADDRESSES = b"""[{"ifindex": 1, "ifname": "lo", "flags": ["UP"], "addr_info": []},
 {"ifindex": 2, "ifname": "eth0", "flags": ["UP"], "addr_info":
   [{"family": "inet", "local": "10.0.0.1", "prefixlen": 24, "scope": "global"}]},
 {"ifindex": 3, "ifname": "kube-ipvs0", "flags": [], "addr_info": []}]"""


class Node:
    """Answers what a node of this age answers."""

    def __init__(self, iptables: bytes = b"iptables v1.8.9 (nf_tables)\n", *, numeric: bool = True) -> None:
        self.iptables = iptables
        self.numeric = numeric

    def __call__(self, command: Sequence[str], data: bytes = b"") -> Ran:
        match command[0]:
            case "ip":
                return Ran(0, ADDRESSES) if self.numeric or "-N" not in command else Ran(255, error="unknown option")
            case "iptables":
                return Ran(0, self.iptables)
            case "cat":
                return Ran(0, b"Linux version 5.10.0 (x)\n")
        return Ran(127)


def test_a_live_node_is_asked() -> None:
    state = live_state(Node(), [marks(("cali1", "0x200000"))])
    assert [one.name for one in state.interfaces] == ["lo", "eth0", "kube-ipvs0"]
    assert state.interfaces[1] == NodeInterface("eth0", frozenset({parse_address("10.0.0.1")}))
    assert (state.ipvs, state.features, state.endpoint_marks) == (True, Features(), {"cali1": 0x200000})


def test_old_tools_are_known_by_their_version() -> None:
    assert not live_state(Node(b"iptables v1.4.21\n", numeric=False), ()).features.snat_random_fully


def test_a_tool_that_fails_is_told() -> None:
    with pytest.raises(KernelRefused, match="not installed"):
        live_state(lambda command, data=b"": Ran(127), ())


# --- from resources ----------------------------------------------------------------------------------------------

HOSTS = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: placed}
spec: {node: node-1, interfaceName: eth0, expectedIPs: [10.0.0.1]}
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: by-address}
spec: {node: node-1, expectedIPs: [10.0.0.2]}
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: of-another}
spec: {node: node-2, interfaceName: eth7}
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: node-1}
spec: {bgp: {ipv4Address: 10.9.0.1/24}}
"""


def test_a_node_that_nobody_looked_at_has_the_interfaces_of_its_host_endpoints() -> None:
    told = supposed_state(parse_resources([("x", HOSTS)]), "node-1")
    named = {one.name: {str(address) for address in one.addresses} for one in told.state.interfaces}
    assert named == {"eth0": {"10.0.0.1"}, "?": {"10.9.0.1"}}
    assert any("HostEndpoint(by-address)" in remark for remark in told.remarks)
