"""Who is cancelled rolls back, a COMMIT is never cut off, and what takes too long does not run on."""

import asyncio
import gc
from uuid import uuid4

import pytest

from messages.transport.command_line.own_database import own_database
from messages.transport.command_line.reading import reading
from messages.transport.database import transactions
from messages.transport.database.postgres import Database
from messages.transport.settings import Settings
from tests.integration.database.purchases import write
from tests.integration.network import Network
from tests.integration.toy.station import Station
from tests.integration.toy.waiting import until


async def test_a_cancelled_task_rolls_back(station: Station, database: Database) -> None:
    async def work() -> None:
        async with database.transaction() as tx:
            await tx.execute("INSERT INTO purchase VALUES ($1, 1)", uuid4())
            await tx.execute("SELECT pg_sleep(600)")

    task = asyncio.create_task(work())
    await until(lambda: _is_sleeping(station))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 30)
    assert await station.count("purchase") == 0
    await write(database)


async def test_a_commit_that_was_sent_is_not_cut_off_by_a_cancellation(
    own_station: Station, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "LAST_WORD_SECONDS", 60.0)
    await own_station.rows(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$"
    )
    await own_station.rows("SELECT pg_advisory_lock(1)")
    await own_station.rows(
        "CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON purchase DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION dawdle()"
    )
    database = Database(own_station.url)
    await database.open()
    task = asyncio.create_task(write(database))
    await until(own_station.somebody_waits)
    task.cancel()
    await own_station.rows("SELECT pg_advisory_unlock(1)")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await own_station.count("purchase") == 1
    async with database.transaction() as tx:
        await tx.execute("SELECT 1")
    await database.close()
    assert caplog.text == ""


async def test_a_commit_that_fails_after_its_last_word_is_not_logged(
    station: Station, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "LAST_WORD_SECONDS", 0.1)
    committing = asyncio.Event()

    async def commit_in_silence(database: Database) -> None:
        async with database.transaction():
            network.freeze()
            committing.set()

    async with Network(station.url) as network:
        database = Database(network.url)
        await database.open()
        task = asyncio.create_task(commit_in_silence(database))
        await committing.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await database.close()
    gc.collect()
    assert caplog.text == ""


async def test_a_statement_that_takes_too_long_does_not_run_on(station: Station, database: Database) -> None:
    """Each try would leave one more behind, each on one more connection."""
    with pytest.raises(TimeoutError):
        await dawdle(database)
    await asyncio.wait_for(until(lambda: _nobody_sleeps(station)), 30)  # its statement_timeout would end it only later


async def test_who_waits_too_long_for_a_silent_server_does_not_wait_much_longer(station: Station) -> None:
    async with Network(station.url) as network:
        database = Database(network.url)
        await database.open()
        network.freeze()
        async with asyncio.timeout(30) as patience:
            with pytest.raises(TimeoutError):
                await dawdle(database)
        assert not patience.expired()
        network.thaw()
        await write(database)
        await database.close()


async def test_a_command_that_is_stopped_while_it_reads_leaves_no_statement_running(station: Station) -> None:
    async def read() -> None:
        async with reading(station.url, "READER_URL") as views:
            await views.value("SELECT pg_sleep(600)")

    task = asyncio.create_task(read())
    await until(lambda: _is_sleeping(station))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: _nobody_sleeps(station))


async def test_a_command_whose_database_is_silent_can_be_stopped(station: Station) -> None:
    asked = asyncio.Event()

    async def ask(settings: Settings) -> None:
        async with own_database(settings) as connection:
            network.freeze()
            asked.set()
            await connection.execute("SELECT 1")

    async with Network(station.url) as network:
        task = asyncio.create_task(ask(station.settings(database_url=network.url)))
        await asked.wait()
        task.cancel()
        await asyncio.wait({task}, timeout=20)
        assert task.cancelled()


async def dawdle(database: Database) -> None:
    async with database.session() as tx:
        await tx.execute("SELECT pg_sleep(600)", timeout=0.1)


async def _is_sleeping(station: Station) -> bool:
    sleeping = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
    return bool(await station.rows(sleeping))


async def _nobody_sleeps(station: Station) -> bool:
    return not await _is_sleeping(station)
