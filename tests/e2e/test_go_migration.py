"""Migration from the Go release, rollback, and migration to the current CRD.

The steps are those of docs/how-to/migration.md; `go_release` stands in for the Go release.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

import pytest

from svclink_core.well_known import LABEL_GO_CLUSTER, LABEL_SERVICE_NAME
from tests.builders.manifests import Manifest, encoded, endpoint_slice, service

from . import go_release
from .api_client import Api
from .control_planes import Cluster
from .controller_process import Controller, new_controller
from .documented_commands import documented_commands
from .fault_proxy import ProxyTo
from .faults import PASSING, Fault, Hanging, Refusing
from .polling import eventually
from .shell import Shell, deployed_kubeconfig

STEPS: Final = documented_commands("docs/how-to/migration.md")
CRD: Final = "clusterlinks.svclink.cloudpilot.ai"
# kubectl caches the scope of a kind; this refreshes the cache.
REFRESH_SCOPE: Final = "kubectl api-resources --api-group svclink.cloudpilot.ai"
ADDRESSES: Final = {"c1": ["10.1.0.1", "10.1.0.2"], "c2": ["10.2.0.1"]}
EVERY_ADDRESS: Final = {address for addresses in ADDRESSES.values() for address in addresses}

pytestmark = pytest.mark.real_servers(
    "the embedded server does not prune fields that a CRD does not define"
)


class Watcher:
    """Polls the addresses of a Service, and records every state in which one is missing."""

    def __init__(self, api: Api, namespace: str, name: str) -> None:
        self._api, self._namespace, self._name = api, namespace, name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll)
        self.polls = 0
        self.gaps: list[set[str]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._api.close()

    def _poll(self) -> None:
        while not self._stop.is_set():
            present = addresses(self._api, self._namespace, self._name)
            self.polls += 1
            if missing := EVERY_ADDRESS - present:
                self.gaps.append(missing)
            time.sleep(0.005)


def addresses(api: Api, namespace: str, name: str) -> set[str]:
    """All addresses of a Service, as kube-proxy would use them."""
    slices = api.find("endpointslices", namespace, {LABEL_SERVICE_NAME: name})
    return {
        address
        for each in slices
        for member in each["endpoints"] or ()
        for address in member["addresses"]
    }


def leftovers(api: Api, namespace: str) -> dict[str, Manifest]:
    """The slices with the label of the Go release, by cluster."""
    labelled = [
        (each["metadata"]["labels"].get(LABEL_GO_CLUSTER), each)
        for each in api.find("endpointslices", namespace)
    ]
    return {cluster: each for cluster, each in labelled if cluster is not None}


@pytest.fixture
def go_installation(
    main: Cluster, c1: Cluster, c2: Cluster, namespace: str, shell: Shell
) -> Iterator[Shell]:
    """A terminal; the Go release has two links in two namespaces, and mirrors one Service."""
    shell(f"kubectl delete crd {CRD} && kubectl apply -f -", answer=json.dumps(go_release.CRD))
    eventually(lambda: shell(f"{REFRESH_SCOPE} && kubectl get clusterlinks -A"))
    shell(
        "kubectl create namespace cloudpilot"
        " && kubectl create deployment svclink -n cloudpilot --image go --replicas 1"
    )
    main.api.create(service(f"{namespace}/web"))
    for cluster, where in ((c1, "cloudpilot"), (c2, namespace)):
        cluster.api.create(service(f"{namespace}/web"))
        cluster.api.create(endpoint_slice(None, *ADDRESSES[cluster.name], key=f"{namespace}/web"))
        main.api.create(go_release.link(where, cluster.name, cluster.remote_kubeconfig()))
        go_release.sync(main.api, namespace, "web", cluster.name, ADDRESSES[cluster.name])
    yield shell
    shell(f"kubectl delete crd {CRD} && kubectl apply -f crd/")
    eventually(lambda: shell(f"{REFRESH_SCOPE} && kubectl get clusterlinks"))
    shell("kubectl delete --filename deploy/deployment.yaml --ignore-not-found")
    shell("hack/cleanup-endpointslices.sh --yes")


def start_controller(shell: Shell, main: Cluster, directory: Path) -> Controller:
    """Start svclink under the ServiceAccount of deploy/deployment.yaml, as its Pods do."""
    controller = new_controller(deployed_kubeconfig(shell, main), directory, "svclink")
    controller.start()
    return controller


def phases(shell: Shell) -> dict[str, str]:
    """The phase of every link, by namespace and name."""
    items = json.loads(shell("kubectl get clusterlinks -A -o json"))["items"]
    names = [
        f"{each['metadata'].get('namespace', '')}/{each['metadata']['name']}" for each in items
    ]
    return {
        name: each.get("status", {}).get("phase", "")
        for name, each in zip(names, items, strict=True)
    }


def await_phases(shell: Shell, **expected: str) -> None:
    def check() -> None:
        assert {name.replace("/", "_"): phase for name, phase in phases(shell).items()} == expected

    eventually(check)


def test_migration_and_rollback_never_lose_an_address(
    main: Cluster, namespace: str, go_installation: Shell, tmp_path: Path
) -> None:
    """No address is ever missing during migration, rollback, and the change of the CRD."""
    shell = go_installation
    with Watcher(main.new_api(), namespace, "web") as watcher:
        replace_go_release(shell, main, namespace, tmp_path)
        roll_back(shell, main, namespace)
        shell("kubectl create deployment svclink -n cloudpilot --image go")
        controller = replace_go_release(shell, main, namespace, tmp_path, stop=False)
        replace_crd(shell, main, namespace, controller, tmp_path)
    assert watcher.polls > 100
    assert watcher.gaps == []


def replace_go_release(
    shell: Shell, main: Cluster, namespace: str, directory: Path, *, stop: bool = True
) -> Controller:
    """Migrate; the links become Ready in their namespaces, and the leftovers are deleted."""
    shell(STEPS["stop-go"])
    shell(STEPS["start"])
    controller = start_controller(shell, main, directory)
    await_phases(shell, cloudpilot_c1="Ready", **{f"{namespace}_c2": "Ready"})
    eventually(lambda: assert_leftovers(main, namespace))
    assert "c1" in shell(STEPS["look"])
    if stop:
        shell(STEPS["stop"])
        assert controller.stop() == 0
    return controller


def roll_back(shell: Shell, main: Cluster, namespace: str) -> None:
    """The Go release writes its slices again, and the cleanup deletes the mirrors of svclink."""
    for cluster, expected in ADDRESSES.items():
        go_release.sync(main.api, namespace, "web", cluster, expected)
    shell(STEPS["clean-up"])
    assert_leftovers(main, namespace, *ADDRESSES)
    assert len(main.api.find("endpointslices", namespace)) == len(ADDRESSES)


def replace_crd(
    shell: Shell, main: Cluster, namespace: str, controller: Controller, directory: Path
) -> None:
    """The links exist again without a namespace, and the slices are still the same objects."""
    before = {
        each["metadata"]["name"]: each["metadata"]["uid"]
        for each in main.api.find("endpointslices", namespace)
    }
    assert controller.stop() == 0
    shell(STEPS["replace-crd"])
    restarted = start_controller(shell, main, directory)
    await_phases(shell, _c1="Ready", _c2="Ready")
    assert restarted.stop() == 0
    after = {
        each["metadata"]["name"]: each["metadata"]["uid"]
        for each in main.api.find("endpointslices", namespace)
    }
    assert after == before


def assert_leftovers(main: Cluster, namespace: str, *clusters: str) -> None:
    """Assert that exactly these clusters have a slice of the Go release."""
    assert leftovers(main.api, namespace).keys() == set(clusters)


def test_older_of_two_links_with_one_name_is_used(
    main: Cluster, c2: Cluster, namespace: str, go_installation: Shell, tmp_path: Path
) -> None:
    """The younger link is DuplicateName, and is used after the older one is deleted."""
    shell = go_installation
    older = main.api.get("clusterlinks", "c1", "cloudpilot")
    younger = go_release.link("default", "c1", c2.remote_kubeconfig())
    eventually(lambda: create_younger(main.api, younger, older))
    shell(STEPS["start"])
    controller = start_controller(shell, main, tmp_path)
    await_phases(
        shell, cloudpilot_c1="Ready", default_c1="NotReady", **{f"{namespace}_c2": "Ready"}
    )
    duplicate = json.loads(shell("kubectl get clusterlink c1 -n default -o json"))
    (ready,) = [each for each in duplicate["status"]["conditions"] if each["type"] == "Ready"]
    assert ready["reason"] == "DuplicateName"
    assert "cloudpilot/c1" in ready["message"]

    shell(
        f"kubectl delete clusterlink c2 -n {namespace}"
        " && kubectl delete clusterlink c1 -n cloudpilot"
    )
    await_phases(shell, default_c1="Ready")
    assert controller.stop() == 0


PHASES: Final = {"disabled": "Disabled", "pending": "Pending", "unreachable": "NotReady"}
FAULTS: Final[dict[str, Fault]] = {
    "disabled": PASSING,
    "pending": Hanging(),
    "unreachable": Refusing(),
}


@pytest.mark.parametrize("state", PHASES)
def test_leftovers_stay_until_their_link_is_synced(
    main: Cluster,
    c2: Cluster,
    namespace: str,
    go_installation: Shell,
    proxy_to: ProxyTo,
    tmp_path: Path,
    state: str,
) -> None:
    """Slices of the Go release stay unless their link is synced, and are replaced once it is."""
    shell, proxy = go_installation, proxy_to(c2)
    proxy.fail(FAULTS[state])
    kubeconfig = encoded(c2.kubeconfig({"token": c2.token()}, **proxy.cluster_entry))
    spec = {"kubeconfig": kubeconfig, "enabled": state != "disabled"}
    main.api.patch("clusterlinks", "c2", namespace, {"spec": spec})
    kept = leftovers(main.api, namespace)["c2"]
    shell(STEPS["stop-go"])
    shell(STEPS["start"])

    with Watcher(main.new_api(), namespace, "web") as watcher:
        controller = start_controller(shell, main, tmp_path)
        await_phases(shell, cloudpilot_c1="Ready", **{f"{namespace}_c2": PHASES[state]})
        eventually(lambda: assert_leftovers(main, namespace, "c2"))
        assert leftovers(main.api, namespace)["c2"] == kept

        proxy.heal()
        main.api.patch("clusterlinks", "c2", namespace, {"spec": {"enabled": True}})
        await_phases(shell, cloudpilot_c1="Ready", **{f"{namespace}_c2": "Ready"})
        eventually(lambda: assert_leftovers(main, namespace))
    assert controller.stop() == 0
    assert watcher.gaps == []


def create_younger(api: Api, link: Manifest, older: Manifest) -> None:
    """Create a link, and assert that it is younger: Kubernetes stores ages in whole seconds."""
    created = api.create(link)["metadata"]
    if created["creationTimestamp"] <= older["metadata"]["creationTimestamp"]:
        api.delete("clusterlinks", created["name"], created["namespace"])
        raise AssertionError("both links have the same age")
