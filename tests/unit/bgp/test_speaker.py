"""Which sessions there are in which family."""

from __future__ import annotations

from tortie.bgp.speaker import Peer, PeerKind, Speaker
from tortie.net.address import IPFamily, parse_address

V4, V6 = parse_address("10.0.0.2"), parse_address("fd00::2")
PEERS = (Peer(PeerKind.MESH, V4, 64512), Peer(PeerKind.GLOBAL, V6, 64513))


def test_a_family_without_an_address_has_no_sessions() -> None:
    speaker = Speaker("a", "1.2.3.4", addresses=(parse_address("10.0.0.1"),), peers=PEERS)
    assert [speaker.peers_of(family) for family in IPFamily] == [PEERS[:1], ()]


def test_names_have_no_signs_that_bird_could_misread() -> None:
    assert [peer.name for peer in PEERS] == ["Mesh_10_0_0_2", "Global_fd00__2"]
