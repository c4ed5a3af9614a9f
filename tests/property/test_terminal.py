"""Breaking a line loses no word, and no row is longer than the paper unless it is one word."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tortie.cli.terminal import Line, Paper, Style, write_lines

PIECES = st.lists(
    st.tuples(st.text(alphabet="ab  -", max_size=12), st.sampled_from([Style.PLAIN, Style.BAD])), max_size=6
).map(tuple)
LINES = st.builds(Line, PIECES, st.integers(0, 8), st.integers(0, 4), st.text(alphabet="ab ", max_size=20))


@given(LINES, st.integers(1, 40))
def test_no_word_is_lost_and_rows_fit(line: Line, width: int) -> None:
    text = write_lines([line], Paper(width))
    note = ["#", *line.note.split()] if line.note else []
    assert text.split() == "".join(piece for piece, _ in line.pieces).split() + note
    for row in text.splitlines():
        assert len(row) <= width or len(row.split()) == 1
