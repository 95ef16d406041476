"""A fleet as a company might have it: some links in trouble, a canary, a failover, a drain."""

from __future__ import annotations

from typing import Final

from svclink_core.link_reasons import LinkReason
from svclink_core.service_traffic import TrafficReason
from svclink_core.traffic_status import PolicyReason
from svclink_core.well_known import Reason

from .facts import (
    ERROR,
    NONE,
    OK,
    SKIPPED,
    WAITING,
    WARNING,
    Facts,
    absent,
    cell,
    condition,
    endpoints,
    happened,
    link,
    row,
    seen,
    snapshot,
)

CLUSTERS: Final = ("ap-south", "edge-lab", "eu-north", "eu-west", "us-east", "us-west")
NAMES: Final = {
    "checkout": ("cart", "orders", "payments", "pricing", "vouchers"),
    "identity": ("accounts", "sessions", "tokens"),
    "media": ("images", "thumbnails", "video"),
    "platform": ("flags", "mail", "metrics-gateway", "queue", "webhooks"),
    "search": ("catalog", "index", "suggest"),
    "shop": ("api", "assets", "recommendations", "reviews", "web"),
}

UNREACHABLE: Final = (
    "connection refused by https://10.40.0.10:6443: check the server address in the kubeconfig"
    " and the network path to it"
)


def example_snapshot(**different: object) -> Facts:
    """The whole fleet, except for what differs."""
    links = [
        link("ap-south", endpoints(46), services=20, slices=21, version="v1.36.3"),
        link(
            "edge-lab",
            endpoints(3),
            level=SKIPPED,
            enabled=False,
            phase="Disabled",
            reason="Disabled",
            message=LinkReason.DISABLED.sentence,
            services=2,
            slices=2,
            version="v1.34.1",
            credentialsExpire=None,
            seen=seen(connection="Disabled", lastEvent=None, version=None, memory=0, services=0),
        ),
        link(
            "eu-north",
            endpoints(0, 38),
            drained=True,
            services=17,
            slices=17,
            stillNeededBy=0,
            unreachable={"action": "NotReady", "afterSeconds": 120, "force": False},
        ),
        link("eu-west", endpoints(71, 4, 2), services=22, slices=24),
        link(
            "us-east",
            endpoints(52, 12),
            level=WARNING,
            services=21,
            slices=22,
            credentialsExpire="2026-03-14T09:00:00Z",
            conditions=[
                condition("Ready", "True", "ClusterReady", "", healthy=True),
                condition(
                    "Degraded",
                    "True",
                    "PortMismatch",
                    f"1 Service (search/suggest): {LinkReason.PORT_MISMATCH.sentence}",
                    healthy=False,
                ),
                condition(
                    "CredentialsExpiring",
                    "True",
                    "CredentialsExpireSoon",
                    "the token expires at 2026-03-14T09:00:00Z:"
                    f" {LinkReason.CREDENTIALS_EXPIRE_SOON.sentence}",
                    healthy=False,
                ),
            ],
            seen=seen(memory=41_000_000),
        ),
        link(
            "us-west",
            endpoints(44),
            level=ERROR,
            phase="NotReady",
            reason="Unreachable",
            message=UNREACHABLE,
            services=19,
            slices=19,
            conditions=[condition("Ready", "False", "Unreachable", UNREACHABLE, healthy=False)],
            seen=seen(
                connection="Unreachable",
                reason="Unreachable",
                message="connection refused",
                lastEvent="2026-03-10T11:52:00Z",
            ),
        ),
    ]
    return snapshot(
        links,
        example_services(),
        happened=_happened(),
        events=_events(),
        **different,
    )


