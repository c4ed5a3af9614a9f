"""Plain data to YAML text, as calicoctl prints it: keys in order, lists not indented, words quoted where they must be.

What is written must read back the same with Go's reader and with ours, which take more plain words for numbers and truth
values than PyYAML does (`tortie.model.yaml_text`): such words are quoted.
"""

from __future__ import annotations

from typing import Any

import yaml

from tortie.model.yaml_text import resolve_plain


class _Dumper(yaml.CSafeDumper):
    """Writes text so that it stays text, and every value where it stands instead of pointing back."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """True: nothing is pointed back to."""
        return True


def _write_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None if type(resolve_plain(text)) is str else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _write_text)


def format_yaml(data: Any) -> str:
    """The text of one document."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=True, default_flow_style=False, allow_unicode=True, width=1 << 20)
    return text
