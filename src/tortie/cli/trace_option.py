"""The options of `tortie trace`, under headings, and the request they make.

Options of the packet come from the one table in `packet_option`; the others stand here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from tortie.cli.packet_option import PACKET_OPTIONS
from tortie.net.error import InvalidInput


class SectionedOption(click.Option):
    """An option that belongs under a heading of the help."""

    def __init__(self, names: Sequence[str], section: str, help_text: str, **more: Any) -> None:
        super().__init__(names, help=help_text, **more)
        self.section = section


class SectionedCommand(click.Command):
    """A command whose options are listed under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes one section a heading, in the order of the options."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                sections.setdefault(getattr(param, "section", "Help"), []).append(record)
        for heading, rows in sections.items():
            with formatter.section(heading):
                formatter.write_dl(rows)


NODE, PACKET, MANY, SHOWN = "The node", "The packet", "Many packets", "What is shown"
_TEXT: dict[str, Any] = {"type": str, "default": None}
_TEXTS: dict[str, Any] = {"type": str, "multiple": True}
_FLAG: dict[str, Any] = {"is_flag": True, "default": False}


def node_options() -> list[click.Parameter]:
    """Which node, and what to change in it first."""
    return [
        SectionedOption(
            ("-n", "--snapshot", "node"),
            NODE,
            "Snapshot (file or directory) instead of the live node.",
            metavar="SNAPSHOT",
            **_TEXT,
        ),
        SectionedOption(
            ("-r", "--resources"),
            NODE,
            "Calico's resources (files or directories), to name policies and pods and, of a single packet, to say what"
            " would let it through. Repeatable.",
            metavar="DIR",
            **_TEXTS,
        ),
        SectionedOption(
            ("--node", "node_name"),
            NODE,
            "With -r: the node's name in the resources; this host's by default.",
            metavar="NAME",
            **_TEXT,
        ),
        SectionedOption(
            ("--conntrack",), NODE, "Connections to start with, as conntrack -L prints them.", metavar="FILE", **_TEXT
        ),
        SectionedOption(
            ("--edit",),
            NODE,
            "Apply an iptables command to the rules first, in memory, and say what it changes. Repeatable.",
            metavar="COMMAND",
            **_TEXTS,
        ),
        SectionedOption(
            ("--assume",),
            NODE,
            "Decide something that the snapshot leaves open, such as filter:FORWARD:3=match. Repeatable.",
            metavar="SUBJECT=OPTION",
            **_TEXTS,
        ),
    ]


def packet_options() -> list[click.Parameter]:
    """The table of `packet_option` as click knows options; every value stays text."""
    options: list[click.Parameter] = []
    for option in PACKET_OPTIONS:
        kind: dict[str, Any] = {"metavar": option.metavar} if option.metavar else {"is_flag": True, "flag_value": "yes"}
        options.append(SectionedOption(option.names, PACKET, option.help, **kind, **_TEXT))
    return options


def many_options() -> list[click.Parameter]:
    """Where many packets come from."""
    return [
        SectionedOption(
            ("--batch",),
            MANY,
            "Packets from a file (- is stdin), one a line in these same words; one JSON document a line comes out.",
            metavar="FILE",
            **_TEXT,
        ),
        SectionedOption(
            ("--pcap",), MANY, "Packets of a capture (pcap or pcapng, - is stdin), summed up.", metavar="FILE", **_TEXT
        ),
        SectionedOption(
            ("--packet",),
            MANY,
            "Show this packet of the capture in full. Repeatable.",
            metavar="N",
            type=int,
            multiple=True,
        ),
        SectionedOption(
            ("--stateful/--stateless",),
            MANY,
            "Let connections live from packet to packet: usual with --pcap, not with --batch.",
            default=None,
        ),
    ]


