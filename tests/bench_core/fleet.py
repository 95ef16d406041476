"""Clusters of any size as the controller holds them: every object is decoded from JSON."""

from __future__ import annotations

import json
from typing import Final

from attrs import evolve

from svclink_controller.wire.decoding import decode_remote_slice, decode_service, decode_slice
from svclink_core import (
    ClusterLink,
    Create,
    EndpointSlice,
    NamespacedName,
    ObjectMeta,
    Service,
    Snapshot,
    main_cluster,
    plan,
    remote_cluster,
    snapshot,
)
from svclink_core.codec import Json, unstructure
from svclink_core.well_known import LABEL_SERVICE_NAME

NOW: Final = 0.0
NAMESPACES: Final = 20


def key_of(number: int) -> NamespacedName:
    """The name of a Service."""
    return NamespacedName(f"team-{number % NAMESPACES}", f"service-{number:04}")


def service(number: int, cluster: str) -> Service:
    """A Service as its API server returns it."""
    key = key_of(number)
    content = {
        "metadata": {"name": key.name, "namespace": key.namespace, "uid": f"{cluster}-{number}"},
        "spec": {
            "clusterIP": "10.96.0.1",
            "ipFamilies": ["IPv4"],
            "ports": [{"name": "http", "port": 80}],
        },
    }
    return decode_service(json.dumps(content).encode())


def remote_slice(number: int, cluster: int, endpoints: int) -> EndpointSlice:
    """A slice of a remote cluster, as Kubernetes writes it: ready Pods of three zones, unsorted."""
    key = key_of(number)
    content = {
        "metadata": {
            "name": f"{key.name}-abcde",
            "namespace": key.namespace,
            "uid": f"{cluster}-{number}",
            "resourceVersion": "1",
            "labels": {LABEL_SERVICE_NAME: key.name},
        },
        "addressType": "IPv4",
        "endpoints": [endpoint(number * endpoints + place, cluster) for place in range(endpoints)],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }
    return decode_remote_slice(json.dumps(content).encode())


def endpoint(number: int, cluster: int) -> dict[str, Json]:
    """An endpoint with a unique address in its cluster; consecutive ones are far apart."""
    host = number * 7_919 % (1 << 20)
    return {
        "addresses": [f"10.{cluster * 16 + (host >> 16)}.{host >> 8 & 255}.{host & 255}"],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "nodeName": f"node-{host % 100}",
        "targetRef": {"kind": "Pod", "name": f"pod-{number}"},
        "zone": f"zone-{host % 3}",
    }


def fresh(clusters: int, services: int, endpoints: int) -> Snapshot:
    """Every Service in every cluster, with one slice, and no mirror yet."""
    return snapshot(
        main_cluster((service(number, "main") for number in range(services)), ()),
        [
            remote_cluster(
                ClusterLink(ObjectMeta(f"cluster-{cluster}", uid=f"link-{cluster}", generation=1)),
                [service(number, str(cluster)) for number in range(services)],
                [remote_slice(number, cluster, endpoints) for number in range(services)],
            )
            for cluster in range(clusters)
        ],
    )


def settled(found: Snapshot) -> Snapshot:
    """The snapshot after everything was mirrored and decoded again from the main cluster."""
    created = [
        change.endpoint_slice for change in plan(found, NOW).changes if isinstance(change, Create)
    ]
    stored = [
        as_stored(endpoint_slice, number) for number, endpoint_slice in enumerate(created, start=1)
    ]
    return evolve(found, main=main_cluster(found.main.services.values(), stored))


def as_stored(endpoint_slice: EndpointSlice, number: int) -> EndpointSlice:
    """A slice as the main API server returns it."""
    content = unstructure(
        evolve(
            endpoint_slice,
            metadata=evolve(endpoint_slice.metadata, uid=f"uid-{number}", resource_version="1"),
        )
    )
    return decode_slice(json.dumps(content).encode())


def forgetful(found: Snapshot) -> Snapshot:
    """The same snapshot with new slices, as after a restart. Endpoints are shared."""
    main = main_cluster(found.main.services.values(), map(evolve, found.main.names.values()))
    remotes = {
        name: evolve(
            remote,
            endpoint_slices={
                key: list(map(evolve, slices)) for key, slices in remote.endpoint_slices.items()
            },
        )
        for name, remote in found.remotes.items()
    }
    return evolve(found, main=main, remotes=remotes)
