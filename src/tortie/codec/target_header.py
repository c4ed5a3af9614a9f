"""Option tables of the targets that change a packet's header or class.

Printed forms and orders were read off iptables 1.8.9 on both back-ends (spec: netfilter 6, 9.5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tortie.codec.extension import Extension, Given, Option, filled_fields, format_option, plain, unprinted
from tortie.codec.kind import (
    Kind,
    number,
    read_number,
)
from tortie.codec.match_network import DSCP_CLASS_KIND, DSCP_KIND, TOS_KIND
from tortie.codec.match_transport import V4, V6
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.target import (
    ChecksumTarget,
    ClassifyTarget,
    DscpTarget,
    EcnTarget,
    HlTarget,
    TcpmssTarget,
    TcpoptstripTarget,
    TosTarget,
    TtlTarget,
)


def _hop_target(name: str) -> tuple[Option, ...]:
    return tuple(
        plain(f"{name}-{what}", number(0 if what == "set" else 1, 255), "value", operation=what)
        for what in ("set", "dec", "inc")
    )


_TTL = Extension("TTL", TtlTarget, _hop_target("ttl"), families=V4)
_HL = Extension("HL", HlTarget, _hop_target("hl"), families=V6)


def _tos_spelling(change: Callable[[int], tuple[int, int]]) -> Kind:
    return Kind(lambda text, _: change(read_number(text, 0, 255)), TOS_KIND.write)


_TOS = Extension(
    "TOS",
    TosTarget,
    (
        plain("set-tos", TOS_KIND, "value", "mask"),
        Option("and-tos", _tos_spelling(lambda bits: (0, ~bits & 0xFF)), ("value", "mask"), printed=False),
        Option("or-tos", _tos_spelling(lambda bits: (bits, bits)), ("value", "mask"), printed=False),
        Option("xor-tos", _tos_spelling(lambda bits: (bits, 0)), ("value", "mask"), printed=False),
    ),
)
_DSCP = Extension(
    "DSCP",
    DscpTarget,
    (plain("set-dscp", DSCP_KIND, "value"), *unprinted(plain("", DSCP_CLASS_KIND, "value"), "set-dscp-class")),
)
_ECN_OPTIONS = (
    plain("ecn-tcp-remove", None, "tcp_remove"),
    plain("ecn-tcp-ece", number(0, 1), "ece"),
    plain("ecn-tcp-cwr", number(0, 1), "cwr"),
    plain("ecn-ip-ect", number(0, 3), "ect"),
)


def _build_ecn(given: Sequence[Given], family: IPFamily) -> EcnTarget:
    filled = filled_fields(given, family)
    if not filled or ("tcp_remove" in filled and ("ece" in filled or "cwr" in filled)):
        raise InvalidInput("ECN needs --ecn-tcp-remove, or bits to set")
    return EcnTarget(tcp_remove=True) if "tcp_remove" in filled else EcnTarget(**filled)


_ECN = Extension("ECN", EcnTarget, _ECN_OPTIONS, families=V4, build=_build_ecn)


_LARGEST_MSS = {IPFamily.V4: 65535 - 20, IPFamily.V6: 65535 - 40}
"""What TCPMSS takes: the largest packet less the IP header."""


def _build_tcpmss(given: Sequence[Given], family: IPFamily) -> TcpmssTarget:
    if len(given) != 1:
        raise InvalidInput("TCPMSS needs one of --set-mss and --clamp-mss-to-pmtu")
    item = given[0]
    return TcpmssTarget(read_number(item.argument, 0, _LARGEST_MSS[family]) if item.option.name == "set-mss" else None)


def _take_apart_tcpmss(value: TcpmssTarget, family: IPFamily) -> Iterable[str | None]:
    yield "--clamp-mss-to-pmtu" if value.mss is None else f"--set-mss {value.mss}"


_TCPMSS = Extension(
    "TCPMSS",
    TcpmssTarget,
    (plain("set-mss", number(0, 65535), "mss"), plain("clamp-mss-to-pmtu", None)),
    build=_build_tcpmss,
    take_apart=_take_apart_tcpmss,
)

TCP_OPTION_NAMES = {"wscale": 3, "mss": 2, "sack-permitted": 4, "sack": 5, "timestamp": 8, "md5": 19}
"""TCP options that `TCPOPTSTRIP --strip-options` knows by name."""


def _read_strip(text: str, family: IPFamily) -> tuple[int, ...]:
    found = set()
    for part in text.split(","):
        option = TCP_OPTION_NAMES.get(part)
        found.add(read_number(part, 2, 255) if option is None else option)
    return tuple(sorted(found))


_STRIP_OPTIONS = plain("strip-options", Kind(_read_strip, lambda value, _: ",".join(map(str, value))), "options")


def _build_tcpoptstrip(given: Sequence[Given], family: IPFamily) -> TcpoptstripTarget:
    return TcpoptstripTarget(_read_strip(given[0].argument, family) if given else ())


def _take_apart_tcpoptstrip(value: TcpoptstripTarget, family: IPFamily) -> Iterable[str | None]:
    yield format_option(_STRIP_OPTIONS, value, family, {"options": ()})


_TCPOPTSTRIP = Extension(
    "TCPOPTSTRIP",
    TcpoptstripTarget,
    (_STRIP_OPTIONS,),
    build=_build_tcpoptstrip,
    take_apart=_take_apart_tcpoptstrip,
)


def _build_checksum(given: Sequence[Given], family: IPFamily) -> ChecksumTarget:
    if not given:
        raise InvalidInput("CHECKSUM needs --checksum-fill")
    return ChecksumTarget()


def _take_apart_checksum(value: ChecksumTarget, family: IPFamily) -> Iterable[str | None]:
    yield "--checksum-fill"


_CHECKSUM = Extension(
    "CHECKSUM",
    ChecksumTarget,
    (plain("checksum-fill", None),),
    build=_build_checksum,
    take_apart=_take_apart_checksum,
)


def _read_class(text: str, family: IPFamily) -> tuple[int, int]:
    major, colon, minor = text.partition(":")
    try:
        found = int(major, 16), int(minor, 16)
    except ValueError:
        raise InvalidInput(f"not a traffic class: {text!r}", remedy="write major:minor in hexadecimal") from None
    if not colon or max(found) > 0xFFFFFFFF:
        raise InvalidInput(f"not a traffic class: {text!r}", remedy="write major:minor in hexadecimal")
    return found[0] & 0xFFFF, found[1] & 0xFFFF


_CLASSIFY = Extension(
    "CLASSIFY",
    ClassifyTarget,
    (plain("set-class", Kind(_read_class, lambda value, _: f"{value[0]:04x}:{value[1]:04x}"), "major", "minor"),),
)


HEADER_TARGETS: tuple[Extension, ...] = (_TTL, _HL, _TOS, _DSCP, _ECN, _TCPMSS, _TCPOPTSTRIP, _CHECKSUM, _CLASSIFY)
"""Every target that changes header fields, or the class of the packet."""
