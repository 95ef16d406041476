"""Commands that read clusters, and write nothing to them.

Real: commands, kubeconfigs, HTTP, TLS, the core. Substituted: the API servers.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from attrs import evolve

from svclink_controller.api.client import Client
from svclink_controller.api.errors import TransportError
from svclink_controller.cli.arguments import Source
from svclink_controller.cli.commands.status import NOT_PROCESSED
from svclink_controller.cli.snapshots.live import Scope, read_clusters, read_links
from svclink_controller.cli.snapshots.reading import ask
from svclink_controller.clock import age
from svclink_core import ClusterLinkStatus, Condition, EndpointConditions, NamespacedName, Options
from svclink_core.svclink_v1alpha1 import SecretKeyReference
from tests.builders.keys import WEB
from tests.builders.manifests import api_service, webhook_configuration
from tests.builders.values import endpoint, mirrored_slice, remote_slice, service
from tests.unit.controller.faults import Hang, Refuse, ends_with
from tests.unit.controller.fleets import Fleet, fleet
from tests.unit.controller.http_server import OTHER_AUTHORITY, kubeconfig


def lines(output: str) -> list[str]:
    """Lines without alignment."""
    return [" ".join(line.split()) for line in output.splitlines() if line.strip()]


def writes(world: Fleet) -> set[str]:
    """The methods of all requests except GET. An access review is a question, too."""
    return {
        request.method
        for server in world.servers.values()
        for request in server.requests
        if not request.path.endswith("accessreviews")
    } - {"GET"}


async def test_plan_reads_every_cluster_and_writes_nothing(tmp_path: Path) -> None:
    """A plan from clusters contains the changes for their current objects."""
    async with fleet(tmp_path, "c1", "c2") as world:
        world.link("c1")
        world.link("c2", excluded_service_names=("web",))
        world.main.put(service())
        for remote in world.remotes.values():
            remote.put(service())
            remote.put(remote_slice("web-abc", "10.0.0.1"))
        data = json.loads(await world.ask("plan", "-o", "json"))
        assert (await world.run("plan", "--detailed-exitcode")).exit_code == 2
        assert writes(world) == set()
    assert [(each["change"], each["name"]) for each in data["changes"]] == [
        ("create", "default/web-c1")
    ]
    assert [(each["cluster"], each["reason"]) for each in data["decisions"]] == [
        ("c1", "Mirrored"),
        ("c2", "ServiceNameExcluded"),
    ]
    assert data["problems"] == []


async def test_cluster_that_cannot_be_read_is_not_empty(tmp_path: Path) -> None:
    """A cluster that cannot be read is kept, and the plan gives the reason."""
    async with fleet(tmp_path, "c1") as world:
        world.link("c1")
        world.remotes["c1"].fail(Refuse(401, "Unauthorized"))
        world.main.put(service())
        world.main.put(mirrored_slice())
        data = json.loads(await world.ask("plan", "-o", "json"))
    assert data["changes"] == []
    assert [(each["outcome"], each["reason"]) for each in data["decisions"]] == [
        ("Kept", "Unreachable")
    ]
    assert [(each["cluster"], each["reason"]) for each in data["problems"]] == [
        ("c1", "Unauthorized")
    ]


async def test_namespace_that_cannot_be_read_is_not_empty(tmp_path: Path) -> None:
    """The plan keeps what is mirrored of it, as the controller does, and mirrors the others."""
    there = NamespacedName("b", "web")
    async with fleet(tmp_path, "c1") as world:
        world.link("c1", included_namespaces=("b", "default"))
        remote = world.remotes["c1"]
        remote.fail(Refuse(403), lambda request: "/namespaces/b/" in request.path)
        remote.put(service())
        remote.put(remote_slice("web-abc", "10.0.0.1"))
        for item in (service(), service(there), mirrored_slice(key=there)):
            world.main.put(item)
        data = json.loads(await world.ask("plan", "-o", "json"))
    assert [(each["change"], each["name"]) for each in data["changes"]] == [
        ("create", "default/web-c1")
    ]
    assert [each["reason"] for each in data["decisions"]] == ["NamespaceMissing", "Mirrored"]


async def test_held_deletion_is_not_planned(tmp_path: Path) -> None:
    """Whether a deletion is held depends on all namespaces, so they are read too."""
    keys = [NamespacedName(f"n{number}", "web") for number in range(24)]
    async with fleet(tmp_path, "c1") as world:
        world.link("c1")
        for key in keys:
            world.main.put(service(key))
            world.main.put(mirrored_slice(key=key))
        data = json.loads(await world.ask("explain", "n0/web", "-o", "json"))
    assert data["changes"] == []
    assert [(each["outcome"], each["reason"]) for each in data["clusters"]] == [
        ("Kept", "DeletionHeld")
    ]


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"kubeconfig": None}, "InvalidKubeconfig"),
        ({"kubeconfig": "bm9uZQ=="}, "InvalidKubeconfig"),
        ({"kubeconfig": kubeconfig("https://127.0.0.1:9")}, "Unreachable"),
        ({"to": "main"}, "SelfLink"),
    ],
    ids=["none", "bad", "dead", "self"],
)
async def test_unusable_link_is_explained(
    tmp_path: Path, spec: dict[str, Any], reason: str
) -> None:
    """The output gives the reason why the cluster could not be read."""
    async with fleet(tmp_path, "c1") as world:
        world.link("c1", **spec)
        world.main.put(service())
        output = await world.ask("explain", "default/web")
    assert f"    could not be read: {reason}: " in output
    assert "  c1: kept unchanged, because" in output


async def test_second_link_to_a_cluster_is_not_used(tmp_path: Path) -> None:
    """Of two links to one cluster one is used, as in the controller."""
    async with fleet(tmp_path, "c1") as world:
        world.link("c1")
        world.link("again", to="c1")
        world.main.put(service())
        data = json.loads(await world.ask("plan", "-o", "json"))
    assert [(each["cluster"], each["reason"]) for each in data["problems"]] == [
        ("c1", "DuplicateCluster")
    ]


async def test_untrusted_server_certificate_is_explained(tmp_path: Path) -> None:
    """The allow-list and the hardened transport apply to commands too."""
    async with fleet(tmp_path, "c1") as world:
        world.link("c1", kubeconfig=kubeconfig(world.servers["c1"].url, OTHER_AUTHORITY))
        world.main.put(service())
        assert "could not be read: CertificateInvalid" in await world.ask("explain", "default/web")


def insecure(url: str) -> str:
    """A kubeconfig, in base64, that skips the verification of the server."""
    content = yaml.safe_load(base64.b64decode(kubeconfig(url)))
    content["clusters"][0]["cluster"] = {"server": url, "insecure-skip-tls-verify": True}
    return base64.b64encode(yaml.safe_dump(content).encode()).decode()


@pytest.mark.parametrize(
    "command", [["plan"], ["explain", "default/web"]], ids=lambda command: command[0]
)
async def test_trust_flags_apply_to_remotes(tmp_path: Path, command: list[str]) -> None:
    """Trust flags apply before and after the name of a command."""
    deny = "--deny-remote-cidrs=127.0.0.0/8"
    async with fleet(tmp_path, "c1") as world:
        world.link("c1", kubeconfig=insecure(world.servers["c1"].url))
        world.main.put(service())
        refused = await world.run(*command)
        allowed = await world.run(*command, "--allow-insecure-remotes")
        denied = await world.run("--allow-insecure-remotes=true", *command, deny)
        denied_before = await world.run(deny, *command, "--allow-insecure-remotes")
    assert "InsecureKubeconfig" in refused.stdout
    assert not {"InsecureKubeconfig", "127.0.0.0/8"} & set(allowed.stdout.replace(":", " ").split())
    assert "127.0.0.0/8" in denied.stdout
    assert "127.0.0.0/8" in denied_before.stdout


async def test_kubeconfig_in_a_secret_is_used(tmp_path: Path) -> None:
    """The Secret is read from the given namespace; a missing one is named."""
    async with fleet(tmp_path, "c1") as world:
        world.link("c1", kubeconfig=None, kubeconfig_secret_ref=SecretKeyReference("c1", "config"))
        world.main.put(service())
        before = await world.ask("explain", "default/web", "--controller-namespace", "svc")
        world.main.put_secret("svc", "c1", {"config": kubeconfig(world.servers["c1"].url)})
        after = await world.ask("explain", "default/web", "--controller-namespace", "svc")
        paths = {each.path for each in world.main.requests}
    assert "there is no Secret svc/c1" in before
    # The Role of svclink permits to list Secrets, not to get one.
    assert {path for path in paths if "/secrets" in path} == {"/api/v1/namespaces/svc/secrets"}
    assert (
        "  c1: not mirrored, because the cluster has no Service with this namespace and name"
        in after
    )


async def test_secret_is_sought_where_the_controller_is(tmp_path: Path) -> None:
    """From a laptop, the Secret is in the namespace of the Deployment, not of the context."""
    async with fleet(tmp_path, "c1") as world:
        world.link("c1", kubeconfig=None, kubeconfig_secret_ref=SecretKeyReference("c1", "config"))
        world.main.put(service())
        world.main.put_secret("svc", "c1", {"config": kubeconfig(world.servers["c1"].url)})
        before = await world.ask("explain", "default/web")
        deploy(world, "svc")
        after = await world.ask("explain", "default/web")
        deploy(world, "other")
        unclear = await world.ask("explain", "default/web")
        given = await world.run("--controller-namespace", "svc", "explain", "default/web")
    assert "there is no Secret default/c1" in before
    assert "no svclink Deployment or Lease was found" in before
    assert "could not be read" not in after + given.stdout
    assert "controllers run in namespaces other, svc: pass --controller-namespace" in unclear


def deploy(world: Fleet, namespace: str) -> None:
    """Put the Deployment of svclink into a namespace of the main cluster."""
    labels = {"app.kubernetes.io/name": "svclink"}
    metadata = {"name": "svclink", "namespace": namespace, "labels": labels}
    world.main.put_raw("deployments", {"metadata": metadata})


async def test_failed_search_for_the_controller_names_the_flag(tmp_path: Path) -> None:
    """A search that fails is not one that finds nothing."""
    async with fleet(tmp_path) as world:
        world.main.fail(Refuse(503), ends_with("/deployments"))
        done = await world.run("plan")
    assert "svclink's namespace cannot be determined: 503" in str(done.exception)
    assert str(done.exception).endswith(": pass --controller-namespace")


async def test_secret_of_a_disabled_link_is_not_read(tmp_path: Path) -> None:
    """Nothing is asked for a link that is not used."""
    async with fleet(tmp_path, "c1") as world:
        reference = SecretKeyReference("c1")
        world.link("c1", kubeconfig=None, kubeconfig_secret_ref=reference, enabled=False)
        await world.ask("plan")
        assert not any("/secrets" in each.path for each in world.main.requests)


async def test_explain_reads_one_namespace(tmp_path: Path) -> None:
    """`explain` lists only the namespace of the Service, in remotes too."""
    async with fleet(tmp_path, "c1", "c2") as world:
        world.link("c1")
        world.link("c2", included_namespaces=("other",))
        world.main.put(service())
        output = await world.ask("explain", "default/web")
        asked = {path for path in world.servers["c1"].paths if path.endswith("endpointslices")}
    assert asked == {"/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"}
    assert (
        "c2: not mirrored, because the Service's namespace is not in the link's includedNamespaces"
        in output
    )


async def test_explain_names_what_makes_the_api_server_call_a_service(tmp_path: Path) -> None:
    """A Service that main's API server calls is not mirrored, because of the object named."""
    async with fleet(tmp_path, "c1") as world:
        world.link("c1")
        world.main.put(service())
        world.main.put_raw("validatingwebhookconfigurations", webhook_configuration("policy"))
        output = await world.ask("explain", "default/web")
    assert "c1: not mirrored, because the main cluster's API server calls the Service" in output
    assert "(ValidatingWebhookConfiguration/policy)" in output


