from __future__ import annotations

from tortie.cli.exit_code import verdict_exit_code
from tortie.simulator.trace import Verdict


def test_no_verdict_is_without_a_code_and_only_one_is_success() -> None:
    assert [verdict for verdict in Verdict if verdict_exit_code(verdict) == 0] == [Verdict.ACCEPT]
