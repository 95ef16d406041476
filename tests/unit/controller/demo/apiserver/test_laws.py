"""L13 valid: every object a plan creates passes the API server's own validation."""

from __future__ import annotations

from hypothesis import given

from svclink_controller.demo.apiserver.admission import fill_in, problems
from svclink_controller.demo.apiserver.status_errors import JsonObject
from svclink_core.codec import unstructure
from svclink_core.diffing import Create, Update
from svclink_core.planning import plan
from svclink_core.service_creation import CreateNamespace, CreateService
from svclink_core.snapshot import Snapshot
from tests.unit.controller.demo.apiserver.objects import kind_of
from tests.unit.core.strategies import snapshots
from tests.unit.core.world import NOW


@given(snapshots)
def test_l13_valid(found: Snapshot) -> None:
    """Whatever the remotes hold, nothing that is written is refused; the rules are the embedded server's."""
    for change in plan(found, NOW).changes:
        match change:
            case Create(endpoint_slice=written) | Update(endpoint_slice=written):
                assert_valid("EndpointSlice", unstructure(written))
            case CreateService(service=written):
                assert_valid("Service", unstructure(written))
            case CreateNamespace(namespace=written):
                assert_valid("Namespace", unstructure(written))
            case _:
                pass


def assert_valid(name: str, item: JsonObject) -> None:
    kind = kind_of(name)
    fill_in(kind, item, None)
    assert problems(kind, item) == []
