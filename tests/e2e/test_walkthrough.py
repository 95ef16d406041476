"""An installation from start to end, with the documented commands: install, use, repair, uninstall.

Without a kubelet, the controller runs as a process under the ServiceAccount of its Deployment.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.builders.manifests import Manifest, endpoint_slice, service

from .api_client import ApiError
from .control_planes import Cluster
from .controller_process import new_controller
from .documented_commands import documented_commands
from .helm import helm_program
from .polling import eventually
from .shell import Shell, deployed_kubeconfig
from .world import slice_name

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
QUICK_START: Final = documented_commands("docs/tutorials/quick-start.md")
UNINSTALL: Final = documented_commands("docs/how-to/uninstall.md")
# Kinds whose objects change by themselves: Events expire, and control planes renew Leases.
VOLATILE: Final = {"events", "events.events.k8s.io", "leases.coordination.k8s.io"}

pytestmark = pytest.mark.real_servers(
    "the embedded server neither empties namespaces nor reads protobuf"
)


def all_objects(shell: Shell, context: str) -> set[str]:
    """Kind, namespace and name of every object of a cluster, except volatile kinds."""
    kinds = (
        set(shell(f"kubectl --context {context} api-resources --verbs=list -o name").split())
        - VOLATILE
    )
    named = '{range .items[*]}{.kind} {.metadata.namespace} {.metadata.name}{"\\n"}{end}'
    command = f"kubectl --context {context} get {','.join(sorted(kinds))} -A -o 'jsonpath={named}'"
    return set(shell(command).splitlines())


@pytest.fixture
def clean(main: Cluster, remote: Cluster, shell: Shell) -> Iterator[Shell]:
    """A main cluster without svclink and its CRD, and the Service nginx in both clusters.

    The CRD is restored at the end.
    """
    shell("kubectl delete crd clusterlinks.svclink.cloudpilot.ai")
    for cluster in (main, remote):
        cluster.api.create(service("nginx"))
    publish(remote, "10.1.0.1", "10.1.0.2")
    yield shell
    remote.api.delete("endpointslices", slice_name("nginx"), "default")
    for cluster in (main, remote):
        cluster.api.delete("services", "nginx", "default")
    shell("kubectl apply --filename crd/")
    shell("kubectl delete --filename deploy/deployment.yaml --ignore-not-found")
    eventually(lambda: main.api.find("clusterlinks"))


def publish(cluster: Cluster, *addresses: str) -> None:
    """Replace the EndpointSlice of the Service nginx in a remote."""
    published = endpoint_slice(None, *addresses, key="nginx")
    with contextlib.suppress(ApiError):
        cluster.api.delete("endpointslices", published["metadata"]["name"], "default")
    cluster.api.create(published)


class Installation:
    """The installed controller, as users see it through kubectl."""

    def __init__(self, shell: Shell, main: Cluster, directory: Path) -> None:
        self.shell = shell
        self.controller = new_controller(deployed_kubeconfig(shell, main), directory, "svclink")

    def link(self) -> Manifest:
        link: Manifest = json.loads(
            self.shell("kubectl get clusterlink production-east -n cloudpilot -o json")
        )
        return link

    def patch(self, spec: str) -> None:
        """Patch the link, and wait until svclink has observed the change."""
        self.shell(
            "kubectl patch clusterlink production-east -n cloudpilot --type merge"
            f" -p '{{\"spec\":{spec}}}'"
        )

        def observed() -> None:
            link = self.link()
            assert link["status"]["observedGeneration"] == link["metadata"]["generation"]

        eventually(observed)

    def slices(self) -> list[str]:
        """Name, address type, ports and endpoints of the mirrors, as kubectl prints them."""
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


def test_installation_works_and_uninstalls_completely(
    clean: Shell, main: Cluster, remote: Cluster, tmp_path: Path
) -> None:
    """After the documented steps up to uninstalling, no object of svclink is left."""
    before = {context: all_objects(clean, context) for context in ("main", "remote")}
    clean(QUICK_START["install"])
    with running(clean, main, tmp_path) as installation:
        link_remote(clean, installation)
        inspect(clean, installation)
        filter_services(installation)
        disable_and_enable(installation, remote)
        delete_link(clean, installation)
        clean_up(clean, installation)
    uninstall(clean)
    await_no_new_objects(clean, before)


def test_helm_release_lives_through_changes_and_leaves_nothing(
    clean: Shell, main: Cluster, remote: Cluster, tmp_path: Path
) -> None:
    """A release keeps what is mirrored, whatever Helm does with it, until the link is deleted."""
    clean.add_program(helm_program())
    before = {context: all_objects(clean, context) for context in ("main", "remote")}
    clean(QUICK_START["install-with-helm"])
    with running(clean, main, tmp_path) as installation:
        clean(QUICK_START["link"])
        installation.await_slices("nginx-cluster-b IPv4 8080 10.1.0.1,10.1.0.2")
        mirrored = versions_of_mirrors(main)
        installed = flags_of_the_deployment(clean)
        clean(QUICK_START["upgrade-with-helm"].rstrip() + " --set syncInterval=1m")
        assert flags_of_the_deployment(clean) == [*installed, "--sync-interval=1m"]
        clean("helm rollback svclink --kube-context main --namespace cloudpilot")
        assert flags_of_the_deployment(clean) == installed
    clean("helm uninstall svclink --kube-context main --namespace cloudpilot")
    assert clean("kubectl get deployments --namespace cloudpilot --output name") == ""
    assert versions_of_mirrors(main) == mirrored

    publish(remote, "10.1.0.3")
    clean(QUICK_START["install-with-helm"])
    with running(clean, main, tmp_path) as installation:
        installation.await_slices("nginx-cluster-b IPv4 8080 10.1.0.3")
        assert versions_of_mirrors(main).keys() == mirrored.keys()
        clean(UNINSTALL["local-endpoints"])
        clean(UNINSTALL["uninstall-with-helm"])
    clean(UNINSTALL["remote"])
    await_no_new_objects(clean, before)


@contextlib.contextmanager
def running(shell: Shell, main: Cluster, directory: Path) -> Iterator[Installation]:
    """Run the installed controller."""
    installation = Installation(shell, main, directory)
    installation.controller.start()
    try:
        yield installation
    finally:
        installation.controller.kill()


def versions_of_mirrors(main: Cluster) -> dict[str, str]:
    """The resourceVersion of each mirrored EndpointSlice, by its uid."""
    mirrors = main.api.find(
        "endpointslices", "default", {"svclink.cloudpilot.ai/cluster": "cluster-b"}
    )
    metadata = [each["metadata"] for each in mirrors]
    return {each["uid"]: each["resourceVersion"] for each in metadata}


def flags_of_the_deployment(shell: Shell) -> list[str]:
    """The flags of svclink in the Deployment."""
    text = shell("kubectl get deployment svclink --namespace cloudpilot --output json")
    flags: list[str] = json.loads(text)["spec"]["template"]["spec"]["containers"][0]["args"]
    return flags


def await_no_new_objects(shell: Shell, before: dict[str, set[str]]) -> None:
    """Wait until the clusters have no objects but the earlier ones."""

    def check() -> None:
        for context, objects in before.items():
            assert all_objects(shell, context) - objects == set()

    eventually(check)


def link_remote(shell: Shell, installation: Installation) -> None:
    shell(LINK)
    installation.await_status("Ready")
    installation.await_slices("nginx-production-east IPv4 8080 10.1.0.1,10.1.0.2")


def inspect(shell: Shell, installation: Installation) -> None:
    """Run the documented commands for inspection and troubleshooting."""
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


def filter_services(installation: Installation) -> None:
    """Each filter removes the mirrors of the Service, and they return without it."""
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


def disable_and_enable(installation: Installation, remote: Cluster) -> None:
    """Mirrors of a disabled link stay unchanged; enabled, the link catches up with the remote."""
    installation.patch('{"enabled":false}')
    installation.await_status("Disabled")
    publish(remote, "10.1.0.3")
    installation.await_slices("nginx-production-east IPv4 8080 10.1.0.1,10.1.0.2")
    installation.patch('{"enabled":true}')
    installation.await_slices("nginx-production-east IPv4 8080 10.1.0.3")
    installation.await_status("Ready")


def delete_link(shell: Shell, installation: Installation) -> None:
    shell("kubectl delete clusterlink production-east -n cloudpilot")
    installation.await_slices()


def clean_up(shell: Shell, installation: Installation) -> None:
    """The script deletes mirrors whose link was deleted after the controller had stopped."""
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


def uninstall(shell: Shell) -> None:
    """Delete the objects one by one, apply the manifests, and follow docs/how-to/uninstall.md."""
    shell("kubectl delete clusterlinks --all")
    shell("kubectl delete deployment svclink -n cloudpilot")
    shell("kubectl delete clusterrolebinding svclink")
    shell("kubectl delete clusterrole svclink")
    shell("kubectl delete serviceaccount svclink -n cloudpilot")
    shell(QUICK_START["install-with-kustomize"])
    for step in ("uninstall", "clean-up", "created", "remote"):
        shell(UNINSTALL[step])
