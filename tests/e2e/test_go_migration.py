"""In the place of the Go release: on its CRD, beside its slices, back again, and on to this release's own CRD.

The steps are those of docs/migration.md, run as they stand; the Go release is played by `go_release`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

import pytest

from . import go_release
from .api_client import Api
from .control_planes import Cluster
from .controller_process import Controller
from .documented_commands import commands
from .objects import LABEL_SERVICE, endpoint_slice, endpoints, service
from .polling import eventually
from .shell import Shell

STEPS: Final = commands("docs/migration.md")
CRD: Final = "clusterlinks.svclink.cloudpilot.ai"
ASK_AGAIN: Final = "kubectl api-resources --api-group svclink.cloudpilot.ai"  # kubectl remembers the scope of a kind.
ADDRESSES: Final = {"c1": ["10.1.0.1", "10.1.0.2"], "c2": ["10.2.0.1"]}
EVERY_ADDRESS: Final = {address for addresses in ADDRESSES.values() for address in addresses}

pytestmark = pytest.mark.real_servers(
    "the embedded server does not drop fields that a CRD does not know"
)


class Watcher:
    """Looks at the addresses of a Service without a pause, and keeps each state in which one was missing."""

    def __init__(self, api: Api, namespace: str, name: str) -> None:
        self._api, self._namespace, self._name = api, namespace, name
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.looks = 0
        self.gaps: list[set[str]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._api.close()

    def _look(self) -> None:
        while not self._over.is_set():
            seen = addresses(self._api, self._namespace, self._name)
            self.looks += 1
            if not seen >= EVERY_ADDRESS:
                self.gaps.append(EVERY_ADDRESS - seen)
            time.sleep(0.005)


def addresses(api: Api, namespace: str, name: str) -> set[str]:
    """All addresses of a Service, whoever wrote them: what kube-proxy would use."""
    pieces = api.find("endpointslices", namespace, {LABEL_SERVICE: name})
    return {
        address
        for piece in pieces
        for member in piece["endpoints"] or ()
        for address in member["addresses"]
    }


def of_go_release(api: Api, namespace: str) -> set[str]:
    """The names of the slices the Go release holds for its own."""
    pieces = api.find("endpointslices", namespace)
    return {
        each["metadata"]["name"]
        for each in pieces
        if go_release.LABEL_GO in each["metadata"].get("labels", {})
    }


@pytest.fixture
def go_installation(
    main: Cluster, c1: Cluster, c2: Cluster, namespace: str, shell: Shell
) -> Iterator[Shell]:
    """An installation of the Go release with two links in two namespaces, one Service mirrored; undone at the end."""
    shell(f"kubectl delete crd {CRD} && kubectl apply -f -", answer=json.dumps(go_release.CRD))
    shell(f"kubectl wait --for=condition=Established crd/{CRD} && {ASK_AGAIN}")
    shell(
        "kubectl create namespace cloudpilot && kubectl create deployment svclink -n cloudpilot --image go --replicas 1"
    )
    main.api.create(service(namespace, "web"))
    for cluster, where in ((c1, "cloudpilot"), (c2, namespace)):
        cluster.api.create(service(namespace, "web"))
        cluster.api.create(endpoint_slice(namespace, "web", endpoints(*ADDRESSES[cluster.name])))
        main.api.create(go_release.link(where, cluster.name, cluster.remote_kubeconfig()))
        go_release.sync(main.api, namespace, "web", cluster.name, ADDRESSES[cluster.name])
    yield shell
    shell(
        f"kubectl delete crd {CRD} && kubectl apply -f crd/ && kubectl wait --for=condition=Established crd/{CRD}"
    )
    shell("kubectl delete --filename deploy/deployment.yaml --ignore-not-found")
    shell("hack/cleanup-endpointslices.sh --yes")


class Replica:
    """svclink in the place of the Pods of deploy/deployment.yaml, under its ServiceAccount."""

    def __init__(self, shell: Shell, main: Cluster, directory: Path) -> None:
        token = shell("kubectl create token svclink --namespace cloudpilot").strip()
        kubeconfig = directory / "in-cluster"
        kubeconfig.write_text(
            main.kubeconfig({"token": token}, namespace="cloudpilot"), encoding="utf-8"
        )
        self.controller = Controller(kubeconfig, directory / "svclink.log")
        self.controller.start()

    def stop(self) -> None:
        assert self.controller.stop() == 0


def phases(shell: Shell) -> dict[str, str]:
    """The status of every link, by namespace and name."""
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


def test_there_and_back_and_on_without_losing_an_address(
    main: Cluster, namespace: str, go_installation: Shell, tmp_path: Path
) -> None:
    """The Go release is replaced, comes back, is replaced again, then its CRD: no address is ever missing."""
    shell = go_installation
    with Watcher(main.another_api(), namespace, "web") as watcher:
        go_release_is_replaced(shell, main, namespace, tmp_path)
        go_release_is_back(shell, main, namespace)
        shell("kubectl create deployment svclink -n cloudpilot --image go")
        replica = go_release_is_replaced(shell, main, namespace, tmp_path, stop=False)
        crd_is_replaced(shell, main, namespace, replica, tmp_path)
    assert watcher.looks > 100
    assert watcher.gaps == []


def go_release_is_replaced(
    shell: Shell, main: Cluster, namespace: str, directory: Path, *, stop: bool = True
) -> Replica:
    """The three steps; the links are Ready in their namespaces, and the slices of the Go release are gone."""
    shell(STEPS["stop-go"])
    shell(STEPS["start"])
    replica = Replica(shell, main, directory)
    await_phases(shell, cloudpilot_c1="Ready", **{f"{namespace}_c2": "Ready"})
    eventually(lambda: nothing(of_go_release(main.api, namespace)))
    assert "c1" in shell(STEPS["look"])
    if stop:
        shell(STEPS["stop"])
        replica.stop()
    return replica


def go_release_is_back(shell: Shell, main: Cluster, namespace: str) -> None:
    """It makes its slices again, takes over what has their names, and ours are removed."""
    for cluster, expected in ADDRESSES.items():
        go_release.sync(main.api, namespace, "web", cluster, expected)
    shell(STEPS["clean-up"])
    assert of_go_release(main.api, namespace) == {"web-c1", "web-c2"}
    assert {each["metadata"]["name"] for each in main.api.find("endpointslices", namespace)} == {
        "web-c1",
        "web-c2",
    }


def crd_is_replaced(
    shell: Shell, main: Cluster, namespace: str, replica: Replica, directory: Path
) -> None:
    """The links are there again without a namespace, and the slices are the very same."""
    before = {
        each["metadata"]["name"]: each["metadata"]["uid"]
        for each in main.api.find("endpointslices", namespace)
    }
    replica.stop()
    shell(STEPS["replace-crd"])
    again = Replica(shell, main, directory)
    await_phases(shell, _c1="Ready", _c2="Ready")
    again.stop()
    after = {
        each["metadata"]["name"]: each["metadata"]["uid"]
        for each in main.api.find("endpointslices", namespace)
    }
    assert after == before


def nothing(found: set[str]) -> None:
    assert not found


def test_of_two_links_of_one_name_the_older_is_used(
    main: Cluster, c2: Cluster, namespace: str, go_installation: Shell, tmp_path: Path
) -> None:
    """The younger is NotReady with DuplicateName, and is used as soon as the older is gone."""
    shell = go_installation
    time.sleep(1)  # Kubernetes counts ages in whole seconds.
    main.api.create(go_release.link("default", "c1", c2.remote_kubeconfig()))
    shell(STEPS["start"])
    replica = Replica(shell, main, tmp_path)
    await_phases(
        shell, cloudpilot_c1="Ready", default_c1="NotReady", **{f"{namespace}_c2": "Ready"}
    )
    younger = json.loads(shell("kubectl get clusterlink c1 -n default -o json"))
    (ready,) = [each for each in younger["status"]["conditions"] if each["type"] == "Ready"]
    assert ready["reason"] == "DuplicateName"
    assert "cloudpilot/c1" in ready["message"]

    shell(
        f"kubectl delete clusterlink c2 -n {namespace} && kubectl delete clusterlink c1 -n cloudpilot"
    )
    await_phases(shell, default_c1="Ready")
    replica.stop()
