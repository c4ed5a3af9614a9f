"""What a runtime asks for, from its environment (CNI specification, section 2)."""

from __future__ import annotations

import pytest

from tortie.cni.call import Command, parse_call
from tortie.cni.error import CniError, ErrorCode

ADD = {
    "CNI_COMMAND": "ADD",
    "CNI_CONTAINERID": "abc123",
    "CNI_NETNS": "/run/netns/x",
    "CNI_IFNAME": "eth0",
    "CNI_PATH": "/opt/cni/bin:/other",
}


def test_a_call() -> None:
    call = parse_call(ADD | {"CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;IP=10.0.0.1"})
    assert (call.command, call.container_id, call.interface) == (Command.ADD, "abc123", "eth0")
    assert call.path == ("/opt/cni/bin", "/other")
    assert call.pod == ("shop", "web")
    assert call.arguments["IP"] == "10.0.0.1"


NO_PODS = ["", "K8S_POD_NAME=web", "K8S_POD_NAMESPACE=shop", "K8S_POD_NAME=;K8S_POD_NAMESPACE=shop"]


@pytest.mark.parametrize("arguments", NO_PODS)
def test_what_has_not_both_names_is_no_pod(arguments: str) -> None:
    assert parse_call(ADD | {"CNI_ARGS": arguments}).pod is None


def test_version_needs_nothing_else() -> None:
    assert parse_call({"CNI_COMMAND": "VERSION"}).command is Command.VERSION


def test_a_deletion_needs_no_namespace() -> None:
    environment = ADD | {"CNI_COMMAND": "DEL"}
    del environment["CNI_NETNS"]
    assert parse_call(environment).namespace_path == ""


REFUSED = {
    "nothing": ({}, "required env variables missing", "CNI_COMMAND"),
    "an unknown command": ({"CNI_COMMAND": "GET"}, "unknown CNI_COMMAND: GET", ""),
    "all missing are named": (
        {"CNI_COMMAND": "DEL"},
        "required env variables missing",
        "CNI_CONTAINERID, CNI_IFNAME, CNI_PATH",
    ),
    "no namespace to add to": (ADD | {"CNI_NETNS": ""}, "required env variables missing", "CNI_NETNS"),
    "an id that is a path": (ADD | {"CNI_CONTAINERID": "../x"}, "CNI_CONTAINERID '../x' is not a container's id", ""),
    "a name with a slash": (ADD | {"CNI_IFNAME": "a/b"}, "CNI_IFNAME 'a/b' cannot be an interface's name", ""),
    "a name that is too long": (
        ADD | {"CNI_IFNAME": "sixteen-letters-"},
        "CNI_IFNAME 'sixteen-letters-' cannot be an interface's name",
        "",
    ),
    "arguments that are none": (ADD | {"CNI_ARGS": "IP"}, "CNI_ARGS: invalid pair 'IP'", ""),
}


@pytest.mark.parametrize(("environment", "message", "details"), REFUSED.values(), ids=REFUSED)
def test_bad_environments(environment: dict[str, str], message: str, details: str) -> None:
    with pytest.raises(CniError) as caught:
        parse_call(environment)
    assert (caught.value.message, caught.value.code, caught.value.details) == (message, ErrorCode.BAD_ENVIRONMENT, details)
