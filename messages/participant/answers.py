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
    Context,
    Decision,
    Reply,
    Reservation,
    State,
    ended,
    forgotten_at,
    lease_is_over,
    refusal,
)

PLACED_WITHOUT_ASSIGNMENT = "placed_without_assignment"
PLACED_THOUGH_GONE = "placed_though_gone"
"""An alarm: a unit was gone before the order was placed, and the refusal came too late, or was lost."""
RELEASE_OF_CONFIRMED = "release_of_confirmed"
RELEASE_OF_DELIVERED = "release_of_delivered"
DELIVERED_WITHOUT_ASSIGNMENT = "delivered_without_assignment"

NAMES_TOLD = 5


def decide(reservation: Reservation, context: Context) -> Decision:
    """Apply the rule of `TABLE` for the reservation's state and the message's type."""
    return TABLE[reservation.state][_column(type(context.message))](reservation, context)


# The cells of the table, in the order of an order's life.


def _reserve(absent: Reservation, context: Context) -> Decision:
    reserve = cast("Reserve", context.message)
    if reserve.not_after < context.now:
        return refusal(absent, TOO_LATE)
    allocation = context.allocate(reserve)
    if not allocation.conclusive:
        return Decision(absent, look_again=True)
    if allocation.reason is not None:
        known = absent._replace(not_after=reserve.not_after, traceparent=context.traceparent)
        return refusal(ended(known, State.REFUSED, allocation.reason, context.now, context.timing))
    expires_at = context.now + timedelta(seconds=reserve.lease_seconds)
    reserved = absent._replace(
        state=State.RESERVED,
        unit_ids=allocation.unit_ids,
        expires_at=expires_at,
        not_after=reserve.not_after,
        traceparent=context.traceparent,
        # Not moved when the reservation is assigned, so that assigning touches no index.
        due_at=min(expires_at, context.now + context.timing.inquiry_after),
    )
    return Decision(reserved, Reply.RESERVED, note=f"reserved {_names(allocation.unit_ids)}")


def _assign(reserved: Reservation, context: Context) -> Decision:
    assign = cast("Assign", context.message)
    if lease_is_over(reserved, context.now):
        return refusal(ended(reserved, State.EXPIRED, RESERVATION_EXPIRED, context.now, context.timing))
    # What has been refused once stays refused, so its units are given back at once.
    reason = TOO_LATE if assign.not_after < context.now else reserved.unfit
    if reason is not None:
        return refusal(ended(reserved, State.REFUSED, reason, context.now, context.timing))
    assigned = reserved._replace(
        state=State.ASSIGNED,
        assigned_at=context.now,
        not_after=max(assign.not_after, reserved.not_after or assign.not_after),
    )
    return Decision(assigned, Reply.ASSIGNED, note=f"assigned {_names(assigned.unit_ids)}")


def _assign_again(assigned: Reservation, _context: Context) -> Decision:
    """Not if a unit is gone: then the order has been refused, and an Assigned that overtakes that would place it."""
    return refusal(assigned, assigned.unfit) if assigned.unfit else Decision(assigned, Reply.ASSIGNED)


def _confirm(assigned: Reservation, context: Context) -> Decision:
    if assigned.completed:
        return _fulfil(assigned, context)
    alarm = PLACED_THOUGH_GONE if assigned.unfit else None
    return Decision(assigned._replace(state=State.CONFIRMED, due_at=None), note="confirmed", alarm=alarm)


def _fulfil(confirmed: Reservation, context: Context) -> Decision:
    fulfilled = confirmed._replace(
        state=State.FULFILLED,
        completed=True,
        due_at=None,
        forget_at=forgotten_at(confirmed, context.now, context.timing),
    )
    return Decision(fulfilled, note="fulfilled")


def _remember(held: Reservation, _context: Context) -> Decision:
    if held.completed:
        return Decision(held)
    return Decision(held._replace(completed=True), note="remembered until the order is confirmed")


def _free(held: Reservation, context: Context) -> Decision:
    released = ended(held, State.RELEASED, RELEASED, context.now, context.timing)
    alarm = RELEASE_OF_DELIVERED if held.completed else None
    return Decision(released, Reply.RELEASED, note=f"released {_names(held.unit_ids)}", alarm=alarm)


def _leave_tombstone(absent: Reservation, context: Context) -> Decision:
    known = absent._replace(traceparent=context.traceparent)
    tombstone = ended(known, State.RELEASED, RELEASED, context.now, context.timing)
    return Decision(tombstone, Reply.RELEASED, note="released, though nothing was held")


def _keep(confirmed: Reservation, _context: Context) -> Decision:
    return Decision(confirmed, note="kept: the order is placed", alarm=RELEASE_OF_CONFIRMED)


def _refuse_unknown(absent: Reservation, _context: Context) -> Decision:
    return refusal(absent, NEVER_RESERVED)


def _refuse_again(finished: Reservation, _context: Context) -> Decision:
    return Decision(finished, Reply.REFUSED, finished.reason)


def _refuse_late(finished: Reservation, _context: Context) -> Decision:
    return refusal(finished)


def _reply_reserved(held: Reservation, _context: Context) -> Decision:
    return Decision(held, Reply.RESERVED)


def _reply_assigned(held: Reservation, _context: Context) -> Decision:
    return Decision(held, Reply.ASSIGNED)


def _reply_released(finished: Reservation, _context: Context) -> Decision:
    return Decision(finished, Reply.RELEASED)


def _nothing(reservation: Reservation, _context: Context) -> Decision:
    return Decision(reservation)


def _not_ours(reservation: Reservation, _context: Context) -> Decision:
    return Decision(reservation, note=f"ignored: {reservation.state}", alarm=PLACED_WITHOUT_ASSIGNMENT)


def _not_delivered_by_us(reservation: Reservation, _context: Context) -> Decision:
    return Decision(reservation, note=f"ignored: {reservation.state}", alarm=DELIVERED_WITHOUT_ASSIGNMENT)


Rule: TypeAlias = Callable[[Reservation, Context], Decision]

# fmt: off
HEADINGS =              (Reserve,         Assign,          Release,          OrderPlaced, DeliveryCompleted)
TABLE: Mapping[State, tuple[Rule, Rule, Rule, Rule, Rule]] = {
    State.ABSENT:       (_reserve,        _refuse_unknown, _leave_tombstone, _not_ours,   _not_delivered_by_us),
    State.RESERVED:     (_reply_reserved, _assign,         _free,            _not_ours,   _remember),
    State.ASSIGNED:     (_reply_reserved, _assign_again,   _free,            _confirm,    _remember),
    State.CONFIRMED:    (_reply_reserved, _reply_assigned, _keep,            _nothing,    _fulfil),
    State.FULFILLED:    (_reply_reserved, _reply_assigned, _keep,            _nothing,    _nothing),
    State.REFUSED:      (_refuse_again,   _refuse_late,    _reply_released,  _not_ours,   _not_delivered_by_us),
    State.EXPIRED:      (_refuse_again,   _refuse_late,    _reply_released,  _not_ours,   _not_delivered_by_us),
    State.RELEASED:     (_refuse_late,    _refuse_late,    _reply_released,  _not_ours,   _not_delivered_by_us),
}
# fmt: on


@cache
def _column(kind: type[Message]) -> int:
    return next(column for column, heading in enumerate(HEADINGS) if issubclass(kind, heading))


def _names(unit_ids: tuple[str, ...]) -> str:
    more = len(unit_ids) - NAMES_TOLD
    return ", ".join(unit_ids[:NAMES_TOLD]) + (f" and {more} more" if more > 0 else "")
