"""The tables of rules in tests/cases/rules: what people write, what iptables-save prints of it, in which variants.

One reader for the unit tests, which hold the codec to the tables, and for the kernel tests, which hold the real tools to
them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tortie.net.address import IPFamily
from tortie.netfilter.hook import BUILTIN_CHAINS, Backend, TableName

FOLDER = Path(__file__).parent / "rules"
Variant = tuple[IPFamily, Backend]
VARIANTS: tuple[Variant, ...] = tuple((family, backend) for family in IPFamily for backend in Backend)
NAMES: dict[str, tuple[Variant, ...]] = {
    "all": VARIANTS,
    **{f"v{family.value}": tuple(v for v in VARIANTS if v[0] is family) for family in IPFamily},
    **{backend.value: tuple(v for v in VARIANTS if v[1] is backend) for backend in Backend},
    **{f"v{family.value}-{backend.value}": ((family, backend),) for family, backend in VARIANTS},
}
"""What the first column may say; several names are joined by commas."""


@dataclass(frozen=True, slots=True)
class Case:
    """One line: `saved` holds the rules that -save prints, None when the tools refuse."""

    variants: tuple[Variant, ...]
    table: TableName
    chain: str
    rule: str
    saved: tuple[str, ...] | None
    reason: str = ""


def read_cases() -> tuple[Case, ...]:
    """Every line of every table, in order."""
    return tuple(case for table in TableName for case in _read_table(table))


def _read_table(table: TableName) -> Iterator[Case]:
    path = FOLDER / f"{table.value}.txt"
    chain = ""
    for line in path.read_text().splitlines() if path.exists() else ():
        if line.startswith("["):
            chain = line.strip("[]")
        elif line and not line.startswith("#"):
            names, rule, saved = line.split(" ; ")
            yield Case(_variants(names), table, chain, rule, _saved(rule, saved))


def _variants(names: str) -> tuple[Variant, ...]:
    return tuple(variant for name in names.split(",") for variant in NAMES[name])


def _saved(rule: str, text: str) -> tuple[str, ...] | None:
    if text == "FAIL":
        return None
    if text == "=":
        return (rule,)
    if text == "NO RULE":
        return ()
    return tuple("" if part == "NOTHING" else part for part in text.split(" && "))


def read_known_differences() -> tuple[Case, ...]:
    """Rules of which the codec makes something else on purpose; `saved` is the tools' opinion."""
    found = []
    for line in (FOLDER / "known_differences.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            names, place, rule, saved, reason = line.split(" ; ")
            table, chain = place.split(" ")
            found.append(Case(_variants(names), TableName(table), chain, rule, _saved(rule, saved), reason))
    return tuple(found)


COMMAND_BASE = """*{table}
:x - [0:0]
:y - [0:0]
-A {chain} -s {host} -j x
-A {chain} -p tcp -m tcp --dport 80 -j ACCEPT
-A {chain} -p tcp -m tcp --dport 80 -j ACCEPT
-A x -m mark --mark 0x5 -g y
COMMIT
"""
"""The table that the commands change, as iptables-restore reads it."""


def command_base(table: TableName, family: IPFamily) -> str:
    """`COMMAND_BASE` for a table: the rules stand in its first built-in chain."""
    chain = BUILTIN_CHAINS[table][0].value
    host = "10.0.0.1/32" if family is IPFamily.V4 else "fd00::1/128"
    return COMMAND_BASE.format(table=table.value, chain=chain, host=host)


def read_commands() -> tuple[tuple[TableName, tuple[str, ...]], ...]:
    """Command lines that are run in turn, with the table they are meant for."""
    lines = (FOLDER / "commands.txt").read_text().splitlines()
    pairs = [line.split(" ; ") for line in lines if line and not line.startswith("#")]
    return tuple((TableName(table), tuple(commands.split(" && "))) for table, commands in pairs)
