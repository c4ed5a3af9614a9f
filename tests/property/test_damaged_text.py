"""Whatever is done to what the tools print, reading it gives a value or `InvalidInput`, never another error."""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies.damage import damaged
from tests.unit.codec import test_conntrack, test_ipset, test_ipvs, test_nft_chain, test_node, test_snapshot, test_tracelog
from tortie.cli.snapshot_file import load_snapshot
from tortie.codec.conntrack import parse_conntrack
from tortie.codec.ipset import format_ipset_save, parse_ipsets
from tortie.codec.ipvs import parse_ipvs
from tortie.codec.nft_chain import parse_foreign_chains
from tortie.codec.node import parse_links, parse_neighbours, parse_nexthops, parse_policy_rules, parse_routes
from tortie.codec.snapshot import parse_snapshot
from tortie.codec.sysctl import parse_sysctls
from tortie.codec.tracelog import group_steps, parse_tracelog
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.net.wire import format_packet
from tortie.netfilter.logged import logged_to_packet


def read_sets(text: str) -> None:
    format_ipset_save(parse_ipsets(text))


def read_trace(text: str) -> None:
    for group in group_steps(parse_tracelog(text)):
        for step in group:
            packet = logged_to_packet(step.packet) if step.packet is not None else None
            if packet is not None:
                format_packet(packet)


def of_family(parse: Callable[[str, IPFamily], object]) -> Callable[[str], object]:
    return lambda text: (parse(text, IPFamily.V4), parse(text, IPFamily.V6))


ROUTES = "[" + ",\n".join(text for _, text, _ in test_node.ROUTES.values()) + "]"
RULES = "[" + ",\n".join(text for text, _ in test_node.RULES.values()) + "]"
KERNEL_LOG = "\n".join(f"[1.5] TRACE: raw:OUTPUT:rule:1 IN= OUT=e0 {text}" for text, _ in test_tracelog.PACKETS.values())
NFT_TRACE = test_tracelog.NFT + "".join(
    f"trace id {number} ip raw OUTPUT packet: {text}\ntrace id {number} ip raw OUTPUT policy accept \n"
    for number, (text, _) in enumerate(test_tracelog.NFT_PACKETS.values())
)
READERS: dict[str, tuple[Callable[[str], object], str]] = {
    "ipset save": (read_sets, test_ipset.SAVED),
    "ipset list": (read_sets, test_ipset.LISTED),
    "links": (parse_links, f"[{test_node.LO},{test_node.ETHERNET},{test_node.TUN}]"),
    "link details": (lambda text: parse_links(f"[{test_node.LO}]", text), test_node.DETAILS),
    "routes": (of_family(parse_routes), ROUTES),
    "nexthops": (parse_nexthops, test_node.NEXTHOPS),
    "policy rules": (lambda text: parse_policy_rules(text, IPFamily.V4), RULES),
    "neighbours": (
        parse_neighbours,
        '[{"dst":"fd00::9","dev":"e0","lladdr":"00:11:22:33:44:55","router":null,"state":["STALE"]}]',
    ),
    "sysctls": (parse_sysctls, "net.ipv4.ip_forward = 1\n/proc/sys/net/ipv4/conf/e0.1/rp_filter:2\nnet/a = 5\n"),
    "conntrack": (parse_conntrack, "\n".join(line for line, _ in test_conntrack.LINES.values())),
    "ipvs": (parse_ipvs, test_ipvs.SAVED),
    "nft chains": (parse_foreign_chains, test_nft_chain.LISTED),
    "kernel log": (read_trace, KERNEL_LOG),
    "xtables-monitor": (read_trace, test_tracelog.MONITOR),
    "nft monitor": (read_trace, NFT_TRACE),
}


@pytest.mark.parametrize(("read", "text"), READERS.values(), ids=READERS.keys())
def test_the_text_itself_is_read(read: Callable[[str], object], text: str) -> None:
    read(text)


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_damaged_text(name: str, data: st.DataObject) -> None:
    read, text = READERS[name]
    with contextlib.suppress(InvalidInput):
        read(data.draw(damaged(text)))


@pytest.mark.parametrize("name", ["links", "routes", "policy rules", "nexthops"])
@given(data=st.data())
def test_any_json(name: str, data: st.DataObject) -> None:
    """Values of the wrong kind in the right places."""
    read, text = READERS[name]
    entries = json.loads(text)
    entry = data.draw(st.sampled_from(entries))
    key = data.draw(st.sampled_from(sorted(entry)))
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    entry[key] = data.draw(
        st.recursive(
            leaves,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(entry)), inner, max_size=3),
            max_leaves=5,
        )
    )
    with contextlib.suppress(InvalidInput):
        read(json.dumps(entries))


@given(data=st.data())
def test_a_damaged_snapshot(data: st.DataObject) -> None:
    files = dict(test_snapshot.FILES)
    name = data.draw(st.sampled_from(sorted(files)))
    files[name] = data.draw(damaged(files[name].decode())).encode(errors="surrogatepass") + data.draw(st.binary(max_size=2))
    with contextlib.suppress(InvalidInput):
        parse_snapshot(files, "node")


def _archive() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as made:
        for name, text in test_snapshot.FILES.items():
            member = tarfile.TarInfo(f"node-é/{name}")
            member.size = len(text)
            made.addfile(member, io.BytesIO(text))
    return out.getvalue()


ARCHIVE = _archive()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archive") / "node.tar"


@given(data=st.data())
def test_a_damaged_archive(path: Path, data: st.DataObject) -> None:
    raw = bytearray(ARCHIVE)
    for _ in range(data.draw(st.integers(1, 6))):
        # Headers hold what can mislead; they stand at multiples of 512.
        place = data.draw(st.integers(0, len(raw) // 512 - 1)) * 512 + data.draw(st.integers(0, 511))
        raw[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        for header in range(0, len(raw), 512):  # make checksums right again, so that damage gets further
            block = raw[header : header + 148] + b" " * 8 + raw[header + 156 : header + 512]
            if raw[header + 257 : header + 262] == b"ustar":
                raw[header + 148 : header + 156] = b"%06o\0 " % sum(block)
    path.write_bytes(bytes(raw[: data.draw(st.integers(0, len(raw)))]) if data.draw(st.booleans()) else bytes(raw))
    with contextlib.suppress(InvalidInput):
        load_snapshot(str(path))
