"""`svclink dashboard`, as a user runs it.

Real: the command as a process, signals, HTTP, files. Substituted: the API servers.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from attrs import frozen

from svclink_controller.dashboard.page_files import read_page_files
from tests.builders.values import remote_slice, service
from tests.unit.controller.fleets import fleet

from .dump_files import Files, endpoint_slice, link, object_list
from .dump_files import service as service_manifest

PROGRAM = shlex.quote(str(Path(sys.executable).with_name("svclink")))
ADDRESS = re.compile(r"The dashboard is at (http://127\.0\.0\.1:(\d+))/\?token=(\S+)")


@frozen
class Running:
    """A running dashboard."""

    process: asyncio.subprocess.Process
    address: str
    token: str

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text of the answer to a request with the token."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with (
            aiohttp.ClientSession() as session,
            session.get(self.address + path, headers=headers) as response,
        ):
            return response.status, await response.text()

    async def service(self, key: str) -> tuple[int, str]:
        """The details of a Service, once the main cluster was read."""
        while (  # noqa: ASYNC110 - a process has no event for it
            found := await self.get(f"/api/services/{key}")
        )[0] == 503:
            await asyncio.sleep(0.01)
        return found


@asynccontextmanager
async def dashboard(
    *flags: str, ended_by: signal.Signals = signal.SIGINT
) -> AsyncIterator[Running]:
    """A dashboard, stopped at the end, by Ctrl-C: it ends well, and prints no error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "svclink_controller", "dashboard", "--no-browser", *flags),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PATH": ""},
    )
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        found = ADDRESS.match(line)
        assert found is not None, (line, await process.communicate())
        yield Running(process, found[1], found[3])
        process.send_signal(ended_by)
        _, errors = await process.communicate()
        assert (process.returncode, errors.decode()) == (0, "")
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_clusters_are_followed(tmp_path: Path) -> None:
    """The page and its data are served until Ctrl-C; a client without the token gets none."""
    async with fleet(tmp_path, "c1") as world:
        world.main.put(service())
        world.remotes["c1"].put(service())
        world.remotes["c1"].put(remote_slice())
        world.link("c1")
        async with dashboard("--kubeconfig", str(world.file)) as running:
            status, page = await running.get("/")
            assert (status, page.encode()) == (200, read_page_files()["index.html"].content)
            status, text = await running.service("default/web")
            assert (status, json.loads(text)["service"]) == (200, "default/web")
            assert json.loads(text)["commands"] == [
                f"{PROGRAM} explain default/web --kubeconfig {world.file}",
                f"{PROGRAM} traffic default/web --kubeconfig {world.file}",
            ]
            async with aiohttp.ClientSession() as session:
                response = await session.get(f"{running.address}/api/services/default/web")
                assert response.status == 401
        writes = {request.method for request in world.servers["main"].requests if request.is_write}
        assert writes <= {"POST"}  # Questions about permissions.


async def test_files_are_shown(tmp_path: Path) -> None:
    """No cluster is read."""
    files = Files(tmp_path)
    main = files.write(
        "main.yaml", object_list(service_manifest("web"), endpoint_slice("web"), link("c1"))
    )
    remote = files.remote("c1", object_list(service_manifest("web"), endpoint_slice("web")))
    async with dashboard("--main", str(main), *remote, ended_by=signal.SIGHUP) as running:
        status, text = await running.service("default/web")
        assert status == 200
        assert json.loads(text)["clusters"][1]["outcome"] == "Mirrored"
        same = f"{PROGRAM} explain default/web {shlex.join(['--main', str(main), *remote])}"
        assert json.loads(text)["commands"] == [same]


async def test_broken_requests_print_nothing(tmp_path: Path) -> None:
    """Any site can make a browser send one, for example with a URL that is too long."""
    main = Files(tmp_path).write(
        "main.yaml", object_list(service_manifest("web"), endpoint_slice("web"))
    )
    async with dashboard("--main", str(main)) as running:
        host = running.address.rpartition("/")[2].split(":")
        reader, writer = await asyncio.open_connection(*host)
        writer.write(b"GET /" + 9000 * b"a" + b" HTTP/1.1\r\n\r\n")
        answer = await reader.read()
        writer.close()
        assert answer.split()[1] == b"400"


async def test_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    """The error says so once, and nothing else is printed; also while clusters are followed."""
    async with fleet(tmp_path, "c1") as world:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            ended = await outcome("--kubeconfig", str(world.file), "--port", str(port))
    cause = f"cannot listen on port {port} of 127.0.0.1: Address already in use"
    assert ended == (1, f"Error: {cause}: pass a different --port or omit it\n")


async def test_closed_pipe_ends_the_dashboard_silently(tmp_path: Path) -> None:
    """As for any command whose reader leaves."""
    async with fleet(tmp_path, "c1") as world:
        assert await outcome("--kubeconfig", str(world.file)) == (1, "")


async def outcome(*flags: str) -> tuple[int | None, str]:
    """The exit code and errors of a dashboard that prints to a pipe without a reader."""
    reader, writer = os.pipe()
    os.close(reader)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "svclink_controller", "dashboard", "--no-browser", *flags),
        stdout=writer,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writer)
    _, errors = await process.communicate()
    return process.returncode, errors.decode()


@pytest.mark.parametrize("port", ["0", "65536", "x"])
def test_invalid_port_is_named(tmp_path: Path, port: str) -> None:
    """One sentence, and exit code 1."""
    files = Files(tmp_path)
    files.write("main.yaml", object_list(service_manifest("web")))
    done = files.run("dashboard", "--port", port)
    assert "--port" in str(done.output)
    assert done.exit_code != 0
