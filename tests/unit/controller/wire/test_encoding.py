"""The fast encoder and the core's codec encode every EndpointSlice alike (law L10).

Real: both. Substituted: nothing.
"""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from svclink_controller.wire.encoding import encode_slice
from svclink_core import EndpointSlice
from svclink_core.codec import unstructure
from svclink_core.diffing import Precondition
from tests.unit.core.strategies.endpoint_slices import all_slices


@given(all_slices)
def test_encoder_and_codec_agree_on_every_slice(endpoint_slice: EndpointSlice) -> None:
    """Both encode an EndpointSlice to the same JSON."""
    assert json.loads(encode_slice(endpoint_slice)) == unstructure(endpoint_slice)


@given(all_slices, st.text(min_size=1), st.integers(min_value=1))
def test_precondition_is_in_the_metadata(
    endpoint_slice: EndpointSlice, uid: str, version: int
) -> None:
    """A precondition adds the uid and the resourceVersion to the metadata, and nothing else."""
    with_it = json.loads(encode_slice(endpoint_slice, Precondition(uid, str(version))))
    without = json.loads(encode_slice(endpoint_slice))
    assert with_it["metadata"] == without["metadata"] | {
        "uid": uid,
        "resourceVersion": str(version),
    }
    assert {**with_it, "metadata": {}} == {**without, "metadata": {}}
