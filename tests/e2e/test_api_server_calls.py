"""Services that the API server of main calls, while a remote cluster has the same ones.

Real: the control planes, svclink, an admission webhook, an aggregated API and a conversion webhook
over TLS, each with the CA of its cluster. Substituted: the network to Pods; see `cluster_network`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Final

import pytest
import trustme
import yaml
from attrs import define, field

from svclink_controller.demo.control_planes import real_api_server
from svclink_controller.demo.processes import Process
from svclink_core.well_known import (
    ANNOTATION_MIRROR,
    LABEL_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_SERVICE_NAME,
    MANAGED_BY,
)
from tests.builders.manifests import Manifest, encoded, endpoint_slice, port, service

from .api_client import Api, ApiError
from .cluster_network import ClusterNetwork, cluster_network
from .conftest import start_clusters
from .control_planes import Cluster
from .controller_process import Controller, controller_of
from .polling import eventually
from .webhook_server import AGGREGATED_GROUP, AGGREGATED_PATH, serving
from .world import Links, RecordMeasure

WRITES: Final = 300
NAMESPACE: Final = "default"
CALLED: Final = ("admission", "aggregated", "conversion")
NAMES: Final = tuple(f"{name}.{NAMESPACE}.svc" for name in CALLED)
MAIN_POD, REMOTE_POD = "10.1.0.1", "10.2.0.1"

pytestmark = [
    pytest.mark.real_servers("the embedded API server calls nothing"),
    pytest.mark.timeout(240, func_only=True),
]


class CallingCluster(Cluster):
    """A main cluster whose API server connects to Pods and ClusterIPs through a `ClusterNetwork`.

    It chooses endpoints itself with aggregator routing, else it connects to ClusterIPs.
    """

    def __init__(
        self, binaries: Path, directory: Path, network: ClusterNetwork, *, routing: bool
    ) -> None:
        self._binaries_directory = binaries
        self._flags = [f"--enable-aggregator-routing={str(routing).lower()}"]
        egress = directory / "egress.yaml"
        egress.write_text(network.configuration(), encoding="utf-8")
        self._flags.append(f"--egress-selector-config-file={egress}")
        super().__init__("main", binaries, directory)

    def _make_api_server(self) -> Process:
        return real_api_server(self._site, self._binaries_directory, self._etcd_port, *self._flags)


@define
class Calls:
    """Two clusters with the same Services, one of which calls them; and svclink."""

    main: Cluster
    remote: Cluster
    controller: Controller
    links: Links
    _numbers: Iterator[int] = field(factory=count)

    def failed_writes(self, number: int = WRITES) -> list[str]:
        """Write so many objects, each kind in turn. Returns the errors."""
        failures = []
        for _ in range(number):
            try:
                self._write()
            except ApiError as error:
                failures.append(str(error))
        return failures

    def assert_writes_succeed(self) -> None:
        """Assert that one object of each kind can be written."""
        assert self.failed_writes(len(CALLED)) == []

    def _write(self) -> None:
        number = next(self._numbers)
        metadata = {"name": f"w{number}", "namespace": NAMESPACE}
        api = self.main.api
        match CALLED[number % len(CALLED)]:
            case "admission":
                api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
            case "aggregated":
                api.request("POST", f"{AGGREGATED_PATH}/pings", {"kind": "Ping"})
            case _:
                widget = {"apiVersion": "e2e.example.com/v2", "kind": "Widget"}
                path = f"/apis/e2e.example.com/v2/namespaces/{NAMESPACE}/widgets"
                api.request("POST", path, widget | {"metadata": metadata})

    def mirrored(self) -> set[str]:
        """The Services that have mirrors."""
        labels = {LABEL_MANAGED_BY: MANAGED_BY, LABEL_CLUSTER: "c1"}
        found = self.main.api.find("endpointslices", NAMESPACE, labels)
        return {each["metadata"]["labels"][LABEL_SERVICE_NAME] for each in found}

    def await_mirrored(self, *names: str) -> None:
        def check() -> None:
            assert self.mirrored() == set(names)

        eventually(check)

    def set_owner_choice(self, value: str | None) -> None:
        """Let the owner of the called Services say whether they are mirrored."""
        for name in CALLED:
            annotations = {"metadata": {"annotations": {ANNOTATION_MIRROR: value}}}
            self.main.api.patch("services", name, NAMESPACE, annotations)


@pytest.fixture(params=[False, True], ids=["cluster-ips", "aggregator-routing"])
def calls(
    request: pytest.FixtureRequest, binaries: Path, crd: Path, tmp_path: Path
) -> Iterator[Calls]:
    """The API server of main calls its Services; svclink runs, and nothing is linked."""
    with ExitStack() as stack:
        network = stack.enter_context(cluster_network())

        def make() -> list[Cluster]:
            directories = [tmp_path / name for name in ("main", "c1")]
            for each in directories:
                each.mkdir(exist_ok=True)
            calling = CallingCluster(binaries, directories[0], network, routing=request.param)
            return [calling, Cluster("c1", binaries, directories[1])]

        clusters = start_clusters(stack, make)
        main, remote = clusters["main"], clusters["c1"]
        api = main.new_api()
        stack.callback(api.close)
        network.endpoints_of = ready_endpoints(api)
        authority = trustme.CA(organization_name="webhooks of main")
        network.pods[MAIN_POD] = stack.enter_context(serving(authority, NAMES))
        other = trustme.CA(organization_name="webhooks of c1")
        network.pods[REMOTE_POD] = stack.enter_context(serving(other, NAMES))
        publish(main.api, MAIN_POD)
        publish(remote.api, REMOTE_POD)
        for each in sorted(crd.parent.glob("*.yaml")):
            main.api.request("POST", DEFINITIONS, yaml.safe_load(each.read_text("utf-8")))
        main.grant_controller_access()
        register(main.api, encoded(authority.cert_pem.bytes().decode()))
        controller = stack.enter_context(
            controller_of(main.controller_kubeconfig(), tmp_path, "svclink")
        )
        made = Calls(main, remote, controller, Links(main.api))
        eventually(made.assert_writes_succeed)
        yield made


def ready_endpoints(api: Api) -> Callable[[str], list[str]]:
    """Returns the addresses behind a ClusterIP, as kube-proxy would balance over them."""
    lock = Lock()  # Connections come from several threads.

    def find(address: str) -> list[str]:
        with lock:
            (name,) = [
                each["metadata"]["name"]
                for each in api.find("services", NAMESPACE)
                if each["spec"]["clusterIP"] == address
            ]
            return [
                endpoint["addresses"][0]
                for each in api.find("endpointslices", NAMESPACE, {LABEL_SERVICE_NAME: name})
                for endpoint in each["endpoints"]
            ]

    return find


DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def publish(api: Api, address: str) -> None:
    """Create the Services that are called, and one that is not, each with one Pod."""
    for name in (*CALLED, "web"):
        key = f"{NAMESPACE}/{name}"
        api.create(service(key, ports=[port("https", 443)]))
        api.create(endpoint_slice(None, address, key=key, ports=[port("https", 8443)]))


def reference(name: str, **fields: str) -> Manifest:
    return {"namespace": NAMESPACE, "name": name} | fields


def register(api: Api, authority: str) -> None:
    """Create the objects that make the API server call the Services."""
    api.request(
        "POST",
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
        {
            "metadata": {"name": "e2e"},
            "webhooks": [
                {
                    "name": "admission.example.com",
                    "clientConfig": {
                        "service": reference("admission", path="/admit"),
                        "caBundle": authority,
                    },
                    "rules": [
                        {
                            "apiGroups": [""],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE"],
                            "resources": ["configmaps"],
                        }
                    ],
                    "sideEffects": "None",
                    "admissionReviewVersions": ["v1"],
                }
            ],
        },
    )
    api.request(
        "POST",
        "/apis/apiregistration.k8s.io/v1/apiservices",
        {
            "metadata": {"name": f"v1.{AGGREGATED_GROUP}"},
            "spec": {
                "group": AGGREGATED_GROUP,
                "version": "v1",
                "groupPriorityMinimum": 1000,
                "versionPriority": 10,
                "caBundle": authority,
                "service": reference("aggregated"),
            },
        },
    )
    api.request("POST", DEFINITIONS, widgets(authority))


def widgets(authority: str) -> Manifest:
    """A CustomResourceDefinition with two versions and a conversion webhook."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"served": True, "schema": {"openAPIV3Schema": schema}}
    client = {"service": reference("conversion", path="/convert"), "caBundle": authority}
    webhook = {"clientConfig": client, "conversionReviewVersions": ["v1"]}
    return {
        "metadata": {"name": "widgets.e2e.example.com"},
        "spec": {
            "group": "e2e.example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [
                version | {"name": "v1", "storage": True},
                version | {"name": "v2", "storage": False},
            ],
            "conversion": {"strategy": "Webhook", "webhook": webhook},
        },
    }


