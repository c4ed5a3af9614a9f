"""What the machine goes on with: the command that lies in the exchange. Its exit code is left there; then the power goes.

This is the machine's first process, which must not end, and runs with nothing but Python's own library.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import termios
from pathlib import Path

EXCHANGE = Path("/run/machine")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run() -> int:
    os.environ.clear()
    os.environ.update(HOME="/root", LC_ALL="C.UTF-8", PATH=PATH)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["modprobe", "tun"], check=True)
    asked = json.loads((EXCHANGE / "asked.json").read_text())
    with open("/dev/ttyS0", "w") as terminal:
        settings = termios.tcgetattr(terminal)
        settings[1] &= ~termios.OPOST
        termios.tcsetattr(terminal, termios.TCSANOW, settings)
        return subprocess.run(
            asked["command"],
            cwd=asked["folder"],
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode


def main() -> None:
    try:
        (EXCHANGE / "code").write_text(str(run()))
    except Exception as error:
        # The kernel's messages are kept, and this becomes one of them.
        print(f"machine: {error!r}", file=sys.stderr)
    os.sync()
    subprocess.run(["/run/busybox", "poweroff", "-f"], check=False)


if __name__ == "__main__":
    main()
