"""One refusal is enough for an order not to be placed, and then everybody is released."""

import itertools
from collections.abc import Sequence

import pytest

from messages.contracts.message import Message
from messages.contracts.order import OrderNotPlaced
from messages.contracts.store import PacketsRefused
from messages.transport.addresses import Address
from order_saga import outgoing
from order_saga.state import Decision, Phase, Standing
from tests.unit.order_saga.orders import (
    AGENT_ASSIGNED,
    AGENT_REFUSED,
    AGENT_RELEASED,
    HAPPY,
    NOT_PLACED,
    NOW,
    ORDER,
    PACKETS_ASSIGNED,
    PACKETS_REFUSED,
    PACKETS_RELEASED,
    PACKETS_RESERVED,
    RELEASES,
    TERMS,
    UNDECIDED,
    after,
    all_phases,
    begun,
    tell,
)


@pytest.mark.parametrize("before", [[], [PACKETS_RESERVED], HAPPY[:2], HAPPY[:3]])
def test_one_refusal_before_the_outcome_is_enough_and_everybody_is_released(before: Sequence[Message]) -> None:
    decision = tell(begun(), *before, AGENT_REFUSED)
    told = OrderNotPlaced(order_id=ORDER, participant="delivery", reason="no_agent")
    assert decision.outgoing == ((told, Address("outcomes", "order_not_placed")), *RELEASES)
    assert decision.saga is not None
    assert (decision.saga.phase, decision.saga.granted) == (Phase.RELEASING, {})
    assert decision.saga.standing["delivery"] is Standing.REFUSED
    assert decision.note.endswith("-> releasing: no_agent")


def test_who_has_assigned_may_refuse_after_all_until_the_order_is_placed() -> None:
    gone = PacketsRefused(order_id=ORDER, reason="packet_withdrawn")
    decision = tell(begun(), *HAPPY[:2], PACKETS_ASSIGNED, gone, AGENT_ASSIGNED)
    assert decision.saga is not None
    assert (decision.saga.phase, decision.saga.reason) == (Phase.RELEASING, "packet_withdrawn")


def test_who_refuses_an_order_that_is_placed_raises_an_alarm_which_says_why() -> None:
    decision = tell(begun(), *HAPPY, PacketsRefused(order_id=ORDER, reason="packet_withdrawn"))
    assert decision.alarms == (("placed_but_not_held", "PacketsRefused: packet_withdrawn"),)
    assert decision.outgoing == ()


@pytest.mark.parametrize("phase", UNDECIDED)
def test_no_outcome_is_told_of_an_undecided_order(phase: Phase) -> None:
    with pytest.raises(ValueError, match="an undecided order has no outcome"):
        outgoing.outcome(all_phases()[phase], TERMS)


def test_the_second_refusal_changes_nothing() -> None:
    decision = tell(after(AGENT_REFUSED), PACKETS_REFUSED)
    assert (decision.outgoing, decision.note, decision.alarms) == ((), "no effect", ())


@pytest.mark.parametrize("released", [*itertools.permutations([PACKETS_RELEASED, AGENT_RELEASED])])
def test_an_order_is_closed_when_everybody_has_released(released: Sequence[Message]) -> None:
    first = tell(after(AGENT_REFUSED), released[0])
    assert first.saga is not None
    assert (first.saga.phase, first.saga.cleaned_at) == (Phase.RELEASING, None)
    second = tell(first.saga, released[1])
    assert second.saga is not None
    assert (second.saga.phase, second.saga.cleaned_at) == (Phase.CLOSED, NOW)
    assert tell(first.saga, released[0]) == Decision(first.saga)


@pytest.mark.parametrize("phase", NOT_PLACED)
@pytest.mark.parametrize("late", [PACKETS_RESERVED, PACKETS_ASSIGNED])
def test_whoever_holds_something_for_an_order_that_is_not_placed_is_released(phase: Phase, late: Message) -> None:
    saga = all_phases()[phase]
    decision = tell(saga, late)
    assert decision.outgoing == (RELEASES[0],)
    assert decision.saga == saga
