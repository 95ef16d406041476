"""All parts together: links are mirrored, problems are reported, and the shutdown is clean.

Real: the whole controller, sockets and TLS. Substituted: the API servers, by small ones. What needs
real control planes is tested end to end.
"""

from __future__ import annotations

import asyncio
import base64
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, cast

import pytest
import yaml
from attrs import evolve
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from svclink_controller import manager
from svclink_controller.api.connecting import remote_client
from svclink_controller.election.leader import Timing
from svclink_controller.manager import make_manager
from svclink_controller.monitoring.readiness import Readiness
from svclink_controller.settings import Settings
from svclink_controller.state.store import Store
from svclink_core import SYNCED, ClusterLink, ClusterLinkSpec, NamespacedName
from svclink_core.cidrs import parse_cidr
from svclink_core.codec import Json, unstructure
from svclink_core.label_selector import parse_selector
from svclink_core.svclink_v1alpha1 import SecretKeyReference
from tests.builders.keys import WEB
from tests.builders.manifests import api_service, webhook_configuration
from tests.builders.values import link, mirrored_slice, remote_slice, service
from tests.unit.controller.credentials.administrator.plugins import exec_entry, script
from tests.unit.controller.faults import Answer, Hang, Refuse, ends_with, is_write
from tests.unit.controller.http_server import Request, credentials, kubeconfig
from tests.unit.controller.waiting import eventually
from tests.unit.controller.whole_controller import FAST, NAMESPACE, World, worlds

SHARD: Final = Settings(sync_interval=0.05, link_selector=parse_selector("shard=a"))
ELECTING: Final = Settings(sync_interval=0.05, leader_elect=True)


def in_secret(name: str) -> ClusterLinkSpec:
    return ClusterLinkSpec(kubeconfig_secret_ref=SecretKeyReference(name))


def is_complete_list_of_links(asked: Request) -> bool:
    """Not a watch, and not a read of one link."""
    is_list = asked.path.endswith("/clusterlinks") and not asked.is_watch
    return is_list and "fieldSelector" not in asked.query


def has_endpoint(world: World, address: str) -> bool:
    """Whether the controller knows an endpoint of Service default/web in the remote cluster."""
    slices = world.controller.store.snapshot().remotes["c1"].endpoint_slices.get(WEB, ())
    return any(address in each.addresses for slice_ in slices for each in slice_.endpoints)


async def another_resync(world: World) -> None:
    """Waits until everything was planned again, and nothing is left in the queue."""
    resyncs = world.controller.work.resyncs
    await eventually(lambda: world.controller.work.resyncs > resyncs + 1)


# The work


async def test_linked_cluster_is_mirrored() -> None:
    """A link leads to slices in the main cluster and a status; changes of the remote follow."""
    async with worlds() as world:
        world.main.put(world.link())
        world.start()
        await world.is_mirrored("10.0.0.1")
        await world.has_reason("ClusterReady")
        world.remote.put(remote_slice(None, "10.0.0.2"))
        await world.is_mirrored("10.0.0.2")


async def test_deleted_mirror_is_created_again() -> None:
    """A mirror that a user deletes comes back."""
    async with worlds() as world:
        world.main.put(world.link())
        world.start()
        await world.is_mirrored("10.0.0.1")
        world.main.remove_key("endpointslices", "default", "web-c1")
        await world.is_mirrored("10.0.0.1")


async def test_mirror_shares_the_endpoints_of_its_source() -> None:
    """A mirror that the watch reports takes no memory for endpoints that the source slice has."""
    async with worlds() as world:
        world.main.put(world.link())
        world.start()
        await world.is_mirrored("10.0.0.1")
        stored = world.main.objects["endpointslices", "default", "web-c1"]
        world.main.put_raw(
            "endpointslices", stored | {"metadata": stored["metadata"] | {"generation": 7}}
        )

        def generation() -> int | None:
            mirror = store.snapshot().main.names.get(key)
            return None if mirror is None else mirror.metadata.generation

        store, key = world.controller.store, NamespacedName("default", "web-c1")
        await eventually(lambda: generation() == 7)
        (source,) = store.snapshot().remotes["c1"].endpoint_slices[WEB]
        assert store.snapshot().main.names[key].endpoints is source.endpoints


