"""A migration that was changed, and a database that is not the right one, are refused."""

from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from messages.transport.database.migrating import ChangedMigration, ForeignDatabase, WrongEncoding, migrate, pending
from messages.transport.database.transactions import Transaction


async def test_a_file_that_was_changed_after_it_was_applied_is_refused(connection: Transaction, folder: Path) -> None:
    await migrate(connection, [folder])
    (folder / "0001_create_shelf.sql").write_text("CREATE TABLE shelf (id bigint)")
    (folder / "0003_empty_shelf.sql").write_text("DELETE FROM shelf")
    with pytest.raises(ChangedMigration, match=r"shop/0001_create_shelf\.sql was changed"):
        await migrate(connection, [folder])
    with pytest.raises(ChangedMigration):
        await pending(connection, [folder])
    assert await connection.fetchval("SELECT count(*) FROM shelf") == 2


async def test_the_database_of_another_service_is_refused(connection: Transaction, folder: Path) -> None:
    await migrate(connection, [folder])
    foreign = folder.parents[1] / "drugstore" / "migrations"
    foreign.mkdir(parents=True)
    (foreign / "0001_create_drawer.sql").write_text("CREATE TABLE drawer (id integer)")
    for question in (migrate, pending):
        with pytest.raises(ForeignDatabase, match=r"another service's database: shop/0001_create_shelf\.sql"):
            await question(connection, [foreign])
    assert await connection.fetchval("SELECT to_regclass('drawer')") is None


async def test_a_database_that_cannot_keep_every_text_is_refused(postgres_url: str, folder: Path) -> None:
    name = f"test_{uuid4().hex}"
    admin = await asyncpg.connect(postgres_url)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    connection = await asyncpg.connect(urlsplit(postgres_url)._replace(path=f"/{name}").geturl())
    for question in (migrate, pending):
        with pytest.raises(WrongEncoding, match="the database's encoding is LATIN1"):
            await question(connection, [folder])
    await connection.close()
    await admin.execute(f"DROP DATABASE {name}")
    await admin.close()
