"""The answer table of the protocol, cell by cell."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.participant.allocation import Allocation
from messages.participant.answers import HEADINGS, TABLE
from messages.participant.reservation import HOLDING, Reply, Reservation, State
from tests.unit.reservation.reservations import MESSAGES, NOON, ORDER, a_reservation, hear

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


@given(
    st.lists(st.sampled_from(sorted(MESSAGES)), max_size=12), st.lists(st.integers(0, 200), min_size=12, max_size=12)
)
def test_whatever_comes_units_are_held_exactly_while_the_state_says_so(names: list[str], seconds: list[int]) -> None:
    reservation, now = Reservation(ORDER), NOON
    for name, passed in zip(names, seconds, strict=False):
        now += timedelta(seconds=passed)
        decision = hear(reservation, MESSAGES[name], now=now)
        outcome_before, reservation = reservation.state, decision.reservation
        assert bool(reservation.unit_ids) == (reservation.state in HOLDING | {State.FULFILLED})
        assert (reservation.due_at is not None) == (reservation.state in {State.RESERVED, State.ASSIGNED})
        assert (reservation.forget_at is None) == (reservation.state in HOLDING | {State.ABSENT})
        if outcome_before in {State.REFUSED, State.EXPIRED, State.RELEASED, State.FULFILLED}:
            assert reservation.state is outcome_before
