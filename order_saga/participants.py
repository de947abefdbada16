"""The registry of the participants in an order. Nothing else in the orchestrator knows their names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import TypeAlias
from uuid import UUID

from messages.contracts.delivery import (
    DELIVERY,
    AgentAssigned,
    AgentRefused,
    AgentReleased,
    AgentReserved,
    AssignAgent,
    ReleaseAgent,
    ReserveAgent,
)
from messages.contracts.order import OrderPlaced, OrderRequested
from messages.contracts.participation import RESERVE, SETTLE, Answer, Assign, Release, Reserve
from messages.contracts.store import (
    STORE,
    AssignPackets,
    PacketsAssigned,
    PacketsRefused,
    PacketsReleased,
    PacketsReserved,
    ReleasePackets,
    ReservePackets,
    Want,
)
from messages.contracts.views import Order
from messages.transport.addresses import COMMANDS, Address, queue_name

Granted: TypeAlias = Mapping[str, tuple[str, ...]]
"""Participant -> the units that are the order's."""


@dataclass(frozen=True)
class Participant:
    """A service that can hold units for an order, and give them back."""

    name: str
    worker: str
    """The service that implements it; its queues are named after it."""
    reserve: Callable[[OrderRequested, int, datetime], Reserve]
    """(order, lease in seconds, not after) -> what to hold."""
    assign: type[Assign]
    release: type[Release]
    answers: tuple[type[Answer], ...]
    wanted: Callable[[Order], Mapping[str, int]]
    """How many units of which kind an order is entitled to."""
    place: Callable[[Order], str | None]
    """Where they must be from; None: from anywhere."""
    used_up: bool
    """Its units serve one order only; those of others are free again once an order is fulfilled."""

    @cached_property
    def reserve_address(self) -> Address:
        return Address(COMMANDS, queue_name(self.worker, RESERVE))

    @cached_property
    def settle_address(self) -> Address:
        """Where Assign, Release and OrderPlaced go: never behind new work."""
        return Address(COMMANDS, queue_name(self.worker, SETTLE))


def placed(order_id: UUID, granted: Granted) -> OrderPlaced:
    """The customer's OrderPlaced, from what each participant granted."""
    (agent_id,) = granted[DELIVERY]
    return OrderPlaced(order_id=order_id, packet_ids=granted[STORE], agent_id=agent_id)


def _reserve_packets(order: OrderRequested, lease_seconds: int, not_after: datetime) -> Reserve:
    return ReservePackets(
        order_id=order.order_id,
        lease_seconds=lease_seconds,
        not_after=not_after,
        store_id=order.store_id,
        wants=tuple([_want(line.sku, line.quantity) for line in order.lines]),
    )


@lru_cache(maxsize=10_000)
def _want(sku: str, quantity: int) -> Want:
    """Cached: there are few, each wanted many times, and they are immutable."""
    return Want(sku=sku, quantity=quantity)


def _reserve_agent(order: OrderRequested, lease_seconds: int, not_after: datetime) -> Reserve:
    return ReserveAgent(order_id=order.order_id, lease_seconds=lease_seconds, not_after=not_after, zone=order.zone)


PARTICIPANTS: Mapping[str, Participant] = {
    STORE: Participant(
        name=STORE,
        worker="store_worker",
        reserve=_reserve_packets,
        assign=AssignPackets,
        release=ReleasePackets,
        answers=(PacketsReserved, PacketsRefused, PacketsAssigned, PacketsReleased),
        wanted=lambda order: order.quantities,
        place=lambda order: order.store_id,
        used_up=True,
    ),
    DELIVERY: Participant(
        name=DELIVERY,
        worker="delivery_worker",
        reserve=_reserve_agent,
        assign=AssignAgent,
        release=ReleaseAgent,
        answers=(AgentReserved, AgentRefused, AgentAssigned, AgentReleased),
        wanted=lambda _: {"agent": 1},
        place=lambda order: order.zone,
        used_up=False,
    ),
}
