"""`svclink check` finds each of these faults and prints a fix; healthy clusters are all ok.

Real: command, kubeconfigs, HTTP, TLS, certificates, core. Substituted: what API servers answer.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
import yaml
from aiohttp import web
from attrs import define, evolve, field

from svclink_controller.cli.permissions import Permission
from svclink_controller.cli.preflight.all_checks import needed_permissions
from svclink_controller.cli.preflight.pod_network import RUN_IN_POD
from svclink_controller.cli.preflight.results import Result, in_same_cluster
from svclink_core import EndpointPort, ServicePort
from svclink_core.cidrs import parse_cidr
from svclink_core.codec import Json
from svclink_core.controller_namespace import KnownNamespace
from svclink_core.meta_v1 import LabelSelector
from svclink_core.svclink_v1alpha1 import SecretKeyReference
from svclink_core.well_known import ANNOTATION_ENDPOINT_GROUP, ANNOTATION_MIRROR
from tests.builders.keys import WEB
from tests.builders.values import endpoint, foreign_slice, mirrored_slice, remote_slice, service
from tests.unit.controller.fake_api_server import FakeApiServer
from tests.unit.controller.faults import Garbage, Refuse, ends_with
from tests.unit.controller.fleets import Fleet, fleet
from tests.unit.controller.http_server import AUTHORITY, OTHER_AUTHORITY, TOKEN, kubeconfig
from tests.unit.controller.responses import answer, refusal


def schema_of(plural: str) -> Any:
    """The schema of a CRD."""
    file = Path(__file__).parents[4] / "crd" / f"{plural}.svclink.cloudpilot.ai.yaml"
    (version,) = yaml.safe_load(file.read_text(encoding="utf-8"))["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]


SCHEMA: Final = schema_of("clusterlinks")
POLICY_SCHEMA: Final = schema_of("trafficpolicies")
GROUP: Final = "/apis/svclink.cloudpilot.ai/v1alpha1"


@define
class Api:
    """What an API server answers besides objects: reviews, discovery, schemas and the time."""

    denied: set[tuple[str, str]] = field(factory=set)
    accounts: set[str] = field(factory=set)
    schema: dict[str, Json] | None = field(factory=lambda: SCHEMA)
    policy_schema: dict[str, Json] | None = field(factory=lambda: POLICY_SCHEMA)
    namespaced: bool = False
    has_reviews: bool = True
    groups: bytes | None = None
    skew: float = 0

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse | None:
        if request.path.endswith("accessreviews"):
            return await self._review(request) if self.has_reviews else refusal(403, "Forbidden")
        if request.path == "/version" and self.skew:
            response = answer({"gitVersion": "v1.36.0"})
            response.headers["Date"] = formatdate(time.time() + self.skew, usegmt=True)
            return response
        if request.path == "/apis" and self.groups is not None:
            return web.Response(body=self.groups)
        if request.path == GROUP:
            resources: list[Json] = [{"name": "clusterlinks", "namespaced": self.namespaced}]
            if self.policy_schema is not None:
                resources.append({"name": "trafficpolicies", "namespaced": True})
            return (
                refusal(404, "NotFound")
                if self.schema is None
                else answer({"resources": resources})
            )
        if request.path == f"/openapi/v3{GROUP}":
            prefix = "ai.cloudpilot.svclink.v1alpha1"
            schemas: dict[str, Json] = {f"{prefix}.ClusterLink": self.schema}
            if self.policy_schema is not None:
                schemas[f"{prefix}.TrafficPolicy"] = self.policy_schema
            return answer({"components": {"schemas": schemas}})
        return None

    async def _review(self, request: web.BaseRequest) -> web.StreamResponse:
        spec = (await request.json())["spec"]
        self.accounts.add(spec.get("user", ""))
        attributes = spec["resourceAttributes"]
        return answer(
            {
                "status": {
                    "allowed": (attributes["verb"], attributes["resource"]) not in self.denied
                }
            },
            201,
        )


@define
class Seen:
    """Healthy clusters, and what their API servers answer."""

    fleet: Fleet
    apis: dict[str, Api]

    @property
    def main(self) -> FakeApiServer:
        return self.fleet.main

    @property
    def c1(self) -> FakeApiServer:
        return self.fleet.remotes["c1"]

    def relink(self, content: str | None) -> None:
        """Give the link c1 another kubeconfig."""
        self.fleet.link("c1", kubeconfig=content)

    def relink_raw(self, spec: dict[str, Json]) -> None:
        """Give the link c1 another spec, as JSON."""
        self.fleet.main.put_raw("clusterlinks", {"metadata": {"name": "c1"}, "spec": spec})

    def token(self, token: str) -> None:
        """Give the link c1 another token."""
        self.relink(kubeconfig(self.fleet.servers["c1"].url, token=token))

    def main_token(self, token: str) -> None:
        """Use another token for the main cluster."""
        content = kubeconfig(self.fleet.servers["main"].url, token=token)
        self.fleet.file.write_bytes(base64.b64decode(content))


def healthy(world: Fleet) -> Seen:
    """Link every remote and mirror one Service from each."""
    apis = {name: Api() for name in ("main", *world.remotes)}
    world.main.override = apis["main"]
    world.main.put(service())
    for number, (name, remote) in enumerate(world.remotes.items()):
        remote.override = apis[name]
        remote.put(service())
        remote.put(remote_slice("web-abc", f"10.0.{number}.1"))
        world.link(name)
    return Seen(world, apis)


async def test_healthy_clusters_have_only_ok_lines(tmp_path: Path) -> None:
    """Healthy clusters have only ok lines, except what is not checked; nothing is written."""
    names = [f"c{number}" for number in range(10)]
    async with fleet(tmp_path, *names) as world:
        healthy(world)
        results = json.loads(await world.ask("check", "-o", "json"))
        wrote = {
            request.method for server in world.servers.values() for request in server.requests
        } - {"GET", "POST"}
        posts = {
            path for server in world.servers.values() for path in server.paths if "review" in path
        }
    *others, pod_network = results
    checked = [each for each in others if each["level"] != "skip"]
    assert {each["level"] for each in checked} == {"ok"}
    assert {each["fix"] for each in checked} == {None}
    # The command does not run in a Pod.
    command, _, comment = RUN_IN_POD.partition("  #")
    fix = f"{command} --kubeconfig {world.file}  #{comment}"
    assert (pod_network["level"], pod_network["fix"]) == ("skip", fix)
    subjects = {
        name: [each["subject"] for each in results if each["cluster"] == name]
        for name in ("MAIN", "c3")
    }
    assert subjects == {
        "MAIN": [
            "api",
            "clock",
            "crd",
            "credentials",
            "namespace",
            "leaders",
            "permissions",
            "addresses",
            "services",
            "leftovers",
            "pod network",
        ],
        "c3": ["connection", "credentials", "clock", "permissions", "addresses"],
    }
    assert wrote == set()
    assert posts == {"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"}


async def test_services_with_a_network_endpoint_group_are_named(tmp_path: Path) -> None:
    """With the annotation that keeps a Service local, nothing is left to warn of."""
    annotations = {ANNOTATION_ENDPOINT_GROUP: '{"exposed_ports": {"80": {}}}'}
    async with fleet(tmp_path, "c1") as world:
        healthy(world)
        world.main.put(service(annotations=annotations))
        before = json.loads(await world.ask("check", "-o", "json"))
        world.main.put(service(annotations={**annotations, ANNOTATION_MIRROR: "false"}))
        after = json.loads(await world.ask("check", "-o", "json"))
    (line,) = [each for each in before if each["subject"] == "services"]
    assert (line["level"], line["cluster"]) == ("warn", "c1")
    assert line["message"].startswith("HasEndpointGroup: ")
    assert "svclink explain default/web" in line["fix"]
    (line,) = [each for each in after if each["subject"] == "services"]
    assert line["level"] == "ok"


@pytest.mark.parametrize(
    ("groups", "is_found"),
    [
        (b'{"groups": [{"name": "apps"}, {"name": "k8s.ovn.org"}]}', True),
        (b'{"groups": [{"name": "apps"}]}', False),
        (b"{}", False),
        (None, False),
    ],
)
async def test_target_ports_are_compared_where_ovn_kubernetes_needs_it(
    tmp_path: Path, groups: bytes | None, *, is_found: bool
) -> None:
    """Where another target port is harmless, or the plugin is not known, nothing is said."""
    async with fleet(tmp_path, "c1") as world:
        healthy(world).apis["main"].groups = groups
        other = remote_slice("web-def", "10.0.0.2", ports=(EndpointPort("http", port=9090),))
        world.remotes["c1"].put(other)
        results = json.loads(await world.ask("check", "-o", "json"))
    (line,) = [each for each in results if each["subject"] == "services"]
    assert (line["level"], line["cluster"]) == (("warn", "c1") if is_found else ("ok", "MAIN"))
    assert ("TargetPortsDiffer" in line["message"]) is is_found
    assert ("svclink explain default/web" in str(line["fix"])) is is_found


async def test_ranges_are_proposed_for_a_link(tmp_path: Path) -> None:
    """A link that allows any address could allow ranges; the command that says so is printed.

    Where another cluster has addresses nearby, the ranges are smaller.
    """
    async with fleet(tmp_path, "c0", "c1", "c2") as world:
        healthy(world)
        world.remotes["c2"].put(remote_slice("web-abc", "10.9.0.1", "fd00::1"))
        world.remotes["c1"].put(remote_slice("web-def", "10.8.0.1", "127.0.0.1"))
        world.link("c0", allowed_cidrs=(parse_cidr("10.0.0.0/16"),))
        results = json.loads(await world.ask("check", "-o", "json"))
    lines = {each["cluster"]: each for each in results if each["subject"] == "addresses"}
    assert "c0" not in lines
    assert lines["c1"]["level"] == "skip"
    assert lines["c1"]["message"].endswith(
        "you could set spec.allowedCIDRs to 10.0.1.0/24, 10.8.0.0/16"
    )
    assert lines["c1"]["fix"].startswith(
        """kubectl patch clusterlink c1 --type merge -p """
        """'{"spec":{"allowedCIDRs":["10.0.1.0/24","10.8.0.0/16"]}}'"""
    )
    assert lines["c2"]["message"].endswith("you could set spec.allowedCIDRs to 10.9.0.0/16")


def levels(results: list[dict[str, Any]]) -> set[str]:
    """The levels of the lines."""
    return {each["level"] for each in results}


def jwt(seconds: float) -> str:
    """A token that expires in this many seconds."""
    return claims({"exp": time.time() + seconds})


def claims(content: dict[str, Any]) -> str:
    """A token with these claims."""
    payload = base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2lnbmF0dXJl"


def certificate_kubeconfig(seen: Seen, *, not_after: datetime) -> str:
    """The kubeconfig of c1 with a client certificate that expires at this time."""
    client = AUTHORITY.issue_cert("svclink.test", not_after=not_after)
    content = yaml.safe_load(base64.b64decode(kubeconfig(seen.fleet.servers["c1"].url)))
    content["users"][0]["user"] = {
        "client-certificate-data": base64.b64encode(client.cert_chain_pems[0].bytes()).decode(),
        "client-key-data": base64.b64encode(client.private_key_pem.bytes()).decode(),
    }
    return base64.b64encode(yaml.safe_dump(content).encode()).decode()


def rejected_after_expiry(seen: Seen) -> None:
    """Let the token of c1 expire."""
    seen.token(jwt(-60))
    seen.fleet.remotes["c1"].override = None
    seen.fleet.remotes["c1"].fail(Refuse(401, "Unauthorized"))


def exec_kubeconfig(seen: Seen) -> str:
    """A kubeconfig that runs a program."""
    content = yaml.safe_load(base64.b64decode(kubeconfig(seen.fleet.servers["c1"].url)))
    content["users"][0]["user"] = {"exec": {"command": "true"}}
    return base64.b64encode(yaml.safe_dump(content).encode()).decode()


def insecure_kubeconfig(seen: Seen) -> str:
    """A kubeconfig that skips the verification of the server."""
    content = yaml.safe_load(base64.b64decode(kubeconfig(seen.fleet.servers["c1"].url)))
    cluster = content["clusters"][0]["cluster"]
    content["clusters"][0]["cluster"] = {
        "server": cluster["server"],
        "insecure-skip-tls-verify": True,
    }
    return base64.b64encode(yaml.safe_dump(content).encode()).decode()


def without_field(schema: dict[str, Any], *path: str) -> dict[str, Any]:
    """The schema of a CRD without a field, as in an earlier version."""
    schema = json.loads(json.dumps(schema))
    node = schema
    for part in path[:-1]:
        node = node["properties"][part]
    del node["properties"][path[-1]]
    return dict(schema)


def no_crd(seen: Seen) -> None:
    seen.apis["main"].schema = None


def old_crd(seen: Seen) -> None:
    seen.apis["main"].schema = without_field(SCHEMA, "spec", "excludedServiceNames")


def no_policy_crd(seen: Seen) -> None:
    seen.apis["main"].policy_schema = None


def old_policy_crd(seen: Seen) -> None:
    seen.apis["main"].policy_schema = without_field(POLICY_SCHEMA, "status", "tiers")


def go_crd(seen: Seen) -> None:
    seen.apis["main"].namespaced = True


def main_permission(seen: Seen) -> None:
    seen.apis["main"].denied.add(("delete", "endpointslices"))


def caller_permission(seen: Seen) -> None:
    seen.apis["main"].denied.add(("watch", "apiservices"))


def remote_permission(seen: Seen) -> None:
    seen.apis["c1"].denied.add(("watch", "services"))


def namespace_permission(seen: Seen) -> None:
    selector = LabelSelector((("tier", "gold"),))
    seen.fleet.link("c1", namespace_selector=selector)
    seen.apis["c1"].denied.add(("list", "namespaces"))


def two_leaders(seen: Seen) -> None:
    for namespace in ("a", "b"):
        spec = {
            "holderIdentity": f"pod-{namespace}",
            "leaseDurationSeconds": 3600,  # Longer than any test takes.
            "renewTime": datetime.now(UTC).isoformat(),
        }
        metadata = {"name": "svclink", "namespace": namespace}
        seen.main.put_raw("leases", {"metadata": metadata, "spec": spec})


def main_clock(seen: Seen) -> None:
    seen.apis["main"].skew = 120


def remote_clock(seen: Seen) -> None:
    seen.apis["c1"].skew = -3600


def same_cluster(seen: Seen) -> None:
    seen.fleet.link("z-again", to="c1")


def same_name(seen: Seen) -> None:
    seen.fleet.link("c1", namespace="other", created="2026-02-01T00:00:00Z")


def other_cluster(seen: Seen) -> None:
    seen.fleet.link("c1", cluster_id="uid-of-another")


def self_link(seen: Seen) -> None:
    seen.fleet.link("c1", to="main")


def overlap(seen: Seen) -> None:
    seen.main.put(foreign_slice("web-local"))
    seen.main.put(remote_slice("web-local", "10.0.0.1"))


def port(seen: Seen) -> None:
    seen.c1.put(service(ports=(ServicePort(81, "admin"),)))
    seen.c1.put(remote_slice("web-abc", "10.0.0.1", ports=(EndpointPort("admin", port=9090),)))


def bad_address(seen: Seen) -> None:
    seen.c1.put(remote_slice("web-abc", endpoints=(endpoint("127.0.0.1"), endpoint("10.0.0.1"))))


def go_slices(seen: Seen) -> None:
    seen.main.put(foreign_slice("web-old", labels={"cloudpilot.ai/svclink-cluster": "c1"}))


def orphans(seen: Seen) -> None:
    piece = mirrored_slice()
    labels = {**dict(piece.metadata.labels), "svclink.cloudpilot.ai/cluster": "gone"}
    seen.main.put(
        evolve(piece, metadata=evolve(piece.metadata, labels=tuple(sorted(labels.items()))))
    )


def revoked(seen: Seen) -> None:
    seen.c1.override = None
    seen.c1.fail(Refuse(401, "Unauthorized"))


SOON: Final = datetime.now(UTC) + timedelta(days=2)
Fault: TypeAlias = Callable[[Seen], None]

FAULTS: Final[list[tuple[Fault, str, str, str, str, str]]] = [
    (no_crd, "fail", "MAIN", "crd", "not installed", "kubectl apply -f crd/"),
    (old_crd, "warn", "MAIN", "crd", "spec.excludedServiceNames", "kubectl apply -f crd/"),
    (go_crd, "warn", "MAIN", "crd", "Go release", "kubectl apply -f crd/"),
    (no_policy_crd, "warn", "MAIN", "crd", "the TrafficPolicy CRD is not", "kubectl apply -f crd/"),
    (old_policy_crd, "warn", "MAIN", "crd", "TrafficPolicy.status.tiers", "kubectl apply -f crd/"),
    (
        main_permission,
        "fail",
        "MAIN",
        "permissions",
        "delete endpointslices.discovery.k8s.io",
        "kubectl apply -f",
    ),
    (
        caller_permission,
        "warn",
        "MAIN",
        "permissions",
        "watch apiservices.apiregistration.k8s.io: Services that the API server calls",
        "kubectl apply -f",
    ),
    (remote_permission, "fail", "c1", "permissions", "watch services", "export-kubeconfig"),
    (namespace_permission, "fail", "c1", "permissions", "list namespaces", "export-kubeconfig"),
    (
        lambda seen: seen.token(jwt(-60)),
        "fail",
        "c1",
        "credentials",
        "the token expired",
        "export-kubeconfig",
    ),
    (
        rejected_after_expiry,
        "fail",
        "c1",
        "connection",
        "Unauthorized: the token expired at ",
        "export-kubeconfig",
    ),
    (
        lambda seen: seen.token(jwt(86_400)),
        "warn",
        "c1",
        "credentials",
        "the token expires",
        "export-kubeconfig",
    ),
    (
        lambda seen: seen.relink(certificate_kubeconfig(seen, not_after=SOON)),
        "warn",
        "c1",
        "credentials",
        "the client certificate expires",
        "export-kubeconfig",
    ),
    (
        lambda seen: seen.main_token(jwt(-60)),
        "fail",
        "MAIN",
        "credentials",
        "the token expired",
        "kubectl config view",
    ),
    (
        lambda seen: seen.main_token(jwt(86_400)),
        "warn",
        "MAIN",
        "credentials",
        "the token expires",
        "kubectl config view",
    ),
    (
        two_leaders,
        "warn",
        "MAIN",
        "leaders",
        "pod-a (Lease a/svclink), pod-b (Lease b/svclink)",
        "kubectl get leases -A",
    ),
    (main_clock, "warn", "MAIN", "clock", "s ahead of", "timedatectl"),
    (remote_clock, "warn", "c1", "clock", "s behind", "timedatectl"),
    (
        same_cluster,
        "fail",
        "z-again",
        "connection",
        "DuplicateCluster",
        "kubectl delete clusterlink z-again",
    ),
    (
        same_name,
        "fail",
        "c1",
        "connection",
        "DuplicateName",
        "kubectl delete clusterlink -n other c1",
    ),
    (other_cluster, "fail", "c1", "connection", "ClusterChanged", "kubectl patch clusterlink c1"),
    (self_link, "fail", "c1", "connection", "SelfLink", "kubectl delete clusterlink c1"),
    (
        overlap,
        "fail",
        "c1",
        "addresses",
        "shares 1 Pod address with MAIN: 10.0.0.1",
        "cluster-cidr",
    ),
    (port, "warn", "c1", "services", "PortMismatch", f"svclink explain {WEB}"),
    (bad_address, "warn", "c1", "services", "InvalidEndpoints", f"svclink explain {WEB}"),
    (
        go_slices,
        "warn",
        "MAIN",
        "leftovers",
        "from the Go release",
        "-l 'cloudpilot.ai/svclink-cluster'",
    ),
    (
        orphans,
        "warn",
        "MAIN",
        "leftovers",
        "gone, which has no ClusterLink",
        "-l 'svclink.cloudpilot.ai/cluster=gone'",
    ),
    (
        lambda seen: seen.relink(kubeconfig("https://127.0.0.1:9")),
        "fail",
        "c1",
        "connection",
        "Unreachable",
        "/version  # run this where svclink runs",
    ),
    (
        lambda seen: seen.relink(kubeconfig(seen.fleet.servers["c1"].url, OTHER_AUTHORITY)),
        "fail",
        "c1",
        "connection",
        "CertificateInvalid",
        "export-kubeconfig",
    ),
    (
        lambda seen: seen.relink(exec_kubeconfig(seen)),
        "fail",
        "c1",
        "connection",
        "InsecureKubeconfig",
        "export-kubeconfig",
    ),
    (
        lambda seen: seen.relink(None),
        "fail",
        "c1",
        "connection",
        "spec.kubeconfig is missing",
        "export-kubeconfig",
    ),
    (
        lambda seen: seen.relink_raw({"kubeconfig": 5}),
        "fail",
        "c1",
        "connection",
        "InvalidSpec: the ClusterLink could not be decoded: $.spec.kubeconfig: must be a string",
        "kubectl edit clusterlink c1",
    ),
    (revoked, "fail", "c1", "connection", "Unauthorized", "export-kubeconfig"),
    (
        lambda seen: seen.fleet.link("c1", allowed_cidrs=(parse_cidr("10.0/8"),)),
        "fail",
        "c1",
        "connection",
        "InvalidSpec: spec.allowedCIDRs has entries that are not CIDRs (10.0/8)",
        "kubectl edit clusterlink c1",
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: " ".join(fault[2:5]))
async def test_fault_is_found(tmp_path: Path, fault: tuple[Fault, str, str, str, str, str]) -> None:
    """A fault is one line with its fix; the exit code is 2 if a line is `fail`."""
    seed, level, cluster, subject, words, fix = fault
    async with fleet(tmp_path, "c1") as world:
        seed(healthy(world))
        done = await world.run("check", "-o", "json")
    results = json.loads(done.stdout)
    (found,) = [each for each in results if (each["level"], each["subject"]) == (level, subject)]
    assert found["cluster"] == cluster
    assert words in found["message"]
    assert fix in found["fix"]
    assert done.exit_code == (2 if any(each["level"] == "fail" for each in results) else 0)
    assert TOKEN not in done.stdout


@pytest.mark.parametrize(
    ("fix", "options", "expected"),
    [
        ("kubectl apply -f crd/", "--context a", "kubectl apply -f crd/ --context a"),
        ("kubectl get x  # help", "--context a", "kubectl get x --context a  # help"),
        ("svclink explain a/b", "--context a", "svclink explain a/b --context a"),
        ("svclink export-kubeconfig C | kubectl x", "--context a", None),
        ("kubectl --context CONTEXT get x | wc -l", "--context a", ""),
        ("timedatectl set-ntp true", "--context a", ""),
        ("kubectl apply -f crd/", "", ""),
        ("", "--context a", ""),
    ],
)
def test_fix_is_for_the_cluster_that_was_checked(
    fix: str, options: str, expected: str | None
) -> None:
    """A command without the context would reach another cluster, or none."""
    found = in_same_cluster(Result("fail", "MAIN", "crd", "", fix), options).fix
    assert found == (f"{fix} {options}" if expected is None else expected or fix)


def test_fix_starts_the_svclink_that_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it on the PATH, its path is printed."""
    script = tmp_path / "svclink"
    script.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(script)])
    found = Result("warn", "c1", "services", "", "svclink explain a/b")
    assert in_same_cluster(found, "").fix == f"{script} explain a/b"
    assert in_same_cluster(found, "--context a").fix == f"{script} explain a/b --context a"


