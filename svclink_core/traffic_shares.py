"""How many endpoints of each cluster are active so that each gets its share, in one IP family.

kube-proxy chooses uniformly among the active endpoints. So the share of a cluster is its active
endpoints over all active ones, and depends on how many the other clusters have active.

The numbers are an equilibrium: no other number for one cluster alone brings its share nearer to the
wanted one (law L18). The best number for a cluster never falls when another cluster has more active
endpoints or when its own share is raised. Because of that, there is always an equilibrium, and the
one that is found from `_of_total` grows with every share (law L19). Shares of 100 or more, beside
others, have no total to start from: they start from all endpoints, which finds the greatest one.

All arithmetic is exact: with integers, never with floats.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, TypeAlias

from attrs import frozen

PERCENT: Final = 100

Numbers: TypeAlias = Mapping[str, int]
"""How many endpoints are active, by cluster."""


@frozen
class WantedShare:
    """The share that a cluster should get.

    Args:
        percent: Its part of all new connections, at least 1.
        ready: How many ready endpoints it has, at least 1.
    """

    percent: int
    ready: int


def share_numbers(others: int, wanted: Mapping[str, WantedShare]) -> dict[str, int]:
    """How many endpoints of each cluster with a share are active: at least 1.

    Without others, the shares hold among each other, with as many endpoints as possible. Shares
    that leave nothing for the others are out of reach: each comes as near as it can.

    >>> share_numbers(9, {"cluster-b": WantedShare(10, ready=20)})
    {'cluster-b': 1}
    >>> share_numbers(0, {"cluster-b": WantedShare(50, 9), "cluster-c": WantedShare(25, 3)})
    {'cluster-b': 6, 'cluster-c': 3}

    Args:
        others: How many endpoints are active that belong to no cluster with a share.
        wanted: The share of each cluster that has one and a ready endpoint.
    """
    total = sum([each.percent for each in wanted.values()])
    if others == 0 or total >= PERCENT:
        start = {name: each.ready for name, each in wanted.items()}
        return _equilibrium(start, others, PERCENT if others else total, wanted)
    start = {name: _of_total(each, others, total) for name, each in wanted.items()}
    return _equilibrium(start, others, PERCENT, wanted)


class Obstacle(Enum):
    """Why a cluster cannot get its share."""

    TOO_MANY_OTHERS = "the cluster has too few endpoints for its share"
    TOO_FEW_OTHERS = "too few endpoints outside the cluster are ready"
    NOTHING_READY = "the cluster has no ready endpoint"
    NOTHING_ELSE_READY = "only endpoints that should get no traffic are ready"
    DRAINED = "the ClusterLink is drained"
    FROZEN = "the ClusterLink is disabled and its EndpointSlices stay unchanged"


def why_missed(active: int, others: int, percent: int) -> Obstacle | None:
    """Why a cluster does not get its share, or None if no other number would be nearer to it.

    Args:
        active: How many of its endpoints are active. Where it has a share, at least one of its
            ready endpoints is.
        others: How many endpoints are active that belong to other clusters.
        percent: The share that it should get, 0 to 100.
    """
    if active == 0:
        return Obstacle.NOTHING_READY if percent > 0 and others > 0 else None
    if percent == 0:
        return Obstacle.NOTHING_ELSE_READY
    if percent < PERCENT and _nearest(percent, PERCENT, others) == active:
        return None
    got, wanted = PERCENT * active, percent * (active + others)
    if got == wanted:
        return None
    return Obstacle.TOO_MANY_OTHERS if got < wanted else Obstacle.TOO_FEW_OTHERS


def percent_of(part: int, whole: int) -> int | None:
    """A share in percent, rounded; None if there is nothing to share."""
    return None if whole == 0 else (2 * PERCENT * part + whole) // (2 * whole)


def _of_total(wanted: WantedShare, others: int, total: int) -> int:
    """The part of the wanted total, `others / (1 - total)`, that a cluster should have."""
    doubled, rest = 2 * wanted.percent * others, PERCENT - total
    number = -((rest - doubled) // (2 * rest))  # Rounded, and a half goes down.
    return min(max(number, 1), wanted.ready)


def _equilibrium(
    start: dict[str, int], others: int, whole: int, wanted: Mapping[str, WantedShare]
) -> dict[str, int]:
    """The equilibrium near `start`: at most it if all start too high, else the next one above.

    First down to numbers that no cluster wants to lower further, then up until all are content.
    Both end, because the best numbers rise and fall together.
    """
    numbers = start
    for limit in (min, max):
        while (best := _best_numbers(numbers, others, whole, wanted)) != numbers:
            moved = {name: limit(number, best[name]) for name, number in numbers.items()}
            if moved == numbers:
                break
            numbers = moved
    return numbers


def _best_numbers(
    numbers: dict[str, int], others: int, whole: int, wanted: Mapping[str, WantedShare]
) -> dict[str, int]:
    """The number that would be best for each cluster while those of the others stay."""
    total = others + sum(numbers.values())
    return {name: _best_number(each, whole, total - numbers[name]) for name, each in wanted.items()}


def _best_number(wanted: WantedShare, whole: int, others: int) -> int:
    """The possible number for one cluster that brings its share nearest to the wanted one."""
    if wanted.percent >= whole:
        return wanted.ready
    return min(max(_nearest(wanted.percent, whole, others), 1), wanted.ready)


def _nearest(part: int, whole: int, others: int) -> int:
    """The number whose share, `number / (number + others)`, is nearest to `part / whole`.

    Of two that are equally near, the lower one. `part` is less than `whole`.
    """
    lower = part * others // (whole - part)
    higher = lower + 1
    both = lower * (higher + others) + higher * (lower + others)
    is_higher_nearer = both * whole < 2 * part * (lower + others) * (higher + others)
    return higher if is_higher_nearer else lower
