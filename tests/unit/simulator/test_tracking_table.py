"""The tables of connection tracking (spec: netfilter 4.3 to 4.5)."""

from __future__ import annotations

import pytest

from tortie.netfilter.conntrack import TcpState
from tortie.netfilter.match import Direction
from tortie.simulator.tracking_table import ICMP_INVERSE, TCP_MOVES, TcpKind, TcpMove, tcp_kind

_FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32}
VALID = {
    "S": TcpKind.SYN, "SU": TcpKind.SYN, "SA": TcpKind.SYN_ACK, "R": TcpKind.RST, "RA": TcpKind.RST, "FA": TcpKind.FIN,
    "FAU": TcpKind.FIN, "A": TcpKind.ACK, "AU": TcpKind.ACK,
}  # fmt: skip


def bits(flags: str) -> int:
    return sum(_FLAGS[flag] for flag in flags)


def test_exactly_nine_flag_combinations_are_valid_whatever_push_and_congestion_say() -> None:
    valid = {bits(flags): kind for flags, kind in VALID.items()}
    for flags in range(256):
        assert tcp_kind(flags) is valid.get(flags & ~(8 | 64 | 128))


COLUMNS = [
    "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2",
]  # fmt: skip
MATRIX = """
ORIGINAL SYN     SYN_SENT same same same same same new new SYN_SENT2
ORIGINAL SYN+ACK INV SYN_RECV INV INV INV INV INV INV SYN_RECV
ORIGINAL FIN+ACK INV FIN_WAIT FIN_WAIT LAST_ACK LAST_ACK LAST_ACK TIME_WAIT CLOSE INV
ORIGINAL ACK     INV ESTABLISHED ESTABLISHED CLOSE_WAIT CLOSE_WAIT TIME_WAIT TIME_WAIT CLOSE INV
ORIGINAL RST     CLOSE CLOSE CLOSE CLOSE CLOSE CLOSE CLOSE CLOSE CLOSE
REPLY    SYN     SYN_SENT2 INV INV INV INV INV new INV SYN_SENT2
REPLY    SYN+ACK SYN_RECV same same same same same same same SYN_RECV
REPLY    FIN+ACK INV FIN_WAIT FIN_WAIT LAST_ACK LAST_ACK LAST_ACK TIME_WAIT CLOSE INV
REPLY    ACK     same SYN_RECV ESTABLISHED CLOSE_WAIT CLOSE_WAIT TIME_WAIT TIME_WAIT CLOSE same
REPLY    RST     CLOSE CLOSE CLOSE CLOSE CLOSE CLOSE CLOSE CLOSE CLOSE
"""
_MOVES = {"INV": TcpMove.INVALID, "same": TcpMove.SAME, "new": TcpMove.NEW_CONNECTION}


@pytest.mark.parametrize("row", MATRIX.strip().splitlines(), ids=lambda row: " ".join(row.split()[:2]))
def test_a_row_of_the_matrix_observed_on_the_kernel(row: str) -> None:
    direction, kind, *cells = row.split()
    for column, cell in zip(COLUMNS, cells, strict=True):
        expected = _MOVES.get(cell) or TcpState[cell]
        assert TCP_MOVES[Direction(direction), TcpKind(kind), TcpState[column]] is expected, column


def test_queries_and_answers_of_icmp_are_each_others_inverse() -> None:
    assert all(ICMP_INVERSE[answer] == query for query, answer in ICMP_INVERSE.items())