async def test_kubeconfig_in_a_secret_is_replaced_there(tmp_path: Path) -> None:
    """The fix names Secret, namespace and key, and does not touch the link."""
    async with fleet(tmp_path, "c1") as world:
        seen = healthy(world)
        content = {"a": kubeconfig(world.servers["c1"].url)}
        world.main.put_secret("default", "s", content)
        reference = SecretKeyReference("s", "a")
        world.link("c1", kubeconfig=None, kubeconfig_secret_ref=reference)
        revoked(seen)
        results = json.loads((await world.run("check", "-o", "json")).stdout)
    (fix,) = [each["fix"] for each in results if each["subject"] == "connection"]
    assert """sed 's|.*|{"data":{"a":"&"}}|' | kubectl patch secret s --namespace default""" in fix
    assert "clusterlink" not in fix


async def test_unreachable_main_cluster_is_the_only_line(tmp_path: Path) -> None:
    """If the main API server does not answer, there is no other line."""
    async with fleet(tmp_path) as world:
        world.main.fail(Garbage())
        done = await world.run("check")
    assert done.exit_code == 2
    (line,) = done.stdout.splitlines()[1:]
    assert line.split()[:3] == ["fail", "MAIN", "api"]


async def test_expired_token_of_the_administrator_is_named(tmp_path: Path) -> None:
    """Beside the response of a main API server that rejects the token stands the cause."""
    async with fleet(tmp_path) as world:
        healthy(world).main_token(jwt(-60))
        world.main.override = None
        world.main.fail(Refuse(401, "Unauthorized"))
        results = json.loads((await world.run("check", "-o", "json")).stdout)
    assert [(each["level"], each["subject"]) for each in results] == [
        ("fail", "api"),
        ("fail", "credentials"),
    ]


