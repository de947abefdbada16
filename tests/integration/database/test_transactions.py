"""What was done in a transaction is committed at its end or not at all, and its rows are locked from its beginning."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from messages.transport.database.postgres import Database
from messages.transport.database.transactions import locking
from messages.transport.faults import Aborted
from tests.integration.database.purchases import write
from tests.integration.toy.station import Station
from tests.integration.toy.waiting import until


async def test_what_was_done_in_a_transaction_is_committed_at_its_end(station: Station, database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute("INSERT INTO purchase VALUES ($1, 1)", uuid4())
        assert await station.count("purchase") == 0
    assert await station.count("purchase") == 1


async def test_an_error_rolls_back_and_goes_on_its_way(station: Station, database: Database) -> None:
    async def fail() -> None:
        async with database.transaction() as tx:
            await tx.execute("INSERT INTO purchase VALUES ($1, 1)", uuid4())
            raise KeyError("x")

    with pytest.raises(KeyError):
        await fail()
    assert await station.count("purchase") == 0
    assert database.reachable
    await write(database)


async def test_an_error_of_the_first_statement_leaves_the_connection_usable(database: Database) -> None:
    for _ in range(3):
        with pytest.raises(asyncpg.UndefinedTableError):
            async with database.transaction("SELECT FROM nowhere"):
                pass
    await write(database)


async def test_the_rows_of_the_opening_statement_are_locked_for_the_whole_transaction(
    station: Station, database: Database
) -> None:
    order_id = uuid4()
    await station.rows("INSERT INTO purchase VALUES ($1, 1)", order_id)
    async with database.transaction(locking("purchase", [order_id, uuid4()])):
        with pytest.raises(asyncpg.LockNotAvailableError):
            await station.rows("SELECT FROM purchase FOR UPDATE NOWAIT")
    await station.rows("SELECT FROM purchase FOR UPDATE NOWAIT")


async def test_rows_are_locked_in_the_order_of_their_ids_wherever_they_stand(
    station: Station, database: Database
) -> None:
    low, high = sorted([uuid4(), uuid4()])
    await station.rows("INSERT INTO purchase VALUES ($1, 1), ($2, 1)", high, low)

    async def lock_both() -> None:
        async with database.transaction(locking("purchase", [high, low])):
            pass

    async with station.connection.transaction():
        await station.rows("SELECT FROM purchase WHERE order_id = $1 FOR UPDATE", low)
        locking_both = asyncio.create_task(lock_both())
        await until(station.somebody_waits)
        await station.rows("SELECT FROM purchase WHERE order_id = $1 FOR UPDATE NOWAIT", high)
    await locking_both


def test_no_orders_need_no_lock() -> None:
    assert locking("purchase", []) == ""


async def test_a_transaction_that_failed_unnoticed_is_not_taken_for_committed(database: Database) -> None:
    async def hide() -> None:
        async with database.transaction() as tx:
            with pytest.raises(asyncpg.DivisionByZeroError):
                await tx.execute("SELECT 1 / 0")

    with pytest.raises(Aborted):
        await hide()
    await write(database)
