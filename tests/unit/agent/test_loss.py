"""What is missing when something is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenario.test_fault import BROKEN_POLICY
from tortie.agent.loss import refusal_loss
from tortie.model.closing import LostAnything, LostMember, LostPolicy, LostProfile
from tortie.model.event import Refused
from tortie.model.read import Key
from tortie.net.error import InvalidInput

POLICY = Key("NetworkPolicy", "prod", "p")


@pytest.mark.parametrize(
    ("key", "data", "superfluous", "loss"),
    [
        (POLICY, BROKEN_POLICY, False, LostPolicy),
        (POLICY, None, False, LostAnything),
        (POLICY, "{broken", False, LostAnything),
        (Key("Profile", "", "kns.a"), None, False, LostProfile),
        (Key("WorkloadEndpoint", "prod", "w"), None, False, LostMember),
        (Key("IPPool", "", "p"), None, False, None),
        (None, None, False, LostAnything),
        (None, "kind: NetworkPolicy\n\t", False, LostAnything),
        (None, "shopping: [milk", False, None),
        (None, None, True, None),
    ],
    ids=[
        "a policy of which there is data", "a policy of which there is none", "a policy that is no data", "a profile",
        "a workload", "a pool", "nothing is known", "a text with our words", "a text without", "a second definition",
    ],
)  # fmt: skip
def test_losses(key: Key | None, data: Any, superfluous: bool, loss: type[Any] | None) -> None:
    found = refusal_loss(Refused("place", InvalidInput("bad"), key, data, superfluous))
    assert (None if found is None else type(found)) is loss
