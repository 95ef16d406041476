"""Independent Kubernetes control planes on loopback, each an etcd and an API server, one with a controller manager.

Real: API server, etcd, TLS, RBAC, audit log, garbage collector. Not there: nodes, so no Pods and no kube-proxy. Tests
write the EndpointSlices of a remote themselves, as its endpointslice controller would.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import trustme
import yaml

from svclink_controller.cli.permissions import (
    MAIN_PERMISSIONS,
    OWN_NAMESPACE,
    REMOTE_IDENTITY,
    REMOTE_MIRRORED,
)
from svclink_controller.demo.control_planes import (
    PORTS,
    Site,
    controller_manager,
    embedded_api_server,
    etcd,
    free_ports,
    real_api_server,
)
from svclink_controller.demo.processes import Process, stop_all

from .api_client import Api, ApiError, Object
from .polling import eventually

START_SECONDS: Final = 90.0
TOKEN_SECONDS: Final = 24 * 3600
# A port is looked up long before the server listens on it: test processes that run side by side draw from shares of
# their own, so that none takes what another has just found free.
SHARES: Final = 16
SHARE: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % SHARES
_reserved: set[int] = set()

RBAC_GROUP: Final = "rbac.authorization.k8s.io"
RBAC: Final = f"{RBAC_GROUP}/v1"
ADMINISTRATORS: Final = "system:masters"
SYSTEM_NAMESPACE: Final = "kube-system"
CONTROLLER_NAMESPACE: Final = "svclink"
CONTROLLER: Final = "svclink"
READER: Final = "reader"
STRANGER: Final = "stranger"
READER_USER: Final = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{READER}"

CONTROLLER_MANAGER_LOOPS: Final = (
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    # Neighbours of a mirror in the main cluster: they must leave its EndpointSlices alone.
    "endpoints-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
)

AUDIT_POLICY: Final = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}

# What svclink asks for, and nothing more: all tests run with it.
READER_RULES: Final = tuple(each.rule for each in (*REMOTE_MIRRORED, *REMOTE_IDENTITY))
CONTROLLER_RULES: Final = tuple(each.rule for each in MAIN_PERMISSIONS)
CONTROLLER_NAMESPACE_RULES: Final = tuple(each.rule for each in OWN_NAMESPACE)


class StartError(Exception):
    """A control plane did not come up; the message carries the ends of its logs."""


@dataclass(frozen=True)
class AuditEvent:
    """One finished (or, for a watch, started) request, as the API server's audit log has it."""

    user: str
    verb: str
    resource: str
    namespace: str
    name: str
    code: int
    stage: str
    denied: bool
    allowed_by: str

    @property
    def writes(self) -> bool:
        return self.verb not in {"get", "list", "watch"}


