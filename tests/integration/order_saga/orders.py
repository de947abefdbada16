"""Orders, and an order saga without a broker: passes messages to it as the consumer does."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg

import order_saga
from messages.contracts.delivery import AgentAssigned, AgentReserved
from messages.contracts.message import Message
from messages.contracts.order import Line, OrderRequested
from messages.contracts.store import PacketsAssigned, PacketsReserved
from messages.transport.database.lock_mode import LockMode
from messages.transport.database.postgres import Database
from messages.transport.database.row_cache import RowCache
from messages.transport.database.transactions import Transaction, locking
from messages.transport.database.writing import write
from messages.transport.faults import Collision
from messages.transport.handled import Handled
from messages.transport.incoming import Incoming
from order_saga import deadlines
from order_saga.handlers import handle
from order_saga.participants import PARTICIPANTS
from order_saga.queries import Due
from order_saga.rows import TABLE
from order_saga.service import service
from order_saga.settings import Settings
from tests.integration.toy.waiting import PATIENCE_SECONDS

MIGRATIONS = Path(order_saga.__file__).parent / "migrations"
# However slow the machine is, no deadline passes, and nobody is asked again, before a test says so.
SETTINGS = Settings(
    database_url="postgresql://nowhere/",
    budget_seconds=600,
    lease_seconds=1_200,
    repeat_base_seconds=50,
    repeat_cap_seconds=600,
)
SERVICE = service(SETTINGS)
TERMS = replace(SETTINGS.policy, participants={name: PARTICIPANTS[name] for name in ("store", "delivery")})
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
A_PACKET = ("P-1",)


def requested(**changes: Any) -> OrderRequested:
    fields: dict[str, Any] = {
        "order_id": uuid.uuid4(),
        "customer_id": "C-1",
        "store_id": "S-1",
        "zone": "Z-1",
        "lines": (Line(sku="milk", quantity=1, price_cents=99),),
        "deadline": datetime.now(UTC) + timedelta(hours=1),
    }
    return OrderRequested(**fields | changes)


def happy_story(
    order: OrderRequested, packet_ids: tuple[str, ...] = A_PACKET, agent_id: str = "A-1"
) -> Sequence[Message]:
    order_id = order.order_id
    return [
        order,
        PacketsReserved(order_id=order_id),
        AgentReserved(order_id=order_id),
        PacketsAssigned(order_id=order_id, packet_ids=packet_ids),
        AgentAssigned(order_id=order_id, agent_id=agent_id),
    ]


def incoming(message: Message) -> Incoming:
    return Incoming(message, uuid.uuid4(), TRACEPARENT)


async def hear(database: Database, *messages: Message) -> Handled:
    """As the transport does: orders locked, handled in one transaction, and again after a collision."""
    while True:
        try:
            return await hear_once(database, *messages)
        except Collision:
            continue


async def hear_once(database: Database, *messages: Message) -> Handled:
    order_ids = {message.order_id for message in messages if message.order_id is not None}
    async with database.transaction(locking(SERVICE.locks, order_ids)) as tx:
        handled = await handle(
            TERMS, RowCache(TABLE), tx, [incoming(message) for message in messages], LockMode.PESSIMISTIC
        )
        await write(tx, handled.writes)
        return handled


async def look(database: Database, which: Due) -> Handled:
    handled: Handled = await in_transaction(database, partial(deadlines.look_at_due, which, TERMS))
    return handled


async def contradict(database: Database, which: str) -> None:
    """Give orders that are not "not placed" a reason why they are: whoever changes anything of them is refused."""
    await execute(database, f"SET LOCAL session_replication_role = replica; UPDATE saga SET reason = 'x' WHERE {which}")


async def in_transaction(database: Database, work: Callable[[Transaction], Any]) -> Any:
    async with database.transaction() as tx:
        return await work(tx)


async def published(database: Database, message: Message) -> asyncpg.Record:
    async with database.transaction() as tx:
        row: asyncpg.Record | None = await tx.fetchrow(
            "SELECT * FROM published.orders WHERE order_id = $1", message.order_id
        )
    assert row is not None
    return row


async def phases(database: Database) -> dict[str, int]:
    async with database.transaction() as tx:
        return dict(await tx.fetch("SELECT phase, count(*) FROM saga GROUP BY phase"))


async def fetchval(database: Database, statement: str) -> Any:
    async with database.transaction() as tx:
        return await tx.fetchval(statement)


async def execute(database: Database, statement: str) -> None:
    async with plain(database) as connection:
        await connection.execute(statement)


@asynccontextmanager
async def plain(database: Database) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(database._hosts._url)
    try:
        yield connection
    finally:
        await connection.close()


async def blocked(database: Database) -> None:
    """Wait until somebody waits for a lock in this database."""
    await eventually(
        database,
        "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE NOT granted AND datname = current_database())",
    )


async def eventually(database: Database, condition: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS), plain(database) as connection:
        while not await connection.fetchval(condition):  # noqa: ASYNC110  no event tells of another session
            await asyncio.sleep(0.01)


def said_types(handled: Handled) -> list[type[Message]]:
    return [type(each.message) for each in handled.outgoing]
