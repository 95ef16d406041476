"""Independent Kubernetes control planes on loopback.

Real: etcd, API server, TLS, RBAC, audit log and, in main, a controller manager with the garbage
collector. Missing: nodes, and so Pods and kube-proxy. Tests write the EndpointSlices of a remote,
as
its endpointslice controller would.
"""

from __future__ import annotations

import shutil
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    Site,
    controller_manager,
    embedded_api_server,
    etcd,
    real_api_server,
)
from svclink_controller.demo.processes import Process, stop_all
from tests.builders import manifests
from tests.builders.manifests import Manifest

from . import kubeconfigs, rbac
from .api_client import Api, ApiError
from .audit_log import AUDIT_POLICY, AuditEvent, audit_event
from .loopback_ports import reserve_ports
from .polling import eventually

START_SECONDS: Final = 90.0
TOKEN_SECONDS: Final = 30 * 86_400
"""Longer than the week before its end in which svclink warns of a token."""

ADMINISTRATORS: Final = "system:masters"
SYSTEM_NAMESPACE: Final = "kube-system"
CONTROLLER_NAMESPACE: Final = "svclink"
CONTROLLER: Final = "svclink"
READER: Final = "reader"
# A ServiceAccount without any role.
UNPRIVILEGED: Final = "unprivileged"
READER_USER: Final = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{READER}"

CONTROLLER_MANAGER_LOOPS: Final = (
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    # These write EndpointSlices in the main cluster too, and must not touch the mirrors.
    "endpoints-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
)

# All tests run with the permissions that svclink documents, and no others.
READER_RULES: Final = tuple(each.rule for each in (*REMOTE_MIRRORED, *REMOTE_IDENTITY))
CONTROLLER_RULES: Final = tuple(each.rule for each in MAIN_PERMISSIONS)
CONTROLLER_NAMESPACE_RULES: Final = tuple(each.rule for each in OWN_NAMESPACE)


class StartError(Exception):
    """A control plane did not start; the message contains the ends of its logs."""


