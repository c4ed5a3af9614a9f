"""The files of BIRD 1.6, whole (spec: model 9.4 to 9.7)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.bgp.test_bird2 import SPEAKER
from tortie.bgp.bird1 import MAIN_FILES, bird1_files, log_lines
from tortie.bgp.route_filter import TunnelWord
from tortie.bgp.speaker import LogLevel
from tortie.net.address import IPFamily, parse_address

BIRD_CFG = """include "bird_aggr.cfg";
include "bird_ipam.cfg";
router id 10.0.0.1;
protocol kernel {
  learn;
  persist;
  scan time 2;
  import all;
  export filter calico_kernel_programming;
  graceful restart;
}
protocol device {
  debug { states };
  scan time 2;
}
protocol direct {
  debug { states };
  interface -"cali*", "*";
}
template bgp bgp_template {
  debug { states };
  description "Connection to BGP peer";
  local as 64512;
  multihop;
  gateway recursive;
  import all;
  export filter calico_export_to_bgp_peers;
  source address 10.0.0.1;
  add paths on;
  graceful restart;
  connect delay time 2;
  connect retry time 5;
  error wait time 5,30;
}
protocol bgp Mesh_10_0_0_2 from bgp_template {
  neighbor 10.0.0.2 as 64512;
  passive on;
}
protocol bgp Node_10_0_0_9 from bgp_template {
  neighbor 10.0.0.9 as 64512;
  rr client;
  rr cluster id 1.1.1.1;
}
"""
AGGREGATION = """protocol static {
  route 10.65.0.0/26 blackhole;
  route 10.96.0.0/12 blackhole;
}
function calico_aggr()
{
  if ( net = 10.65.0.0/26 ) then { accept; }
  if ( net ~ 10.65.0.0/26 ) then { reject; }
}
"""
FILTERS = """filter calico_export_to_bgp_peers
{
  calico_aggr();
  if ( net ~ 10.96.0.0/12 ) then { accept; }
  if ( net ~ 10.65.0.0/16 ) then { accept; }
  reject;
}
filter calico_kernel_programming
{
  if ( net ~ 10.65.0.0/16 ) then {
    krt_tunnel = "tunl0";
    accept;
  }
  accept;
}
"""


def test_the_files_of_a_node_of_one_family() -> None:
    files = bird1_files(SPEAKER, TunnelWord.KNOWN)
    assert (files["bird.cfg"], files["bird_aggr.cfg"], files["bird_ipam.cfg"]) == (BIRD_CFG, AGGREGATION, FILTERS)


def test_a_family_without_address_has_no_sessions_but_its_kernel_and_blocks() -> None:
    text = bird1_files(SPEAKER)["bird6.cfg"]
    assert text.endswith("# a has no IPv6 address: no BGP\n")
    assert "  export all;\n" in text
    assert "bgp" not in text


def test_ipv6_has_its_own_peers_under_the_same_router_id() -> None:
    address, other = parse_address("fd00::1"), parse_address("fd00::2")
    speaker = replace(SPEAKER, addresses=(address,), peers=(replace(SPEAKER.peers[0], address=other),))
    text = bird1_files(speaker)["bird6.cfg"]
    assert "router id 10.0.0.1;\n" in text
    assert "  source address fd00::1;\n" in text
    assert "protocol bgp Mesh_fd00__2 from bgp_template {\n  neighbor fd00::2 as 64512;" in text


def test_files_that_are_included_come_before_the_main_ones() -> None:
    names = list(bird1_files(SPEAKER))
    for family in IPFamily:
        main = MAIN_FILES[family]
        assert (
            names.index(main)
            == max(names.index(name) for name in names if name.startswith(main.removesuffix(".cfg") + "_")) + 1
        )


@pytest.mark.parametrize(
    ("level", "lines"),
    [(LogLevel.DEBUG, ("debug all;",)), (LogLevel.INFO, ("debug { states };",)), (LogLevel.NONE, ())],
    ids=lambda value: value.value if isinstance(value, LogLevel) else "",
)
def test_levels(level: LogLevel, lines: tuple[str, ...]) -> None:
    assert log_lines(level) == lines
