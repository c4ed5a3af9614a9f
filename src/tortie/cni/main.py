"""The program `tortie-cni` that runtimes start: environment and stdin in, a document on stdout out, 1 when it failed.

Logs go to stderr, as the CNI specification has it. A call that fails for any reason that has been thought of ends in an
error object; one of our own mistakes ends in one as well, with the traceback on stderr, since a runtime reads nothing else.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tortie.cni.call import Call, Command, parse_call
from tortie.cni.config import NEWEST_VERSION, OWN_IPAM, NetworkConfig, parse_config
from tortie.cni.error import CniError, ErrorCode
from tortie.cni.result import add_result, format_document, version_result
from tortie.net.error import InvalidInput

if TYPE_CHECKING:
    from tortie.cni.datastore import Datastore, Pods
    from tortie.source.client_config import ClientConfig

DEFAULT_NODE_NAME_FILE = Path("/var/lib/calico/nodename")
DEFAULT_IPAM_DIRECTORY = "/var/lib/tortie/ipam"
DIRECTORY = "directory"
ETCD = "etcdv3"
_EXIT_FAILED = 1


def main() -> None:
    """The interface plugin."""
    _main(run_call)


def ipam_main() -> None:
    """The address plugin alone, for other interface plugins."""
    _main(run_address_call)


Runner = Callable[[Call, NetworkConfig, Mapping[str, str]], Mapping[str, Any] | None]


def _main(runner: Runner) -> None:
    try:
        # A runtime that gives no configuration closes stdin; VERSION needs none.
        text = sys.stdin.read() if sys.stdin is not None else ""
    except (OSError, UnicodeDecodeError) as error:
        text = f"unreadable: {error}"
    code, out = answer(runner, os.environ, text)
    sys.stdout.write(out)
    raise SystemExit(code)


def answer(runner: Runner, environment: Mapping[str, str], text: str) -> tuple[int, str]:
    """Exit code and output of one call."""
    version = NEWEST_VERSION
    try:
        call = parse_call(environment)
        if call.command is Command.VERSION:
            return 0, format_document(version_result())
        config = parse_config(text)
        version = config.version
        result = runner(call, config, environment)
        return 0, "" if result is None else format_document(result)
    except CniError as error:
        failure = error
    except InvalidInput as error:
        failure = CniError(str(error))
    except OSError as error:
        failure = CniError(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except Exception as error:  # the runtime must be told, whatever it is
        failure = _failure(error)
    return _EXIT_FAILED, format_document(failure.document(version))


def _failure(error: Exception) -> CniError:
    """A datastore that does not answer may do so later; anything else that gets here is our own mistake."""
    from tortie.source.failure import DatastoreFailed
    from tortie.source.store_refusal import StoreRefused

    if isinstance(error, DatastoreFailed):
        return CniError(error.reason, ErrorCode.TRY_AGAIN)
    if isinstance(error, StoreRefused):
        return CniError(str(error))
    traceback.print_exception(error, file=sys.stderr)
    return CniError(f"{type(error).__name__}: {error}")


def run_call(call: Call, config: NetworkConfig, environment: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Carries out ADD, CHECK or DEL; the result, if there is one. Raises `CniError`, `InvalidInput` and `OSError`."""
    from tortie.cni.plugin import Plugin
    from tortie.kernel.run import run_tool

    datastore, pods = open_datastore(config, environment)
    try:
        prefix = environment.get("FELIX_INTERFACEPREFIX", "").split(",")[0] or "cali"
        plugin = Plugin(node_name(config), run_tool, datastore, pods, prefix)
        match call.command:
            case Command.ADD:
                return plugin.add(call, config)
            case Command.CHECK:
                plugin.check(call, config)
            case _:
                plugin.delete(call, config)
        return None
    finally:
        datastore.close()
        if pods is not None:
            pods.close()


def run_address_call(call: Call, config: NetworkConfig, environment: Mapping[str, str]) -> Mapping[str, Any] | None:
    """The same for addresses alone."""
    from tortie.cni.addressing import check_held, give_back, read_wish, take

    if config.ipam.type not in OWN_IPAM:
        raise CniError(f"ipam.type: {config.ipam.type!r} is another plugin", ErrorCode.BAD_CONFIGURATION)
    datastore = _datastore(config, environment)
    try:
        match call.command:
            case Command.ADD:
                wish = read_wish({}, {}, config)
                return add_result(config.version, "", take(datastore, call, config, node_name(config), wish))
            case Command.CHECK:
                check_held(datastore, call, config)
            case _:
                give_back(datastore, call, config)
        return None
    finally:
        datastore.close()