async def test_deleted_link_loses_its_slices() -> None:
    """A deleted link leaves neither slices nor connections."""
    async with worlds() as world:
        world.start()
        await eventually(lambda: world.controller.store.is_complete)
        world.main.put(world.link())
        await world.is_mirrored("10.0.0.1")
        world.main.remove(world.link())
        await eventually(lambda: world.mirrored() == {})
        await eventually(lambda: not world.remote.watchers)
        assert world.controller.following.supervisor.names == []


async def test_service_that_the_api_server_calls_is_not_mirrored() -> None:
    """A webhook configuration takes the mirrors of its Service away at once, until it is gone."""
    async with worlds() as world:
        world.main.put(world.link())
        world.start()
        await world.is_mirrored("10.0.0.1")
        world.main.put_raw("mutatingwebhookconfigurations", webhook_configuration("hook", WEB))
        await eventually(lambda: world.mirrored() == {})
        text = generate_latest(world.controller.metrics.registry).decode()
        assert "svclink_services_called_by_api_server 1.0" in text
        world.main.remove_key("mutatingwebhookconfigurations", "", "hook")
        await world.is_mirrored("10.0.0.1")


async def test_nothing_new_is_mirrored_before_callers_are_listed() -> None:
    """While CRDs cannot be listed, links work, and no Service is mirrored for the first time."""
    async with worlds() as world:
        world.main.put(world.link())
        world.main.fail(Hang(), ends_with("/customresourcedefinitions"))
        world.start()
        await world.has_reason("ClusterReady")
        await another_resync(world)
        assert world.mirrored() == {}


@pytest.mark.parametrize("code", [403, 404])
async def test_mirroring_goes_on_where_callers_must_not_be_listed(code: int) -> None:
    """Without the permissions Services are mirrored as before, and a gauge says so."""
    async with worlds() as world:
        world.main.put(world.link())
        world.main.put_raw("apiservices", api_service())
        world.main.fail(Refuse(code), ends_with("/apiservices"))
        world.start()
        await world.is_mirrored("10.0.0.1")
        text = generate_latest(world.controller.metrics.registry).decode()
    assert 'svclink_api_server_calls_known{kind="apiservices"} 0.0' in text
    assert 'svclink_api_server_calls_known{kind="customresourcedefinitions"} 1.0' in text


async def test_slices_of_a_link_deleted_earlier_are_removed() -> None:
    """A controller that starts removes the slices of links that were deleted before."""
    async with worlds() as world:
        world.main.put(world.link())
        world.start()
        await world.is_mirrored("10.0.0.1")
    mirror = world.main.objects["endpointslices", "default", "web-c1"]
    async with worlds() as world:
        world.main.objects["endpointslices", "default", "web-c1"] = mirror
        world.start()
        await eventually(lambda: world.mirrored() == {})


async def test_resync_without_a_difference_writes_nothing() -> None:
    """Everything is planned again at intervals, and no request is sent if nothing differs."""
    async with worlds(Settings(sync_interval=0.01)) as world:
        world.main.put(world.link())
        world.start()
        await world.is_mirrored("10.0.0.1")
        await world.has_reason("ClusterReady")
        await eventually(lambda: len(world.remote.watchers) == 2)
        await another_resync(world)
        asked = len(world.main_server.requests), len(world.remote_server.requests)
        await another_resync(world)
        assert (len(world.main_server.requests), len(world.remote_server.requests)) == asked


# Several controllers


async def test_only_selected_links_are_worked_on() -> None:
    """A link of another controller has no connection, no status and no metrics."""
    async with worlds(SHARD) as world:
        world.main.put(link("other", ClusterLinkSpec(kubeconfig=world.kubeconfig)))
        world.put_labelled("a")
        world.start()
        await world.is_mirrored("10.0.0.1")
        await world.has_reason("ClusterReady")
        assert world.ready("other") == (None, None)
        assert world.controller.following.supervisor.names == ["c1"]
        assert b'cluster="other"' not in generate_latest(world.controller.metrics.registry)
        assert Readiness(world.controller.store).not_ready_reason() is None


