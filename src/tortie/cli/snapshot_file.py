"""A snapshot from disk: a directory, an archive (.tar, also compressed by gzip, xz or bzip2), or one file of rules.

What a file is decides its content, not its name. Files come from other machines and other people, so nothing is trusted:
archives are read as a stream, nothing is unpacked, only members with the fixed names are kept, and sizes are bounded. What
is cut short or damaged is `InvalidInput`, as half a snapshot could look whole.
"""

from __future__ import annotations

import gc
import io
import lzma
import os
import re
import stat
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

from tortie.net.error import InvalidInput

if TYPE_CHECKING:
    from tortie.net.address import IPFamily
    from tortie.netfilter.rule import Ruleset
    from tortie.netfilter.snapshot import Snapshot

MOST_BYTES_PER_FILE = 256 << 20
"""A file of a snapshot above this is refused: over two million rules or connections."""
MOST_BYTES = 1 << 30
"""An archive that unpacks to more is refused."""
MOST_MEMBERS = 10_000
_XZ_MEMORY = 256 << 20
_CHUNK = 1 << 16


def load_snapshot(path: str) -> Snapshot:
    """The snapshot of a directory, an archive or a file of rules; `-` reads stdin. Raises `InvalidInput`."""
    with _collector_off():
        if path == "-":
            from tortie.cli.node_source import open_stdin

            return _from_stream(open_stdin(), "stdin", "stdin")
        name = os.path.basename(os.path.normpath(path)) or path
        try:
            mode = os.stat(path).st_mode
            if stat.S_ISDIR(mode):
                return _from_directory(path, name)
            if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
                raise InvalidInput("neither a directory nor a file", source=path)
            with open(path, "rb") as file:
                return _from_stream(file, name, path)
        except OSError as error:
            raise InvalidInput(error.strerror or str(error), source=path) from None


def read_live_snapshot() -> Snapshot:
    """This node's snapshot, read now; raises `InvalidInput` when it cannot be read."""
    from tortie.cli.snapshot import check_readable
    from tortie.codec.snapshot import parse_snapshot
    from tortie.kernel.read import read_node
    from tortie.kernel.run import run_tool

    with _collector_off():
        files = read_node(run_tool)
        check_readable(files)
        return parse_snapshot(files, "this node")


@contextmanager
def _collector_off() -> Iterator[None]:
    """No garbage collection meanwhile: values of a snapshot live as long as the command, and hold no cycles."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


# --- a directory -------------------------------------------------------------------------------------------------


def _from_directory(path: str, name: str) -> Snapshot:
    from tortie.codec.snapshot import SNAPSHOT_FILES, parse_snapshot

    files: dict[str, bytes] = {}
    for entry in sorted(os.scandir(path), key=lambda one: one.name):
        if entry.name not in SNAPSHOT_FILES:
            files[entry.name] = b""
        elif not entry.is_file():
            raise InvalidInput("not a file", source=os.path.join(path, entry.name))
        else:
            with open(entry.path, "rb") as file:
                files[entry.name] = _read_bounded(file, entry.path)
    return parse_snapshot(_checked(files, path), name)


def _read_bounded(file: IO[bytes] | _Bounded, source: str) -> bytes:
    data = file.read(MOST_BYTES_PER_FILE + 1)
    if len(data) > MOST_BYTES_PER_FILE:
        raise InvalidInput(f"more than {MOST_BYTES_PER_FILE >> 20} MiB", source=source)
    return data


def _checked(files: dict[str, bytes], source: str) -> dict[str, bytes]:
    from tortie.codec.snapshot import REMARKS, SNAPSHOT_FILES

    if not any(name in SNAPSHOT_FILES and name != REMARKS for name in files):
        raise InvalidInput(
            "no file of a snapshot in it",
            source=source,
            remedy="a snapshot holds files such as iptables-save and ip-addr.json",
        )
    return files


# --- an archive or a file ----------------------------------------------------------------------------------------


def _from_stream(file: IO[bytes], name: str, source: str) -> Snapshot:
    from tortie.codec.snapshot import parse_snapshot

    peekable = io.BufferedReader(cast(io.RawIOBase, file))
    try:
        reader = _Bounded(_unpacked(peekable), source)
        start = reader.peek(512)
        if _is_archive(start):
            return parse_snapshot(_checked(_archive_files(reader, source), source), name)
        data = _read_bounded(reader, source)
    except (EOFError, zlib.error, lzma.LZMAError, tarfile.TarError) as error:
        raise InvalidInput(f"a damaged archive, or one cut short: {error}", source=source) from None
    finally:
        peekable.detach()  # the file is its opener's to close
    return _from_rules(data, name, source)


def _unpacked(file: io.BufferedReader[io.RawIOBase]) -> IO[bytes]:
    """The stream without its compression, which its first bytes tell."""
    magic = file.peek(6)[:6]
    if magic.startswith(b"\x1f\x8b"):
        import gzip

        return gzip.GzipFile(fileobj=file, mode="rb")  # type: ignore[return-value]
    if magic == b"\xfd7zXZ\0":
        return io.BufferedReader(_Xz(file))
    if magic.startswith(b"BZh"):
        import bz2

        return bz2.BZ2File(file, "rb")
    return file


class _Xz(io.RawIOBase):
    """An .xz stream that may not ask for more memory than `_XZ_MEMORY`."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fills the buffer with unpacked bytes, 0 at the end of the stream; raises EOFError when it is cut short."""
        while not self._decoder.eof:
            chunk = self._file.read(_CHUNK) if self._decoder.needs_input else b""
            if self._decoder.needs_input and not chunk:
                raise EOFError("the compressed data ended before its end mark")
            data = self._decoder.decompress(chunk, max_length=len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)
        return 0


