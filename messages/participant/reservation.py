"""What becomes of a reservation when a message about its order arrives: the answer table, as pure functions.

absent ──▶ reserved ──▶ assigned ──▶ confirmed ──▶ fulfilled
   │          │            │
   ▼          ▼            ▼
refused    expired      released      (from the left also what stands further right)
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import NamedTuple, TypeAlias, cast
from uuid import UUID

from messages.contracts.delivery import DeliveryCompleted
from messages.contracts.message import Message
from messages.contracts.order import OrderPlaced
from messages.contracts.participation import (
    NEVER_RESERVED,
    RELEASED,
    RESERVATION_EXPIRED,
    TOO_LATE,
    Assign,
    Release,
    Reserve,
)
from messages.participant.allocation import Offer

PLACED_WITHOUT_ASSIGNMENT = "placed_without_assignment"
RELEASE_OF_CONFIRMED = "release_of_confirmed"
RELEASE_OF_DELIVERED = "release_of_delivered"
DELIVERED_WITHOUT_ASSIGNMENT = "delivered_without_assignment"

NAMES_TOLD = 5


class State(StrEnum):
    ABSENT = "absent"  # no row: nothing was ever heard of the order, or it has been pruned
    RESERVED = "reserved"  # held until the lease is over
    ASSIGNED = "assigned"  # the order's, until it is released or confirmed
    CONFIRMED = "confirmed"  # the order is placed
    FULFILLED = "fulfilled"  # the customer has the food
    REFUSED = "refused"
    EXPIRED = "expired"
    RELEASED = "released"


HOLDING = frozenset({State.RESERVED, State.ASSIGNED, State.CONFIRMED})
"""States in which units carry the order's id."""


class Say(StrEnum):
    """What is said to the orchestrator."""

    RESERVED = "reserved"
    REFUSED = "refused"
    ASSIGNED = "assigned"
    RELEASED = "released"
    WHAT_BECAME_OF_IT = "what_became_of_it"


class Reservation(NamedTuple):
    """What one participant has done for one order. The fields are the columns of its row."""

    order_id: UUID
    state: State = State.ABSENT
    reason: str | None = None
    """Why it was refused, expired or released."""
    unit_ids: tuple[str, ...] = ()
    expires_at: datetime | None = None
    not_after: datetime | None = None
    """The latest time up to which a command about it was meant to be obeyed."""
    assigned_at: datetime | None = None
    completed: bool = False
    """DeliveryCompleted was heard, perhaps before the order was confirmed."""
    inquiries: int = 0
    due_at: datetime | None = None
    """When the sweeper looks at it: the lease may be over, or the outcome worth asking for."""
    forget_at: datetime | None = None
    """When the row may be pruned."""
    traceparent: str = ""
    unfit: str | None = None
    """Why a unit that is held must not be assigned; not a column, but looked up with the row."""


class Terms(NamedTuple):
    """How long things take."""

    inquiry_after: timedelta
    prune_after: timedelta


class Heard(NamedTuple):
    """A message, and what it takes to decide about it."""

    message: Message
    clock: datetime
    """The database's, read while the reservation's row was locked."""
    terms: Terms
    offer: Callable[[Reserve], Offer]
    """The units for a Reserve that nothing speaks against; asked for only then."""
    traceparent: str = ""


class Decision(NamedTuple):
    """What the reservation is from now on, and what is said about it."""

    reservation: Reservation
    say: Say | None = None
    reason: str | None = None
    """Of the refusal."""
    told: str = ""
    """A line for the order's story; empty where nothing happened that explains anything."""
    alarm: str | None = None
    look_again: bool = False
    """Undecided: units that may become free were locked elsewhere."""


def decide(reservation: Reservation, heard: Heard) -> Decision:
    return TABLE[reservation.state][_column(type(heard.message))](reservation, heard)


