"""Where matches and targets may stand, by table, hook and protocol."""

from __future__ import annotations

import pytest

from tortie.codec.placement import check_rule, check_table
from tortie.codec.rule import parse_rule
from tortie.codec.save import parse_save
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import BUILTIN_CHAINS, Backend, TableName
from tortie.netfilter.rule import Chain, Table

V4 = IPFamily.V4
_LETTERS = {"PREROUTING": "P", "INPUT": "I", "FORWARD": "F", "OUTPUT": "O", "POSTROUTING": "Q"}

ALLOWED = {
    "-m mac --mac-source 00:11:22:33:44:55": "raw:P mangle:PIF nat:PI filter:IF security:IF",
    "-m addrtype --src-type LOCAL --limit-iface-out": "raw:O mangle:FOQ nat:OQ filter:FO security:FO",
    "-m addrtype --src-type LOCAL": "raw:PO mangle:PIFOQ nat:PIOQ filter:IFO security:IFO",
    "-m rpfilter": "raw:P mangle:P",
    "-m physdev --physdev-out e0": "raw:P mangle:PIFQ nat:PIQ filter:IF security:IF",
    "-m physdev --physdev-out e0 --physdev-is-bridged": "raw:PO mangle:PIFOQ nat:PIOQ filter:IFO security:IFO",
    "-m policy --dir out --pol none": "raw:O mangle:FOQ nat:OQ filter:FO security:FO",
    "-m owner --uid-owner 1": "raw:O mangle:OQ nat:OQ filter:O security:O",
    "-m socket": "raw:P mangle:PI nat:PI filter:I security:I",
    "-m cgroup --cgroup 1": "raw:O mangle:IOQ nat:IOQ filter:IO security:IO",
    "-m realm --realm 5": "raw:O mangle:IFOQ nat:IOQ filter:IFO security:IFO",
    "-j DROP": "raw:PO mangle:PIFOQ filter:IFO security:IFO",
    "-j REJECT": "filter:IFO",
    "-j CT": "raw:PO",
    "-j DSCP --set-dscp 0x01": "mangle:PIFOQ",
    "-j CLASSIFY --set-class 0001:0001": "raw:O mangle:FOQ nat:OQ filter:FO security:FO",
    "-p tcp -j TPROXY --on-port 5": "mangle:P",
    "-p tcp -j SYNPROXY": "mangle:IF nat:I filter:IF security:IF",
    "-p tcp --syn -j TCPMSS --clamp-mss-to-pmtu": "raw:O mangle:FOQ nat:OQ filter:FO security:FO",
    "-j MASQUERADE": "nat:Q",
    "-j REDIRECT": "nat:PO",
    "-j SNAT --to-source 1.2.3.4": "nat:IQ",
    "-j DNAT --to-destination 1.2.3.4": "nat:PO",
    "-j NETMAP --to 10.0.0.0/8": "nat:PIOQ",
    "-j TRACE": "raw:PO",
    "-j CONNSECMARK --save": "mangle:PIFOQ security:IFO",
    "-j SET --map-set s src --map-prio": "mangle:FOQ",
}


@pytest.mark.parametrize(("text", "places"), ALLOWED.items(), ids=ALLOWED.keys())
def test_a_rule_may_stand_where_the_tools_take_it(text: str, places: str) -> None:
    rule = parse_rule(text, V4)
    found: dict[TableName, str] = {}
    for table, hooks in BUILTIN_CHAINS.items():
        for hook in hooks:
            try:
                check_rule(rule, table, V4, Backend.LEGACY)
                chain = Chain(hook.value, (rule,), "ACCEPT")
                check_table(Table(table, {hook.value: chain}), V4, Backend.LEGACY)
            except InvalidInput:
                continue
            found[table] = found.get(table, "") + _LETTERS[hook.value]
    assert " ".join(f"{table.value}:{letters}" for table, letters in found.items()) == places


