"""ADD, CHECK and DEL: in which order addresses, interfaces and endpoints come and go (spec: model 10.3, 10.6).

Invariants:
- A failed ADD leaves no address, no interface and no endpoint that was not there before.
- ADD twice is ADD once: a container that has its endpoint already keeps its addresses; its interfaces are made anew.
- DEL goes on as far as it can, may come twice, and for an endpoint that another container has taken over leaves that alone.
- Calls about one interface take turns, so that deleting a pod's old container does not take the new one's interface.
- Nothing here opens the node: an interface without endpoint is dropped from and to by the agent's rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from tortie.cni import wiring
from tortie.cni.addressing import Wish, give_back, read_wish, take
from tortie.cni.call import Call
from tortie.cni.config import CHECK_SINCE, VERSIONS, NetworkConfig
from tortie.cni.datastore import Datastore, Pods
from tortie.cni.endpoint import Workload, endpoint_of, network_profile, workload_of
from tortie.cni.error import CniError, ErrorCode
from tortie.cni.interface import PodInterface
from tortie.cni.result import add_result, result_networks
from tortie.cni.turn import turn_for
from tortie.kernel.namespace import is_namespace
from tortie.kernel.run import Feed
from tortie.model import kubernetes as k8s
from tortie.model.endpoint import WorkloadEndpoint
from tortie.net.address import Prefix
from tortie.net.error import InvalidInput

KUBERNETES_POLICY = "k8s"
_NOT_READY = "Calico is currently not ready to process requests"


@dataclass(frozen=True, slots=True)
class Plugin:
    """What a call is carried out with: the node's name, its tools, and where things are kept."""

    node: str
    run: Feed
    datastore: Datastore
    pods: Pods | None = None
    interface_prefix: str = "cali"

    def add(self, call: Call, config: NetworkConfig) -> dict[str, Any]:
        """Attaches a container; returns the result. Raises `CniError`, `InvalidInput` and `OSError`."""
        workload = workload_of(call, self.node, self.interface_prefix)
        with turn_for(workload.spec.interface_name):
            return self._add(call, config, workload)

    def _add(self, call: Call, config: NetworkConfig, workload: Workload) -> dict[str, Any]:
        self._check_ready()
        if not is_namespace(call.namespace_path):
            raise CniError(f"failed to open netns {call.namespace_path!r}", ErrorCode.BAD_ENVIRONMENT)
        existing = self.datastore.endpoint(workload.namespace, workload.name)
        if existing is not None and call.pod is None:
            return self._join(existing, config)
        pod, wish = self._described(call, config)
        held = _own_networks(existing, call)
        try:
            networks = held or wish_networks(wish) or take(self.datastore, call, config, self.node, wish)
            self._attach(call, config, workload, pod, networks)
        except BaseException:
            self._undo(call, config, workload, existing, keep_addresses=bool(held))
            raise
        return add_result(config.version, workload.spec.interface_name, networks)

    def check(self, call: Call, config: NetworkConfig) -> None:
        """Raises `CniError` with the first thing that is not as ADD left it."""
        if VERSIONS.index(config.version) < VERSIONS.index(CHECK_SINCE):
            message = "config version does not allow CHECK"
            raise CniError(message, ErrorCode.INCOMPATIBLE_VERSION, f"it is {config.version}, not {CHECK_SINCE} or newer")
        if config.previous is None:
            raise CniError("prevResult is missing", ErrorCode.BAD_CONFIGURATION)
        self._check_ready()
        workload = workload_of(call, self.node, self.interface_prefix)
        networks = result_networks(config.previous)
        endpoint = self.datastore.endpoint(workload.namespace, workload.name)
        if endpoint is None:
            raise CniError(f"WorkloadEndpoint({workload.namespace}/{workload.name}) is not there")
        if set(endpoint.spec.ip_networks) != set(networks):
            shown = ", ".join(map(str, endpoint.spec.ip_networks))
            raise CniError(f"WorkloadEndpoint({workload.namespace}/{workload.name}) has other addresses: {shown}")
        wiring.check(self.run, _interface(call, config, workload, networks))

    def delete(self, call: Call, config: NetworkConfig) -> None:
        """Detaches a container; succeeds where there is nothing of it. Raises as `add` does."""
        workload = workload_of(call, self.node, self.interface_prefix)
        with turn_for(workload.spec.interface_name):
            self._delete(call, config, workload)

    def _delete(self, call: Call, config: NetworkConfig, workload: Workload) -> None:
        self._check_ready()
        endpoint = self.datastore.endpoint(workload.namespace, workload.name)
        ours = endpoint is not None and endpoint.spec.container_id in ("", call.container_id)
        if endpoint is not None and ours:
            self.datastore.remove_endpoint(endpoint)
        unreleased: CniError | None = None
        try:
            give_back(self.datastore, call, config)
        except CniError as error:
            unreleased = error
        if call.namespace_path:
            wiring.disconnect_inside(self.run, call.namespace_path, call.interface)
        if ours:
            wiring.disconnect(self.run, workload.spec.interface_name)
        if unreleased is not None:
            raise unreleased

    # --- steps ---

    def _check_ready(self) -> None:
        if not self.datastore.ready():
            raise CniError(_NOT_READY, ErrorCode.TRY_AGAIN)

    def _described(self, call: Call, config: NetworkConfig) -> tuple[k8s.Pod | None, Wish]:
        """The pod's own object, where policy is Kubernetes', and what its annotations ask for."""
        nothing: Mapping[str, str] = {}
        if call.pod is None or config.policy_type != KUBERNETES_POLICY:
            return None, read_wish(nothing, nothing, config)
        namespace, name = call.pod
        if self.pods is None:
            message = 'policy.type "k8s" needs to know where pods are'
            raise CniError(message, ErrorCode.BAD_CONFIGURATION, "set kubernetes.kubeconfig or datastore_dir")
        pod = self.pods.pod(namespace, name)
        if pod is None:
            raise CniError(f'pods "{name}" not found')
        return pod, read_wish(pod.metadata.annotations, self.pods.namespace_annotations(namespace), config)

    def _attach(
        self, call: Call, config: NetworkConfig, workload: Workload, pod: k8s.Pod | None, networks: tuple[Prefix, ...]
    ) -> None:
        if not networks:
            raise CniError("the address plugin returned no addresses")
        mac = wiring.connect(self.run, _interface(call, config, workload, networks))
        self.datastore.put_endpoint(endpoint_of(workload, config, pod, networks, mac))
        if pod is None and self.datastore.profile(config.name) is None:
            self.datastore.create_profile(network_profile(config.name, for_pods=call.pod is not None))

    def _join(self, existing: WorkloadEndpoint, config: NetworkConfig) -> dict[str, Any]:
        """A container that is attached already gets one more network's profile."""
        if config.name not in existing.spec.profiles:
            profiles = (*existing.spec.profiles, config.name)
            self.datastore.put_endpoint(replace(existing, spec=replace(existing.spec, profiles=profiles)))
            if self.datastore.profile(config.name) is None:
                self.datastore.create_profile(network_profile(config.name, for_pods=False))
        return add_result(config.version, existing.spec.interface_name, existing.spec.ip_networks)

    def _undo(
        self,
        call: Call,
        config: NetworkConfig,
        workload: Workload,
        existing: WorkloadEndpoint | None,
        *,
        keep_addresses: bool,
    ) -> None:
        """Takes back what a failed ADD did; what cannot be taken back now is left to DEL, which the runtime sends next."""
        with suppress(CniError, InvalidInput, OSError):
            wiring.disconnect(self.run, workload.spec.interface_name)
        if existing is None:
            with suppress(CniError, InvalidInput, OSError):
                written = self.datastore.endpoint(workload.namespace, workload.name)
                if written is not None and written.spec.container_id == call.container_id:
                    self.datastore.remove_endpoint(written)
        if not keep_addresses:
            with suppress(CniError, InvalidInput, OSError):
                give_back(self.datastore, call, config)


def _own_networks(existing: WorkloadEndpoint | None, call: Call) -> tuple[Prefix, ...]:
    """The addresses that this very container has already."""
    if existing is None or existing.spec.container_id != call.container_id:
        return ()
    return existing.spec.ip_networks


def wish_networks(wish: Wish) -> tuple[Prefix, ...]:
    """Addresses that are used as they are asked for."""
    return tuple(Prefix(address.family, address.value, address.family.bits) for address in wish.unmanaged)


def _interface(call: Call, config: NetworkConfig, workload: Workload, networks: tuple[Prefix, ...]) -> PodInterface:
    return PodInterface(
        call.interface,
        workload.spec.interface_name,
        call.namespace_path,
        networks,
        config.mtu,
        config.allow_ip_forwarding,
    )