async def test_kind_that_must_not_be_listed_is_a_warning(tmp_path: Path) -> None:
    """Without the permission for webhook configurations a command goes on, and says so."""
    async with fleet(tmp_path, "c1") as world:
        world.link("c1")
        world.main.put(service())
        world.main.put_raw("apiservices", api_service())
        world.main.fail(Refuse(403, "Forbidden"), ends_with("/validatingwebhookconfigurations"))
        done = await world.run("explain", "default/web")
    assert "(APIService/v1.example.com)" in done.stdout
    assert "Services that the API server calls are treated like any other Service" in done.stderr


async def test_failed_list_of_callers_is_an_error(tmp_path: Path) -> None:
    """What could not be read is not taken for nothing."""
    async with fleet(tmp_path, "c1") as world:
        world.main.fail(Refuse(500), ends_with("/customresourcedefinitions"))
        done = await world.run("plan")
    assert "cannot list customresourcedefinitions in the main cluster" in str(done.exception)


# Status


STATUS = ClusterLinkStatus(
    phase="Ready",
    version="v1.36.0",
    connected=True,
    last_connected="2020-01-01T00:00:00Z",
    credentials_expire="2020-02-01T00:00:00Z",
    services=2,
    endpoints=5,
    slices=3,
    conditions=(
        Condition("Ready", "True", "ClusterReady", "fine", "2020-01-01T00:00:00Z"),
        Condition("Synced", "True", "Synced", "fine", "2020-01-01T00:00:00Z"),
        Condition(
            "Degraded", "True", "PortMismatch", "1 Service (shop/web)", "2020-01-02T00:00:00Z"
        ),
    ),
)


