"""Whether the credentials for a cluster are valid, according to token and certificates."""

from __future__ import annotations

from typing import Final

from svclink_controller import clock
from svclink_controller.cli.preflight.results import Result, Severity
from svclink_controller.credentials.expiry import expiries_of, start_of
from svclink_controller.credentials.kubeconfig import Credentials
from svclink_core.credential_expiry import credential_state
from svclink_core.link_reasons import LinkReason

_LEVELS: Final[dict[LinkReason, Severity]] = {
    LinkReason.CREDENTIALS_VALID: "ok",
    LinkReason.CREDENTIALS_EXPIRE_SOON: "warn",
    LinkReason.CREDENTIALS_EXPIRED: "fail",
}


def check_credentials(cluster: str, credentials: Credentials, now: float, fix: str) -> list[Result]:
    """Whether the credentials in a kubeconfig are valid now and for another week.

    Args:
        cluster: Name of the link, or `MAIN`.
        credentials: What the kubeconfig holds.
        now: POSIX seconds.
        fix: The command that creates new ones.
    """
    state = credential_state(expiries_of(credentials), now)
    level, message = _LEVELS[state.reason], state.text
    if level != "fail" and (start := start_of(credentials)) > now:
        level = "fail"
        message = f"the client certificate is not valid before {clock.rfc3339(start)}"
    return [Result(level, cluster, "credentials", message, "" if level == "ok" else fix)]
