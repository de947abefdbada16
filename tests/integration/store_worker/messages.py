"""What the store is told, and how it refuses."""

from uuid import UUID

from messages.contracts.order import OrderPlaced
from messages.contracts.store import (
    AssignPackets,
    PacketsRefused,
    PacketsWithdrawn,
    ReleasePackets,
    ReservePackets,
    StockReceived,
    Want,
)
from tests.integration.workers import in_seconds

STORE = "berlin-1"


def reserve(order_id: UUID, lease_seconds: int = 60, not_after: float = 60, **wants: int) -> ReservePackets:
    return ReservePackets(
        order_id=order_id,
        store_id=STORE,
        wants=tuple(Want(sku=sku, quantity=quantity) for sku, quantity in wants.items()),
        lease_seconds=lease_seconds,
        not_after=in_seconds(not_after),
    )


def assign(order_id: UUID, not_after: float = 60) -> AssignPackets:
    return AssignPackets(order_id=order_id, not_after=in_seconds(not_after))


def release(order_id: UUID) -> ReleasePackets:
    return ReleasePackets(order_id=order_id)


def placed(order_id: UUID, *packet_ids: str) -> OrderPlaced:
    return OrderPlaced(order_id=order_id, packet_ids=packet_ids, agent_id="A-1")


def stock(sku: str, *packet_ids: str, best_before_days: float = 10) -> StockReceived:
    best_before = in_seconds(best_before_days * 86_400)
    return StockReceived(store_id=STORE, sku=sku, best_before=best_before, packet_ids=packet_ids)


def withdraw(*packet_ids: str, store_id: str = STORE) -> PacketsWithdrawn:
    return PacketsWithdrawn(store_id=store_id, packet_ids=packet_ids)


def refused(order_id: UUID, reason: str) -> PacketsRefused:
    return PacketsRefused(order_id=order_id, reason=reason)
