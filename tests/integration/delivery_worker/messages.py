"""What the delivery worker is told, and how it refuses."""

from datetime import UTC, datetime
from uuid import UUID

from messages.contracts.delivery import (
    AgentCameOnline,
    AgentRefused,
    AgentWentOffline,
    AssignAgent,
    ReleaseAgent,
    ReserveAgent,
)
from messages.contracts.order import DeliveryCompleted, OrderPlaced
from tests.integration.workers import in_seconds

ZONE = "mitte"
MORNING = datetime(2026, 5, 1, 8, tzinfo=UTC)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
EVENING = datetime(2026, 5, 1, 17, tzinfo=UTC)


def reserve(order_id: UUID, zone: str = ZONE) -> ReserveAgent:
    return ReserveAgent(order_id=order_id, zone=zone, lease_seconds=60, not_after=in_seconds(60))


def assign(order_id: UUID) -> AssignAgent:
    return AssignAgent(order_id=order_id, not_after=in_seconds(60))


def release(order_id: UUID) -> ReleaseAgent:
    return ReleaseAgent(order_id=order_id)


def placed(order_id: UUID, agent_id: str = "A-1") -> OrderPlaced:
    return OrderPlaced(order_id=order_id, packet_ids=("P-1",), agent_id=agent_id)


def completed(order_id: UUID) -> DeliveryCompleted:
    return DeliveryCompleted(order_id=order_id)


def online(agent_id: str, zone: str = ZONE, at: datetime | None = None) -> AgentCameOnline:
    return AgentCameOnline(agent_id=agent_id, zone=zone, at=at)


def offline(agent_id: str, at: datetime | None = None) -> AgentWentOffline:
    return AgentWentOffline(agent_id=agent_id, at=at)


def refused(order_id: UUID, reason: str) -> AgentRefused:
    return AgentRefused(order_id=order_id, reason=reason)
