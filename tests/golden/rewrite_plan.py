"""Writes the golden texts of plans anew: `python -m tests.golden.rewrite_plan`; look at the difference like at code.

Every text is made twice, so that what changes from run to run cannot become golden. All are plans for the reference node:
what its resources mean is what it holds, so each case is what one change of the resources would do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from tortie.cli.desired import find_desired
from tortie.cli.held import choose_backend, snapshot_held
from tortie.cli.node_state import snapshot_state
from tortie.cli.plan_report import PlanReport, make_report
from tortie.cli.plan_text import report_lines
from tortie.cli.snapshot_file import load_snapshot
from tortie.cli.terminal import Paper, write_lines
from tortie.model.read import parse_resources
from tortie.netfilter.snapshot import Snapshot

REFERENCE = Path(__file__).parents[2] / "examples" / "reference-node"
FOLDER = Path(__file__).parent / "plan"

Edit = Callable[[str], str]


def _replaced(old: str, new: str) -> Edit:
    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return edit


def _without(word: str) -> Edit:
    def edit(text: str) -> str:
        parts = text.split("---\n")
        kept = [part for part in parts if word not in part]
        assert len(kept) < len(parts)
        return "---\n".join(kept)

    return edit


POD = """---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata:
  name: reference-k8s-new-eth0
  namespace: shop
  labels: {app: api}
spec:
  orchestrator: k8s
  node: reference
  pod: new
  endpoint: eth0
  interfaceName: cali0123456789a
  ipNetworks: [192.170.21.77/32]
  profiles: [kns.shop]
"""

EDITS: dict[str, dict[str, Edit]] = {
    "nothing-to-do": {},
    "policy-changed": {"policies.yaml": _replaced("      - 80\n", "      - 8080\n")},
    "policy-gone": {"policies.yaml": _without("knp.default.db")},
    "pod-new": {"workloads.yaml": lambda text: f"{text.rstrip()}\n{POD}"},
    "pod-gone": {"workloads.yaml": _without("cali551b05c3e54")},
    "locked-out": {"cluster.yaml": _replaced("  defaultEndpointToHostAction: Drop\n", "  failsafeInboundHostPorts: []\n")},
}


@lru_cache(maxsize=1)
def snapshot() -> Snapshot:
    """The reference node."""
    return load_snapshot(str(REFERENCE / "snapshot"))


def report(edits: dict[str, Edit]) -> PlanReport:
    """The plan for the reference node after some of its files of resources were changed."""
    texts = []
    for path in sorted((REFERENCE / "resources").glob("*.yaml")):
        texts.append((path.name, edits.get(path.name, lambda text: text)(path.read_text())))
    desired = find_desired(parse_resources(texts), "reference", snapshot_state(snapshot()))
    backend = choose_backend(snapshot(), None)
    held, remarks = snapshot_held(snapshot(), backend, desired.config.families)
    return make_report(desired, snapshot(), held, backend, remarks)


def cases() -> dict[str, str]:
    """File name to text."""
    texts = {}
    for name, edits in EDITS.items():
        summary = name == "locked-out"
        texts[f"{name}.txt"] = write_lines(report_lines(report(edits), summary=summary), Paper())
    texts["policy-changed-colour.txt"] = write_lines(report_lines(report(EDITS["policy-changed"])), Paper(100, colour=True))
    return texts


def main() -> None:
    """Makes all texts twice, compares, writes."""
    texts = cases()
    if texts != cases():
        raise SystemExit("the texts differ from run to run")
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.txt"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
