"""What the resources mean is what the node does: the reference agrees with packets walked through the rendered rules.

One reads the resources and decides; the other goes by way of the internal model, the calculation, the renderer and the
simulator, and shares nothing with the first below the resources. Clusters and packets follow from their seeds.
"""

from __future__ import annotations

from tests.reference_agreement import Tally, first_disagreement
from tortie.reference.decision import Says, Stage, Verdict

CLUSTERS = 180


def test_the_reference_agrees_with_a_walk_through_the_rendered_rules() -> None:
    tally = Tally()
    assert first_disagreement([f"property {number}" for number in range(CLUSTERS)], tally) is None
    compared = tally.verdicts[Verdict.ALLOWED] + tally.verdicts[Verdict.DENIED]
    assert compared > 10 * CLUSTERS, "most packets can be sent"
    assert tally.verdicts[Verdict.ALLOWED] > compared / 5 and tally.verdicts[Verdict.DENIED] > compared / 5
    assert tally.verdicts[Verdict.UNKNOWN] < compared / 100
    assert tally.answers[Verdict.DENIED] > 0
    for stage in (Stage.UNTRACKED, Stage.PRE_DNAT, Stage.FORWARD, Stage.NORMAL):
        for says in (Says.ALLOW, Says.DENY, Says.NOTHING) if stage is not Stage.NORMAL else (Says.ALLOW, Says.DENY):
            assert tally.reasons[stage.name, says.name, "ByRule"] > 0, f"no rule decides so: {stage}, {says}"
