"""Flags follow the conventions of Go; the error for an invalid one is one sentence.

Real: the command line. Substituted: nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import click
import pytest
from attrs import frozen

from svclink_controller import manager
from svclink_controller.cli.arguments import with_values
from svclink_controller.cli.main import COMMANDS, main, svclink
from svclink_controller.cli.parameters import DurationType, ListenAddressType, MemoryType
from svclink_controller.monitoring import logs
from svclink_controller.monitoring.listen_address import ListenAddress
from svclink_controller.settings import Settings
from svclink_core.label_selector import EVERYTHING


@frozen
class Ended:
    """Exit code and output of a command."""

    code: int | str | None
    output: str
    error: str


Run: TypeAlias = Callable[..., Ended]

PLAN = ("plan", "--main", "/dev/null")
"""A command that reads no cluster."""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs the console script on a machine without a cluster."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["svclink", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        said = capsys.readouterr()
        return Ended(caught.value.code, said.out, said.err)

    return run


DEAD = """
clusters: [{name: a, cluster: {server: 'https://127.0.0.1:9'}}]
users: [{name: a, user: {token: t}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
current-context: a
"""
"""A kubeconfig of a server that does not exist."""


def asks_cluster(name: str) -> bool:
    """Whether a command has a flag for the main cluster."""
    command = svclink.get_command(click.Context(svclink), name)
    return command is not None and any(
        "--kubeconfig" in parameter.opts for parameter in command.params
    )


# Invalid flags


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sync-interval", "5"], ["--sync-interval", "'5'", "30s"]),
        (["--sync-interval=soon", *PLAN], ["--sync-interval", "'soon'"]),
        (["--sync-interval=", *PLAN], ["--sync-interval"]),
        (["--sync-interval=0s", *PLAN], ["--sync-interval", "more than 0s"]),
        (["--sync-interval=-3s", *PLAN], ["--sync-interval", "more than 0s"]),
        (["--sync-interval=99999999999999h", *PLAN], ["--sync-interval"]),
        (
            ["--kubeconfig", "/nowhere/kubeconfig"],
            ["--kubeconfig", "/nowhere/kubeconfig", "pass the path of a readable file"],
        ),
        (["--kubeconfig", "/"], ["--kubeconfig", "directory: pass the path of a readable file"]),
        (["--kubeconfig="], ["--kubeconfig", "pass the path of a readable file"]),
        (["--included-namespaces", "kube-system"], ["--included-namespaces", "kube-system"]),
        (["--included-namespaces=a,kube-system,b"], ["--included-namespaces", "kube-system"]),
        (["--included-namespaces", ""], ["--included-namespaces"]),
        (["--included-namespaces", " , "], ["--included-namespaces"]),
        (["--included-namespaces", "Prod"], ["--included-namespaces", "'Prod'"]),
        (["--included-namespaces", "a.b"], ["--included-namespaces", "'a.b'"]),
        (["--deletion-hold=-1s", *PLAN], ["--deletion-hold", "'-1s'", "0s or more"]),
        (["--deletion-hold=5", *PLAN], ["--deletion-hold", "'5'"]),
        (
            ["--sync-services-to-local-cluster=maybe", *PLAN],
            ["--sync-services-to-local-cluster", "'maybe'"],
        ),
        (["--leader-elect=perhaps", *PLAN], ["--leader-elect", "'perhaps'"]),
        (["--listen-address=8080", *PLAN], ["--listen-address", "'8080'", ":8080"]),
        (["--listen-address=:65536", *PLAN], ["--listen-address", "':65536'"]),
        (["--listen-address=::1:80", *PLAN], ["--listen-address", "'::1:80'"]),
        (["--listen-address=a:b", *PLAN], ["--listen-address", "'a:b'"]),
        (["--log-format=xml", *PLAN], ["--log-format", "'xml'", "json"]),
        (["--log-level=loud", *PLAN], ["--log-level", "'loud'", "debug"]),
        (["--max-writes-per-second", "0"], ["--max-writes-per-second", "x>0"]),
        (["--max-writes-per-second=many"], ["--max-writes-per-second", "'many'"]),
        (["--deny-remote-cidrs", "10.0.0.1/8"], ["--deny-remote-cidrs", "10.0.0.1/8", "host bits"]),
        (
            ["--deny-remote-cidrs", "fd00::/8,example.com"],
            ["--deny-remote-cidrs", "'example.com'", "CIDRs"],
        ),
        (["--allow-insecure-remotes=perhaps"], ["--allow-insecure-remotes", "'perhaps'"]),
        (["--allow-remote-proxies=perhaps"], ["--allow-remote-proxies", "'perhaps'"]),
        (["--link-selector", "shard>1"], ["--link-selector", "'shard>1'", "shard=a"]),
        (["--link-selector", "shard in (a", *PLAN], ["--link-selector", "'shard in (a'"]),
        (["--link-selector=shard=a", *PLAN], ["--link-selector", "do not pass it to svclink plan"]),
        (["--link-selector=shard=a", "--leader-elect=true"], ["--link-selector", "--lease-name"]),
        (["--lease-name", "Svclink"], ["--lease-name", "'Svclink'"]),
        (["--lease-name="], ["--lease-name", "''"]),
        (["--nonsense"], ["'--nonsense': see svclink --help"]),
        (["status", "--nonsense"], ["'--nonsense': see svclink status --help"]),
        (["status", "--out"], ["Did you mean '--output'?"]),
        (["status", "--context"], ["'--context' requires an argument: see --help"]),
        (["demo", "--keep=1"], ["'--keep' does not take a value: see --help"]),
        (["nonsense"], ["'nonsense'", "--help"]),
        (["plna"], ["'plna' is not a command: did you mean plan?"]),
        (["--opt-in=", *PLAN], ["--opt-in", "'' is not a boolean: use true or false"]),
        (["--opt-in=yesno", *PLAN], ["'yesno' is not a boolean: use true or false"]),
        (["--leader-elect", "plna"], ["'plna' is not a command", "did you mean plan?"]),
        (["dashboard", "--port", "80x"], ["--port", "'80x' is not a valid whole number"]),
        (["plan"], ["--kubeconfig"]),
        (["plan", "--remote", "c1=/dev/null"], ["--remote", "--main"]),
        (["explain", "web", "--main", "/dev/null"], ["NAMESPACE/SERVICE", "'web'", "shop/web"]),
        (["explain", "a/b/c", "--main", "/dev/null"], ["NAMESPACE/SERVICE", "'a/b/c'"]),
        (["explain", "/web", "--main", "/dev/null"], ["NAMESPACE/SERVICE"]),
        (
            ["explain", "--main", "/dev/null"],
            ["Missing argument: use svclink explain [OPTIONS] NAMESPACE/SERVICE"],
        ),
        (["drain"], ["Missing argument: use svclink drain [OPTIONS] CLUSTER"]),
        (["shift", "shop/web"], ["Missing option '--to': pass --to CLUSTER"]),
        (["services", "-n", "Shop"], ["-n", "'Shop'"]),
        (["services", "extra"], ["Unexpected argument extra: use svclink services [OPTIONS]"]),
        (["drain", "a", "b", "c"], ["arguments b c: use svclink drain [OPTIONS] CLUSTER"]),
        (["status", "--controller-namespace", "a.b"], ["--controller-namespace", "'a.b'"]),
        (
            ["check", "--service-account", "svclink"],
            ["--service-account", "'svclink'", "NAMESPACE:NAME"],
        ),
        (["status", "-o", "wide"], ["-o", "'wide'"]),
        (["status", "--kubeconfig", "/nowhere/config"], ["--kubeconfig", "/nowhere/config"]),
        (
            ["plan", "--main", "/nowhere/main.yaml"],
            ["--main", "/nowhere/main.yaml", "pass the path of a readable file"],
        ),
        (
            ["plan", "--policy", "/nowhere/policy.yaml"],
            ["--policy", "/nowhere/policy.yaml", "pass the path of a readable file"],
        ),
        ([*PLAN, "--remote", "c1"], ["--remote", "'c1'", "NAME=FILE"]),
        ([*PLAN, "--remote", "C1=a.yaml"], ["--remote", "'C1=a.yaml'"]),
        ([*PLAN, "--remote", "=a.yaml"], ["--remote"]),
        ([*PLAN, "--remote", "c1="], ["'c1=' names no file: use c1=FILE"]),
        (["traffic", "shop/web", "--set", "MAIN=10"], ["MAIN has no share of its own"]),
        (
            [*PLAN, "--remote", "c1=/dev/null", "--remote", "c1=/dev/null"],
            ["--remote", "'c1'", "twice"],
        ),
        (
            [*PLAN, "--remote", "c1=/nowhere/c1.yaml"],
            ["--remote", "/nowhere/c1.yaml", "pass the path of a"],
        ),
        ([*PLAN, "-o", "xml"], ["-o", "'xml'"]),
    ],
    ids=lambda value: " ".join(value)[:60],
)
def test_invalid_flag_is_one_sentence(run: Run, arguments: list[str], words: list[str]) -> None:
    """An invalid flag exits with code 1 and one line on stderr that names it."""
    ended = run(*arguments)
    assert (ended.code, ended.output) == (1, "")
    assert ended.error.startswith("Error: ")
    assert ended.error.count("\n") == 1
    assert all(word in ended.error for word in words), ended.error


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_rejects_unknown_flags(run: Run, name: str) -> None:
    """Every command rejects an unknown flag with one sentence."""
    ended = run(name, "--no-such-flag")
    assert (ended.code, ended.output) == (1, "")
    assert ended.error.startswith("Error: ")
    assert "--no-such-flag" in ended.error
    assert "Traceback" not in ended.error


REQUIRED = {
    "drain": ["cluster-a"],
    "explain": ["shop/web"],
    "export-kubeconfig": ["cluster-a"],
    "shift": ["shop/web", "--to", "cluster-a", "--steps", "5"],
    "traffic": ["shop/web"],
    "undrain": ["cluster-a"],
}
"""Arguments with which a command gets as far as to its cluster."""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (name, content)
        for name in sorted(COMMANDS)
        for content in ("", "just text", "current-context: a\nclusters: 5\n", "\x00", DEAD)
        # For `check`, an unreachable main cluster is a result, not an error.
        if asks_cluster(name) and (name, content) != ("check", DEAD)
    ],
)
def test_every_command_rejects_an_unusable_kubeconfig(
    run: Run, tmp_path: Path, name: str, content: str
) -> None:
    """Every command rejects an invalid kubeconfig, or one of a dead server, with one sentence."""
    path = tmp_path / "kubeconfig"
    path.write_text(content, encoding="utf-8")
    ended = run(name, "--kubeconfig", str(path), *REQUIRED.get(name, []))
    assert (ended.code, ended.output) == (1, "")
    assert [
        line.split(":")[0] for line in ended.error.splitlines() if line.startswith("Error")
    ] == ["Error"]
    assert "Traceback" not in ended.error


@pytest.mark.parametrize("content", ["", "just text", "current-context: a\nclusters: 5\n", "\x00"])
def test_controller_rejects_an_invalid_kubeconfig(run: Run, tmp_path: Path, content: str) -> None:
    """The controller does not start with an invalid kubeconfig, and names the file."""
    path = tmp_path / "kubeconfig"
    path.write_text(content, encoding="utf-8")
    ended = run("--kubeconfig", str(path))
    assert ended.code == 1
    assert ended.error.startswith(f"Error: --kubeconfig={path} ")
    assert "Traceback" not in ended.error


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("services",),
        ("plan",),
        ("explain", "shop/web"),
        ("cleanup", "--dry-run"),
    ],
    ids=lambda value: value[0],
)
def test_context_of_several_files_without_a_current_one(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """With three files in $KUBECONFIG and no current context, `--context` is enough."""
    files = [tmp_path / name for name in "abc"]
    for path in files:
        content = DEAD.replace("current-context: a", "").replace(" a", f" {path.name}")
        path.write_text(content, encoding="utf-8")
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, files)))
    ended = run(*arguments, "--context", "b")
    assert (ended.code, ended.output) == (1, "")
    assert ended.error.startswith("Error: https://127.0.0.1:9 cannot be reached")
    assert run("--context", "b", *arguments).error == ended.error
    assert "pass --context with one of: a, b, c" in run(*arguments).error


def test_controller_takes_a_context(run: Run, tmp_path: Path) -> None:
    """The controller can use another context than the current one, of a kubeconfig."""
    path = tmp_path / "kubeconfig"
    path.write_text(DEAD, encoding="utf-8")
    ended = run("--kubeconfig", str(path), "--context", "b")
    assert ended.code == 1
    assert "it has no context named 'b'; its contexts are: a" in ended.error
    assert "requires --kubeconfig" in run("--context", "b").error


def test_user_without_a_home_directory() -> None:
    """A container under an arbitrary user id may have none: the error is the usual one."""
    program = (
        "import os, pwd\n"
        "def unknown(_): raise KeyError\n"
        "pwd.getpwuid = unknown\n"
        "from svclink_controller.cli.main import main\n"
        "main(['status'])\n"
    )
    environment = {key: value for key, value in os.environ.items() if key not in HOMES}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: no kubeconfig found: $KUBECONFIG is not set, there is no home directory, and"
        " svclink is not running in a Pod (KUBERNETES_SERVICE_HOST is not set): pass"
        " --kubeconfig=FILE\n"
    )


HOMES = ("HOME", "KUBECONFIG", "KUBERNETES_SERVICE_HOST")


def test_missing_kubeconfig_outside_a_pod_names_the_flag(run: Run) -> None:
    """Without a ServiceAccount, the error says which flag to use."""
    ended = run()
    assert ended.code == 1
    assert ended.error == (
        "Error: not running in a Pod (KUBERNETES_SERVICE_HOST is not set), and the controller"
        " does not use $KUBECONFIG or ~/.kube/config: pass --kubeconfig=FILE\n"
    )


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_command_without_a_kubeconfig_says_where_it_looked(
    run: Run, tmp_path: Path, name: str
) -> None:
    """The sentence names each place and how to fix it."""
    if not asks_cluster(name):
        return
    ended = run(name, *REQUIRED.get(name, []))
    assert (ended.code, ended.output) == (1, "")
    assert ended.error == (
        f"Error: no kubeconfig found: $KUBECONFIG is not set, there is no file {tmp_path}/.kube/"
        "config, and svclink is not running in a Pod (KUBERNETES_SERVICE_HOST is not set): pass"
        " --kubeconfig=FILE\n"
    )


def test_check_reports_an_unreachable_cluster(run: Run, tmp_path: Path) -> None:
    """An unreachable cluster is an error for other commands, but a result of `check`."""
    path = tmp_path / "kubeconfig"
    path.write_text(DEAD, encoding="utf-8")
    ended = run("check", "--kubeconfig", str(path))
    assert (ended.code, ended.error) == (2, "")
    assert "does not respond: https://127.0.0.1:9 cannot be reached" in ended.output


# Valid flags


def test_boolean_flag_leaves_the_next_argument_alone() -> None:
    """`--flag` is true, as in Go: what follows is the command, or the next flag."""
    given = [
        "--opt-in",
        "--leader-elect",
        "false",
        "plan",
        "--allow-remote-proxies",
        "--",
        "--opt-in",
    ]
    assert with_values(given, svclink.params) == [
        "--opt-in=true",
        "--leader-elect=false",
        "plan",
        "--allow-remote-proxies=true",
        "--",
        "--opt-in",
    ]


@pytest.mark.parametrize(
    "flags",
    [
        ["--sync-interval=30s"],
        ["--sync-interval", "1h2m3s"],
        ["--sync-services-to-local-cluster=true"],
        ["--deletion-hold=0s"],
        ["--deletion-hold", "1h"],
        ["--sync-services-to-local-cluster=false"],
        ["--sync-services-to-local-cluster=FALSE"],
        ["--sync-services-to-local-cluster=0"],
        ["--leader-elect=true"],
        ["--lease-name=svclink.a"],
        ["--link-selector="],
        ["--listen-address=:8080"],
        ["--listen-address", "127.0.0.1:0"],
        ["--listen-address=[::1]:80"],
        ["--listen-address=off"],
        ["--leader-elect"],
        ["--leader-elect=false"],
        ["--opt-in"],
        ["--opt-in=false", "--sync-services-to-local-cluster"],
        ["--allow-insecure-remotes", "--allow-remote-proxies"],
        ["--included-namespaces=a"],
        ["--included-namespaces", "a, b,c"],
        ["--included-namespaces=a", "--included-namespaces=b"],
    ],
    ids=" ".join,
)
def test_flags_are_written_as_in_go(run: Run, flags: list[str]) -> None:
    """`--flag=value`, `--flag value`, booleans with `=` or alone, repeated and comma-separated."""
    ended = run(*flags, *PLAN)
    assert (ended.code, ended.error) == (0, "")
    assert "Nothing to change." in ended.output


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", timedelta(seconds=30)),
        ("1m30s", timedelta(seconds=90)),
        ("2h", timedelta(hours=2)),
        ("1.5h", timedelta(minutes=90)),
        ("500ms", timedelta(milliseconds=500)),
        ("1h0m0.5s", timedelta(hours=1, milliseconds=500)),
        ("+5s", timedelta(seconds=5)),
    ],
)
def test_durations_are_written_as_in_go(text: str, expected: timedelta) -> None:
    """Durations are written as in Go."""
    assert DurationType().convert(text, None, None) == expected


@pytest.mark.parametrize(("text", "mebibytes"), [("16Mi", 16), ("1Gi", 1024), ("2048Mi", 2048)])
def test_memory_is_written_as_in_kubernetes(text: str, mebibytes: int) -> None:
    """Amounts of memory are written with Mi or Gi."""
    assert MemoryType(16 * 2**20).convert(text, None, None) == mebibytes * 2**20


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("96", "use, for example, 80Mi or 1Gi"),
        ("96M", "use, for example, 80Mi or 1Gi"),
        ("0.5Gi", "use, for example, 80Mi or 1Gi"),
        ("-1Gi", "use, for example, 80Mi or 1Gi"),
        ("15Mi", "too small: use 16Mi or more"),
    ],
)
def test_memory_that_is_not_understood_is_an_error(text: str, problem: str) -> None:
    """The error says how to write the value."""
    with pytest.raises(click.BadParameter, match=problem):
        MemoryType(16 * 2**20).convert(text, None, None)


def test_defaults_of_flags() -> None:
    """The defaults: every Service is checked every 30 s, and nothing is restricted."""
    context = svclink.make_context("svclink", [])
    assert context.params == {
        "sync_interval": timedelta(seconds=30),
        "kubeconfig": None,
        "kube_context": None,
        "controller_namespace": None,
        "included_namespaces": (),
        "sync_services_to_local_cluster": False,
        "opt_in": False,
        "service_selector": EVERYTHING,
        "deletion_hold": timedelta(minutes=5),
        "max_writes_per_second": None,
        "max_memory_per_remote": 80 * 2**20,
        "leader_elect": None,
        "lease_name": None,
        "link_selector": EVERYTHING,
        "listen_address": None,
        "log_format": None,
        "log_level": "info",
        "deny_remote_cidrs": (),
        "allow_insecure_remotes": False,
        "allow_remote_proxies": False,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":8080", ListenAddress("", 8080)),
        ("localhost:0", ListenAddress("localhost", 0)),
        ("[::1]:80", ListenAddress("::1", 80)),
        ("off", "off"),
    ],
)
def test_address_is_host_and_port(text: str, expected: ListenAddress | str) -> None:
    """An address is written as in Go, and can be `off`."""
    assert ListenAddressType().convert(text, None, None) == expected


@pytest.mark.parametrize("in_pod", [True, False])
def test_trust_flags_become_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, in_pod: bool
) -> None:
    """In a Pod, loopback is denied in addition to the given networks."""
    seen: list[Settings] = []

    async def run(settings: Settings) -> None:
        seen.append(settings)

    monkeypatch.setattr(manager, "run", run)
    monkeypatch.setattr(logs, "take_in_libraries", lambda: None)
    file = tmp_path / "kubeconfig"
    file.touch()
    flags = [
        "--deny-remote-cidrs=10.0.0.0/8, fd00::/8",
        "--allow-insecure-remotes",
        "--allow-remote-proxies=false",
    ]
    svclink.main([*flags, *([] if in_pod else ["--kubeconfig", str(file)])], standalone_mode=False)
    trust = seen[0].trust
    denied = [
        trust.why_denied(address) is not None
        for address in ("10.1.2.3", "fd12::1", "127.0.0.1", "11.0.0.1")
    ]
    assert denied == [True, True, in_pod, False]
    assert (trust.allows_insecure, trust.allows_proxies) == (True, False)


def test_namespaces_of_repeated_flags_are_merged() -> None:
    """Repeated flags and commas make one list of namespaces."""
    flags = ["--included-namespaces=a, b", "--included-namespaces", "c,,a"]
    context = svclink.make_context("svclink", [*flags, "plan"])
    assert context.params["included_namespaces"] == ("a", "b", "c")


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_is_laid_out(run: Run, command: str) -> None:
    """The marks of click for its layout are not shown."""
    shown = run(command, "--help").output
    assert "Usage:" in shown
    assert "\\" not in shown


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_flag(run: Run, flag: str) -> None:
    """The help lists every flag."""
    ended = run(flag)
    assert ended.code == 0
    names = [
        name
        for parameter in svclink.params
        for name in parameter.opts
        if isinstance(parameter, click.Option)
    ]
    assert all(name in ended.output for name in names)
    assert "plan" in ended.output


def test_kubectl_plugin_has_the_same_commands() -> None:
    """`kubectl svclink` is a program on the PATH; without a command it prints the help."""
    program = Path(sys.executable).parent / "kubectl-svclink"
    alone = subprocess.run([program], capture_output=True, text=True, check=True)
    assert "Usage: kubectl svclink [OPTIONS]" in alone.stdout
    wrong = subprocess.run([program, "explain", "web"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith("Error: ")


@pytest.mark.parametrize("arguments", [["--help"], [*PLAN], [*PLAN, "-o", "json"]], ids=" ".join)
def test_full_disk_is_one_sentence(arguments: list[str]) -> None:
    """A full disk is one sentence; a closed output is not an error."""
    program = Path(sys.executable).parent / "svclink"
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [program, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "Error: cannot write the output: No space left on device\n"
    closed = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", program, *arguments], capture_output=True, check=False
    )
    assert (closed.returncode, closed.stderr) == (0, b"")


def test_characters_outside_the_encoding_are_escaped(tmp_path: Path) -> None:
    """Characters that a terminal cannot show are escaped."""
    metadata = "metadata: {name: web, namespace: shop, labels: {kubernetes.io/service-name: web}}"
    dump = f"""
apiVersion: v1
kind: Service
{metadata}
spec: {{ports: [{{port: 80}}], ipFamilies: [IPv4]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
{metadata}
addressType: IPv4
endpoints: [{{addresses: ["1é"]}}]
ports: [{{port: 80}}]
"""
    (tmp_path / "dump").write_text(dump, encoding="utf-8")
    file = tmp_path / "dump"
    command = [
        str(Path(sys.executable).parent / "svclink"),
        "explain",
        "shop/web",
        f"--main={file}",
        f"--remote=c1={file}",
    ]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, env=environment, check=True)
    assert rb"outside the link's allowedCIDRs: 1\xe9" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell: str) -> None:
    """The completion script of a shell is printed on request."""
    program = Path(sys.executable).parent / "svclink"
    environment = {**os.environ, "_SVCLINK_COMPLETE": f"{shell}_source"}
    done = subprocess.run([program], capture_output=True, text=True, check=False, env=environment)
    assert f"_SVCLINK_COMPLETE={shell}_complete" in done.stdout


def test_version_is_that_of_the_package() -> None:
    """`python -m svclink_controller` is the same command."""
    done = subprocess.run(
        [sys.executable, "-m", "svclink_controller", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("svclink ")


def modules_after(statement: str) -> set[str]:
    """The modules that a new Python process has imported."""
    program = f"import sys\n{statement}\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_controller_imports_no_command() -> None:
    """The controller imports no command and, unless it serves probes, no HTTP server."""
    loaded = modules_after("import svclink_controller.__main__, svclink_controller.manager")
    others = ("svclink_controller.demo", "svclink_controller.cli.preflight", "aiohttp.web")
    assert not [name for name in loaded if name.startswith(others)]
    assert not {f"svclink_controller.cli.commands.{module}" for module in COMMANDS.values()} & (
        loaded
    )


def test_commands_do_not_import_the_controller() -> None:
    """`svclink status` imports nothing that plans, writes or serves."""
    loaded = modules_after("import svclink_controller.__main__\nimport " + STATUS)
    assert STATUS in loaded
    assert not [name for name in loaded if name.startswith(ONLY_CONTROLLER)]


STATUS = "svclink_controller.cli.commands.status"
ONLY_CONTROLLER = (
    "svclink_controller.manager",
    "svclink_controller.reconcile",
    "prometheus_client",
)
