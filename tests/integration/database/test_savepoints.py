"""What is done within a savepoint is undone alone, and no savepoint is left behind."""

import asyncio
import contextlib
from uuid import uuid4

import asyncpg
import pytest

from messages.transport.database.postgres import Database
from messages.transport.database.transactions import Transaction, savepoint
from tests.integration.network import Network
from tests.integration.toy.station import Station


async def test_what_is_done_within_a_savepoint_is_undone_alone(station: Station, database: Database) -> None:
    kept = [uuid4(), uuid4(), uuid4()]
    insert = "INSERT INTO purchase VALUES ($1, 1)"

    async def fail(tx: Transaction) -> None:
        async with savepoint(tx):
            await tx.execute(insert, uuid4())
            await tx.execute("SELECT 1 / 0")

    async with database.transaction() as tx:
        await tx.execute(insert, kept[0])
        for order_id in kept[1:]:
            with pytest.raises(asyncpg.DivisionByZeroError):
                await fail(tx)
            async with savepoint(tx):
                await tx.execute(insert, order_id)
    assert {row["order_id"] for row in await station.rows("SELECT order_id FROM purchase")} == set(kept)


@pytest.mark.parametrize("fails", [False, True])
async def test_no_savepoint_is_left_behind(database: Database, fails: bool) -> None:
    async def leave(tx: Transaction) -> None:
        async with savepoint(tx):
            if fails:
                raise LookupError

    async def release_again() -> None:
        async with database.transaction() as tx:
            with contextlib.suppress(LookupError):
                await leave(tx)
            await tx.execute("RELEASE SAVEPOINT undo")

    with pytest.raises(asyncpg.InvalidSavepointSpecificationError):
        await release_again()


async def test_an_error_within_a_savepoint_goes_on_its_way_where_the_connection_is_gone(database: Database) -> None:
    async def fail() -> None:
        async with database.transaction() as tx, savepoint(tx):
            tx.terminate()
            raise LookupError

    with pytest.raises(LookupError):
        await fail()


async def test_who_is_cancelled_within_a_savepoint_does_not_wait_for_a_silent_server(station: Station) -> None:
    async with Network(station.url) as network:
        database = Database(network.url)
        await database.open()

        async def be_cancelled() -> None:
            async with database.transaction() as tx, savepoint(tx):
                network.freeze()
                raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(be_cancelled(), 60)
        network.thaw()
        await database.close()
