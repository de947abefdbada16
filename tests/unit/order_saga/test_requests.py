"""A customer can cancel an order until it is placed, and repeat a request for it, but not with other content."""

from typing import Any

import pytest

from messages.contracts.message import Message
from messages.contracts.order import Line, OrderNotPlaced, RequestRejected
from messages.transport.addresses import Address
from order_saga.saga import start
from order_saga.state import Decision, Phase
from tests.unit.order_saga.orders import (
    CANCEL,
    CUSTOMER,
    HAPPY,
    NOT_PLACED,
    NOW,
    ORDER,
    PLACED,
    RELEASES,
    REQUEST,
    TERMS,
    UNDECIDED,
    after,
    all_phases,
    arrived,
    requested,
    tell,
)


@pytest.mark.parametrize("phase", UNDECIDED)
def test_an_undecided_order_can_be_cancelled(phase: Phase) -> None:
    decision = tell(all_phases()[phase], CANCEL)
    assert decision.outgoing[0][0] == OrderNotPlaced(order_id=ORDER, reason="cancelled")
    assert [*decision.outgoing[1:]] == RELEASES


def test_a_placed_order_cannot_be_cancelled() -> None:
    saga = after(*HAPPY)
    decision = tell(saga, CANCEL)
    (rejected, to), *_ = decision.outgoing
    assert isinstance(rejected, RequestRejected)
    assert (rejected.reason, rejected.request_message_id, rejected.order_id) == ("too_late", REQUEST, ORDER)
    assert to == Address("outcomes", "request_rejected")
    assert decision.saga == saga


def test_an_order_that_is_cancelled_before_it_is_requested_is_never_placed() -> None:
    cancelled = start(arrived(CANCEL), NOW, TERMS)
    told = OrderNotPlaced(order_id=ORDER, reason="cancelled")
    assert [message for message, _ in cancelled.outgoing] == [told]
    assert cancelled.saga is not None
    assert cancelled.saga.phase is Phase.CLOSED
    assert [message for message, _ in tell(cancelled.saga, requested()).outgoing] == [told]


@pytest.mark.parametrize("phase", NOT_PLACED)
@pytest.mark.parametrize("request_", [CANCEL, requested()])
def test_whoever_asks_about_an_order_that_is_not_placed_hears_it_again(phase: Phase, request_: Message) -> None:
    saga = all_phases()[phase]
    decision = tell(saga, request_)
    assert [message for message, _ in decision.outgoing] == [
        OrderNotPlaced(order_id=ORDER, participant="delivery", reason="no_agent")
    ]
    assert decision.saga == saga


def test_a_repeated_request_hears_the_outcome_again_and_the_workers_do_not() -> None:
    decision = tell(after(*HAPPY), requested())
    assert decision.outgoing == ((PLACED, CUSTOMER),)


@pytest.mark.parametrize("phase", UNDECIDED)
def test_a_repeated_request_hears_nothing_while_the_order_is_undecided(phase: Phase) -> None:
    saga = all_phases()[phase]
    assert tell(saga, requested()) == Decision(saga)


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize(
    "change",
    [
        {"customer_id": "C-2"},
        {"store_id": "S-2"},
        {"zone": "Z-2"},
        {"lines": (Line(sku="milk", quantity=2, price_cents=99),)},
        {"lines": (Line(sku="milk", quantity=2, price_cents=98), Line(sku="bread", quantity=1, price_cents=250))},
        {"lines": (Line(sku="milk", quantity=1, price_cents=99), Line(sku="bread", quantity=1, price_cents=250))},
    ],
)
def test_a_request_with_other_content_is_rejected_and_the_order_goes_on(phase: Phase, change: Any) -> None:
    saga = all_phases()[phase]
    decision = tell(saga, requested(**change))
    (rejected, _), *others = decision.outgoing
    assert isinstance(rejected, RequestRejected)
    assert (rejected.reason, rejected.request_message_id, others) == ("conflict", REQUEST, [])
    assert decision.saga == saga
