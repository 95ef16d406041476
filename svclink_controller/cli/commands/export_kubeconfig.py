"""`svclink export-kubeconfig`: a read-only user in a remote cluster, and its kubeconfig.

The same as `hack/export-kubeconfig.sh`, without bash and kubectl; a test compares the two.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final, TypeVar

import click
import msgspec
from attrs import evolve, frozen

from svclink_controller.api.client import Client
from svclink_controller.api.connecting import cluster_entry, remote_client
from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.cli import parameters
from svclink_controller.cli.arguments import Source, reads_clusters
from svclink_controller.cli.parameters import DurationType
from svclink_controller.cli.permissions import (
    REMOTE_IDENTITY,
    REMOTE_MIRRORED,
    REMOTE_NAMESPACES,
    Permission,
)
from svclink_controller.cli.printing import yaml_text
from svclink_controller.cli.snapshots.reading import admin_kubeconfig, connected
from svclink_controller.credentials.kubeconfig import Credentials
from svclink_core.codec import Json
from svclink_core.errors import SvclinkError
from svclink_core.well_known import API_VERSION, GROUP, NAMESPACE_KUBE_SYSTEM

ACCOUNT: Final = "svclink"
ROLE: Final = "svclink-reader"
SECRET: Final = "svclink-token"  # noqa: S105 - a name
ACCOUNTS: Final = f"/api/v1/namespaces/{NAMESPACE_KUBE_SYSTEM}/serviceaccounts"
SECRETS_PATH: Final = f"/api/v1/namespaces/{NAMESPACE_KUBE_SYSTEM}/secrets"
RBAC_API_GROUP: Final = "rbac.authorization.k8s.io"

TOKEN_SECONDS: Final = 30
"""How long Kubernetes may take to put a token into the Secret."""

APPLY: Final = "Apply this ClusterLink in the main cluster: kubectl apply -f -"
WHERE_TO_KEEP: Final = (
    "Put this line into a ClusterLink's spec.kubeconfig, or into the Secret that its"
    " spec.kubeconfigSecretRef names. It contains a token: keep it secret."
)

ANSWER_SECONDS: Final = 10
"""How long the server may take to answer when its certificate is verified."""

SHORTEST_TOKEN: Final = timedelta(minutes=10)
"""The API server accepts no shorter lifetime (TokenRequest)."""

T = TypeVar("T")


class ExportError(SvclinkError):
    """The kubeconfig cannot be created; the message says why."""


@frozen
class Export:
    """The arguments of the command."""

    link: str | None
    lifetime: timedelta | None
    namespaces: tuple[str, ...]
    lists_namespaces: bool
    server: str | None


@click.command("export-kubeconfig")
@click.argument("context", required=False)
@click.option(
    "--link",
    metavar="NAME",
    callback=parameters.link_name,
    help="Print a ClusterLink with this name instead of the kubeconfig.",
)
@click.option(
    "--duration",
    type=DurationType(minimum=SHORTEST_TOKEN),
    help="Lifetime of the token, at least 10m. Default: valid until revoked.",
)
@click.option(
    "--namespaces",
    metavar="NAMES",
    multiple=True,
    callback=parameters.namespaces,
    help="Grant permissions only in these namespaces (comma-separated), with Roles instead"
    " of a ClusterRole.",
)
@click.option(
    "--list-namespaces",
    is_flag=True,
    help="Also grant permission to list and watch namespaces, which a link's"
    " spec.namespaceSelector needs.",
)
@click.option(
    "--server", metavar="URL", help="URL of the API server as seen from the main cluster."
)
@reads_clusters
def export_kubeconfig_command(
    source: Source,
    *,
    context: str | None,
    link: str | None,
    duration: timedelta | None,
    namespaces: tuple[str, ...],
    list_namespaces: bool,
    server: str | None,
) -> None:
    """Create a read-only user in a remote cluster and print its base64-encoded kubeconfig.

    CONTEXT is the context for the remote cluster in your kubeconfig. It takes precedence over
    --context. The default is the current context. Everything except the kubeconfig goes to
    stderr. A second run resets the permissions and prints a kubeconfig for the same user. A
    link can also use the Secret that Cluster API or Argo CD keeps for a cluster (set
    kubeconfigSecretRef.key to value or config), but the credentials in that Secret have more
    permissions.

    \b
    Example:
      svclink export-kubeconfig cluster-b --link cluster-b | kubectl --context main apply -f -
    """  # noqa: D301 - click keeps the lines after a backspace
    export = Export(link, duration, namespaces, list_namespaces, server)
    remote = evolve(source, context=context or source.context)
    click.echo(asyncio.run(_export(remote, export)), nl=False)


async def _export(source: Source, export: Export) -> str:
    if export.server is not None:
        _check(export.server)
    async with connected(source) as client:
        entry = cluster_entry(admin_kubeconfig(source), source.context)
        entry = evolve(entry, server=export.server or entry.server)
        if export.server is None:
            _check(entry.server)
        entry = await _verified(entry, client)
        for path, manifest in manifests(export):
            await _apply(client, path, manifest)
        token = (
            await _bound_token(client, export.lifetime)
            if export.lifetime
            else await _lasting_token(client)
        )
    content = rendered_kubeconfig(export.link or "remote", entry, token)
    click.echo(APPLY if export.link else WHERE_TO_KEEP, err=True)
    encoded = base64.b64encode(content.encode()).decode()
    return manifest_of(export, encoded) if export.link else f"{encoded}\n"


def _check(server: str) -> None:
    if not re.match(r"https://[^/?#@\s]+", server):
        raise ExportError(
            f"the server is {server!r}, but svclink supports only https: use --server https://HOST:PORT"
        )
    if re.match(r"https://(127\.|localhost|\[::1\])", server):
        click.echo(
            f"Warning: {server} is a loopback address: use --server with an address that the main"
            " cluster can reach.",
            err=True,
        )


def _decoded(answer: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.MsgspecError as error:
        raise ExportError(f"the response is not from a Kubernetes API server: {error}") from error


class _ConfigMap(msgspec.Struct):
    data: dict[str, str] = {}


# The CA, which is verified before anything is created


async def _verified(entry: Credentials, client: Client) -> Credentials:
    """The cluster with the first CA that its server's certificate is accepted with.

    Without one in the kubeconfig, it may be signed by a public CA, as of a load balancer, or by the
    CA of the cluster.
    """
    fault = None
    async for authority in _authorities(entry, client):
        candidate = evolve(entry, ca_data=authority, insecure=False)
        try:
            await _ask(candidate)
        except TransportError as error:
            if (fault := error.fault) is not None:
                continue
            click.echo(f"Warning: the CA could not be verified: {error}", err=True)
        return candidate
    fix = "" if fault is None else f": {fault.value}"
    raise ExportError(f"the certificate of {entry.server} was rejected{fix}")


async def _authorities(entry: Credentials, client: Client) -> AsyncIterator[str]:
    """The CAs to try; empty means those that the system trusts."""
    if entry.ca_data:
        yield entry.ca_data
        return
    if not entry.insecure:
        yield ""
    if (authority := await _root_authority(client)) is not None:
        yield authority
    if entry.insecure:
        yield ""


async def _ask(entry: Credentials) -> None:
    """Send a request without credentials; any answer means that the certificate is accepted."""
    anonymous = await remote_client(entry)
    try:
        with suppress(ApiError):
            await anonymous.get("/version", seconds=ANSWER_SECONDS)
    finally:
        await anonymous.close()


async def _root_authority(client: Client) -> str | None:
    """The CA of the cluster, which every namespace has in a ConfigMap; None if there is none."""
    try:
        answer = await client.get(
            f"/api/v1/namespaces/{NAMESPACE_KUBE_SYSTEM}/configmaps/kube-root-ca.crt"
        )
    except ApiError:
        return None
    return _decoded(answer, _ConfigMap).data.get("ca.crt")


# What is created


def manifests(export: Export) -> Iterator[tuple[str, dict[str, Json]]]:
    """The objects to create, each with the path of its collection."""
    metadata: dict[str, Json] = {"name": ACCOUNT, "namespace": NAMESPACE_KUBE_SYSTEM}
    yield ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    selecting = REMOTE_NAMESPACES if export.lists_namespaces else ()
    if not export.namespaces:
        yield from _grant("", (*REMOTE_MIRRORED, *REMOTE_IDENTITY, *selecting))
        return
    yield from _grant(NAMESPACE_KUBE_SYSTEM, REMOTE_IDENTITY)
    for namespace in export.namespaces:
        yield from _grant(namespace, REMOTE_MIRRORED)
    if selecting:
        yield from _grant("", selecting)


def _grant(
    namespace: str, permissions: Sequence[Permission]
) -> Iterator[tuple[str, dict[str, Json]]]:
    """A Role in a namespace or (empty) a ClusterRole, and its binding."""
    kind = "Role" if namespace else "ClusterRole"
    path = f"/apis/{RBAC_API_GROUP}/v1" + (f"/namespaces/{namespace}" if namespace else "")
    metadata: dict[str, Json] = (
        {"name": ROLE, "namespace": namespace} if namespace else {"name": ROLE}
    )
    common: dict[str, Json] = {"apiVersion": f"{RBAC_API_GROUP}/v1", "metadata": metadata}
    rules: list[Json] = [permission.rule for permission in permissions]
    yield f"{path}/{kind.lower()}s", common | {"kind": kind, "rules": rules}
    subject: dict[str, Json] = {
        "kind": "ServiceAccount",
        "name": ACCOUNT,
        "namespace": NAMESPACE_KUBE_SYSTEM,
    }
    reference: dict[str, Json] = {"apiGroup": RBAC_API_GROUP, "kind": kind, "name": ROLE}
    yield (
        f"{path}/{kind.lower()}bindings",
        common | {"kind": f"{kind}Binding", "roleRef": reference, "subjects": [subject]},
    )


async def _apply(client: Client, path: str, manifest: dict[str, Json]) -> None:
    """Create an object; if it exists, replace the rules of a Role or the subjects of a binding."""
    metadata = manifest["metadata"]
    assert isinstance(metadata, dict)  # noqa: S101 - for the type checker
    name = f"{manifest['kind']} {metadata['name']}"
    try:
        await client.post(path, manifest)
    except ApiError as error:
        if error.status.reason != "AlreadyExists":
            raise
        if "rules" in manifest or "subjects" in manifest:
            await client.put(f"{path}/{metadata['name']}", manifest)
        click.echo(f"{name} exists", err=True)
    else:
        click.echo(f"{name} created", err=True)


# The token


class _TokenStatus(msgspec.Struct):
    token: str


class _TokenRequest(msgspec.Struct):
    status: _TokenStatus


class _TokenSecret(msgspec.Struct):
    data: dict[str, str] = {}


async def _bound_token(client: Client, lifetime: timedelta) -> str:
    request: dict[str, Json] = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": int(lifetime.total_seconds())},
    }
    answer = await client.post(f"{ACCOUNTS}/{ACCOUNT}/token", request)
    return _decoded(answer, _TokenRequest).status.token


async def _lasting_token(client: Client) -> str:
    """The token in a Secret, which Kubernetes adds after a moment."""
    annotations: dict[str, Json] = {"kubernetes.io/service-account.name": ACCOUNT}
    metadata: dict[str, Json] = {
        "name": SECRET,
        "namespace": NAMESPACE_KUBE_SYSTEM,
        "annotations": annotations,
    }
    kind = "kubernetes.io/service-account-token"
    await _apply(
        client,
        SECRETS_PATH,
        {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata},
    )
    for _ in range(TOKEN_SECONDS * 5):
        secret = _decoded(await client.get(f"{SECRETS_PATH}/{SECRET}"), _TokenSecret)
        if token := secret.data.get("token"):
            return base64.b64decode(token).decode()
        await asyncio.sleep(0.2)
    raise ExportError(
        f"Secret {NAMESPACE_KUBE_SYSTEM}/{SECRET} received no token within {TOKEN_SECONDS} s:"
        " use --duration"
    )


# What is printed


def rendered_kubeconfig(name: str, entry: Credentials, token: str) -> str:
    """A kubeconfig with the token."""
    cluster = {"server": entry.server}
    if entry.ca_data:
        encoded = base64.b64encode(entry.ca_data.encode()).decode()
        cluster["certificate-authority-data"] = encoded
    if entry.tls_server_name:
        cluster["tls-server-name"] = entry.tls_server_name
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": ACCOUNT, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": ACCOUNT}}],
        "current-context": name,
    }
    return yaml_text(content)


def manifest_of(export: Export, encoded: str) -> str:
    """A ClusterLink with the kubeconfig, as YAML."""
    spec: dict[str, Json] = {"enabled": True, "kubeconfig": encoded}
    if export.namespaces:
        spec["includedNamespaces"] = list(export.namespaces)
    manifest = {
        "apiVersion": f"{GROUP}/{API_VERSION}",
        "kind": "ClusterLink",
        "metadata": {"name": export.link},
    }
    return yaml_text(manifest | {"spec": spec})
