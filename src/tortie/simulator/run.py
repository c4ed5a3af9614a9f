"""One outcome of one packet in the making: what the walk has seen, said and assumed so far.

`Run` is handed through every part of a walk. Steps are kept only when somebody wants to see them. The end of a packet
that does not get through is raised as `Ended`, from however deep, so that no caller can forget to stop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tortie.simulator.learned import Learned
from tortie.simulator.trace import DecidedBy, Disposition, Step, Trace, Verdict

if TYPE_CHECKING:
    from tortie.simulator.choice import Chooser
    from tortie.simulator.nat import PickPort
    from tortie.simulator.reply import Reply
    from tortie.simulator.session import Session
    from tortie.simulator.skb import Skb

SendAnswer = Callable[["Run", "Skb", "Reply"], None]
"""Run and packet of the walk that causes it, and what the node sends."""


class Ended(Exception):
    """A packet's way ends before it leaves or is delivered; `errno` is what a local sender gets."""

    def __init__(
        self,
        verdict: Verdict,
        decided_by: DecidedBy,
        *,
        disposition: Disposition = Disposition.DROPPED,
        errno: str | None = None,
    ) -> None:
        super().__init__(decided_by.text)
        self.verdict = verdict
        self.decided_by = decided_by
        self.disposition = disposition
        self.errno = errno


class Run:
    """The state of one walk beside the packet itself."""

    __slots__ = (
        "answers", "assumptions", "chooser", "decided_by", "is_plain", "keep_misses", "learned", "maybe", "miss_reason",
        "pick", "random_dport", "random_sport", "send_answer", "session", "source_unknown", "steps",
    )  # fmt: skip

    def __init__(
        self,
        session: Session,
        chooser: Chooser,
        pick: PickPort,
        send_answer: SendAnswer,
        *,
        keep_steps: bool,
        keep_misses: bool = True,
    ) -> None:
        self.session = session
        self.chooser = chooser
        self.pick = pick
        self.send_answer = send_answer
        """Sends a packet that the node makes because of this one (REJECT, ICMP errors), with a walk of its own."""
        self.steps: list[Step] | None = [] if keep_steps else None
        self.keep_misses = keep_misses
        """False where misses are only counted: one step stands for all misses of a chain, again and again."""
        self.is_plain = True
        """False once the walk through the table at hand met something that is no plain rule (`memo`)."""
        self.answers: list[Trace] = []
        self.assumptions: dict[str, None] = {}
        """What was taken for granted, in order and once each."""
        self.learned = Learned()
        self.decided_by: DecidedBy | None = None
        """The rule or policy that last accepted the packet in a filtering table."""
        self.maybe: str | None = None
        """Why it is not certain that the rule now looked at matches, when that does not matter for the outcome."""
        self.miss_reason: str | None = None
        """Why the rule now looked at misses, when it is not its last test that says so."""
        self.source_unknown = False
        """True when the source was masqueraded to an address that the snapshot does not hold."""
        self.random_sport: tuple[int, int] | None = None
        self.random_dport: tuple[int, int] | None = None

    def assume(self, text: str) -> None:
        """Remembers something that the snapshot does not hold and the walk took for granted."""
        self.assumptions[text] = None

    def child(self) -> Run:
        """For the walk of an answer: shares what was chosen and changed so far, tells its own steps."""
        keep_steps = self.steps is not None
        child = Run(
            self.session, self.chooser, self.pick, self.send_answer, keep_steps=keep_steps, keep_misses=self.keep_misses
        )
        child.learned = self.learned
        return child
