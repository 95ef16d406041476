"""Invalid input of a command is one sentence and exit code 1, before any request.

Real: the command line. Substituted: nothing; the end-to-end tests run these commands on clusters.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click
import pytest
import yaml
from aiohttp import web
from click.testing import CliRunner

from svclink_controller.cli.main import COMMANDS, main, svclink
from tests.unit.controller.http_server import serving


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"demo"}))
def test_every_command_takes_the_flags_for_clusters_after_its_name(name: str) -> None:
    """No user has to remember which flags belong before the name of a command."""
    command = svclink.get_command(click.Context(svclink), name)
    assert command is not None
    flags = {flag for parameter in command.params for flag in parameter.opts}
    assert flags >= {
        "--kubeconfig",
        "--context",
        "--controller-namespace",
        "--allow-insecure-remotes",
        "--allow-remote-proxies",
    }


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("export-kubeconfig one two", ["two"]),
        ("export-kubeconfig --link Not_a_name", ["--link", "not a valid ClusterLink name"]),
        ("export-kubeconfig --namespaces kube-system", ["--namespaces", "never mirrored"]),
        ("export-kubeconfig --namespaces A", ["--namespaces", "not a valid namespace"]),
        ("export-kubeconfig --server http://a", ["only https"]),
        ("export-kubeconfig --server https://", ["only https", "https://HOST"]),
        ("export-kubeconfig --duration 1m", ["--duration", "10m or more"]),
        ("export-kubeconfig --duration soon", ["--duration", "not a duration"]),
        ("export-kubeconfig nowhere", ["nowhere"]),
        ("traffic web", ["'web'", "shop/web"]),
        ("traffic shop/web --set c1", ["--set", "cluster-b=25"]),
        ("traffic shop/web --set c1=101", ["--set", "'101'", "from 0 to 100"]),
        ("traffic shop/web --set c1=1,c1=2", ["--set", "given twice"]),
        ("traffic shop/web --dry-run", ["--dry-run", "--set"]),
        ("shift shop/web --steps 5", ["--to"]),
        ("shift shop/web --to c1", ["--steps"]),
        ("shift shop/web --to c1 --steps ,", ["--steps", "5,10,25,50"]),
        ("shift shop/web --to c1 --steps 5,x", ["--steps", "'x'", "from 0 to 100"]),
        ("shift shop/web --to c1 --steps 5 --every 2", ["--every", "not a duration"]),
        ("shift shop/web --to c1 --steps 5 --min-ready -1", ["--min-ready"]),
        ("drain Cluster", ["'Cluster'", "not a valid ClusterLink name"]),
        ("cleanup -n a -A", ["not both"]),
        ("cleanup -n a/b", ["--namespace", "'a/b'"]),
        ("cleanup --context nowhere", ["nowhere"]),
        ("cleanup -o text", ["-o", "text"]),
    ],
)
def test_invalid_input_is_one_sentence_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: str,
    words: list[str],
) -> None:
    """Nothing is written to stdout, so nothing invalid gets into a pipe."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["svclink", "--kubeconfig", str(kubeconfig), *command.split()])

    with pytest.raises(SystemExit) as caught:
        main()

    said = capsys.readouterr()
    assert (caught.value.code, said.out) == (1, "")
    (sentence,) = said.err.splitlines()
    for word in words:
        assert word in sentence


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("<html>", "the response is not from a Kubernetes API server"),
        ("{}", "was rejected: put the CA that signed"),
    ],
)
async def test_export_from_another_server_is_one_sentence(
    tmp_path: Path, answer: str, words: str
) -> None:
    """If the server is not a Kubernetes API server, the command prints no kubeconfig."""

    async def say(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=answer)

    kubeconfig = tmp_path / "kubeconfig"
    async with serving(say) as server:
        content = yaml.safe_load(KUBECONFIG)
        content["clusters"][0]["cluster"] = {"server": server.url, "insecure-skip-tls-verify": True}
        kubeconfig.write_text(yaml.safe_dump(content), encoding="utf-8")
        command = ["--kubeconfig", str(kubeconfig), "export-kubeconfig"]
        done = await asyncio.to_thread(CliRunner().invoke, svclink, command)
    assert words in str(done.exception)
    assert done.stdout == ""


KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: "https://192.0.2.1"}}]
users: [{name: a, user: {token: t}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
current-context: a
"""