async def test_link_that_is_no_longer_selected_is_left_as_it_is() -> None:
    """The connection ends and its slices are not touched; selected again, the link catches up."""
    async with worlds(SHARD) as world:
        world.put_labelled("a")
        world.start()
        await world.is_mirrored("10.0.0.1")
        world.put_labelled("b")
        supervisor = world.controller.following.supervisor
        await eventually(lambda: not world.remote.watchers and not supervisor.names)
        world.remote.put(remote_slice(None, "10.0.0.2"))
        world.main.remove_key("endpointslices", "default", "web-c1")
        await another_resync(world)
        assert world.mirrored() == {}
        world.put_labelled("a")
        await world.is_mirrored("10.0.0.2")


async def test_deleted_link_of_another_controller_loses_its_slices() -> None:
    """Any controller may remove them: the API server says that the link does not exist."""
    async with worlds() as world:
        world.put_labelled("b")
        world.start()
        await world.is_mirrored("10.0.0.1")
    mirror = world.main.objects["endpointslices", "default", "web-c1"]
    async with worlds(SHARD) as world:
        world.main.objects["endpointslices", "default", "web-c1"] = mirror
        world.put_labelled("b")
        world.start()
        await eventually(lambda: world.controller.store.is_complete)
        await another_resync(world)
        assert world.mirrored() == {"web-c1": ["10.0.0.1"]}
        world.main.remove(world.link())
        await eventually(lambda: world.mirrored() == {})


# Problems


async def test_controller_waits_for_the_main_cluster() -> None:
    """A controller that starts before its API server begins when it answers."""
    async with worlds() as world:
        world.main.fail(Refuse(503))
        world.main.put(world.link())
        world.start()
        await eventually(lambda: len(world.main_server.requests) >= 2)
        world.main.heal()
        await world.is_mirrored("10.0.0.1")


async def test_missing_crd_is_logged_and_waited_for() -> None:
    """Without the CRD nothing is decided, and the log says what to install."""
    async with worlds() as world:
        world.main.fail(Refuse(404), ends_with("/clusterlinks"))
        world.main.put(world.link())
        with capture_logs() as logs:
            world.start()
            await eventually(lambda: any("apply -f crd/" in str(entry) for entry in logs))
        assert world.writes() == []
        world.main.heal()
        await world.is_mirrored("10.0.0.1")


async def test_invalid_link_does_not_affect_another() -> None:
    """A link that cannot work shows why, and the other one works."""
    async with worlds() as world:
        world.main.put(link("bad", ClusterLinkSpec(kubeconfig="%%%")))
        world.main.put(world.link())
        world.start()
        await world.is_mirrored("10.0.0.1")
        await world.has_reason("InvalidKubeconfig", "bad")


async def test_link_with_an_invalid_field_keeps_what_it_has() -> None:
    """The status names the field; once it is valid, it counts."""
    async with worlds() as world:
        world.main.put(world.link())
        world.remote.put(remote_slice(None, "10.0.0.1", "10.0.1.1"))
        world.start()
        await world.is_mirrored("10.0.0.1", "10.0.1.1")
        world.main.put(world.link(allowed_cidrs=(parse_cidr("10.0.0/24"),)))
        await world.has_reason("InvalidSpec")
        assert "spec.allowedCIDRs" in str(world.ready()[1])
        await world.is_mirrored("10.0.0.1", "10.0.1.1")
        world.main.put(world.link(allowed_cidrs=(parse_cidr("10.0.0.0/24"),)))
        await world.is_mirrored("10.0.0.1")
        await world.has_reason("ClusterReady")


async def test_link_that_cannot_be_decoded_says_why() -> None:
    """A CRD without types accepts anything. The status names the field, and is written once."""
    async with worlds() as world:
        manifest = unstructure(world.link())
        fine = cast("dict[str, Json]", manifest["spec"])
        world.main.put_raw("clusterlinks", {**manifest, "spec": {**fine, "enabled": "yes"}})
        with capture_logs() as logs:
            world.start()
            await world.has_reason("InvalidSpec")
            assert "$.spec.enabled: must be true or false but is a string" in str(world.ready()[1])
            world.main.put_raw("clusterlinks", manifest)
            await world.has_reason("ClusterReady")
        assert "status not written" not in {entry["event"] for entry in logs}


