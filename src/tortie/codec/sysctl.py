"""Kernel settings as text: what `sysctl -a` prints, or files below /proc/sys with their values.

Names are kept as `sysctl` prints them: parts joined by dots, and a dot inside a part (an interface `eth0.100`) as a slash:
`net.ipv4.conf.eth0/100.forwarding` (sysctl(8)).
"""

from __future__ import annotations

from tortie.net.error import InvalidInput

_SWAPPED = str.maketrans("./", "/.")


def parse_sysctls(text: str, *, source: str | None = None) -> dict[str, str]:
    """Settings by name; the last value of a name counts. Raises `InvalidInput` for a line that is no setting.

    Lines are `net.ipv4.ip_forward = 1`, `net/ipv4/ip_forward = 1`, or `/proc/sys/net/ipv4/ip_forward:1` as
    `grep -r . /proc/sys` prints. Remarks of the tools (`sysctl: …`, `grep: …`) and comments are skipped.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith(("#", ";", "sysctl: ", "grep: ")):
            continue
        name, mark, value = stripped.partition(":" if stripped.startswith("/proc/sys/") else "=")
        name = sysctl_name(name.strip())
        if not mark or not name or " " in name or "." not in name:
            raise InvalidInput(
                f"`name = value` is wanted, not {stripped[:60]!r}",
                source=source,
                line=number,
                remedy="give what `sysctl -a` prints",
            )
        found[name] = value.strip()
    return found


def sysctl_name(path: str) -> str:
    """The name of a setting from any of its spellings: `/proc/sys/net/ipv4/ip_forward` is `net.ipv4.ip_forward`."""
    path = path.removeprefix("/proc/sys/")
    slash, dot = path.find("/"), path.find(".")
    is_path = slash >= 0 and (dot < 0 or slash < dot)
    return path.translate(_SWAPPED) if is_path else path
