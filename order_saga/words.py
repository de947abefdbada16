"""What the order saga says, and to whom."""

from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias
from uuid import UUID

from messages.contracts.message import Message
from messages.contracts.order import OrderNotPlaced, OrderRequested, RequestRejected
from messages.transport.addresses import OUTCOMES, Address
from order_saga.content import remembered
from order_saga.state import Phase, Saga, Terms

Word: TypeAlias = tuple[Message, Address]


def reserve(saga: Saga, names: Iterable[str], order: OrderRequested, terms: Terms) -> Iterator[Word]:
    for name in names:
        participant = terms.participants[name]
        yield participant.reserve(order, terms.lease_seconds, saga.deadline), participant.intake


def assign(saga: Saga, names: Iterable[str], terms: Terms) -> Iterator[Word]:
    for name in names:
        participant = terms.participants[name]
        yield participant.assign(order_id=saga.order_id, not_after=saga.deadline), participant.settle


def release(saga: Saga, names: Iterable[str], terms: Terms) -> Iterator[Word]:
    for name in names:
        participant = terms.participants[name]
        yield participant.release(order_id=saga.order_id), participant.settle


def commands(saga: Saga, names: Iterable[str], terms: Terms) -> Iterator[Word]:
    """What these participants were asked for in this phase, once more."""
    if saga.phase is Phase.RELEASING:
        return release(saga, names, terms)
    if saga.phase is Phase.ASSIGNING:
        return assign(saga, names, terms)
    if saga.request is None:
        raise ValueError("what the order is about has been forgotten while it is undecided")
    return reserve(saga, names, remembered(saga.order_id, saga.request), terms)


def confirm(saga: Saga, names: Iterable[str], terms: Terms) -> Iterator[Word]:
    """OrderPlaced to participants: what they hold is the customer's now."""
    placed = terms.placed(saga.order_id, saga.granted)
    for name in names:
        yield placed, terms.participants[name].settle


def outcome(saga: Saga, terms: Terms) -> Word:
    """The outcome of a decided order, to whoever listens."""
    if saga.phase is Phase.PLACED:
        return _public(terms.placed(saga.order_id, saga.granted))
    if saga.undecided or saga.reason is None:
        raise ValueError("an undecided order has no outcome to tell")
    return _public(OrderNotPlaced(order_id=saga.order_id, participant=saga.participant, reason=saga.reason))


def rejection(
    order_id: UUID | None,
    request_message_id: UUID,
    reason: Literal["malformed", "conflict", "too_late"],
    detail: str,
) -> Word:
    """A request that is not acted upon, and says nothing about the order of that id."""
    return _public(
        RequestRejected(order_id=order_id, request_message_id=request_message_id, reason=reason, detail=detail)
    )


def _public(message: Message) -> Word:
    return message, Address(OUTCOMES, message.routing_key())