def fall_due(reservation: Reservation, clock: datetime, terms: Terms) -> Decision:
    """What the sweeper does with a reservation whose `due_at` has come. Always moves or clears `due_at`."""
    match reservation.state:
        case State.RESERVED if _lease_is_over(reservation, clock):
            return _refuse(_end(reservation, State.EXPIRED, RESERVATION_EXPIRED, clock, terms))
        case State.RESERVED:
            return Decision(reservation._replace(due_at=reservation.expires_at))
        case State.ASSIGNED:
            return _ask(reservation, clock, terms)
        case _:
            return Decision(reservation._replace(due_at=None))


# The cells of the table, in the order of an order's life.


def _reserve(absent: Reservation, heard: Heard) -> Decision:
    reserve = cast("Reserve", heard.message)
    if reserve.not_after < heard.clock:
        return _refuse(absent, TOO_LATE)
    offer = heard.offer(reserve)
    if not offer.certain:
        return Decision(absent, look_again=True)
    known = absent._replace(not_after=reserve.not_after, traceparent=heard.traceparent)
    if offer.reason is not None:
        return _refuse(_end(known, State.REFUSED, offer.reason, heard.clock, heard.terms))
    expires_at = heard.clock + timedelta(seconds=reserve.lease_seconds)
    reserved = known._replace(
        state=State.RESERVED,
        unit_ids=offer.unit_ids,
        expires_at=expires_at,
        # Not moved when the reservation is assigned, so that assigning touches no index.
        due_at=min(expires_at, heard.clock + heard.terms.inquiry_after),
    )
    return Decision(reserved, Say.RESERVED, told=f"reserved {_names(offer.unit_ids)}")


def _assign(reserved: Reservation, heard: Heard) -> Decision:
    assign = cast("Assign", heard.message)
    if _lease_is_over(reserved, heard.clock):
        return _refuse(_end(reserved, State.EXPIRED, RESERVATION_EXPIRED, heard.clock, heard.terms))
    # What has been refused once stays refused, so its units are given back at once.
    reason = TOO_LATE if assign.not_after < heard.clock else reserved.unfit
    if reason is not None:
        return _refuse(_end(reserved, State.REFUSED, reason, heard.clock, heard.terms))
    assigned = reserved._replace(
        state=State.ASSIGNED,
        assigned_at=heard.clock,
        not_after=max(assign.not_after, reserved.not_after or assign.not_after),
    )
    return Decision(assigned, Say.ASSIGNED, told=f"assigned {_names(assigned.unit_ids)}")


def _confirm(assigned: Reservation, heard: Heard) -> Decision:
    if assigned.completed:
        return _fulfil(assigned, heard)
    return Decision(assigned._replace(state=State.CONFIRMED, due_at=None), told="confirmed")


def _fulfil(confirmed: Reservation, heard: Heard) -> Decision:
    fulfilled = confirmed._replace(
        state=State.FULFILLED,
        completed=True,
        due_at=None,
        forget_at=_forget_at(confirmed, heard.clock, heard.terms),
    )
    return Decision(fulfilled, told="fulfilled")


def _remember(held: Reservation, _heard: Heard) -> Decision:
    if held.completed:
        return Decision(held)
    return Decision(held._replace(completed=True), told="remembered until the order is confirmed")


def _free(held: Reservation, heard: Heard) -> Decision:
    released = _end(held, State.RELEASED, RELEASED, heard.clock, heard.terms)
    alarm = RELEASE_OF_DELIVERED if held.completed else None
    return Decision(released, Say.RELEASED, told=f"released {_names(held.unit_ids)}", alarm=alarm)


def _leave_tombstone(absent: Reservation, heard: Heard) -> Decision:
    known = absent._replace(traceparent=heard.traceparent)
    tombstone = _end(known, State.RELEASED, RELEASED, heard.clock, heard.terms)
    return Decision(tombstone, Say.RELEASED, told="released, though nothing was held")


def _keep(confirmed: Reservation, _heard: Heard) -> Decision:
    return Decision(confirmed, told="kept: the order is placed", alarm=RELEASE_OF_CONFIRMED)


def _refuse_unknown(absent: Reservation, _heard: Heard) -> Decision:
    return _refuse(absent, NEVER_RESERVED)


def _refuse_again(ended: Reservation, _heard: Heard) -> Decision:
    return Decision(ended, Say.REFUSED, ended.reason)