async def test_status_shows_every_link(tmp_path: Path) -> None:
    """The state, numbers and problem of each link, without requests to remotes."""
    async with fleet(tmp_path, "c1", "c2") as world:
        world.link("c1", status=STATUS)
        world.link("c2")
        table = lines(await world.ask("status"))
        data = json.loads(await world.ask("status", "-o", "json"))
        assert yaml.safe_load(await world.ask("status", "-o", "yaml")) == data
        assert world.servers["c1"].requests == []
    assert table[0].startswith(
        "NAME STATUS REASON SERVICES ENDPOINTS VERSION LAST CONNECTED LAST EVENT"
    )
    assert table[1].startswith("c1 Ready PortMismatch 2 5 v1.36.0 ")
    assert table[1].endswith("1 Service (shop/web)")
    assert table[2] == f"c2 Pending - 0 0 - - - {NOT_PROCESSED}"
    assert data[0] == {
        "name": "c1",
        "namespace": None,
        "enabled": True,
        "phase": "Ready",
        "reason": "PortMismatch",
        "message": "1 Service (shop/web)",
        "services": 2,
        "endpoints": 5,
        "slices": 3,
        "version": "v1.36.0",
        "lastConnected": "2020-01-01T00:00:00Z",
        "credentialsExpire": "2020-02-01T00:00:00Z",
        "lastEvent": "2020-01-02T00:00:00Z",
    }