def node_name(config: NetworkConfig, file: Path = DEFAULT_NODE_NAME_FILE) -> str:
    """This node's name, from the first that has one: the configuration, the file that the node writes, the system.

    Raises `CniError` where the file must be there and is not (spec: model 10.2).
    """
    if config.node_name:
        return config.node_name
    try:
        found = file.read_text().strip()
    except FileNotFoundError:
        if not config.node_name_file_optional and not config.host_name:
            message = (
                f"stat {file}: no such file or directory: check that the node agent runs and has written its name there"
            )
            raise CniError(message, ErrorCode.TRY_AGAIN) from None
        found = ""
    if found or config.host_name:
        return found or config.host_name
    import platform

    return platform.node().lower()


def open_datastore(config: NetworkConfig, environment: Mapping[str, str]) -> tuple[Datastore, Pods | None]:
    """Where endpoints are kept, and where pods are looked up (None where nobody says); raises `CniError`."""
    datastore = _datastore(config, environment)
    from tortie.cni.file_datastore import FileDatastore

    if isinstance(datastore, FileDatastore):
        return datastore, datastore
    if config.manifests_dir:
        return datastore, FileDatastore(Path(config.manifests_dir), Path(config.ipam_dir or DEFAULT_IPAM_DIRECTORY))
    return datastore, _kubernetes_pods(config, environment)


def _datastore(config: NetworkConfig, environment: Mapping[str, str]) -> Datastore:
    kind = config.datastore_type or environment.get("DATASTORE_TYPE", "") or ETCD
    if kind == DIRECTORY:
        from tortie.cni.file_datastore import FileDatastore

        if not config.datastore_dir:
            raise CniError("datastore_dir is missing", ErrorCode.BAD_CONFIGURATION)
        return FileDatastore(Path(config.datastore_dir), Path(config.ipam_dir or DEFAULT_IPAM_DIRECTORY))
    if kind != ETCD:
        raise CniError(f"datastore_type: {kind!r} is not one of {DIRECTORY}, {ETCD}", ErrorCode.BAD_CONFIGURATION)
    from tortie.cni.etcd_datastore import EtcdDatastore

    return EtcdDatastore(etcd_config(config, environment))


_ETCD_KEYS = {
    "etcd_endpoints": "ETCD_ENDPOINTS",
    "etcd_key_file": "ETCD_KEY_FILE",
    "etcd_cert_file": "ETCD_CERT_FILE",
    "etcd_ca_cert_file": "ETCD_CA_CERT_FILE",
}
_KUBERNETES_KEYS = {
    ("kubernetes", "kubeconfig"): "KUBECONFIG",
    ("kubernetes", "k8s_api_root"): "K8S_API_ENDPOINT",
    ("policy", "k8s_api_root"): "K8S_API_ENDPOINT",
    ("policy", "k8s_auth_token"): "K8S_API_TOKEN",
    ("policy", "k8s_client_certificate"): "K8S_CERT_FILE",
    ("policy", "k8s_client_key"): "K8S_KEY_FILE",
    ("policy", "k8s_certificate_authority"): "K8S_CA_FILE",
}


def etcd_config(config: NetworkConfig, environment: Mapping[str, str]) -> ClientConfig:
    """Where etcd is: what the network says wins over the environment (spec: model 10.2)."""
    from tortie.source.client_config import config_from_environment

    given = {name: config.raw[key] for key, name in _ETCD_KEYS.items() if isinstance(config.raw.get(key), str)}
    authority = config.raw.get("etcd_authority")
    if isinstance(authority, str) and authority and not given.get("ETCD_ENDPOINTS"):
        given["ETCD_ENDPOINTS"] = f"{config.raw.get('etcd_scheme') or 'http'}://{authority}"
    return config_from_environment({**environment, **{name: text for name, text in given.items() if text}})


def _kubernetes_pods(config: NetworkConfig, environment: Mapping[str, str]) -> Pods | None:
    """Where pods are looked up, if the network says where that is."""
    given: dict[str, str] = {}
    for (part, key), name in _KUBERNETES_KEYS.items():
        inside = config.raw.get(part)
        if isinstance(inside, dict) and isinstance(inside.get(key), str) and inside[key]:
            given.setdefault(name, inside[key])
    if not given:
        return None
    from tortie.cni.kubernetes_pods import KubernetesPods
    from tortie.source.client_config import config_from_environment

    return KubernetesPods(config_from_environment({**environment, **given}))
