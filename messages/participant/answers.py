"""What becomes of a reservation when a message about its order arrives: the answer table, as pure functions."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache
from typing import TypeAlias, cast

from messages.contracts.message import Message
from messages.contracts.order import DeliveryCompleted, OrderPlaced
from messages.contracts.participation import (
    NEVER_RESERVED,
    RELEASED,
    RESERVATION_EXPIRED,
    TOO_LATE,
    Assign,
    Release,
    Reserve,
)
from messages.participant.reservation import (
    Decision,
    Heard,
    Reservation,
    Say,
    State,
    ended,
    forgotten_at,
    lease_is_over,
    refusal,
)

PLACED_WITHOUT_ASSIGNMENT = "placed_without_assignment"
RELEASE_OF_CONFIRMED = "release_of_confirmed"
RELEASE_OF_DELIVERED = "release_of_delivered"
DELIVERED_WITHOUT_ASSIGNMENT = "delivered_without_assignment"

NAMES_TOLD = 5


def decide(reservation: Reservation, heard: Heard) -> Decision:
    """Apply the rule of `TABLE` for the reservation's state and the message's type."""
    return TABLE[reservation.state][_column(type(heard.message))](reservation, heard)


# The cells of the table, in the order of an order's life.


def _reserve(absent: Reservation, heard: Heard) -> Decision:
    reserve = cast("Reserve", heard.message)
    if reserve.not_after < heard.clock:
        return refusal(absent, TOO_LATE)
    offer = heard.offer(reserve)
    if not offer.certain:
        return Decision(absent, look_again=True)
    if offer.reason is not None:
        known = absent._replace(not_after=reserve.not_after, traceparent=heard.traceparent)
        return refusal(ended(known, State.REFUSED, offer.reason, heard.clock, heard.terms))
    expires_at = heard.clock + timedelta(seconds=reserve.lease_seconds)
    reserved = absent._replace(
        state=State.RESERVED,
        unit_ids=offer.unit_ids,
        expires_at=expires_at,
        not_after=reserve.not_after,
        traceparent=heard.traceparent,
        # Not moved when the reservation is assigned, so that assigning touches no index.
        due_at=min(expires_at, heard.clock + heard.terms.inquiry_after),
    )
    return Decision(reserved, Say.RESERVED, told=f"reserved {_names(offer.unit_ids)}")


def _assign(reserved: Reservation, heard: Heard) -> Decision:
    assign = cast("Assign", heard.message)
    if lease_is_over(reserved, heard.clock):
        return refusal(ended(reserved, State.EXPIRED, RESERVATION_EXPIRED, heard.clock, heard.terms))
    # What has been refused once stays refused, so its units are given back at once.
    reason = TOO_LATE if assign.not_after < heard.clock else reserved.unfit
    if reason is not None:
        return refusal(ended(reserved, State.REFUSED, reason, heard.clock, heard.terms))
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
        forget_at=forgotten_at(confirmed, heard.clock, heard.terms),
    )
    return Decision(fulfilled, told="fulfilled")


def _remember(held: Reservation, _heard: Heard) -> Decision:
    if held.completed:
        return Decision(held)
    return Decision(held._replace(completed=True), told="remembered until the order is confirmed")


def _free(held: Reservation, heard: Heard) -> Decision:
    released = ended(held, State.RELEASED, RELEASED, heard.clock, heard.terms)
    alarm = RELEASE_OF_DELIVERED if held.completed else None
    return Decision(released, Say.RELEASED, told=f"released {_names(held.unit_ids)}", alarm=alarm)


def _leave_tombstone(absent: Reservation, heard: Heard) -> Decision:
    known = absent._replace(traceparent=heard.traceparent)
    tombstone = ended(known, State.RELEASED, RELEASED, heard.clock, heard.terms)
    return Decision(tombstone, Say.RELEASED, told="released, though nothing was held")


def _keep(confirmed: Reservation, _heard: Heard) -> Decision:
    return Decision(confirmed, told="kept: the order is placed", alarm=RELEASE_OF_CONFIRMED)


def _refuse_unknown(absent: Reservation, _heard: Heard) -> Decision:
    return refusal(absent, NEVER_RESERVED)


def _refuse_again(ended: Reservation, _heard: Heard) -> Decision:
    return Decision(ended, Say.REFUSED, ended.reason)


def _refuse_late(ended: Reservation, _heard: Heard) -> Decision:
    return refusal(ended)


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


def _names(unit_ids: tuple[str, ...]) -> str:
    more = len(unit_ids) - NAMES_TOLD
    return ", ".join(unit_ids[:NAMES_TOLD]) + (f" and {more} more" if more > 0 else "")