PROTOCOLS = {
    "-p udp -m tcp --dport 80": False,
    "! -p tcp -m tcp --dport 80": False,
    "-p udplite -m multiport --dports 80": True,
    "-p icmp -m multiport --dports 80": False,
    "-p icmp -j DNAT --to-destination :80": True,
    "! -p tcp -j DNAT --to-destination :80": True,
    "-p udplite -j DNAT --to-destination :80": False,
    "-p udp -j CT --helper tftp": True,
    "-p udp -j CT --helper ftp": False,
    "-p tcp -j TCPMSS --set-mss 5": False,
    "-p tcp -m tcp --tcp-flags SYN SYN -j TCPMSS --set-mss 5": True,
}


@pytest.mark.parametrize(("text", "taken"), PROTOCOLS.items(), ids=PROTOCOLS.keys())
def test_a_rule_needs_the_protocol_of_its_parts(text: str, taken: bool) -> None:
    rule = parse_rule(text, V4)
    table = TableName.NAT if "DNAT" in text else TableName.RAW
    if taken:
        check_rule(rule, table, V4, Backend.LEGACY)
    else:
        with pytest.raises(InvalidInput):
            check_rule(rule, table, V4, Backend.LEGACY)


BACKENDS = [
    ("! -p tcp -m tcp --dport 80", Backend.NFT, True),
    ("-p tcp -j TCPMSS --set-mss 5", Backend.NFT, True),
    ("-j TRACE", Backend.NFT, True),
    ("-j QUEUE", Backend.NFT, False),
    ("-j QUEUE", Backend.LEGACY, True),
    ("! -s 0.0.0.0/0", Backend.NFT, False),
    ("! -s 0.0.0.0/0", Backend.LEGACY, True),
    ("-m limit --limit 1/day", Backend.LEGACY, False),
    ("-m limit --limit 1/day", Backend.NFT, True),
]


@pytest.mark.parametrize(
    ("text", "backend", "taken"), BACKENDS, ids=[f"{text} {backend.value}" for text, backend, _ in BACKENDS]
)
def test_the_back_ends_differ(text: str, backend: Backend, taken: bool) -> None:
    rule = parse_rule(text, V4)
    if taken:
        check_rule(rule, TableName.FILTER, V4, backend)
    else:
        with pytest.raises(InvalidInput):
            check_rule(rule, TableName.FILTER, V4, backend)


GRAPHS = {
    ":x -\n-A x -j MASQUERADE": None,
    ":x -\n-A x -j MASQUERADE\n-A POSTROUTING -j x": None,
    ":x -\n-A x -j MASQUERADE\n-A PREROUTING -j x": "PREROUTING",
    ":x -\n:y -\n-A x -g y\n-A y -j MASQUERADE\n-A POSTROUTING -j x\n-A OUTPUT -p tcp -j x": "OUTPUT",
    ":x -\n:y -\n-A x -j y\n-A y -j x": None,
    ":x -\n:y -\n-A x -j y\n-A y -j x\n-A OUTPUT -j y": "loop",
    ":x -\n-A x -j x\n-A OUTPUT -j x": "loop",
    ":a -\n:b -\n:c -\n-A OUTPUT -j a\n-A a -j b\n-A a -j c\n-A b -j c": None,
    "-A OUTPUT -j INPUT": "built-in",
}


@pytest.mark.parametrize(("rules", "words"), GRAPHS.items(), ids=[text.replace("\n", " ") for text in GRAPHS])
def test_user_chains_count_for_every_hook_that_reaches_them(rules: str, words: str | None) -> None:
    table = parse_save(f"*nat\n{rules}\nCOMMIT\n", V4).ruleset.tables[TableName.NAT]
    if words is None:
        check_table(table, V4, Backend.LEGACY)
    else:
        with pytest.raises(InvalidInput, match=words):
            check_table(table, V4, Backend.LEGACY)
