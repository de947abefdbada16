"""Messages about the same orders at the same time: nothing is lost, and no order has two outcomes."""

import asyncio
import uuid
from collections import Counter

import asyncpg
import pytest

from messages.contracts.delivery import AgentReserved
from messages.contracts.order import CancelOrder, OrderNotPlaced, OrderPlaced
from messages.contracts.store import PacketsReserved
from messages.transport.database.lock_mode import LockMode
from messages.transport.database.postgres import Database
from messages.transport.database.row_cache import RowCache
from messages.transport.database.writing import write
from messages.transport.faults import Collision
from order_saga import queries
from order_saga.handlers import handle
from order_saga.rows import TABLE
from tests.integration.order_saga.orders import (
    TERMS,
    blocked,
    happy_story,
    hear,
    hear_once,
    incoming,
    phases,
    plain,
    requested,
)


async def test_answers_of_both_participants_at_once_lose_nothing(database: Database) -> None:
    """Two processes hear one answer each about the same orders, in opposite order."""
    orders = [requested() for _ in range(20)]
    await hear(database, *orders)
    packets = [PacketsReserved(order_id=order.order_id) for order in orders]
    agents = [AgentReserved(order_id=order.order_id) for order in reversed(orders)]
    await asyncio.gather(hear(database, *packets), hear(database, *agents))
    assert await phases(database) == {"assigning": 20}


async def test_a_cancel_and_the_last_assignment_at_once_have_one_outcome(database: Database) -> None:
    orders = [requested() for _ in range(20)]
    for order in orders:
        await hear(database, *happy_story(order)[:-1])
    last = [happy_story(order)[-1] for order in orders]
    cancels = [CancelOrder(order_id=order.order_id) for order in orders]
    both = await asyncio.gather(hear(database, *last), hear(database, *cancels))
    told = [each.message for handled in both for each in handled.outgoing if each.to.exchange == "outcomes"]
    outcomes = Counter(message.order_id for message in told if isinstance(message, (OrderPlaced, OrderNotPlaced)))
    assert outcomes == {order.order_id: 1 for order in orders}


async def test_an_order_that_two_transactions_create_is_a_collision_for_one_and_then_heard_again(
    database: Database,
) -> None:
    order = requested()
    async with database.transaction() as tx:
        handled = await handle(TERMS, RowCache(TABLE), tx, [incoming(order)], LockMode.PESSIMISTIC)
        await write(tx, handled.writes)
        other = asyncio.create_task(hear_once(database, order))
        await blocked(database)
    with pytest.raises(Collision):
        await other
    assert (await hear(database, order)).timeline[0].detail == "no effect"


async def test_what_is_read_in_a_transaction_is_locked_in_the_order_of_the_ids(database: Database) -> None:
    low, high = sorted(uuid.uuid4() for _ in range(2))
    for order_id in (high, low):
        await hear(database, requested(order_id=order_id))
    lock = "SELECT FROM saga WHERE order_id = $1 FOR UPDATE NOWAIT"
    async with database.transaction() as tx, plain(database) as other:
        async with other.transaction():
            await other.execute(lock, low)
            reading = asyncio.create_task(queries.read(tx, [high, low]))
            await blocked(database)
            await other.execute(lock, high)
        await reading
        for order_id in (low, high):
            with pytest.raises(asyncpg.LockNotAvailableError):
                await other.execute(lock, order_id)


async def test_a_row_that_was_read_without_a_lock_and_changed_since_cannot_be_overwritten(database: Database) -> None:
    order = requested()
    async with database.session() as tx:
        await hear(database, order)
        _, sagas = await queries.read(tx, [order.order_id])
        await hear(database, AgentReserved(order_id=order.order_id))
        writes = queries.write([(saga, saga._replace(repeats=1)) for saga in sagas.values()])
        with pytest.raises(Collision):
            await write(tx, writes)