async def test_mirrors_of_a_namespace_that_cannot_be_read_stay() -> None:
    """The status names the namespace, the others are followed, and it is followed again later."""
    there = NamespacedName("b", "api")
    async with worlds() as world:
        world.main.put(service(there, ip_families=("IPv4",)))
        world.remote.put(service(there))
        world.remote.put(remote_slice(None, "10.0.0.9", key=there))
        world.main.put(world.link(included_namespaces=("b", "default")))
        world.start()
        await eventually(lambda: len(world.main.all("endpointslices")) == 2)
        await eventually(lambda: len(world.remote.watchers) == 4)
        world.remote.fail(Refuse(403), lambda request: "/namespaces/b/" in request.path)
        world.remote.hang_up()
        await eventually(lambda: world.synced()[0] == "NamespacesMissing")
        assert "(b) cannot be read, so the EndpointSlices mirrored from them are kept:" in (
            world.synced()[1] or ""
        )
        world.remote.remove(remote_slice(key=there))
        world.remote.put(remote_slice(None, "10.0.0.2"))
        await eventually(lambda: world.mirrored()["web-c1"] == ["10.0.0.2"])
        await another_resync(world)
        assert world.mirrored()["api-c1"] == ["10.0.0.9"]
        world.remote.heal()
        await eventually(lambda: world.synced()[0] == "Synced")
        await world.is_mirrored("10.0.0.2")


async def test_link_to_the_main_cluster_is_refused() -> None:
    """The main cluster is not mirrored into itself."""
    async with worlds() as world:
        to_main = ClusterLinkSpec(kubeconfig=kubeconfig(world.main_server.url))
        world.main.put(link(spec=to_main))
        world.start()
        await world.has_reason("SelfLink")
        assert world.mirrored() == {}


# Kubeconfigs in Secrets


async def test_kubeconfig_may_be_in_a_secret() -> None:
    """A link may name a Secret of the controller's namespace; its status reports a missing one."""
    async with worlds() as world:
        world.main.put(link(spec=in_secret("c1")))
        world.start()
        await world.has_reason("InvalidKubeconfig")
        assert "Secret svclink/c1" in (world.ready()[1] or "")
        world.main.put_secret(NAMESPACE, "c1", {"kubeconfig": world.kubeconfig})
        await world.is_mirrored("10.0.0.1")


async def test_secret_is_sought_where_the_controller_is_deployed() -> None:
    """A controller on a laptop finds the Secrets of the one that is installed; the flag decides."""
    metadata = {"name": "svclink", "labels": {"app.kubernetes.io/name": "svclink"}}
    file = Path("kubeconfig")
    for settings, found in (
        (evolve(FAST, kubeconfig=file), "ops"),
        (evolve(FAST, kubeconfig=file, controller_namespace=NAMESPACE), NAMESPACE),
        (evolve(FAST, kubeconfig=file, leader_elect=True), NAMESPACE),
        (FAST, NAMESPACE),
    ):
        async with worlds(settings) as world:
            world.main.put_raw("deployments", {"metadata": metadata | {"namespace": "ops"}})
            world.main.put(link(spec=in_secret("c1")))
            world.start()
            await world.has_reason("InvalidKubeconfig")
            assert f"there is no Secret {found}/c1" in (world.ready()[1] or "")
            assert f"--namespace {found} --from-file" in (world.ready()[1] or "")


async def test_secret_of_another_link_has_no_effect() -> None:
    """A Secret that changes concerns the links that name it."""
    async with worlds() as world:
        world.main.put_secret(NAMESPACE, "c1", {"kubeconfig": world.kubeconfig})
        world.main.put(link(spec=in_secret("c1")))
        world.main.put(link("other", in_secret("other")))
        world.start()
        await world.is_mirrored("10.0.0.1")
        listed = len(world.remote_server.lists)
        world.main.put_secret(NAMESPACE, "other", {"kubeconfig": "%%%"})
        await eventually(lambda: "base64" in (world.ready("other")[1] or ""))
        assert len(world.remote_server.lists) == listed


