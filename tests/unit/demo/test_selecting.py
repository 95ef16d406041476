"""Label and field selectors."""

from __future__ import annotations

import pytest

from svclink_controller.demo.refusals import RefusalError
from svclink_controller.demo.selecting import selector

ITEM = {"metadata": {"name": "web", "labels": {"app": "web", "tier": ""}}, "involvedObject": {"kind": "ClusterLink"}}


@pytest.mark.parametrize(
    ("labels", "is_selected"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app!=web", False),
        ("app=web,tier=", True),
        ("app=web, missing=x", False),
        ("missing!=x", True),
        ("app in (api, web)", True),
        ("app notin (api, web)", False),
        ("missing notin (x)", True),
        ("app", True),
        ("missing", False),
        ("!missing", True),
        ("!app", False),
        ("kubernetes.io/service-name=web", False),
    ],
)
def test_labels_are_selected_as_kubectl_writes_it(labels: str, *, is_selected: bool) -> None:
    """Terms are joined by commas; what is not there is unequal to everything."""
    assert selector({"labelSelector": labels})(ITEM) is is_selected


@pytest.mark.parametrize(
    ("fields", "is_selected"),
    [
        ("metadata.name=web", True),
        ("metadata.name!=web", False),
        ("involvedObject.kind=ClusterLink,metadata.name=web", True),
        ("involvedObject.namespace=", True),
    ],
)
def test_fields_are_selected_by_their_path(fields: str, *, is_selected: bool) -> None:
    """A field that is not there is empty."""
    assert selector({"fieldSelector": fields})(ITEM) is is_selected


@pytest.mark.parametrize("labels", ["app=web,,", "app in web", "=x", "app=web tier=x"])
def test_a_selector_that_makes_no_sense_is_refused(labels: str) -> None:
    """400, with the part that was not understood."""
    with pytest.raises(RefusalError, match="unable to parse requirement"):
        selector({"labelSelector": labels})
