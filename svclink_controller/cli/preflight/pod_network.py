"""Whether Pods of the main cluster reach mirrored endpoints: this Pod connects to a few of them.

No object shows it: routes, firewalls and NetworkPolicies between the clusters decide.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar

from svclink_controller.cli.preflight.results import MAIN_SUBJECT, Result, Severity, shortened
from svclink_controller.cli.preflight.tcp_connections import Probe, ProbeOutcome, try_all
from svclink_controller.cli.snapshots.live import Scope
from svclink_controller.credentials.trust import Trust
from svclink_core.addressing import FQDN
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.filtering import Skipped, judge, why_untouched
from svclink_core.ownership import Ours, owner_of, service_of
from svclink_core.snapshot import RemoteCluster, Snapshot

MOST_PROBES_OF_FAMILY: Final = 3
MOST_PROBES: Final = 300
"""With very many links, there is one probe for each of them and IP family."""

SUBJECT: Final = "pod network"
RUN_IN_POD: Final = (
    "kubectl apply -f deploy/check.yaml  # svclink check in a Pod: docs/tutorials/two-clusters.md"
)
_NOT_IN_POD: Final = "not checked: run this check in a Pod in the main cluster"
_NOTHING_MIRRORED: Final = "not checked: the cluster has no ready mirrored TCP endpoint"

T = TypeVar("T")


async def check_pod_network(snapshot: Snapshot, scope: Scope) -> list[Result]:
    """One line for each link and IP family, or one that says how to check this in a Pod."""
    if not scope.in_pod:
        return [Result("skip", MAIN_SUBJECT, SUBJECT, _NOT_IN_POD, RUN_IN_POD)]
    outcomes = await try_all(choose_probes(snapshot, scope.trust))
    return list(judge_outcomes(_followed(snapshot), outcomes))


def choose_probes(snapshot: Snapshot, trust: Trust) -> list[Probe]:
    """A few ready endpoints of each link and IP family: whatever is mirrored and stays mirrored.

    They are spread over all addresses, because those of one node are often next to each other.

    Args:
        snapshot: All clusters.
        trust: The addresses that may be connected to.
    """
    groups: dict[tuple[str, str], dict[str, Probe]] = {}
    for cluster, endpoint_slice in _mirrors(snapshot):
        for probe in _probes_of(cluster, endpoint_slice, trust):
            groups.setdefault((cluster, probe.family), {}).setdefault(probe.address, probe)
    each = max(1, min(MOST_PROBES_OF_FAMILY, MOST_PROBES // max(1, len(groups))))
    return [
        probe
        for key in sorted(groups)
        for probe in spread(sorted(groups[key].values(), key=_by_address), each)
    ]


def judge_outcomes(links: Iterable[str], outcomes: Sequence[ProbeOutcome]) -> Iterator[Result]:
    """One line for each link and IP family.

    An address that refuses a connection can be reached: whether its Pod works is not asked here.
    """
    families: dict[str, dict[str, list[ProbeOutcome]]] = {link: {} for link in sorted(links)}
    for outcome in outcomes:
        of_link = families.setdefault(outcome.probe.cluster, {})
        of_link.setdefault(outcome.probe.family, []).append(outcome)
    for link, by_family in families.items():
        for family, tried in by_family.items():
            yield _judge_family(link, family, tried)
        if not by_family:
            yield Result("skip", link, SUBJECT, _NOTHING_MIRRORED, "svclink services")


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most so many of the items, at equal distances."""
    taken = min(count, len(items))
    return [items[len(items) * number // taken] for number in range(taken)]


def _judge_family(link: str, family: str, outcomes: Sequence[ProbeOutcome]) -> Result:
    failed = [each for each in outcomes if each.problem]
    message = (
        f"{len(outcomes) - len(failed)} of {len(outcomes)} {family} endpoints accepted a connection"
    )
    if not failed:
        where = shortened([each.probe.where for each in outcomes])
        return Result("ok", link, SUBJECT, f"{message}: {where}")
    answered = any(each.answered for each in outcomes)
    level: Severity = "warn" if answered else "fail"
    first = min(failed, key=lambda each: each.answered)
    probe = first.probe
    fix = (
        f"kubectl get endpointslice -n {probe.endpoint_slice.namespace} {probe.endpoint_slice.name}"
        "  # Pods in the main cluster need a route to its addresses: docs/tutorials/two-clusters.md"
    )
    problem = f"{probe.where} of {probe.service}: {first.problem}"
    return Result(level, link, SUBJECT, f"{message}; {problem}", fix)


def _mirrors(snapshot: Snapshot) -> Iterator[tuple[str, EndpointSlice]]:
    """The mirrors in the main cluster that filters and links still ask for, with their clusters."""
    for _, endpoint_slice in sorted(snapshot.main.names.items()):
        owner = owner_of(endpoint_slice)
        if isinstance(owner, Ours) and _is_wanted(endpoint_slice, owner.cluster, snapshot):
            yield owner.cluster, endpoint_slice


def _is_wanted(endpoint_slice: EndpointSlice, cluster: str, snapshot: Snapshot) -> bool:
    remote, service = snapshot.remotes.get(cluster), service_of(endpoint_slice)
    if remote is None or service is None or not _is_followed(remote):
        return False
    main = snapshot.main.services.get(service)
    call = snapshot.main.api_server_calls.of(service)
    return not isinstance(judge(service, remote, main, snapshot.options, call), Skipped)


def _followed(snapshot: Snapshot) -> list[str]:
    return [name for name, remote in snapshot.remotes.items() if _is_followed(remote)]


def _is_followed(remote: RemoteCluster) -> bool:
    """Whether the link is enabled."""
    return why_untouched(remote.link) is None


def _probes_of(cluster: str, endpoint_slice: EndpointSlice, trust: Trust) -> Iterator[Probe]:
    """A few probes of ready endpoints with allowed addresses, at the first TCP port."""
    service = service_of(endpoint_slice)
    ports = (each.port for each in endpoint_slice.ports if each.protocol == "TCP" and each.port)
    port, family = next(ports, None), endpoint_slice.address_type
    if service is None or port is None or family == FQDN:
        return
    ready = [
        endpoint.addresses[0]  # As kube-proxy does.
        for endpoint in endpoint_slice.endpoints
        if endpoint.conditions.ready is not False and endpoint.addresses
    ]
    for address in spread(ready, MOST_PROBES_OF_FAMILY):
        if _is_allowed(address, trust):
            yield Probe(cluster, family, address, port, endpoint_slice.metadata.key, service)


def _is_allowed(address: str, trust: Trust) -> bool:
    try:
        return trust.why_denied(address) is None
    except ValueError:  # Not an IP address.
        return False


def _by_address(probe: Probe) -> tuple[int, str]:
    return int(ipaddress.ip_address(probe.address)), probe.where
