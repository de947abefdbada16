"""What is finished is kept until long after its commands were meant to be obeyed."""

from messages.participant.allocation import Allocation
from messages.participant.reservation import Reservation, State
from tests.unit.reservation.reservations import (
    LEASE,
    MESSAGES,
    NOON,
    ORDER,
    TERMS,
    a_reservation,
    assign,
    hear,
    reserve,
)


def test_a_finished_reservation_is_kept_until_long_after_its_commands_were_meant_to_be_obeyed() -> None:
    late_command = hear(a_reservation(State.RESERVED), assign(not_after=NOON + 5 * LEASE)).reservation

    released = hear(late_command, MESSAGES["Release"]).reservation
    tombstone = hear(Reservation(ORDER), MESSAGES["Release"]).reservation

    assert released.forget_at == NOON + 5 * LEASE + TERMS.prune_after
    assert tombstone.forget_at == NOON + TERMS.prune_after


def test_a_refused_order_is_kept_as_long_as_what_was_asked_for_it_may_come_again() -> None:
    refused = hear(Reservation(ORDER), reserve(), offer=Allocation(reason="out_of_stock")).reservation

    assert (refused.not_after, refused.forget_at) == (NOON + LEASE, NOON + LEASE + TERMS.prune_after)


def test_what_is_released_is_kept_as_long_as_its_reserve_may_come_again() -> None:
    reserved = hear(Reservation(ORDER), reserve()).reservation

    assert hear(reserved, MESSAGES["Release"]).reservation.forget_at == NOON + LEASE + TERMS.prune_after


def test_an_assign_that_was_meant_for_less_time_does_not_shorten_that_of_the_reserve() -> None:
    assert hear(a_reservation(State.RESERVED), assign(not_after=NOON)).reservation.not_after == NOON + LEASE


def test_what_ends_after_all_its_commands_were_meant_to_be_obeyed_is_kept_from_then_on() -> None:
    released = hear(a_reservation(State.ASSIGNED), MESSAGES["Release"], now=NOON + 10 * LEASE).reservation

    assert released.forget_at == NOON + 10 * LEASE + TERMS.prune_after
