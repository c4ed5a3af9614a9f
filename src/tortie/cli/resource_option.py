"""What the commands that render take: resources, the node's name, and how to go about it; each option once for all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from tortie.cli.desired import Desired
    from tortie.model.read import Resources
    from tortie.netfilter.hook import Backend

F = TypeVar("F", bound=Callable[..., Any])

RESOURCES_HELP = """RESOURCES are files, directories (all .yaml, .yml and .json files below them) or - for stdin: resources
of projectcalico.org/v3 as calicoctl takes them, and Kubernetes' Namespaces, ServiceAccounts, Pods, NetworkPolicies and
Nodes as kubectl prints them."""

_OPTIONS: dict[str, Callable[[F], F]] = {
    "resources": click.argument("resources", nargs=-1, metavar="RESOURCES..."),
    "node": click.option("--node", metavar="NAME", help="The node's name in the resources; this host's by default."),
    "snapshot": click.option(
        "-n", "--snapshot", "snapshot", metavar="SNAPSHOT", help="A snapshot of the node, instead of this live node."
    ),
    "backend": click.option(
        "--backend", type=click.Choice(["legacy", "nft"]), help="Which iptables; by default the one behind `iptables`."
    ),
    "felix_exact": click.option(
        "--felix-exact", is_flag=True, help="Felix 3.7.5 byte for byte, with its defects (docs/felix-differences.md)."
    ),
    "keep_going": click.option(
        "--keep-going", is_flag=True, help="Use what is valid, and close what the rest might have closed."
    ),
    "json": click.option("--json", "as_json", is_flag=True, help="A document instead of text."),
    "color": click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        help="Colour in the text; auto is on for a terminal.",
    ),
}


def resource_options(*names: str) -> Callable[[F], F]:
    """The options of these names, in this order."""

    def decorate(function: F) -> F:
        for name in reversed(names):
            function = _OPTIONS[name](function)
        return function

    return decorate


def read_resources(paths: Iterable[str], *, keep_going: bool) -> Resources:
    """The resources that were named; problems that do not stop it, and remarks, go to stderr."""
    from tortie.cli.resource_files import load_resources, problem_lines

    resources = load_resources(paths, keep_going=keep_going)
    tell(problem_lines(resources))
    return resources


def tell(lines: Iterable[str]) -> None:
    """Writes lines to stderr, each as a remark of ours."""
    for line in lines:
        click.echo(f"tortie: {line}", err=True)


def named_backend(word: str | None) -> Backend | None:
    """The back-end that an option names."""
    from tortie.netfilter.hook import Backend

    return None if word is None else Backend(word)


def tell_remarks(desired: Desired) -> None:
    """Writes what there is to say of a rendering to stderr."""
    tell(desired.remarks)
