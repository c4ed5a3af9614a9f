"""Sets of every type the kernel accepts: what ipset prints is read, printed the same, and accepted again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.kernel.oracle.namespace import Namespace, ToolFailed
from tortie.codec.ipset import format_ipset_save, parse_ipsets
from tortie.codec.ipset_element import ICMP_NAMES, ICMPV6_NAMES
from tortie.netfilter.ipset import SET_DIMENSIONS, IPSet

EVERYTHING = "timeout 1000 counters comment skbinfo"
EXTENSIONS = 'timeout 900 packets 1 bytes 2 comment "x y" skbmark 0x1/0xf skbprio a:1f skbqueue 3'
SETS: dict[str, list[str]] = {
    "bitmap:ip": ["create s bitmap:ip range 10.0.0.0/24", "add s 10.0.0.1", "add s 10.0.0.4-10.0.0.7"],
    "bitmap:ip,mac": ["create s bitmap:ip,mac range 10.0.0.0/24", "add s 10.0.0.1", "add s 10.0.0.2,00:11:22:aa:bb:cc"],
    "bitmap:port": ["create s bitmap:port range 0-100", "add s 80", "add s udp:90-92"],
    "hash:ip": [f"create s hash:ip netmask 24 {EVERYTHING}", f"add s 10.1.2.3 {EXTENSIONS}", "add s 10.0.0.1 timeout 0"],
    "hash:mac": ["create s hash:mac", "add s 00:11:22:aa:bb:cc"],
    "hash:ip,mac": ["create s hash:ip,mac", "add s 10.0.0.1,00:11:22:aa:bb:cc"],
    "hash:ip,mark": ["create s hash:ip,mark markmask 0xff", "add s 10.0.0.1,0x5"],
    "hash:net": [
        f"create s hash:net family inet6 {EVERYTHING}", f"add s fd00::/16 nomatch {EXTENSIONS}", "add s ::1", "add s ::/1",
    ],
    "hash:net,net": ["create s hash:net,net", "add s 10.0.0.0/8,1.1.1.1"],
    "hash:ip,port": ["create s hash:ip,port", "add s 10.0.0.1,80-82", "add s 10.0.0.1,89:0", "add s 10.0.0.1,253:0"],
    "hash:net,port": ["create s hash:net,port counters", "add s 10.0.0.0/30,sctp:9 nomatch", "add s 10.0.0.0-10.0.0.9,5"],
    "hash:ip,port,ip": ["create s hash:ip,port,ip family inet6", "add s ::1,icmpv6:echo-request,::ffff:1.2.3.4"],
    "hash:ip,port,net": ["create s hash:ip,port,net", "add s 10.0.0.1,udplite:1,1.0.0.0/8 nomatch"],
    "hash:net,port,net": ["create s hash:net,port,net", "add s 10.0.0.0/8,1,1.0.0.0/8"],
    "hash:net,iface": [
        f"create s hash:net,iface {EVERYTHING}", f"add s 10.0.0.0/8,e nomatch wildcard {EXTENSIONS}", "add s 0.0.0.0/0,e+",
        "add s 10.0.0.0/8,physdev:br-1",
    ],
    "list:set": [f"create m hash:ip\ncreate s list:set size 4 {EVERYTHING}", f"add s m {EXTENSIONS}"],
}  # fmt: skip
PEOPLES = ("bitmap:ip", "bitmap:port", "hash:ip", "hash:ip,port", "hash:net,port")
"""Types above whose members are written as only people write them."""


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    made = Namespace()
    yield made
    made.close()


def restore(namespace: Namespace, text: str) -> None:
    try:
        namespace.run(["ipset", "restore"], text)
    except ToolFailed as failure:
        if "set type not supported" in str(failure):
            pytest.skip(f"the kernel lacks the set type ({failure})")
        raise


def by_element(one: IPSet) -> IPSet:
    """The set in an order that does not depend on the kernel's hash, times told apart by some tens of seconds."""
    entries = [
        entry if entry.timeout_s is None else replace(entry, timeout_s=(entry.timeout_s + 50) // 100)
        for entry in one.entries
    ]
    return replace(one, entries=tuple(sorted(entries, key=repr)), revision=None, references=None)


def test_all_set_types_are_here() -> None:
    assert SETS.keys() == SET_DIMENSIONS.keys()


@pytest.mark.parametrize("lines", SETS.values(), ids=SETS.keys())
def test_every_set_type(namespace: Namespace, lines: list[str]) -> None:
    restore(namespace, "\n".join(lines) + "\n")
    saved = namespace.run(["ipset", "save"])
    sets = parse_ipsets(saved)
    assert format_ipset_save(sets) == saved
    assert all(one.complete and one.entries for name, one in sets.items() if name == "s")
    listed = parse_ipsets(namespace.run(["ipset", "list"]))
    assert {name: by_element(one) for name, one in listed.items()} == {n: by_element(one) for n, one in sets.items()}
    second = Namespace()
    try:
        restore(second, format_ipset_save(sets))
        again = parse_ipsets(second.run(["ipset", "save"]))
    finally:
        second.close()
    assert {name: by_element(one) for name, one in again.items()} == {n: by_element(one) for n, one in sets.items()}


@pytest.mark.parametrize("lines", [SETS[kind] for kind in PEOPLES], ids=PEOPLES)
def test_what_people_write_becomes_what_the_kernel_holds(namespace: Namespace, lines: list[str]) -> None:
    restore(namespace, "\n".join(lines) + "\n")
    held = parse_ipsets(namespace.run(["ipset", "save"]))["s"]
    written = parse_ipsets("\n".join(lines) + "\n")["s"]
    ours, theirs = (
        {replace(entry, packets=None, bytes=None, timeout_s=None) for entry in one.entries} for one in (written, held)
    )
    assert ours == theirs


def test_every_icmp_type_and_code(namespace: Namespace) -> None:
    numbers = [(kind, code) for kind in range(256) for code in range(17)]
    lines = ["create four hash:ip,port", "create six hash:ip,port family inet6"]
    lines += [f"add four 1.1.1.1,icmp:{kind}/{code}" for kind, code in numbers]
    lines += [f"add six ::1,icmpv6:{kind}/{code}" for kind, code in numbers]
    restore(namespace, "\n".join(lines) + "\n")
    saved = namespace.run(["ipset", "save"])
    assert format_ipset_save(parse_ipsets(saved)) == saved
    names = {word.rpartition(":")[2] for word in saved.split() if "icmp:" in word and "/" not in word}
    assert names == {*ICMP_NAMES.values(), *ICMPV6_NAMES.values()}


def test_every_protocol(namespace: Namespace) -> None:
    numbers = [number for number in range(1, 255) if number not in (1, 58)]
    lines = ["create s hash:ip,port", *[f"add s 1.1.1.1,{number}:0" for number in numbers]]
    restore(namespace, "\n".join(lines) + "\n")
    saved = namespace.run(["ipset", "save"])
    sets = parse_ipsets(saved)
    assert format_ipset_save(sets) == saved
    assert len(sets["s"].entries) == len(numbers)


def test_a_terse_listing(namespace: Namespace) -> None:
    restore(namespace, "create s hash:ip\nadd s 1.1.1.1\n")
    assert not parse_ipsets(namespace.run(["ipset", "list", "-t"]))["s"].complete
