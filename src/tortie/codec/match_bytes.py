"""Option tables of the matches that look at a packet's bytes: u32, bpf, string.

Printed forms and orders were read off iptables 1.8.9 on both back-ends (spec: netfilter 7.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tortie.codec.extension import Extension, Given, fill_fields, plain, whole
from tortie.codec.kind import (
    RAW,
    Kind,
    number,
    read_number,
    words_of,
)
from tortie.codec.words import quote_always
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.match import (
    BpfMatch,
    IntRange,
    StringMatch,
    U32Match,
    U32Test,
)

_U32_OPERATION = re.compile(r"\s*(&|<<|>>|@)\s*(0[xX][0-9a-fA-F]+|\d+)")
_U32_NUMBER = re.compile(r"\s*(0[xX][0-9a-fA-F]+|\d+)")


_U32_LIMIT = 10
"""Tests, and operators, locations and ranges of one test (linux/netfilter/xt_u32.h)."""


def _read_u32(text: str, family: IPFamily) -> tuple[U32Test, ...]:
    tests = tuple(_read_u32_test(part) for part in text.split("&&"))
    if len(tests) > _U32_LIMIT:
        raise InvalidInput(f"u32 has up to {_U32_LIMIT} tests")
    return tests


def _read_u32_test(text: str) -> U32Test:
    location, equals, values = text.partition("=")
    first = _U32_NUMBER.match(location)
    if first is None or not equals:
        raise InvalidInput(f"not a u32 test: {text!r}")
    operations = []
    position = first.end()
    while (found := _U32_OPERATION.match(location, position)) is not None:
        operations.append((found[1], read_number(found[2])))
        position = found.end()
    if location[position:].strip():
        raise InvalidInput(f"not a u32 location: {location!r}")
    ranges = []
    for part in values.split(","):
        low, joint, high = part.strip().partition(":")
        bottom = read_number(low.strip())
        ranges.append(IntRange(bottom, read_number(high.strip()) if joint else bottom))
    if len(operations) >= _U32_LIMIT or len(ranges) > _U32_LIMIT:
        raise InvalidInput(f"u32 has up to {_U32_LIMIT} numbers on each side of a test")
    if any(sign in ("<<", ">>") and operand > 31 for sign, operand in operations):
        raise InvalidInput(f"u32 shifts by up to 31 bits: {location!r}")
    return U32Test(read_number(first[1]), tuple(operations), tuple(ranges))


def _write_u32(tests: tuple[U32Test, ...], family: IPFamily) -> str:
    return quote_always("&&".join(_write_u32_test(item) for item in tests))


def _write_u32_test(item: U32Test) -> str:
    operations = "".join(f"{sign}{operand:#x}" for sign, operand in item.operations)
    values = ",".join(
        f"{part.low:#x}" if part.low == part.high else f"{part.low:#x}:{part.high:#x}" for part in item.ranges
    )
    return f"{item.offset:#x}{operations}={values}"


_U32 = Extension("u32", U32Match, (whole("u32", Kind(_read_u32, _write_u32), "tests"),))


def _read_bytecode(text: str, family: IPFamily) -> tuple[tuple[int, int, int, int], ...]:
    count_text, _, rest = text.partition(",")
    lines = [line.split() for line in rest.rstrip(",").split(",")] if rest else []
    if read_number(count_text, 1, 64) != len(lines) or any(len(line) != 4 for line in lines):
        raise InvalidInput(f"not BPF bytecode: {text!r}")
    code = [tuple(read_number(word) for word in line) for line in lines]
    return tuple((line[0], line[1], line[2], line[3]) for line in code)


def _write_bytecode(program: tuple[tuple[int, int, int, int], ...], family: IPFamily) -> str:
    return f'"{len(program)},{",".join(" ".join(map(str, line)) for line in program)}"'


_BPF = Extension(
    "bpf",
    BpfMatch,
    one_of=("program", "pinned"),
    options=(plain("bytecode", Kind(_read_bytecode, _write_bytecode), "program"), plain("object-pinned", RAW, "pinned")),
)

_HEX_PART = re.compile(r"\|([^|]*)\||\\(.)|([^|\\])", re.DOTALL)


def _read_hex_string(text: str) -> bytes:
    found = bytearray()
    if _HEX_PART.sub("", text):
        raise InvalidInput(f"a hex block does not end: {text!r}")
    for part in _HEX_PART.finditer(text):
        digits, escaped, char = part.groups()
        if digits is not None:
            try:
                found += bytes.fromhex(digits)
            except ValueError:
                raise InvalidInput(f"not hexadecimal: {digits!r}") from None
        else:
            found += (escaped or char).encode("utf-8", "surrogateescape")
    return bytes(found)


def _build_string(given: Sequence[Given], family: IPFamily) -> StringMatch:
    filled: dict[str, object] = {}
    for item in given:
        name = item.option.name
        if name in ("string", "hex-string"):
            if "pattern" in filled:
                raise InvalidInput("string takes --string or --hex-string once")
            raw = item.argument.encode("utf-8", "surrogateescape")
            filled["pattern"] = raw if name == "string" else _read_hex_string(item.argument)
            filled["inverted"] = item.inverted
        else:
            fill_fields(filled, item, family)
    if "pattern" not in filled or "algorithm" not in filled:
        raise InvalidInput("string needs --algo and --string or --hex-string")
    pattern = filled["pattern"]
    if isinstance(pattern, bytes) and not 1 <= len(pattern) <= 128:
        raise InvalidInput("string's pattern must have 1 to 128 bytes")
    found = StringMatch(**filled)  # type: ignore[arg-type]
    if found.start > found.end:
        raise InvalidInput("string's --from lies behind --to")
    return found


def _take_apart_string(value: StringMatch, family: IPFamily) -> Iterable[str | None]:
    bang = "! " if value.inverted else ""
    if any(not 32 <= byte < 127 for byte in value.pattern) or value.pattern.endswith(b"\\"):
        yield f'{bang}--hex-string "|{value.pattern.hex()}|"'
    else:
        text = value.pattern.decode("ascii").replace("\\", "\\\\").replace('"', '\\"')
        yield f'{bang}--string "{text}"'
    yield f"--algo {value.algorithm}"
    yield f"--from {value.start}" if value.start else None
    yield f"--to {value.end}" if value.end != 65535 else None
    yield "--icase" if value.ignore_case else None


_STRING = Extension(
    "string",
    StringMatch,
    (
        whole("string", RAW, "pattern"),
        whole("hex-string", RAW, "pattern"),
        plain("algo", words_of("bm", "kmp", "fsm"), "algorithm"),
        plain("from", number(0, 65535), "start"),
        plain("to", number(0, 65535), "end"),
        plain("icase", None, "ignore_case"),
    ),
    build=_build_string,
    take_apart=_take_apart_string,
)


BYTES_MATCHES: tuple[Extension, ...] = (_U32, _BPF, _STRING)
"""Every match on bytes."""
