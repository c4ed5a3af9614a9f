"""A program that says who we are, and the requests that wait for it; over a server in tests/contract/test_kubernetes.py."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx2 as httpx
import pytest
from lightkube.config.models import NameValue, UserExec

from tortie.source.failure import DatastoreFailed
from tortie.source.kubernetes_plug_in import PlugInAuth

VERSION = "client.authentication.k8s.io/v1"


async def asked(auth: PlugInAuth) -> str:
    """What a request says of who asks."""
    flow = auth.async_auth_flow(httpx.Request("GET", "http://server/"))
    request = await anext(flow)
    await flow.aclose()
    return str(request.headers["Authorization"])


def test_it_is_told_what_is_wanted_and_what_the_configuration_adds(tmp_path: Path) -> None:
    program = tmp_path / "program"
    answer = 'echo "{\\"status\\": {\\"token\\": \\"$1-$WORD\\"}}"'
    program.write_text(f'#!/bin/sh\necho "$KUBERNETES_EXEC_INFO" > {tmp_path}/info\n{answer}\n')
    program.chmod(0o700)
    auth = PlugInAuth(UserExec(apiVersion=VERSION, command=str(program), args=["one"], env=[NameValue("WORD", "two")]))
    assert asyncio.run(asked(auth)) == "Bearer one-two"
    assert json.loads((tmp_path / "info").read_text()) == {
        "apiVersion": VERSION,
        "kind": "ExecCredential",
        "spec": {"interactive": False},
    }


def test_a_program_that_is_not_there_is_named() -> None:
    auth = PlugInAuth(UserExec(apiVersion=VERSION, command="/nowhere/plug-in"))
    with pytest.raises(DatastoreFailed, match=r"^/nowhere/plug-in: No such file or directory$"):
        asyncio.run(asked(auth))


def test_all_that_wait_hear_of_one_failure(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nprintf x >> {tmp_path}/runs\nexit 1\n")
    program.chmod(0o700)

    async def run() -> list[str | BaseException]:
        auth = PlugInAuth(UserExec(apiVersion=VERSION, command=str(program)))
        return await asyncio.gather(*(asked(auth) for _ in range(5)), return_exceptions=True)

    outcomes = asyncio.run(run())
    assert len(outcomes) == 5 and all(isinstance(one, DatastoreFailed) for one in outcomes)
    assert (tmp_path / "runs").read_text() == "x"


def test_a_protocol_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'client\.authentication\.k8s\.io/v9' is not one of"):
        PlugInAuth(UserExec(apiVersion="client.authentication.k8s.io/v9", command="x"))