async def test_rejected_list_of_main_is_a_fault(tmp_path: Path) -> None:
    """A rejected list is one line; the other checks still run."""

    async with fleet(tmp_path, "c1") as world:
        healthy(world)
        world.main.fail(Refuse(403, "Forbidden"), when=ends_with("/api/v1/services"))
        results = json.loads((await world.run("check", "-o", "json")).stdout)
    assert [each["subject"] for each in results if each["level"] == "fail"] == ["objects"]


async def test_rejected_access_reviews_are_a_warning(tmp_path: Path) -> None:
    """An API server without access reviews has not denied a permission."""

    async with fleet(tmp_path, "c1") as world:
        healthy(world)
        world.main.override = Api(has_reviews=False)
        results = json.loads((await world.run("check", "-o", "json")).stdout)
    warnings = [each["subject"] for each in results if each["level"] == "warn"]
    assert (warnings, levels(results)) == (["namespace", "permissions"], {"ok", "warn", "skip"})


async def test_cluster_of_a_disabled_link_is_not_contacted(tmp_path: Path) -> None:
    """A disabled link is not a fault, and its cluster is not contacted."""
    async with fleet(tmp_path, "c1") as world:
        healthy(world)
        world.link("c1", enabled=False, kubeconfig=kubeconfig("https://127.0.0.1:9"))
        results = json.loads(await world.ask("check", "-o", "json"))
        assert world.servers["c1"].requests == []
    assert [each["message"] for each in results if each["cluster"] == "c1"] == [
        "is disabled: its EndpointSlices stay unchanged"
    ]


