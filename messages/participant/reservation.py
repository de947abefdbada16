"""What a participant has done for an order, and what it can decide about it: values without I/O.

absent    ─▶ reserved, refused, released (a tombstone)
reserved  ─▶ assigned, refused, expired, released
assigned  ─▶ confirmed, released; fulfilled, if the delivery was reported first
confirmed ─▶ fulfilled
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from messages.contracts.message import Message
from messages.contracts.participation import Reserve
from messages.participant.allocation import Allocation
from messages.transport.replacing import quickly_replaced


class State(StrEnum):
    ABSENT = "absent"  # no row: no message about the order has arrived, or it has been pruned
    RESERVED = "reserved"  # held until the lease is over
    ASSIGNED = "assigned"  # the order's, until it is released or confirmed
    CONFIRMED = "confirmed"  # the order is placed
    FULFILLED = "fulfilled"  # the customer has the food
    REFUSED = "refused"
    EXPIRED = "expired"
    RELEASED = "released"


HOLDING = frozenset({State.RESERVED, State.ASSIGNED, State.CONFIRMED})
"""States in which units carry the order's id."""


class Reply(StrEnum):
    """What is sent to the orchestrator."""

    RESERVED = "reserved"
    REFUSED = "refused"
    ASSIGNED = "assigned"
    RELEASED = "released"
    OUTCOME_INQUIRY = "outcome_inquiry"


@quickly_replaced
class Reservation(NamedTuple):
    """What one participant has done for one order. The fields are the columns of its row, in the order of `COLUMNS`."""

    order_id: UUID
    state: State = State.ABSENT
    reason: str | None = None
    """Why it was refused, expired or released."""
    unit_ids: tuple[str, ...] = ()
    expires_at: datetime | None = None
    not_after: datetime | None = None
    """The latest `not_after` of its Reserve and Assign."""
    assigned_at: datetime | None = None
    completed: bool = False
    """DeliveryCompleted was received, perhaps before the order was confirmed."""
    inquiries: int = 0
    due_at: datetime | None = None
    """When the sweeper looks at it: to expire the lease, or to ask for the outcome."""
    forget_at: datetime | None = None
    """When the row may be pruned."""
    traceparent: str = ""
    version: int = 0
    """Incremented by each write, which fails if another transaction has written in the meantime."""
    unfit: str | None = None
    """Why a unit that is held must not be assigned; not a column, but looked up with the row."""


class Timing(NamedTuple):
    """After how long the outcome is asked for, and a reservation is pruned."""

    inquiry_after: timedelta
    prune_after: timedelta


class Context(NamedTuple):
    """A received message, and what is needed to decide on it."""

    message: Message
    now: datetime
    """By the database's clock, read after the row was locked, or cached; then the write checks the lease once more."""
    timing: Timing
    allocate: Callable[[Reserve], Allocation]
    """Finds units for a Reserve; called only if nothing else refuses it."""
    traceparent: str


class Decision(NamedTuple):
    """The reservation as it is from now on, and what to send about it."""

    reservation: Reservation
    reply: Reply | None = None
    reason: str | None = None
    """Of the refusal."""
    note: str = ""
    """A line for the order's timeline; empty if nothing worth noting happened."""
    alarm: str | None = None
    look_again: bool = False
    """Undecided: units that may be free were locked by other transactions, or have just been given back."""


def ended(reservation: Reservation, state: State, reason: str, now: datetime, timing: Timing) -> Reservation:
    """Hold nothing, and answer later commands with `reason`."""
    return reservation._replace(
        state=state,
        reason=reason,
        unit_ids=(),
        due_at=None,
        forget_at=forgotten_at(reservation, now, timing),
    )


def forgotten_at(reservation: Reservation, now: datetime, timing: Timing) -> datetime:
    return max(now, reservation.not_after or now) + timing.prune_after


def lease_is_over(reserved: Reservation, now: datetime) -> bool:
    assert reserved.expires_at is not None, "a reservation is a lease"
    return reserved.expires_at <= now


def refusal(reservation: Reservation, reason: str | None = None) -> Decision:
    reason = reason or reservation.reason
    return Decision(reservation, Reply.REFUSED, reason, note=f"refused: {reason}")
