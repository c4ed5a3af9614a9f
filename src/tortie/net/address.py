"""IPv4 and IPv6 addresses, prefixes, masks and ranges.

Addresses are plain integers inside (host order) with their family beside them: comparing and masking integers is
several times cheaper than `ipaddress` objects, and every packet walk does little else. Text is made and read only here.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from tortie.net.error import InvalidInput


class IPFamily(Enum):
    """The two IP families; `value` is the version number in the packet header."""

    V4 = 4
    V6 = 6

    __hash__ = object.__hash__
    """By identity: a family is part of nearly every key, and Enum's own hash is Python code."""

    @property
    def bits(self) -> int:
        """Width of an address in bits: 32 or 128."""
        return 32 if self is IPFamily.V4 else 128

    @property
    def all_ones(self) -> int:
        """The address with every bit set, which is also the mask of a single host."""
        return (1 << self.bits) - 1


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """One address: `value` as an integer in host order."""

    family: IPFamily
    value: int

    def __str__(self) -> str:
        return format_address(self.family, self.value)


@dataclass(frozen=True, slots=True)
class Prefix:
    """An address with a prefix length; bits beyond the length may be set (an interface address) or not (a network)."""

    family: IPFamily
    address: int
    length: int

    def __post_init__(self) -> None:
        if not 0 <= self.length <= self.family.bits:
            raise ValueError(f"prefix length {self.length} does not fit {self.family}")

    @property
    def mask(self) -> int:
        """The netmask as an integer."""
        return prefix_mask(self.family, self.length)

    @property
    def network(self) -> Prefix:
        """The same prefix with the host bits cleared."""
        return Prefix(self.family, self.address & self.mask, self.length)

    def contains(self, value: int) -> bool:
        """True when an address of this family lies inside."""
        return not (value ^ self.address) & self.mask

    def __str__(self) -> str:
        return f"{format_address(self.family, self.address)}/{self.length}"


@dataclass(frozen=True, slots=True)
class AddressMask:
    """What `-s` and `-d` hold: an address and any mask, contiguous or not (spec: netfilter 7.1)."""

    family: IPFamily
    value: int
    mask: int

    @property
    def prefix_length(self) -> int | None:
        """The prefix length of a contiguous mask, else None."""
        return mask_length(self.family, self.mask)

    def __str__(self) -> str:
        length = self.prefix_length
        tail = format_address(self.family, self.mask) if length is None else str(length)
        return f"{format_address(self.family, self.value)}/{tail}"


@dataclass(frozen=True, slots=True)
class AddressRange:
    """Addresses from `low` to `high`, both included; `low` above `high` holds nothing."""

    family: IPFamily
    low: int
    high: int

    def __str__(self) -> str:
        return f"{format_address(self.family, self.low)}-{format_address(self.family, self.high)}"


def prefix_mask(family: IPFamily, length: int) -> int:
    """The netmask of a prefix length as an integer."""
    return family.all_ones >> length ^ family.all_ones if length else 0


def mask_length(family: IPFamily, mask: int) -> int | None:
    """The prefix length of a contiguous mask, or None when the mask has holes."""
    host = mask ^ family.all_ones
    return None if host & (host + 1) else family.bits - host.bit_length()


@lru_cache(maxsize=65536)
def format_address(family: IPFamily, value: int) -> str:
    """The usual text of an address: dotted IPv4, compressed lower-case IPv6 (RFC 5952, with inet_ntop's IPv4 tails)."""
    if family is IPFamily.V4:
        return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"
    if (value >> 32 == 0 and value > 0xFFFF) or value >> 32 == 0xFFFF:
        # glibc's inet_ntop writes v4-compatible and v4-mapped addresses with a dotted tail.
        head = "::ffff:" if value >> 32 else "::"
        return head + format_address(IPFamily.V4, value & 0xFFFFFFFF)
    return ipaddress.IPv6Address(value).compressed


def parse_ipv4(text: str) -> int:
    """The value of a dotted IPv4 address, without leading zeros; raises `InvalidInput`."""
    try:
        first, second, third, fourth = map(int, text.split("."))
    except ValueError:
        raise InvalidInput(f"not an IPv4 address: {text!r}") from None
    value = first << 24 | second << 16 | third << 8 | fourth
    # Printing it again finds at once what int() forgives: blanks, signs, underscores, other digits, leading zeros.
    if f"{first}.{second}.{third}.{fourth}" != text or (first | second | third | fourth) >> 8:
        raise InvalidInput(f"not an IPv4 address: {text!r}")
    return value


def parse_ipv6(text: str) -> int:
    """The value of an IPv6 address, in any of its spellings but without a zone; raises `InvalidInput`."""
    if _PLAIN_IPV6.fullmatch(text) is None:
        return _parse_unusual_ipv6(text)
    head, gap, tail = text.partition("::")
    groups = head.split(":") if head else []
    if gap:
        last = tail.split(":") if tail else []
        groups += ["0"] * max(1, 8 - len(groups) - len(last)) + last
    digits = "".join([group.zfill(4) for group in groups])
    if len(groups) != 8 or len(digits) != 32 or "" in groups:
        return _parse_unusual_ipv6(text)
    return int(digits, 16)


_PLAIN_IPV6 = re.compile(r"[0-9a-fA-F:]+")


def _parse_unusual_ipv6(text: str) -> int:
    """The slow way, which knows dotted tails and every mistake."""
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise InvalidInput(f"not an IPv6 address: {text!r}") from None
    if address.scope_id is not None:
        raise InvalidInput(f"not an IPv6 address: {text!r}", remedy="leave out the zone after %")
    return int(address)


@lru_cache(maxsize=65536)
def parse_address(text: str) -> Address:
    """Reads one address of either family; raises `InvalidInput` when it is none."""
    try:
        return Address(IPFamily.V6, parse_ipv6(text)) if ":" in text else Address(IPFamily.V4, parse_ipv4(text))
    except InvalidInput:
        raise InvalidInput(f"not an IP address: {text!r}") from None


@lru_cache(maxsize=65536)
def parse_prefix(text: str) -> Prefix:
    """Reads `address` or `address/length` and keeps host bits; raises `InvalidInput`."""
    head, slash, tail = text.partition("/")
    address = parse_address(head)
    if not slash:
        return Prefix(address.family, address.value, address.family.bits)
    if not (tail.isascii() and tail.isdigit() and len(tail) <= 3 and int(tail) <= address.family.bits):
        raise InvalidInput(f"not a prefix length: {text!r}")
    return Prefix(address.family, address.value, int(tail))


@lru_cache(maxsize=65536)
def parse_address_mask(text: str) -> AddressMask:
    """Reads `address`, `address/length` or `address/mask`, and clears the bits outside the mask as the kernel does."""
    head, slash, tail = text.partition("/")
    address = parse_address(head)
    family = address.family
    if not slash:
        mask = family.all_ones
    elif tail.isascii() and tail.isdigit() and len(tail) <= 3:
        if int(tail) > family.bits:
            raise InvalidInput(f"not a prefix length: {text!r}")
        mask = prefix_mask(family, int(tail))
    else:
        given = parse_address(tail)
        if given.family is not family:
            raise InvalidInput(f"mask of another family: {text!r}")
        mask = given.value
    return AddressMask(family, address.value & mask, mask)