def test_no_write_fails_while_a_remote_has_the_same_services(
    calls: Calls, record_measure: RecordMeasure
) -> None:
    """No write fails, unless the owners want their Services mirrored: then a share of them does."""
    calls.controller.start()
    calls.links.add("c1", calls.remote.remote_kubeconfig())
    calls.links.await_ready("c1")
    calls.await_mirrored("web")
    assert calls.failed_writes() == []
    assert calls.mirrored() == {"web"}

    calls.set_owner_choice("true")
    calls.await_mirrored("web", *CALLED)
    failures = calls.failed_writes()
    record_measure(f"failed writes of {WRITES} without the rule", len(failures))
    assert any("x509" in each for each in failures)

    calls.set_owner_choice(None)
    calls.await_mirrored("web")
    eventually(calls.assert_writes_succeed)
    assert calls.failed_writes(WRITES // 10) == []


def test_mirror_goes_when_an_object_names_its_service(calls: Calls) -> None:
    """A Service that is mirrored no longer is once a webhook configuration names it."""
    calls.controller.start()
    calls.links.add("c1", calls.remote.remote_kubeconfig())
    calls.await_mirrored("web")
    path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
    webhook = {
        "name": "web.example.com",
        "clientConfig": {"service": reference("web")},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    calls.main.api.request("POST", path, {"metadata": {"name": "web"}, "webhooks": [webhook]})
    calls.await_mirrored()
    calls.main.api.request("DELETE", f"{path}/web")
    calls.await_mirrored("web")
