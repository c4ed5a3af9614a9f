"""Names and labels: which texts Calico 3.7 and Kubernetes let objects, ports and labels be called.

Sources: spec model 1.1, 1.3 (libcalico-go 3.7 lib/validator/v3; k8s.io/apimachinery pkg/util/validation). Every `read_`
function takes plain data and gives the text back or raises `InvalidInput`; empty text passes where a field may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeAlias

from tortie.model.problem import FieldProblem
from tortie.model.reader import Reads, read_text

LONGEST_NAME = 253
LONGEST_LABEL = 63
"""Of a DNS label, of a label's value and of the part of its key behind the slash."""
LARGEST_ANNOTATIONS = 262144
"""Bytes of all keys and values together."""

DNS_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
DNS_SUBDOMAIN = rf"{DNS_LABEL}(\.{DNS_LABEL})*"
_SUBDOMAIN = re.compile(DNS_SUBDOMAIN)
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_PORT_NAME = re.compile(r"(?!.*--)(?=.*[a-z])[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?")


def is_dns_label(text: str) -> bool:
    """True for a DNS label: lower-case letters, digits and inner dashes, 63 at most."""
    return len(text) <= LONGEST_LABEL and re.fullmatch(DNS_LABEL, text) is not None


def is_name(text: str) -> bool:
    """True for DNS labels joined by dots; the length is not looked at."""
    return _SUBDOMAIN.fullmatch(text) is not None


def is_port_name(text: str) -> bool:
    """True for what Kubernetes lets a port be called."""
    return _PORT_NAME.fullmatch(text) is not None


def is_qualified_name(text: str) -> bool:
    """True for a label's key: a name of 63 characters at most, perhaps behind a DNS subdomain and a slash."""
    prefix, slash, name = text.rpartition("/")
    if slash and not (len(prefix) <= LONGEST_NAME and is_name(prefix)):
        return False
    return len(name) <= LONGEST_LABEL and _QUALIFIED.fullmatch(name) is not None


def is_label_value(text: str) -> bool:
    """True for what a label's value may be; it may be empty."""
    return not text or (len(text) <= LONGEST_LABEL and _QUALIFIED.fullmatch(text) is not None)


def label_problem(labels: Mapping[str, str]) -> FieldProblem | None:
    """The first label that is none, with its key as the way."""
    for key, value in labels.items():
        if not is_qualified_name(key):
            return FieldProblem(f"{key!r} is not a label's name", path=(key,), remedy=_QUALIFIED_REMEDY)
        if not is_label_value(value):
            return FieldProblem(f"{value!r} is not a label's value", path=(key,), remedy=_VALUE_REMEDY)
    return None


_QUALIFIED_REMEDY = "letters, digits and inner '-', '_', '.', 63 at most; a DNS name and '/' may stand in front"
_VALUE_REMEDY = "letters, digits and inner '-', '_', '.', 63 at most"


def _matching(pattern: str, what: str, remedy: str) -> Callable[[Any], str]:
    """A reader of text that is empty or matches as a whole."""
    compiled = re.compile(pattern, re.ASCII)

    def read(data: Any) -> str:
        text = read_text(data)
        if text and compiled.fullmatch(text) is None:
            raise FieldProblem(f"{text!r} is not {what}", remedy=remedy)
        return text

    return read


read_name = _matching(DNS_SUBDOMAIN, "a name", "lower-case letters, digits, inner '-' and '.'")
read_interface = _matching(r"\*|[a-zA-Z0-9_.-]{1,15}", "an interface", "letters, digits, '_', '.', '-', 15 at most, or '*'")
read_interface_filter = _matching(
    r"[a-zA-Z0-9:._+-]{1,15}", "an interface or a prefix with '+'", "letters, digits, ':', '.', '_', '+', '-', 15 at most"
)
read_container_id = _matching(
    r"[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?", "a container's id", "letters, digits and inner '-'"
)


def read_required_name(data: Any) -> str:
    """A name that cannot be empty."""
    text = read_name(data)
    if not text:
        raise FieldProblem("a name is missing")
    return text


def read_port_name(data: Any) -> str:
    """The name of an endpoint's port, which cannot be empty."""
    text = read_text(data)
    if not is_port_name(text):
        raise FieldProblem(f"{text!r} is not a port's name", remedy=PORT_NAME_REMEDY)
    return text


PORT_NAME_REMEDY = "lower-case letters, digits and single inner '-', a letter among them, 15 at most"

Name: TypeAlias = Annotated[str, Reads(read_name)]
"""Text that is empty or DNS labels joined by dots."""
RequiredName: TypeAlias = Annotated[str, Reads(read_required_name)]
Interface: TypeAlias = Annotated[str, Reads(read_interface)]
InterfaceFilter: TypeAlias = Annotated[str, Reads(read_interface_filter)]
ContainerId: TypeAlias = Annotated[str, Reads(read_container_id)]
PortName: TypeAlias = Annotated[str, Reads(read_port_name)]
