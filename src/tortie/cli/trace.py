"""`tortie trace`: one packet in full, or many in short.

The command only sorts out what was asked; a packet's words are read in `packet_option`, its way in is worked out in
`arrival`, and what is shown is made in `trace_text` and `tortie.simulator.document`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from tortie.cli.exit_code import verdict_exit_code
from tortie.cli.packet_option import PACKET_OPTIONS, parse_packet_words
from tortie.cli.trace_option import SectionedCommand, TraceRequest, check_request, trace_params

if TYPE_CHECKING:
    from tortie.cli.terminal import Line
    from tortie.cli.trace_policy import Policy
    from tortie.cli.trace_text import View
    from tortie.netfilter.snapshot import Snapshot
    from tortie.simulator.flow import Flow
    from tortie.simulator.trace import Walk
    from tortie.simulator.walk import Arrival

_HELP = """Walk a packet through a node's rules, rule by rule, and say what becomes of it and why.

The packet is said as PROTO SRC[:PORT] DST[:PORT]. Without -n the live node is read (which needs root). The conversation is
followed too: whether the answer finds its way back. Nothing is sent.

\b
Examples:
  tortie trace tcp 10.65.0.2 10.65.1.9:80
  tortie trace -n node.tar.gz udp 10.0.0.5:5353 10.0.0.1:53 -i eth0 --misses
  tortie trace -n node.tar.gz tcp [fd00::5]:40000 [fd00::1]:443 --mark 0x4000
  tortie trace -n node.tar.gz icmp 10.0.0.5 10.1.0.9 --icmp-type echo-reply --state ESTABLISHED
  tortie trace -n node.tar.gz tcp 10.0.0.5 10.1.0.9:80 --edit "-I FORWARD 1 -s 10.0.0.0/8 -j DROP"
  tortie trace -n node.tar.gz tcp 10.65.0.2 10.65.1.9:80 -r resources/ --node node-1
  tortie trace -n node.tar.gz --batch packets.txt --json
  tortie trace -n node.tar.gz --pcap capture.pcap -i eth0 --packet 17

