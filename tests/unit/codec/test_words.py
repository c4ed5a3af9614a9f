"""Splitting and quoting as iptables-restore and iptables-save do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.codec.words import quote, quotes_are_open, split_words
from tortie.net.error import InvalidInput

SPLIT = [
    ("", []),
    ("-p tcp", ["-p", "tcp"]),
    ("  -p \t tcp  ", ["-p", "tcp"]),
    ('--comment "a b"', ["--comment", "a b"]),
    ('--comment ""', ["--comment", ""]),
    (r'--comment "it\'s"', ["--comment", "it's"]),
    (r'--comment "a \"b\" c"', ["--comment", 'a "b" c']),
    (r'--comment "a\\b"', ["--comment", "a\\b"]),
    (r"--comment a\b", ["--comment", "a\\b"]),
    ("--comment 'a b'", ["--comment", "'a", "b'"]),
    ('-i e"h', ["-i", 'e"h']),
    ('-i a"b"c', ["-i", 'a"b"c']),
    ('-j "x', ["-j", '"x']),
    ('-i "x -j y"', ["-i", "x -j y"]),
    ('-j "DROP"', ["-j", "DROP"]),
    ("-N a\u00a0b", ["-N", "a\u00a0b"]),
    ('--comment "a\nb" -j x', ["--comment", "a\nb", "-j", "x"]),
    ("-i a\x1cb", ["-i", "a\x1cb"]),
]


@pytest.mark.parametrize(("text", "words"), SPLIT, ids=[repr(text) for text, _ in SPLIT])
def test_words_are_split_at_blanks_outside_quotes(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize("text", ['"a', '--comment "a b', '--comment "a"b', r'--comment "a\"'])
def test_a_quoted_word_without_an_end_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        split_words(text)


QUOTED = [
    ("ab_-9", "ab_-9"),
    ("-j", "-j"),
    ("", '""'),
    ("a b", '"a b"'),
    ("a,b", '"a,b"'),
    ("it's", '"it\\\'s"'),
    ('q"q', '"q\\"q"'),
    ("b\\s", '"b\\\\s"'),
    ("ä", '"ä"'),
]


@pytest.mark.parametrize(("text", "printed"), QUOTED, ids=[repr(text) for text, _ in QUOTED])
def test_only_harmless_strings_are_printed_bare(text: str, printed: str) -> None:
    assert quote(text) == printed


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=30))
def test_what_is_quoted_is_read_back(text: str) -> None:
    assert split_words(f"--comment {quote(text)} -j x") == ["--comment", text, "-j", "x"]


OPEN = [
    ('-A x -m comment --comment "a', True),
    ('-A x -m comment --comment "a" -j b', False),
    ('-A x -m comment --comment "a \\"', True),
    ('-A x -m comment --comment "a \\"b" -j c', False),
    ('-A x -m comment --comment "a" --log-prefix "b', True),
    ('-A x -i e"h', False),
    ('-A x -j "y', False),
    ('-A "x -j y', False),
    ("-A x", False),
]


@pytest.mark.parametrize(("line", "is_open"), OPEN, ids=[line for line, _ in OPEN])
def test_a_string_that_goes_on_in_the_next_line_is_noticed(line: str, is_open: bool) -> None:
    assert quotes_are_open(line) is is_open
