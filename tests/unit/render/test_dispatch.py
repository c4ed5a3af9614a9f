"""How interfaces are split, and what becomes of marks (spec: rules 5); whole chains are in tests/golden/render."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tortie.render import dispatch
from tortie.render.config import RenderConfig
from tortie.render.dispatch import mark_dispatch_chains, split_names, workload_dispatch_chains
from tortie.render.marks import allocate_endpoint_marks
from tortie.render.state import NodeState, RenderContext, render_context

CONTEXT = render_context(RenderConfig(), NodeState(ipvs=True))
EXACT = replace(CONTEXT, config=RenderConfig(felix_exact=True))
Bins = list[tuple[str, str, tuple[str, ...]]]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], []),
        (["cali1"], [("cali1", "", ("cali1",))]),
        (["cali1", "cali1"], [("cali1", "", ("cali1",))]),
        (["cali2", "cali1"], [("cali1", "1", ("cali1",)), ("cali2", "2", ("cali2",))]),
        (
            ["cali21", "cali11", "cali13", "cali22", "cali12"],
            [("cali1", "1", ("cali11", "cali12", "cali13")), ("cali2", "2", ("cali21", "cali22"))],
        ),
        (["eth0", "eth0.1", "eth0.2"], [("eth0", "", ("eth0",)), ("eth0.", ".", ("eth0.1", "eth0.2"))]),
        (["a", "b"], [("a", "a", ("a",)), ("b", "b", ("b",))]),
    ],
    ids=["none", "one", "one twice", "two", "two bins", "one is the prefix of all", "nothing in common"],
)
def test_split(names: list[str], expected: Bins) -> None:
    assert [bin_ for bin_ in split_names(names).bins if len(bin_[2]) > 1] == [one for one in expected if len(one[2]) > 1]
    assert [bin_[2] for bin_ in split_names(names).bins] == [one[2] for one in expected]


def test_names_are_split_by_bytes_even_inside_a_letter() -> None:
    names = ["caliä1", "caliä2", "caliö1"]
    (first, second) = split_names(names).bins
    assert first[0].encode("utf-8", "surrogateescape") == "caliä".encode()
    assert (first[2], second[2]) == (("caliä1", "caliä2"), ("caliö1",))


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(ValueError, match="without a name"):
        split_names(["cali1", ""])


def words(chains: dispatch.Chains, chain: str) -> list[str]:
    return [rule.words for rule in chains[chain]]


def test_children_and_root_end_with_the_drop_because_nobody_comes_back() -> None:
    chains = workload_dispatch_chains(["cali11", "cali12", "cali2"])
    drop = '-m comment --comment "Unknown interface" --jump DROP'
    assert words(chains, "cali-from-wl-dispatch") == [
        "--in-interface cali1+ --goto cali-from-wl-dispatch-1",
        "--in-interface cali2 --goto cali-fw-cali2",
        drop,
    ]
    assert words(chains, "cali-from-wl-dispatch-1") == [
        "--in-interface cali11 --goto cali-fw-cali11",
        "--in-interface cali12 --goto cali-fw-cali12",
        drop,
    ]
    assert list(chains) == [
        "cali-from-wl-dispatch-1",
        "cali-from-wl-dispatch",
        "cali-to-wl-dispatch-1",
        "cali-to-wl-dispatch",
    ]


def marked(workloads: list[str], hosts: list[str], context: RenderContext) -> dispatch.Chains:
    marks = allocate_endpoint_marks(context.bits.endpoint, [*workloads, *hosts])
    return mark_dispatch_chains(workloads, hosts, marks, context)


WORKLOADS, HOSTS = ["cali11", "cali12"], ["eth11", "eth12", "eth2"]
OF_WORKLOADS = ["--in-interface calie1 --goto cali-sm-calie1", "--in-interface calie2 --goto cali-sm-calie2"]


def test_workloads_and_hosts_that_want_a_child_of_one_name_share_it() -> None:
    """The packet that tells: from calie1, which Felix sends to the hosts' child, where no rule knows it."""
    workloads, hosts = ["calib", "calie1", "calie2"], ["bond0", "eth0", "eth1"]
    child = "cali-set-endpoint-mark-e"
    of_hosts = ["--in-interface eth0 --goto cali-sm-eth0", "--in-interface eth1 --goto cali-sm-eth1"]
    assert words(marked(workloads, hosts, CONTEXT), child) == [*OF_WORKLOADS, *of_hosts]
    assert words(marked(workloads, hosts, EXACT), child) == of_hosts
    root = words(marked(workloads, hosts, CONTEXT), "cali-set-endpoint-mark")
    assert root == words(marked(workloads, hosts, EXACT), "cali-set-endpoint-mark")
    assert root[1] == f"--in-interface calie+ --goto {child}"
    assert root[3] == f"--in-interface e+ --goto {child}"


def test_without_such_a_clash_nothing_differs_from_felix() -> None:
    assert marked(WORKLOADS, HOSTS, CONTEXT) == marked(WORKLOADS, HOSTS, EXACT)


def test_an_endpoint_without_a_mark_is_not_dispatched_back() -> None:
    chains = mark_dispatch_chains(["cali1", "cali2"], [], {"cali2": 0x200000}, CONTEXT)
    assert words(chains, "cali-from-endpoint-mark") == [
        "-m mark --mark 0x200000/0xfff00000 --goto cali-fw-cali2",
        '-m comment --comment "Unknown interface" --jump DROP',
    ]


def test_every_workload_prefix_has_its_drop_of_unknown_endpoints() -> None:
    two = replace(CONTEXT, config=RenderConfig(interface_prefixes=("cali", "tap")))
    assert words(marked([], [], two), "cali-set-endpoint-mark") == [
        '-m comment --comment "Unknown endpoint" --in-interface cali+ --jump DROP',
        '-m comment --comment "Unknown endpoint" --in-interface tap+ --jump DROP',
        '-m comment --comment "Non-Cali endpoint mark" --jump MARK --set-mark 0x100000/0xfff00000',
    ]
