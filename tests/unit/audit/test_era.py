"""Which Felix made a chain: by its name, its hashes, and the tunnel rules that came with 3.7.4."""

from __future__ import annotations

import pytest

from tests.audited_node import FOREIGN, V4
from tests.golden.render.test_vectors import ENDPOINTS
from tortie.audit.era import Era, era_of
from tortie.audit.judgement import judge_chain
from tortie.netfilter.rule import Chain
from tortie.render.hash import numbered_chain
from tortie.render.text import FelixRule

NAME, GIVEN = next((name.partition(":")[0], rules) for name, rules in ENDPOINTS.items() if name.startswith("cali-fw"))
OLDER = [one for one in GIVEN if "originating in pods" not in one.words]


def made(name: str, rules: list[FelixRule]) -> Chain:
    return numbered_chain(name, rules)


CHAINS: dict[str, tuple[Chain, Era]] = {
    "Felix 1": (Chain("felix-FORWARD", (FOREIGN,)), Era.FELIX_1),
    "old names": (Chain("califw-1", (FOREIGN,)), Era.OLD_NAMES),
    "no hashes": (Chain("cali-INPUT", (FOREIGN,)), Era.NO_HASHES),
    "empty": (Chain("cali-po-x"), Era.EMPTY),
    "from a workload, with drops of tunnel packets": (made(NAME, GIVEN), Era.SINCE_3_7_4),
    "from a workload, without": (made(NAME, OLDER), Era.BEFORE_3_7_4),
    "from a workload that is down": (made(NAME, GIVEN[-1:]), Era.WORDS_OF_3_7),
    "any other": (made("cali-pi-x", OLDER), Era.WORDS_OF_3_7),
    "edited": (Chain("cali-pi-x", made("cali-pi-x", OLDER).rules[1:]), Era.NOT_KNOWN),
}


@pytest.mark.parametrize(("chain", "era"), CHAINS.values(), ids=CHAINS)
def test_era(chain: Chain, era: Era) -> None:
    assert era_of(chain, judge_chain(chain.name, chain.rules, V4)) is era


def test_rules_without_hashes_beside_others_that_have_them_are_foreign() -> None:
    chain = Chain("cali-INPUT", (FOREIGN,))
    assert era_of(chain, judge_chain(chain.name, chain.rules, V4), hashes_beside=True) is Era.NOT_KNOWN
