"""The timeline's partitions are created ahead and dropped whole, under load too, and no note is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from messages.transport import timeline
from messages.transport.database.transactions import Transaction
from tests.integration.days import midnight, no_midnight_is_near, partitions, prepare, table, tables, today
from tests.integration.toy.station import Station

DAYS_KEPT = 7


@pytest.fixture(autouse=True)
async def _no_day_ends_meanwhile() -> None:
    await no_midnight_is_near()


@pytest.fixture
async def tx(own_station: Station) -> AsyncIterator[Transaction]:
    connection = await asyncpg.connect(own_station.url)
    yield connection
    await connection.close()


async def turn(connection: Transaction) -> None:
    async with connection.transaction():
        await timeline.rotate_partitions(connection, DAYS_KEPT)


async def turn_in_the_end(connection: Transaction) -> None:
    """As the job does, which is tried again if somebody else keeps it waiting for half a second."""
    while True:
        with suppress(asyncpg.LockNotAvailableError):
            return await turn(connection)


async def tell(connection: Transaction, at: datetime, event: str = "told") -> None:
    await connection.execute("INSERT INTO timeline VALUES ($1, ARRAY[$2::uuid], $3, '', '')", at, uuid4(), event)


async def test_days_are_prepared_ahead_once(tx: Transaction) -> None:
    day = await today(tx)
    prepared = {table(day + timedelta(days=ahead)): 0 for ahead in range(3)} | {"timeline_otherwise": 0}
    await turn(tx)
    assert await tables(tx) == prepared
    await turn(tx)
    assert await tables(tx) == prepared


async def test_lines_of_a_prepared_day_stand_in_its_own_table(tx: Transaction) -> None:
    await turn(tx)
    day = await today(tx)
    for at in (midnight(day), midnight(day + timedelta(days=1)) - timedelta(microseconds=1)):
        await tell(tx, at)
    await tell(tx, midnight(day + timedelta(days=1)))
    lines = await tables(tx)
    assert (lines[table(day)], lines[table(day + timedelta(days=1))], lines["timeline_otherwise"]) == (2, 1, 0)


async def test_a_day_is_stored_and_compressed_as_the_whole_is(tx: Transaction) -> None:
    await turn(tx)
    columns = "SELECT attname, attstorage, attcompression FROM pg_attribute WHERE attrelid = $1::regclass"
    assert await tx.fetch(columns, table(await today(tx))) == await tx.fetch(columns, "timeline")


async def test_what_came_before_its_day_was_prepared_moves_there(tx: Transaction) -> None:
    day = await today(tx)
    for ahead in (0, 0, 1, 5):
        await tell(tx, midnight(day + timedelta(days=ahead)) + timedelta(hours=12))
    await turn(tx)
    lines = await tables(tx)
    assert (lines[table(day)], lines[table(day + timedelta(days=1))], lines["timeline_otherwise"]) == (2, 1, 1)
    assert await tx.fetchval("SELECT count(*) FROM published.timeline") == 4


async def test_the_session_s_time_zone_moves_no_day(tx: Transaction) -> None:
    await tx.execute("SET TIME ZONE 'Pacific/Kiritimati'")
    day = await today(tx)
    await tell(tx, midnight(day))
    await turn(tx)
    assert (await tables(tx))[table(day)] == 1


async def test_days_are_known_by_name_however_the_session_spells_names(tx: Transaction) -> None:
    await turn(tx)
    prepared = await tables(tx)
    await tx.execute("SET quote_all_identifiers = on")
    await turn(tx)
    await tx.execute("RESET quote_all_identifiers")
    assert await tables(tx) == prepared


async def test_days_past_keeping_are_dropped_and_the_last_kept_day_is_not(tx: Transaction) -> None:
    day = await today(tx)
    for age in (DAYS_KEPT, DAYS_KEPT + 1, DAYS_KEPT + 30):
        old = day - timedelta(days=age)
        await prepare(tx, old)
        await tell(tx, midnight(old))
    await turn(tx)
    assert min(await tables(tx)) == table(day - timedelta(days=DAYS_KEPT))
    assert await tx.fetchval("SELECT count(*) FROM timeline") == 1


async def test_lines_past_keeping_are_deleted_where_no_day_was_ever_prepared_for_them(tx: Transaction) -> None:
    day = await today(tx)
    await tell(tx, midnight(day - timedelta(days=DAYS_KEPT)))
    await tell(tx, midnight(day - timedelta(days=DAYS_KEPT)) - timedelta(microseconds=1))
    await turn(tx)
    assert (await tables(tx))["timeline_otherwise"] == 1


async def test_days_are_prepared_while_stories_are_being_told(own_station: Station, tx: Transaction) -> None:
    told: list[str] = []
    warm, stop = asyncio.Event(), asyncio.Event()

    async def tell_all_the_time() -> None:
        connection = await asyncpg.connect(own_station.url)
        while not stop.is_set():
            await tell(connection, datetime.now(UTC))
            told.append("")
            warm.set()
        await connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(tell_all_the_time())
        await warm.wait()
        try:
            await turn_in_the_end(tx)
        finally:
            stop.set()
    lines = await tables(tx)
    assert lines[table(await today(tx))] == len(told)
    assert lines["timeline_otherwise"] == 0


async def test_a_line_told_while_its_day_is_being_prepared_is_not_refused(
    own_station: Station, tx: Transaction
) -> None:
    other = await asyncpg.connect(own_station.url)
    async with tx.transaction():
        await timeline.rotate_partitions(tx, DAYS_KEPT)
        telling = asyncio.create_task(tell(other, datetime.now(UTC)))
        await own_station.until(own_station.somebody_waits)
    await telling
    await other.close()
    assert (await tables(tx))[table(await today(tx))] == 1


@pytest.mark.parametrize("prepared", [False, True])
async def test_a_long_transaction_is_not_waited_for_and_nobody_is_made_to_wait(
    own_station: Station, tx: Transaction, *, prepared: bool
) -> None:
    """Not even where there is only something to drop."""
    if prepared:
        await turn(tx)
        await prepare(tx, await today(tx) - timedelta(days=DAYS_KEPT + 1))
    other = await asyncpg.connect(own_station.url)
    async with other.transaction():
        await tell(other, datetime.now(UTC))
        with pytest.raises(asyncpg.LockNotAvailableError):
            await asyncio.wait_for(turn(tx), 60)
    await other.close()
    await turn(tx)
    assert len(await tables(tx)) == 4
    assert (await tables(tx))[table(await today(tx))] == 1


async def test_only_one_process_turns_the_days(own_station: Station, tx: Transaction) -> None:
    other = await asyncpg.connect(own_station.url)
    async with other.transaction():
        await timeline.rotate_partitions(other, DAYS_KEPT)
        await asyncio.wait_for(turn(tx), 60)
    await other.close()
    assert len(await tables(tx)) == 4


async def test_a_service_soon_has_as_many_days_as_it_is_set_to(own_station: Station, tx: Transaction) -> None:
    day = await today(tx)
    for age in (2, 3):
        await prepare(tx, day - timedelta(days=age))
    kept = {table(day + timedelta(days=days)) for days in (-2, 0, 1, 2)} | {"timeline_otherwise"}

    async def turned() -> bool:
        return set(await partitions(tx)) == kept

    async with own_station.running(timeline_days=2):
        await own_station.until(turned)
