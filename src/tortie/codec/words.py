"""Words of a rule line: splitting and quoting as iptables-restore and iptables-save do (spec: netfilter 9.3).

Only spaces and tabs separate words and only double quotes group; a backslash escapes the next character inside quotes
and nowhere else. A quote in the middle of a word is an ordinary character: that is how iptables-save prints an interface
or chain whose name holds one. Other Unicode blanks are ordinary characters too.
"""

from __future__ import annotations

import re

from tortie.net.error import InvalidInput

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"(?![^ \t])|([^ \t"][^ \t]*)', re.DOTALL)
_BARE_WORD = re.compile(r"(\0)?([^ \t]+)")
_NAMED = ("-j", "-g", "-i", "-o")
"""Options whose argument is a name that save prints as it is, even when it begins with a quote."""
_BLANKS = re.compile(r"[ \t]*")
_STRING_START = re.compile(r'[ \t]--[A-Za-z0-9-]+[ \t]+"')
_STRING_END = re.compile(r'(?:[^"\\]|\\.)*"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_NEEDS_ESCAPE = re.compile(r"""(["'\\])""")


def split_words(text: str) -> list[str]:
    """The words of a line with quotes removed; raises `InvalidInput` when a quoted word has no proper end."""
    if '"' not in text:
        return (
            text.split() if text.isascii() and text.isprintable() else [word for word in re.split("[ \t]+", text) if word]
        )
    words: list[str] = []
    position = _skip_blanks(text, 0)
    while position < len(text):
        found = _WORD.match(text, position)
        if found is None and words and words[-1] in _NAMED:
            found = _BARE_WORD.match(text, position)
        if found is None:
            raise InvalidInput(f"quotes do not close a word: {text[position : position + 40]!r}")
        quoted, bare = found.groups()
        words.append(bare if quoted is None else unescape(quoted))
        position = _skip_blanks(text, found.end())
    return words


def _skip_blanks(text: str, position: int) -> int:
    found = _BLANKS.match(text, position)
    return found.end() if found else position


def unescape(text: str) -> str:
    """The inside of a quoted word with its backslashes resolved."""
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text


def quote(text: str) -> str:
    """A string as iptables-save prints it: bare when it is harmless, else in double quotes."""
    return text if _BARE.fullmatch(text) else quote_always(text)


def quote_always(text: str) -> str:
    """A string in double quotes, with a backslash before quotes and backslashes."""
    if '"' in text or "'" in text or "\\" in text:
        text = _NEEDS_ESCAPE.sub(r"\\\1", text)
    return f'"{text}"'


def quotes_are_open(text: str) -> bool:
    """True when a quoted word that starts in this line does not end in it: the printed string held a line feed."""
    start = 0
    while (found := _STRING_START.search(text, start)) is not None:
        end = _STRING_END.match(text, found.end())
        if end is None:
            return True
        start = end.end()
    return False
