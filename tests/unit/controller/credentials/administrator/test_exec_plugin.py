"""Credential plugins run as with kubectl.

Real: programs, files and environment. Substituted: the plugins of clouds, by shell scripts.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from attrs import evolve

from svclink_controller.credentials.administrator.access import AccessError, ExecPlugin
from svclink_controller.credentials.administrator.exec_plugin import run_plugin
from svclink_controller.credentials.administrator.identity import UserIdentity
from tests.unit.controller.credentials.administrator.plugins import (
    API_VERSION,
    credential,
    script,
)
from tests.unit.controller.credentials.kubeconfigs import CLIENT_KEY, CLIENT_PEM
from tests.unit.controller.waiting import eventually


def plugin(path: Path, *lines: str) -> ExecPlugin:
    return ExecPlugin(str(script(path / "plugin", *lines)), (), (), API_VERSION, "IfAvailable")


def printing(path: Path, text: str) -> ExecPlugin:
    (path / "output").write_text(text, encoding="utf-8")
    return plugin(path, f"cat '{path / 'output'}'")


async def test_token_and_expiry(tmp_path: Path) -> None:
    """The token is sent as a bearer, until the time that the plugin gives."""
    text = credential("t", expirationTimestamp="2026-01-01T00:00:00Z")
    assert await run_plugin(printing(tmp_path, text)) == UserIdentity(
        "Bearer t", expires=1767225600.0
    )


async def test_client_certificate(tmp_path: Path) -> None:
    """A plugin may print a certificate with its key, with or without a token."""
    certificate, key = CLIENT_PEM.decode(), CLIENT_KEY.decode()
    text = credential(clientCertificateData=certificate, clientKeyData=key)
    assert await run_plugin(printing(tmp_path, text)) == UserIdentity(None, certificate, key)


async def test_plugin_gets_what_kubectl_gives(tmp_path: Path) -> None:
    """Arguments, variables of the kubeconfig, and KUBERNETES_EXEC_INFO with the cluster."""
    seen = tmp_path / "seen"
    given = evolve(
        plugin(
            tmp_path,
            f'printf "%s\\n" "$1" "$PROFILE" "$KUBERNETES_EXEC_INFO" "$HOME" > "{seen}"',
            f"echo '{credential('t')}'",
        ),
        arguments=("get token",),
        environment=(("PROFILE", "staging"),),
        cluster={"server": "https://api.test", "config": {"a": 1}},
    )
    await run_plugin(given)
    argument, variable, info, home = seen.read_text().splitlines()
    assert (argument, variable, home) == ("get token", "staging", os.environ["HOME"])
    assert json.loads(info) == {
        "apiVersion": API_VERSION,
        "kind": "ExecCredential",
        "spec": {
            "interactive": False,
            "cluster": {"server": "https://api.test", "config": {"a": 1}},
        },
    }


async def test_questions_reach_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What a plugin writes to stderr is shown at once: it may ask for a login."""
    asking = plugin(tmp_path, "echo 'open https://login.test' >&2", f"echo '{credential('t')}'")
    await run_plugin(asking)
    assert capfd.readouterr().err == "open https://login.test\n"


async def test_much_output_does_not_block(tmp_path: Path) -> None:
    """A plugin that fills stderr and stdout ends."""
    noisy = plugin(
        tmp_path, "head -c 300000 /dev/zero | tr '\\0' x >&2", f"echo '{credential('t')}'"
    )
    assert (await run_plugin(noisy)).authorization == "Bearer t"


async def test_cancelled_plugin_is_ended(tmp_path: Path) -> None:
    """SIGTERM does not wait for a plugin that waits for its user."""
    pid_file = tmp_path / "pid"
    running = asyncio.create_task(
        run_plugin(plugin(tmp_path, f"echo $$ > '{pid_file}'", "exec sleep 1000"))
    )
    await eventually(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


async def test_command_is_found_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name without `/` is looked up on the PATH of svclink, not on one in the kubeconfig."""
    script(tmp_path / "cloud-login", f"echo '{credential('t')}'")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    named = ExecPlugin("cloud-login", (), (), API_VERSION, "IfAvailable")
    assert (await run_plugin(named)).authorization == "Bearer t"


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("", "printed something that is not an ExecCredential"),
        ("hush", "printed something that is not an ExecCredential"),
        ("[]", "printed something that is not an ExecCredential"),
        ('{"kind": "ExecCredential"}', "printed something that is not an ExecCredential"),
        (credential(5), "printed something that is not an ExecCredential"),
        (credential("hush", expirationTimestamp="soon"), "is not an ExecCredential"),
        (credential("hush").replace("/v1", "/v1beta1"), "instead of"),
        (credential("hush").replace('"ExecCredential"', '"Secret"'), "instead of"),
        (credential(), "printed neither a token nor a client certificate"),
        (credential(""), "printed neither a token nor a client certificate"),
        (credential(clientKeyData="hush"), "only one of clientCertificateData and clientKeyData"),
    ],
)
async def test_output_that_is_not_a_credential(tmp_path: Path, output: str, words: str) -> None:
    """The error says what is wrong, and quotes nothing of the output."""
    with pytest.raises(AccessError, match=words) as caught:
        await run_plugin(printing(tmp_path, output))
    assert "hush" not in str(caught.value)


async def test_missing_command_shows_the_hint() -> None:
    """The kubeconfig says how to install the plugin."""
    missing = ExecPlugin(
        "no-such-plugin", (), (), API_VERSION, "IfAvailable", "Install it from https://x.test\n"
    )
    with pytest.raises(AccessError, match=r"no-such-plugin does not exist .*: Install it from"):
        await run_plugin(missing)


async def test_failed_plugin_is_named(tmp_path: Path) -> None:
    """The exit code tells a failed plugin from one without credentials."""
    with pytest.raises(AccessError, match=r"plugin exited with code 3$"):
        await run_plugin(plugin(tmp_path, "exit 3"))


async def test_plugin_that_cannot_start(tmp_path: Path) -> None:
    """A file that is not a program is one sentence too."""
    broken = tmp_path / "plugin"
    broken.write_bytes(b"\x00\x01")
    broken.chmod(0o700)
    with pytest.raises(AccessError, match="cannot be started"):
        await run_plugin(ExecPlugin(str(broken), (), (), API_VERSION, "IfAvailable"))


async def test_plugin_that_needs_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`interactiveMode: Always` without a terminal is an error, not an endless wait."""
    monkeypatch.setattr(sys, "stdin", None)
    asking = evolve(plugin(tmp_path, "exit 0"), interactive_mode="Always")
    with pytest.raises(AccessError, match="needs a terminal"):
        await run_plugin(asking)
