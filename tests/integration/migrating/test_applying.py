"""Migrations are applied once, in order, by however many processes at once."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from messages.transport.database.migrating import migrate, pending
from messages.transport.database.transactions import Transaction
from tests.integration.migrating.migrations import OWN, applied


async def test_everything_is_applied_to_an_empty_database_in_order(connection: Transaction, folder: Path) -> None:
    names = [*OWN, "shop/0001_create_shelf.sql", "shop/0002_fill_shelf.sql"]
    assert await migrate(connection, [folder]) == names
    assert await applied(connection) == names
    assert await connection.fetchval("SELECT count(*) FROM shelf") == 2
    assert await connection.fetchval("SHOW lock_timeout") == "0"


async def test_a_second_time_there_is_nothing_to_do(connection: Transaction, folder: Path) -> None:
    await migrate(connection, [folder])
    assert await migrate(connection, [folder]) == []
    assert await pending(connection, [folder]) == []
    assert await connection.fetchval("SELECT count(*) FROM shelf") == 2


async def test_only_what_is_new_is_applied(connection: Transaction, folder: Path) -> None:
    await migrate(connection, [folder])
    (folder / "0003_empty_shelf.sql").write_text("DELETE FROM shelf")
    assert [migration.name for migration in await pending(connection, [folder])] == ["shop/0003_empty_shelf.sql"]
    assert await migrate(connection, [folder]) == ["shop/0003_empty_shelf.sql"]


async def test_eight_at_once_apply_each_file_once(empty_url: str, folder: Path) -> None:
    connections = [await asyncpg.connect(empty_url) for _ in range(8)]
    did = await asyncio.gather(*(migrate(connection, [folder]) for connection in connections))
    assert sorted(len(names) for names in did) == [0] * 7 + [len(OWN) + 2]
    assert await connections[0].fetchval("SELECT count(*) FROM shelf") == 2
    for connection in connections:
        await connection.close()


async def test_who_is_rolled_back_lives_with_what_a_later_release_applied(
    connection: Transaction, folder: Path
) -> None:
    await migrate(connection, [folder])
    (folder / "0002_fill_shelf.sql").unlink()
    assert await migrate(connection, [folder]) == []


async def test_a_daemon_that_asks_while_another_migrates_is_not_told_half_of_it(
    empty_url: str, connection: Transaction, folder: Path
) -> None:
    async with connection.transaction():
        await connection.execute("CREATE TABLE schema_migrations (name text PRIMARY KEY, checksum text NOT NULL)")
        other = await asyncpg.connect(empty_url)
        assert len(await asyncio.wait_for(pending(other, [folder]), 60)) == len(OWN) + 2
        await other.close()


async def test_the_reader_may_read_what_is_published_and_nothing_else(
    connection: Transaction,
) -> None:
    role = "saga_reader"
    existed = await connection.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = $1", role)
    if not existed:
        await connection.execute(f"CREATE ROLE {role}")
    try:
        await migrate(connection, [])
        await connection.execute(f"SET ROLE {role}")
        for view in ("timeline", "parked", "outbox"):
            await connection.fetch(f"SELECT * FROM published.{view}")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT * FROM {view}")
    finally:
        await connection.execute("RESET ROLE")
        if not existed:
            await connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
