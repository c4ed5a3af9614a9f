"""The text of `ipvsadm -Sn` (`ipvsadm-save -n`), to virtual services.

One line a service (`-A -t 10.96.0.1:443 -s rr -p 10800`) followed by one a real server (`-a -t 10.96.0.1:443 -r
10.0.0.7:6443 -m -w 1`). Names in place of numbers (without `-n`) cannot be read, as only the node can resolve them.
Sources: ipvsadm(8); print_service_entry in ipvsadm.c, which wrote `pe` and `ops` without dashes in old versions.
"""

from __future__ import annotations

from dataclasses import replace

from tortie.net.address import Address, IPFamily, mask_length, parse_address
from tortie.net.error import InvalidInput
from tortie.net.protocol import SCTP, TCP, UDP
from tortie.netfilter.ipvs import Forwarding, RealServer, VirtualService

_REMEDY = "give what `ipvsadm -Sn` prints"
_PROTOCOLS = {
    "-t": TCP, "--tcp-service": TCP, "-u": UDP, "--udp-service": UDP, "--sctp-service": SCTP,
}  # fmt: skip
_FORWARDING = {
    "-m": Forwarding.MASQUERADING, "--masquerading": Forwarding.MASQUERADING,
    "-g": Forwarding.GATEWAYING, "--gatewaying": Forwarding.GATEWAYING,
    "-i": Forwarding.TUNNELLING, "--ipip": Forwarding.TUNNELLING,
}  # fmt: skip
_TUNNEL_WORDS = {"--tun-type": 1, "--tun-port": 1, "--tun-nocsum": 0, "--tun-csum": 0, "--tun-remcsum": 0}
_DEFAULT_PERSISTENCE_S = 360  # ipvsadm(8), -p


def parse_ipvs(text: str, *, source: str | None = None) -> tuple[VirtualService, ...]:
    """Virtual services with their servers, in order; raises `InvalidInput`."""
    services: dict[tuple[object, ...], VirtualService] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            _read_line(words, services)
        except InvalidInput as error:
            raise error.at(source=source, line=number) from None
    return tuple(services.values())


class _Words:
    """The words of a line, taken one by one."""

    __slots__ = ("_place", "_words")

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._place = 0

    def peek(self) -> str | None:
        """The next word without taking it, None at the end."""
        return self._words[self._place] if self._place < len(self._words) else None

    def take(self) -> str | None:
        """The next word, None at the end."""
        word = self.peek()
        self._place += 1
        return word

    def value(self, option: str) -> str:
        """The next word, which an option needs."""
        word = self.take()
        if word is None:
            raise InvalidInput(f"{option} wants a value", remedy=_REMEDY)
        return word

    def number(self, option: str, most: int = 0xFFFFFFFF) -> int:
        """The next word as a number; marks are printed with a sign (`%d`)."""
        word = self.value(option)
        digits = word.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 10):
            raise InvalidInput(f"{option} wants a number, not {word!r}", remedy=_REMEDY)
        value = int(word) & 0xFFFFFFFF if word.startswith("-") else int(word)
        if value > most:
            raise InvalidInput(f"{option} is at most {most}, not {word}")
        return value

    def optional_number(self) -> int | None:
        """The next word when it is a number."""
        word = self.peek()
        return self.number("-p") if word is not None and word.isdigit() else None


def _read_line(words: list[str], services: dict[tuple[object, ...], VirtualService]) -> None:
    taken = _Words(words)
    command = taken.take()
    if command not in ("-A", "--add-service", "-a", "--add-server"):
        raise InvalidInput(f"neither -A nor -a: {command!r}", remedy=_REMEDY)
    service = _service(taken)
    key = (service.family, service.proto, service.address, service.port, service.mark)
    if command in ("-A", "--add-service"):
        if key in services:
            raise InvalidInput("this virtual service is there twice")
        services[key] = _with_options(service, taken)
        return
    if key not in services:
        raise InvalidInput("a real server of a virtual service that was not added")
    services[key] = replace(services[key], servers=(*services[key].servers, _server(taken)))


def _service(taken: _Words) -> VirtualService:
    """What the service answers at; a mark's family is fixed by a `-6` behind it."""
    option = taken.value("-A")
    if option in ("-f", "--fwmark-service"):
        mark = taken.number(option)
        family = IPFamily.V4
        if taken.peek() in ("-6", "--ipv6"):
            taken.take()
            family = IPFamily.V6
        return VirtualService(family, "", mark=mark)
    if option not in _PROTOCOLS:
        raise InvalidInput(f"no kind of virtual service: {option!r}", remedy=_REMEDY)
    address, port = _parse_endpoint(taken.value(option))
    return VirtualService(address.family, "", proto=_PROTOCOLS[option], address=address.value, port=port)


def _with_options(service: VirtualService, taken: _Words) -> VirtualService:
    service = replace(service, scheduler="wlc")  # ipvsadm(8), -s
    while (word := taken.take()) is not None:
        if word in ("-s", "--scheduler"):
            service = replace(service, scheduler=taken.value(word))
        elif word in ("-p", "--persistent"):
            seconds = taken.optional_number()
            service = replace(service, persistence_s=_DEFAULT_PERSISTENCE_S if seconds is None else seconds)
        elif word in ("-M", "--netmask"):
            service = replace(service, persistence_length=_parse_mask(taken.value(word), service.family))
        elif word in ("--pe", "pe"):
            service = replace(service, engine=taken.value(word))
        elif word in ("-o", "--ops", "ops"):
            service = replace(service, one_packet=True)
        elif word in ("-b", "--sched-flags"):
            service = replace(service, scheduler_flags=taken.value(word))
        else:
            raise InvalidInput(f"unknown option of a virtual service: {word!r}")
    return service


def _server(taken: _Words) -> RealServer:
    server: RealServer | None = None
    forwarding, weight, tunnel = Forwarding.GATEWAYING, 1, []
    while (word := taken.take()) is not None:
        if word in ("-r", "--real-server"):
            address, port = _parse_endpoint(taken.value(word))
            server = RealServer(address, port, forwarding)
        elif word in _FORWARDING:
            forwarding = _FORWARDING[word]
        elif word in ("-w", "--weight"):
            weight = taken.number(word)
        elif word in ("-x", "--u-threshold", "-y", "--l-threshold"):
            taken.number(word)
        elif word in _TUNNEL_WORDS:
            tunnel += [word, *[taken.value(word) for _ in range(_TUNNEL_WORDS[word])]]
        else:
            raise InvalidInput(f"unknown option of a real server: {word!r}")
    if server is None:
        raise InvalidInput("a real server has -r", remedy=_REMEDY)
    return replace(server, forwarding=forwarding, weight=weight, tunnel=tuple(tunnel))


def _parse_endpoint(text: str) -> tuple[Address, int]:
    """`1.2.3.4:80`, `[fd00::1]:80`, or either without a port, which is 0."""
    head, bracket, tail = text.rpartition("]")
    if bracket:
        host, port = head.removeprefix("["), tail.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 0xFFFF):
        raise InvalidInput(f"not a port number: {text!r}", remedy=_REMEDY)
    try:
        return parse_address(host), int(port or 0)
    except InvalidInput as error:
        raise InvalidInput(error.message, remedy=_REMEDY) from None


def _parse_mask(text: str, family: IPFamily) -> int:
    length: int | None = None
    if family is IPFamily.V4:
        given = parse_address(text)
        length = mask_length(family, given.value) if given.family is family else None
    elif text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= family.bits:
        length = int(text)
    if length is None:
        raise InvalidInput(f"not a mask of client addresses: {text!r}")
    return length
