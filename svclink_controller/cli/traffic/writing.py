"""Writes what commands change: ClusterLinks, and the TrafficPolicies of Services."""

from __future__ import annotations

from typing import Final

from attrs import evolve

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError
from svclink_controller.cli.snapshots.live import Scope, read_links
from svclink_controller.cli.snapshots.partial import used_links
from svclink_controller.invocation import as_started
from svclink_controller.reflect.reflector import INSTALL_POLICY_CRD
from svclink_controller.wire.reading import decode_object
from svclink_controller.wire.resources import CLUSTER_LINKS, TRAFFIC_POLICIES
from svclink_core import codec
from svclink_core.codec import Json
from svclink_core.errors import SvclinkError
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.traffic_policy_v1alpha1 import TrafficPolicy

ATTEMPTS: Final = 5
"""How often a policy is written if svclink writes its status at the same moment."""


class TrafficError(SvclinkError):
    """Traffic cannot be changed as asked; the message says why, and what to do."""


async def find_link(client: Client, scope: Scope, name: str) -> ClusterLink:
    """The ClusterLink of a cluster.

    Raises:
        TrafficError: There is none; the message names those that exist. Or it is undecodable.
    """
    links = {each.metadata.name: each for each in used_links(await read_links(client, scope))}
    if name not in links:
        create = as_started(f"svclink export-kubeconfig CONTEXT --link {name}")
        known = f"use one of {', '.join(sorted(links))}" if links else f"create it with {create}"
        raise TrafficError(f"there is no ClusterLink {name}: {known}")
    link = links[name]
    if link.undecodable:
        raise TrafficError(f"ClusterLink {name} could not be decoded: {link.undecodable}")
    return link


async def set_drained(client: Client, link: ClusterLink, *, drained: bool) -> ClusterLink:
    """Write `spec.drained` of a link, unless it is so already.

    Raises:
        TrafficError: The API server refused it, or its CRD does not know the field.
    """
    if link.spec.drained is drained:
        return link
    name = link.metadata.name
    change: dict[str, Json] = {
        "metadata": {"uid": link.metadata.uid},
        "spec": {"drained": drained},
    }
    try:
        content = await client.merge_patch(
            CLUSTER_LINKS.path(link.metadata.namespace, name), change
        )
    except ApiError as error:
        raise TrafficError(f"ClusterLink {name} was not changed: {error}") from error
    changed = decode_object(content, CLUSTER_LINKS)
    if changed.spec.drained is not drained:
        raise TrafficError(
            "the ClusterLink CRD in the main cluster does not have spec.drained: update the CRD"
            " (kubectl apply -f crd/)"
        )
    return changed


async def read_policy(client: Client, policy: TrafficPolicy) -> TrafficPolicy:
    """A policy as the API server has it now.

    Raises:
        TrafficError: It is gone, or may not be read.
    """
    key = policy.metadata.key
    try:
        content = await client.get(TRAFFIC_POLICIES.path(key.namespace, key.name))
    except ApiError as error:
        raise TrafficError(f"TrafficPolicy {key} cannot be read: {error}") from error
    return decode_object(content, TRAFFIC_POLICIES)


async def write_policy(
    client: Client, stored: TrafficPolicy | None, policy: TrafficPolicy
) -> TrafficPolicy:
    """Create a policy, or write its clusters; its other fields stay as the API server has them.

    Args:
        client: The main cluster.
        stored: The policy as it was read; None if there is none.
        policy: The policy as it should be.

    Raises:
        TrafficError: The API server refused it, or another client changed it since it was read.
    """
    if stored is None:
        return await _create(client, policy)
    return await _change(client, stored, policy)


async def _create(client: Client, policy: TrafficPolicy) -> TrafficPolicy:
    key = policy.metadata.key
    body = {name: value for name, value in codec.unstructure(policy).items() if name != "status"}
    try:
        content = await client.post(TRAFFIC_POLICIES.path(key.namespace), body)
    except ApiError as error:
        raise _not_written(policy, error) from error
    return decode_object(content, TRAFFIC_POLICIES)


async def _change(client: Client, stored: TrafficPolicy, policy: TrafficPolicy) -> TrafficPolicy:
    key = stored.metadata.key
    path = TRAFFIC_POLICIES.path(key.namespace, key.name)
    clusters = _spec_of(policy)["clusters"]
    for _ in range(ATTEMPTS):
        version = stored.metadata.resource_version
        change: dict[str, Json] = {
            "metadata": {"resourceVersion": version},
            "spec": {"clusters": clusters},
        }
        try:
            return decode_object(await client.merge_patch(path, change), TRAFFIC_POLICIES)
        except ApiError as error:
            if error.status.reason != "Conflict":
                raise _not_written(policy, error) from error
        current = await read_policy(client, stored)
        if not _is_same(current, stored):
            break
        stored = evolve(stored, metadata=current.metadata)
    raise TrafficError(f"another client keeps changing TrafficPolicy {key}: run the command again")


def _spec_of(policy: TrafficPolicy) -> dict[str, Json]:
    spec = codec.unstructure(policy)["spec"]
    return spec if isinstance(spec, dict) else {}


def _is_same(one: TrafficPolicy, other: TrafficPolicy) -> bool:
    """Whether two states of a policy differ at most in what svclink writes."""
    return (one.metadata.uid, one.spec) == (other.metadata.uid, other.spec)


def _not_written(policy: TrafficPolicy, error: ApiError) -> TrafficError:
    key, reason = policy.metadata.key, error.status.reason
    if reason == "AlreadyExists":
        return TrafficError(
            f"TrafficPolicy {key} exists but is not in effect for {policy.service}:"
            " correct its spec.targetRef, or delete it"
        )
    fix = f": {INSTALL_POLICY_CRD}" if error.status.code == 404 else ""
    return TrafficError(f"TrafficPolicy {key} was not written: {error}{fix}")
