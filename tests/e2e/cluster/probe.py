"""A Service of a remote whose addresses a test writes, to see when a change is mirrored."""

from __future__ import annotations

import itertools
from typing import Final

from svclink_core.well_known import LABEL_SERVICE_NAME
from tests.builders.manifests import endpoint, endpoint_slice, service
from tests.e2e.api_client import Api
from tests.e2e.polling import eventually
from tests.e2e.world import slice_name

NAME: Final = "probe"


class Probe:
    """The Service, in a namespace that main and the remote have."""

    def __init__(self, main: Api, remote: Api, namespace: str) -> None:
        self._main = main
        self._remote = remote
        self._namespace = namespace
        self._addresses = (f"10.201.{n // 250}.{n % 250 + 1}" for n in itertools.count())

    def create(self) -> None:
        """Create the Service in both clusters, and its slice in the remote."""
        key = f"{self._namespace}/{NAME}"
        for api in (self._main, self._remote):
            api.create(service(key))
        self._remote.create(endpoint_slice(None, key=key))

    def delete(self) -> None:
        self._remote.delete("endpointslices", slice_name(NAME), self._namespace)
        for api in (self._main, self._remote):
            api.delete("services", NAME, self._namespace)

    def change(self) -> str:
        """Write another address in the remote, and return it."""
        address = next(self._addresses)
        changes = {"endpoints": [endpoint(address)]}
        self._remote.patch("endpointslices", slice_name(NAME), self._namespace, changes)
        return address

    def await_mirrored(self, address: str, timeout: float = 60.0) -> None:
        """Wait until main has exactly this address."""
        eventually(lambda: self._assert_mirrored(address), timeout)

    def _assert_mirrored(self, address: str) -> None:
        slices = self._main.find("endpointslices", self._namespace, {LABEL_SERVICE_NAME: NAME})
        mirrored = [each for item in slices for each in item["endpoints"] or ()]
        addresses = [member["addresses"] for member in mirrored]
        assert addresses == [[address]], f"mirrored: {addresses}, expected: {address}"
