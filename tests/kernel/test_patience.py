"""What the kernel's limit on ICMP errors excuses."""

from __future__ import annotations

import pytest

from tests.kernel.patience import BURST, Patience

SENDER, OTHER = 0x0A000005, 0x0A000006


def patience(refusals: list[float], now: float, *, redirected: bool = False) -> Patience:
    """One that has seen packets of `SENDER` refused at these times."""
    times = [*refusals, now]
    made = Patience(lambda: times[0])
    for _ in refusals:
        made.note_refusal(SENDER)
        times.pop(0)
    if redirected:
        made.note_redirect(SENDER)
    return made


@pytest.mark.parametrize(
    ("refusals", "now", "redirected", "spent"),
    [
        pytest.param([0.0] * (BURST - 1), 0.1, False, False, id="a bucket holds five tokens"),
        pytest.param([0.0] * BURST, 0.1, False, True, id="and then the next error may be missing"),
        pytest.param([0.0] * BURST, 90.0, False, False, id="until the bucket is surely full again"),
        pytest.param([], 0.0, True, True, id="a redirect empties it"),
        pytest.param([], 1000.0, True, True, id="for as long as the node is there"),
    ],
)
def test_a_missing_error_is_excused(refusals: list[float], now: float, redirected: bool, spent: bool) -> None:
    found = patience(refusals, now, redirected=redirected)
    assert found.spent(SENDER) is spent
    assert not found.spent(OTHER)
