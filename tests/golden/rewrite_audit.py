"""Writes the golden files of audits anew: `python -m tests.golden.rewrite_audit`; look at the difference like at code."""

from __future__ import annotations

from pathlib import Path

from tests.golden.test_reference_node_resources import EXAMPLE, NODE
from tortie.audit.node import audit_node
from tortie.cli.audit_report import audit_lines, find_owners
from tortie.cli.desired import Desired, find_desired
from tortie.cli.node_state import snapshot_state
from tortie.cli.resource_files import load_resources
from tortie.cli.terminal import Paper, write_lines
from tortie.codec.snapshot import parse_snapshot

FOLDER = Path(__file__).parent / "audit"
EDITS = {
    "iptables-save": (
        # the policy of web opened, under the old comment
        ("--dports 80 -j MARK", "--dports 80,22 -j MARK"),
        # a rule in front of Calico's
        ("-A FORWARD -m comment", "-A FORWARD -s 203.0.113.9/32 -j ACCEPT\n-A FORWARD -m comment"),
        # the drop at the end of db's chain gone
        ('-A cali-tw-cali2d7243dcff6 -m comment --comment "cali:9TaUqy35hS0l7UvR"', "#"),
        # a chain of a pod that is gone
        (":cali-wl-to-host - [0:0]", ":cali-tw-cali00000000000 - [0:0]\n:cali-wl-to-host - [0:0]"),
    ),
    "ipset-save": (
        ("add cali40s:5DYuSn5tLWFQtZEUUL-THHn 192.170.21.6\n", ""),
        ("create cali60masq", "create cali4t0 hash:net family inet hashsize 1024 maxelem 1048576\ncreate cali60masq"),
    ),
}
PAPERS = {"": Paper(), "-narrow": Paper(80), "-colour": Paper(120, colour=True)}


def snapshot_files(*, damaged: bool) -> dict[str, bytes]:
    """The reference node's snapshot, damaged or as it is."""
    files = {path.name: path.read_text() for path in (EXAMPLE / "snapshot").iterdir()}
    for name, edits in EDITS.items() if damaged else ():
        for old, new in edits:
            assert old in files[name], old
            files[name] = files[name].replace(old, new)
    return {name: text.encode() for name, text in files.items()}


def cases() -> dict[str, str]:
    """File name to text."""
    texts = {}
    for damaged in (False, True):
        held = parse_snapshot(snapshot_files(damaged=damaged), "node")
        resources = load_resources([str(EXAMPLE / "resources")], report=False)
        given: dict[str, Desired | None] = {"alone": None, "compared": find_desired(resources, NODE, snapshot_state(held))}
        for name, desired in given.items():
            audit = audit_node(held.rulesets, held.ip_sets, None if desired is None else desired.rendering)
            for suffix, paper in PAPERS.items() if damaged and desired else [("", Paper())]:
                case = f"{'damaged' if damaged else 'in-order'}-{name}{suffix}.txt"
                texts[case] = write_lines(audit_lines(audit, find_owners(desired)), paper)
    return texts


def main() -> None:
    """Makes all texts twice, compares, writes."""
    texts = cases()
    if texts != cases():
        raise SystemExit("the same audit gave two texts")
    for old in FOLDER.glob("*.txt"):
        old.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
