"""How Calico's programs are told where the datastore is: a file, or the environment (spec: model 8.8).

The file is a `CalicoAPIConfig`; when there is one, the environment does not count, as in calicoctl. In the environment
each name may have `CALICO_` in front, which wins (libcalico-go 3.7 lib/apiconfig). Keys and certificates may stand in the
file itself instead of being named there. Without a word about it the datastore is etcd.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, ClassVar

from tortie.model.document import parse_documents
from tortie.model.problem import FieldProblem, field_problem
from tortie.model.reader import Named, Reads, read_text, read_value
from tortie.net.error import InvalidInput

CONFIG_KIND = "CalicoAPIConfig"
CONFIG_VERSION = "projectcalico.org/v3"
DEFAULT_FILE = Path("/etc/calico/calicoctl.cfg")
ENDPOINT_REMEDY = "write it as http://10.0.0.1:2379 or https://etcd.example:2379"


class DatastoreType(Enum):
    """The engines that Calico 3.7 keeps resources in; `value` as users write it."""

    ETCD = "etcdv3"
    KUBERNETES = "kubernetes"


def _read_type(data: Any) -> DatastoreType:
    words = {member.value: member for member in DatastoreType}
    found = words.get(read_text(data) or DatastoreType.ETCD.value)
    if found is None:
        raise FieldProblem(f"{data!r} is not one of {', '.join(words)}")
    return found


def _read_switch(data: Any) -> bool:
    """True or false; the environment has only text (Go's strconv.ParseBool)."""
    words = {"1": True, "t": True, "true": True, "": False, "0": False, "f": False, "false": False}
    found = data if type(data) is bool else words.get(read_text(data).lower())
    if found is None:
        raise FieldProblem(f"expected true or false, not {data!r}")
    return found


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """What a client must know of the datastore; empty where nothing is said.

    `etcd_key`, `etcd_cert` and `etcd_ca_cert` hold PEM text themselves.
    """

    NOT_KEPT: ClassVar[tuple[str, ...]] = ("k8sDisableNodePoll",)

    datastore_type: Annotated[DatastoreType, Reads(_read_type)] = DatastoreType.ETCD
    etcd_endpoints: str = ""
    etcd_username: str = ""
    etcd_password: str = ""
    etcd_key_file: str = ""
    etcd_cert_file: str = ""
    etcd_ca_cert_file: Annotated[str, Named("etcdCACertFile")] = ""
    etcd_key: str = ""
    etcd_cert: str = ""
    etcd_ca_cert: Annotated[str, Named("etcdCACert")] = ""
    kubeconfig: str = ""
    k8s_api_endpoint: Annotated[str, Named("k8sAPIEndpoint")] = ""
    k8s_key_file: str = ""
    k8s_cert_file: str = ""
    k8s_ca_file: Annotated[str, Named("k8sCAFile")] = ""
    k8s_api_token: Annotated[str, Named("k8sAPIToken")] = ""
    k8s_insecure_skip_tls_verify: Annotated[bool, Reads(_read_switch), Named("k8sInsecureSkipTLSVerify")] = False
    k8s_use_pod_cidr: Annotated[bool, Reads(_read_switch), Named("k8sUsePodCIDR")] = False

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where etcd listens; raises `InvalidInput` when nothing, or nothing sensible, is said of it."""
        found = tuple(parse_endpoint(text) for text in self.etcd_endpoints.split(",") if text.strip())
        if not found:
            remedy = f"set ETCD_ENDPOINTS, or etcdEndpoints in the file: {ENDPOINT_REMEDY}"
            raise InvalidInput("no etcd endpoints specified", remedy=remedy)
        return found


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server of etcd: `target` as host and port."""

    target: str
    encrypted: bool

    def __str__(self) -> str:
        return f"{'https' if self.encrypted else 'http'}://{self.target}"


def parse_endpoint(text: str) -> Endpoint:
    """A server of etcd from its URL; raises `InvalidInput`. Without a port it is etcd's own, 2379."""
    scheme, separator, target = text.strip().rstrip("/").partition("://")
    if not separator or scheme not in ("http", "https") or not target or "/" in target:
        raise InvalidInput(f"{text.strip()!r} is not an endpoint of etcd", remedy=ENDPOINT_REMEDY)
    host, colon, port = target.rpartition(":")
    if not colon or "]" in port:
        target = f"{target}:2379"
    elif not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise InvalidInput(f"{text.strip()!r} has no port that can be", remedy=ENDPOINT_REMEDY)
    return Endpoint(target, scheme == "https")


_ENVIRONMENT = {
    "DATASTORE_TYPE": "datastoreType",
    "ETCD_ENDPOINTS": "etcdEndpoints",
    "ETCD_USERNAME": "etcdUsername",
    "ETCD_PASSWORD": "etcdPassword",
    "ETCD_KEY_FILE": "etcdKeyFile",
    "ETCD_CERT_FILE": "etcdCertFile",
    "ETCD_CA_CERT_FILE": "etcdCACertFile",
    "KUBECONFIG": "kubeconfig",
    "K8S_API_ENDPOINT": "k8sAPIEndpoint",
    "K8S_KEY_FILE": "k8sKeyFile",
    "K8S_CERT_FILE": "k8sCertFile",
    "K8S_CA_FILE": "k8sCAFile",
    "K8S_API_TOKEN": "k8sAPIToken",
    "K8S_INSECURE_SKIP_TLS_VERIFY": "k8sInsecureSkipTLSVerify",
    "USE_POD_CIDR": "k8sUsePodCIDR",
}
"""Names in the environment, and the fields of the file that they stand for."""


def config_from_environment(environment: Mapping[str, str]) -> ClientConfig:
    """What the environment says of the datastore; raises `InvalidInput` that names the variable."""
    data: dict[str, str] = {}
    names: dict[str, str] = {}
    for name, field in _ENVIRONMENT.items():
        for spelling in (name, f"CALICO_{name}"):
            if environment.get(spelling):
                data[field], names[field] = environment[spelling], spelling
    try:
        return read_value(ClientConfig, data)
    except FieldProblem as problem:
        name = names.get(str(problem.path[0]), "") if problem.path else ""
        raise InvalidInput(problem.message, source=name or None, remedy=problem.remedy) from None


def parse_config(text: str, source: str = "") -> ClientConfig:
    """What a file says of the datastore; raises `InvalidInput` with source and line."""
    try:
        documents = list(parse_documents(text))
    except InvalidInput as error:
        raise error.at(source=source) from None
    if len(documents) != 1:
        raise InvalidInput(f"expected one {CONFIG_KIND}, not {len(documents)}", source=source)
    (document,) = documents
    try:
        return _read_config(document.data)
    except InvalidInput as error:
        problem = field_problem(error)
        raise problem.resolved(source=source, line=document.line_of(problem.path)) from None


def _read_config(data: Any) -> ClientConfig:
    if type(data) is not dict or data.get("kind") != CONFIG_KIND:
        raise FieldProblem(f"expected a {CONFIG_KIND}", path=("kind",) if type(data) is dict else ())
    if data.get("apiVersion") != CONFIG_VERSION:
        raise FieldProblem(f"expected version {CONFIG_VERSION}", path=("apiVersion",))
    try:
        return read_value(ClientConfig, data.get("spec") or {})
    except FieldProblem as problem:
        raise problem.inside("spec") from None


def load_config(file: Path | None, environment: Mapping[str, str]) -> ClientConfig:
    """What the file says if one is named or is where calicoctl has it; else the environment. Raises `InvalidInput`."""
    if file is None and not DEFAULT_FILE.exists():
        return config_from_environment(environment)
    path = file or DEFAULT_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot be read: {error}", source=str(path)) from None
    return parse_config(text, str(path))
