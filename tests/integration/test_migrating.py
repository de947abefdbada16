"""Migrations are applied once, in order, by however many processes at once, and never change afterwards."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from messages.transport.database import migrating
from messages.transport.database.migrating import (
    OWN_MIGRATIONS,
    ChangedMigration,
    FailedMigration,
    ForeignDatabase,
    WrongEncoding,
    migrate,
    migrations_in,
    pending,
)
from messages.transport.database.transactions import Transaction
from tests.integration.toy.service import MIGRATIONS
from tests.integration.toy.waiting import until

OWN = [
    "messages.transport/0001_create_outbox_parked_and_timeline.sql",
    "messages.transport/0002_write_in_one_statement.sql",
    "messages.transport/0003_compress_outbox_quickly.sql",
    "messages.transport/0004_remember_who_spoke.sql",
    "messages.transport/0005_measure_outbox_and_parked.sql",
    "messages.transport/0006_publish_since_when_envelopes_wait.sql",
]


@pytest.fixture
async def empty_url(postgres_url: str) -> AsyncIterator[str]:
    name = f"test_{uuid4().hex}"
    connection = await asyncpg.connect(postgres_url)
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


async def test_who_is_rolled_back_lives_with_what_a_later_release_applied(
    connection: Transaction, folder: Path
) -> None:
    await migrate(connection, [folder])
    (folder / "0002_fill_shelf.sql").unlink()
    assert await migrate(connection, [folder]) == []


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
    await asyncio.wait_for(migrate(other, [folder]), 5)
    await other.close()


async def test_who_loses_the_server_in_the_middle_says_of_which_file(connection: Transaction, folder: Path) -> None:
    (folder / "0003_mistake.sql").write_text("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(FailedMigration, match=r"^migration shop/0003_mistake\.sql: "):
        await migrate(connection, [folder])


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
        await asyncio.wait_for(batch.execute("INSERT INTO shelf VALUES (3)"), 3)
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
