"""Ids of the sets that rules name: a digest of what the set holds, so that equal contents share one set.

Sources: spec model 3.6, rules 9.2 (libcalico-go 3.7 lib/hash). A selector's canonical text is made elsewhere.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha224


def selector_set_id(canonical_selector: str) -> str:
    """The id of the set of everything that a selector, given in canonical text, selects."""
    return _set_id("s", canonical_selector)


def named_port_set_id(selector_id: str, protocol: str, port_name: str) -> str:
    """The id of the set of a named port (protocol `tcp` or `udp`) of everything that a selector selects."""
    return _set_id("n", f"{selector_id},{protocol},{port_name}")


def _set_id(kind: str, content: str) -> str:
    digest = sha224(f"{kind}:{content}".encode()).digest()
    return f"{kind}:{urlsafe_b64encode(digest).decode().rstrip('=')}"
