"""The controller under the ServiceAccount of deploy/deployment.yaml, and with the remote role of the export script."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest
from structlog.testing import capture_logs

from svclink_controller.api.connecting import main_client
from svclink_controller.manager import make_manager
from svclink_controller.settings import Settings

from .control_planes import Cluster
from .controller_process import Controller, controller_of
from .missing_permissions import HOME, MAIN_ROLES, NOBODY, REMOTE_ROLES, Users, lacks_of
from .objects import (
    ANNOTATION_SOURCE,
    LABEL_CLUSTER,
    LABEL_MANAGED_BY,
    MANAGED_BY_SVCLINK,
    endpoint_slice,
    endpoints,
    service,
    slice_name,
)
from .polling import eventually
from .shell import Shell
from .world import World

MAIN_USER: Final = "system:serviceaccount:cloudpilot:svclink"
REMOTE_USER: Final = "system:serviceaccount:kube-system:svclink"

pytestmark = pytest.mark.real_servers(
    "`kubectl create token` speaks protobuf, which the embedded server does not read"
)


@pytest.fixture
def users(world: World, remote: Cluster, tmp_path: Path) -> Iterator[Users]:
    """Users with less than the roles of deploy/ and of the export script give; they go at the end."""
    made = Users(world, remote, tmp_path)
    yield made
    made.clean()


@pytest.fixture
def idle_controller(deployed: Shell, main: Cluster, tmp_path: Path) -> Iterator[Controller]:
    """The controller with a token of its ServiceAccount, in the place of its Pod."""
    token = deployed("kubectl create token svclink --namespace cloudpilot").strip()
    with controller_of(
        main.kubeconfig({"token": token}, namespace="cloudpilot"), tmp_path, "svclink"
    ) as controller:
        yield controller


def test_svclink_mirrors_with_the_permissions_it_is_given(
    world: World, remote: Cluster, shell: Shell
) -> None:
    """Under its ServiceAccount and with the remote role, it writes all it has to and is refused nothing."""
    clusters = {MAIN_USER: world.main, REMOTE_USER: remote}
    marks = {user: cluster.audit_mark() for user, cluster in clusters.items()}
    world.controller.start()
    world.declare("web")
    world.publish(remote, "web", "10.1.0.1")

    exported = shell("hack/export-kubeconfig.sh remote")
    world.links.add("exported", base64.b64decode(exported).decode())
    world.links.await_ready("exported")
    world.await_mirrored("web", exported=["10.1.0.1"])
    world.rewrite(remote, "web", "10.1.0.2")
    world.await_mirrored("web", exported=["10.1.0.2"])
    world.withdraw(remote, "web")
    world.await_mirrored("web")

    for user, cluster in clusters.items():
        made = cluster.audit_events(marks[user], user)
        assert made, f"{user} asked nothing"
        assert [each for each in made if each.denied] == []


async def test_every_permission_is_needed(
    world: World, remote: Cluster, shell: Shell, users: Users
) -> None:
    """Without any one verb of its roles svclink is refused what it has to do, and says so; with all, nothing.

    For each verb there is a controller with a link of its own, whose user has all permissions but this one.
    """
    publish_what_needs_permissions(world, remote, shell("hack/export-kubeconfig.sh remote").strip())
    lacks = [*lacks_of(world.main, MAIN_ROLES), *lacks_of(remote, REMOTE_ROLES)]
    settings = [users.admit(lack) for lack in (None, *lacks)]

    with capture_logs() as lines:

        def each_is_refused_what_it_lacks() -> None:
            assert world.addresses("web").get(NOBODY) == ["10.1.0.1"]
            world.links.edit(
                COUNTING, enabled=False
            )  # Told in an Event, which counts up when it happens again.
            world.links.await_condition(COUNTING, "False", "Disabled")
            world.links.edit(COUNTING, enabled=True)
            world.links.await_ready(COUNTING)
            assert refused(lines) == {(lack.user, lack.verb, lack.resource) for lack in lacks}

        running = [asyncio.create_task(control(each)) for each in settings]
        try:
            await asyncio.to_thread(eventually, each_is_refused_what_it_lacks, 60)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
    world.main.api.request(
        "DELETE", f"/apis/discovery.k8s.io/v1/namespaces/{world.namespace}/endpointslices"
    )


async def control(settings: Settings) -> None:
    """Run a controller until cancelled. One interpreter for all of them starts in a second, and not in a minute."""
    client = await main_client(settings.kubeconfig)
    try:
        await make_manager(client, HOME, settings).run()
    finally:
        await client.close()


def refused(lines: Iterable[Mapping[str, object]]) -> set[tuple[str, str, str]]:
    """User, verb and resource of every refusal that svclink told of, in the API server's words."""
    problems = (str(line.get("problem")) for line in lines)
    return {found for problem in problems for found in REFUSED.findall(problem)}


COUNTING: Final = "main-without-patch-events"
REFUSED: Final = re.compile(r'User "([^"]+)" cannot (\w+) resource "([^"]+)"')


def publish_what_needs_permissions(world: World, remote: Cluster, kubeconfig: str) -> None:
    """Services to mirror and to make, one in a namespace to make; slices to update and delete; the links' Secret."""
    world.declare("web")
    world.publish(remote, "web", "10.1.0.1")
    world.create(remote, service(world.namespace, "only-remote"))
    remote.create_namespace(f"{world.namespace}-new")
    world.create(remote, service(f"{world.namespace}-new", "web"))
    for verb, source in (("update", slice_name("web")), ("delete", "gone")):
        labels = {
            LABEL_CLUSTER: f"main-without-{verb}-endpointslices",
            LABEL_MANAGED_BY: MANAGED_BY_SVCLINK,
        }
        stale = endpoint_slice(
            world.namespace, "web", endpoints("10.1.0.9"), name=f"to-{verb}", labels=labels
        )
        stale["metadata"]["annotations"] = {ANNOTATION_SOURCE: source}
        world.create(world.main, stale)
    metadata = {"name": "exported", "namespace": HOME}
    world.main.api.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "data": {"kubeconfig": kubeconfig},
        }
    )
