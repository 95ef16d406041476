"""Writes what commands change: ClusterLinks, and the TrafficPolicies of Services."""

from __future__ import annotations

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError
from svclink_controller.cli.snapshots.live import Scope, read_links
from svclink_controller.cli.snapshots.partial import used_links
from svclink_controller.reflect.reflector import INSTALL_CRD
from svclink_controller.wire.reading import decode_object
from svclink_controller.wire.resources import CLUSTER_LINKS
from svclink_core.codec import Json
from svclink_core.errors import SvclinkError
from svclink_core.svclink_v1alpha1 import ClusterLink


class TrafficError(SvclinkError):
    """Traffic cannot be changed as asked; the message says why, and what to do."""


async def find_link(client: Client, scope: Scope, name: str) -> ClusterLink:
    """The ClusterLink of a cluster.

    Raises:
        TrafficError: There is none; the message names those that exist.
    """
    links = {each.metadata.name: each for each in used_links(await read_links(client, scope))}
    if name not in links:
        create = f"create it with svclink export-kubeconfig --link {name}"
        known = f"use one of {', '.join(sorted(links))}" if links else create
        raise TrafficError(f"there is no ClusterLink {name}: {known}")
    return links[name]


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
            f"the ClusterLink CRD of the main cluster does not know spec.drained: {INSTALL_CRD}"
        )
    return changed
