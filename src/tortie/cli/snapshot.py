"""`tortie snapshot`: reads this node and keeps its files in a directory or an archive."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from tortie.cli.exit_code import EXIT_NOT_KNOWN
from tortie.net.error import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

_HELP = """Read everything that decides a packet's fate on this node into a file.

Rules of both back-ends, ip sets, links, addresses, routes, policy rules, neighbours, settings, connections and IPVS
services, each as its own tool prints it. Nothing on the node is changed. TARGET is an archive (.tar, .tar.gz, .tgz,
.tar.xz), a directory, or - for an archive on stdout; without it, node-HOSTNAME.tar.gz in this directory. What could not be
read is told, and written into the snapshot. collect.sh makes the same on a node without Tortie.

Exit code: 0 when all was read, 3 when a part is missing, 2 when nothing could be read or written.

\b
  tortie snapshot node.tar.gz
  ssh node tortie snapshot - > node.tar
"""
_SUFFIXES = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.xz": "w:xz", ".txz": "w:xz"}


@click.command(help=_HELP)
@click.argument("target", required=False)
@click.option("-o", "--output", metavar="TARGET", help="The same as TARGET.")
@click.pass_context
def snapshot(context: click.Context, target: str | None, output: str | None) -> None:
    """The command."""
    from tortie.kernel.read import read_node
    from tortie.kernel.run import run_tool

    if target is not None and output is not None:
        raise InvalidInput("TARGET is given twice", remedy="leave out --output")
    where = target or output or f"node-{os.uname().nodename}.tar.gz"
    check_target(where)
    files = read_node(run_tool)
    check_readable(files)
    write_snapshot(files, where)
    remarks = files.get("remarks", b"").decode().splitlines()
    for remark in remarks:
        click.echo(f"tortie: {remark}", err=True)
    if where != "-":
        click.echo(f"{where}: {len(files) - ('remarks' in files)} parts", err=True)
    if remarks:
        context.exit(EXIT_NOT_KNOWN)


def check_readable(files: Mapping[str, bytes]) -> None:
    """Raises `InvalidInput` when no rules could be read at all, which is what happens without root."""
    if any("tables" in name for name in files):
        return
    remarks = files.get("remarks", b"").decode().splitlines()
    reason = next((remark for remark in remarks if "tables" in remark), "no rules can be read")
    remedy = "run it as root" if os.geteuid() != 0 else None
    raise InvalidInput(f"this node cannot be read: {reason}", remedy=remedy)


def check_target(where: str) -> None:
    """Raises `InvalidInput` before anything is read when the snapshot could not be written there."""
    if where == "-":
        return
    if os.path.isdir(where):
        if os.listdir(where):
            raise InvalidInput("a directory that is not empty", source=where, remedy="name one that is new")
    elif os.path.lexists(where):
        raise InvalidInput("is there already", source=where, remedy="name a file that is new")
    elif not os.path.isdir(os.path.dirname(where) or "."):
        raise InvalidInput("its directory does not exist", source=where)


def write_snapshot(files: Mapping[str, bytes], where: str) -> None:
    """Writes the files as a directory or an archive, over nothing that is there and readable by their owner only."""
    mode = next((mode for suffix, mode in _SUFFIXES.items() if where.endswith(suffix)), None)
    try:
        if where == "-":
            sys.stdout.buffer.write(_archive(files, "w", "node"))
        elif mode is not None:
            name = os.path.basename(where).partition(".")[0] or "node"
            _write_file(where, _archive(files, mode, name))
        else:
            _write_directory(where, files)
    except OSError as error:
        raise InvalidInput(error.strerror or str(error), source=error.filename or where) from None


def _write_directory(where: str, files: Mapping[str, bytes]) -> None:
    """The files in a new directory, or in one that is empty; all of them or none."""
    made = not os.path.isdir(where)
    if made:
        os.mkdir(where, mode=0o700)
    written: list[str] = []
    try:
        for name, data in files.items():
            _write_file(os.path.join(where, name), data)
            written.append(name)
    except BaseException:
        for name in written:
            os.unlink(os.path.join(where, name))
        if made:
            os.rmdir(where)
        raise


def _write_file(path: str, data: bytes) -> None:
    """A new file: never over another one, and nothing left of it when the disk is full."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
    except BaseException:
        os.unlink(path)
        raise


def _archive(files: Mapping[str, bytes], mode: str, folder: str) -> bytes:
    import io
    import tarfile
    import time

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size, member.mode, member.mtime = len(data), 0o600, int(time.time())
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()
