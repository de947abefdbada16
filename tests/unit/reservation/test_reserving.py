"""A Reserve is obeyed in its time and with enough units, and is refused otherwise."""

from datetime import timedelta

import pytest

from messages.contracts.participation import Reserve
from messages.participant.allocation import Allocation
from messages.participant.answers import decide
from messages.participant.reservation import Context, Reply, Reservation, State
from tests.unit.reservation.reservations import LEASE, NOON, ORDER, TERMS, UNITS, a_reservation, hear, reserve


def test_a_reservation_is_a_lease_that_begins_now() -> None:
    reserved = hear(Reservation(ORDER), reserve()).reservation

    assert reserved.expires_at == NOON + LEASE
    assert reserved.unit_ids == UNITS
    assert reserved.traceparent == "trace"


@pytest.mark.parametrize(("lease_seconds", "due_after_seconds"), [(20, 20), (90, 30)])
def test_a_reservation_is_looked_at_when_its_lease_is_over_or_its_outcome_may_be_asked_for(
    lease_seconds: int, due_after_seconds: int
) -> None:
    reserved = hear(Reservation(ORDER), reserve().model_copy(update={"lease_seconds": lease_seconds})).reservation

    assert reserved.due_at == NOON + timedelta(seconds=due_after_seconds)


def test_without_enough_units_the_order_is_refused_for_good() -> None:
    decision = hear(Reservation(ORDER), reserve(), offer=Allocation(reason="out_of_stock"))

    assert (decision.reply, decision.reason) == (Reply.REFUSED, "out_of_stock")
    assert decision.reservation.state is State.REFUSED


def test_an_uncertain_miss_decides_nothing() -> None:
    decision = hear(Reservation(ORDER), reserve(), offer=Allocation(conclusive=False))

    assert decision.look_again
    assert decision.reply is None
    assert decision.reservation == Reservation(ORDER)


def test_a_reserve_past_its_time_is_refused_and_leaves_no_trace() -> None:
    decision = hear(Reservation(ORDER), reserve(not_after=NOON), now=NOON + timedelta(microseconds=1))

    assert (decision.reply, decision.reason) == (Reply.REFUSED, "command_too_late")
    assert decision.reservation == Reservation(ORDER)


def test_a_reserve_exactly_at_its_time_is_obeyed() -> None:
    assert hear(Reservation(ORDER), reserve(not_after=NOON)).reply is Reply.RESERVED


def test_no_units_are_asked_for_in_vain() -> None:
    def offer(_: Reserve) -> Allocation:
        raise AssertionError("units were taken out of the pool for an order that cannot use them")

    for state in set(State) - {State.ABSENT}:
        decide(a_reservation(state), Context(reserve(), NOON, TERMS, offer, "trace"))
    decide(Reservation(ORDER), Context(reserve(not_after=NOON - LEASE), NOON, TERMS, offer, "trace"))
