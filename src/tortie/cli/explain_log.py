"""`tortie explain-log`: the kernel's own trace, explained rule by rule and checked against the simulator."""

from __future__ import annotations

import click

from tortie.cli.exit_code import EXIT_NOT_KNOWN, EXIT_PASSED, EXIT_STOPPED
from tortie.cli.trace_option import NODE, SHOWN, SectionedCommand, SectionedOption, check_stdin, color_option

_HELP = """Explain TRACE lines of the kernel rule by rule, and say where the simulator disagrees.

FILE (- is stdin) holds what dmesg or the journal, xtables-monitor --trace or nft monitor trace printed, among any other
lines. The rules are looked up in the snapshot, or on the live node without -n; they should be those of the time of the log,
among them the one that switched tracing on: legacy iptables tells rules by their numbers only.

\b
Examples:
  dmesg | tortie explain-log -
  tortie explain-log -n node.tar.gz trace.log
  xtables-monitor --trace > trace.log; tortie explain-log trace.log --brief

\b
Exit code: 0 log and simulator agree on every packet, 1 they disagree on one, 3 a packet could not be compared, 2 bad input.
"""


@click.command(
    "explain-log",
    cls=SectionedCommand,
    help=_HELP,
    context_settings={"max_content_width": 110},
    params=[
        click.Argument(["file"], metavar="FILE"),
        SectionedOption(
            ("-n", "--snapshot", "node"),
            NODE,
            "Snapshot (file or directory) instead of the live node.",
            metavar="SNAPSHOT",
        ),
        SectionedOption(
            ("--conntrack",), NODE, "Connections before the log begins, as conntrack -L prints them.", metavar="FILE"
        ),
        SectionedOption(("--brief",), SHOWN, "Only whether they agree.", is_flag=True),
        SectionedOption(("--json",), SHOWN, "One JSON document a packet (docs/trace-schema.md).", is_flag=True),
        color_option(),
    ],
)
@click.pass_context
def explain_log(
    context: click.Context, file: str, node: str | None, conntrack: str | None, brief: bool, json: bool, color: str
) -> None:
    """The command."""
    import time

    from tortie.cli.log_explanation import LogExplainer, write_json, write_text
    from tortie.cli.node_source import load_node_snapshot, read_text, source_name, tell_snapshot_notes
    from tortie.cli.trace_text import View
    from tortie.codec.tracelog import group_steps, parse_tracelog
    from tortie.simulator.summary import read_naming
    from tortie.simulator.walk import Node

    check_stdin(file, node, conntrack)
    groups = group_steps(parse_tracelog(read_text(file), source=source_name(file)))
    snapshot = load_node_snapshot(node, conntrack=conntrack)
    tell_snapshot_notes(snapshot)
    explainer = LogExplainer(Node.from_snapshot(snapshot), clock_s=time.time())
    every = (explainer.explain(group) for group in groups)
    naming = read_naming(snapshot.rulesets)
    if json:
        found = write_json(every, naming)
    else:
        backends = len({ruleset.backend for ruleset in snapshot.rulesets}) > 1
        found = write_text(every, View(naming, brief=brief, backends=backends), color)
    agreed = [one.agreement.agrees if one.agreement is not None else None for one in found]
    context.exit(EXIT_STOPPED if False in agreed else EXIT_NOT_KNOWN if None in agreed else EXIT_PASSED)
