"""Any value in any field of any object of a file is read, or refused in one sentence.

Real: the files, the commands, the core. Substituted: nothing.
"""

from __future__ import annotations

import copy
import functools
import json
import operator
import tempfile
from pathlib import Path
from typing import Any, Final

import yaml
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from svclink_controller.cli.snapshots.file_objects import DumpError
from svclink_core.well_known import LABEL_GO_CLUSTER
from tests.builders import manifests
from tests.builders.manifests import Manifest
from tests.unit.controller.cli.dump_files import (
    Files,
    endpoint_slice,
    link,
    mirrored_slice,
    object_list,
    service,
)

OBJECTS: Final = {
    "service": service(sessionAffinityConfig={"clientIP": {"timeoutSeconds": 5}}),
    "slice": endpoint_slice(
        endpoints=[
            manifests.endpoint(
                zone="a",
                hints={"forZones": [{"name": "a"}]},
                targetRef={"kind": "Pod", "name": "p"},
            )
        ]
    ),
    "mirror": mirrored_slice(),
    "leftover": endpoint_slice("web-svclink-c1", labels={LABEL_GO_CLUSTER: "c1"}),
    "link": link(
        unreachable={"action": "NotReady", "afterSeconds": 1},
        excludedServices=["a/b"],
        status={"conditions": [{"type": "Ready", "status": "True", "reason": "a", "message": ""}]},
    ),
    "namespace": manifests.namespace("kube-system", uid="u"),
}

values: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [
            *(None, True, False, 0, -1, 65536, 10**30, -(2**63), 0.5, float("inf"), [], {}, [None]),
            *("", "\0", "a\nb", "é", "x" * 300, "10.0.0.1", "::1", "2024-13-45", "IPv6", "None"),
        ]
    ),
    st.text(max_size=5),
    st.integers(),
    st.lists(st.none() | st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.none() | st.integers(), max_size=2),
)

Place = tuple[Any, ...]


def places(value: Any, here: Place = ()) -> list[Place]:
    """The places of all values."""
    if not isinstance(value, dict | list):
        return []
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [place for key, item in items for place in ((*here, key), *places(item, (*here, key)))]


@st.composite
def odd_objects(draw: st.DrawFn) -> Manifest:
    """An object with one or two values replaced or removed."""
    found = copy.deepcopy(OBJECTS[draw(st.sampled_from(sorted(OBJECTS)))])
    for _ in range(draw(st.integers(1, 2))):
        *start, last = draw(st.sampled_from(places(found)))
        parent = functools.reduce(operator.getitem, start, found)
        if draw(st.booleans()):
            parent[last] = draw(values)
        else:
            del parent[last]
    return found


def run(files: Files, command: tuple[str, ...], odd: Manifest, *, is_main: bool) -> Result:
    """Run a command with an odd object in the file of one cluster, before the others."""
    usual = [service(), endpoint_slice("web-local")]
    main = [*usual, OBJECTS["link"]]
    contents = [[odd, *main], usual] if is_main else [main, [odd, *usual]]
    for name, content in zip(("main.yaml", "c1"), contents, strict=True):
        files.write_text(name, json.dumps(object_list(*content)))
    return files.run(*command, "--remote", f"c1={files.directory / 'c1'}")


@given(
    command=st.sampled_from(
        [
            *(("plan", "-o", form) for form in ("table", "json", "yaml", "diff")),
            *(("explain", "default/web", "-o", form) for form in ("table", "json", "yaml")),
        ]
    ),
    odd=odd_objects(),
    is_main=st.booleans(),
)
def test_odd_objects_are_read_or_refused(
    command: tuple[str, ...], odd: Manifest, *, is_main: bool
) -> None:
    """What is printed is complete, and what is refused is one line that names the file."""
    with tempfile.TemporaryDirectory() as name:
        done = run(Files(Path(name)), command, odd, is_main=is_main)
        if done.exception is None:
            if command[-1] in ("json", "yaml"):
                assert list(yaml.safe_load_all(done.stdout)) is not None
            return
        assert isinstance(done.exception, DumpError), done.exception
        assert str(done.exception).startswith(name)
        assert "\n" not in str(done.exception)
        assert done.stdout == ""
