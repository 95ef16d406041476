"""What docs/how-to/uninstall.md says of traffic, with its commands and with Helm, on nodes.

Each test leaves svclink as the manifests install it, with both links.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from tests.e2e.documented_commands import documented_commands
from tests.e2e.helm import helm_program
from tests.e2e.polling import eventually
from tests.e2e.shell import Shell

from .restoration import Opened
from .shop import NAMESPACE, PODS, SVCLINK_NAMESPACE, Shop

QUICK_START: Final = documented_commands("docs/tutorials/quick-start.md")
UNINSTALL: Final = documented_commands("docs/how-to/uninstall.md")
IN_RELEASE: Final = "--kube-context main --namespace cloudpilot"
LINKED: Final = {"main", "c1", "c2"}
KEPT_CONNECTION: Final = """
import http.client
def request(connection):
    connection.request("GET", "/")
    return connection.getresponse().read().decode().split()[0]
cluster = "main"
while cluster == "main":
    kept = http.client.HTTPConnection("web.shop", timeout=5)
    cluster = request(kept)
kept.auto_open = False
print(cluster, flush=True)
recent = []
while set(recent[-50:]) != {"main"} or len(recent) < 50:
    recent.append(request(http.client.HTTPConnection("web.shop", timeout=5)))
print(request(kept))
"""
"""Keep a connection to a remote Pod, and use it when new connections reach only local Pods."""

pytestmark = pytest.mark.timeout(600, func_only=True)


@contextmanager
def no_failures(shop: Shop) -> Iterator[None]:
    """Send requests while the context is open; none may fail."""
    with shop.under_load() as load:
        yield
    assert not load.failures, load.table()


def assert_nothing_left(shell: Shell) -> None:
    """Assert that main has no object of svclink."""
    kinds = "crd,clusterrole,clusterrolebinding,namespace,serviceaccount,lease,secret,pod,pdb"
    names = shell(f"kubectl get {kinds} --all-namespaces --output name").splitlines()
    assert [name for name in names if "svclink" in name or "cloudpilot" in name] == []
    mirrors = "endpointslice.kubernetes.io/managed-by=svclink.cloudpilot.ai"
    assert shell(f"kubectl get endpointslices -A --selector {mirrors} --output name") == ""


@pytest.fixture
def helm(shell: Shell) -> Shell:
    """A terminal with Helm."""
    shell.add_program(helm_program())
    return shell


@pytest.fixture
def restored(shop: Shop, opened: Opened, helm: Shell) -> Iterator[Shop]:
    """The shop; afterwards svclink is installed from the manifests, and all clusters are linked."""
    yield shop
    helm(f"helm uninstall svclink {IN_RELEASE} --ignore-not-found")
    helm(QUICK_START["install-with-kustomize"])
    opened.restore(shop)


def test_helm_replaces_the_manifests_and_is_removed(restored: Shop, helm: Shell) -> None:
    """No request fails while Helm takes over, upgrades, rolls back and uninstalls.

    While svclink does not run, the Pods of all clusters respond. When Helm has removed it with its
    links, only local ones do.
    """
    shop = restored
    with no_failures(shop):
        helm("kubectl --context main delete --filename deploy/deployment.yaml")
        shop.assert_responding(LINKED)
        helm(QUICK_START["install-with-helm"])
        shop.await_svclink()
    assert_helm_test_succeeds(shop, helm)
    with no_failures(shop):
        helm(QUICK_START["upgrade-with-helm"])
        shop.await_svclink()
        helm(f"helm rollback svclink {IN_RELEASE}")
        shop.await_svclink()
        shop.change_remote()
    with no_failures(shop):
        helm(f"helm uninstall svclink {IN_RELEASE}")
        shop.assert_responding(LINKED)
        helm(QUICK_START["install-with-helm"])
        shop.await_svclink()
    with no_failures(shop):
        helm(UNINSTALL["uninstall-with-helm"])
    shop.assert_responding({"main"})
    assert_nothing_left(helm)


def assert_helm_test_succeeds(shop: Shop, helm: Shell) -> None:
    """Assert that `helm test` prints what `svclink check` found, succeeds, and leaves no Pod."""
    printed = helm(f"helm test svclink {IN_RELEASE} 2>&1")
    assert "pod network" in printed
    assert re.search(r"Phase: +Succeeded", printed)
    assert not [
        pod
        for pod in shop.main.api.find("pods", SVCLINK_NAMESPACE)
        if pod["metadata"]["name"] == "svclink-check"
    ]


def test_manifests_are_removed(restored: Shop, shell: Shell) -> None:
    """No request fails while the manifests are removed as documented, and nothing is left.

    An open connection to a remote Pod stays, and new ones are local. Without local Pods, the
    Service refuses connections.
    """
    with kept_connection(shell) as answers:
        remote = next(answers)
        with no_failures(restored):
            shell(UNINSTALL["uninstall"])
        restored.assert_responding({"main"})
        assert [*answers] == [remote]
    assert_nothing_left(shell)
    scale = f"kubectl scale deployment web --namespace {NAMESPACE} --replicas"
    shell(f"{scale}=0")
    try:
        eventually(lambda: assert_refused(restored))
    finally:
        shell(f"{scale}={PODS['main']}")


@contextmanager
def kept_connection(shell: Shell) -> Iterator[Iterator[str]]:
    """Keep a connection from a Pod of main; gives the remote cluster that answers it.

    The second answer comes when new connections reach only local Pods.
    """
    in_client = ("exec", "--namespace", NAMESPACE, "deployment/client", "--")
    command = ["kubectl", "--kubeconfig", str(shell.kubeconfig), *in_client]
    with subprocess.Popen(
        [*command, "python", "-c", KEPT_CONNECTION], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        yield iter(program.stdout)


def assert_refused(shop: Shop) -> None:
    """Assert that every request fails at once, because nothing accepts the connection."""
    load = shop.requests(20)
    errors = Counter(str(each.error).split()[0] for each in load.failures)
    assert errors == {"ClientConnectorError": 20}, load.table()
