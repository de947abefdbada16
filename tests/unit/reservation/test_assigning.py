"""An Assign is obeyed in its time, while the lease lasts and the units are fit, and frees the units otherwise."""

from datetime import timedelta

import pytest

from messages.participant.reservation import Reply, State
from tests.unit.reservation.reservations import LEASE, NOON, a_reservation, assign, hear


@pytest.mark.parametrize(("late_by", "state"), [(0, State.EXPIRED), (1, State.EXPIRED), (-1, State.ASSIGNED)])
def test_an_assign_is_obeyed_while_the_lease_lasts(late_by: int, state: State) -> None:
    now = NOON + LEASE + timedelta(microseconds=late_by)

    decision = hear(a_reservation(State.RESERVED), assign(not_after=NOON + 2 * LEASE), now=now)

    assert decision.reservation.state is state


def test_an_assign_that_meets_an_expired_lease_frees_the_units() -> None:
    decision = hear(a_reservation(State.RESERVED), assign(), now=NOON + LEASE)

    assert (decision.reply, decision.reason) == (Reply.REFUSED, "reservation_expired")
    assert decision.reservation.unit_ids == ()


def test_an_assign_past_its_time_is_refused_for_good_and_frees_the_units() -> None:
    decision = hear(a_reservation(State.RESERVED), assign(not_after=NOON), now=NOON + timedelta(seconds=1))

    assert (decision.reply, decision.reason) == (Reply.REFUSED, "command_too_late")
    assert decision.reservation.unit_ids == ()
    assert hear(decision.reservation, assign()).reason == "command_too_late"


def test_an_assign_exactly_at_its_time_is_obeyed() -> None:
    assert hear(a_reservation(State.RESERVED), assign(not_after=NOON)).reply is Reply.ASSIGNED


def test_an_assigned_order_stays_assigned_whatever_the_time() -> None:
    assigned = a_reservation(State.ASSIGNED)

    assert hear(assigned, assign(not_after=NOON - LEASE), now=NOON + 10 * LEASE).reply is Reply.ASSIGNED


def test_a_unit_that_became_unfit_while_reserved_is_not_assigned() -> None:
    decision = hear(a_reservation(State.RESERVED)._replace(unfit="packet_withdrawn"), assign())

    assert (decision.reply, decision.reason) == (Reply.REFUSED, "packet_withdrawn")
    assert decision.reservation.unit_ids == ()


def test_a_unit_that_became_unfit_while_assigned_is_not_assigned_again_and_stays_held_until_the_release() -> None:
    assigned = a_reservation(State.ASSIGNED)._replace(unfit="packet_withdrawn")

    decision = hear(assigned, assign())

    assert (decision.reply, decision.reason) == (Reply.REFUSED, "packet_withdrawn")
    assert decision.reservation == assigned


def test_assigning_moves_no_indexed_column() -> None:
    reserved = a_reservation(State.RESERVED)

    assigned = hear(reserved, assign()).reservation

    assert (assigned.due_at, assigned.forget_at) == (reserved.due_at, reserved.forget_at)
