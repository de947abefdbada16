"""Migrations are applied once, in order, by however many processes at once, and never change afterwards."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from messages.transport import migrating
from messages.transport.migrating import OWN_MIGRATIONS, ChangedMigration, migrate, migrations_in, pending
from messages.transport.service import Transaction
from tests.integration.toy.service import MIGRATIONS

OWN = [
    "messages.transport/0001_create_outbox_parked_and_timeline.sql",
    "messages.transport/0002_write_in_one_statement.sql",
    "messages.transport/0003_compress_outbox_quickly.sql",
    "messages.transport/0004_remember_who_spoke.sql",
]


@pytest.fixture
async def empty_url(postgres_url: str) -> AsyncIterator[str]:
    name = "test_migrating"
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await connection.execute(f"CREATE DATABASE {name}")
    yield postgres_url.rpartition("/")[0] + f"/{name}"
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture
async def connection(empty_url: str) -> AsyncIterator[Transaction]:
    connection = await asyncpg.connect(empty_url)
    yield connection
    await connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`shop/migrations` with two files: the second needs the first."""
    folder = tmp_path / "shop" / "migrations"
    folder.mkdir(parents=True)
    (tmp_path / "shop" / "__init__.py").touch()
    (folder / "0001_create_shelf.sql").write_text("CREATE TABLE shelf (id integer)")
    (folder / "0002_fill_shelf.sql").write_text("INSERT INTO shelf VALUES (1); INSERT INTO shelf VALUES (2)")
    return folder


async def applied(connection: Transaction) -> list[str]:
    rows = await connection.fetch("SELECT name FROM schema_migrations ORDER BY applied_at, name")
    return [row["name"] for row in rows]


async def test_everything_is_applied_to_an_empty_database_in_order(connection: Transaction, folder: Path) -> None:
    names = [*OWN, "shop/0001_create_shelf.sql", "shop/0002_fill_shelf.sql"]
    assert await migrate(connection, [folder]) == names
    assert await applied(connection) == names
    assert await connection.fetchval("SELECT count(*) FROM shelf") == 2


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


async def test_a_file_that_was_changed_after_it_was_applied_is_refused(connection: Transaction, folder: Path) -> None:
    await migrate(connection, [folder])
    (folder / "0001_create_shelf.sql").write_text("CREATE TABLE shelf (id bigint)")
    (folder / "0003_empty_shelf.sql").write_text("DELETE FROM shelf")
    with pytest.raises(ChangedMigration, match=r"shop/0001_create_shelf\.sql was changed"):
        await migrate(connection, [folder])
    with pytest.raises(ChangedMigration):
        await pending(connection, [folder])
    assert await connection.fetchval("SELECT count(*) FROM shelf") == 2


async def test_a_file_that_fails_leaves_nothing_of_itself_and_can_be_mended(
    connection: Transaction, folder: Path
) -> None:
    bad = folder / "0003_mistake.sql"
    bad.write_text("CREATE TABLE drawer (id integer); SELECT 1 / 0")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(connection, [folder])
    assert (await applied(connection))[-1] == "shop/0002_fill_shelf.sql"
    assert await connection.fetchval("SELECT to_regclass('drawer')") is None
    bad.write_text("CREATE TABLE drawer (id integer)")
    assert await migrate(connection, [folder]) == ["shop/0003_mistake.sql"]


async def test_a_file_that_cannot_be_noted_down_is_not_applied(connection: Transaction, folder: Path) -> None:
    await migrate(connection, [folder])
    (folder / "0003_mistake.sql").write_text("DROP TABLE schema_migrations")
    with pytest.raises(asyncpg.UndefinedTableError):
        await migrate(connection, [folder])
    assert len(await applied(connection)) == len(OWN) + 2


async def test_who_fails_leaves_the_way_free_for_others(connection: Transaction, empty_url: str, folder: Path) -> None:
    bad = folder / "0003_mistake.sql"
    bad.write_text("SELECT 1 / 0")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(connection, [folder])
    bad.unlink()
    other = await asyncpg.connect(empty_url)
    await asyncio.wait_for(migrate(other, [folder]), 5)
    await other.close()


async def test_a_name_does_not_depend_on_where_the_package_is_installed(tmp_path: Path) -> None:
    names = []
    for place in ("checkout", "site-packages"):
        folder = tmp_path / place / "shop" / "migrations"
        folder.mkdir(parents=True)
        (folder.parent / "__init__.py").touch()
        (folder / "0001_create_shelf.sql").touch()
        names.append([migration.name for migration in migrations_in([folder])])
    assert names[0] == names[1] == [*OWN, "shop/0001_create_shelf.sql"]


def test_files_are_taken_in_the_order_of_their_numbers_and_folders_in_the_order_given(folder: Path) -> None:
    (folder / "0010_later.sql").touch()
    (folder / "README.md").touch()
    (folder / "notes.sql").touch()
    names = [migration.name for migration in migrations_in([folder, MIGRATIONS])]
    assert names == [
        *OWN,
        "shop/0001_create_shelf.sql",
        "shop/0002_fill_shelf.sql",
        "shop/0010_later.sql",
        "tests.integration.toy/0001_create_purchase.sql",
    ]


def test_line_ends_change_no_checksum(folder: Path) -> None:
    file = folder / "0001_create_shelf.sql"
    file.write_bytes(b"CREATE TABLE shelf (\nid integer)\n")
    before = migrations_in([folder])
    file.write_bytes(b"CREATE TABLE shelf (\r\nid integer)\r\n")
    assert migrations_in([folder]) == before


async def test_a_daemon_that_asks_while_another_migrates_is_not_told_half_of_it(
    empty_url: str, connection: Transaction, folder: Path
) -> None:
    async with connection.transaction():
        await connection.execute("CREATE TABLE schema_migrations (name text PRIMARY KEY, checksum text NOT NULL)")
        other = await asyncpg.connect(empty_url)
        assert len(await asyncio.wait_for(pending(other, [folder]), 5)) == len(OWN) + 2
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


def test_the_transport_s_own_migrations_come_first() -> None:
    assert [migration.name for migration in migrations_in([])] == OWN
    assert OWN_MIGRATIONS.is_dir()
    assert migrating.ADVISORY_LOCK < 2**63
