"""One hook in each kernel chain, first or last as configured, and nothing else of ours."""

from __future__ import annotations

import pytest

from tests.audited_node import FILTER, FOREIGN, NAT, RAW, RULES, changed, rule, told
from tortie.audit.finding import Place
from tortie.audit.hook import audit_shared_chain
from tortie.netfilter.rule import Chain, Rule, Ruleset

HOOK = RULES.tables[FILTER].chains["FORWARD"].rules[0]
FENCE = rule('-m comment --comment "cali:closed-while-changing" -j DROP')
OLD_MASQUERADE = rule(
    "-o tunl0 -m addrtype ! --src-type LOCAL --limit-iface-out -m addrtype --src-type LOCAL -j MASQUERADE"
)
EDITED = rule('-p tcp -m comment --comment "cali:wUHhoiAYhphO9Mso" -j cali-FORWARD')

CASES: dict[str, tuple[Ruleset, list[str]]] = {
    "gone": (
        changed(FILTER, "FORWARD", lambda rules: ()),
        [
            "warning unreached: IPv4 filter cali-FORWARD (nft): no rule leads to this chain",
            "error hook: IPv4 filter FORWARD (nft): no rule jumps to cali-FORWARD: it sees no packet",
        ],
    ),
    "behind others": (
        changed(FILTER, "FORWARD", lambda rules: (FOREIGN, *rules, FOREIGN)),
        ["error hook: IPv4 filter FORWARD rule 2 (nft): the hook is neither the first rule nor the last"],
    ),
    "at the end": (
        changed(FILTER, "FORWARD", lambda rules: (FOREIGN, *rules)),
        ["warning hook: IPv4 filter FORWARD rule 2 (nft): the hook stands behind foreign rules, which is right only with"],
    ),
    "twice": (
        changed(FILTER, "FORWARD", lambda rules: (*rules, *rules)),
        ["warning hook: IPv4 filter FORWARD rule 2 (nft): the hook stands here a second time"],
    ),
    "edited": (
        changed(FILTER, "FORWARD", lambda _: (EDITED,)),
        ["error hook: IPv4 filter FORWARD rule 1 (nft): not a hook of Felix 3.7: -p tcp -m comment"],
    ),
    "in another chain": (
        changed(FILTER, "INPUT", lambda rules: (*rules, HOOK)),
        ["error hook: IPv4 filter INPUT rule 2 (nft): not a hook of Felix 3.7: -m comment"],
    ),
    "in a foreign chain": (
        changed(FILTER, "DOCKER", lambda _: (rule("-j cali-FORWARD"),)),
        ["error hook: IPv4 filter DOCKER rule 1 (nft): not a hook of Felix 3.7: -j cali-FORWARD"],
    ),
    "a fence": (
        changed(RAW, "PREROUTING", lambda rules: (*rules, FENCE)),
        ["error hook: IPv4 raw PREROUTING rule 2 (nft): closes the chain while it changes; an interrupted write left it"],
    ),
    "an old rule for tunnels": (
        changed(NAT, "POSTROUTING", lambda rules: (*rules, OLD_MASQUERADE)),
        ["warning old-version: IPv4 nat POSTROUTING rule 2 (nft): a rule that an older Felix left: -o tunl0"],
    ),
    "foreign rules behind it": (changed(FILTER, "FORWARD", lambda rules: (*rules, FOREIGN)), []),
}


@pytest.mark.parametrize(("ruleset", "expected"), CASES.values(), ids=CASES)
def test_hooks(ruleset: Ruleset, expected: list[str]) -> None:
    found = told(ruleset)
    assert len(found) == len(expected), found
    assert all(one.startswith(start) for one, start in zip(found, expected, strict=True)), found


ORDERS: dict[str, tuple[bool, tuple[Rule, ...], list[str]]] = {
    "inserted, first": (False, (HOOK, FOREIGN), []),
    "inserted, last": (False, (FOREIGN, HOOK), ["the hook is not the first rule"]),
    "appended, last": (True, (FOREIGN, HOOK), []),
    "appended, first": (True, (HOOK, FOREIGN), ["the hook is not the last rule"]),
    "appended, alone": (True, (HOOK,), []),
}


@pytest.mark.parametrize(("append", "rules", "expected"), ORDERS.values(), ids=ORDERS)
def test_where_the_mode_is_known_there_is_one_right_place(
    append: bool, rules: tuple[Rule, ...], expected: list[str]
) -> None:
    place = Place(RULES.family, RULES.backend, FILTER, "FORWARD")
    found = audit_shared_chain(Chain("FORWARD", rules), place, append_hooks=append)
    assert [finding.text for finding in found] == expected
