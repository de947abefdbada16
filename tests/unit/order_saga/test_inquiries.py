"""A participant that asks what became of an order hears it, even of an order that nobody else has heard of."""

import pytest

from messages.contracts.message import Message
from messages.contracts.order import OrderNotPlaced
from messages.contracts.participation import OutcomeRequested
from order_saga.saga import start
from order_saga.state import Decision, Phase
from tests.unit.order_saga.orders import (
    DELIVERY_SETTLE,
    HAPPY,
    NOT_PLACED,
    NOW,
    ORDER,
    PACKETS_ASSIGNED,
    PACKETS_REFUSED,
    PACKETS_RELEASED,
    PACKETS_RESERVED,
    PLACED,
    RELEASES,
    TERMS,
    UNDECIDED,
    after,
    all_phases,
    arrived,
    requested,
    tell,
)


def test_a_participant_that_asks_about_a_placed_order_is_confirmed() -> None:
    decision = tell(after(*HAPPY), OutcomeRequested(order_id=ORDER, participant="delivery"))
    assert decision.outgoing == ((PLACED, DELIVERY_SETTLE),)


@pytest.mark.parametrize("phase", NOT_PLACED)
def test_a_participant_that_asks_about_an_order_that_is_not_placed_is_released(phase: Phase) -> None:
    decision = tell(all_phases()[phase], OutcomeRequested(order_id=ORDER, participant="store"))
    assert decision.outgoing == (RELEASES[0],)


@pytest.mark.parametrize("phase", UNDECIDED)
def test_a_participant_that_asks_too_early_hears_nothing(phase: Phase) -> None:
    saga = all_phases()[phase]
    assert tell(saga, OutcomeRequested(order_id=ORDER, participant="store")) == Decision(saga)


@pytest.mark.parametrize(
    "message", [OutcomeRequested(order_id=ORDER, participant="store"), PACKETS_RESERVED, PACKETS_ASSIGNED]
)
def test_an_order_never_heard_of_is_first_committed_as_not_placed_and_then_released(message: Message) -> None:
    decision = start(arrived(message), NOW, TERMS)
    assert decision.outgoing == (RELEASES[0],)
    assert decision.saga is not None
    assert (decision.saga.phase, decision.saga.reason) == (Phase.CLOSED, "unknown_order")
    assert [message for message, _ in tell(decision.saga, requested()).outgoing] == [
        OrderNotPlaced(order_id=ORDER, reason="unknown_order")
    ]


@pytest.mark.parametrize("message", [PACKETS_REFUSED, PACKETS_RELEASED])
def test_whoever_holds_nothing_for_an_order_never_heard_of_changes_nothing(message: Message) -> None:
    assert start(arrived(message), NOW, TERMS) == Decision(None)


def test_a_question_from_somebody_unknown_raises_an_alarm() -> None:
    question = OutcomeRequested(order_id=ORDER, participant="payment")
    for decision in (start(arrived(question), NOW, TERMS), *(tell(saga, question) for saga in all_phases().values())):
        if decision.saga is not None and not decision.saga.undecided:
            assert [name for name, _ in decision.alarms] == ["unknown_participant"]
        assert decision.outgoing == ()