def shown_options() -> list[click.Parameter]:
    """What is shown, and how."""
    return [
        SectionedOption(("--one",), SHOWN, "Only this packet, not the answer to it.", **_FLAG),
        SectionedOption(("--flow",), SHOWN, "The packet, the answer and the next packet, each in full.", **_FLAG),
        SectionedOption(("--misses",), SHOWN, "Also the rules that did not match, each with its reason.", **_FLAG),
        SectionedOption(("--brief",), SHOWN, "Only the outcome; in JSON without steps.", **_FLAG),
        SectionedOption(("--json",), SHOWN, "A JSON document (docs/trace-schema.md).", **_FLAG),
        color_option(),
    ]


def color_option() -> click.Parameter:
    """`--color`, for every command that writes for people."""
    words = click.Choice(("auto", "always", "never"))
    return SectionedOption(("--color",), SHOWN, "When to use colour; NO_COLOR is respected.", type=words, default="auto")


def trace_params() -> list[click.Parameter]:
    """All parameters of `tortie trace`."""
    words = click.Argument(["words"], nargs=-1, metavar="PROTO SRC[:PORT] DST[:PORT]")
    return [words, *node_options(), *packet_options(), *many_options(), *shown_options()]


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """What the command line asked for; `given` holds the packet's options as text."""

    words: tuple[str, ...] = ()
    given: dict[str, str] = field(default_factory=dict)
    node: str | None = None
    """Where the node comes from: a snapshot, or the live node."""
    resources: tuple[str, ...] = ()
    node_name: str | None = None
    conntrack: str | None = None
    edit: tuple[str, ...] = ()
    assume: tuple[str, ...] = ()
    batch: str | None = None
    pcap: str | None = None
    packet: tuple[int, ...] = ()
    stateful: bool | None = None
    one: bool = False
    flow: bool = False
    misses: bool = False
    brief: bool = False
    json: bool = False
    color: str = "auto"


def check_request(request: TraceRequest) -> None:
    """Refuses options that make no sense together, rather than ignoring one of them."""
    if request.batch is not None and request.pcap is not None:
        raise InvalidInput("--batch and --pcap exclude each other")
    if request.one and request.flow:
        raise InvalidInput("--one and --flow exclude each other")
    if request.brief and request.misses:
        raise InvalidInput("--brief and --misses exclude each other")
    many = request.batch or request.pcap
    if many and request.words:
        raise InvalidInput(
            f"a packet and a file of packets: {' '.join(request.words)!r} and {many!r}", remedy="give one of them"
        )
    if many and request.flow:
        raise InvalidInput("--flow is for a single packet")
    if request.batch is not None and request.given:
        name = next(iter(request.given)).replace("_", "-")
        raise InvalidInput(f"--{name} belongs to a packet", remedy="write it into the lines of the batch")
    others = sorted(request.given.keys() - {"in_iface"})
    if request.pcap is not None and others:
        raise InvalidInput(f"--{others[0].replace('_', '-')} is not for captures, whose packets say everything themselves")
    if request.packet and request.pcap is None:
        raise InvalidInput("--packet is for --pcap")
    if request.stateful is not None and not many:
        raise InvalidInput("--stateful and --stateless are for --batch and --pcap")
    if request.batch is not None and request.misses:
        raise InvalidInput(
            "--misses is for text", remedy="the documents of a batch hold the rules that missed, without --brief"
        )
    if many and request.one:
        raise InvalidInput("--one is for a single packet", remedy="no answers are walked with --batch and --pcap")
    if request.node_name is not None and not request.resources:
        raise InvalidInput("--node names a node in resources", remedy="give them with -r, or a snapshot with -n")
    check_stdin(request.node, request.conntrack, request.batch, request.pcap, *request.resources)
    if not many and not request.words:
        raise InvalidInput("no packet to trace", remedy="such as: tortie trace tcp 10.65.0.2 10.65.1.9:80")


def check_stdin(*paths: str | None) -> None:
    """Refuses to read two files from stdin, of which the second would be empty."""
    if paths.count("-") > 1:
        raise InvalidInput("stdin (-) can be read only once", remedy="give the other one as a file")
