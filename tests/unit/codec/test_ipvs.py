"""Lines of `ipvsadm -Sn`."""

from __future__ import annotations

import pytest

from tortie.codec.ipvs import parse_ipvs
from tortie.net.address import IPFamily, parse_address
from tortie.net.error import InvalidInput
from tortie.netfilter.ipvs import Forwarding, RealServer, VirtualService

V4, V6 = IPFamily.V4, IPFamily.V6
A = parse_address

SAVED = """\
-A -t 10.96.0.1:443 -s rr
-a -t 10.96.0.1:443 -r 192.168.1.2:6443 -m -w 1
-a -t 10.96.0.1:443 -r 192.168.1.3:6443 -m -w 0
-A -u [fd00::1]:53 -s wlc -p 10800 -M 64
-a -u [fd00::1]:53 -r [fd00:5::2]:53 -g -w 1
-A --sctp-service 10.96.0.9:7 -s sh -p 300 -M 255.255.255.0 -b sh-port
-A -f 7 -s rr -o
-a -f 7 -r 10.0.0.1:0 -i -w 2 --tun-type gue --tun-port 6080 --tun-nocsum
-A -f 7 -6 -s rr --pe sip
"""


def test_saved_text_holds_services_each_with_its_servers() -> None:
    servers = [[(str(server.address), server.port) for server in service.servers] for service in parse_ipvs(SAVED)]
    assert servers == [
        [("192.168.1.2", 6443), ("192.168.1.3", 6443)], [("fd00:5::2", 53)], [], [("10.0.0.1", 0)], [],
    ]  # fmt: skip


SERVER = RealServer(A("10.0.0.1"), 80, Forwarding.MASQUERADING)
SERVICES = {
    "tcp": ("-A -t 10.0.0.9:80 -s rr", VirtualService(V4, "rr", proto=6, address=A("10.0.0.9").value, port=80)),
    "any port": ("-A -u 10.0.0.9:0 -s rr", VirtualService(V4, "rr", proto=17, address=A("10.0.0.9").value, port=0)),
    "no port": ("-A -u 10.0.0.9 -s rr", VirtualService(V4, "rr", proto=17, address=A("10.0.0.9").value, port=0)),
    "ipv6": ("-A -t [fd00::9]:80 -s rr", VirtualService(V6, "rr", proto=6, address=A("fd00::9").value, port=80)),
    "mark": ("-A -f 5 -s rr", VirtualService(V4, "rr", mark=5)),
    "mark with the highest bit": ("-A -f -2147483648 -s rr", VirtualService(V4, "rr", mark=0x80000000)),
    "sctp": (
        "-A --sctp-service 10.0.0.9:7 -s sh", VirtualService(V4, "sh", proto=132, address=A("10.0.0.9").value, port=7),
    ),
    "ipv6 mark": ("-A -f 5 -6 -s rr", VirtualService(V6, "rr", mark=5)),
    "no scheduler": ("-A -f 5", VirtualService(V4, "wlc", mark=5)),
    "persistence of the usual time": ("-A -f 5 -s rr -p", VirtualService(V4, "rr", mark=5, persistence_s=360)),
    "persistence for a net": (
        "-A -f 5 -s rr -p 60 -M 255.255.0.0",
        VirtualService(V4, "rr", mark=5, persistence_s=60, persistence_length=16),
    ),
    "persistence for an IPv6 net": (
        "-A -f 5 -6 -s rr -p 60 -M 64",
        VirtualService(V6, "rr", mark=5, persistence_s=60, persistence_length=64),
    ),
    "old words": ("-A -f 5 -s rr pe sip ops", VirtualService(V4, "rr", mark=5, engine="sip", one_packet=True)),
    "long words": (
        "--add-service --fwmark-service 5 --scheduler rr --persistent 9 --pe sip --ops --sched-flags sh-port",
        VirtualService(
            V4, "rr", mark=5, persistence_s=9, engine="sip", one_packet=True, scheduler_flags="sh-port",
        ),
    ),
    "server": ("-A -f 5 -s rr\n-a -f 5 -r 10.0.0.1:80 -m -w 1", VirtualService(V4, "rr", mark=5, servers=(SERVER,))),
    "server with thresholds": (
        "-A -f 5 -s rr\n-a -f 5 -r 10.0.0.1:80 -m -w 1 -x 100 -y 50", VirtualService(V4, "rr", mark=5, servers=(SERVER,)),
    ),
    "server behind a tunnel": (
        "-A -f 5 -s rr\n-a -f 5 -r 10.0.0.1:80 -i -w 2 --tun-type gue --tun-port 6080 --tun-nocsum",
        VirtualService(
            V4, "rr", mark=5,
            servers=(
                RealServer(
                    A("10.0.0.1"), 80, Forwarding.TUNNELLING, 2,
                    ("--tun-type", "gue", "--tun-port", "6080", "--tun-nocsum"),
                ),
            ),
        ),
    ),
    "server without words": (
        "-A -f 5 -s rr\n-a -f 5 -r 10.0.0.1",
        VirtualService(V4, "rr", mark=5, servers=(RealServer(A("10.0.0.1"), 0, Forwarding.GATEWAYING),)),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "service"), SERVICES.values(), ids=SERVICES.keys())
def test_one_service(text: str, service: VirtualService) -> None:
    assert parse_ipvs(f"# by hand\n\n{text}\n") == (service,)


REFUSED = {
    "another command": ("-D -f 5", "neither -A nor -a"),
    "no kind": ("-A 10.0.0.1:80", "no kind of virtual service"),
    "kind without a value": ("-A -t", "wants a value"),
    "host name": ("-A -t node:80 -s rr", "not an IP address"),
    "port by name": ("-A -t 10.0.0.1:http -s rr", "not a port"),
    "port too high": ("-A -t 10.0.0.1:65536 -s rr", "not a port"),
    "mark of letters": ("-A -f x -s rr", "wants a number"),
    "mark too large": ("-A -f 4294967296 -s rr", "at most 4294967295"),
    "mask with holes": ("-A -f 5 -p 9 -M 255.0.255.0", "not a mask"),
    "ipv6 mask too long": ("-A -f 5 -6 -p 9 -M 129", "not a mask"),
    "unknown option": ("-A -f 5 --new", "unknown option of a virtual"),
    "service twice": ("-A -f 5 -s rr\n-A -f 5 -s rr", "twice"),
    "server of nothing": ("-a -f 5 -r 10.0.0.1:80", "was not added"),
    "server without address": ("-A -f 5 -s rr\n-a -f 5 -m", "has -r"),
    "unknown option of a server": ("-A -f 5 -s rr\n-a -f 5 -r 10.0.0.1 --new", "unknown option of a real"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        parse_ipvs(text, source="ipvs")
    assert (caught.value.source, caught.value.line) == ("ipvs", text.count("\n") + 1)


def test_a_service_is_known_by_its_address_or_by_a_mark() -> None:
    with pytest.raises(ValueError, match="either an address or a mark"):
        VirtualService(V4, "rr")
