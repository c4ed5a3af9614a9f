"""What a real kernel answered to whole scenarios, kept so that agreement is checked where there is no root.

`python -m tests.kernel.recording` asks the kernel the scenarios of `RECORDED` and writes their answers under
`tests/recorded/<release>/packets.json.gz`: the scenario, the node as its tools printed it, and for each packet what became
of it, the connections that were looked up, and the time. A `Replay` says all that again in the same order.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import platform
import sys
import types
import typing
from collections.abc import Iterator
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from tests.kernel.differential import Judge, Report, Witness, run_scenario
from tests.kernel.generate.scenario import draw_scenario
from tests.kernel.generate.shaped_rules import draw_shaped_scenario
from tests.kernel.oracle.device import CannotBind
from tests.kernel.oracle.outcome import Outcome
from tests.kernel.patience import Patience
from tests.kernel.scenario import Given, Scenario
from tests.kernel.scenario_file import format_scenario, parse_scenario
from tortie.netfilter.conntrack import ConnEntry, ConnTuple
from tortie.netfilter.hook import Backend

FOLDER = Path(__file__).parents[1] / "recorded"
RECORDED = [(draw, seed) for draw in (draw_scenario, draw_shaped_scenario) for seed in range(0, 200, 5)]
"""Forty scenarios of each kind, spread over topologies and both back-ends."""


class Recorder:
    """Stands between the judge and a node and writes down every answer, packet by packet."""

    def __init__(self, node: Witness) -> None:
        self._node = node
        self.backend, self.patience = node.backend, node.patience
        self.packets: list[dict[str, Any]] = []

    def inject(self, given: Given) -> Outcome:
        """Passes a packet on and keeps what became of it."""
        try:
            outcome = self._node.inject(given)
        except CannotBind:
            self.packets.append(
                {**(self.packets[-1] if self.packets else {}), "moment": self._node.moment(), "sent": False}
            )
            raise
        count, moment = self._node.connection_count(), self._node.moment()
        self.packets.append({"outcome": plain(outcome), "count": count, "moment": moment, "entries": [], "sent": True})
        return outcome

    @property
    def connections(self) -> Recorder:
        """The table, looked up through this recorder."""
        return self

    def find(self, conn_tuple: ConnTuple, zone: int = 0) -> ConnEntry | None:
        """Passes a look-up on and keeps its answer."""
        found = self._node.connections.find(conn_tuple, zone)
        self.packets[-1]["entries"].append([plain(conn_tuple), zone, plain(found)])
        return found

    def connection_count(self) -> int:
        """As it was when the packet was through."""
        return typing.cast(int, self.packets[-1]["count"])

    def moment(self) -> float:
        """When the last packet was through; before the first one, now."""
        return typing.cast(float, self.packets[-1]["moment"]) if self.packets else self._node.moment()


class Replay:
    """Says once more what was recorded; a look-up that nobody made then is an error."""

    def __init__(self, backend: Backend, packets: list[dict[str, Any]]) -> None:
        self.backend, self.patience = backend, Patience(self.moment)
        self._waiting = iter(packets)
        self._current = packets[0]

    def inject(self, given: Given) -> Outcome:
        """The recorded outcome."""
        self._current = next(self._waiting)
        if not self._current["sent"]:
            raise CannotBind
        return typing.cast(Outcome, built(Outcome, self._current["outcome"]))

    @property
    def connections(self) -> Replay:
        """The recorded look-ups."""
        return self

    def find(self, conn_tuple: ConnTuple, zone: int = 0) -> ConnEntry | None:
        """The recorded entry."""
        asked = plain(conn_tuple)
        found = next(entry for key, where, entry in self._current["entries"] if key == asked and where == zone)
        return typing.cast("ConnEntry | None", built(ConnEntry | None, found))

    def connection_count(self) -> int:
        """The recorded number."""
        return typing.cast(int, self._current["count"])

    def moment(self) -> float:
        """The recorded time."""
        return typing.cast(float, self._current["moment"])


@dataclasses.dataclass(frozen=True, slots=True)
class Recording:
    """One scenario with everything that the kernel said to it."""

    scenario: Scenario
    texts: dict[str, str]
    packets: list[dict[str, Any]]

    def read(self, *, network_changed: bool) -> dict[str, str]:
        """The node as its tools printed it."""
        return self.texts

    def judge(self) -> Report:
        """What the simulator makes of it now."""
        report = Report()
        run_scenario(Replay(self.scenario.backend, self.packets), self, self.scenario, report)
        return report


def load(path: Path) -> Iterator[Recording]:
    """The recordings of a file."""
    with gzip.open(path, "rt") as file:
        for line in file:
            value = json.loads(line)
            yield Recording(parse_scenario(value["scenario"]), value["texts"], value["packets"])


# --- values as JSON ----------------------------------------------------------------------------------------------

_OF_THE_NODE = frozenset({"drop_names"})
"""Fields that tell nothing of a packet; they come last and are not recorded."""


def plain(value: object) -> Any:
    """A value of dataclasses, structs, enums and bytes as JSON has it."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    if isinstance(value, msgspec.Struct):
        return [plain(getattr(value, name)) for name in value.__struct_fields__]
    if dataclasses.is_dataclass(value):
        return [plain(getattr(value, field.name)) for field in dataclasses.fields(value) if field.name not in _OF_THE_NODE]
    return value


def built(kind: Any, value: Any) -> Any:
    """The value of this type that `plain` made JSON of."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        options = [one for one in typing.get_args(kind) if one is not type(None)]
        return None if value is None else built(options[0], value)
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)
        kinds = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(built(one, part) for one, part in zip(kinds, value, strict=True))
    if kind is bytes:
        return bytes.fromhex(value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    if isinstance(kind, type) and (dataclasses.is_dataclass(kind) or issubclass(kind, msgspec.Struct)):
        return kind(*(built(one, part) for one, part in zip(_field_types(kind), value, strict=True)))
    return value


@cache
def _field_types(kind: type) -> tuple[Any, ...]:
    hints = typing.get_type_hints(kind)
    if issubclass(kind, msgspec.Struct):
        return tuple(hints[name] for name in kind.__struct_fields__)
    assert dataclasses.is_dataclass(kind)
    return tuple(hints[field.name] for field in dataclasses.fields(kind) if field.name not in _OF_THE_NODE)


# --- recording ---------------------------------------------------------------------------------------------------


def record() -> int:
    """Asks the kernel everything anew; returns 1, and writes nothing, when simulator and kernel disagree."""
    lines = []
    for draw, seed in RECORDED:
        scenario = draw(seed)
        recorders: list[Recorder] = []

        def witness(node: Witness, recorders: list[Recorder] = recorders) -> Recorder:
            recorders.append(Recorder(node))
            return recorders[-1]

        with Judge(witness) as judge:
            report = judge.judge(scenario)
            texts = judge.last_texts
        if report.mismatches or report.refused:
            print(f"{scenario.name}: {report.refused or report.mismatches[0].remarks}", file=sys.stderr)
            return 1
        value = {"scenario": format_scenario(scenario), "texts": texts, "packets": recorders[0].packets}
        lines.append(json.dumps(value, separators=(",", ":")) + "\n")
    path = FOLDER / platform.release().rpartition(".")[0] / "packets.json.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(lines).encode(), mtime=0))
    print(f"{path}: {len(lines)} scenarios, {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(record())
