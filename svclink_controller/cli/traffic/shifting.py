"""Shifts the share of a cluster step by step: reads, asks the core what to do, and does it."""

from __future__ import annotations

from typing import assert_never

from attrs import define, evolve, field

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.cli.printing import percent_text
from svclink_controller.cli.traffic.interrupts import Interrupt
from svclink_controller.cli.traffic.progress import Report, Reporter
from svclink_controller.cli.traffic.writing import read_policy, write_policy
from svclink_controller.reflect.reflector import Reflector
from svclink_controller.wire.messages import WireError
from svclink_controller.wire.resources import ENDPOINT_SLICES
from svclink_core.codec import Json
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.explained import counted
from svclink_core.meta_v1 import NamespacedName
from svclink_core.traffic_edits import edited_policy
from svclink_core.traffic_policy_v1alpha1 import TrafficPolicy
from svclink_core.traffic_shift import (
    Pause,
    SetShare,
    Shift,
    ShiftEnd,
    ShiftFacts,
    ShiftState,
    next_move,
    shift_facts,
)
from svclink_core.well_known import LABEL_SERVICE_NAME


@define
class Shifting:
    """A shift under way.

    Args:
        client: The main cluster.
        service: The Service.
        shift: What to do.
        policy: The policy as last read; None before the Service has one.
        interrupt: Whether the user wants it to end.
        reporter: Shows each step.
        returns_on_interrupt: Whether an interrupt sets the share back.
        was_interrupted: Whether an interrupt came.
        state: How far it has come.
        facts: What was last known.
    """

    client: Client
    service: NamespacedName
    shift: Shift
    policy: TrafficPolicy | None
    interrupt: Interrupt
    reporter: Reporter
    returns_on_interrupt: bool
    was_interrupted: bool = False
    state: ShiftState = field(factory=ShiftState)
    facts: ShiftFacts = field(init=False)

    async def run(self) -> ShiftEnd | None:
        """How the shift ended; None if it was interrupted and stays where it is.

        Raises:
            TrafficError: The policy cannot be read or written.
        """
        while not self._is_interrupted():
            try:
                self.facts = await self._read()
                self.state, move = next_move(self.shift, self.state, self.facts, clock.elapsed())
                match move:
                    case SetShare(share):
                        await self._write(share)
                    case Pause():
                        self._show(move)
                        await self.interrupt.pause()
                    case ShiftEnd():
                        return move
                    case unexpected:
                        assert_never(unexpected)
            except (TransportError, WireError) as error:
                self.reporter.show(Report(f"cannot read the main cluster: {error}"))
                await self.interrupt.pause()
        return None

    def _is_interrupted(self) -> bool:
        """Whether to stay where the shift is. If the share is to be set back, that goes on."""
        if not self.interrupt.take():
            return False
        self.was_interrupted = True
        if self.policy is None or not self.returns_on_interrupt:
            return True
        self.state = evolve(self.state, is_returning=True)
        return False

    async def _read(self) -> ShiftFacts:
        if self.policy is None:
            return ShiftFacts(None, is_applied=False, ready=None)
        self.policy = await read_policy(self.client, self.policy)
        return shift_facts(self.policy, self.shift.cluster, await self._slices())

    async def _slices(self) -> list[EndpointSlice] | None:
        """All EndpointSlices of the Service; None if they cannot be read.

        They are read after the status, so they are not older than what it says is applied.
        """
        selector = f"{LABEL_SERVICE_NAME}={self.service.name}"
        resource = evolve(ENDPOINT_SLICES, label_selector=selector)
        try:
            listing = await Reflector(self.client, resource, self.service.namespace).list_all()
        except ApiError:
            return None
        return None if listing.undecodable else listing.items

    async def _write(self, share: int | None) -> None:
        wanted = edited_policy(self.policy, self.service, {self.shift.cluster: share})
        self.policy = await write_policy(self.client, self.policy, wanted)

    def _show(self, pause: Pause) -> None:
        facts, number, total = self.facts, self.state.step + 1, len(self.shift.steps)
        share = self.shift.steps[self.state.step]
        returning = self.state.is_returning
        place = "restoring the share" if returning else f"step {number} of {total}, {share}%"
        text = f"{place}: waiting for svclink to apply the change"
        if pause is Pause.WATCHING:
            got = percent_text(facts.reachable_share)
            active = counted(facts.active, "endpoint")
            text = f"{place}: applied ({active} active, actual share {got})"
        data: dict[str, Json] = {
            "service": str(self.service),
            "cluster": self.shift.cluster,
            "share": facts.share,
            "reachableShare": facts.reachable_share,
            "active": facts.active,
            "ready": facts.ready,
            "state": "Returning" if returning else pause.name.capitalize(),
        }
        self.reporter.show(Report(text, number - 1, total, data))