class Cluster:
    """One control plane, real or (without binaries) the API server of `svclink demo`, which collects its own garbage.

    `spawn` and then `wait_until_ready`, so that several come up side by side.
    """

    def __init__(
        self, name: str, binaries: Path | None, directory: Path, *, controller_manager: bool = False
    ) -> None:
        self.name = name
        self._binaries = binaries
        self._directory = directory
        self._authority = trustme.CA(organization_name=name)  # of the users
        self._serving_authority = self._authority
        self._etcd_port, self._peer_port, self._port = reserve_ports(3)
        self.server = f"https://127.0.0.1:{self._port}"
        self._has_controller_manager = controller_manager
        self._write_files()
        self._etcd = (
            None
            if binaries is None
            else etcd(self._site, binaries, self._etcd_port, self._peer_port)
        )
        self._api_server = self._make_api_server()
        self._controller_managers: list[Process] = []
        self.api = self._connect()
        self._reader_kubeconfig: str | None = None

    # Life

    def spawn(self) -> None:
        """Start etcd and the API server, which waits for etcd by itself."""
        if self._etcd is not None:
            self._etcd.start()
        self._api_server.start()

    def wait_until_ready(self) -> None:
        """Return when it serves, knows its standard users and runs everything it should.

        Raises:
            StartError: it does not.
        """
        self._wait_for_api_server()
        eventually(lambda: self.api.get("namespaces", SYSTEM_NAMESPACE))
        self._create_accounts()
        if self._has_controller_manager:
            self.admit_controller()
            self._start_controller_manager(*CONTROLLER_MANAGER_LOOPS)

    def fill_token_secrets(self) -> None:
        """Run the controller that gives Secrets for ServiceAccounts their token, from now on."""
        self._start_controller_manager("serviceaccount-token-controller")

    def pause(self) -> None:
        """The API server stops in mid-flight: connections stay open, nothing answers."""
        self._api_server.pause()

    def resume(self) -> None:
        self._api_server.resume()

    def recover(self) -> None:
        """Whatever was done to the API server, it serves again."""
        self._api_server.resume()
        self.api.close()
        if not self._api_server.running:
            self.restart()

    def kill(self) -> None:
        """The API server is gone, as in a crash: connections are reset, new ones refused."""
        self._api_server.kill()
        self.api.close()

    def restart(self) -> None:
        """The API server comes back at the same address with the same data."""
        self._api_server.start()
        self._wait_for_api_server()
        for manager in self._controller_managers:  # Left alone, it takes a minute to notice.
            manager.kill()
            manager.start()

    @property
    def processes(self) -> list[Process]:
        """In the order in which they are best stopped."""
        last = [] if self._etcd is None else [self._etcd]
        return [*self._controller_managers, self._api_server, *last]

    def clean_up(self) -> None:
        """After the end of its processes: only the logs are left."""
        self.api.close()
        shutil.rmtree(self._directory / "etcd", ignore_errors=True)

    def another_api(self) -> Api:
        """The same as `api`, for another thread."""
        return self._connect()

    # Users

    def admin_kubeconfig(self) -> str:
        return self._certificate_kubeconfig("admin", ADMINISTRATORS)

    def controller_kubeconfig(self, user: str = CONTROLLER) -> str:
        """For the controller in its main cluster: a user with the permissions it asks for."""
        return self._certificate_kubeconfig(user, CONTROLLER, CONTROLLER_NAMESPACE)

    def user_kubeconfig(
        self, user: str, namespace: str = "default", not_after: datetime | None = None
    ) -> str:
        """For somebody with a certificate (valid until then), and with the permissions that are given to this user."""
        return self._certificate_kubeconfig(user, "", namespace, not_after)

    def remote_kubeconfig(self) -> str:
        """What an administrator of a remote cluster hands out: the token of a ServiceAccount that can only read."""
        if self._reader_kubeconfig is None:
            self._reader_kubeconfig = self.kubeconfig({"token": self.token(READER)})
        return self._reader_kubeconfig

    def token(
        self,
        account: str = READER,
        namespace: str = SYSTEM_NAMESPACE,
        *,
        seconds: int = TOKEN_SECONDS,
    ) -> str:
        """A new token of a ServiceAccount: of the read-only one, unless told otherwise."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds},
        }
        return str(self.api.request("POST", path, request)["status"]["token"])

    def kubeconfig(self, user: Object, *, namespace: str = "default", **cluster: object) -> str:
        """A kubeconfig for this cluster with this user entry; keyword arguments are added to the cluster entry."""
        authority = base64.b64encode(self._serving_authority.cert_pem.bytes()).decode()
        access = {"server": self.server, "certificate-authority-data": authority} | cluster
        context = {"cluster": self.name, "user": "user", "namespace": namespace}
        return str(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": self.name, "cluster": access}],
                    "users": [{"name": "user", "user": user}],
                    "contexts": [{"name": self.name, "context": context}],
                    "current-context": self.name,
                }
            )
        )

    def tls(self, *, common_name: str | None = None, organization: str = "") -> ssl.SSLContext:
        """TLS to its API server, with the certificate of a user where one is named."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
        self._serving_authority.configure_trust(context)
        if common_name is not None:
            self._issue(common_name, organization).configure_cert(context)
        return context

    def api_of(self, token: str) -> Api:
        """The API as the owner of a token has it."""
        return Api(self.server, self.tls(), token)

    def create_account(self, name: str, namespace: str) -> None:
        """A ServiceAccount that may read Services and EndpointSlices of its namespace; the Role has its name."""
        meta = {"name": name, "namespace": namespace}
        self.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
        account = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
        self._grant(name, READER_RULES, account, namespace)

    def admit_controller(self) -> None:
        """Give the controller, whose main cluster it is to be, a user, permissions and a namespace.

        The same permissions are those of a group, for controllers that run side by side under users of their own.
        """
        self.create_namespace(CONTROLLER_NAMESPACE)
        for kind, name in (("User", "svclink-controller"), ("Group", "svclink-controllers")):
            subject = {"apiGroup": RBAC_GROUP, "kind": kind, "name": CONTROLLER}
            self._grant(name, CONTROLLER_RULES, subject)
            self._grant(name, CONTROLLER_NAMESPACE_RULES, subject, CONTROLLER_NAMESPACE)

    def create_role(self, name: str, rules: Sequence[object], namespace: str | None = None) -> None:
        """A Role in a namespace, or else a ClusterRole."""
        meta = {"name": name} | ({"namespace": namespace} if namespace else {})
        kind = "Role" if namespace else "ClusterRole"
        self.api.create({"apiVersion": RBAC, "kind": kind, "metadata": meta, "rules": list(rules)})

    def bind(self, name: str, role: str, subject: Object, namespace: str | None = None) -> None:
        """Give somebody a Role in a namespace, or else a ClusterRole."""
        meta = {"name": name} | ({"namespace": namespace} if namespace else {})
        kind = "Role" if namespace else "ClusterRole"
        given = {"apiGroup": RBAC_GROUP, "kind": kind, "name": role}
        binding = {"apiVersion": RBAC, "kind": f"{kind}Binding", "metadata": meta}
        self.api.create(binding | {"roleRef": given, "subjects": [subject]})

    # Content

    def create_namespace(self, name: str) -> None:
        self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def delete_namespace(self, name: str) -> None:
        """Delete a namespace; where no controller empties it, the Services and EndpointSlices go here and now."""
        self.api.delete("namespaces", name)
        if self._has_controller_manager or self._binaries is None:
            return
        for resource in ("services", "endpointslices"):
            for item in self.api.find(resource, name):
                self.api.delete(resource, item["metadata"]["name"], name)
        emptied = self.api.get("namespaces", name) | {"spec": {"finalizers": []}}
        self.api.request("PUT", f"/api/v1/namespaces/{name}/finalize", emptied)

    def version(self) -> str:
        """As v1.36.3."""
        return str(self.api.request("GET", "/version")["gitVersion"])

    def audit_mark(self) -> int:
        """A point in the audit log, for `audit_events`."""
        return self._audit_log.stat().st_size

    def audit_events(self, since: int, user: str) -> list[AuditEvent]:
        """The requests of one user that were logged after the mark."""
        with self._audit_log.open("rb") as log:
            log.seek(since)
            lines = [line for line in log if line.endswith(b"\n")]
        return [event for event in map(audit_event, lines) if event.user == user]

    # Start

    @property
    def _audit_log(self) -> Path:
        return self._directory / "audit.log"

    def _write_files(self) -> None:
        self._authority.cert_pem.write_to_path(self._directory / "ca.pem")
        self._write_serving_certificate()
        # Any key will do for ServiceAccount tokens; this one is at hand.
        self._authority.issue_cert("sa").private_key_pem.write_to_path(self._directory / "sa.key")
        (self._directory / "audit-policy.yaml").write_text(
            yaml.safe_dump(AUDIT_POLICY), encoding="utf-8"
        )
        self._audit_log.touch()

    def _write_serving_certificate(self) -> None:
        names = ("127.0.0.1", "localhost", "10.0.0.1")
        serving = self._serving_authority.issue_cert(*names, common_name="kube-apiserver")
        serving.private_key_and_cert_chain_pem.write_to_path(self._directory / "serving.pem")

    @property
    def _site(self) -> Site:
        return Site(self.name, self._directory, self._port)

    def _make_api_server(self) -> Process:
        if self._binaries is None:
            return embedded_api_server(self._site)
        audit = (
            f"--audit-policy-file={self._directory / 'audit-policy.yaml'}",
            f"--audit-log-path={self._audit_log}",
            "--audit-log-maxsize=1000",
        )
        return real_api_server(self._site, self._binaries, self._etcd_port, *audit)

    def _wait_for_api_server(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while (obstacle := self._obstacle()) is not None:
            dead = [process for process in self.processes if not process.running]
            if dead or time.monotonic() > deadline:
                raise StartError(self._why_not(dead, obstacle))
            time.sleep(0.05)

    def _obstacle(self) -> Exception | None:
        try:
            self.api.request("GET", "/readyz")
        except (ApiError, OSError) as error:
            return error
        return None

    def _why_not(self, dead: Sequence[Process], obstacle: Exception) -> str:
        what = (
            " and ".join(f"{process.name} ended" for process in dead)
            or f"{self.name} is not ready ({obstacle})"
        )
        logs = (f"--- {process.log}\n{process.tail()}" for process in dead or self.processes)
        return "\n".join([f"{what}.", *logs])

    def _start_controller_manager(self, *loops: str) -> None:
        """Start it last: it gives up when the API server does not answer within ten seconds."""
        if self._binaries is None:
            return
        kubeconfig = self._directory / "controller-manager.kubeconfig"
        kubeconfig.write_text(
            self._certificate_kubeconfig("controller-manager", ADMINISTRATORS), encoding="utf-8"
        )
        self._controller_managers.append(
            controller_manager(self._site, self._binaries, kubeconfig, loops)
        )
        self._controller_managers[-1].start()

    # Users, made

    def _connect(self) -> Api:
        """As an administrator."""
        return Api(self.server, self.tls(common_name="admin", organization=ADMINISTRATORS))

    def _issue(
        self, common_name: str, organization: str, not_after: datetime | None = None
    ) -> trustme.LeafCert:
        # Go refuses a certificate without any alternative name, because trustme marks the empty list as critical.
        return self._authority.issue_cert(
            common_name,
            common_name=common_name,
            organization_name=organization,
            not_after=not_after,
        )

    def _certificate_kubeconfig(
        self,
        common_name: str,
        organization: str,
        namespace: str = "default",
        not_after: datetime | None = None,
    ) -> str:
        identity = self._issue(common_name, organization, not_after)
        user = {
            "client-certificate-data": base64.b64encode(
                identity.cert_chain_pems[0].bytes()
            ).decode(),
            "client-key-data": base64.b64encode(identity.private_key_pem.bytes()).decode(),
        }
        return self.kubeconfig(user, namespace=namespace)

    def _create_accounts(self) -> None:
        account = {"kind": "ServiceAccount", "name": READER, "namespace": SYSTEM_NAMESPACE}
        for name in (READER, STRANGER):
            meta = {"name": name, "namespace": SYSTEM_NAMESPACE}
            self.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
        self._grant("reader", READER_RULES, account)

    def _grant(
        self, name: str, rules: Sequence[object], subject: Object, namespace: str | None = None
    ) -> None:
        self.create_role(name, rules, namespace)
        self.bind(name, name, subject, namespace)


@contextmanager
def running(clusters: Sequence[Cluster]) -> Iterator[None]:
    """Start the clusters side by side, and stop them whatever happens."""
    try:
        for cluster in clusters:
            cluster.spawn()
        for cluster in clusters:
            cluster.wait_until_ready()
        yield
    finally:
        stop_all([process for cluster in clusters for process in cluster.processes])
        for cluster in clusters:
            cluster.clean_up()


def reserve_ports(count: int) -> list[int]:
    """Ports of loopback on which nobody listens, never given out before by this process or one beside it."""
    ports = free_ports(
        count, (port for port in PORTS if port % SHARES == SHARE and port not in _reserved)
    )
    _reserved.update(ports)
    return ports


def audit_event(line: bytes) -> AuditEvent:
    """One line of the audit log."""
    event = json.loads(line)
    target = event.get("objectRef", {})
    resource = "/".join(filter(None, (target.get("resource"), target.get("subresource"))))
    return AuditEvent(
        user=event["user"].get("username", ""),
        verb=event["verb"],
        resource=resource,
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        stage=event["stage"],
        denied=event.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid",
        allowed_by=event.get("annotations", {}).get("authorization.k8s.io/reason", ""),
    )
