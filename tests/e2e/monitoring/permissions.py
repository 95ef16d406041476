"""What Prometheus may read in the main cluster: what docs/how-to/monitoring.md grants."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.builders.manifests import Manifest
from tests.e2e.control_planes import Cluster
from tests.e2e.documented_commands import documented_commands
from tests.e2e.shell import Shell

from .deployed_monitoring import pod_namespace

ACCOUNT: Final = "prometheus-k8s"
NAMESPACE: Final = "monitoring"


@contextmanager
def discovered_pods(main: Cluster, shell: Shell) -> Iterator[list[Manifest]]:
    """The Pods that Prometheus finds, as its own ServiceAccount, where the PodMonitor looks."""
    main.create_namespace(NAMESPACE)
    main.create_service_account(ACCOUNT, NAMESPACE)
    shell(documented_commands("docs/how-to/monitoring.md")["permissions"])
    api = main.api_with_token(main.token(ACCOUNT, NAMESPACE))
    yield api.find("pods", pod_namespace())
    api.close()
    main.delete_namespace(NAMESPACE)