# Several replicas


async def test_one_of_two_replicas_writes_and_the_other_takes_over() -> None:
    """A standby reads everything and writes nothing until the leader ends; then it continues."""
    async with worlds(ELECTING) as world, AsyncExitStack() as stack:
        client = await remote_client(credentials(world.main_server.url))
        stack.push_async_callback(client.close)
        standby = make_manager(client, NAMESPACE, ELECTING)
        world.main.put(world.link())
        world.start()
        await world.is_mirrored("10.0.0.1")
        second = asyncio.create_task(standby.run())
        try:
            await eventually(lambda: standby.store.connections.get("c1") == SYNCED)
            await eventually(lambda: standby.store.is_complete)
            assert not standby.elector.may_write()
            lease = world.main.objects["leases", NAMESPACE, "svclink"]
            assert lease["spec"]["holderIdentity"] != standby.elector.identity
            await world.stop()
            world.remote.put(remote_slice(None, "10.0.0.2"))
            await world.is_mirrored("10.0.0.2")
            assert standby.elector.may_write()
        finally:
            second.cancel()
            await asyncio.wait({second})


async def test_controller_without_election_is_warned_of_a_leader() -> None:
    """Two controllers on the same links write in turns, so the log names the other one."""
    async with worlds() as world:
        world.hold_lease()
        with capture_logs() as logs:
            world.start()
            await eventually(
                lambda: "another controller is leading" in [each["event"] for each in logs]
            )
    (line,) = [each for each in logs if each["event"] == "another controller is leading"]
    assert (line["lease"], line["holder"]) == (f"{NAMESPACE}/svclink", "another")


async def stand_by(world: World, cluster_link: ClusterLink) -> Store:
    """Start a replica while another one leads. Returns its state, once everything is listed."""
    world.hold_lease()
    world.main.put(cluster_link)
    world.controller.elector.timing = Timing(lease=15, renew=10, retry=0.5)
    world.start()
    store = world.controller.store
    await eventually(lambda: store.is_complete and store.connections.get("c1") == SYNCED)
    return store


async def test_standby_keeps_no_work_and_begins_with_everything() -> None:
    """However much changes, neither a key nor a time waits in a replica that does not lead."""
    async with worlds(ELECTING) as world:
        store, work = await stand_by(world, world.link()), world.controller.work
        for number in range(20):
            key = NamespacedName("default", f"short-lived-{number}")
            for cluster in (world.main, world.remote):
                cluster.put(service(key))
                cluster.remove(service(key))
        world.remote.put(remote_slice(None, "10.0.0.2"))
        await eventually(lambda: has_endpoint(world, "10.0.0.2"))
        assert (work.services.is_idle, work.links.is_idle) == (True, True)
        assert store.propagation._changed_at == {}
        world.release_lease()
        await world.is_mirrored("10.0.0.2")
        await world.has_reason("ClusterReady")


async def test_new_leader_deletes_nothing_of_a_link_that_its_watch_lacks() -> None:
    """The slices of a link stay if only the list of a new leader does not have the link yet."""
    async with worlds(ELECTING) as world:
        mirror = mirrored_slice("web-c1", "10.0.0.9")
        world.main.put(mirror)
        world.main.put(world.link())
        outdated: Json = {
            "metadata": {"resourceVersion": str(world.main.revision)},
            "items": [],
        }
        world.main.fail(Answer(outdated), is_complete_list_of_links)
        world.start()
        await eventually(lambda: world.controller.store.is_complete)
        await another_resync(world)
        assert world.mirrored() == {"web-c1": ["10.0.0.9"]}
        world.main.heal()
        world.main.put(world.link())
        await world.is_mirrored("10.0.0.1")


