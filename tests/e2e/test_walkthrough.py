"""The life of an installation, with the commands a person types and in their order: install, use, mend, remove.

No kubelet is there, so the controller runs as a process under the ServiceAccount of its Deployment.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from .api_client import ApiError, Object
from .control_planes import Cluster
from .controller_process import Controller
from .documented_commands import commands
from .objects import endpoint_slice, endpoints, service, slice_name
from .polling import eventually
from .shell import Shell

LINK: Final = """
kubectl config use-context remote >/dev/null
kubeconfig=$(./hack/export-kubeconfig.sh)
kubectl config use-context main >/dev/null
kubectl apply -f - <<EOF
apiVersion: svclink.cloudpilot.ai/v1alpha1
kind: ClusterLink
metadata:
  name: production-east
spec:
  enabled: true
  kubeconfig: $kubeconfig
EOF
"""
QUICK_START: Final = commands("docs/quick-start.md")
UNINSTALL: Final = commands("docs/uninstall.md")
# Kinds that come and go by themselves: Events for an hour, Leases of control planes.
FLEETING: Final = {"events", "events.events.k8s.io", "leases.coordination.k8s.io"}

pytestmark = pytest.mark.real_servers(
    "the embedded server neither empties namespaces nor reads protobuf"
)


def everything(shell: Shell, context: str) -> set[str]:
    """Kind, namespace and name of every object of a cluster, but for those that come and go by themselves."""
    kinds = (
        set(shell(f"kubectl --context {context} api-resources --verbs=list -o name").split())
        - FLEETING
    )
    named = '{range .items[*]}{.kind} {.metadata.namespace} {.metadata.name}{"\\n"}{end}'
    command = f"kubectl --context {context} get {','.join(sorted(kinds))} -A -o 'jsonpath={named}'"
    return set(shell(command).splitlines())


@pytest.fixture
def clean(main: Cluster, remote: Cluster, shell: Shell) -> Iterator[Shell]:
    """Main without svclink, not even its CRD, and the Service nginx in two clusters; the CRD is back at the end."""
    shell("kubectl delete crd clusterlinks.svclink.cloudpilot.ai")
    for cluster in (main, remote):
        cluster.api.create(service("default", "nginx"))
    publish(remote, "10.1.0.1", "10.1.0.2")
    yield shell
    remote.api.delete("endpointslices", slice_name("nginx"), "default")
    for cluster in (main, remote):
        cluster.api.delete("services", "nginx", "default")
    shell("kubectl apply --filename crd/")
    shell("kubectl delete --filename deploy/deployment.yaml --ignore-not-found")
    eventually(lambda: main.api.find("clusterlinks"))


def publish(cluster: Cluster, *addresses: str) -> None:
    """Give the Service nginx of a remote these Pods."""
    piece = endpoint_slice("default", "nginx", endpoints(*addresses))
    with contextlib.suppress(ApiError):
        cluster.api.delete("endpointslices", piece["metadata"]["name"], "default")
    cluster.api.create(piece)


class Installation:
    """What a person sees of it."""

    def __init__(self, shell: Shell, main: Cluster, directory: Path) -> None:
        self.shell = shell
        token = shell("kubectl create token svclink -n cloudpilot").strip()
        kubeconfig = directory / "in-cluster"
        kubeconfig.write_text(
            main.kubeconfig({"token": token}, namespace="cloudpilot"), encoding="utf-8"
        )
        self.controller = Controller(kubeconfig, directory / "svclink.log")

    def link(self) -> Object:
        found: Object = json.loads(
            self.shell("kubectl get clusterlink production-east -n cloudpilot -o json")
        )
        return found

    def patch(self, spec: str) -> None:
        """Change the link as the documentation says, and wait until svclink has seen it."""
        self.shell(
            f"kubectl patch clusterlink production-east -n cloudpilot --type merge -p '{{\"spec\":{spec}}}'"
        )

        def seen() -> None:
            link = self.link()
            assert link["status"]["observedGeneration"] == link["metadata"]["generation"]

        eventually(seen)

    def slices(self) -> list[str]:
        """The mirrored EndpointSlices, as kubectl prints their name, address type, ports and endpoints."""
        lines = self.shell("kubectl get endpointslices -n default --no-headers").splitlines()
        return [" ".join(line.split()[:-1]) for line in lines if line.startswith("nginx")]

    def await_slices(self, *expected: str) -> None:
        def check() -> None:
            assert self.slices() == list(expected)

        eventually(check)

    def await_status(self, status: str) -> None:
        """Wait until `kubectl get clusterlinks` shows a status."""

        def check() -> None:
            header, *rows = self.shell("kubectl get clusterlinks").splitlines()
            assert header.split() == ["NAME", "ENABLED", "VERSION", "STATUS", "AGE"]
            assert [row.split()[3] for row in rows] == [status]

        eventually(check)


def test_from_the_first_command_to_the_last(
    clean: Shell, main: Cluster, remote: Cluster, tmp_path: Path
) -> None:
    """Installed, linked, filtered, disabled, cleaned up and uninstalled: in the end nothing of svclink is left."""
    before = {context: everything(clean, context) for context in ("main", "remote")}
    clean(QUICK_START["install"])
    installation = Installation(clean, main, tmp_path)
    installation.controller.start()
    try:
        is_linked(clean, installation)
        can_be_looked_at(clean, installation)
        is_filtered(installation)
        is_disabled_and_enabled(installation, remote)
        is_deleted(clean, installation)
        is_cleaned_up(clean, installation)
    finally:
        installation.controller.kill()
    is_uninstalled(clean)

    def nothing_is_left() -> None:
        assert [
            each for context in before for each in everything(clean, context) - before[context]
        ] == []

    eventually(nothing_is_left)


def is_linked(shell: Shell, installation: Installation) -> None:
    shell(LINK)
    installation.await_status("Ready")
    installation.await_slices("nginx-production-east IPv4 8080 10.1.0.1,10.1.0.2")


def can_be_looked_at(shell: Shell, installation: Installation) -> None:
    """What somebody types who wants to see it, or to know what is wrong."""
    assert "Cluster connection established" in shell(
        "kubectl describe clusterlink production-east -n cloudpilot"
    )
    assert "10.1.0.1" in shell("kubectl describe endpointslice nginx-production-east -n default")
    assert "nginx" in shell("kubectl --context remote get svc -A")
    assert "svclink" in shell("kubectl get deployment svclink -n cloudpilot")
    for command in (
        "get pods -n cloudpilot -l app=svclink",
        "get events -n cloudpilot --sort-by=.lastTimestamp",
    ):
        shell(f"kubectl {command}")
    assert "nginx-production-east" in installation.controller.tail()


def is_filtered(installation: Installation) -> None:
    """Each filter takes the Service out, and taken back brings it in."""
    mirrored = installation.slices()
    for field, value in (
        ("excludedNamespaces", '["monitoring","default"]'),
        ("includedNamespaces", '["production","staging"]'),
        ("excludedServices", '["default/nginx"]'),
        ("excludedServiceNames", '["nginx"]'),
    ):
        installation.patch(f'{{"{field}":{value}}}')
        installation.await_slices()
        installation.patch(f'{{"{field}":null}}')
        installation.await_slices(*mirrored)
    editor = "sed -i 's/enabled: true/enabled: false/'"
    installation.shell("kubectl edit clusterlink production-east -n cloudpilot", KUBE_EDITOR=editor)
    installation.await_status("Disabled")
    installation.patch('{"enabled":true}')


def is_disabled_and_enabled(installation: Installation, remote: Cluster) -> None:
    """Disabled, what is mirrored stays as it is, whatever happens in the remote cluster; enabled, it follows."""
    installation.patch('{"enabled":false}')
    installation.await_status("Disabled")
    publish(remote, "10.1.0.3")
    installation.await_slices("nginx-production-east IPv4 8080 10.1.0.1,10.1.0.2")
    installation.patch('{"enabled":true}')
    installation.await_slices("nginx-production-east IPv4 8080 10.1.0.3")
    installation.await_status("Ready")


def is_deleted(shell: Shell, installation: Installation) -> None:
    shell("kubectl delete clusterlink production-east -n cloudpilot")
    installation.await_slices()


def is_cleaned_up(shell: Shell, installation: Installation) -> None:
    """What the controller could not remove, because it was gone before the link, the script removes."""
    shell(QUICK_START["link"])
    installation.await_slices("nginx-cluster-b IPv4 8080 10.1.0.3")
    installation.await_status("Ready")
    shell(QUICK_START["look"])
    shell(QUICK_START["use"])
    installation.await_slices()
    shell(QUICK_START["link"])
    installation.await_slices("nginx-cluster-b IPv4 8080 10.1.0.3")
    installation.controller.kill()
    shell("kubectl delete clusterlinks --all")
    assert "--dry-run" in shell("./hack/cleanup-endpointslices.sh --help")
    assert (
        shell("./hack/cleanup-endpointslices.sh --dry-run")
        == "would delete default/nginx-cluster-b\n"
    )
    assert "default/nginx-cluster-b" in shell("nox -s cleanup-endpointslices-dry")
    shell("./hack/cleanup-endpointslices.sh -n kube-public", answer="y\n")
    assert len(installation.slices()) == 1
    shell("./hack/cleanup-endpointslices.sh -n default", answer="y\n")
    assert installation.slices() == []
    shell("./hack/cleanup-endpointslices.sh && nox -s cleanup-endpointslices")


def is_uninstalled(shell: Shell) -> None:
    """One object after the other, as the reference has it, then what docs/uninstall.md says."""
    shell("kubectl delete clusterlinks --all")
    shell("kubectl delete deployment svclink -n cloudpilot")
    shell("kubectl delete clusterrolebinding svclink")
    shell("kubectl delete clusterrole svclink")
    shell("kubectl delete serviceaccount svclink -n cloudpilot")
    shell("kubectl apply --filename deploy/deployment.yaml")
    for commands_of_a_step in UNINSTALL.values():
        shell(commands_of_a_step)
