"""A remote that changes many slices a second, more than any rollout does."""

from __future__ import annotations

import asyncio
import itertools
from typing import Final

from aiohttp import web

from tests.builders.manifests import Manifest, endpoint_slice, object_list, service
from tests.e2e.hostile_remotes import is_connected
from tests.e2e.served_remotes import SLICES, ServedRemote, event, started_response

from .fleet import NAMESPACE

SERVICES: Final = 200
CHANGES_PER_SECOND: Final = 2_000
TICK_SECONDS: Final = 0.01


class BusyRemote(ServedRemote):
    """2,000 slices change every second, those of 200 Services in turn."""

    async def list_page(
        self,
        kind: str,
        request: web.BaseRequest,  # noqa: ARG002 - every page is the whole list
    ) -> web.StreamResponse:
        make = _slice if kind == SLICES else _service
        items = [make(number, 1) for number in range(SERVICES)]
        return web.json_response(object_list(*items, version="1"))

    async def watch(self, kind: str, request: web.BaseRequest) -> web.StreamResponse:
        if kind != SLICES:
            return await super().watch(kind, request)
        response = await started_response(request)
        versions = itertools.count(2)
        loop = asyncio.get_running_loop()
        tick = loop.time()
        while is_connected(request):
            changed = itertools.islice(versions, round(CHANGES_PER_SECOND * TICK_SECONDS))
            events = [event("MODIFIED", _slice(each % SERVICES, each)) for each in changed]
            await response.write(b"".join(events))
            tick += TICK_SECONDS
            await asyncio.sleep(tick - loop.time())
        return response


def _service(number: int, version: int) -> Manifest:
    return service(f"{NAMESPACE}/s{number}", version=str(version))


def _slice(number: int, version: int) -> Manifest:
    address = f"10.67.{version // 250 % 250}.{version % 250 + 1}"
    return endpoint_slice(None, address, key=f"{NAMESPACE}/s{number}", version=str(version))
