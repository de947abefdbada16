"""The answer table of the protocol, cell by cell, and what time does to a reservation."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.contracts.message import Message
from messages.contracts.order import DeliveryCompleted, OrderPlaced
from messages.contracts.participation import Reserve
from messages.contracts.store import AssignPackets, ReleasePackets, ReservePackets, Want
from messages.participant.allocation import Allocation
from messages.participant.answers import HEADINGS, TABLE, decide
from messages.participant.due import fall_due
from messages.participant.reservation import (
    HOLDING,
    Context,
    Decision,
    Reply,
    Reservation,
    State,
    Timing,
)

ORDER = UUID("00000000-0000-4000-8000-000000000001")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=90)
TERMS = Timing(inquiry_after=timedelta(seconds=30), prune_after=timedelta(days=1))
UNITS = ("P-1", "P-2")
ENOUGH = Allocation(UNITS)


def reserve(not_after: datetime = NOON + LEASE) -> ReservePackets:
    return ReservePackets(
        order_id=ORDER,
        store_id="berlin-1",
        wants=(Want(sku="milk", quantity=2),),
        lease_seconds=int(LEASE.total_seconds()),
        not_after=not_after,
    )


def assign(not_after: datetime = NOON + LEASE) -> AssignPackets:
    return AssignPackets(order_id=ORDER, not_after=not_after)


MESSAGES: dict[str, Message] = {
    "Reserve": reserve(),
    "Assign": assign(),
    "Release": ReleasePackets(order_id=ORDER),
    "OrderPlaced": OrderPlaced(order_id=ORDER, packet_ids=UNITS, agent_id="A-1"),
    "DeliveryCompleted": DeliveryCompleted(order_id=ORDER),
}


def a_reservation(state: State) -> Reservation:
    """One in this state, come about in the usual way."""
    reserved = Reservation(
        ORDER,
        State.RESERVED,
        unit_ids=UNITS,
        expires_at=NOON + LEASE,
        not_after=NOON + LEASE,
        due_at=NOON + TERMS.inquiry_after,
    )
    assigned = reserved._replace(state=State.ASSIGNED, assigned_at=NOON)
    ended = reserved._replace(unit_ids=(), due_at=None, forget_at=NOON + LEASE + TERMS.prune_after)
    return {
        State.ABSENT: Reservation(ORDER),
        State.RESERVED: reserved,
        State.ASSIGNED: assigned,
        State.CONFIRMED: assigned._replace(state=State.CONFIRMED, due_at=None),
        State.FULFILLED: assigned._replace(state=State.FULFILLED, completed=True, due_at=None, forget_at=NOON),
        State.REFUSED: ended._replace(state=State.REFUSED, reason="out_of_stock"),
        State.EXPIRED: ended._replace(state=State.EXPIRED, reason="reservation_expired"),
        State.RELEASED: ended._replace(state=State.RELEASED, reason="released"),
    }[state]


def hear(reservation: Reservation, message: Message, *, clock: datetime = NOON, offer: Allocation = ENOUGH) -> Decision:
    return decide(reservation, Context(message, clock, TERMS, lambda _: offer, "trace"))


SAME = None
ALARM = "alarm"

# state: message -> what is said, what the state is then, whether there is an alarm
EXPECTED: dict[State, dict[str, tuple[str | None, State | None, str | None]]] = {
    State.ABSENT: {
        "Reserve": ("reserved", State.RESERVED, None),
        "Assign": ("refused: never_reserved", SAME, None),
        "Release": ("released", State.RELEASED, None),
        "OrderPlaced": (None, SAME, ALARM),
        "DeliveryCompleted": (None, SAME, ALARM),
    },
    State.RESERVED: {
        "Reserve": ("reserved", SAME, None),
        "Assign": ("assigned", State.ASSIGNED, None),
        "Release": ("released", State.RELEASED, None),
        "OrderPlaced": (None, SAME, ALARM),
        "DeliveryCompleted": (None, SAME, None),
    },
    State.ASSIGNED: {
        "Reserve": ("reserved", SAME, None),
        "Assign": ("assigned", SAME, None),
        "Release": ("released", State.RELEASED, None),
        "OrderPlaced": (None, State.CONFIRMED, None),
        "DeliveryCompleted": (None, SAME, None),
    },
    State.CONFIRMED: {
        "Reserve": ("reserved", SAME, None),
        "Assign": ("assigned", SAME, None),
        "Release": (None, SAME, ALARM),
        "OrderPlaced": (None, SAME, None),
        "DeliveryCompleted": (None, State.FULFILLED, None),
    },
    State.FULFILLED: {
        "Reserve": ("reserved", SAME, None),
        "Assign": ("assigned", SAME, None),
        "Release": (None, SAME, ALARM),
        "OrderPlaced": (None, SAME, None),
        "DeliveryCompleted": (None, SAME, None),
    },
    **{
        state: {
            "Reserve": (f"refused: {reason}", SAME, None),
            "Assign": (f"refused: {reason}", SAME, None),
            "Release": ("released", SAME, None),
            "OrderPlaced": (None, SAME, ALARM),
            "DeliveryCompleted": (None, SAME, ALARM),
        }
        for state, reason in [
            (State.REFUSED, "out_of_stock"),
            (State.EXPIRED, "reservation_expired"),
            (State.RELEASED, "released"),
        ]
    },
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("name", MESSAGES)
def test_the_answer_table(state: State, name: str) -> None:
    said, then, alarm = EXPECTED[state][name]

    decision = hear(a_reservation(state), MESSAGES[name])

    assert (f"{decision.reply}: {decision.reason}" if decision.reply is Reply.REFUSED else decision.reply) == said
    assert decision.reservation.state == (then or state)
    assert (decision.alarm is not None) == (alarm is not None)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("name", MESSAGES)
def test_a_repeated_message_is_answered_alike_and_changes_nothing(state: State, name: str) -> None:
    first = hear(a_reservation(state), MESSAGES[name])

    second = hear(first.reservation, MESSAGES[name], offer=Allocation(("P-3", "P-4")))

    assert (second.reply, second.reason) == (first.reply, first.reason)
    assert second.reservation is first.reservation


def test_the_table_has_a_cell_for_everything() -> None:
    assert set(TABLE) == set(State)
    assert {len(rules) for rules in TABLE.values()} == {len(HEADINGS)}


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
    decision = hear(Reservation(ORDER), reserve(not_after=NOON), clock=NOON + timedelta(microseconds=1))

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


@pytest.mark.parametrize(("late_by", "state"), [(0, State.EXPIRED), (1, State.EXPIRED), (-1, State.ASSIGNED)])
def test_an_assign_is_obeyed_while_the_lease_lasts(late_by: int, state: State) -> None:
    clock = NOON + LEASE + timedelta(microseconds=late_by)

    decision = hear(a_reservation(State.RESERVED), assign(not_after=NOON + 2 * LEASE), clock=clock)

    assert decision.reservation.state is state


def test_an_assign_that_meets_an_expired_lease_frees_the_units() -> None:
    decision = hear(a_reservation(State.RESERVED), assign(), clock=NOON + LEASE)

    assert (decision.reply, decision.reason) == (Reply.REFUSED, "reservation_expired")
    assert decision.reservation.unit_ids == ()


def test_an_assign_past_its_time_is_refused_for_good_and_frees_the_units() -> None:
    decision = hear(a_reservation(State.RESERVED), assign(not_after=NOON), clock=NOON + timedelta(seconds=1))

    assert (decision.reply, decision.reason) == (Reply.REFUSED, "command_too_late")
    assert decision.reservation.unit_ids == ()
    assert hear(decision.reservation, assign()).reason == "command_too_late"


def test_an_assign_exactly_at_its_time_is_obeyed() -> None:
    assert hear(a_reservation(State.RESERVED), assign(not_after=NOON)).reply is Reply.ASSIGNED


def test_an_assigned_order_stays_assigned_whatever_the_time() -> None:
    assigned = a_reservation(State.ASSIGNED)

    assert hear(assigned, assign(not_after=NOON - LEASE), clock=NOON + 10 * LEASE).reply is Reply.ASSIGNED


def test_a_unit_that_became_unfit_while_reserved_is_not_assigned() -> None:
    decision = hear(a_reservation(State.RESERVED)._replace(unfit="packet_withdrawn"), assign())

    assert (decision.reply, decision.reason) == (Reply.REFUSED, "packet_withdrawn")
    assert decision.reservation.unit_ids == ()


def test_a_unit_that_became_unfit_while_assigned_stays_the_orders() -> None:
    assert hear(a_reservation(State.ASSIGNED)._replace(unfit="packet_withdrawn"), assign()).reply is Reply.ASSIGNED


@pytest.mark.parametrize("state", [State.RESERVED, State.ASSIGNED])
def test_a_delivery_completed_early_takes_effect_when_the_order_is_confirmed(state: State) -> None:
    early = hear(a_reservation(state), MESSAGES["DeliveryCompleted"]).reservation
    assigned = hear(early, assign()).reservation

    assert hear(assigned, MESSAGES["OrderPlaced"]).reservation.state is State.FULFILLED


def test_releasing_what_was_delivered_is_alarming() -> None:
    delivered = hear(a_reservation(State.ASSIGNED), MESSAGES["DeliveryCompleted"]).reservation

    decision = hear(delivered, MESSAGES["Release"])

    assert decision.reply is Reply.RELEASED
    assert decision.alarm == "release_of_delivered"


def test_assigning_moves_no_indexed_column() -> None:
    reserved = a_reservation(State.RESERVED)

    assigned = hear(reserved, assign()).reservation

    assert (assigned.due_at, assigned.forget_at) == (reserved.due_at, reserved.forget_at)


def test_a_finished_reservation_is_kept_until_long_after_its_commands_were_meant_to_be_obeyed() -> None:
    late_command = hear(a_reservation(State.RESERVED), assign(not_after=NOON + 5 * LEASE)).reservation

    released = hear(late_command, MESSAGES["Release"]).reservation
    tombstone = hear(Reservation(ORDER), MESSAGES["Release"]).reservation

    assert released.forget_at == NOON + 5 * LEASE + TERMS.prune_after
    assert tombstone.forget_at == NOON + TERMS.prune_after


def test_a_refused_order_is_kept_as_long_as_what_was_asked_for_it_may_come_again() -> None:
    refused = hear(Reservation(ORDER), reserve(), offer=Allocation(reason="out_of_stock")).reservation

    assert (refused.not_after, refused.forget_at) == (NOON + LEASE, NOON + LEASE + TERMS.prune_after)


def test_an_assign_that_was_meant_for_less_time_does_not_shorten_that_of_the_reserve() -> None:
    assert hear(a_reservation(State.RESERVED), assign(not_after=NOON)).reservation.not_after == NOON + LEASE


def test_what_ends_after_all_its_commands_were_meant_to_be_obeyed_is_kept_from_then_on() -> None:
    released = hear(a_reservation(State.ASSIGNED), MESSAGES["Release"], clock=NOON + 10 * LEASE).reservation

    assert released.forget_at == NOON + 10 * LEASE + TERMS.prune_after


@given(
    st.lists(st.sampled_from(sorted(MESSAGES)), max_size=12), st.lists(st.integers(0, 200), min_size=12, max_size=12)
)
def test_whatever_comes_units_are_held_exactly_while_the_state_says_so(names: list[str], seconds: list[int]) -> None:
    reservation, clock = Reservation(ORDER), NOON
    for name, passed in zip(names, seconds, strict=False):
        clock += timedelta(seconds=passed)
        decision = hear(reservation, MESSAGES[name], clock=clock)
        outcome_before, reservation = reservation.state, decision.reservation
        assert bool(reservation.unit_ids) == (reservation.state in HOLDING | {State.FULFILLED})
        assert (reservation.due_at is not None) == (reservation.state in {State.RESERVED, State.ASSIGNED})
        assert (reservation.forget_at is None) == (reservation.state in HOLDING | {State.ABSENT})
        if outcome_before in {State.REFUSED, State.EXPIRED, State.RELEASED, State.FULFILLED}:
            assert reservation.state is outcome_before


# What the sweeper does


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
    reservation, clock, pauses = a_reservation(State.ASSIGNED), NOON + TERMS.inquiry_after, []
    for _ in range(9):
        decision = fall_due(reservation, clock, TERMS)
        assert decision.reply is Reply.OUTCOME_INQUIRY
        reservation = decision.reservation
        assert reservation.due_at is not None
        pauses.append((reservation.due_at - clock) // TERMS.inquiry_after)
        clock = reservation.due_at

    assert pauses == [1, 2, 4, 8, 16, 32, 64, 64, 64]


@pytest.mark.parametrize("state", State)
def test_what_is_due_is_never_due_at_the_same_time_again(state: State) -> None:
    due = a_reservation(state)._replace(due_at=NOON + LEASE)

    decision = fall_due(due, NOON + LEASE, TERMS)

    assert decision.reservation.due_at is None or decision.reservation.due_at > NOON + LEASE
