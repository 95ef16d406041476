"""The error of a kubeconfig that is refused."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from svclink_core.errors import SvclinkError

KubeconfigReason: TypeAlias = Literal["InvalidKubeconfig", "InsecureKubeconfig"]

INVALID: Final = "InvalidKubeconfig"
"""The kubeconfig cannot be used."""

INSECURE: Final = "InsecureKubeconfig"
"""A field of the kubeconfig does more than carry credentials."""


class KubeconfigError(SvclinkError):
    """A kubeconfig is refused; the text names the field and the fix, and repeats no secret value.

    Args:
        reason: `InsecureKubeconfig` if a field does more than carry credentials, otherwise
            `InvalidKubeconfig`. Both are reasons of the ClusterLink's Ready condition.
        where: The field, for example `users[0].user.exec`.
        problem: The problem and its fix, for example `runs a program; use token`.
    """

    def __init__(self, reason: KubeconfigReason, where: str, problem: str) -> None:
        super().__init__(f"{where} {problem}")
        self.reason: KubeconfigReason = reason
        self.where = where
        self.problem = problem
