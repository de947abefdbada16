"""What is known about one order, the terms under which it is placed, and what a decision about it consists of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from messages.contracts.message import Message
from messages.contracts.order import OrderPlaced
from messages.transport.addresses import Address
from messages.transport.replacing import quickly_replaced
from order_saga.participants import PARTICIPANTS, Granted, Participant, placed


class Phase(StrEnum):
    """How far an order has come. The first two are undecided, `placed` is one outcome, the last two are the other."""

    RESERVING = "reserving"
    ASSIGNING = "assigning"
    PLACED = "placed"
    RELEASING = "releasing"
    CLOSED = "closed"


class Standing(StrEnum):
    """What a participant has answered so far."""

    ASKED = "asked"
    RESERVED = "reserved"
    ASSIGNED = "assigned"
    REFUSED = "refused"
    RELEASED = "released"


@quickly_replaced
class Saga(NamedTuple):
    """One order. A tuple, because it is replaced with every step and a tuple is replaced fastest.

    The fields are the columns of its row, in the order of `COLUMNS`.
    """

    order_id: UUID
    phase: Phase
    standing: Mapping[str, Standing]
    """Only participants that were asked: one registered later takes no part in this order."""
    granted: Granted
    participant: str | None
    """The participant that refused, if that is why the order is not placed."""
    reason: str | None
    deadline: datetime
    asked_at: datetime
    """When the commands of this phase were first sent."""
    due_at: datetime
    """When to look at an unfinished order again; never later than the deadline of an undecided one."""
    repeats: int
    """How often the commands of this phase were repeated."""
    accepted_at: datetime
    decided_at: datetime | None = None
    cleaned_at: datetime | None = None
    fingerprint: bytes | None = None
    """None: the order was never requested, only cancelled or asked about."""
    traceparent: str | None = None
    request: str | None = None
    """The canonical content. Loaded only where a Reserve may have to be repeated."""
    version: int = 0
    """Incremented by each write, which fails if another transaction has written in the meantime."""

    @property
    def undecided(self) -> bool:
        return self.phase in (Phase.RESERVING, Phase.ASSIGNING)


@dataclass(frozen=True, slots=True)
class Policy:
    """How long things may take, and who takes part."""

    budget: timedelta
    """From acceptance to the latest decision; a client's own deadline can only be earlier."""
    lease_seconds: int
    repeat_base: timedelta
    repeat_cap: timedelta
    release_cap: timedelta
    alarm_after_repeats: int
    participants: Mapping[str, Participant] = field(default_factory=lambda: PARTICIPANTS)
    placed: Callable[[UUID, Granted], OrderPlaced] = placed
    """The customer's outcome, from what each of them granted."""


class Decision(NamedTuple):
    """The saga as it is from now on, what to send, and what to record."""

    saga: Saga | None
    """None: the order is still not known."""
    outgoing: Sequence[tuple[Message, Address]] = ()
    note: str = "no effect"
    """For the order's timeline."""
    alarms: Sequence[tuple[str, str]] = ()
    """(name, detail)."""
