"""What is missing when a source refuses something, told from as much as it says."""

from __future__ import annotations

from typing import Any

from tortie.model.closing import Loss, LostAnything, loss_of_object, loss_of_text
from tortie.model.event import Refused
from tortie.model.read import Key
from tortie.model.resource import CALICO_VERSION


def refusal_loss(event: Refused) -> Loss | None:
    """What is missing; None when it is nothing that could stop a packet.

    Of an object that is not data its key tells the kind; what has neither could have been anything.
    """
    if event.superfluous:
        return None
    if isinstance(event.data, str) and event.key is None:
        return loss_of_text(event.data, event.problem)
    if event.data is not None and not isinstance(event.data, str):
        return loss_of_object(event.data, event.problem)
    if event.key is not None:
        return loss_of_object(_bare_object(event.key), event.problem)
    return LostAnything(event.problem)


def _bare_object(key: Key) -> dict[str, Any]:
    metadata = {"name": key.name} | ({"namespace": key.namespace} if key.namespace else {})
    return {"apiVersion": CALICO_VERSION, "kind": key.kind, "metadata": metadata}
