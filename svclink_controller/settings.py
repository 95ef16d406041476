"""The settings of the controller, which the command line gives."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen

from svclink_controller.credentials.trust import STRICT, Trust
from svclink_controller.election.leader import DEFAULT_LEASE_NAME
from svclink_controller.monitoring.listen_address import ListenAddress
from svclink_core.budget import Budget
from svclink_core.label_selector import EVERYTHING, Selector
from svclink_core.snapshot import Options


@frozen
class Settings:
    """The flags of the controller.

    Args:
        kubeconfig: File for the main cluster; None: the ServiceAccount of the Pod.
        sync_interval: Seconds between two resyncs.
        options: The settings that plans depend on.
        max_writes_per_second: Limit on EndpointSlice writes; None: unlimited.
        leader_elect: Whether several replicas elect a leader, which alone writes.
        listen_address: Where to serve metrics and probes; None: nowhere.
        trust: What the administrator allows remote clusters.
        remote_budget: What each remote cluster may cost.
        link_selector: The links that this controller handles.
        lease_name: Name of the Lease that the replicas elect their leader with.
        kube_context: Context of the kubeconfig; None: the current one.
        controller_namespace: Where the Lease is, and the Secrets of links; None: the namespace of
            the Pod, or the one that is found from the kubeconfig.
    """

    kubeconfig: Path | None = None
    sync_interval: float = 30
    options: Options = field(factory=Options)
    max_writes_per_second: float | None = None
    leader_elect: bool = False
    listen_address: ListenAddress | None = None
    trust: Trust = STRICT
    remote_budget: Budget = field(factory=Budget)
    link_selector: Selector = EVERYTHING
    lease_name: str = DEFAULT_LEASE_NAME
    kube_context: str | None = None
    controller_namespace: str | None = None

    @property
    def has_all_links(self) -> bool:
        """Whether this controller handles every link of the main cluster."""
        return self.link_selector == EVERYTHING

    @property
    def seeks_namespace(self) -> bool:
        """Whether the Secrets of links are sought where other controllers run.

        A controller that elects a leader keeps the namespace of its Lease: that must not depend on
        what can be listed when a replica starts.
        """
        is_given = self.kubeconfig is None or self.controller_namespace is not None
        return not is_given and not self.leader_elect
