"""A node of real rules and sets is damaged by the real tools in every way, and the audit finds exactly that.

The reference node is loaded into a namespace, with either back-end; each damage is done, and what the kernel then holds is
audited: by hashes alone, and against what the resources mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.golden.test_reference_node_resources import EXAMPLE, rendered
from tests.kernel.command_node import command_node
from tests.kernel.oracle.namespace import Namespace
from tortie.audit.finding import Audit, Finding
from tortie.audit.node import audit_node
from tortie.cli.resource_files import load_resources
from tortie.codec.snapshot import parse_snapshot
from tortie.kernel.run import Ran, run_tool
from tortie.netfilter.hook import Backend
from tortie.netfilter.snapshot import Snapshot
from tortie.render.ruleset import Rendering

SNAPSHOT = EXAMPLE / "snapshot"
TABLES = ("raw", "mangle", "nat", "filter")
OTHER = {Backend.LEGACY: Backend.NFT, Backend.NFT: Backend.LEGACY}
WEB = "cali-pi-shop/knp.default.web"
TO_WEB = "cali-tw-cali551b05c3e54"
API = "cali40s:5DYuSn5tLWFQtZEUUL-THHn"


@dataclass(frozen=True, slots=True)
class Damage:
    """What is run (IPT is iptables of the back-end, IPT6 the other family's), and what must be found, with resources too.

    A finding is its severity's letter, its kind and its place without family and back-end: `E rule filter cali-x 3`.
    """

    commands: str
    alone: tuple[str, ...] = ()
    compared: tuple[str, ...] = ()


def edited(chain: str, number: int, words: str, *, table: str = "filter") -> Damage:
    """A rule replaced by another under the same comment."""
    return Damage(
        f"IPT -t {table} -R {chain} {number} {words}",
        (f"E rule {table} {chain} {number}",),
        (f"E difference {table} {chain} {number}",),
    )


def comment(digest: str) -> str:
    return f"-m comment --comment cali:{digest}"


TO_HOST_HASH, WEB_HASH, HOOK_HASH = "eFOMW3jAdcq1gnVZ", "nl0mfVgegsSkCfhn", "wUHhoiAYhphO9Mso"
DAMAGES: dict[str, Damage] = {
    "nothing": Damage("true"),
    "a foreign rule behind the hook": Damage("IPT -A FORWARD -s 203.0.113.9 -j DROP"),
    # --- rules edited under a comment that looks right
    "another target": edited("cali-wl-to-host", 2, f"{comment(TO_HOST_HASH)} -j ACCEPT"),
    "another port": edited(
        WEB, 1, f"-p tcp {comment(WEB_HASH)} -m multiport --dports 80,22 -j MARK --set-xmark 0x10000/0x10000"
    ),
    "a test more": edited("cali-wl-to-host", 2, f"-s 10.0.0.0/8 {comment(TO_HOST_HASH)} -j DROP"),
    "a test that Felix never writes": edited(
        "cali-wl-to-host", 2, f"{comment(TO_HOST_HASH)} -m limit --limit 3/hour -j DROP"
    ),
    "the comment alone": edited("cali-wl-to-host", 2, f"{comment('AAAAAAAAAAAAAAAA')} -j DROP"),
    "a rule of IPv6": Damage(
        f"IPT6 -R cali-wl-to-host 8 {comment('Cmr-IOh4RtgoJi_H')} -j ACCEPT",
        ("E rule filter cali-wl-to-host 8",),
        ("E difference filter cali-wl-to-host 8",),
    ),
    # --- rules missing
    "a rule gone": Damage(
        f"IPT -D {TO_WEB} 7", (f"E rule filter {TO_WEB} 7",), (f"E difference filter {TO_WEB} 7",)
    ),
    "the first rule gone": Damage(
        "IPT -D cali-FORWARD 1", ("E rule filter cali-FORWARD 1",), ("E difference filter cali-FORWARD 1",)
    ),
    "the last rule gone": Damage(
        f"IPT -D {TO_WEB} 12", (f"E missing filter {TO_WEB}",), (f"E difference filter {TO_WEB} 12",)
    ),
    "half a policy's rule gone": Damage(
        f"IPT -D {WEB} 2", (f"E missing filter {WEB}",), (f"E difference filter {WEB} 2",)
    ),
    "a chain emptied": Damage(
        "IPT -F cali-wl-to-host",
        ("E missing filter cali-wl-to-host",),
        ("E difference filter cali-wl-to-host 1", "E difference filter cali-wl-to-host 2"),
    ),
    "a chain gone": Damage(
        "IPT -t raw -F cali-failsafe-in; IPT -t raw -X cali-failsafe-in",
        ("E missing raw cali-failsafe-in",),
        ("E difference raw cali-failsafe-in",),
    ),
    "a table emptied": Damage("IPT -t raw -F; IPT -t raw -X", ("E missing raw",), ("E difference raw",)),
    # --- rules in the wrong place
    "two rules exchanged": Damage(
        f"IPT -D cali-FORWARD 3; IPT -I cali-FORWARD 4 -i cali+ {comment('8ZoYfO5HKXWbB3pk')} -j cali-from-wl-dispatch",
        ("E rule filter cali-FORWARD 3",),
        ("E difference filter cali-FORWARD 3", "E difference filter cali-FORWARD 4"),
    ),
    "a rule twice": Damage(
        f"IPT -I cali-wl-to-host 2 {comment('Ee9Sbo10IpVujdIY')} -j cali-from-wl-dispatch",
        ("E rule filter cali-wl-to-host 2",),
        ("E difference filter cali-wl-to-host 2",),
    ),
    "another chain's rule": Damage(
        f"IPT -I cali-OUTPUT {comment(TO_HOST_HASH)} -j DROP",
        ("E rule filter cali-OUTPUT 1",),
        ("E difference filter cali-OUTPUT 1",),
    ),
    # --- rules of others
    "a foreign rule": Damage(
        f"IPT -I {WEB} -s 203.0.113.9 -j ACCEPT",
        (f"E foreign-rule filter {WEB} 1",),
        (f"E difference filter {WEB} 1",),
    ),
    "a foreign rule with a hash": Damage(
        f"IPT -I {WEB} -s 203.0.113.9 {comment('AAAAAAAAAAAAAAAA')} -j ACCEPT",
        (f"E rule filter {WEB} 1",),
        (f"E difference filter {WEB} 1",),
    ),
    "a foreign rule in an empty chain": Damage(
        "IPT -t nat -A cali-fip-dnat -d 203.0.113.9 -j DNAT --to-destination 10.0.0.1",
        ("E foreign-rule nat cali-fip-dnat 1",),
        ("E difference nat cali-fip-dnat 1",),
    ),
    # --- hooks
    "a hook gone": Damage(
        "IPT -D FORWARD 1", ("W unreached filter cali-FORWARD", "E hook filter FORWARD"), ("E hook filter FORWARD",)
    ),
    "a foreign rule in front of a hook": Damage(
        "IPT -I FORWARD -s 203.0.113.9 -j ACCEPT", ("W hook filter FORWARD 2",), ("E hook filter FORWARD 2",)
    ),
    "foreign rules on both sides of a hook": Damage(
        "IPT -I FORWARD -s 203.0.113.9 -j ACCEPT; IPT -A FORWARD -j DROP",
        ("E hook filter FORWARD 2",),
        ("E hook filter FORWARD 2",),
    ),
    "a hook twice": Damage(
        f"IPT -A FORWARD {comment(HOOK_HASH)} -j cali-FORWARD",
        ("W hook filter FORWARD 2",),
        ("W hook filter FORWARD 2",),
    ),
    "an edited hook": Damage(
        f"IPT -R FORWARD 1 -p tcp {comment(HOOK_HASH)} -j cali-FORWARD",
        ("E hook filter FORWARD 1",),
        ("E hook filter FORWARD 1",),
    ),
    "a hook where Felix has none": Damage(
        "IPT -t mangle -N theirs; IPT -t mangle -A theirs -j cali-PREROUTING",
        ("E hook mangle theirs 1",),
        ("E hook mangle theirs 1",),
    ),
    "a fence": Damage(
        "IPT -t raw -I PREROUTING 2 -m comment --comment cali:closed-while-changing -j DROP",
        ("E hook raw PREROUTING 2",),
        ("E hook raw PREROUTING 2",),
    ),
    # --- left over
    "a chain left over": Damage(
        "IPT -N cali-pri-old", ("W unreached filter cali-pri-old",), ("W difference filter cali-pri-old",)
    ),
    "a chain of Felix 1": Damage(
        "IPT -N felix-FORWARD; IPT -A felix-FORWARD -j DROP",
        ("W old-version filter felix-FORWARD",),
        ("W old-version filter felix-FORWARD",),
    ),
    "a rule of an old Felix": Damage(
        "IPT -t nat -A POSTROUTING -o tunl0 -m addrtype ! --src-type LOCAL --limit-iface-out -m addrtype --src-type LOCAL "
        "-j MASQUERADE",
        ("W old-version nat POSTROUTING 3",),
        ("W old-version nat POSTROUTING 3",),
    ),
    # --- sets
    "a member gone": Damage(f"ipset del {API} 192.170.21.6", (), (f"E difference {API}",)),
    "a member too many": Damage(f"ipset add {API} 203.0.113.9", (), (f"E difference {API}",)),
    "a set that nobody looks into": Damage(
        "ipset create cali40s:old hash:net", ("W set cali40s:old",), ("W difference cali40s:old",)
    ),
    "a temporary set left over": Damage("ipset create cali4t7 hash:net", ("W set cali4t7",), ("W set cali4t7",)),
    "a set of another kind": Damage(
        "ipset create cali40n:x hash:net", ("E set cali40n:x",), ("W difference cali40n:x",)
    ),
    "a full set": Damage(
        "ipset create cali40all-hosts-net hash:net maxelem 1; ipset add cali40all-hosts-net 10.0.0.1",
        ("E set cali40all-hosts-net",),
        ("W difference cali40all-hosts-net", "E set cali40all-hosts-net"),
    ),
}  # fmt: skip


class Node:
    """The reference node's rules and sets in a namespace of its own."""

    def __init__(self, backend: Backend, lock: Path) -> None:
        self._namespace = Namespace()
        self._backend = backend
        self._lock = lock
        self.shell(f"ipset restore < {SNAPSHOT}/ipset-save")
        self.restore(backend)

    def restore(self, backend: Backend) -> None:
        """Loads the rules of both families."""
        self.shell(
            f"iptables-{backend.value}-restore < {SNAPSHOT}/iptables-save; "
            f"ip6tables-{backend.value}-restore < {SNAPSHOT}/ip6tables-save"
        )

    def shell(self, script: str) -> None:
        """Runs commands in the namespace; any that fails fails the test."""
        names = f'IPT() {{ iptables-{self._backend.value} "$@"; }}; IPT6() {{ ip6tables-{self._backend.value} "$@"; }}; '
        self._namespace.run(["sh", "-ec", names + script], environment={"XTABLES_LOCKFILE": str(self._lock)})

    def __call__(self, command: Sequence[str]) -> Ran:
        with self._namespace:
            return run_tool(command)

    def read(self, *others: Backend) -> Snapshot:
        """The rules of the back-end, and of others, and the sets."""
        commands = [f"{tool}-{one.value}-save" for one in (self._backend, *others) for tool in ("iptables", "ip6tables")]
        files = {name: self([name]).out for name in commands}
        files["ipset-save"] = self(["ipset", "save"]).out or b"# nothing\n"
        return parse_snapshot(files, "node")

    def close(self) -> None:
        """Gives up the namespace."""
        self._namespace.close()


BACKENDS = pytest.mark.parametrize("backend", Backend, ids=lambda backend: backend.value)


@pytest.fixture(params=Backend, ids=lambda backend: backend.value)
def backend(request: pytest.FixtureRequest) -> Backend:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def node(backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.setenv("XTABLES_LOCKFILE", str(tmp_path / "lock"))
    made = Node(backend, tmp_path / "lock")
    yield made
    made.close()


@pytest.fixture(scope="module")
def rendering() -> Rendering:
    return rendered(load_resources([str(EXAMPLE / "resources")], report=False), felix_exact=True)


def short(finding: Finding) -> str:
    place = finding.place
    table = None if place.table is None else place.table.value
    words = [finding.severity.name[0], finding.kind.value, table, place.chain, place.rule, place.ip_set]
    return " ".join(str(word) for word in words if word is not None)


def found(held: Snapshot, rendering: Rendering | None = None) -> tuple[str, ...]:
    audit: Audit = audit_node(held.rulesets, held.ip_sets, rendering)
    return tuple(short(finding) for finding in audit.findings)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_the_audit_finds_exactly_the_damage(node: Node, rendering: Rendering, damage: Damage) -> None:
    node.shell(damage.commands)
    held = node.read()
    assert found(held) == damage.alone
    assert found(held, rendering) == damage.compared


def test_rules_in_both_back_ends_are_found(node: Node, backend: Backend, rendering: Rendering) -> None:
    node.restore(OTHER[backend])
    held = node.read(OTHER[backend])
    assert found(held) == found(held, rendering) == ("E both-backends",) * 2


def test_a_node_of_which_everything_is_gone_is_told_against_resources_only(node: Node, rendering: Rendering) -> None:
    flush = "; ".join(f"{tool} -t {table} -{how}" for tool in ("IPT", "IPT6") for table in TABLES for how in "FX")
    node.shell(f"{flush}; ipset destroy")
    held = node.read()
    assert found(held) == ()
    missing = found(held, rendering)
    assert missing[:2] == ("E difference", "E difference")
    sets = {name for family in rendering.families.values() for name in family.ip_sets}
    assert set(missing[2:]) == {f"E difference {name}" for name in sets}


@BACKENDS
def test_what_apply_programmed_is_in_order_until_somebody_meddles(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XTABLES_LOCKFILE", str(tmp_path / "lock"))
    with command_node() as made:
        assert made.command("apply", "--backend", backend.value).exit_code == 0
        for audit in (made.tortie("audit"), made.command("audit")):
            assert audit.exit_code == 0, audit.output
            assert audit.stdout.startswith("nothing is wrong: ")
        made.run(f"iptables-{backend.value} -I {WEB} -s 203.0.113.9 -j ACCEPT")
        made.run(f"ipset del {API} 192.170.21.6")
        alone, compared = made.tortie("audit"), made.command("audit")
        assert (alone.exit_code, compared.exit_code) == (1, 1)
        assert alone.stdout.splitlines()[0].endswith("carries no hash: -s 203.0.113.9/32 -j ACCEPT")
        lines = compared.stdout.splitlines()
        assert lines[0].endswith("carries no hash: should not be there: `-s 203.0.113.9/32 -j ACCEPT`")
        assert lines[1].endswith(f"IPv4 set {API}: lacks 192.170.21.6")
        assert lines[2] == ""
        assert made.command("apply", "--backend", backend.value).exit_code == 0
        assert made.command("audit").exit_code == 0
