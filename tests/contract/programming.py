"""What programming a kernel must do, whichever kernel it is: the suite that the fake and the real one both pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.table_text import rules
from tests.unit.render.test_ruleset import BUSY, CONFIG, POLICIES, RULES, rendered
from tortie.calc.view import ActivePolicy, NetSet, NodeView
from tortie.cli.programming import CALICO, wanted_families
from tortie.codec.rule import format_rule
from tortie.kernel.refusal import KernelRefused
from tortie.kernel.run import Feed
from tortie.kernel.settle import Settled, settle
from tortie.kernel.tables import Tables
from tortie.net.address import IPFamily, parse_prefix
from tortie.netfilter.hook import Backend, TableName
from tortie.netfilter.rule import Chain, Table
from tortie.reconcile.plan import plan, plan_removal
from tortie.reconcile.step import AppendRule, DestroySet, MakeChain, Plan, SetEdit, TableEdit
from tortie.reconcile.wanted import Held
from tortie.render.ruleset import Rendering

V4, V6 = IPFamily.V4, IPFamily.V6
FILTER, NAT, RAW = TableName.FILTER, TableName.NAT, TableName.RAW

OTHER = replace(
    BUSY,
    workloads=BUSY.workloads[:2],
    policies=tuple(ActivePolicy(name, RULES, ()) for name in POLICIES),
    ip_sets=(NetSet("s:a", frozenset(parse_prefix(text) for text in ("10.65.0.0/24", "10.66.0.0/24", "fd00::/64"))),),
)
"""Another view than `BUSY`: workloads, policies and members differ, and a fence is needed on the way."""

FOREIGN = """\
*filter
:FORWARD DROP [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:theirs - [0:0]
-A FORWARD -s 10.9.0.0/16 -j theirs
-A FORWARD -m set --match-set theirs dst -j ACCEPT
-A theirs -p tcp -m tcp --dport 80 -m comment --comment "it's theirs" -j RETURN
-A INPUT -i lo -j ACCEPT
COMMIT
"""
FELIX_1 = """\
*filter
:felix-FORWARD - [0:0]
:felix-to-endpoint - [0:0]
:cali-stale - [0:0]
-A FORWARD -j felix-FORWARD
-A INPUT -m comment --comment "cali:0123456789abcdef" -j cali-stale
-A theirs -j felix-FORWARD
-A felix-FORWARD -m set --match-set felix-4-x src -j felix-to-endpoint
-A felix-to-endpoint -j DROP
-A cali-stale -j ACCEPT
COMMIT
*nat
:felix-POSTROUTING - [0:0]
-A POSTROUTING -s 10.0.0.0/8 -m set --match-set felix-masq-ipam-pools src -j MASQUERADE
-A POSTROUTING -o tunl0 -m addrtype ! --src-type LOCAL --limit-iface-out -m addrtype --src-type LOCAL -j MASQUERADE
-A POSTROUTING -o eth9 -j MASQUERADE
-A POSTROUTING -j felix-POSTROUTING
COMMIT
"""
FELIX_1_SETS = """\
create theirs hash:ip family inet
add theirs 10.9.0.1
create felix-4-x hash:net family inet
create felix-masq-ipam-pools hash:net family inet
create cali4t7 hash:net family inet
create cali40s:a hash:ip family inet
"""


class ProgrammingContract:
    """Tests of `Tables` and `settle` over a kernel; a subclass has the fixture `run`, parametrized with `backend`."""

    @pytest.fixture
    def tables(self, run: Feed, backend: Backend) -> Tables:
        return Tables(run, backend, IPFamily)

    @staticmethod
    def program(tables: Tables, view: NodeView, mode: str = "insert") -> Settled:
        return settle(tables, planner(view, mode), pytest.fail)

    @staticmethod
    def seed(run: Feed, backend: Backend, rules: str, sets: str = "") -> None:
        """What others have put there, by the tools themselves."""
        for command, text in (("ipset restore", sets), (f"iptables-{backend.value}-restore --noflush", rules)):
            ran = run(command.split(), text.encode())
            assert ran.code == 0, ran.error

    def test_into_an_empty_kernel(self, tables: Tables) -> None:
        self.program(tables, BUSY)
        assert planner(BUSY)(tables.read()) == Plan()
        check_holds(tables.read(), BUSY)

    def test_from_one_view_to_another_and_back(self, tables: Tables) -> None:
        self.program(tables, BUSY)
        for view in (OTHER, BUSY):
            made = self.program(tables, view)
            assert made.steps > 5 and not made.failures
            check_holds(tables.read(), view)

    def test_what_is_right_is_not_written_again(self, tables: Tables) -> None:
        self.program(tables, BUSY)
        assert self.program(tables, BUSY) == Settled()

    @pytest.mark.parametrize("mode", ["insert", "append"])
    def test_foreign_rules_stay_as_they_are(self, tables: Tables, run: Feed, backend: Backend, mode: str) -> None:
        self.seed(run, backend, FOREIGN, "create theirs hash:ip family inet\nadd theirs 10.9.0.1\n")
        before = foreign_of(tables.read())
        assert len(before[FILTER]["FORWARD"]) == 2
        for view in (BUSY, OTHER):
            self.program(tables, view, mode)
            held = tables.read()
            assert foreign_of(held)[FILTER] == before[FILTER]
            assert "theirs" in held.ip_sets
            hook = texts_of(held, FILTER, "FORWARD")[0 if mode == "insert" else -1]
            assert hook.endswith("-j cali-FORWARD")
        settle(tables, removal, pytest.fail)
        assert foreign_of(tables.read())[FILTER] == before[FILTER]
        assert set(tables.read().ip_sets) == {"theirs"}

    def test_a_node_of_an_old_felix_is_cleaned_up(self, tables: Tables, run: Feed, backend: Backend) -> None:
        self.seed(run, backend, FOREIGN + FELIX_1, FELIX_1_SETS)
        self.program(tables, BUSY)
        check_holds(tables.read(), BUSY)
        held = tables.read()
        assert texts_of(held, FILTER, "theirs") == [
            '-p tcp -m tcp --dport 80 -m comment --comment "it\\\'s theirs" -j RETURN'
        ]
        assert texts_of(held, NAT, "POSTROUTING")[1:] == ["-o eth9 -j MASQUERADE"]
        assert not any(name.startswith("felix-") for name in (*held.ip_sets, *held.rulesets[V4].tables[FILTER].chains))

    def test_tampering_is_repaired(self, tables: Tables, run: Feed, backend: Backend) -> None:
        self.program(tables, BUSY)
        hook = next(line for line in texts_of(tables.read(), FILTER, "FORWARD"))
        first = texts_of(tables.read(), FILTER, "cali-fw-cali11")[0]
        meddled = [
            f"-R cali-fw-cali11 1 {first.replace('RELATED,ESTABLISHED', 'NEW')}",
            "-F cali-tw-cali12",
            "-A cali-FORWARD -j ACCEPT",
            f"-A FORWARD {hook}",
            "-I FORWARD -j ACCEPT",
            "-N cali-mine",
        ]
        self.seed(run, backend, "\n".join(["*filter", *meddled, "COMMIT", ""]), "del cali40s:a 10.65.0.0/24\n")
        assert foreign_of(tables.read())[FILTER]["FORWARD"] == ["-j ACCEPT"]
        self.program(tables, BUSY)
        check_holds(tables.read(), BUSY)
        assert foreign_of(tables.read())[FILTER]["FORWARD"] == ["-j ACCEPT"]

    def test_removal_leaves_nothing_of_ours(self, tables: Tables) -> None:
        self.program(tables, BUSY)
        settle(tables, removal, pytest.fail)
        held = tables.read()
        assert not held.ip_sets
        for ruleset in held.rulesets.values():
            for table in ruleset.tables.values():
                assert not any(chain.rules or CALICO.owns_chain(chain.name) for chain in table.chains.values())

    def test_the_line_that_is_refused_is_named(self, tables: Tables, backend: Backend) -> None:
        edits = (MakeChain("cali-x"), AppendRule("cali-x", rules("-m set --match-set cali40none src -j DROP")[0]))
        with pytest.raises(KernelRefused, match="cali40none") as refusal:
            tables.carry_out(Plan((TableEdit(V4, backend, FILTER, edits),)))
        assert refusal.value.line == "-A cali-x -m set --match-set cali40none src -j DROP"
        assert refusal.value.command[0] == f"iptables-{backend.value}-restore"
        with pytest.raises(KernelRefused, match="does not exist") as refusal:
            tables.carry_out(Plan((SetEdit((DestroySet("cali40none"),)),)))
        assert refusal.value.line == "destroy cali40none"
        assert "cali-x" not in tables.read().rulesets[V4].tables.get(FILTER, Table(FILTER, {})).chains


_MADE: dict[tuple[int, str], Rendering] = {}
"""Renderings by the view's identity and the place of hooks: views are constants here, and rendering takes its time."""


def made_of(view: NodeView, mode: str = "insert") -> Rendering:
    key = (id(view), mode)
    if key not in _MADE:
        _MADE[key] = rendered(view, config=replace(CONFIG, chain_insert_mode=mode))
    return _MADE[key]


def planner(view: NodeView, mode: str = "insert") -> Callable[[Held], Plan]:
    wanted = wanted_families(made_of(view, mode))
    return lambda held: plan(wanted, held, CALICO)


def removal(held: Held) -> Plan:
    return plan_removal(held, CALICO)


def check_holds(held: Held, view: NodeView) -> None:
    """Our chains, hooks and sets are those of the view, word for word, and no others."""
    made = made_of(view)
    for family, wanted in made.families.items():
        for name, table in wanted.tables.items():
            chains = held.rulesets[family].tables[name].chains
            ours = {chain: texts(one, family) for chain, one in chains.items() if CALICO.owns_chain(chain)}
            assert ours == {chain: texts(one, family) for chain, one in table.chains.items()}
            for chain, hooks in table.hooks.items():
                assert texts(chains[chain], family)[: len(hooks)] == texts(Chain(chain, hooks), family)
    sets = {name: frozenset(one.entries) for name, one in held.ip_sets.items() if name.startswith("cali")}
    assert sets == {n: frozenset(one.entries) for family in made.families.values() for n, one in family.ip_sets.items()}


def texts(chain: Chain, family: IPFamily) -> list[str]:
    return [format_rule(rule, family) for rule in chain.rules]


def texts_of(held: Held, table: TableName, chain: str) -> list[str]:
    return texts(held.rulesets[V4].tables[table].chains[chain], V4)


def foreign_of(held: Held) -> dict[TableName, dict[str, list[str]]]:
    """Rules of IPv4 that are not ours, by table and chain, with chain policies."""
    found: dict[TableName, dict[str, list[str]]] = {}
    for name, table in held.rulesets[V4].tables.items():
        for chain in table.chains.values():
            if not CALICO.owns_chain(chain.name):
                rules = [r for r in chain.rules if not CALICO.owns_rule(name, chain.name, r, V4)]
                kept = texts(Chain(chain.name, tuple(rules)), V4)
                found.setdefault(name, {})[chain.name] = kept
                if chain.policy != "ACCEPT":
                    found[name][f"{chain.name} policy"] = [str(chain.policy)]
    return found
