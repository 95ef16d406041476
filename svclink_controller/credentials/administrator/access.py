"""How the administrator reaches a cluster: the settings that kubectl would use, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeAlias

from attrs import field, frozen

from svclink_controller.credentials.kubeconfig import Credentials
from svclink_core.codec import Json
from svclink_core.errors import SvclinkError

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")

InteractiveMode: TypeAlias = Literal["Never", "IfAvailable", "Always"]


class AccessError(SvclinkError):
    """The administrator's settings or credentials cannot be used; the text repeats no secret."""


MAX_SHOWN_PART: Final = 40


def shown_path(path: Path) -> str:
    """A path for messages, unless it may be a secret that belongs into the file."""
    is_name = all(len(part) <= MAX_SHOWN_PART for part in path.parts) and str(path).isprintable()
    return str(path) if is_name else "<not shown>"


def why_unread(error: OSError | ValueError) -> str:
    """Why a file cannot be read, without its name."""
    return (error.strerror if isinstance(error, OSError) else None) or "its name is not valid"


@frozen
class ExecPlugin:
    """A program that prints credentials (client.authentication.k8s.io).

    Args:
        command: A name on the PATH, or an absolute path.
        arguments: Its arguments.
        environment: Variables to set in addition to those of this process.
        api_version: The version of ExecCredential that it expects and prints.
        interactive_mode: Whether it may read the terminal.
        install_hint: What to tell the user if the command does not exist.
        cluster: What it gets to know of the cluster, if it asks for that.
    """

    command: str
    arguments: tuple[str, ...] = field(repr=False)
    environment: tuple[tuple[str, str], ...] = field(repr=False)
    api_version: str
    interactive_mode: InteractiveMode
    install_hint: str = ""
    cluster: dict[str, Json] | None = field(default=None, repr=False)


@frozen
class Access:
    """How to reach one cluster, and as which user.

    Args:
        credentials: Server, CA, proxy, and a token or client certificate that do not change.
        basic: User name and password in base64, as in the header.
        token_file: A file with a token, which is read again and again.
        plugin: A program that prints the credentials.
        impersonation: Headers that ask the API server to act as another user.
        namespace: The namespace of the context or Pod.
    """

    credentials: Credentials
    basic: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    plugin: ExecPlugin | None = None
    impersonation: tuple[tuple[str, str], ...] = ()
    namespace: str = "default"


def pod_access(environment: Mapping[str, str], account: Path = SERVICE_ACCOUNT) -> Access:
    """How the ServiceAccount of this Pod reaches its own cluster.

    Args:
        environment: The environment variables.
        account: The directory with the token, CA and namespace.

    Raises:
        AccessError: This process does not run in a Pod, or the Pod has no ServiceAccount.
    """
    host, port = (environment.get(f"KUBERNETES_SERVICE_{each}") for each in ("HOST", "PORT"))
    if not host or not port:
        raise AccessError("KUBERNETES_SERVICE_HOST is not set")
    try:
        authority = (account / "ca.crt").read_text(encoding="utf-8")
        namespace = (account / "namespace").read_text(encoding="utf-8").strip()
    except OSError as error:
        raise AccessError(f"{error.filename} cannot be read: {error.strerror}") from error
    bracketed = f"[{host}]" if ":" in host else host
    return Access(
        Credentials(server=f"https://{bracketed}:{port}", ca_data=authority),
        token_file=account / "token",
        namespace=namespace,
    )
