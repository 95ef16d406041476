"""Runs the credential plugin of the administrator's kubeconfig, as kubectl does.

(client-go: plugin/pkg/client/auth/exec/exec.go)
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE
from datetime import datetime

import msgspec

from svclink_controller.credentials.administrator.access import AccessError, ExecPlugin
from svclink_controller.credentials.administrator.identity import UserIdentity


async def run_plugin(plugin: ExecPlugin) -> UserIdentity:
    """The credentials that the plugin prints.

    What it writes to stderr reaches the terminal: it may ask the user to log in. When cancelled, it
    is ended.

    Raises:
        AccessError: It could not be started, failed, or printed no credentials.
    """
    is_interactive = _is_interactive(plugin)
    try:
        process = await asyncio.create_subprocess_exec(
            _program(plugin),
            *plugin.arguments,
            stdin=None if is_interactive else DEVNULL,
            stdout=PIPE,
            stderr=None,
            env=_environment(plugin, is_interactive=is_interactive),
        )
    except (OSError, ValueError) as error:
        raise _failure(plugin, f"cannot be started: {error}") from error
    try:
        output, _ = await process.communicate()
    finally:
        await _end(process)
    if process.returncode != 0:
        raise _failure(plugin, f"exited with code {process.returncode}")
    return _identity(plugin, output)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await asyncio.shield(process.wait())


def _is_interactive(plugin: ExecPlugin) -> bool:
    """Whether the plugin may read from the terminal."""
    is_terminal = sys.stdin is not None and sys.stdin.isatty()
    if plugin.interactive_mode == "Always" and not is_terminal:
        raise _failure(plugin, "needs a terminal (interactiveMode: Always), but there is none")
    return is_terminal and plugin.interactive_mode != "Never"


def _program(plugin: ExecPlugin) -> str:
    """The path of the program, looked up on the PATH of this process."""
    if (found := shutil.which(plugin.command)) is None:
        hint = f": {plugin.install_hint.strip()}" if plugin.install_hint else ""
        raise _failure(plugin, f"does not exist or cannot be executed{hint}")
    return found


def _environment(plugin: ExecPlugin, *, is_interactive: bool) -> dict[str, str]:
    spec: dict[str, object] = {"interactive": is_interactive}
    if plugin.cluster is not None:
        spec["cluster"] = plugin.cluster
    info = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}
    return {**os.environ, **dict(plugin.environment), "KUBERNETES_EXEC_INFO": json.dumps(info)}


class _Status(msgspec.Struct, rename="camel"):
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: datetime | None = None


class _ExecCredential(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    status: _Status | None = None


def _identity(plugin: ExecPlugin, output: bytes) -> UserIdentity:
    """The credentials in the output of a plugin, of which no error quotes anything."""
    try:
        credential = msgspec.json.decode(output, type=_ExecCredential)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _failure(plugin, "printed something that is not an ExecCredential") from error
    if (credential.api_version, credential.kind) != (plugin.api_version, "ExecCredential"):
        given = f"{credential.api_version} {credential.kind}"[:100]
        raise _failure(
            plugin, f"printed {given!r} instead of '{plugin.api_version} ExecCredential'"
        )
    status = credential.status or _Status()
    certificate, key = status.client_certificate_data or None, status.client_key_data or None
    if (certificate is None) != (key is None):
        raise _failure(plugin, "printed only one of clientCertificateData and clientKeyData")
    if not status.token and certificate is None:
        raise _failure(plugin, "printed neither a token nor a client certificate")
    expiry = status.expiration_timestamp
    return UserIdentity(
        authorization=f"Bearer {status.token.strip()}" if status.token else None,
        client_certificate=certificate,
        client_key=key,
        expires=None if expiry is None else expiry.timestamp(),
    )


def _failure(plugin: ExecPlugin, problem: str) -> AccessError:
    return AccessError(f"the credential plugin {plugin.command} {problem}")
