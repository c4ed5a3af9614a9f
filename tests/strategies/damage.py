"""Text as it comes when a file was cut, edited by hand or made up: real output with a few things changed."""

from __future__ import annotations

from hypothesis import strategies as st

TOKENS = (
    "", " ", "\n", "\t", "\0", "\x1c", "\u2028", '"', "'", "\\", "/", "-", ":", "::", ",", ".", "=", "!", "#", "[", "]",
    "{", "}", "(", ")", "null", "true", "[]", "{}", "0", "-1", "1.5", "255", "256", "65536", "4294967296",
    "99999999999999999999999", "0x", "0xff", "²", "٣", "é", "1e999", "NaN", "%e0", "10.0.0.1", "fd00::1", "/33", "/129",
    "a" * 70,
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    """The text after one to four changes: parts cut out, doubled, moved or replaced."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 30)))
        part = text[start:end]
        kind = draw(st.sampled_from(("cut", "double", "replace", "insert", "truncate", "move")))
        if kind == "cut":
            text = text[:start] + text[end:]
        elif kind == "double":
            text = text[:end] + part + text[end:]
        elif kind == "truncate":
            text = text[:end]
        elif kind == "move":
            rest = text[:start] + text[end:]
            place = draw(st.integers(0, len(rest)))
            text = rest[:place] + part + rest[place:]
        else:
            token = draw(st.sampled_from(TOKENS) | st.text(max_size=4))
            text = text[:start] + token + text[start if kind == "insert" else end :]
    return text
