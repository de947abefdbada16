"""An order is placed when everybody has assigned, in whatever order the answers come, and never before."""

import itertools
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from messages.contracts.delivery import AssignAgent, ReserveAgent
from messages.contracts.message import Message
from messages.contracts.store import AssignPackets, PacketsAssigned, ReservePackets, Want
from order_saga.saga import start
from order_saga.state import Decision, Phase
from tests.unit.order_saga.orders import (
    AGENT_ASSIGNED,
    AGENT_RESERVED,
    CUSTOMER,
    DEADLINE,
    DELIVERY_INTAKE,
    DELIVERY_SETTLE,
    HAPPY,
    NOW,
    ORDER,
    PACKETS_ASSIGNED,
    PACKETS_RESERVED,
    PLACED,
    STORE_INTAKE,
    STORE_SETTLE,
    TERMS,
    after,
    arrived,
    begun,
    requested,
    tell,
)


def test_all_participants_are_asked_to_reserve_at_once() -> None:
    decision = start(arrived(requested()), NOW, TERMS)
    wants = (Want(sku="milk", quantity=2), Want(sku="bread", quantity=1))
    limits: dict[str, Any] = {"order_id": ORDER, "lease_seconds": 30, "not_after": DEADLINE}
    assert decision.outgoing == (
        (ReservePackets(**limits, store_id="S-1", wants=wants), STORE_INTAKE),
        (ReserveAgent(**limits, zone="Z-1"), DELIVERY_INTAKE),
    )
    assert decision.note == "reserving"


@pytest.mark.parametrize("reserved", [*itertools.permutations([PACKETS_RESERVED, AGENT_RESERVED])])
@pytest.mark.parametrize("assigned", [*itertools.permutations([PACKETS_ASSIGNED, AGENT_ASSIGNED])])
def test_an_order_is_placed_in_whatever_order_the_answers_come(
    reserved: Sequence[Message], assigned: Sequence[Message]
) -> None:
    first = tell(begun(), reserved[0])
    assert first.outgoing == ()
    second = tell(begun(), *reserved)
    assert second.outgoing == (
        (AssignPackets(order_id=ORDER, not_after=DEADLINE), STORE_SETTLE),
        (AssignAgent(order_id=ORDER, not_after=DEADLINE), DELIVERY_SETTLE),
    )
    assert second.note == "reserving -> assigning"
    third = tell(begun(), *reserved, assigned[0])
    assert third.outgoing == ()
    last = tell(begun(), *reserved, *assigned)
    assert last.outgoing == ((PLACED, CUSTOMER), (PLACED, STORE_SETTLE), (PLACED, DELIVERY_SETTLE))
    assert last.note == "assigning -> placed"


def test_going_over_to_assigning_leaves_the_due_time_so_that_no_index_changes() -> None:
    saga = begun()
    assigning = tell(saga, PACKETS_RESERVED, AGENT_RESERVED, now=NOW + timedelta(milliseconds=300)).saga
    assert assigning is not None
    assert assigning.due_at == saga.due_at


def test_nothing_is_placed_before_everybody_has_assigned() -> None:
    """Every sequence of the four good answers, with repetitions, that lacks one of the two assignments."""
    for length in range(6):
        for messages in itertools.product(HAPPY, repeat=length):
            placed = after(*messages).phase is Phase.PLACED
            assert placed <= {PACKETS_ASSIGNED, AGENT_ASSIGNED}.issubset(messages[2:])


def test_two_answers_of_one_participant_do_not_count_as_one_of_each() -> None:
    assert after(PACKETS_RESERVED, PACKETS_RESERVED).phase is Phase.RESERVING
    assert after(*HAPPY[:3], PACKETS_ASSIGNED).phase is Phase.ASSIGNING


def test_what_a_participant_has_assigned_stays_as_it_said_first() -> None:
    saga = after(*HAPPY[:3])
    assert tell(saga, PacketsAssigned(order_id=ORDER, packet_ids=("P-9",))) == Decision(saga)
