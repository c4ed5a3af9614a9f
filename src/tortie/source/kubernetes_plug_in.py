"""Who we are, asked of a program that a kubeconfig names (Kubernetes documentation, "client-go credential plugins").

The program is run when a token is needed for the first time, and again when the server no longer takes the one that there
is. However many requests wait for a token, one program runs, and all of them hear what it said. It ends with the request
that waits for it: nothing of it is left behind, nor of what it started.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import httpx2 as httpx

from tortie.source.failure import DatastoreFailed

VERSIONS = tuple(f"client.authentication.k8s.io/{version}" for version in ("v1alpha1", "v1beta1", "v1"))
LONGEST_S = 60.0
"""A program that says nothing for so long is ended."""
_UNAUTHORIZED = 401
_MOST_WORDS = 300


class PlugInAuth(httpx.Auth):
    """Puts the token of a program on requests; `program` is `exec` of a kubeconfig's user."""

    def __init__(self, program: Any) -> None:
        """Raises `ValueError` for a protocol that is not known."""
        if program.apiVersion not in VERSIONS:
            raise ValueError(f"{program.command}: {program.apiVersion!r} is not one of {', '.join(VERSIONS)}")
        self._command = [program.command, *(program.args or ())]
        wanted = {"apiVersion": program.apiVersion, "kind": "ExecCredential", "spec": {"interactive": False}}
        self._environment = {"KUBERNETES_EXEC_INFO": json.dumps(wanted)}
        self._environment |= {variable.name: variable.value for variable in program.env or ()}
        self._lock = asyncio.Lock()
        self._runs = 0
        self._token = ""
        self._failure: DatastoreFailed | None = None

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """The request with a token, and once more with a new one when the server refuses it."""
        token = self._token or await self._ask()
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == _UNAUTHORIZED:
            if self._token == token:
                token = await self._ask()
            request.headers["Authorization"] = f"Bearer {self._token or token}"
            yield request

    async def _ask(self) -> str:
        """A token; raises `DatastoreFailed` when there is none to be had."""
        runs = self._runs
        async with self._lock:
            if self._runs == runs:
                try:
                    self._token, self._failure = await self._run(), None
                except DatastoreFailed as failure:
                    self._token, self._failure = "", failure
                self._runs += 1
            if self._failure is not None:
                raise DatastoreFailed(self._failure.reason)
            return self._token

    async def _run(self) -> str:
        name = self._command[0]
        try:
            process = await _start(self._command, os.environ | self._environment)
        except OSError as error:
            raise DatastoreFailed(f"{name}: {error.strerror}") from None
        try:
            async with asyncio.timeout(LONGEST_S):
                printed, complaint = await process.communicate()
        except TimeoutError:
            raise DatastoreFailed(f"{name}: said nothing for {LONGEST_S:.0f} s") from None
        finally:
            await _end(process)
        if process.returncode:
            words = complaint.decode(errors="replace").strip()[:_MOST_WORDS]
            raise DatastoreFailed(f"{name}: ended with {process.returncode}: {words}")
        try:
            token = json.loads(printed)["status"]["token"]
        except (ValueError, KeyError, TypeError):
            token = None
        if type(token) is not str or not token:
            raise DatastoreFailed(f"{name}: printed no token")
        return token


async def _start(command: list[str], environment: dict[str, str]) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, start_new_session=True
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # By itself asyncio would end the program alone, and wait for what it has started.
        with suppress(OSError):
            await _end(await starting)
        raise


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends a program and all that it started, and closes what is open to it."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    process._transport.close()  # type: ignore[attr-defined]  # Pipes that somebody else holds open would stay so.
