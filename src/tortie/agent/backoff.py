"""How long to wait: after refusals, between checks of what was written, and while another program fights back.

All in seconds of a clock that cannot be set, so that a jump of the wall clock changes nothing.
"""

from __future__ import annotations

BATCH_S = 0.02
"""What comes within this time of a first change is programmed with it."""
PAUSE_S = 0.1
"""Between two passes while changes keep coming (spec: model 7.8)."""
REPAIR_S = 0.1
"""From damage that was told to looking at it: a program's burst of changes is looked at once."""
CALM_S = 60.0
"""Without a repair for so long, earlier ones are forgotten."""
REPAIRS_AT_ONCE = 5
"""Repairs in a row that are made at once; from then on another program is taken to fight back."""
GRACE_S = 10.0
"""How long the routes of a new interface are let alone (spec: model 7.1)."""
LINKS_S = 10.0
"""Between two full lists of interfaces (spec: model 7.3)."""
FIRST_LINKS_S = 1.0
"""To the second list: what changed between the first and the moment when the kernel began to tell is in it."""
NEVER_S = 3600.0
"""Rechecks end when they would come this late (spec: rules 10.6)."""
_FIRST_RETRY_S = 0.5
_LAST_RETRY_S = 30.0


def retry_delay(failures: int) -> float:
    """Before the next try, after so many in a row that failed."""
    return min(_FIRST_RETRY_S * 2.0 ** min(failures - 1, 20), _LAST_RETRY_S)


def repair_delay(repairs: int, refresh_s: float) -> float:
    """Before damage is looked at: at once, but ever later, at most an interval of refresh, while somebody fights back."""
    if repairs < REPAIRS_AT_ONCE:
        return REPAIR_S
    longest = refresh_s if refresh_s > 0 else CALM_S
    return min(2.0 ** min(repairs - REPAIRS_AT_ONCE, 20), longest)


def next_recheck(recheck_s: float) -> float | None:
    """The time to the check after one that came so late, None when there is none."""
    doubled = recheck_s * 2
    return doubled if 0 < doubled < NEVER_S else None