class _Bounded:
    """A stream that refuses to give more than `MOST_BYTES`, and remembers its last kilobyte."""

    def __init__(self, file: IO[bytes], source: str) -> None:
        self._file = file
        self._source = source
        self._given = 0
        self._ahead = b""
        self.tail = b""

    def peek(self, size: int) -> bytes:
        """The first bytes, which `read` will give again; fewer only at the end."""
        while len(self._ahead) < size and (more := self._file.read(size - len(self._ahead))):
            self._ahead += more
        return self._ahead

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes."""
        if size < 0:
            size = MOST_BYTES + 1
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        if len(data) < size:
            data += self._file.read(size - len(data))
        self._given += len(data)
        if self._given > MOST_BYTES:
            raise InvalidInput(f"unpacks to more than {MOST_BYTES >> 20} MiB", source=self._source)
        self.tail = (self.tail + data[-1024:])[-1024:]
        return data


def _is_archive(start: bytes) -> bool:
    """True for a tar header: its magic, or (before POSIX) a checksum that fits."""
    if len(start) < 512:
        return False
    if start[257:262] == b"ustar":
        return True
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "replace")
    except tarfile.HeaderError:
        return False
    return True


def _archive_files(reader: _Bounded, source: str) -> dict[str, bytes]:
    from tortie.codec.snapshot import SNAPSHOT_FILES

    files: dict[str, bytes] = {}
    members = 0
    try:
        with tarfile.open(fileobj=reader, mode="r|", bufsize=_CHUNK) as archive:  # type: ignore[call-overload]
            for member in archive:
                members += 1
                if members > MOST_MEMBERS:
                    raise InvalidInput(f"more than {MOST_MEMBERS} members", source=source)
                name = member.name.rpartition("/")[2]
                if name not in SNAPSHOT_FILES:
                    if not member.isdir():
                        files[member.name.removeprefix("./")] = b""
                    continue
                files[name] = _member_bytes(archive, member, source, again=name in files)
    except (UnicodeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput(f"a damaged archive: {error}", source=source) from None
    while reader.read(_CHUNK):
        pass
    if reader.tail.strip(b"\0") or len(reader.tail) < 1024:
        raise InvalidInput("an archive without its end, so it was cut short", source=source)
    return files


def _member_bytes(archive: tarfile.TarFile, member: tarfile.TarInfo, source: str, *, again: bool) -> bytes:
    where = f"{source}/{member.name}"
    if again:
        raise InvalidInput("a second file with this name in the archive", source=where)
    if not member.isreg():
        raise InvalidInput("a link or a device, not a file", source=where)
    if member.size > MOST_BYTES_PER_FILE:
        raise InvalidInput(f"more than {MOST_BYTES_PER_FILE >> 20} MiB", source=where)
    file = archive.extractfile(member)
    assert file is not None
    data = file.read()
    if len(data) != member.size:
        raise InvalidInput("cut short in the archive", source=where)
    return data


# --- one file of rules -------------------------------------------------------------------------------------------


def _from_rules(data: bytes, name: str, source: str) -> Snapshot:
    from tortie.codec.save import parse_save, split_dumps
    from tortie.codec.snapshot import decode_text
    from tortie.netfilter.snapshot import Snapshot

    text, remark = decode_text(data, source)
    if not text.strip():
        raise InvalidInput("an empty file", source=source, remedy="give a snapshot or the output of iptables-save")
    rulesets: dict[object, Ruleset] = {}
    line = 0
    for dump in split_dumps(text):
        family = dump.family or recognise_family(dump.text, name)
        # Blank lines in front keep the numbers of lines right in what is said about them.
        ruleset = parse_save("\n" * line + dump.text, family, source=source).ruleset
        line += dump.text.count("\n")
        if (family, ruleset.backend) in rulesets:
            raise InvalidInput("two dumps of the same rules", source=source, line=line, remedy="give one of them")
        rulesets[family, ruleset.backend] = ruleset
    remarks = () if remark is None else (remark,)
    return Snapshot(name, rulesets=tuple(rulesets.values()), unreadable=remarks, files=(name,))


_GENERATOR = re.compile(r"^# Generated by (ip6?)tables", re.MULTILINE)
_NETWORK = re.compile(r'^[^"\n]*? (?:-s|-d|--source|--destination) (\S+)', re.MULTILINE)
_IPV6_WORD = re.compile(
    r'^[^"\n]*? (?:-p (?:ipv6-icmp|icmpv6|icmp6)|-m icmp6|--icmpv6-type|--reject-with icmp6-) ?', re.MULTILINE
)


def recognise_family(text: str, name: str) -> IPFamily:
    """The family of a text of rules: by what made it, its addresses, its protocols, its name; else IPv4."""
    from tortie.net.address import IPFamily

    made_by = _GENERATOR.search(text)
    if made_by is not None:
        return IPFamily.V6 if made_by[1] == "ip6" else IPFamily.V4
    network = _NETWORK.search(text)
    if network is not None:
        return IPFamily.V6 if ":" in network[1] else IPFamily.V4
    if _IPV6_WORD.search(text) is not None or name.startswith("ip6"):
        return IPFamily.V6
    return IPFamily.V4
