"""L13 valid: every object a plan creates passes the API server's own validation."""

from __future__ import annotations

from hypothesis import given

from svclink_controller.demo.apiserver.registry.admission import problems, set_defaults
from svclink_controller.demo.apiserver.status_errors import JsonObject
from svclink_core.codec import unstructure
from svclink_core.diffing import Create, Update
from svclink_core.full_planning import plan
from svclink_core.service_creation import CreateNamespace, CreateService
from svclink_core.snapshot import Snapshot
from tests.unit.controller.demo.apiserver.objects import type_of
from tests.unit.core.strategies.snapshots import snapshots
from tests.unit.core.world import NOW


@given(snapshots)
def test_l13_valid(snapshot: Snapshot) -> None:
    """Whatever the remote clusters hold, the embedded server accepts every object a plan writes."""
    for change in plan(snapshot, NOW).changes:
        match change:
            case Create(endpoint_slice=written) | Update(endpoint_slice=written):
                assert_valid("EndpointSlice", unstructure(written))
            case CreateService(service=written):
                assert_valid("Service", unstructure(written))
            case CreateNamespace(namespace=written):
                assert_valid("Namespace", unstructure(written))
            case _:
                pass


def assert_valid(kind: str, item: JsonObject) -> None:
    resource_type = type_of(kind)
    set_defaults(resource_type, item, None)
    assert problems(resource_type, item) == []
