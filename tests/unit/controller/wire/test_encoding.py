"""The fast encoder and the core's codec encode every EndpointSlice alike (law L10).

Real: both. Substituted: nothing.
"""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from svclink_controller.wire.decoding import decode_slice, decode_written_slice
from svclink_controller.wire.encoding import encode_slice
from svclink_core import EndpointSlice
from svclink_core.codec import unstructure
from svclink_core.diffing import Precondition
from tests.builders.values import mirrored_slice
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


@given(all_slices, all_slices)
def test_response_to_a_write_is_decoded_no_further_than_needed(
    sent: EndpointSlice, other: EndpointSlice
) -> None:
    """Whether or not the server stored what was sent, the result is what the decoder reads."""
    body = encode_slice(sent)
    for answer in (body, encode_slice(other), json.dumps(json.loads(body)).encode()):
        assert decode_written_slice(answer, sent, body) == decode_slice(answer)


def test_endpoints_that_were_stored_as_sent_are_shared() -> None:
    """Source and mirror share the memory of one, however the server encodes its response."""
    sent = mirrored_slice("web-c1", "10.0.0.1", "10.0.0.2")
    body = encode_slice(sent)
    for answer in (body, json.dumps(json.loads(body)).encode()):
        assert decode_written_slice(answer, sent, body).endpoints is sent.endpoints
