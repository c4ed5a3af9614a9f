"""What the bits of the packet mark mean on a node, told from its rules.

Calico takes its bits from a configurable mask, so they are read from the rules that use them, not assumed; only where the
rules at hand do not show a bit is the default layout used, and `assumed` then says so. kube-proxy's two bits are read from
the chains that set them. Nothing here changes what a walk does.

Sources: spec rules 2.1 (order of the bits), 3.1 and 3.5 (rules that show them), 6.2 (comments); spec netfilter 13.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tortie.netfilter.hook import TableName
from tortie.netfilter.match import InInterfaceMatch, MarkMatch
from tortie.netfilter.rule import Rule, Ruleset
from tortie.netfilter.target import MarkTarget
from tortie.simulator.role import remarks

DEFAULT_ACCEPT, DEFAULT_PASS, DEFAULT_SCRATCH0, DEFAULT_SCRATCH1 = 0x10000, 0x20000, 0x40000, 0x80000
_ACCEPT_REMARKS = frozenset(
    {
        "Policy explicitly accepted packet.",
        "Host endpoint policy accepted packet.",
        "Return if policy accepted",
        "Return if profile accepted",
    }
)


@dataclass(frozen=True, slots=True)
class MarkBit:
    """A bit with a meaning; `raw_name` is its name in the raw table, where Calico uses scratch 0 for something else."""

    mask: int
    name: str
    raw_name: str = ""


@dataclass(frozen=True, slots=True)
class MarkLayout:
    """Known bits from the lowest up, and the block that holds an endpoint's number (0 when there is none)."""

    bits: tuple[MarkBit, ...] = ()
    endpoint_mask: int = 0
    other_endpoint: int = 0
    """The value of the endpoint block that means *not from a Calico endpoint*."""
    accept: int = 0
    """Calico's accept bit, 0 without Calico."""
    passed: int = 0
    """Calico's pass bit, 0 without Calico."""
    assumed: bool = False
    """True when a Calico bit is the default one because the rules do not show it."""


def read_mark_layout(rulesets: Iterable[Ruleset]) -> MarkLayout:
    """The layout that the rules of a node use; empty when neither Calico nor kube-proxy is there."""
    known = tuple(rulesets)
    bits: list[MarkBit] = []
    accept = passed = endpoint = 0
    assumed = False
    if any(name.startswith("cali-") for ruleset in known for table in ruleset.tables.values() for name in table.chains):
        found = _calico_bits(known)
        assumed = found.assumed
        accept, passed, endpoint = found.accept, found.passed, found.endpoint
        bits += [
            MarkBit(found.accept, "accept"),
            MarkBit(found.passed, "pass"),
            MarkBit(found.scratch0, "scratch 0", "from workload"),
            MarkBit(found.scratch1, "scratch 1"),
        ]
    for chain, name in (("KUBE-MARK-MASQ", "masquerade"), ("KUBE-MARK-DROP", "kube drop")):
        for _, rule in _rules(known, chain):
            match rule.target:
                case MarkTarget(value, _) if value:
                    bits.append(MarkBit(value, name))
                case _:
                    pass
    unique = {bit.mask: bit for bit in reversed(bits) if bit.mask}
    ordered = tuple(unique[mask] for mask in sorted(unique))
    return MarkLayout(ordered, endpoint, endpoint & -endpoint, accept, passed, assumed)


def describe_mark(mark: int, layout: MarkLayout, table: TableName | None = None) -> str:
    """The meaning of a mark's known bits (`accept, from workload`); empty when none is known or set."""
    words: list[str] = []
    rest = mark
    for bit in layout.bits:
        if mark & bit.mask == bit.mask:
            words.append(bit.raw_name if bit.raw_name and table is TableName.RAW else bit.name)
            rest &= ~bit.mask
    number = mark & layout.endpoint_mask
    if number:
        words.append("not from a Calico endpoint" if number == layout.other_endpoint else f"endpoint {number:#x}")
        rest &= ~layout.endpoint_mask
    if words and rest:
        words.append(f"{rest:#x} of others")
    return ", ".join(words)


@dataclass(frozen=True, slots=True)
class _CalicoBits:
    accept: int
    passed: int
    scratch0: int
    scratch1: int
    endpoint: int
    assumed: bool


def _calico_bits(rulesets: tuple[Ruleset, ...]) -> _CalicoBits:
    """The four bits in their order, from rules that show them alone or together (spec: rules 2.1)."""
    accept = _accept_bit(rulesets)
    passed = _set_mask(rulesets, None, "Start of policies")
    scratch0 = next(
        (
            target.value
            for chain, rule in _rules(rulesets, "cali-PREROUTING")
            if chain is TableName.RAW
            for target in (rule.target,)
            if isinstance(target, MarkTarget)
            and target.value
            and any(isinstance(match, InInterfaceMatch) for match in rule.matches)
        ),
        0,
    )
    four = _four_bits(rulesets) | accept | passed | scratch0
    if four.bit_count() == 4:
        ordered = [1 << position for position in range(32) if four >> position & 1]
        return _CalicoBits(ordered[0], ordered[1], ordered[2], ordered[3], _endpoint_mask(rulesets, four), False)
    bits = (accept or DEFAULT_ACCEPT, passed or DEFAULT_PASS, scratch0 or DEFAULT_SCRATCH0, DEFAULT_SCRATCH1)
    return _CalicoBits(*bits, _endpoint_mask(rulesets, sum(bits)), True)


def _accept_bit(rulesets: tuple[Ruleset, ...]) -> int:
    """The bit that a rule with one of Calico's *accepted* comments tests."""
    for _, rule in _rules(rulesets, None):
        if _ACCEPT_REMARKS.isdisjoint(remarks(rule)):
            continue
        for match in rule.matches:
            if isinstance(match, MarkMatch) and match.value == match.mask and match.value.bit_count() == 1:
                return match.value
    return 0


def _four_bits(rulesets: tuple[Ruleset, ...]) -> int:
    """Bits that the entry chains clear together: all four in raw and OUTPUT, all but accept in FORWARD.

    INPUT is left out: it clears the endpoint block too, which may be as small.
    """
    found = 0
    for name in ("cali-PREROUTING", "cali-OUTPUT", "cali-FORWARD"):
        for _, rule in _rules(rulesets, name):
            match rule.target:
                case MarkTarget(0, mask) if mask.bit_count() in (3, 4):
                    found |= mask
                case _:
                    pass
    return found if found.bit_count() <= 4 else 0


def _set_mask(rulesets: tuple[Ruleset, ...], chain: str | None, remark: str) -> int:
    for _, rule in _rules(rulesets, chain):
        match rule.target:
            case MarkTarget(_, mask) if remark in remarks(rule):
                return mask
            case _:
                pass
    return 0


def _endpoint_mask(rulesets: tuple[Ruleset, ...], four: int) -> int:
    """The block in which IPVS mode keeps the endpoint's number; 0 without that mode, which then never sets it."""
    for name in ("cali-INPUT", "cali-forward-endpoint-mark"):
        for _, rule in _rules(rulesets, name):
            match rule.target:
                case MarkTarget(0, mask) if not mask & four:
                    return mask
                case _:
                    pass
    return 0


def _rules(rulesets: tuple[Ruleset, ...], chain: str | None) -> Iterator[tuple[TableName, Rule]]:
    """Rules of one chain wherever it is, or of all Calico's chains."""
    for ruleset in rulesets:
        for table in ruleset.tables.values():
            for name, value in table.chains.items():
                if name == chain or (chain is None and name.startswith("cali-")):
                    for rule in value.rules:
                        yield table.name, rule
