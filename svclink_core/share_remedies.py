"""What makes a missed share possible: more ready endpoints in one place, or fewer in another.

The active endpoints of other clusters with a share follow the shares. So each number is found with
the rule that chooses the active endpoints.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Final

from attrs import evolve, frozen

from svclink_core.service_traffic import EndpointUse, FamilyTraffic, TrafficReason
from svclink_core.traffic_shares import (
    PERCENT,
    Obstacle,
    WantedShare,
    share_numbers,
    why_missed,
)

_WITHOUT_SHARE: Final = (TrafficReason.LOCAL, TrafficReason.IN_USE)


@frozen
class Remedies:
    """Changes that each make a missed share possible. A number is 0 if there is no such change.

    Args:
        more: How many more ready endpoints the cluster needs.
        more_elsewhere: How many more main or another cluster without a share needs.
        fewer_elsewhere: How many fewer main and the other clusters without a share must have.
    """

    more: int = 0
    more_elsewhere: int = 0
    fewer_elsewhere: int = 0


def share_remedies(use: EndpointUse, family: FamilyTraffic) -> Remedies:
    """What makes the share of a cluster possible while the same tiers are in use.

    Args:
        use: A cluster that misses its share because of the numbers of endpoints.
        family: The traffic of its IP family.
    """
    shared = [each for each in family.uses if each.reason is TrafficReason.SHARE]
    wanted = {each.cluster: WantedShare(each.wanted_share or 0, each.ready) for each in shared}
    case = _Case(use.cluster, wanted, family.active - sum([each.active for each in shared]))
    if use.miss is Obstacle.TOO_FEW_OTHERS:
        return Remedies(more_elsewhere=_more_elsewhere(case))
    return Remedies(
        more=_least(case.with_more, case.most_useful()),
        fewer_elsewhere=_least(case.with_fewer_others, _removable(family)),
    )


@frozen
class _Case:
    """A cluster, all clusters with a share, and how many endpoints are active elsewhere."""

    cluster: str
    wanted: Mapping[str, WantedShare]
    others: int

    @property
    def own(self) -> WantedShare:
        return self.wanted[self.cluster]

    def most_useful(self) -> int:
        """The number of endpoints that is enough whatever the other clusters have active."""
        if self.own.percent >= PERCENT:
            return 0
        rivals = sum([each.ready for name, each in self.wanted.items() if name != self.cluster])
        return self.own.percent * (self.others + rivals) // (PERCENT - self.own.percent) + 1

    def with_more(self, number: int) -> _Case:
        grown = evolve(self.own, ready=self.own.ready + number)
        return evolve(self, wanted={**self.wanted, self.cluster: grown})

    def with_others(self, number: int) -> _Case:
        return evolve(self, others=self.others + number)

    def with_fewer_others(self, number: int) -> _Case:
        return self.with_others(-number)

    def active(self) -> tuple[int, int]:
        """How many endpoints of the cluster are active, and how many in all."""
        numbers = share_numbers(self.others, self.wanted)
        return numbers[self.cluster], self.others + sum(numbers.values())

    def is_too_low(self) -> bool:
        active, total = self.active()
        return why_missed(active, total - active, self.own.percent) is Obstacle.TOO_MANY_OTHERS

    def is_reached(self) -> bool:
        active, total = self.active()
        return why_missed(active, total - active, self.own.percent) is None

    def is_at_most_wanted(self) -> bool:
        active, total = self.active()
        return PERCENT * active <= self.own.percent * total


def _least(change: Callable[[int], _Case], most: int) -> int:
    """The least number of a change that raises the share enough; 0 if there is none."""
    numbers = range(1, most + 1)
    place = bisect_left(numbers, 1, key=lambda number: int(not change(number).is_too_low()))
    return numbers[place] if place < most and change(numbers[place]).is_reached() else 0


def _more_elsewhere(case: _Case) -> int:
    """The least number that lowers the share to the wanted one, or near it; 0 if there is none.

    They are tried in turn, because the share rises with each endpoint that becomes active. For the
    one that always is, a share of 1% needs 99 others.
    """
    near = 0
    for number in range(1, PERCENT + 1):
        each = case.with_others(number)
        if each.is_reached():
            if each.is_at_most_wanted():
                return number
            near = near or number
    return near


def _removable(family: FamilyTraffic) -> int:
    """How many endpoints elsewhere may go: none where those of a later tier may replace them."""
    if any(each.tier > family.last_tier and each.ready > 0 for each in family.uses):
        return 0
    return sum([each.active for each in family.uses if each.reason in _WITHOUT_SHARE])
