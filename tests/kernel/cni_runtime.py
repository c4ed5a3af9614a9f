"""A container runtime as the CNI specification has it, strict: what it sends is complete, what it gets must be exact.

The plugin is the installed program. Host and containers are network namespaces of their own. The reference tool `cnitool`,
where Go is there to build it, drives the same plugin in the same tests.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kernel.oracle.namespace import Namespace

PLUGIN = Path(sys.executable).parent / "tortie-cni"
CNITOOL = "github.com/containernetworking/cni/cnitool@v1.1.2"
RESULT_KEYS = {"cniVersion", "interfaces", "ips", "routes", "dns"}


@functools.cache
def cnitool() -> Path | None:
    """The reference tool, built by Go once; None where that cannot be done."""
    folder = Path(__file__).parents[2] / ".tools" / "go"
    program = folder / "cnitool"
    if not program.exists() and shutil.which("go"):
        environment = {**os.environ, "GOBIN": str(folder), "GOFLAGS": "-mod=mod"}
        subprocess.run(["go", "install", CNITOOL], env=environment, capture_output=True, check=False, timeout=300)
    return program if program.exists() else None


@dataclass(frozen=True)
class Answer:
    """What a plugin said: exit code and document."""

    code: int
    document: dict[str, Any]

    @property
    def addresses(self) -> list[str]:
        """The addresses of a result."""
        return [entry["address"] for entry in self.document["ips"]]


@dataclass
class Container:
    """A network namespace with an id."""

    id: str
    namespace: Namespace = field(default_factory=Namespace)

    @property
    def path(self) -> str:
        """A file that is the namespace, for as long as this object lives."""
        return f"/proc/{os.getpid()}/fd/{self.namespace.descriptor}"

    def ip(self, *words: str) -> Any:
        """What `ip -j` says inside."""
        return json.loads(self.namespace.run(["ip", "-j", *words]) or "[]")


@dataclass
class Runtime:
    """A host and what it is told of a network."""

    host: Namespace
    config: dict[str, Any]

    def call(
        self,
        command: str,
        container: Container | None,
        *,
        pod: str = "",
        previous: Mapping[str, Any] | None = None,
        **extra: str,
    ) -> Answer:
        """One call, with everything that the specification asks of a runtime; checks everything it asks of a plugin."""
        environment = {"PATH": os.environ["PATH"], "CNI_COMMAND": command}
        if container is not None:
            environment |= {
                "CNI_CONTAINERID": container.id,
                "CNI_NETNS": container.path,
                "CNI_IFNAME": "eth0",
                "CNI_PATH": str(PLUGIN.parent),
            }
        if pod:
            namespace, _, name = pod.partition("/")
            environment["CNI_ARGS"] = f"IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name}"
        config = self.config | ({} if previous is None else {"prevResult": previous})
        text = json.dumps(config)
        with self.host:
            done = subprocess.run(
                [str(PLUGIN)], input=text, capture_output=True, text=True, check=False, env=environment | extra, timeout=60
            )
        answer = Answer(done.returncode, json.loads(done.stdout) if done.stdout else {})
        self._check(command, answer, done.stderr)
        return answer

    def _check(self, command: str, answer: Answer, log: str) -> None:
        document = answer.document
        if answer.code:
            assert {"cniVersion", "code", "msg"} <= set(document) <= {"cniVersion", "code", "msg", "details"}, log
            assert isinstance(document["code"], int)
            assert document["code"] > 0
        elif command == "ADD":
            assert document["cniVersion"] == self.config["cniVersion"]
            assert set(document) <= RESULT_KEYS
        elif command == "VERSION":
            assert set(document) == {"cniVersion", "supportedVersions"}
        else:
            assert document == {}
        assert "Traceback" not in log, log

    def ip(self, *words: str) -> Any:
        """What `ip -j` says on the host."""
        return json.loads(self.host.run(["ip", "-j", *words]) or "[]")

    def interfaces(self) -> list[str]:
        """The host's interfaces but for loopback and its uplink."""
        return [entry["ifname"] for entry in self.ip("link") if entry["ifname"] not in ("lo", "up0")]
