"""What the plugin needs of the place where endpoints, pods and addresses are kept."""

from __future__ import annotations

from typing import Protocol, TypeVar

from tortie.ipam.command import Steps
from tortie.model import kubernetes as k8s
from tortie.model.endpoint import WorkloadEndpoint
from tortie.model.pool import IPPool
from tortie.model.profile import Profile

T = TypeVar("T")


class Datastore(Protocol):
    """Resources of one cluster. Every method raises `InvalidInput` or `OSError` when the place cannot be used."""

    def ready(self) -> bool:
        """Whether the cluster says that its datastore may be used."""
        ...

    def endpoint(self, namespace: str, name: str) -> WorkloadEndpoint | None:
        """A workload endpoint."""
        ...

    def put_endpoint(self, endpoint: WorkloadEndpoint) -> None:
        """Writes an endpoint, whether there was one or not."""
        ...

    def remove_endpoint(self, endpoint: WorkloadEndpoint) -> None:
        """Removes an endpoint as it was read; nothing happens where it is no more, and none of another container goes."""
        ...

    def profile(self, name: str) -> Profile | None:
        """A profile."""
        ...

    def create_profile(self, profile: Profile) -> None:
        """Writes a profile unless somebody else has."""
        ...

    def pools(self) -> tuple[IPPool, ...]:
        """All pools."""
        ...

    def addresses(self, steps: Steps[T]) -> T:
        """Carries out an operation on addresses; raises what it raises."""
        ...

    def close(self) -> None:
        """Gives up connections."""
        ...


class Pods(Protocol):
    """Where a pod's own object is, with its labels, ports and annotations; raises as a `Datastore` does."""

    def pod(self, namespace: str, name: str) -> k8s.Pod | None:
        """A pod."""
        ...

    def namespace_annotations(self, name: str) -> dict[str, str]:
        """The annotations of a namespace; none where there is no such namespace."""
        ...

    def close(self) -> None:
        """Gives up connections."""
        ...
