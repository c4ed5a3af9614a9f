"""`tortie trace --batch`: a packet a line in, a JSON document a line out.

A line that cannot be read gets a document too, with its number and the error, and the others go on; the exit code then is
2. Blank lines and lines that start with `#` are skipped. Without `--stateful` every packet meets the node as the snapshot
shows it. With resources each document has the policy behind its walk.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tortie.cli.arrival import plan_arrival
from tortie.cli.edit import apply_edits
from tortie.cli.exit_code import EXIT_BAD_INPUT, EXIT_PASSED
from tortie.cli.node_source import load_node_snapshot, open_stdin, parse_assumptions, tell_snapshot_notes
from tortie.cli.packet_option import parse_packet_words, split_words
from tortie.cli.trace_option import TraceRequest
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.simulator.document import SCHEMA, Document, brief_document, walk_document
from tortie.simulator.session import Session
from tortie.simulator.summary import Naming, read_naming
from tortie.simulator.walk import Node, walk

if TYPE_CHECKING:
    from tortie.cli.trace_policy import NodePolicy


class Batch:
    """A node and what is asked of every packet."""

    def __init__(
        self,
        node: Node,
        *,
        assume: dict[str, str],
        stateful: bool,
        brief: bool,
        clock_s: float,
        policy: NodePolicy | None = None,
    ) -> None:
        self._node = node
        self._policy = policy
        self._naming: Naming = read_naming(node.snapshot.rulesets)
        if policy is not None:
            self._naming = replace(self._naming, origin=policy.step_document)
        self._assume = assume
        self._stateful = stateful
        self._brief = brief
        self._clock_s = clock_s
        self._session: Session = node.session(clock_s=clock_s)

    def documents(self, lines: Iterable[str]) -> Iterator[Document]:
        """A document for every line that holds a packet or should."""
        for number, line in enumerate(lines, 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            try:
                yield {"line": number} | self._trace(text)
            except InvalidInput as error:
                yield {"schema": SCHEMA, "line": number, "error": error.message, "remedy": error.remedy}

    def _trace(self, text: str) -> Document:
        asked = parse_packet_words(*split_words(text))
        planned = plan_arrival(asked, self._node)
        session = self._session if self._stateful else self._session.begin()
        session.clock_s = self._clock_s if asked.time_s is None else asked.time_s
        keep_steps = not self._brief or self._policy is not None
        found = walk(
            self._node, planned.arrival, session, assume=self._assume, keep_steps=keep_steps, keep_misses=not self._brief
        )
        if self._brief:
            document = brief_document(found, self._naming)
        else:
            document = walk_document(found, self._naming, node=self._node.snapshot.name) | {"flow": None}
        document["notes"] = list(planned.notes)
        if self._policy is not None:
            document["policy"] = self._policy.document(self._policy.attribute(found))
        return document


def run_batch(request: TraceRequest) -> int:
    """Traces every line of a file or of stdin; 2 when one could not be read, else 0."""
    import msgspec

    assert request.batch is not None
    snapshot = load_node_snapshot(request.node, conntrack=request.conntrack)
    tell_snapshot_notes(snapshot)
    snapshot = apply_edits(snapshot, request.edit, IPFamily.V4)
    policy = None
    if request.resources:
        from tortie.cli.trace_policy import read_policy

        policy = read_policy(request, snapshot)
    batch = Batch(
        Node.from_snapshot(snapshot),
        assume=parse_assumptions(request.assume),
        stateful=bool(request.stateful),
        brief=request.brief,
        clock_s=time.time(),
        policy=policy,
    )
    code = EXIT_PASSED
    encoder = msgspec.json.Encoder()
    for document in batch.documents(_lines(request.batch)):
        _write(encoder, document, live=request.batch == "-")
        if "error" in document:
            code = EXIT_BAD_INPUT
    return code


def _write(encoder: Any, document: Document, *, live: bool) -> None:
    """One document; on stdin the other side may wait for its answer before it sends the next packet."""
    sys.stdout.write(encoder.encode(document).decode() + "\n")
    if live:
        sys.stdout.flush()


def _lines(path: str) -> Iterator[str]:
    """The lines of a file, read as they come; bytes that are no UTF-8 become a line that cannot be read."""
    if path == "-":
        for line in open_stdin():
            yield line.decode(errors="replace")
        return
    try:
        with open(path, "rb") as stream:
            for line in stream:
                yield line.decode(errors="replace")
    except OSError as error:
        raise InvalidInput(error.strerror or str(error), source=path) from None
