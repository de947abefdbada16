"""Three services that have lived, with an order of each kind, and what the audit finds in their databases."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from messages.contracts.delivery import AgentCameOnline
from messages.contracts.order import DeliveryCompleted
from messages.contracts.store import StockReceived
from messages.transport.broker import Broker
from messages.transport.edge.connection import publish_until_confirmed
from messages.transport.edge.requests import new_request
from messages.transport.topology import listener
from order_saga.inspection.audit import examine
from order_saga.inspection.evidence import Finding
from tests.integration.small_system import Urls, place_all, until

LATER = datetime.now(UTC) + timedelta(days=3)
MINE = listener("test")
QUEUE = MINE.queues[0].name
SETTLED = """
    SELECT count(*) FILTER (WHERE state = 'confirmed') = 1 AND count(*) FILTER (WHERE state = 'fulfilled') = 1
        AND count(*) FILTER (WHERE state IN ('reserved', 'assigned')) = 0
    FROM published.holdings
"""
KEEP = """
    DO $$ DECLARE name text; BEGIN
        CREATE SCHEMA IF NOT EXISTS kept;
        FOR name IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
            AND relkind IN ('r', 'p') AND NOT relispartition AND to_regclass('kept.' || relname) IS NULL
        LOOP EXECUTE format('CREATE TABLE kept.%1$I AS TABLE %1$I', name); END LOOP;
    END $$
"""
RESTORE = """
    DO $$ DECLARE name text; BEGIN
        FOR name IN SELECT relname FROM pg_class WHERE relnamespace = 'kept'::regnamespace
        LOOP
            EXECUTE format('DELETE FROM %1$I; INSERT INTO %1$I OVERRIDING SYSTEM VALUE TABLE kept.%1$I', name);
        END LOOP;
    END $$
"""


@dataclass(frozen=True)
class World:
    """Databases in which everything is as it should be, with an order of each kind."""

    urls: Urls
    placed: UUID
    delivered: UUID
    refused: UUID
    cancelled: UUID

    async def corrupt(self, service: str, statements: str) -> None:
        """Change what the services would never change: `{placed}` and so on stand for the orders."""
        connection = await asyncpg.connect(self.urls[service])
        try:
            # No trigger shall stand between a test and its corruption.
            await connection.execute("SET session_replication_role = replica")
            await connection.execute(statements.format_map({name: str(value) for name, value in vars(self).items()}))
        finally:
            await connection.close()


async def audit(urls: Mapping[str, str], grace_seconds: float = 0.0, *, at_rest: bool = False) -> list[Finding]:
    return list((await examine(urls, grace_seconds, at_rest=at_rest)).findings)


def order(quantity: int = 2) -> bytes:
    lines = [{"sku": "milk", "quantity": quantity, "price_cents": 129}]
    return json.dumps({"customer_id": "C-1", "store_id": "north", "zone": "centre", "lines": lines}).encode()


def cancel() -> bytes:
    return json.dumps({"type": "CancelOrder/1.0", "order_id": str(uuid.uuid4())}).encode()


async def stock(broker: Broker, urls: Urls, agents: Sequence[str]) -> None:
    names = tuple(f"P-{number}" for number in range(20))
    goods = new_request(StockReceived, store_id="north", sku="milk", best_before=LATER, packet_ids=names)
    await publish_until_confirmed(
        broker, [goods, *(new_request(AgentCameOnline, agent_id=each, zone="centre") for each in agents)]
    )
    await until(urls["store_worker"], "SELECT count(*) = 20 FROM published.stock")
    await until(urls["delivery_worker"], f"SELECT count(*) = {len(agents)} FROM published.stock")


async def live(broker: Broker, urls: Urls) -> World:
    """With an agent for each order, only the store refuses one: otherwise a Release may overtake its Reserve there."""
    answers = await place_all(broker, QUEUE, [order(), order(3), order(99), cancel()])
    placed, delivered, refused, cancelled = (answer.asked.order_id for answer in answers)
    await publish_until_confirmed(broker, [new_request(DeliveryCompleted, order_id=delivered)])
    for worker in ("store_worker", "delivery_worker"):
        await until(urls[worker], SETTLED)
    await until(
        urls["order_saga"], "SELECT bool_and(cleaned_at IS NOT NULL OR outcome = 'placed') FROM published.orders"
    )
    return World(urls, placed, delivered, refused, cancelled)
