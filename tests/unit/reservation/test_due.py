"""What the sweeper does: a lease that is over expires, and the outcome is asked for ever more rarely."""

from datetime import timedelta

import pytest

from messages.participant.due import fall_due
from messages.participant.reservation import Reply, State
from tests.unit.reservation.reservations import LEASE, MESSAGES, NOON, TERMS, UNITS, a_reservation, hear


def test_a_lease_that_is_over_expires_and_the_orchestrator_hears_of_it() -> None:
    decision = fall_due(a_reservation(State.RESERVED), NOON + LEASE, TERMS)

    assert (decision.reply, decision.reason) == (Reply.REFUSED, "reservation_expired")
    assert decision.reservation.state is State.EXPIRED
    assert decision.reservation.unit_ids == ()


def test_a_lease_that_is_not_over_is_looked_at_again_when_it_is() -> None:
    decision = fall_due(a_reservation(State.RESERVED), NOON + TERMS.inquiry_after, TERMS)

    assert decision.reply is None
    assert decision.reservation.state is State.RESERVED
    assert decision.reservation.due_at == NOON + LEASE


def test_an_assigned_reservation_never_expires() -> None:
    assert fall_due(a_reservation(State.ASSIGNED), NOON + 100 * LEASE, TERMS).reservation.unit_ids == UNITS


def test_the_outcome_is_asked_for_only_after_a_while() -> None:
    assigned = a_reservation(State.ASSIGNED)._replace(assigned_at=NOON + timedelta(seconds=10))

    early = fall_due(assigned, NOON + timedelta(seconds=30), TERMS)
    in_time = fall_due(early.reservation, NOON + timedelta(seconds=40), TERMS)

    assert early.reply is None
    assert early.reservation.due_at == NOON + timedelta(seconds=40)
    assert in_time.reply is Reply.OUTCOME_INQUIRY


def test_the_outcome_is_asked_for_again_and_again_ever_more_rarely() -> None:
    reservation, now, pauses = a_reservation(State.ASSIGNED), NOON + TERMS.inquiry_after, []
    for _ in range(9):
        decision = fall_due(reservation, now, TERMS)
        assert decision.reply is Reply.OUTCOME_INQUIRY
        reservation = decision.reservation
        assert reservation.due_at is not None
        pauses.append((reservation.due_at - now) // TERMS.inquiry_after)
        now = reservation.due_at

    assert pauses == [1, 2, 4, 8, 16, 32, 64, 64, 64]


@pytest.mark.parametrize("state", State)
def test_what_is_due_is_never_due_at_the_same_time_again(state: State) -> None:
    due = a_reservation(state)._replace(due_at=NOON + LEASE)

    decision = fall_due(due, NOON + LEASE, TERMS)

    assert decision.reservation.due_at is None or decision.reservation.due_at > NOON + LEASE


@pytest.mark.parametrize("names", [["OrderPlaced"], ["OrderPlaced", "DeliveryCompleted"], ["Release"]])
def test_what_is_settled_is_not_looked_at_by_the_sweeper(names: list[str]) -> None:
    reservation = a_reservation(State.ASSIGNED)
    for name in names:
        reservation = hear(reservation, MESSAGES[name]).reservation

    assert reservation.due_at is None