def example_services() -> dict[str, Facts]:
    """The Services of the fleet, by namespace and name."""
    keys = [f"{namespace}/{name}" for namespace, names in NAMES.items() for name in names]
    services = {key: _usual(number, key) for number, key in enumerate(keys)}
    services["shop/web"] = row(
        [
            cell(active=4),
            absent(),
            cell(standby=6),
            cell(active=2, standby=4),
            cell(active=3, total=4),
            _kept(3),
        ],
        local=(10, 10),
        policy="web",
    )
    services["checkout/payments"] = row(
        [absent(), absent(), cell(standby=4), cell(active=6), cell(active=3), absent()],
        local=(0, 3),
        policy="payments-failover",
        tier=1,
    )
    services["search/suggest"] = row(
        [
            cell(active=2),
            absent(),
            cell(standby=2),
            cell(active=2),
            cell(WARNING, active=2),
            _kept(2),
        ],
        findings=[("us-east", Reason.PORT_MISMATCH)],
    )
    services["platform/webhooks"] = row(
        [cell(SKIPPED, "Skipped", Reason.CALLED_BY_API_SERVER) for _ in CLUSTERS]
    )
    return services


def _kept(count: int) -> list[int]:
    return cell(WARNING, "Kept", Reason.UNREACHABLE, active=count)


