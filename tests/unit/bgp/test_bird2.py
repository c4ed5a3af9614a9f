"""The file of BIRD 2, whole: what BIRD 1.6 has in six files, in channels."""

from __future__ import annotations

from dataclasses import replace

from tortie.bgp.bird2 import MAIN_FILE, bird2_files
from tortie.bgp.speaker import OwnBlock, Peer, PeerKind, PoolNetwork, Speaker, Tunnel
from tortie.net.address import parse_address, parse_prefix

SPEAKER = Speaker(
    "a",
    "10.0.0.1",
    addresses=(parse_address("10.0.0.1"),),
    subnet=parse_prefix("10.0.0.0/24"),
    cluster_id="1.1.1.1",
    peers=(
        Peer(PeerKind.MESH, parse_address("10.0.0.2"), 64512, passive=True),
        Peer(PeerKind.NODE, parse_address("10.0.0.9"), 64512, reflect_to=True),
    ),
    pools=(PoolNetwork(parse_prefix("10.65.0.0/16"), Tunnel.IPIP),),
    blocks=(OwnBlock(parse_prefix("10.65.0.0/26")),),
    static_routes=(parse_prefix("10.96.0.0/12"),),
)
TEXT = """router id 10.0.0.1;
function calico_aggr()
{
  if ( net = 10.65.0.0/26 ) then { accept; }
  if ( net ~ 10.65.0.0/26 ) then { reject; }
}
filter calico_export_to_bgp_peers
{
  calico_aggr();
  if ( net ~ 10.96.0.0/12 ) then { accept; }
  if ( net ~ 10.65.0.0/16 ) then { accept; }
  reject;
}
function calico_aggr_v6()
{
}
filter calico_export_to_bgp_peers_v6
{
  calico_aggr_v6();
  reject;
}
filter calico_kernel_programming
{
  if source = RTS_DEVICE then reject;
  if ( net ~ 10.65.0.0/16 ) then {
    # this BIRD has no routes into the IPIP tunnel
    if defined(bgp_next_hop) then reject; else accept;
  }
  accept;
}
protocol kernel kernel_ipv4 {
  learn;
  persist;
  scan time 2;
  graceful restart on;
  ipv4 {
    import all;
    export filter calico_kernel_programming;
  };
}
protocol kernel kernel_ipv6 {
  learn;
  persist;
  scan time 2;
  graceful restart on;
  ipv6 {
    import all;
    export where source != RTS_DEVICE;
  };
}
protocol device {
  debug { states };
  scan time 2;
}
protocol direct {
  debug { states };
  ipv4;
  ipv6;
  interface -"cali*", "*";
}
protocol static static_ipv4 {
  ipv4;
  route 10.65.0.0/26 blackhole;
  route 10.96.0.0/12 blackhole;
}
template bgp bgp_template {
  debug { states };
  description "Connection to BGP peer";
  local 10.0.0.1 as 64512;
  multihop;
  graceful restart on;
  connect delay time 2;
  connect retry time 5;
  error wait time 5,30;
  ipv4 {
    gateway recursive;
    import all;
    export filter calico_export_to_bgp_peers;
    add paths on;
  };
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
# a has no IPv6 address: no BGP
"""


def test_the_file_of_a_node_of_one_family() -> None:
    assert bird2_files(SPEAKER) == {MAIN_FILE: TEXT}


def test_ipv6_has_its_own_template_filter_and_block() -> None:
    speaker = replace(
        SPEAKER,
        addresses=(parse_address("fd00::1"),),
        peers=(Peer(PeerKind.GLOBAL, parse_address("fd00::2"), 65000),),
        blocks=(OwnBlock(parse_prefix("fd65::/122")),),
        pools=(PoolNetwork(parse_prefix("fd65::/64")),),
    )
    text = bird2_files(speaker)[MAIN_FILE]
    for part in (
        "  if ( net = fd65::/122 ) then { accept; }\n",
        "  calico_aggr_v6();\n  if ( net ~ fd65::/64 ) then { accept; }\n  reject;\n",
        "protocol static static_ipv6 {\n  ipv6;\n  route fd65::/122 blackhole;\n}\n",
        "template bgp bgp_template_v6 {\n",
        "  ipv6 {\n    gateway recursive;\n    import all;\n    export filter calico_export_to_bgp_peers_v6;\n",
        "protocol bgp Global_fd00__2 from bgp_template_v6 {\n  neighbor fd00::2 as 65000;\n}\n",
    ):
        assert part in text


def test_every_prefix_of_workload_interfaces_is_left_out() -> None:
    text = bird2_files(replace(SPEAKER, workload_prefixes=("cali", "tap")))[MAIN_FILE]
    assert '  interface -"cali*", -"tap*", "*";\n' in text