async def test_new_leader_reads_the_links_again() -> None:
    """What the last leader mirrored after an edit stays, although the watch does not show it."""
    async with worlds(ELECTING) as world:
        world.main.fail(
            Hang(), lambda asked: asked.path.endswith("/clusterlinks") and asked.is_watch
        )
        store = await stand_by(world, world.link(excluded_namespaces=("default",)))
        world.main.put(world.link())
        world.main.put(mirrored_slice("web-c1", "10.0.0.9"))
        await eventually(lambda: store.mirrored("c1").slices == 1)
        world.release_lease()
        await world.is_mirrored("10.0.0.1")
        methods = {each.method for each in world.main_server.requests}
        assert "DELETE" not in methods


async def test_new_leader_that_cannot_read_the_links_goes_on() -> None:
    """The links that it knows are worked on; a lease is not held for nothing."""
    async with worlds(ELECTING) as world:
        await stand_by(world, world.link())
        world.main.fail(Refuse(503), ends_with("/clusterlinks"))
        world.release_lease()
        await world.is_mirrored("10.0.0.1")


async def test_leader_that_regains_the_lease_writes_again() -> None:
    """Changes made meanwhile, and abandoned writes, are then written."""
    async with worlds(ELECTING) as world:
        world.controller.elector.timing = Timing(lease=15, renew=0.3, retry=0.05)
        world.main.put(world.link())
        world.start()
        await world.is_mirrored("10.0.0.1")
        await world.has_reason("ClusterReady")
        world.main.fail(Refuse(503), is_write)
        await eventually(lambda: not world.controller.elector.may_write())
        world.remote.put(remote_slice(None, "10.0.0.2"))
        world.main.put(world.link(enabled=False))
        await eventually(lambda: not world.controller.store.links["c1"].spec.enabled)
        world.main.put(world.link())
        world.main.heal()
        await world.is_mirrored("10.0.0.2")
        await world.has_reason("ClusterReady")


# Shutdown


async def test_shutdown_leaves_nothing_behind() -> None:
    """A controller that ends closes every connection and ends every task."""
    before = asyncio.all_tasks()
    async with worlds() as world:
        world.main.put(world.link())
        world.main.put(link("other", in_secret("other")))
        world.start()
        await world.is_mirrored("10.0.0.1")
        await world.stop()
        await eventually(lambda: not world.remote.watchers and not world.main.watchers)
    await eventually(lambda: asyncio.all_tasks() == before)


async def test_drain_ends_after_its_time() -> None:
    """A write that hangs is abandoned, and the log says so."""
    async with worlds(drain_seconds=0.05) as world:
        world.main.fail(Hang(), is_write)
        world.main.put(world.link())
        world.start()
        await eventually(lambda: any(path.endswith("/endpointslices") for path in world.writes()))
        with capture_logs() as logs:
            await world.controller.drain()
    assert "writes still in flight were abandoned" in [entry["event"] for entry in logs]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_signal_ends_the_controller(tmp_path: Path, number: signal.Signals) -> None:
    """SIGTERM, SIGINT and SIGHUP end the controller without an error; the mirrors stay."""
    async with worlds() as world:
        file = tmp_path / "kubeconfig"
        file.write_bytes(base64.b64decode(kubeconfig(world.main_server.url)))
        world.main.put(world.link())
        running = asyncio.create_task(manager.run(Settings(file, 0.05)))
        await world.is_mirrored("10.0.0.1")
        os.kill(os.getpid(), number)
        await asyncio.wait_for(running, 10)
        await eventually(lambda: not world.main.watchers and not world.remote.watchers)
        assert world.mirrored() == {"web-c1": ["10.0.0.1"]}


async def test_sigterm_does_not_wait_for_a_plugin(tmp_path: Path) -> None:
    """A credential plugin that waits for its user is ended, and the controller with it."""
    pid_file = tmp_path / "pid"
    script(tmp_path / "login", f"echo $$ > '{pid_file}'", "exec sleep 1000")
    content = yaml.safe_load(base64.b64decode(kubeconfig("https://127.0.0.1:1")))
    content["users"][0]["user"] = {"exec": exec_entry("./login")}
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    running = asyncio.create_task(manager.run(Settings(file, 0.05)))
    await eventually(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running, 10)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