async def test_trust_flags_apply_to_remotes(tmp_path: Path) -> None:
    """Flags that deny or allow remotes apply to every request of the check."""
    async with fleet(tmp_path, "c1") as world:
        seen = healthy(world)
        seen.relink(insecure_kubeconfig(seen))
        allowed = json.loads(await world.ask("check", "-o", "json", "--allow-insecure-remotes"))
        world.servers["c1"].requests.clear()
        denied = await world.run(
            "check", "--allow-insecure-remotes", "--deny-remote-cidrs", "127.0.0.0/8"
        )
        asked = world.servers["c1"].requests
    assert levels(allowed) == {"ok", "skip"}
    assert "127.0.0.0/8" in denied.stdout
    assert asked == []


async def test_permissions_of_a_service_account_are_checked(tmp_path: Path) -> None:
    """An administrator can check the permissions of svclink's ServiceAccount."""
    async with fleet(tmp_path, "c1") as world:
        seen = healthy(world)
        await world.ask("check", "--service-account", "cloudpilot:svclink")
    # The command itself asks only whether it may look for other controllers.
    assert seen.apis["main"].accounts == {"system:serviceaccount:cloudpilot:svclink", ""}
    assert seen.apis["c1"].accounts == {""}


def test_every_needed_permission_is_listed() -> None:
    """Verbs on cluster-wide objects, and on Leases and Secrets in the controller's namespace."""
    by_resource = {
        (permission.resource, namespace): permission
        for permission, namespace in needed_permissions(KnownNamespace("home"))
    }
    assert by_resource["endpointslices", ""] == Permission(
        "discovery.k8s.io", "endpointslices", by_resource["endpointslices", ""].verbs
    )
    assert {"create", "update", "delete", "list", "watch"} <= set(
        by_resource["endpointslices", ""].verbs
    )
    assert ("secrets", "home") in by_resource
    assert ("secrets", "") not in by_resource


