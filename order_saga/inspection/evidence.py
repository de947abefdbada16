"""What an audit reads, and what it reports: rows of the published views, gathered by order and by service."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from messages.contracts.views import FULFILLED, HELD, Holding, Order, Parked, Received, Unit
from messages.transport.command_line.printing import aware
from order_saga.participants import Participant

CLOCKS_APART = timedelta(hours=1)
"""Clocks that are further apart are wrong; what waits for less than that is worth no repair."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong: which invariant, about what, and one sentence that says how."""

    invariant: str
    sentence: str
    order_id: UUID | None = None
    service: str | None = None
    """None: the order as a whole, by the order saga's own row."""


@dataclass(frozen=True, slots=True)
class Share:
    """One participant's view of one order: its reservation row, and the units that carry the order's id."""

    participant: Participant
    holding: Holding | None = None
    units: tuple[Unit, ...] = ()

    @property
    def state(self) -> str:
        return self.holding.state if self.holding else "absent"

    @property
    def listed(self) -> frozenset[str]:
        """The units that are the order's by its reservation."""
        return frozenset(self.holding.unit_ids) if self.holding and self._has(self.state) else frozenset()

    @property
    def carried(self) -> frozenset[str]:
        """The units that are the order's by their own rows."""
        return frozenset(unit.unit_id for unit in self.units if self._has(unit.state))

    @property
    def kinds(self) -> dict[str, int]:
        kinds: dict[str, int] = {}
        for unit in self.units:
            kinds[unit.kind] = kinds.get(unit.kind, 0) + 1
        return kinds

    def _has(self, state: str) -> bool:
        """A used-up unit stays the order's, as long as its row exists."""
        return state in HELD or (state == FULFILLED and self.participant.used_up)


@dataclass(frozen=True, slots=True)
class Account:
    """What all the databases say about one order."""

    order_id: UUID
    order: Order | None
    shares: Mapping[str, Share]
    """By participant; every participant is there."""


@dataclass(frozen=True, slots=True)
class Census:
    """What one service's database says beyond single orders."""

    service: str
    stock: Sequence[tuple[Received, int]] = ()
    """What was received of each kind in each place, and how many units are there."""
    parked: Sequence[Parked] = ()
    """What could not be handled through the system's own fault."""
    unpublished: int = 0
    """Envelopes that are still in the outbox and should not be."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When the audit looked, by the orchestrator's clock, and the grace period."""

    now: datetime
    grace: timedelta = timedelta()
    at_rest: bool = False
    """Nothing is running: what is merely unfinished is wrong too."""

    def is_overdue(self, due: datetime | None, at_least: timedelta = timedelta()) -> bool:
        """Whether `due` is older than the grace period; None counts as overdue, and so does everything at rest."""
        return self.at_rest or due is None or aware(due) < self.now - max(self.grace, at_least)

    def is_past(self, happened: datetime | None, at_least: timedelta = timedelta()) -> bool:
        """The same of what has happened, even if by its own time it is still to come: then a clock has gone back."""
        return self.is_overdue(happened, at_least) or self.is_to_come(happened)

    def is_to_come(self, happened: datetime | None) -> bool:
        """What is later was not written by a clock that is merely off."""
        return happened is not None and aware(happened) > self.now + CLOCKS_APART
