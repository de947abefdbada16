"""What the sweeper does with a reservation when its time has come, as a pure function."""

from datetime import datetime

from messages.contracts.participation import RESERVATION_EXPIRED
from messages.participant.reservation import Decision, Reply, Reservation, State, Timing, ended, lease_is_over, refusal

MOST_DOUBLINGS = 6
"""Of the time to the next inquiry: about an hour at most, if the first comes after a minute."""


def fall_due(reservation: Reservation, now: datetime, timing: Timing) -> Decision:
    """Expire a lease that is over, or ask for the outcome. Always moves or clears `due_at`."""
    match reservation.state:
        case State.RESERVED if lease_is_over(reservation, now):
            return refusal(ended(reservation, State.EXPIRED, RESERVATION_EXPIRED, now, timing))
        case State.RESERVED:
            return Decision(reservation._replace(due_at=reservation.expires_at))
        case State.ASSIGNED:
            return _ask(reservation, now, timing)
        case _:
            return Decision(reservation._replace(due_at=None))


def _ask(assigned: Reservation, now: datetime, timing: Timing) -> Decision:
    assert assigned.assigned_at is not None, "an assigned reservation has a time"
    first_at = assigned.assigned_at + timing.inquiry_after
    if now < first_at:
        return Decision(assigned._replace(due_at=first_at))
    backoff = timing.inquiry_after * 2 ** min(assigned.inquiries, MOST_DOUBLINGS)
    asked = assigned._replace(inquiries=assigned.inquiries + 1, due_at=now + backoff)
    return Decision(asked, Reply.OUTCOME_INQUIRY, note="asked for the order's outcome")
