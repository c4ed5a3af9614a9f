"""Names of workload endpoints, their interfaces and of the profiles that Kubernetes objects become (spec: model 2)."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1

from tortie.model.problem import FieldProblem

KUBERNETES = "k8s"
NAMESPACE_PROFILE_PREFIX = "kns."
SERVICE_ACCOUNT_PROFILE_PREFIX = "ksa."
DEFAULT_INTERFACE_PREFIX = "cali"
_HASH_LETTERS = 11


@dataclass(frozen=True, slots=True)
class WorkloadIdentifiers:
    """What tells a workload endpoint from others; which of the three in the middle count depends on the orchestrator."""

    node: str = ""
    orchestrator: str = ""
    workload: str = ""
    pod: str = ""
    container_id: str = ""
    endpoint: str = ""

    @property
    def segments(self) -> tuple[tuple[str, str], ...]:
        """The four parts of the name, each with the field that it comes from."""
        match self.orchestrator:
            case "k8s":
                middle = ("pod", self.pod)
            case "cni":
                middle = ("containerID", self.container_id)
            case "libnetwork":
                middle = ("workload", "libnetwork")
            case _:
                middle = ("workload", self.workload)
        return ("node", self.node), ("orchestrator", self.orchestrator), middle, ("endpoint", self.endpoint)


def workload_name_problem(identifiers: WorkloadIdentifiers) -> FieldProblem | None:
    """Why no name can be made of these, or None."""
    for field, segment in identifiers.segments:
        if not segment:
            return FieldProblem("field should be assigned", path=(field,))
        if segment.startswith("-"):
            return FieldProblem("field must not begin with a '-'", path=(field,))
        if segment.endswith("-"):
            return FieldProblem("field must not end with a '-'", path=(field,))
    return None


def format_workload_name(identifiers: WorkloadIdentifiers) -> str:
    """The name of a workload endpoint: four segments joined by dashes, with each dash inside a segment doubled."""
    return "-".join(segment.replace("-", "--") for _, segment in identifiers.segments)


def parse_workload_name(name: str) -> tuple[str, ...]:
    """The segments of a workload endpoint's name; four of them if it is whole."""
    segments = []
    start = 0
    place = 1
    while place < len(name):
        if name[place] != "-":
            place += 1
        elif name[place + 1 : place + 2] == "-":
            place += 2
        else:
            segments.append(name[start:place])
            start = place + 1
            # A segment does not begin with a dash, so its first letter is passed over.
            place += 2
    segments.append(name[start:])
    return tuple(segment.replace("--", "-") for segment in segments if segment)


def pod_interface(namespace: str, pod: str, prefix: str = DEFAULT_INTERFACE_PREFIX) -> str:
    """The name of the node's end of a pod's interface (spec: model 2.2)."""
    return prefix + sha1(f"{namespace}.{pod}".encode(), usedforsecurity=False).hexdigest()[:_HASH_LETTERS]


def namespace_profile(namespace: str) -> str:
    """The profile that a Kubernetes namespace becomes."""
    return NAMESPACE_PROFILE_PREFIX + namespace


def service_account_profile(namespace: str, account: str) -> str:
    """The profile that a Kubernetes service account becomes."""
    return f"{SERVICE_ACCOUNT_PROFILE_PREFIX}{namespace or 'default'}.{account}"
