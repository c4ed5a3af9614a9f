"""Where a match or target stands, and what of the node it may look at while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend
from tortie.netfilter.snapshot import Snapshot

if TYPE_CHECKING:
    from tortie.simulator.route import Router
    from tortie.simulator.session import Place


@dataclass(frozen=True, slots=True)
class Context:
    """Given to everything that is compiled from a rule; one object for each match or target."""

    family: IPFamily
    backend: Backend
    place: Place
    router: Router
    snapshot: Snapshot
