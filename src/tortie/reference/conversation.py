"""A packet and the answer to it: whether a conversation gets anywhere at a node."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tortie.model.read import Resources
from tortie.reference.configuration import Configuration, read_configuration
from tortie.reference.decide import decide_at
from tortie.reference.decision import Decision, Verdict
from tortie.reference.flow import Flow
from tortie.reference.site import Interfaces, site_of


@dataclass(frozen=True, slots=True)
class Conversation:
    """What becomes of the first packet and, if it may be sent at all, of the first answer."""

    first: Decision
    answer: Decision | None

    @property
    def verdict(self) -> Verdict:
        """ALLOWED when both directions are."""
        return self.first.verdict if self.answer is None else self.answer.verdict


def decide_conversation(
    resources: Resources,
    node: str,
    flow: Flow,
    *,
    interfaces: Interfaces | None = None,
    configuration: Configuration | None = None,
) -> Conversation:
    """Decides a packet and, where that is allowed, its answer, which comes from where the packet went.

    Answers of connections that are tracked meet untracked policy alone; those of untracked packets, all policy.
    """
    config = read_configuration(resources, node) if configuration is None else configuration
    site = site_of(resources, node, config, interfaces)
    first = decide_at(site, flow)
    if first.verdict is not Verdict.ALLOWED:
        return Conversation(first, None)
    asked = replace(flow, translated=None, translated_port=None) if first.untracked else site.translated(flow)
    return Conversation(first, decide_at(site, asked.answered(untracked=first.untracked)))
