"""An order is not placed after its deadline, and its deadline is never later than the budget allows."""

from datetime import UTC, datetime, timedelta

import pytest

from messages.contracts.message import Message
from messages.contracts.order import OrderNotPlaced
from messages.transport.addresses import Address
from order_saga.content import canonical
from order_saga.saga import fall_due, start
from order_saga.state import Decision, Phase
from tests.unit.order_saga.orders import (
    AGENT_ASSIGNED,
    AGENT_RESERVED,
    DEADLINE,
    HAPPY,
    NOW,
    ORDER,
    PACKETS_RESERVED,
    RELEASES,
    TERMS,
    UNDECIDED,
    after,
    all_phases,
    arrived,
    begun,
    requested,
    tell,
)


def test_a_later_deadline_than_the_budget_is_clamped_and_an_earlier_one_kept() -> None:
    assert begun(requested(deadline=NOW + timedelta(days=1))).deadline == DEADLINE
    assert begun(requested(deadline=NOW + timedelta(seconds=5))).deadline == NOW + timedelta(seconds=5)
    assert begun(requested()).deadline == DEADLINE


@pytest.mark.parametrize("deadline", [NOW, NOW - timedelta(days=1), datetime.min.replace(tzinfo=UTC)])
def test_an_order_that_comes_too_late_is_not_placed_and_nobody_is_asked(deadline: datetime) -> None:
    decision = start(arrived(requested(deadline=deadline)), NOW, TERMS)
    not_placed = OrderNotPlaced(order_id=ORDER, reason="deadline_passed")
    assert decision.outgoing == ((not_placed, Address("outcomes", "order_not_placed")),)
    assert decision.saga is not None
    assert (decision.saga.phase, decision.saga.standing) == (Phase.CLOSED, {})
    assert decision.saga.request == canonical(requested())
    assert tell(decision.saga, requested(zone="Z-2")).note == "rejected: conflict"


@pytest.mark.parametrize("answer", [AGENT_RESERVED, AGENT_ASSIGNED])
def test_an_answer_after_the_deadline_no_longer_places_an_order(answer: Message) -> None:
    saga = after(PACKETS_RESERVED) if answer is AGENT_RESERVED else after(*HAPPY[:3])
    decision = tell(saga, answer, now=DEADLINE)
    assert decision.outgoing[0][0] == OrderNotPlaced(order_id=ORDER, reason="deadline_passed")
    assert [*decision.outgoing[1:]] == RELEASES


@pytest.mark.parametrize("phase", UNDECIDED)
def test_an_undecided_order_is_not_placed_when_its_deadline_has_passed(phase: Phase) -> None:
    decision = fall_due(all_phases()[phase], DEADLINE, 0.5, TERMS)
    assert decision.outgoing[0][0] == OrderNotPlaced(order_id=ORDER, reason="deadline_passed")
    assert [*decision.outgoing[1:]] == RELEASES


@pytest.mark.parametrize("phase", [Phase.PLACED, Phase.CLOSED])
def test_what_is_finished_is_left_alone(phase: Phase) -> None:
    saga = all_phases()[phase]
    assert fall_due(saga, NOW + timedelta(days=1), 0.5, TERMS) == Decision(saga)
