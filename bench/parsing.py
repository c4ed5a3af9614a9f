"""Reading rules: against iptables-restore --test of the same file, and what a rule costs in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.calico_node import make_node
from bench.measure import Figure, command_seconds, peak_bytes, seconds
from tortie.codec.save import format_save, parse_save
from tortie.net.address import IPFamily

_WORKLOADS = 1075
"""Enough for 50,000 rules."""
_TOOLS = ("iptables-legacy-restore", "iptables-nft-restore")


def figures(folder: Path) -> Iterator[Figure]:
    """Parsing, printing, memory."""
    node = make_node(_WORKLOADS)
    count = node.rule_count
    path = folder / "rules"
    path.write_text(node.rules)
    (folder / "sets").write_text(node.sets)
    ours = seconds(lambda: parse_save(node.rules, IPFamily.V4))
    yield Figure(f"parsing {count:,} rules", f"{ours:.2f} s, {ours / count * 1e6:.1f} µs a rule")
    tools = {tool: _restore_test(folder, tool) for tool in _TOOLS}
    for tool, theirs in tools.items():
        if theirs is None:
            yield Figure(f"  against {tool} --test", "left out: needs root, the tool and ipset")
        else:
            yield Figure(f"  against {tool} --test", f"{ours / theirs:.2f}× of {theirs:.2f} s")
    known = [theirs for theirs in tools.values() if theirs is not None]
    if known:
        yield Figure("  against the slower of the two", f"{ours / max(known):.2f}×", "at most 1×", ours <= max(known))
    saved = parse_save(node.rules, IPFamily.V4)
    printing = seconds(lambda: format_save(saved))
    yield Figure(f"printing {count:,} rules", f"{printing:.2f} s, {printing / count * 1e6:.1f} µs a rule")
    bytes_each = peak_bytes(lambda: parse_save(node.rules, IPFamily.V4)) / count
    yield Figure("peak memory of a parsed rule", f"{bytes_each:,.0f} bytes", "under 1 KiB", bytes_each < 1024)


def _restore_test(folder: Path, tool: str) -> float | None:
    """Time of `--test` in a network namespace where the sets exist; what loading the sets costs is taken off."""
    script = f"ipset restore < {folder}/sets && exec {{}}"
    inside = ["unshare", "--net", "sh", "-c"]
    whole = command_seconds([*inside, script.format(f"{tool} --test {folder}/rules")], runs=3)
    sets_only = command_seconds([*inside, script.format("true")], runs=3)
    return whole - sets_only if whole is not None and sets_only is not None else None
