"""Settings of the controller, as the command line gives them."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen

from svclink_controller.credentials.trust import STRICT, Trust
from svclink_controller.election.leader import DEFAULT_LEASE_NAME
from svclink_controller.monitoring.server import ListenAddress
from svclink_controller.wire.label_selector import EVERYTHING, LabelSelector
from svclink_core.snapshot import Options


@frozen
class Settings:
    """What the command line says.

    Args:
        kubeconfig: File for the main cluster; None: the ServiceAccount of the Pod.
        sync_interval: Seconds between two full rounds of planning.
        options: What decisions depend on.
        trust: What remote clusters may do.
        max_writes_per_second: Writes to EndpointSlices of the main cluster; None: as many as it takes.
        leader_elect: Whether to work only while holding a Lease, because there are other replicas.
        listen_address: Where to answer about metrics and health; None: nowhere.
        link_selector: The links to work on; others are other controllers'.
        lease_name: The Lease of the replicas that work on these links.
    """

    kubeconfig: Path | None = None
    sync_interval: float = 30
    options: Options = field(factory=Options)
    max_writes_per_second: float | None = None
    leader_elect: bool = False
    listen_address: ListenAddress | None = None
    trust: Trust = STRICT
    link_selector: LabelSelector = EVERYTHING
    lease_name: str = DEFAULT_LEASE_NAME

    @property
    def has_all_links(self) -> bool:
        """Whether no other controller works on links of the main cluster."""
        return self.link_selector == EVERYTHING
