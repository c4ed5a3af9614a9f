"""Runs a command in a machine with another kernel and this machine's files: `python -m tests.machine [options] COMMAND...`.

The machine is QEMU's. It sees the files of its host and can only read them; what it writes stays in its memory and goes
with it. It has no network. The command runs in the folder that it was called from, as root, with an environment of its
own; it ends with the command's exit code, or 125 when there is none, and then shows what the kernel said last.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.machine.debian_kernel import CannotRun, DebianKernel, debian_kernel
from tests.machine.initramfs import initramfs

HERE = Path(__file__).parent
SHELF = HERE.parents[1] / ".tools" / "kernels"
QEMU = "qemu-system-x86_64"
PROGRAMS = {
    QEMU: "qemu-system-x86",
    "apt-get": "apt",
    "apt-cache": "apt",
    "dpkg-deb": "dpkg",
}
"""What is needed, and the Debian package that has it."""

FIRST_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
NO_RESULT = 125


def main() -> int:
    options = _options()
    # Ended from outside it takes the machine and its files along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(NO_RESULT))
    try:
        _check()
        kernel = debian_kernel(options.package, SHELF)
        print(f"machine: {kernel.release}, {options.processors} processors, {options.memory} MiB", file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="tortie-machine-") as scratch:
            return _run(kernel, Path(scratch), options)
    except CannotRun as reason:
        print(f"machine: {reason}", file=sys.stderr)
        return NO_RESULT


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.machine", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("--package", default="linux-image-amd64", help="Debian package of the kernel")
    parser.add_argument("--memory", type=int, default=4096, metavar="MIB")
    parser.add_argument("--processors", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--kvm", action="store_true", help="let the processor run the machine; else it is emulated")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    options = parser.parse_args()
    if not options.command:
        parser.error("which command?")
    return options


def _check() -> None:
    """Raises `CannotRun` with what is missing."""
    if os.geteuid() != 0:
        raise CannotRun("only root can read all that the machine's files are")
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if missing:
        raise CannotRun(f"not installed: apt-get install --no-install-recommends {' '.join(dict.fromkeys(missing))}")


def _run(kernel: DebianKernel, scratch: Path, options: argparse.Namespace) -> int:
    exchange = scratch / "exchange"
    exchange.mkdir()
    asked = {"command": options.command, "folder": os.getcwd()}
    (exchange / "asked.json").write_text(json.dumps(asked))
    (exchange / "python").write_text(os.path.realpath(sys.executable))
    shutil.copy(HERE / "start.py", exchange)
    shutil.copy(kernel.kmod, exchange)
    first = scratch / "initramfs"
    first.write_bytes(initramfs(kernel.busybox, HERE / "init", kernel.with_dependencies(FIRST_MODULES)))
    messages = scratch / "messages"
    ran = subprocess.run([QEMU, *_machine(kernel, scratch, options)], stdin=subprocess.DEVNULL, check=False)
    if ran.returncode != 0:
        raise CannotRun(f"{QEMU} ended with {ran.returncode}")
    code = exchange / "code"
    if code.exists():
        return int(code.read_text())
    said = messages.read_text(errors="replace").splitlines()[-40:]
    raise CannotRun("\n".join(("the command did not come to its end; the kernel said:", *said)))


def _machine(kernel: DebianKernel, scratch: Path, options: argparse.Namespace) -> Iterator[str]:
    yield from ("-accel", "kvm" if options.kvm else "tcg,thread=multi", "-cpu", "max", "-smp", str(options.processors))
    yield from (
        "-m",
        str(options.memory),
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
        "-nic",
        "none",
    )
    yield from ("-kernel", str(kernel.image), "-initrd", str(scratch / "initramfs"))
    yield from ("-append", "console=ttyS1 panic=-1 quiet loglevel=5")
    yield from ("-serial", "stdio", "-serial", f"file:{scratch / 'messages'}")
    for tag, folder, mode in (
        ("host", Path("/"), "readonly=on,"),
        ("modules", kernel.modules, "readonly=on,"),
        ("exchange", scratch / "exchange", ""),
    ):
        # Several file systems of the host are one of the machine's.
        yield from ("-fsdev", f"local,id={tag},path={folder},{mode}security_model=none,multidevs=remap")
        yield from ("-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}")


if __name__ == "__main__":
    sys.exit(main())
