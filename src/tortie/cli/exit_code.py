"""Exit codes of all commands, and which verdict has which."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tortie.simulator.trace import Verdict

EXIT_PASSED = 0
EXIT_STOPPED = 1
EXIT_BAD_INPUT = 2
EXIT_NOT_KNOWN = 3
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
"""128 plus the signal's number, as shells count."""

_BY_VERDICT = {
    "ACCEPT": EXIT_PASSED,
    "DROP": EXIT_STOPPED,
    "REJECT": EXIT_STOPPED,
    "UNKNOWN": EXIT_NOT_KNOWN,
    "MAYBE": EXIT_NOT_KNOWN,
}


def verdict_exit_code(verdict: Verdict) -> int:
    """0 when the packet gets through, 1 when it does not, 3 when that is not known or a matter of chance."""
    return _BY_VERDICT[verdict.value]