def _refuse_late(ended: Reservation, _heard: Heard) -> Decision:
    return _refuse(ended)


def _say_reserved(held: Reservation, _heard: Heard) -> Decision:
    return Decision(held, Say.RESERVED)


def _say_assigned(held: Reservation, _heard: Heard) -> Decision:
    return Decision(held, Say.ASSIGNED)


def _say_released(ended: Reservation, _heard: Heard) -> Decision:
    return Decision(ended, Say.RELEASED)


def _nothing(reservation: Reservation, _heard: Heard) -> Decision:
    return Decision(reservation)


def _not_ours(reservation: Reservation, _heard: Heard) -> Decision:
    return Decision(reservation, told=f"ignored: {reservation.state}", alarm=PLACED_WITHOUT_ASSIGNMENT)


def _not_delivered_by_us(reservation: Reservation, _heard: Heard) -> Decision:
    return Decision(reservation, told=f"ignored: {reservation.state}", alarm=DELIVERED_WITHOUT_ASSIGNMENT)


Rule: TypeAlias = Callable[[Reservation, Heard], Decision]

# fmt: off
HEADINGS =              (Reserve,       Assign,          Release,          OrderPlaced, DeliveryCompleted)
TABLE: Mapping[State, tuple[Rule, Rule, Rule, Rule, Rule]] = {
    State.ABSENT:       (_reserve,      _refuse_unknown, _leave_tombstone, _not_ours,   _not_delivered_by_us),
    State.RESERVED:     (_say_reserved, _assign,         _free,            _not_ours,   _remember),
    State.ASSIGNED:     (_say_reserved, _say_assigned,   _free,            _confirm,    _remember),
    State.CONFIRMED:    (_say_reserved, _say_assigned,   _keep,            _nothing,    _fulfil),
    State.FULFILLED:    (_say_reserved, _say_assigned,   _keep,            _nothing,    _nothing),
    State.REFUSED:      (_refuse_again, _refuse_late,    _say_released,    _not_ours,   _not_delivered_by_us),
    State.EXPIRED:      (_refuse_again, _refuse_late,    _say_released,    _not_ours,   _not_delivered_by_us),
    State.RELEASED:     (_refuse_late,  _refuse_late,    _say_released,    _not_ours,   _not_delivered_by_us),
}
# fmt: on


@cache
def _column(kind: type[Message]) -> int:
    return next(column for column, heading in enumerate(HEADINGS) if issubclass(kind, heading))


def _ask(assigned: Reservation, clock: datetime, terms: Terms) -> Decision:
    assert assigned.assigned_at is not None, "an assigned reservation says since when"
    first_at = assigned.assigned_at + terms.inquiry_after
    if clock < first_at:
        return Decision(assigned._replace(due_at=first_at))
    backoff = terms.inquiry_after * 2 ** min(assigned.inquiries, 6)
    asked = assigned._replace(inquiries=assigned.inquiries + 1, due_at=clock + backoff)
    return Decision(asked, Say.WHAT_BECAME_OF_IT, told="asked what became of the order")


def _refuse(reservation: Reservation, reason: str | None = None) -> Decision:
    reason = reason or reservation.reason
    return Decision(reservation, Say.REFUSED, reason, told=f"refused: {reason}")


def _end(reservation: Reservation, state: State, reason: str, clock: datetime, terms: Terms) -> Reservation:
    """Hold nothing, and say `reason` to whatever arrives later."""
    return reservation._replace(
        state=state,
        reason=reason,
        unit_ids=(),
        due_at=None,
        forget_at=_forget_at(reservation, clock, terms),
    )


def _forget_at(reservation: Reservation, clock: datetime, terms: Terms) -> datetime:
    return max(clock, reservation.not_after or clock) + terms.prune_after


def _lease_is_over(reserved: Reservation, clock: datetime) -> bool:
    assert reserved.expires_at is not None, "a reservation is a lease"
    return reserved.expires_at <= clock


def _names(unit_ids: tuple[str, ...]) -> str:
    more = len(unit_ids) - NAMES_TOLD
    return ", ".join(unit_ids[:NAMES_TOLD]) + (f" and {more} more" if more > 0 else "")