class Cluster:
    """One control plane; without binaries, the API server of `svclink demo`.

    Call `spawn` on several clusters before `wait_until_ready`, so that they start in parallel.
    """

    def __init__(
        self, name: str, binaries: Path | None, directory: Path, *, controller_manager: bool = False
    ) -> None:
        self.name = name
        self._binaries = binaries
        self._directory = directory
        self._authority = trustme.CA(organization_name=name)  # signs users
        self._serving_authority = self._authority
        self._etcd_port, self._peer_port, self._port = self._choose_ports()
        self.server = f"https://{self.address}:{self._port}"
        self._has_controller_manager = controller_manager
        self._write_files()
        self._etcd = self._make_etcd()
        self._api_server = self._make_api_server()
        self._controller_managers: list[Process] = []
        self.api = self._connect()
        self._reader_kubeconfig: str | None = None

    @property
    def address(self) -> str:
        """The address of its API server."""
        return "127.0.0.1"

    # Life cycle

    def spawn(self) -> None:
        """Start etcd and the API server, which waits for etcd."""
        if self._etcd is not None:
            self._etcd.start()
        self._api_server.start()

    def wait_until_ready(self) -> None:
        """Return when the API server is ready, its accounts exist and its controllers are started.

        Raises:
            StartError: the API server does not become ready.
        """
        self._wait_for_api_server()
        eventually(lambda: self.api.get("namespaces", SYSTEM_NAMESPACE))
        self._create_accounts()
        if self._has_controller_manager:
            self.grant_controller_access()
            self._start_controller_manager(*CONTROLLER_MANAGER_LOOPS)

    def start_token_controller(self) -> None:
        """Start the controller that writes tokens into ServiceAccount Secrets."""
        self._start_controller_manager("serviceaccount-token-controller")

    def pause(self) -> None:
        """Suspend the API server: connections stay open, and it does not respond."""
        self._api_server.pause()

    def resume(self) -> None:
        self._api_server.resume()

    def recover(self) -> None:
        """Make the API server serve again after `pause` or `kill`."""
        self._api_server.resume()
        self.api.close()
        if not self._api_server.running:
            self.restart()

    def kill(self) -> None:
        """Kill the API server: connections are reset, and new ones are refused."""
        self._api_server.kill()
        self.api.close()

    def restart(self) -> None:
        """Start the API server again, with the same address and data."""
        self._api_server.start()
        self._wait_for_api_server()
        for manager in self._controller_managers:  # It would take a minute to reconnect.
            manager.kill()
            manager.start()

    @property
    def processes(self) -> list[Process]:
        """Its processes, in the order in which to stop them."""
        last = [] if self._etcd is None else [self._etcd]
        return [*self._controller_managers, self._api_server, *last]

    def clean_up(self) -> None:
        """Delete everything but the logs; its processes must have stopped."""
        self.api.close()
        shutil.rmtree(self._directory / "etcd", ignore_errors=True)

    def new_api(self) -> Api:
        """A client like `api`, for another thread."""
        return self._connect()

    # Users

    def admin_kubeconfig(self) -> str:
        return self._certificate_kubeconfig("admin", ADMINISTRATORS)

    def controller_kubeconfig(self, user: str = CONTROLLER) -> str:
        """A kubeconfig for the controller in its main cluster, with the documented permissions."""
        return self._certificate_kubeconfig(user, CONTROLLER, CONTROLLER_NAMESPACE)

    def user_kubeconfig(
        self, user: str, namespace: str = "default", not_after: datetime | None = None
    ) -> str:
        """A kubeconfig with a client certificate for a user without permissions."""
        return self._certificate_kubeconfig(user, "", namespace, not_after)

    def remote_kubeconfig(self) -> str:
        """A kubeconfig for a ClusterLink: the token of a read-only ServiceAccount."""
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
        """A new token of a ServiceAccount, by default the read-only one."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds},
        }
        return str(self.api.request("POST", path, request)["status"]["token"])

    def kubeconfig(self, user: Manifest, *, namespace: str = "default", **cluster: object) -> str:
        """A kubeconfig with this user entry; keyword arguments are added to the cluster entry."""
        authority = kubeconfigs.encoded_pem(self._serving_authority.cert_pem)
        entry = {"server": self.server, "certificate-authority-data": authority} | cluster
        return kubeconfigs.kubeconfig(self.name, entry, user, namespace)

    def tls_context(
        self, *, common_name: str | None = None, organization: str = ""
    ) -> ssl.SSLContext:
        """TLS settings for the API server, with a client certificate if a user is named."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
        self._serving_authority.configure_trust(context)
        if common_name is not None:
            self._issue(common_name, organization).configure_cert(context)
        return context

    def api_with_token(self, token: str) -> Api:
        """A client that authenticates with this token."""
        return Api(self.server, self.tls_context(), token)

    def create_service_account(self, name: str, namespace: str) -> None:
        metadata = {"name": name, "namespace": namespace}
        self.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})

    def create_reader_account(self, name: str, namespace: str) -> None:
        """Create a ServiceAccount that may read its namespace, through a Role of the same name."""
        self.create_service_account(name, namespace)
        rbac.grant(self.api, name, READER_RULES, rbac.service_account(name, namespace), namespace)

    def grant_controller_access(self) -> None:
        """Make this a main cluster: create the namespace and the permissions of the controller.

        A group has the same permissions, for several controllers with one user each.
        """
        self.create_namespace(CONTROLLER_NAMESPACE)
        for name, subject in (
            ("svclink-controller", rbac.user(CONTROLLER)),
            ("svclink-controllers", rbac.group(CONTROLLER)),
        ):
            rbac.grant(self.api, name, CONTROLLER_RULES, subject)
            rbac.grant(self.api, name, CONTROLLER_NAMESPACE_RULES, subject, CONTROLLER_NAMESPACE)

    # Namespaces, version and audit log

    def create_namespace(self, name: str) -> None:
        self.api.create(manifests.namespace(name))

    def delete_namespace(self, name: str) -> None:
        """Delete a namespace and, without a namespace controller, its objects."""
        self.api.delete("namespaces", name)
        if self._has_controller_manager or self._binaries is None:
            return
        self.empty_namespace(name)
        emptied = self.api.get("namespaces", name) | {"spec": {"finalizers": []}}
        self.api.request("PUT", f"/api/v1/namespaces/{name}/finalize", emptied)

    def empty_namespace(self, name: str, *resources: str) -> None:
        """Delete the Services and EndpointSlices of a namespace, and objects of these kinds.

        The namespace stays: to delete it takes a main cluster 0.12 s of processor time.
        """
        for resource in ("services", "endpointslices", *resources):
            for item in self.api.find(resource, name):
                try:
                    self.api.delete(resource, item["metadata"]["name"], name)
                except ApiError as error:
                    if error.status != 404:  # Its controller may have deleted it.
                        raise

    def version(self) -> str:
        """The Kubernetes version, for example v1.36.3."""
        return str(self.api.request("GET", "/version")["gitVersion"])

    def audit_mark(self) -> int:
        """The current position in the audit log, for `audit_events`."""
        return self._audit_log.stat().st_size

    def audit_events(self, since: int, user: str) -> list[AuditEvent]:
        """The requests of one user that were logged after a mark."""
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
        # Any RSA or EC key can sign ServiceAccount tokens.
        self._authority.issue_cert("sa").private_key_pem.write_to_path(self._directory / "sa.key")
        (self._directory / "audit-policy.yaml").write_text(
            yaml.safe_dump(AUDIT_POLICY), encoding="utf-8"
        )
        self._audit_log.touch()

    def _write_serving_certificate(self) -> None:
        names = self._serving_names()
        serving = self._serving_authority.issue_cert(*names, common_name="kube-apiserver")
        serving.private_key_and_cert_chain_pem.write_to_path(self._directory / "serving.pem")

    def _serving_names(self) -> Sequence[str]:
        return ("127.0.0.1", "localhost", "10.0.0.1")

    @property
    def _site(self) -> Site:
        return Site(self.name, self._directory, self._port)

    def _choose_ports(self) -> Sequence[int]:
        """The ports of etcd, of its peers, and of the API server."""
        return reserve_ports(3)

    def _make_etcd(self) -> Process | None:
        if self._binaries is None:
            return None
        return etcd(self._site, self._binaries, self._etcd_port, self._peer_port)

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
        while (error := self._readiness_error()) is not None:
            stopped = [process for process in self.processes if not process.running]
            if stopped or time.monotonic() > deadline:
                raise StartError(self._start_failure(stopped, error))
            time.sleep(0.05)

    def _readiness_error(self) -> Exception | None:
        try:
            self.api.request("GET", "/readyz")
        except (ApiError, OSError) as error:
            return error
        return None

    def _start_failure(self, stopped: Sequence[Process], error: Exception) -> str:
        failure = " and ".join(f"{process.name} exited" for process in stopped)
        logs = (f"--- {process.log}\n{process.tail()}" for process in stopped or self.processes)
        return "\n".join([f"{failure or f'{self.name} is not ready ({error})'}.", *logs])

    def _start_controller_manager(self, *loops: str) -> None:
        """Start it last: it exits if the API server does not respond within ten seconds."""
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

    # Accounts and certificates

    def _connect(self) -> Api:
        """A client with the permissions of an administrator."""
        return Api(self.server, self.tls_context(common_name="admin", organization=ADMINISTRATORS))

    def _issue(
        self, common_name: str, organization: str, not_after: datetime | None = None
    ) -> trustme.LeafCert:
        # trustme marks an empty list of alternative names as critical, which Go rejects, and user
        # names such as system:kube-proxy are not host names.
        return self._authority.issue_cert(
            self.name,
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
        certificate = self._issue(common_name, organization, not_after)
        return self.kubeconfig(kubeconfigs.certificate_user(certificate), namespace=namespace)

    def _create_accounts(self) -> None:
        for name in (READER, UNPRIVILEGED):
            self.create_service_account(name, SYSTEM_NAMESPACE)
        account = rbac.service_account(READER, SYSTEM_NAMESPACE)
        rbac.grant(self.api, "reader", READER_RULES, account)


@contextmanager
def running(clusters: Sequence[Cluster]) -> Iterator[None]:
    """Start the clusters in parallel, and stop them when the context is left."""
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