def _usual(number: int, key: str) -> Facts:
    """A Service without trouble of its own. Which clusters have it depends on its number."""
    lab = cell(SKIPPED, "Kept", Reason.FROZEN, active=1) if number % 9 == 4 else absent()
    internal = cell(SKIPPED, "Skipped", Reason.NAMESPACE_EXCLUDED)
    cells = [
        internal if key.startswith("media/") else cell(active=1 + number % 3),
        lab,
        absent() if number % 4 == 3 else cell(standby=2),
        cell(active=2 + number % 4),
        cell(active=2, standby=number % 5 // 4) if number % 7 else absent(),
        absent() if number % 3 == 1 else _kept(2),
    ]
    return row(cells, local=None if number == 11 else (2 + number % 3, 2 + number % 3))


def example_service() -> Facts:
    """`shop/web`: a canary in eu-west, eu-north drained, and a cluster that is unreachable."""
    share = TrafficReason.SHARE.sentence
    return {
        "service": "shop/web",
        "revision": 1,
        "level": WARNING,
        "main": {
            "type": "ClusterIP",
            "headless": False,
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
            "ipFamilies": ["IPv4"],
            "trafficDistribution": None,
        },
        "clusters": [
            _cluster(None, "10.0", 10, share=45.5),
            _cluster("ap-south", "10.1", 4, share=18.2),
            _cluster("eu-north", "10.3", 0, standby=6, share=0.0),
            _cluster("eu-west", "10.4", 2, standby=4, share=9.1),
            _cluster("us-east", "10.5", 3, not_ready=1, share=13.6),
            _cluster(
                "us-west",
                "10.6",
                3,
                share=13.6,
                level="warning",
                outcome="Kept",
                reason="Unreachable",
                message=Reason.UNREACHABLE.sentence,
                problem={"reason": "Unreachable", "message": "connection refused"},
            ),
        ],
        "policy": {
            "name": "web",
            "minReady": 2,
            "recoverySeconds": 30,
            "conditions": [
                condition(
                    "Accepted", "True", "Accepted", PolicyReason.ACCEPTED.sentence, healthy=True
                ),
                condition(
                    "Applied", "True", "Applied", PolicyReason.APPLIED.sentence, healthy=True
                ),
            ],
        },
        "traffic": {
            "service": "shop/web",
            "policy": "web",
            "activeTier": 0,
            "clusters": [
                _use(None, 10, 10),
                _use("ap-south", 4, 4),
                _use("eu-north", 6, 0, message="the ClusterLink is drained"),
                _use("eu-west", 6, 2, wanted=10, message=share),
                _use("us-east", 3, 3),
                _use("us-west", 3, 3),
            ],
        },
        "ruleWithoutPolicy": "all ready endpoints get an equal share",
        "findings": [],
        "changes": [],
        "commands": ["svclink explain shop/web", "svclink traffic shop/web"],
    }


def _use(
    cluster: str | None, ready: int, active: int, *, wanted: int | None = None, message: str = ""
) -> Facts:
    return {
        "cluster": cluster,
        "ipFamily": "IPv4",
        "tier": 0,
        "endpoints": ready,
        "active": active,
        "wantedShare": wanted,
        "reachableShare": None,
        "reason": "Share",
        "message": message,
    }


def _cluster(
    name: str | None,
    network: str,
    active: int,
    *,
    standby: int = 0,
    not_ready: int = 0,
    **different: object,
) -> Facts:
    """What a cluster has of the Service, over two zones."""
    uses = ["active"] * active + ["standby"] * standby + ["notReady"] * not_ready
    listed = [
        {
            "address": f"{network}.{number // 4}.{11 + number}",
            "zone": f"{name or 'eu-central'}-{'ab'[number % 2]}",
            "ready": use == "active",
            "serving": use != "notReady",
            "terminating": use == "standby",
            "use": use,
            "slice": f"web-{name}" if name else "web-7xk2p",
            "ports": ["http 8080/TCP"],
        }
        for number, use in enumerate(uses)
    ]
    zones = sorted({str(each["zone"]) for each in listed})
    counted = [
        {
            "zone": zone,
            **{
                use: sum(each["zone"] == zone and each["use"] == use for each in listed)
                for use in ("active", "standby", "notReady")
            },
        }
        for zone in zones
    ]
    usual: Facts = {
        "cluster": name,
        "level": "ok",
        "outcome": "Mirrored" if name else None,
        "reason": "Mirrored" if name else None,
        "message": Reason.MIRRORED.sentence if name else None,
        "reference": None,
        "problem": None,
        "omitted": 0,
        "zones": counted,
        "endpoints": listed,
    }
    return endpoints(active, standby, not_ready) | usual | different


def _happened() -> list[Facts]:
    return [
        happened(
            1, "11:41:07", OK, "endpoints", "1 more endpoint", service="shop/api", cluster="eu-west"
        ),
        happened(
            2,
            "11:44:30",
            OK,
            "traffic",
            "TrafficPolicy web: share of eu-west is now 10% (was 5%)",
            service="shop/web",
        ),
        happened(3, "11:47:12", WAITING, "link", "disabled", cluster="edge-lab"),
        happened(
            4,
            "11:52:00",
            ERROR,
            "link",
            f"Unreachable: {UNREACHABLE} (was Synced)",
            cluster="us-west",
        ),
        happened(
            5,
            "11:55:18",
            WARNING,
            "service",
            f"Mirrored: {Reason.PORT_MISMATCH.sentence}",
            service="search/suggest",
            cluster="us-east",
        ),
        happened(
            6,
            "11:57:41",
            WARNING,
            "traffic",
            f"tier 1 is in use: {PolicyReason.FAILED_OVER.sentence}",
            service="checkout/payments",
        ),
        happened(
            7,
            "11:58:03",
            NONE,
            "endpoints",
            "2 of 6 endpoints active (was 1 of 6)",
            service="shop/web",
            cluster="eu-west",
        ),
    ]


def _events() -> list[Facts]:
    return [
        {
            "uid": "e1",
            "at": "2026-03-10T11:52:02Z",
            "type": "Warning",
            "reason": "Unreachable",
            "message": UNREACHABLE,
            "object": "ClusterLink/us-west",
            "count": 4,
        },
        {
            "uid": "e2",
            "at": "2026-03-10T11:57:42Z",
            "type": "Normal",
            "reason": "FailedOver",
            "message": PolicyReason.FAILED_OVER.sentence,
            "object": "TrafficPolicy/checkout/payments-failover",
            "count": 1,
        },
    ]


def large_snapshot(services: int, clusters: int) -> Facts:
    """A fleet of which every cluster has every Service; one Service in a hundred is in trouble."""
    links = [link(f"cluster-{number:02}", endpoints(2 * services)) for number in range(clusters)]
    usual = row([cell(active=2) for _ in links])
    trouble = row([cell(WARNING, "Kept", Reason.DELETION_HELD, active=2) for _ in links])
    rows = {
        f"team-{number % 40:02}/service-{number:04}": trouble if number % 100 == 37 else usual
        for number in range(services)
    }
    return snapshot(links, rows)
