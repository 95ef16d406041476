"""A main cluster, two remote ones and svclink, running side by side as child processes."""

from __future__ import annotations

import asyncio
import base64
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import yaml
from attrs import frozen

import svclink_controller
from svclink_controller.api.client import Client
from svclink_controller.api.connecting import main_client
from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.demo.apiserver.status_errors import JsonObject
from svclink_controller.demo.control_planes import (
    ControlPlane,
    controller_manager,
    free_ports,
    make_control_plane,
    write_private,
)
from svclink_controller.demo.processes import Process, stop_all
from svclink_core.errors import SvclinkError

MAIN_CONTEXT: Final = "main"
REMOTES: Final = ("cluster-a", "cluster-b")
START_SECONDS: Final = 120.0
DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
LINKS: Final = "/apis/svclink.cloudpilot.ai/v1alpha1/clusterlinks"


class DemoError(SvclinkError):
    """The demo failed; the message names the step and quotes the logs."""


@frozen
class Fleet:
    """A main cluster, two remote clusters and svclink.

    Args:
        planes: The control planes by cluster name.
        clients: An administrator's client of each cluster, by cluster name.
    """

    directory: Path
    planes: dict[str, ControlPlane]
    clients: dict[str, Client]
    svclink: Process

    @property
    def kubeconfig(self) -> Path:
        """The file with an administrator's credentials: one context per cluster, main first."""
        return self.directory / "kubeconfig"

    async def export_link(self, name: str) -> JsonObject:
        """Return the ClusterLink that `svclink export-kubeconfig` prints for a remote cluster."""
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "svclink_controller"),
            *("--kubeconfig", str(self.kubeconfig)),
            *("export-kubeconfig", name, "--link", name, "--duration", "720h"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            output, errors = await child.communicate()
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if child.returncode:
            raise DemoError(f"svclink export-kubeconfig {name} failed: {errors.decode().strip()}")
        link: JsonObject = yaml.safe_load(output)
        return link

    def kill_api_server(self, name: str) -> None:
        """Kill the API server of a cluster: connections are reset, and new ones are refused."""
        self.planes[name].api_server.kill()

    async def start_api_server(self, name: str) -> None:
        """Start the API server of a cluster again, with the objects it held before."""
        self.planes[name].api_server.start()
        await self.wait_until_ready(name)

    async def wait_until_ready(self, name: str) -> None:
        """Wait until the API server of a cluster is ready and has its system namespace.

        Raises:
            DemoError: A process of the cluster exited, or the cluster is not ready in time.
        """
        plane, loop = self.planes[name], asyncio.get_running_loop()
        deadline = loop.time() + START_SECONDS
        while (error := await self._readiness_error(name)) is not None:
            exited = [process for process in plane.processes if not process.running]
            if exited or loop.time() > deadline:
                logs = "\n".join(process.tail() for process in exited or plane.processes)
                raise DemoError(
                    f"the API server of {name} is not ready ({error}):\n{logs}"
                ) from error
            await asyncio.sleep(0.05)

    async def _readiness_error(self, name: str) -> ApiError | TransportError | None:
        try:
            await self.clients[name].get("/readyz", seconds=2)
            await self.clients[name].get("/api/v1/namespaces/kube-system", seconds=2)
        except (ApiError, TransportError) as error:
            return error
        return None


@asynccontextmanager
async def running_fleet(directory: Path, binaries: Path | None) -> AsyncIterator[Fleet]:
    """Run empty clusters, with svclink not started yet; leaving the context stops everything.

    Args:
        directory: An empty directory for the files of the clusters; some are secrets.
        binaries: The directory of etcd and kube-apiserver; None runs embedded API servers.
    """
    names = (MAIN_CONTEXT, *REMOTES)
    ports = free_ports(len(names))
    planes = {
        name: make_control_plane(name, directory / name, port, binaries)
        for name, port in zip(names, ports, strict=True)
    }
    kubeconfig = directory / "kubeconfig"
    write_private(kubeconfig, kubeconfig_for_all(planes).encode())
    module = [sys.executable, "-m", "svclink_controller"]
    svclink = Process(
        "svclink", [*module, "--kubeconfig", str(kubeconfig)], directory / "svclink.log"
    )
    processes = [
        svclink,
        *(process for plane in planes.values() for process in reversed(plane.processes)),
    ]
    async with AsyncExitStack() as stack:
        stack.callback(stop_all, processes)
        for plane in planes.values():
            for process in plane.processes:
                process.start()
        clients = {}
        for name in names:
            clients[name] = await main_client(kubeconfig, name)
            stack.push_async_callback(clients[name].close)
        fleet = Fleet(directory, planes, clients, svclink)
        await asyncio.gather(*(fleet.wait_until_ready(name) for name in names))
        if binaries is not None:
            manager = controller_manager(planes[MAIN_CONTEXT].site, binaries, kubeconfig)
            processes.insert(1, manager)
            manager.start()
        yield fleet


def kubeconfig_for_all(planes: dict[str, ControlPlane]) -> str:
    """Return a kubeconfig with an administrator of each cluster, in a context of that name."""
    clusters, users, contexts = [], [], []
    for name, plane in planes.items():
        identity = plane.authority.issue_client("admin", "system:masters")
        access = {
            "server": plane.site.url,
            "certificate-authority-data": _base64(plane.authority.pem),
        }
        user = {
            "client-certificate-data": _base64(identity.certificate),
            "client-key-data": _base64(identity.key),
        }
        clusters.append({"name": name, "cluster": access})
        users.append({"name": name, "user": user})
        contexts.append({"name": name, "context": {"cluster": name, "user": name}})
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": clusters,
        "users": users,
        "contexts": contexts,
    }
    return yaml.safe_dump(content | {"current-context": MAIN_CONTEXT}, sort_keys=False)


async def install_definitions(client: Client) -> None:
    """Create the CustomResourceDefinitions in `crd/`, and wait until ClusterLinks are served.

    Raises:
        DemoError: ClusterLinks are not served in time.
    """
    for file in sorted(definitions().glob("*.yaml")):
        await client.post(DEFINITIONS, yaml.safe_load(file.read_text(encoding="utf-8")))
    for _ in range(200):
        with suppress(ApiError):
            await client.get(LINKS)
            return
        await asyncio.sleep(0.05)
    raise DemoError("main does not serve ClusterLinks although it has their CRD")


def definitions() -> Path:
    """Return the directory `crd`: inside the installed package, beside it in a working tree."""
    package = Path(svclink_controller.__file__).parent
    return package / "crd" if (package / "crd").is_dir() else package.parent / "crd"


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
