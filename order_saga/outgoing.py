"""The order saga's outgoing messages, and their addresses."""

from collections.abc import Iterable
from functools import cache
from typing import Literal, TypeAlias
from uuid import UUID

from messages.contracts.message import Message
from messages.contracts.order import OrderNotPlaced, OrderPlaced, OrderRequested, RequestRejected
from messages.transport.addresses import OUTCOMES, Address
from order_saga.content import from_canonical
from order_saga.state import Phase, Policy, Saga

Addressed: TypeAlias = tuple[Message, Address]
Messages: TypeAlias = tuple[Addressed, ...]


def reserve(saga: Saga, names: Iterable[str], order: OrderRequested, policy: Policy) -> Messages:
    asked = [policy.participants[name] for name in names]
    return tuple([(each.reserve(order, policy.lease_seconds, saga.deadline), each.reserve_address) for each in asked])


def assign(saga: Saga, names: Iterable[str], policy: Policy) -> Messages:
    asked = [policy.participants[name] for name in names]
    return tuple(
        [(each.assign(order_id=saga.order_id, not_after=saga.deadline), each.settle_address) for each in asked]
    )


def release(saga: Saga, names: Iterable[str], policy: Policy) -> Messages:
    asked = [policy.participants[name] for name in names]
    return tuple([(each.release(order_id=saga.order_id), each.settle_address) for each in asked])


def commands(saga: Saga, names: Iterable[str], policy: Policy) -> Messages:
    """Commands of the saga's phase to these participants, once more."""
    if saga.phase is Phase.RELEASING:
        return release(saga, names, policy)
    if saga.phase is Phase.ASSIGNING:
        return assign(saga, names, policy)
    if saga.request is None:
        raise ValueError("the content of an undecided order was deleted")
    return reserve(saga, names, from_canonical(saga.order_id, saga.request), policy)


def confirm(saga: Saga, names: Iterable[str], policy: Policy) -> Messages:
    """OrderPlaced to participants: what they hold is the customer's now."""
    return _confirm(policy.placed(saga.order_id, saga.granted), names, policy)


def placed(saga: Saga, policy: Policy) -> Messages:
    """The outcome of an order that has just been placed, to clients and to all participants."""
    message = policy.placed(saga.order_id, saga.granted)
    return (_public(message), *_confirm(message, saga.standing, policy))


def _confirm(message: OrderPlaced, names: Iterable[str], policy: Policy) -> Messages:
    return tuple([(message, policy.participants[name].settle_address) for name in names])


def outcome(saga: Saga, policy: Policy) -> Addressed:
    if saga.phase is Phase.PLACED:
        return _public(policy.placed(saga.order_id, saga.granted))
    if saga.reason is None:
        raise ValueError("an undecided order has no outcome")
    return _public(OrderNotPlaced(order_id=saga.order_id, participant=saga.participant, reason=saga.reason))


def rejection(
    order_id: UUID | None,
    request_message_id: UUID,
    reason: Literal["malformed", "conflict", "too_late"],
    detail: str,
) -> Addressed:
    """The rejection of a request, which says nothing about the order of that id."""
    return _public(
        RequestRejected(order_id=order_id, request_message_id=request_message_id, reason=reason, detail=detail)
    )


def _public(message: Message) -> Addressed:
    return message, _outcomes(type(message))


@cache
def _outcomes(kind: type[Message]) -> Address:
    return Address(OUTCOMES, kind.routing_key())
