"""A kernel of Debian's on disk: downloaded with apt and unpacked, never installed.

kmod comes with it, since a container has none: the list of modules is made with it, and the machine loads them with it. So
does the busybox that the machine starts with, since Debian installs no static one beside the usual.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path


class CannotRun(Exception):
    """No machine can be run here, and why."""


@dataclass(frozen=True, slots=True)
class DebianKernel:
    """The folder that packages were unpacked into, and the kernel's release."""

    folder: Path
    release: str

    @property
    def image(self) -> Path:
        return self.folder / "boot" / f"vmlinuz-{self.release}"

    @property
    def modules(self) -> Path:
        return self.folder / "lib" / "modules"

    @property
    def kmod(self) -> Path:
        return self.folder / "bin" / "kmod"

    @property
    def busybox(self) -> Path:
        return self.folder / "bin" / "busybox"

    def with_dependencies(self, names: tuple[str, ...]) -> tuple[Path, ...]:
        """Files of modules in the order in which they can be loaded."""
        own = self.modules / self.release
        needs = {}
        for line in (own / "modules.dep").read_text().splitlines():
            module, _, others = line.partition(":")
            needs[Path(module).name.removesuffix(".ko").replace("-", "_")] = (module, *others.split())
        missing = [name for name in names if name not in needs]
        if missing:
            raise CannotRun(f"{self.release} has no module {', '.join(missing)}")
        # A module stands before what it needs, the innermost last.
        return tuple(dict.fromkeys(own / path for name in names for path in reversed(needs[name])))


def debian_kernel(package: str, shelf: Path) -> DebianKernel:
    """The kernel that `package` holds or depends on, from the `shelf` of those unpacked before; raises `CannotRun`."""
    folder = shelf / package
    if not folder.exists():
        shelf.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=shelf) as scratch:
            unpacked = Path(scratch) / "unpacked"
            for one in (_image_package(package), "kmod", "busybox-static"):
                _unpack(one, Path(scratch), unpacked)
            _list_modules(unpacked)
            unpacked.rename(folder)
    return DebianKernel(folder, _release(folder))


def _image_package(package: str) -> str:
    """The package that holds the image, which another may only point to."""
    depends = _output("apt-cache", "depends", "--important", package)
    found = re.search(r"Depends: (linux-image-\d\S+)", depends)
    return found[1] if found else package


def _unpack(package: str, scratch: Path, target: Path) -> None:
    place = scratch / package
    place.mkdir()
    # apt downloads as a user of its own when it can.
    shutil.chown(place, "_apt")
    scratch.chmod(0o755)
    _output("apt-get", "--quiet=2", "download", package, folder=place)
    (archive,) = place.glob("*.deb")
    _output("dpkg-deb", "--extract", str(archive), str(target))


def _list_modules(folder: Path) -> None:
    # kmod does what the name says that it is called by.
    _output("depmod", "--basedir", str(folder), _release(folder), executable=folder / "bin" / "kmod")


def _release(folder: Path) -> str:
    (image,) = (folder / "boot").glob("vmlinuz-*")
    return image.name.removeprefix("vmlinuz-")


def _output(*command: str, folder: Path | None = None, executable: Path | None = None) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        ran = subprocess.run(
            command, executable=executable, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise CannotRun(f"{command[0]} is not installed") from None
    if ran.returncode != 0:
        raise CannotRun(f"{' '.join(command)}: {ran.stderr.strip()}")
    return ran.stdout