\b
Exit code: 0 the packet gets through, 1 it does not, 3 that is not known or a matter of chance, 2 bad input.
With --batch: 0 when every line could be read, 2 when one could not. With --pcap: 0 when packets could be walked.
"""


def _run(words: tuple[str, ...], **params: Any) -> None:
    keys = {option.key for option in PACKET_OPTIONS}
    given = {key: value for key, value in params.items() if key in keys and value is not None}
    request = TraceRequest(words, given, **{key: value for key, value in params.items() if key not in keys})
    check_request(request)
    if request.batch is not None:
        from tortie.cli.batch import run_batch

        code = run_batch(request)
    elif request.pcap is not None:
        from tortie.cli.capture import run_capture

        code = run_capture(request)
    else:
        code = run_single(request)
    click.get_current_context().exit(code)


trace = SectionedCommand(
    "trace", params=trace_params(), callback=_run, help=_HELP, context_settings={"max_content_width": 110}
)


def run_single(request: TraceRequest) -> int:
    """Traces one packet, shows it, and returns the exit code."""
    from tortie.cli.edit import apply_edits
    from tortie.cli.node_source import check_assumptions, load_node_snapshot, parse_assumptions

    asked = parse_packet_words(request.words, request.given)
    assumed = parse_assumptions(request.assume)
    before = load_node_snapshot(request.node, conntrack=request.conntrack)
    after = apply_edits(before, request.edit, asked.packet.family)
    told = _ask(after, request, assumed)
    check_assumptions(assumed, told.walks)
    earlier = _ask(before, request, assumed) if request.edit else None
    policy = _policy(told, request, assumed) if request.resources else None
    if request.json:
        _write_json(told, earlier, request, policy)
    else:
        _write_text(told, earlier, request, policy)
    return verdict_exit_code(told.first.verdict)


@dataclass(frozen=True, slots=True)
class _Told:
    """One packet walked over one snapshot; `flow` is None when only the packet was asked for."""

    snapshot: Snapshot
    notes: tuple[str, ...]
    arrival: Arrival
    clock_s: float
    first: Walk
    flow: Flow | None

    @property
    def walks(self) -> tuple[Walk, ...]:
        """All walks there were."""
        if self.flow is None:
            return (self.first,)
        return tuple(walk for walk in (self.flow.first, self.flow.reply, self.flow.again) if walk is not None)


def _ask(snapshot: Snapshot, request: TraceRequest, assumed: dict[str, str]) -> _Told:
    import time

    from tortie.cli.arrival import plan_arrival
    from tortie.cli.node_source import snapshot_notes
    from tortie.simulator.flow import walk_flow
    from tortie.simulator.walk import Node, walk

    node = Node.from_snapshot(snapshot)
    asked = parse_packet_words(request.words, request.given)
    planned = plan_arrival(asked, node)
    notes = (*planned.notes, *snapshot_notes(snapshot))
    clock_s = time.time() if asked.time_s is None else asked.time_s
    session = node.session(clock_s=clock_s)
    # Of a long ruleset most rules miss; they are told one by one only where somebody asks.
    keep_misses = request.misses or request.json
    if request.one:
        walked = walk(node, planned.arrival, session, assume=assumed, keep_misses=keep_misses)
        return _Told(snapshot, notes, planned.arrival, clock_s, walked, None)
    flow = walk_flow(node, planned.arrival, session, assume=assumed, keep_misses=keep_misses)
    return _Told(snapshot, notes, planned.arrival, clock_s, flow.first, flow)


def _policy(told: _Told, request: TraceRequest, assumed: dict[str, str]) -> Policy:
    """What the resources tell of the walk."""
    from tortie.cli.trace_policy import find_policy
    from tortie.explain.world import Answer, Question

    question = Question(told.arrival, told.clock_s, assumed, one=request.one)
    return find_policy(request, told.snapshot, question, Answer(told.first, told.flow))


def _write_json(told: _Told, earlier: _Told | None, request: TraceRequest, policy: Policy | None) -> None:
    from tortie.cli.document_text import write_document
    from tortie.simulator.document import brief_document, flow_document, walk_document
    from tortie.simulator.summary import read_naming

    naming = read_naming(told.snapshot.rulesets)
    if policy is not None:
        naming = replace(naming, origin=policy.node.step_document)
    if request.brief:
        document = brief_document(told.first, naming)
    else:
        document = walk_document(told.first, naming, node=told.snapshot.name, lazily=True)
        document["flow"] = None if told.flow is None else flow_document(told.flow, naming, lazily=True)
    document["notes"] = list(told.notes)
    if policy is not None:
        document["policy"] = policy.node.document(policy.explanation)
    if earlier is not None:
        changed = earlier.first.verdict is not told.first.verdict
        before = brief_document(earlier.first, read_naming(earlier.snapshot.rulesets))
        document["edit"] = {"commands": list(request.edit), "before": before, "changes_verdict": changed}
    write_document(document)


def _write_text(told: _Told, earlier: _Told | None, request: TraceRequest, policy: Policy | None) -> None:
    from tortie.cli.terminal import find_paper, write_lines
    from tortie.cli.trace_text import edit_lines, flow_lines, walk_lines
    from tortie.simulator.summary import read_naming

    view = make_view(told.snapshot, request)
    heads: list[Line] = []
    tails: list[Line] = []
    if policy is not None:
        from tortie.cli.trace_policy import head_lines, policy_lines

        view = replace(view, origin=policy.node.note)
        heads, tails = list(head_lines(policy)), list(policy_lines(policy))
    lines = list(walk_lines(told.first, view, notes=told.notes, heads=heads))
    if told.flow is not None:
        lines += flow_lines(told.flow, view, full=request.flow)
    lines += tails
    if earlier is not None:
        lines += edit_lines(request.edit, earlier.first, told.first, read_naming(earlier.snapshot.rulesets), view.naming)
    sys.stdout.write(write_lines(lines, find_paper(request.color)))


def make_view(snapshot: Snapshot, request: TraceRequest) -> View:
    """How much of a walk to show, and what names mean on this node."""
    from tortie.cli.trace_text import View
    from tortie.simulator.summary import read_naming

    backends = len({ruleset.backend for ruleset in snapshot.rulesets}) > 1
    return View(read_naming(snapshot.rulesets), misses=request.misses, brief=request.brief, backends=backends)
