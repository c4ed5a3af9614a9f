"""A node as it would be with other resources."""

from __future__ import annotations

from dataclasses import replace

from tests.explained_cluster import basis_of, node_of
from tests.reference_builder import WORLD, policy, read
from tortie.cli.packet_option import parse_packet_words, split_words
from tortie.codec.save import parse_save
from tortie.explain.world import Answer, Question, World, ask, holds_ours, programmed, with_resources
from tortie.model.endpoint import WorkloadEndpoint
from tortie.model.policy import NetworkPolicy
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend, TableName
from tortie.netfilter.rule import Rule
from tortie.netfilter.target import Drop
from tortie.simulator.trace import Verdict
from tortie.simulator.walk import Arrival, Node

RESOURCES = read(WORLD, policy("web", "a", "{ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]}"))
BASIS = basis_of(RESOURCES)
SNAPSHOT = node_of(RESOURCES).node.snapshot
OPEN = read(policy("web", "a", "{ingress: [{action: Allow}]}")).of(NetworkPolicy)[0]


def question(words: str = "tcp 10.65.1.2:1000 10.65.0.2:8080", in_iface: str | None = "eth0") -> Question:
    return Question(Arrival(parse_packet_words(*split_words(words)).packet, in_iface=in_iface))


def test_nothing_changed_is_the_node_as_it_is() -> None:
    again = programmed(SNAPSHOT, BASIS.rendering)
    assert again.rulesets == SNAPSHOT.rulesets and again.ip_sets == SNAPSHOT.ip_sets
    assert World(BASIS, SNAPSHOT).basis() is BASIS


def test_a_changed_world_is_that_of_the_changed_resources_and_the_next_one_starts_anew() -> None:
    world = World(BASIS, SNAPSHOT)
    changed = world.basis([OPEN])
    assert changed.rendering == basis_of(with_resources(RESOURCES, [OPEN])).rendering
    assert ask(question(), world.node(changed)).passes
    (web,) = (one for one in RESOURCES.of(WorkloadEndpoint) if one.spec.pod == "web")
    relabelled = replace(web, metadata=replace(web.metadata, labels={**web.metadata.labels, "role": "back"}))
    other = world.basis([relabelled])
    assert other.rendering == basis_of(with_resources(RESOURCES, [relabelled])).rendering
    assert not ask(question(), world.node(other)).passes


def test_a_resource_that_is_new_is_gone_again() -> None:
    world = World(BASIS, SNAPSHOT)
    new = read(policy("new", "a", "{ingress: [{action: Allow}]}")).of(NetworkPolicy)[0]
    assert {one.name for one in world.basis([new]).view.policies} == {"a/default.web", "a/default.new"}
    assert {one.name for one in world.basis([OPEN]).view.policies} == {"a/default.web"}


def test_foreign_rules_stay_where_they_are_and_the_hooks_stay_behind_them() -> None:
    rulesets = []
    for ruleset in SNAPSHOT.rulesets:
        table = ruleset.tables[TableName.FILTER]
        forward = table.chains["FORWARD"]
        chains = {**table.chains, "FORWARD": replace(forward, rules=(Rule((), Drop()), *forward.rules))}
        rulesets.append(replace(ruleset, tables={**ruleset.tables, TableName.FILTER: replace(table, chains=chains)}))
    snapshot = replace(SNAPSHOT, rulesets=tuple(rulesets))
    assert programmed(snapshot, BASIS.rendering).rulesets == snapshot.rulesets


def test_a_hook_that_is_missing_is_put_where_it_belongs() -> None:
    rulesets = []
    for ruleset in SNAPSHOT.rulesets:
        table = ruleset.tables[TableName.FILTER]
        chains = {**table.chains, "FORWARD": replace(table.chains["FORWARD"], rules=(Rule((), Drop()),))}
        rulesets.append(replace(ruleset, tables={**ruleset.tables, TableName.FILTER: replace(table, chains=chains)}))
    made = programmed(replace(SNAPSHOT, rulesets=tuple(rulesets)), BASIS.rendering)
    (hook, drop) = made.rulesets[0].tables[TableName.FILTER].chains["FORWARD"].rules
    assert (hook, drop) == (
        BASIS.rendering.families[IPFamily.V4].tables[TableName.FILTER].hooks["FORWARD"][0],
        Rule((), Drop()),
    )


def test_a_back_end_without_our_chains_is_left_alone() -> None:
    foreign = parse_save("*filter\n:FORWARD DROP\nCOMMIT\n", IPFamily.V4, backend=Backend.NFT).ruleset
    assert not holds_ours(foreign) and holds_ours(SNAPSHOT.rulesets[0])
    both = replace(SNAPSHOT, rulesets=(foreign, *SNAPSHOT.rulesets))
    assert programmed(both, BASIS.rendering).rulesets[0] == foreign


def test_sets_that_are_ours_and_not_rendered_are_gone() -> None:
    assert SNAPSHOT.ip_sets is not None
    some = next(iter(SNAPSHOT.ip_sets.values()))
    held = {**SNAPSHOT.ip_sets, "cali40old": some, "foreign": some}
    sets = programmed(replace(SNAPSHOT, ip_sets=held), BASIS.rendering).ip_sets
    assert sets is not None and sets.keys() == {*SNAPSHOT.ip_sets, "foreign"}


def test_resources_are_changed_by_kind_and_name() -> None:
    changed = with_resources(RESOURCES, [OPEN])
    assert changed.of(NetworkPolicy) == (OPEN,)
    assert RESOURCES.of(NetworkPolicy) != (OPEN,), "what was given stays as it is"
    assert len(changed) == len(RESOURCES)


def test_the_packet_that_is_dropped_may_be_the_answer() -> None:
    node = Node.from_snapshot(SNAPSHOT)
    closed = ask(question(), node)
    assert closed.dropped is closed.first.trace and not closed.passes
    through: Answer = ask(question("tcp 10.65.1.2:1000 10.65.0.2:80"), node)
    assert through.passes and through.dropped is None and through.first.verdict is Verdict.ACCEPT
