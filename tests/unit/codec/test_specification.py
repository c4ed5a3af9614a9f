"""The command line's grammar: names, abbreviations, joined arguments, implied matches."""

from __future__ import annotations

import pytest

from tortie.codec.rule import format_rule
from tortie.codec.specification import read_line, read_specification
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput

V4 = IPFamily.V4

READ = {
    "--proto tcp --dport=80": "-p tcp -m tcp --dport 80",
    "-p tcp --destination-p 80": "-p tcp -m tcp --dport 80",
    "-p 6 --dpo 80": "-p tcp -m tcp --dport 80",
    "-p UDP --sport :5": "-p udp -m udp --sport 0:5",
    "-p tcp -m comment --comment c --dport 5": "-p tcp -m comment --comment c -m tcp --dport 5",
    "-p tcp -m tcp --dport 5 -m tcp --sport 6": "-p tcp -m tcp --dport 5 -m tcp --sport 6",
    "-m mark --mark 1 -m mark --mar 2": "-m mark --mark 0x1 -m mark --mark 0x2",
    "-j MARK -m mark --mark 5 --set-mark 6": "-m mark --mark 0x5 -j MARK --set-xmark 0x6/0xffffffff",
    "-j LOG -m comment --comment --log-uid": "-m comment --comment --log-uid -j LOG",
    "! --src 10.0.0.1 ! --fragment": "! -s 10.0.0.1/32 ! -f",
    "-v -w 5 -w -j ACCEPT --": "-j ACCEPT",
    "-mmark --mark=5": "-m mark --mark 0x5",
    "-p icmp --icmp-type ping": "-p icmp -m icmp --icmp-type 8",
}


@pytest.mark.parametrize(("text", "printed"), READ.items(), ids=READ.keys())
def test_what_getopt_reads_is_read(text: str, printed: str) -> None:
    (rule,) = read_specification(text.split(" "), V4).rules
    assert format_rule(rule, V4) == printed


REFUSED = [
    "--dport 80", "--dport 80 -p tcp", "-p tcp --s 80", "-p tcp --dport", "-p tcp --dport 1 --dport 2", "-m nosuch",
    "-j ACCEPT -j DROP", "-j DROP -g x", "-s 1.1.1.1 -s 2.2.2.2", "! ! -s 1.1.1.1", "-s 1.1.1.1 !", "! -j DROP",
    "! -m mark", "-s ! 1.1.1.1", "foo", "-", "-ptcp", "--proto=tcp", "-jDROP", "-j DROP -x", "-j DROP --nosuch",
    "-p tcp --syn=1", "-m mark -m connmark --mark 5", "-m multiport --dports 80 -p tcp", "! -s 1.1.1.1,2.2.2.2",
    "-p tcp --tcp-flags SYN -j x", "-6", "-t nat", "-A INPUT", "-c 5", "-i ", "-q", "-p any", "! -p all",
    "-m conntrack --ct 1", "-m ipv6-icmp",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_getopt_refuses_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        read_specification(text.split(" "), V4)


TOLD = {
    "-m mark": "mark needs --mark",
    "-j TTL": "TTL needs --ttl-set or --ttl-dec or --ttl-inc",
    "-m addrtype": "addrtype needs an option",
    "-m mark --mark": "--mark needs an argument",
    "-m mark --mark 1 --mark 2": "--mark of mark can only be used once",
    "-m mark --nosuch 1": "unknown option --nosuch",
    "-m nosuch": "unknown match 'nosuch'",
    "-j TTL ! --ttl-set 5": "--ttl-set of TTL cannot be inverted",
    "-j TTL --ttl-set 5 --ttl-inc 2": "--ttl-inc cannot be used together with another option given before",
    "-j TOS --or-tos 256": "not a number from 0 to 255: '256'",
}


@pytest.mark.parametrize(("text", "message"), TOLD.items(), ids=TOLD)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_specification(text.split(" "), V4)
    assert str(caught.value) == message


def test_a_command_may_stand_anywhere_in_its_line() -> None:
    words = ["-j", "DROP", "-t", "mangle", "-I", "FORWARD", "3", "-s", "10.0.0.1"]
    line = read_line(words, V4)
    assert (line.command, line.chain, line.operands, line.table, line.jump) == ("I", "FORWARD", ["3"], "mangle", "DROP")


def test_an_address_list_makes_a_rule_of_every_pair() -> None:
    rules = read_specification(["-s", "1.1.1.1,2.2.2.2", "-d", "3.3.3.3,4.4.4.4/8"], V4).rules
    assert [format_rule(rule, V4) for rule in rules] == [
        "-s 1.1.1.1/32 -d 3.3.3.3/32",
        "-s 1.1.1.1/32 -d 4.0.0.0/8",
        "-s 2.2.2.2/32 -d 3.3.3.3/32",
        "-s 2.2.2.2/32 -d 4.0.0.0/8",
    ]
