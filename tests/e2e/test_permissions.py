"""The controller with the permissions of deploy/deployment.yaml and of export-kubeconfig."""

from __future__ import annotations

import asyncio
import base64
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest
from structlog.testing import capture_logs

from svclink_controller.api.connecting import main_client
from svclink_controller.manager import make_manager
from svclink_controller.settings import Settings
from svclink_core.well_known import (
    ANNOTATION_SOURCE_SLICE,
    LABEL_CLUSTER,
    LABEL_MANAGED_BY,
    MANAGED_BY,
)
from tests.builders.manifests import endpoint_slice, secret, service, traffic_policy

from . import rbac
from .control_planes import Cluster
from .controller_process import Controller, controller_of
from .missing_permissions import (
    DEPLOYED_NAMESPACE,
    FULL_USER,
    MAIN_ROLES,
    REMOTE_ROLES,
    Users,
    granted_verbs,
)
from .polling import eventually
from .shell import Shell, deployed_kubeconfig
from .world import World, slice_name

MAIN_USER: Final = "system:serviceaccount:cloudpilot:svclink"
REMOTE_USER: Final = "system:serviceaccount:kube-system:svclink"

pytestmark = pytest.mark.real_servers(
    "`kubectl create token` speaks protobuf, which the embedded server does not read"
)


@pytest.fixture
def users(world: World, remote: Cluster, tmp_path: Path) -> Iterator[Users]:
    """Creates users who lack one permission, and deletes their roles at the end."""
    created = Users(world, remote, tmp_path)
    yield created
    created.clean_up()


@pytest.fixture
def idle_controller(deployed: Shell, main: Cluster, tmp_path: Path) -> Iterator[Controller]:
    """The controller, which authenticates with a token of its ServiceAccount as its Pod would."""
    kubeconfig = deployed_kubeconfig(deployed, main)
    with controller_of(kubeconfig, tmp_path, "svclink") as controller:
        yield controller


def test_documented_permissions_suffice(world: World, remote: Cluster, shell: Shell) -> None:
    """With the documented permissions svclink mirrors, and no request is denied."""
    clusters = {MAIN_USER: world.main, REMOTE_USER: remote}
    marks = {user: cluster.audit_mark() for user, cluster in clusters.items()}
    world.controller.start()
    world.declare("web")
    world.publish(remote, "web", "10.1.0.1")

    exported = shell("hack/export-kubeconfig.sh remote")
    eventually(lambda: assert_may_read(remote))
    world.links.add("exported", base64.b64decode(exported).decode())
    world.links.await_ready("exported")
    world.await_mirrored("web", exported=["10.1.0.1"])
    world.set_addresses(remote, "web", "10.1.0.2")
    world.await_mirrored("web", exported=["10.1.0.2"])
    world.withdraw(remote, "web")
    world.await_mirrored("web")

    for user, cluster in clusters.items():
        requests = cluster.audit_events(marks[user], user)
        assert requests, f"{user} sent no requests"
        assert [each for each in requests if each.denied] == []


def assert_may_read(remote: Cluster) -> None:
    """Assert that the API server has seen the role that the export created."""
    assert rbac.may(remote.api, REMOTE_USER, "list", "services")


async def test_every_permission_is_needed(
    world: World, remote: Cluster, shell: Shell, users: Users
) -> None:
    """Without any one verb, svclink reports the denied request; with all of them, none.

    One controller per verb runs with its own link, as a user who has every permission except that
    verb.
    """
    create_objects_for_each_verb(world, remote, shell("hack/export-kubeconfig.sh remote").strip())
    verbs = [*granted_verbs(world.main, MAIN_ROLES), *granted_verbs(remote, REMOTE_ROLES)]
    settings = [users.create(verb) for verb in (None, *verbs)]

    numbers = itertools.count(1)

    with capture_logs() as lines:

        def each_denied_verb_is_logged() -> None:
            assert world.addresses("web").get(FULL_USER) == ["10.1.0.1"]
            # A repeated transition patches the count of its Event.
            world.links.edit(PATCHES_EVENTS, enabled=False)
            world.links.await_condition(PATCHES_EVENTS, "False", "Disabled")
            world.links.edit(PATCHES_EVENTS, enabled=True)
            world.links.await_ready(PATCHES_EVENTS)
            # Every controller writes the status of an edited policy.
            spec = {"minReady": next(numbers)}
            world.main.api.patch("trafficpolicies", "nothing", world.namespace, {"spec": spec})
            assert denied(lines) == {(each.user, each.verb, each.resource) for each in verbs}

        running = [asyncio.create_task(run_controller(each)) for each in settings]
        try:
            await asyncio.to_thread(eventually, each_denied_verb_is_logged, DENIED_SECONDS)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
    world.main.api.request(
        "DELETE", f"/apis/discovery.k8s.io/v1/namespaces/{world.namespace}/endpointslices"
    )


async def run_controller(settings: Settings) -> None:
    """Run a controller in this process, because dozens of processes would start slowly."""
    client = await main_client(settings.kubeconfig)
    try:
        await make_manager(client, DEPLOYED_NAMESPACE, settings).run()
    finally:
        await client.close()


def denied(lines: Iterable[Mapping[str, object]]) -> set[tuple[str, str, str]]:
    """User, verb and resource of every denied request in the log, as the API server states them."""
    problems = (str(line.get("problem")) for line in lines)
    return {match for problem in problems for match in DENIED.findall(problem)}


PATCHES_EVENTS: Final = "main-without-patch-events"
DENIED_SECONDS: Final = 60
DENIED: Final = re.compile(r'User "([^"]+)" cannot (\w+) resource "([^"]+)"')


def create_objects_for_each_verb(world: World, remote: Cluster, kubeconfig: str) -> None:
    """Create objects that need every verb: Services, stale slices and the Secret."""
    world.declare("web")
    world.publish(remote, "web", "10.1.0.1")
    world.create(remote, service(f"{world.namespace}/only-remote"))
    remote.create_namespace(f"{world.namespace}-new")
    world.create(remote, service(f"{world.namespace}-new/web"))
    # A mirror whose source is gone is deleted only if the remaining source has a mirror already.
    stale_slices = (
        ("update", slice_name("web")),
        ("delete", slice_name("web")),
        ("delete", "gone"),
    )
    for number, (verb, source) in enumerate(stale_slices):
        labels = {
            LABEL_CLUSTER: f"main-without-{verb}-endpointslices",
            LABEL_MANAGED_BY: MANAGED_BY,
        }
        stale = endpoint_slice(
            f"to-{verb}-{number}", "10.1.0.9", key=f"{world.namespace}/web", labels=labels
        )
        stale["metadata"]["annotations"] = {ANNOTATION_SOURCE_SLICE: source}
        world.create(world.main, stale)
    world.create(world.main, traffic_policy(f"{world.namespace}/nothing"))
    decoded = base64.b64decode(kubeconfig).decode()
    world.main.api.create(secret(f"{DEPLOYED_NAMESPACE}/exported", kubeconfig=decoded))
