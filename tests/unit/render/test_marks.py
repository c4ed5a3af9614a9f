"""Mark bits and endpoint marks: spec rules 2, with the vectors of 13.8."""

from __future__ import annotations

import pytest

from tortie.net.error import InvalidInput
from tortie.render.marks import (
    MarkBits,
    allocate_bits,
    allocate_endpoint_marks,
    fnv1_32,
    mark_of_number,
    number_of_mark,
)


@pytest.mark.parametrize(
    ("mask", "expected", "non_calico"),
    [
        (0xFFFF0000, MarkBits(0x10000, 0x20000, 0x40000, 0x80000, 0xFFF00000), 0x100000),
        (0xF0F0, MarkBits(0x10, 0x20, 0x40, 0x80, 0xF000), 0x1000),
        (0x1F, MarkBits(1, 2, 4, 8, 0x10), 0x10),
    ],
)
def test_bits_are_taken_from_the_lowest_upwards(mask: int, expected: MarkBits, non_calico: int) -> None:
    bits = allocate_bits(mask)
    assert bits == expected
    assert bits.non_calico == non_calico


@pytest.mark.parametrize("mask", [0, 0x1, 0xF, 0xF0000, 0x1FFFFFFFF])
def test_a_mask_without_five_bits_of_32_is_refused(mask: int) -> None:
    with pytest.raises(InvalidInput, match="mark mask"):
        allocate_bits(mask)


@pytest.mark.parametrize(("number", "mark"), [(0xF, 0x2300004), (0x1F, 0x12300004), (0, 0), (1, 4)])
def test_a_number_is_laid_over_the_bits_of_a_mask_and_gathered_again(number: int, mark: int) -> None:
    assert mark_of_number(0x12300004, number) == mark
    assert number_of_mark(0x12300004, mark) == number


def test_a_number_too_large_for_its_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        mark_of_number(0x12300004, 0x1235)


def test_a_mark_outside_its_mask_has_no_number() -> None:
    with pytest.raises(ValueError, match="outside"):
        number_of_mark(0xFF00, 0x10000)


ENDPOINTS = [
    ("cali1234", 236477652, 0xCD400000, 0xD400),
    ("cali2333", 2481930151, 0xFA700000, 0xA700),
    ("cali2444", 15178834, 0xC5200000, 0x5200),
    ("cali11", 2887884290, 0xE0200000, 0x200),
    ("cali21", 2904662007, 0xFF700000, 0xF700),
    ("cali22", 2904662004, 0xFF400000, 0xF400),
    ("eth0", 144957346, 0xFA200000, 0xA200),
    ("eth1", 144957347, 0xFA300000, 0xA300),
]


@pytest.mark.parametrize(("name", "digest", "default", "small"), ENDPOINTS, ids=[row[0] for row in ENDPOINTS])
def test_endpoint_mark(name: str, digest: int, default: int, small: int) -> None:
    assert fnv1_32(name) == digest
    assert allocate_endpoint_marks(0xFFF00000, [name]) == {name: default}
    assert allocate_endpoint_marks(0xFF00, [name]) == {name: small}


def test_after_a_collision_the_next_free_place_is_taken_in_order_of_arrival() -> None:
    assert allocate_endpoint_marks(0xFF00, ["cali11", "cali12", "cali13"]) == {
        "cali11": 0x200,
        "cali12": 0x300,
        "cali13": 0x400,
    }


def test_a_mark_that_is_held_stays_and_is_not_given_to_another() -> None:
    held = {"cali13": 0x200, "gone": 0x300}
    assert allocate_endpoint_marks(0xFF00, ["cali11", "cali13"], held) == {"cali13": 0x200, "cali11": 0x300}


def test_endpoints_without_a_free_mark_are_left_out() -> None:
    names = [f"cali{number}" for number in range(20)]
    marks = allocate_endpoint_marks(0xF000, names)
    assert list(marks) == names[:14]
    assert set(marks.values()) == {position << 12 for position in range(2, 16)}


@pytest.mark.parametrize(
    ("names", "held", "message"),
    [
        ([""], {}, "without a name"),
        (["a"], {"a": 0x10000}, "outside"),
        (["a"], {"a": 0}, "belongs to another"),
        (["a"], {"a": 0x100}, "belongs to another"),
        (["a", "b"], {"a": 0x200, "b": 0x200}, "belongs to another"),
    ],
    ids=["no name", "outside the mask", "no mark", "mark of non-Calico endpoints", "held twice"],
)
def test_refused(names: list[str], held: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        allocate_endpoint_marks(0xFF00, names, held)