@pytest.mark.parametrize("may_list", [True, False])
async def test_leader_is_named(tmp_path: Path, *, may_list: bool) -> None:
    """One controller that leads is well; without permission to list, one Lease is read."""
    async with fleet(tmp_path, "c1") as world:
        seen = healthy(world)
        two_leaders(seen)
        seen.main.remove_key("leases", "b", "svclink")
        if not may_list:
            seen.apis["main"].denied.add(("list", "leases"))
        results = json.loads(await world.ask("check", "-o", "json"))
    lines = [each["message"] for each in results if each["subject"] == "leaders"]
    found = "one controller is leading: pod-a (Lease a/svclink)"
    assert lines == [found if may_list else "no controller is leading"]


async def test_namespace_of_the_controller_is_shown(tmp_path: Path) -> None:
    """It is a warning if several may be meant, or if the user may not look for it."""
    async with fleet(tmp_path, "c1") as world:
        seen = healthy(world)
        labels: Json = {"app.kubernetes.io/name": "svclink"}
        found = []
        for namespace in ("", "a", "b"):
            if namespace:
                metadata: Json = {"name": "svclink", "namespace": namespace, "labels": labels}
                world.main.put_raw("deployments", {"metadata": metadata})
            found.append(await namespace_line(world))
        seen.apis["main"].denied |= {("list", "deployments"), ("list", "leases")}
        found.append(await namespace_line(world))
    assert [each["level"] for each in found] == ["ok", "ok", "warn", "warn"]
    assert "no svclink Deployment or Lease was found" in found[0]["message"]
    assert found[1]["message"] == "svclink's namespace is a"
    assert found[2]["fix"].startswith("svclink check --controller-namespace a --kubeconfig ")
    assert "the credentials in use cannot list" in found[3]["message"]


async def namespace_line(world: Fleet) -> Any:
    """The line of `check` about the namespace of the controller."""
    results = json.loads(await world.ask("check", "-o", "json"))
    return next(each for each in results if each["subject"] == "namespace")