async def test_status_warns_of_credentials_that_expire(tmp_path: Path) -> None:
    """A link that works shows that it soon will not, and of which credential that is."""
    expiring = Condition(
        "CredentialsExpiring",
        "True",
        "CredentialsExpireSoon",
        "the token expires soon",
        "2020-01-03T00:00:00Z",
    )
    async with fleet(tmp_path, "c1") as world:
        world.link("c1", status=evolve(STATUS, conditions=(*STATUS.conditions[:2], expiring)))
        table = lines(await world.ask("status"))
    assert table[1].startswith("c1 Ready CredentialsExpireSoon 2 5 v1.36.0 ")
    assert table[1].endswith("the token expires soon")


async def test_plan_without_links_says_so(tmp_path: Path) -> None:
    """There is no empty table."""
    async with fleet(tmp_path) as world:
        world.main.put(service())
        planned = lines(await world.ask("plan"))
    assert planned == ["There are no ClusterLinks, so nothing is mirrored.", "Nothing to change."]


async def test_status_names_services_that_the_api_server_calls(tmp_path: Path) -> None:
    """They are no fault of a link, so its line does not have them."""
    async with fleet(tmp_path, "c1") as world:
        world.link("c1", status=STATUS)
        world.main.put(service())
        before = lines(await world.ask("status"))
        world.main.put_raw("apiservices", api_service())
        after = lines(await world.ask("status"))
    assert after[:-1] == before
    assert after[-1] == (
        "Not mirrored, because the main cluster's API server calls them:"
        " default/web (svclink services --all shows what calls them)"
    )


@pytest.mark.parametrize("code", [403, 500])
@pytest.mark.parametrize("kind", ["services", "apiservices"])
async def test_status_needs_only_the_links(tmp_path: Path, kind: str, code: int) -> None:
    """If nothing else can be read, it shows the links, and says nothing of called Services."""
    async with fleet(tmp_path, "c1") as world:
        world.link("c1", status=STATUS)
        world.main.put(service())
        world.main.put_raw("apiservices", api_service())
        world.main.fail(Refuse(code), ends_with(f"/{kind}"))
        done = await world.run("status")
    assert done.exit_code == 0
    assert len(lines(done.stdout)) == 2
    assert done.stderr == ""


async def test_status_without_links(tmp_path: Path) -> None:
    """The output says that there is no link; as JSON it is an empty list."""
    async with fleet(tmp_path) as world:
        assert await world.ask("status") == "There are no ClusterLinks.\n"
        assert json.loads(await world.ask("status", "-o", "json")) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (-5, "0s"),
        (119, "119s"),
        (120, "2m"),
        (7199, "119m"),
        (7200, "2h"),
        (172_800, "2d"),
        (4e7, "462d"),
    ],
)
def test_age_has_one_unit(seconds: float, text: str) -> None:
    """An age has one unit, and is never negative: clocks may differ."""
    assert age("1970-01-01T00:00:00Z", seconds) == text
    assert age(None, seconds) == "-"


