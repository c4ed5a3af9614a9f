"""The command `tortie`: what its subcommands are, and how every one of them fails.

Start-up is part of the interface: a command's module is imported only when that command runs, so `tortie --help` costs
little more than click. Bad input of any kind is one line on stderr and exit code 2; our own mistakes keep their traceback.
"""

from __future__ import annotations

import gc
import io
import os
import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from tortie.cli.exit_code import EXIT_BAD_INPUT, EXIT_BROKEN_PIPE, EXIT_INTERRUPTED
from tortie.net.error import InvalidInput

COMMANDS: dict[str, tuple[str, str]] = {
    "bgp": ("tortie.cli.bgp:bgp", "Print BIRD's configuration for a node, or bring it to a running BIRD."),
    "render": ("tortie.cli.render:render", "Print the rules and ip sets that resources mean for a node."),
    "plan": ("tortie.cli.plan:plan", "Say what programming resources would change on a node, and what follows."),
    "apply": ("tortie.cli.apply:apply", "Bring this node's rules and ip sets to what resources mean for it."),
    "get": ("tortie.cli.datastore_get:get", "Show resources of the datastore."),
    "create": ("tortie.cli.datastore_apply:create", "Create resources in the datastore."),
    "replace": ("tortie.cli.datastore_apply:replace", "Replace resources in the datastore."),
    "delete": ("tortie.cli.datastore_delete:delete", "Delete resources of the datastore."),
    "ipam": ("tortie.cli.ipam:ipam", "Show which addresses are in use and by whom, or take one back."),
    "flush": ("tortie.cli.flush:flush", "Remove all of Calico's rules and ip sets from this node."),
    "lab": ("tortie.cli.lab:lab", "Stand a whole network up on this machine, and verify what it does."),
    "trace": ("tortie.cli.trace:trace", "Walk a packet through a node's rules and say what becomes of it, and why."),
    "explain-log": ("tortie.cli.explain_log:explain_log", "Explain TRACE lines of the kernel rule by rule."),
    "snapshot": ("tortie.cli.snapshot:snapshot", "Read everything that decides a packet's fate on a node into a file."),
    "agent": ("tortie.cli.agent:agent", "Keep this node's kernel at what a datastore says."),
    "status": ("tortie.cli.status:status", "Say how the agent on this node does."),
    "audit": ("tortie.cli.audit:audit", "Find what is wrong with the Calico rules and sets of a node."),
}
"""Name to (module:object, one line for the overview)."""


class BadInput(click.ClickException):
    """Shows an `InvalidInput` as one line."""

    exit_code = EXIT_BAD_INPUT

    def show(self, file: Any = None) -> None:
        """Writes the line to stderr."""
        click.echo(f"tortie: {self.message}", file=file or sys.stderr)


class CommandGroup(click.Group):
    """A group that imports a command when it is used, and turns what went wrong into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """All names, without importing anything."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Imports the command's module; None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> click.Context:
        """The context of a call; words in front of the command that make no sense are one line too."""
        words = bool(args)
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            if not words:  # what click raises to show the help
                raise
            raise BadInput(f"{error.format_message().removesuffix('.')} (see tortie --help)") from None

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command and writes out what it printed, so that a closed pipe is noticed here."""
        # Rules, steps and packets hold no cycles, and looking for some among a million of them takes longer than all else.
        gc.disable()
        if isinstance(sys.stdout, io.TextIOWrapper):
            # Names come from other machines; one that this terminal cannot show is no reason to fail.
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            try:
                result = super().invoke(ctx)
            finally:  # a command that ends with a code of its own raises it
                sys.stdout.flush()
        except InvalidInput as error:
            raise BadInput(str(error)) from None
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx is not None else f"tortie {ctx.invoked_subcommand or ''}".rstrip()
            raise BadInput(f"{error.format_message().removesuffix('.')} (see {path} --help)") from None
        except KeyboardInterrupt:
            click.echo("", err=True)
            ctx.exit(EXIT_INTERRUPTED)
        except BrokenPipeError:
            _abandon_output(EXIT_BROKEN_PIPE)
        return result

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the program; output that has nowhere to go, be it help or a trace, is bad input too."""
        if sys.stdout is None:
            click.echo("tortie: stdout is closed", err=True)
            raise SystemExit(EXIT_BAD_INPUT)
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            if error.filename is not None:  # about a file, so none of the output's errors
                raise
            click.echo(f"tortie: the output cannot be written: {error.strerror or error}", err=True)
            _abandon_output(EXIT_BAD_INPUT)


def _abandon_output(code: int) -> NoReturn:
    """Ends when nobody can be written to any more; what is left in the buffer goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(code)


_HELP = """Say what a Linux node's rules do to any packet, rule by rule, and make the rules that Calico's policy means.

A node is read once (rules, ip sets, routes, links, sysctls, connections) and packets are walked through that snapshot:
nothing is sent, nothing is changed, and what the snapshot cannot decide is said, never guessed. Of the commands for
Calico's resources, apply, flush, agent and bgp change this node; the others say that they write, or only read.

\b
  tortie snapshot node.tar.gz                         read this node into a file
  tortie trace tcp 10.65.0.2 10.65.1.9:80             the same on the live node
  tortie trace -n node.tar.gz udp 10.0.0.5 10.0.0.1:53 -i eth0
  tortie trace -n node.tar.gz --pcap capture.pcap     every packet of a capture
  tortie plan cluster/ --node node-1                  what Calico's resources would change on this node
"""


@click.group(
    cls=CommandGroup, help=_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}
)
@click.version_option(package_name="tortie", prog_name="tortie")
def main() -> None:
    """The group itself does nothing."""
