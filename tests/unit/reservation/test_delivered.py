"""What is delivered early is fulfilled once the order is confirmed, and is not released without an alarm."""

import pytest

from messages.participant.reservation import Reply, State
from tests.unit.reservation.reservations import MESSAGES, a_reservation, assign, hear


@pytest.mark.parametrize("state", [State.RESERVED, State.ASSIGNED])
def test_a_delivery_completed_early_takes_effect_when_the_order_is_confirmed(state: State) -> None:
    early = hear(a_reservation(state), MESSAGES["DeliveryCompleted"]).reservation
    assigned = hear(early, assign()).reservation

    fulfilled = hear(assigned, MESSAGES["OrderPlaced"]).reservation
    assert (fulfilled.state, fulfilled.due_at) == (State.FULFILLED, None)


def test_releasing_what_was_delivered_is_alarming() -> None:
    delivered = hear(a_reservation(State.ASSIGNED), MESSAGES["DeliveryCompleted"]).reservation

    decision = hear(delivered, MESSAGES["Release"])

    assert decision.reply is Reply.RELEASED
    assert decision.alarm == "release_of_delivered"
