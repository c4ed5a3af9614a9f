"""What is raised when the kernel, or the tool that speaks to it, does not do what it was told."""

from __future__ import annotations

from collections.abc import Sequence

_REMEDIES = (
    # net/netfilter/ipset/ip_set_hash_gen.h, mtype_add: a set has its `maxelem` of elements.
    ("Hash is full", "the set has no room for more members: raise MaxIpsetSize, or let selectors choose fewer"),
)
"""Words of the tools, and what is to be done about them."""


class KernelRefused(Exception):
    """A command that did not do its work: what it was, what it said, and the line of its input that it stumbled over."""

    def __init__(self, command: Sequence[str], message: str, line: str | None = None) -> None:
        super().__init__(command, message, line)
        self.command = tuple(command)
        self.message = message
        self.line = line

    def __str__(self) -> str:
        text = f"`{' '.join(self.command)}`: {self.message}"
        if self.line is not None:
            text += f" (at `{self.line}`)"
        remedy = next((remedy for words, remedy in _REMEDIES if words in self.message), None)
        return text if remedy is None else f"{text}; {remedy}"