async def test_services_show_endpoints_by_cluster(tmp_path: Path) -> None:
    """Ready and total endpoints by cluster; Services without mirrored ones only with `--all`."""
    other = NamespacedName("shop", "cart")
    not_ready = endpoint("10.0.0.2", conditions=EndpointConditions(ready=False))
    async with fleet(tmp_path, "c1", "c2") as world:
        world.link("c1")
        world.link("c2")
        world.main.put(service())
        world.main.put(service(other, uid="uid-of-cart"))
        world.main.put(remote_slice("web-local", endpoints=(endpoint("10.9.0.1"), not_ready)))
        mirrored = mirrored_slice()
        world.main.put(evolve(mirrored, endpoints=(endpoint("10.0.0.1"), not_ready)))
        table = lines(await world.ask("services"))
        everything = lines(await world.ask("services", "--all"))
        of_shop = await world.ask("services", "-n", "shop")
        data = json.loads(await world.ask("services", "-o", "json"))
    assert table == ["SERVICE MAIN c1 c2", f"{WEB} 1/2 1/2 -"]
    assert everything == [*table, f"{other} - - -"]
    assert of_shop == "Nothing is mirrored.\n"
    assert data == [
        {
            "service": str(WEB),
            "local": {"ready": 1, "total": 2},
            "clusters": {"c1": {"ready": 1, "total": 2}},
        }
    ]


async def test_all_services_show_why_main_keeps_them_from_being_mirrored(tmp_path: Path) -> None:
    """What main alone decides is in the last column, with the object that it is about."""
    headless = NamespacedName("shop", "db")
    async with fleet(tmp_path, "c1") as world:
        world.link("c1")
        world.main.put(service())
        world.main.put(service(headless, cluster_ip="None"))
        world.main.put(service("shop/cart"))
        world.main.put_raw("apiservices", api_service())
        table = lines(await world.ask("services", "--all"))
        data = json.loads(await world.ask("services", "--all", "-o", "json"))
    assert table == [
        "SERVICE MAIN c1 NOT MIRRORED",
        f"{WEB} - - CalledByAPIServer APIService/v1.example.com",
        "shop/cart - -",
        f"{headless} - - MainHeadless",
    ]
    assert [each.get("notMirrored", {}).get("reason") for each in data] == [
        "CalledByAPIServer",
        None,
        "MainHeadless",
    ]
    assert data[0]["notMirrored"]["reference"] == "APIService/v1.example.com"


# Errors


@pytest.mark.parametrize(
    "command", [["status"], ["services"], ["plan"], ["explain", "a/b"]], ids=lambda each: each[0]
)
async def test_rejected_list_of_main_is_one_sentence(tmp_path: Path, command: list[str]) -> None:
    """The error names the part of the main cluster that could not be read, and the reason."""

    async with fleet(tmp_path) as world:
        world.main.fail(Refuse(403, "Forbidden"), ends_with("/clusterlinks"))
        done = await world.run(*command)
    assert str(done.exception) == "cannot list clusterlinks in the main cluster: 403 Forbidden: no"
    assert done.stdout == ""


async def test_missing_crd_names_the_command_that_installs_it(tmp_path: Path) -> None:
    """The error for a missing CRD says how to install it."""

    async with fleet(tmp_path) as world:
        world.main.fail(Refuse(404, "NotFound"), ends_with("/clusterlinks"))
        done = await world.run("status")
    assert str(done.exception).endswith(
        ": install the ClusterLink CRD (kubectl apply -f crd/),"
        " or, if this is the wrong cluster, choose the main cluster with --context or --kubeconfig"
    )


@pytest.mark.parametrize("question", [read_links, read_clusters])
async def test_hanging_main_cluster_fails_fast(
    tmp_path: Path, question: Callable[[Client, Scope], Awaitable[object]]
) -> None:
    """A user waits at the terminal: the first request has a shorter time-out than a list."""
    async with fleet(tmp_path) as world:
        world.main.fail(Hang())
        # Longer than a handshake: a server leaves half of one open.
        source = Source(world.file, answer_seconds=1)
        with pytest.raises(TransportError, match="did not answer in time"):
            await asyncio.to_thread(ask, source, Options(), question)


def test_unknown_context_is_named(tmp_path: Path) -> None:
    """The context is looked up in the kubeconfig; the error names an unknown one."""
    content = {"clusters": [], "contexts": [], "users": [], "current-context": "a"}
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    world = Fleet(None, {}, {}, file)  # type: ignore[arg-type]
    done = world.run_here("status", "--context", "nowhere")
    assert "nowhere" in str(done.exception)
