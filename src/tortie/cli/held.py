"""What a snapshot holds of one back-end, as the side that a plan starts from."""

from __future__ import annotations

from collections.abc import Iterable

from tortie.cli.programming import CALICO
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import Backend
from tortie.netfilter.rule import Ruleset
from tortie.netfilter.snapshot import Snapshot
from tortie.reconcile.wanted import Held


def choose_backend(snapshot: Snapshot, given: Backend | None) -> Backend:
    """The back-end to write to: as given, else the one that holds chains of ours, else the only one that was read.

    Raises `InvalidInput` when that leaves two or none.
    """
    if given is not None:
        return given
    held = {ruleset.backend for ruleset in snapshot.rulesets}
    ours = {ruleset.backend for ruleset in snapshot.rulesets if holds_ours(ruleset)}
    for choice in (ours, held):
        if len(choice) == 1:
            return choice.pop()
    if not held:
        raise InvalidInput("the snapshot holds no rules", source=snapshot.name, remedy="make one with `tortie snapshot`")
    raise InvalidInput("the snapshot holds rules of both back-ends", remedy="say which is written to with --backend")


def snapshot_held(snapshot: Snapshot, backend: Backend, families: Iterable[IPFamily]) -> tuple[Held, tuple[str, ...]]:
    """The rules of one back-end and all sets, and remarks about families that the snapshot does not have.

    Raises `InvalidInput` when sets are not known, since it is not known then what would change.
    """
    if snapshot.ip_sets is None:
        raise InvalidInput("the snapshot holds no ip sets", source=snapshot.name, remedy="add what `ipset save` prints")
    known = {ruleset.family for ruleset in snapshot.rulesets}
    rulesets: dict[IPFamily, Ruleset] = {}
    remarks = []
    for family in families:
        if family not in known:
            remarks.append(f"the snapshot holds no IPv{family.value} rules: what changes there is not known")
            continue
        found = (one for one in snapshot.rulesets if one.family is family and one.backend is backend)
        rulesets[family] = next(found, Ruleset(family, backend, {}))
    return Held(rulesets, snapshot.ip_sets), tuple(remarks)


def other_backend_remarks(snapshot: Snapshot, backend: Backend) -> tuple[str, ...]:
    """A remark when chains of ours are in the back-end that is not written to, where they act as well."""
    return tuple(
        f"IPv{one.family.value}: the {one.backend.value} back-end holds chains of ours too, and both act on every packet; "
        f"`tortie flush --backend {one.backend.value}` removes them"
        for one in snapshot.rulesets
        if one.backend is not backend and holds_ours(one)
    )


def holds_ours(ruleset: Ruleset) -> bool:
    """True when a chain of ours is in it."""
    return any(CALICO.owns_chain(chain) for table in ruleset.tables.values() for chain in table.chains)
