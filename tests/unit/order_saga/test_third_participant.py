"""A third participant is asked, waited for and released like the others, in orders that it was asked for."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar
from uuid import UUID

import pytest

from messages.contracts.delivery import ReleaseAgent
from messages.contracts.message import Message
from messages.contracts.order import OrderNotPlaced, OrderPlaced
from messages.contracts.participation import Assign, Assigned, Refused, Release, Released, Reserve, Reserved
from messages.contracts.store import ReleasePackets
from messages.transport.addresses import Address
from order_saga.participants import Granted, Participant
from order_saga.participants import placed as placed_by_two
from order_saga.saga import start
from order_saga.state import Phase
from tests.unit.order_saga.orders import (
    AGENT_ASSIGNED,
    AGENT_RELEASED,
    AGENT_RESERVED,
    DEADLINE,
    DELIVERY_SETTLE,
    HAPPY,
    NOW,
    ORDER,
    PACKETS_ASSIGNED,
    PACKETS_RELEASED,
    PACKETS_RESERVED,
    PLACED,
    STORE_SETTLE,
    TERMS,
    UNDECIDED,
    after,
    all_phases,
    arrived,
    begun,
    requested,
    tell,
)


class ReservePayment(Reserve):
    amount_cents: int


class AssignPayment(Assign):
    pass


class ReleasePayment(Release):
    pass


class PaymentReserved(Reserved):
    PARTICIPANT: ClassVar[str] = "payment"


class PaymentRefused(Refused):
    PARTICIPANT: ClassVar[str] = "payment"


class PaymentAssigned(Assigned):
    PARTICIPANT: ClassVar[str] = "payment"

    @property
    def unit_ids(self) -> tuple[str, ...]:
        return ("receipt-1",)


class PaymentReleased(Released):
    PARTICIPANT: ClassVar[str] = "payment"


class OrderPlacedAndPaid(OrderPlaced):
    receipt_id: str | None = None


def placed_by_three(order_id: UUID, granted: Granted) -> OrderPlaced:
    """Also for an order from before the third was registered, which it has granted nothing."""
    placed = placed_by_two(order_id, granted)
    return OrderPlacedAndPaid(**placed.model_dump(), receipt_id=next(iter(granted.get("payment", ())), None))


PAYMENT = Participant(
    name="payment",
    worker="payment_worker",
    reserve=lambda order, lease_seconds, not_after: ReservePayment(
        order_id=order.order_id,
        lease_seconds=lease_seconds,
        not_after=not_after,
        amount_cents=sum(line.quantity * line.price_cents for line in order.lines),
    ),
    assign=AssignPayment,
    release=ReleasePayment,
    answers=(PaymentReserved, PaymentRefused, PaymentAssigned, PaymentReleased),
    wanted=lambda _: {"receipt": 1},
    place=lambda _: None,
    used_up=True,
)
WITH_PAYMENT = replace(TERMS, participants={**TERMS.participants, "payment": PAYMENT}, placed=placed_by_three)
THREE_RESERVED = [PACKETS_RESERVED, AGENT_RESERVED, PaymentReserved(order_id=ORDER)]
THREE_ASSIGNED = [PACKETS_ASSIGNED, AGENT_ASSIGNED, PaymentAssigned(order_id=ORDER)]


def test_a_third_participant_is_asked_like_the_others() -> None:
    payment = start(arrived(requested()), NOW, WITH_PAYMENT).outgoing[2]
    reserve = ReservePayment(order_id=ORDER, lease_seconds=30, not_after=DEADLINE, amount_cents=448)
    assert payment == (reserve, Address("commands", "payment_worker.reserve"))


@pytest.mark.parametrize("reserved", [*itertools.permutations(THREE_RESERVED)])
@pytest.mark.parametrize("assigned", [*itertools.permutations(THREE_ASSIGNED)])
def test_an_order_of_three_participants_is_placed_by_the_last_of_them(
    reserved: Sequence[Message], assigned: Sequence[Message]
) -> None:
    saga = begun(policy=WITH_PAYMENT)
    assert len(tell(saga, *reserved, policy=WITH_PAYMENT).outgoing) == 3
    assert tell(saga, *reserved, *assigned[:2], policy=WITH_PAYMENT).outgoing == ()
    last = tell(saga, *reserved, *assigned, policy=WITH_PAYMENT)
    placed, _ = last.outgoing[0]
    assert isinstance(placed, OrderPlacedAndPaid)
    assert placed.receipt_id == "receipt-1"
    assert [to.key for _, to in last.outgoing[1:]] == [
        "store_worker.settle",
        "delivery_worker.settle",
        "payment_worker.settle",
    ]


def test_a_third_participant_may_refuse_and_is_released_like_the_others() -> None:
    saga = after(*THREE_RESERVED, PACKETS_ASSIGNED, policy=WITH_PAYMENT)
    refused = PaymentRefused(order_id=ORDER, reason="no_funds")
    decision = tell(saga, refused, policy=WITH_PAYMENT)
    told, *releases = [message for message, _ in decision.outgoing]
    assert told == OrderNotPlaced(order_id=ORDER, participant="payment", reason="no_funds")
    assert [type(message) for message in releases] == [ReleasePackets, ReleaseAgent, ReleasePayment]
    assert decision.saga is not None
    two_released = tell(decision.saga, PACKETS_RELEASED, AGENT_RELEASED, policy=WITH_PAYMENT).saga
    assert two_released is not None
    assert two_released.phase is Phase.RELEASING
    closed = tell(two_released, PaymentReleased(order_id=ORDER), policy=WITH_PAYMENT).saga
    assert closed is not None
    assert closed.phase is Phase.CLOSED


def test_an_order_goes_on_with_those_who_were_asked_when_somebody_else_is_registered_meanwhile() -> None:
    decision = tell(after(*HAPPY[:3]), AGENT_ASSIGNED, policy=WITH_PAYMENT)
    placed = OrderPlacedAndPaid(**PLACED.model_dump())
    assert [message for message, _ in decision.outgoing] == [placed] * 3
    assert [to for _, to in decision.outgoing][1:] == [STORE_SETTLE, DELIVERY_SETTLE]
    strays = (PaymentReserved(order_id=ORDER), PaymentRefused(order_id=ORDER, reason="no_funds"))
    for phase, stray in itertools.product(UNDECIDED, strays):
        saga = all_phases()[phase]
        decision = tell(saga, stray, policy=WITH_PAYMENT)
        assert decision.saga == saga
        assert [name for name, _ in decision.alarms] == ["unasked_answer"]
    releasing = all_phases()[Phase.RELEASING]
    assert tell(releasing, PaymentReleased(order_id=ORDER), policy=WITH_PAYMENT).saga == releasing
