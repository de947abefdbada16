"""Who holds a table, or migrates as well, is waited for and named, and in the end given up."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from messages.transport.database import migrating
from messages.transport.database.migrating import FailedMigration, migrate
from messages.transport.database.transactions import Transaction
from tests.integration.migrating.migrations import OWN
from tests.integration.toy.waiting import until


@pytest.mark.usefixtures("impatient")
async def test_a_table_that_somebody_holds_is_waited_for_and_told_with_who_it_is(
    connection: Transaction, empty_url: str, folder: Path
) -> None:
    await migrate(connection, [folder])
    (folder / "0003_widen_shelf.sql").write_text("ALTER TABLE shelf ADD COLUMN height integer")
    reader = await asyncpg.connect(empty_url, server_settings={"application_name": "a long report"})
    reading = reader.transaction()
    await reading.start()
    await reader.fetch("SELECT FROM shelf")
    told: list[str] = []
    waiting = asyncio.create_task(migrate(connection, [folder], told.append))
    await until(lambda: is_told(told))
    await reading.rollback()
    assert await waiting == ["shop/0003_widen_shelf.sql"]
    held = f"shelf by a long report, pid {reader.get_server_pid()}"
    assert told[0] == f"shop/0003_widen_shelf.sql is waiting for a table lock; locked now: {held}"
    await reader.close()


async def test_a_migration_sees_what_others_committed_while_it_waited_whatever_isolation_the_database_has(
    empty_url: str, folder: Path
) -> None:
    writer = await asyncpg.connect(empty_url)
    name = empty_url.rpartition("/")[2]
    await writer.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = serializable")
    connection = await asyncpg.connect(empty_url)
    await migrate(connection, [folder])
    (folder / "0003_widen_shelf.sql").write_text("ALTER TABLE shelf ADD COLUMN height integer; UPDATE shelf SET id = 3")
    async with writer.transaction():
        await writer.execute("UPDATE shelf SET id = 2")
        waiting = asyncio.create_task(migrate(connection, [folder]))
        await until(lambda: somebody_waits(writer))
    assert await waiting == ["shop/0003_widen_shelf.sql"]
    await asyncio.gather(connection.close(), writer.close())


async def test_nobody_who_comes_later_queues_for_long_behind_a_migration(
    connection: Transaction, empty_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "LOCK_SECONDS", 0.2)
    await migrate(connection, [folder])
    (folder / "0003_widen_shelf.sql").write_text("ALTER TABLE shelf ADD COLUMN height integer")
    reader, batch = await asyncpg.connect(empty_url), await asyncpg.connect(empty_url)
    async with reader.transaction():
        await reader.fetch("SELECT FROM shelf")
        waiting = asyncio.create_task(migrate(connection, [folder]))
        await until(lambda: somebody_waits(reader))
        await asyncio.wait_for(batch.execute("INSERT INTO shelf VALUES (3)"), 60)
        assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.gather(reader.close(), batch.close())


@pytest.mark.usefixtures("impatient")
async def test_a_table_that_is_held_for_ever_is_given_up(
    connection: Transaction, empty_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "TRIES", 3)
    told: list[str] = []
    await migrate(connection, [folder])
    (folder / "0003_widen_shelf.sql").write_text("ALTER TABLE shelf ADD COLUMN height integer")
    reader = await asyncpg.connect(empty_url)
    async with reader.transaction():
        await reader.fetch("SELECT FROM shelf")
        with pytest.raises(FailedMigration, match=r"shop/0003_widen_shelf\.sql: .+ lock timeout$"):
            await migrate(connection, [folder], told.append)
    assert len(told) == migrating.TRIES - 1
    assert await migrate(connection, [folder]) == ["shop/0003_widen_shelf.sql"]
    await reader.close()


@pytest.mark.usefixtures("impatient")
async def test_another_process_that_migrates_is_waited_for_and_told(
    connection: Transaction, empty_url: str, folder: Path
) -> None:
    other = await asyncpg.connect(empty_url)
    await other.execute("SELECT pg_advisory_lock($1)", migrating.ADVISORY_LOCK)
    told: list[str] = []
    waiting = asyncio.create_task(migrate(connection, [folder], told.append))
    await until(lambda: is_told(told))
    assert told[0].startswith(f"another process is migrating: pid {other.get_server_pid()}, connected since 2")
    await other.close()
    assert len(await waiting) == len(OWN) + 2


@pytest.mark.usefixtures("impatient")
async def test_another_process_that_never_ends_migrating_is_given_up(
    connection: Transaction, empty_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "TRIES", 3)
    other = await asyncpg.connect(empty_url)
    await other.execute("SELECT pg_advisory_lock($1)", migrating.ADVISORY_LOCK)
    with pytest.raises(FailedMigration, match=r"^another process"):
        await migrate(connection, [folder])
    await other.close()
    assert len(await migrate(connection, [folder])) == len(OWN) + 2


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LOCK_SECONDS": 0.02, "PAUSE_SECONDS": 0.01, "TRIES": 10_000}.items():
        monkeypatch.setattr(migrating, name, value)


async def is_told(told: list[str]) -> bool:
    return bool(told)


async def somebody_waits(connection: Transaction) -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(await connection.fetchval(waiting))
