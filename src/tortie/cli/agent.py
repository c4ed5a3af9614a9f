"""`tortie agent`: keeps a node's kernel at what a datastore says, until it is told to end."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tortie.net.error import InvalidInput

if TYPE_CHECKING:
    from tortie.agent.loop import World
    from tortie.agent.port import Source, StatusSink
    from tortie.render.state import Features

DEFAULT_CONFIG = Path("/etc/calico/felix.cfg")

_HELP = """Keep this node's rules, ip sets, routes and interface settings at what a datastore says.

SOURCE is a directory of resources (watched), `etcd` in Calico's own key layout, or `kubernetes`. Nothing is changed before
everything has been read once; a datastore that is lost later leaves the last known policy in force, and so does the end of
the agent. What others change of ours is repaired. Needs root.

Parameters are Felix's: environment (FELIX_...) over --config over FelixConfiguration. Where etcd or the Kubernetes API is
to be found is said as to calicoctl, or by Felix's parameters.

\b
Exit code: 0 when told to end, 1 when the kernel cannot be worked with, 2 for bad input, 129 to be started again.

\b
Examples:
  tortie agent --source /etc/tortie/resources --node node-1
  ETCD_ENDPOINTS=https://10.0.0.1:2379 tortie agent --source etcd
  tortie agent --source kubernetes --log json
"""


@click.command(help=_HELP)
@click.option("--source", "source_name", required=True, metavar="SOURCE", help="A directory, `etcd` or `kubernetes`.")
@click.option("--node", metavar="NAME", help="The node's name in the resources; by default FelixHostname or this host's.")
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help=f"Felix's file; {DEFAULT_CONFIG}."
)
@click.option("--status-file", type=click.Path(path_type=Path), metavar="FILE", help="Where `tortie status` looks.")
@click.option("--log", "log_form", type=click.Choice(["text", "json"]), default="text", help="How log lines look.")
@click.option(
    "--backend", type=click.Choice(["legacy", "nft"]), help="Which iptables; by default the one behind `iptables`."
)
@click.option(
    "--proc-sys",
    type=click.Path(path_type=Path),
    default=Path("/proc/sys"),
    metavar="DIR",
    help="Where the node's settings are written, if not /proc/sys.",
)
def agent(
    source_name: str,
    node: str | None,
    config_file: Path | None,
    status_file: Path | None,
    log_form: str,
    backend: str | None,
    proc_sys: Path,
) -> None:
    """Runs the agent to its end."""
    from importlib import metadata

    from tortie.agent.log import set_up_log
    from tortie.agent.setting import environment_parameters, local_parameters
    from tortie.agent.state import Agent
    from tortie.agent.status_file import DEFAULT_PATH, StatusFile
    from tortie.cli.agent_source import open_source
    from tortie.kernel.refusal import KernelRefused

    set_up_log(log_form, "INFO", with_time="JOURNAL_STREAM" not in os.environ)
    local = local_parameters(_file_parameters(config_file), environment_parameters(os.environ))
    name = node or local.get("FelixHostname") or os.uname().nodename.lower()
    source, sinks = open_source(source_name, name, local)
    file = StatusFile(status_file or DEFAULT_PATH, version=metadata.version("tortie"))
    try:
        world = _world(name, source, [file, *sinks], backend, proc_sys)
    except KernelRefused as refusal:
        click.echo(f"tortie: {refusal}", err=True)
        raise SystemExit(1) from None
    raise SystemExit(_run(Agent(name, local), world))


def _file_parameters(config_file: Path | None) -> dict[str, str]:
    """The file's parameters; the file that is looked for by default may be missing."""
    from tortie.agent.setting import parse_felix_file

    path = config_file or DEFAULT_CONFIG
    try:
        return parse_felix_file(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        if config_file is None:
            return {}
        raise InvalidInput("there is no such file", source=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot be read: {error}", source=str(path)) from None


def _world(name: str, source: Source, sinks: list[StatusSink], backend: str | None, proc_sys: Path) -> World:
    import time

    from tortie.agent.knowledge import Cluster
    from tortie.agent.loop import World
    from tortie.agent.program import Programmer
    from tortie.cli.agent_kernel import (
        KernelRules,
        KernelWatch,
        LegacyWatch,
        NodeNetwork,
        SettingsWatch,
        TablesWatch,
        observed_tools,
    )
    from tortie.kernel.generation import nft_generation
    from tortie.kernel.tables import detect_backend
    from tortie.netfilter.hook import Backend

    tools = observed_tools()
    chosen = Backend(backend) if backend is not None else detect_backend(tools)
    network = NodeNetwork(tools, proc_sys)
    rules = KernelRules(tools, chosen, generation=nft_generation) if chosen is Backend.NFT else KernelRules(tools, chosen)
    programmer = Programmer(rules, network, _features(tools), time.monotonic)
    watches: list[Any] = [KernelWatch(tools, network), SettingsWatch(tools, network)]
    watches.append(TablesWatch(tools, network) if chosen is Backend.NFT else LegacyWatch(tools))
    return World(
        source=source,
        knowledge=Cluster(name),
        programmer=programmer,
        network=network,
        watches=watches,
        sinks=sinks,
        tools=lambda: (tools.counts, sum(tools.seconds.values())),
        pid=os.getpid(),
    )


def _features(tools: Any) -> Features:
    from tortie.render.state import detect_features

    version = tools(["iptables", "--version"]).out.decode(errors="replace")
    try:
        kernel = Path("/proc/version").read_text()
    except OSError:
        kernel = ""
    return detect_features(version, kernel)


def _run(state: Any, world: World) -> int:
    import asyncio

    from tortie.agent.loop import Loop

    code = asyncio.run(Loop(state, world).run())
    # Threads that still wait for a tool would hold up the end; what a tool does it does whole or not at all.
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # what a full disk did not take is lost, and the exit code stays what it is
            stream.flush()
    os._exit(code)
