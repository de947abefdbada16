"""A migration that fails is named, leaves nothing of itself, and keeps nobody from the next try."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from messages.transport.database.migrating import FailedMigration, migrate
from messages.transport.database.transactions import Transaction
from tests.integration.migrating.migrations import OWN, applied


async def test_a_file_that_fails_leaves_nothing_of_itself_and_can_be_mended(
    connection: Transaction, folder: Path
) -> None:
    bad = folder / "0003_mistake.sql"
    bad.write_text("CREATE TABLE drawer (id integer); SELECT 1 / 0")
    with pytest.raises(FailedMigration, match=r"^migration shop/0003_mistake\.sql: division by zero$"):
        await migrate(connection, [folder])
    assert (await applied(connection))[-1] == "shop/0002_fill_shelf.sql"
    assert await connection.fetchval("SELECT to_regclass('drawer')") is None
    bad.write_text("CREATE TABLE drawer (id integer)")
    assert await migrate(connection, [folder]) == ["shop/0003_mistake.sql"]


async def test_a_file_that_cannot_be_noted_down_is_not_applied(connection: Transaction, folder: Path) -> None:
    await migrate(connection, [folder])
    (folder / "0003_mistake.sql").write_text("DROP TABLE schema_migrations")
    with pytest.raises(FailedMigration, match="schema_migrations"):
        await migrate(connection, [folder])
    assert len(await applied(connection)) == len(OWN) + 2


async def test_who_fails_leaves_the_way_free_for_others(connection: Transaction, empty_url: str, folder: Path) -> None:
    bad = folder / "0003_mistake.sql"
    bad.write_text("SELECT 1 / 0")
    with pytest.raises(FailedMigration):
        await migrate(connection, [folder])
    bad.unlink()
    other = await asyncpg.connect(empty_url)
    await asyncio.wait_for(migrate(other, [folder]), 60)
    await other.close()


async def test_who_loses_the_server_in_the_middle_says_of_which_file(connection: Transaction, folder: Path) -> None:
    (folder / "0003_mistake.sql").write_text("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(FailedMigration, match=r"^migration shop/0003_mistake\.sql: "):
        await migrate(connection, [folder])
