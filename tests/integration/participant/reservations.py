"""Reservations at a store, as they are when time has passed."""

from uuid import UUID, uuid4

from store_worker.service import service
from store_worker.settings import Settings
from tests.integration.store_worker.messages import reserve, stock
from tests.integration.workers import Worker

INQUIRY_AFTER_SECONDS = 90


async def a_worker(url: str) -> Worker:
    settings = Settings(database_url="postgresql://elsewhere/", inquiry_after_seconds=INQUIRY_AFTER_SECONDS)
    return await Worker.start(service(settings), url)


async def reserved_orders(store: Worker, count: int) -> list[UUID]:
    orders = [uuid4() for _ in range(count)]
    packet_ids = tuple(f"M-{n}" for n in range(count))
    await store.hear(stock("milk", *packet_ids))
    await store.hear(*(reserve(order, milk=1) for order in orders))
    return orders


async def expire_all(store: Worker) -> None:
    await store.execute("UPDATE reservation SET expires_at = clock_timestamp(), due_at = clock_timestamp()")


async def let_pass(store: Worker, seconds: float) -> None:
    """Everything is that much longer ago."""
    await store.execute(
        "UPDATE reservation SET due_at = due_at - make_interval(secs => $1),"
        " expires_at = expires_at - make_interval(secs => $1), assigned_at = assigned_at - make_interval(secs => $1)",
        seconds,
    )
