"""Forward-only migrations: numbered .sql files, each applied once, in order, by one process at a time."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncpg

from messages.transport.database.transactions import Transaction
from messages.transport.faults import DATABASE_FAILURES, UnfitDatabase, one_line

OWN_MIGRATIONS = Path(__file__).parents[1] / "migrations"
ADVISORY_LOCK = 7_305_812_026
"""Not that of the timeline, nor that of goods: all three may be locked in one database."""
LOCK_SECONDS = 1.0
"""How long a migration may wait for a table: batches queue behind it, and after two seconds daemons pause consuming."""
KEEP_EVERY_TEXT = ("UTF8", "SQL_ASCII")
TRIES = 60
PAUSE_SECONDS = 4.0

HOLDERS = """
    SELECT DISTINCT format('%s by %s, pid %s', relation::regclass, application_name, pid) AS holder
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE granted AND locktype = 'relation' AND datname = current_database() AND database = datid
      AND pid <> pg_backend_pid() AND relation >= 16384
      AND coalesce(xact_start < clock_timestamp() - make_interval(secs => $1), true)
    ORDER BY holder LIMIT 5"""
"""Transactions that have held a table for so long, and other users' ones, whose age is not visible."""

OTHERS = """
    SELECT format('pid %s, connected since %s', pid, date_trunc('second', backend_start)) AS other
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE granted AND locktype = 'advisory' AND datname = current_database() AND database = datid
      AND (classid::bigint << 32 | objid::bigint) = $1"""
"""Sessions that hold an advisory lock."""


class ChangedMigration(UnfitDatabase):
    """The file of an applied migration has changed. Add a new file instead of changing an old one."""


class WrongEncoding(UnfitDatabase):
    """An encoding that cannot keep every text, not even that of documents to be parked."""


class ForeignDatabase(UnfitDatabase):
    """Another service's database: two in one would share an outbox and the parked documents."""


class FailedMigration(Exception):
    """Names the migration that was rolled back; the cause says why."""


@dataclass(frozen=True, slots=True)
class Migration:
    """`messages.transport/0001_create_outbox_parked_and_timeline.sql`, say."""

    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations_in(folders: Sequence[Path]) -> list[Migration]:
    """All migrations of the transport and of these folders, in the order in which they are applied."""
    return [
        Migration(f"{_package(folder)}/{file.name}", file.read_text("utf-8"))
        for folder in (OWN_MIGRATIONS, *folders)
        for file in sorted(folder.glob("[0-9]*.sql"))
    ]


def _package(folder: Path) -> str:
    """`messages.transport`, wherever it is installed: a migration's name must not depend on that."""
    packages = [parent.name for parent in folder.parents if (parent / "__init__.py").exists()]
    return ".".join(reversed(packages)) or folder.parent.name


async def migrate(
    connection: Transaction,
    folders: Sequence[Path],
    report: Callable[[str], object] = lambda _: None,
    applied: Callable[[str], object] = lambda _: None,
) -> list[str]:
    """Apply what is missing, and return its names. Safe to run in many processes at once, and beside daemons at work.

    `report` gets a line about what is waited for, `applied` the name of each as soon as it is applied. Raises
    FailedMigration, or UnfitDatabase before anything is applied.
    """
    await _take_turn(connection, report)
    try:
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations"
            " (name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        missing = await pending(connection, folders)
        for migration in missing:
            await _apply(connection, migration, report)
            applied(migration.name)
        return [migration.name for migration in missing]
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", ADVISORY_LOCK)


async def _take_turn(connection: Transaction, report: Callable[[str], object]) -> None:
    """Return once no other process migrates. Raises FailedMigration if one does for minutes."""

    async def report_holders() -> None:
        others = [row["other"] for row in await connection.fetch(OTHERS, ADVISORY_LOCK)]
        report(f"another process is migrating: {', '.join(others) or 'it has just finished'}")

    try:
        await _patiently(partial(_lock, connection), report_holders)
    except asyncpg.LockNotAvailableError as error:
        raise FailedMigration("another process is still migrating; gave up waiting") from error


async def _lock(connection: Transaction) -> None:
    async with connection.transaction():
        await _wait_briefly(connection)
        await connection.execute("SELECT pg_advisory_lock($1)", ADVISORY_LOCK)  # for longer than the transaction


async def _patiently(attempt: Callable[[], Awaitable[None]], report_holders: Callable[[], Awaitable[None]]) -> None:
    """Until it gets its lock, or the last of its tries has failed."""
    for _ in range(TRIES - 1):
        try:
            return await attempt()
        except asyncpg.LockNotAvailableError:
            await report_holders()
            await asyncio.sleep(PAUSE_SECONDS)
    return await attempt()


async def _wait_briefly(connection: Transaction) -> None:
    await connection.execute(f"SET LOCAL lock_timeout = {round(1000 * LOCK_SECONDS)}")


async def pending(connection: Transaction, folders: Sequence[Path]) -> list[Migration]:
    """What is still to be applied. Raises UnfitDatabase for its encoding, or for what has been applied already."""
    if (encoding := await connection.fetchval("SHOW server_encoding")) not in KEEP_EVERY_TEXT:
        raise WrongEncoding(f"the database's encoding is {encoding}, which cannot store every text; it must be UTF8")
    applied: dict[str, str] = {}
    if await connection.fetchval("SELECT to_regclass('schema_migrations')"):
        rows = await connection.fetch("SELECT name, checksum FROM schema_migrations")
        applied = {row["name"]: row["checksum"] for row in rows}
    known = migrations_in(folders)
    _refuse_a_foreign_one(applied, known)
    for migration in known:
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise ChangedMigration(f"{migration.name} was changed after it had been applied")
    return [migration for migration in known if migration.name not in applied]


def _refuse_a_foreign_one(applied: Iterable[str], known: Sequence[Migration]) -> None:
    """Unknown migrations of our own packages are fine: a later release applied them and was rolled back."""
    ours = {migration.name.rpartition("/")[0] for migration in known}
    for name in sorted(applied):
        if name.rpartition("/")[0] not in ours:
            raise ForeignDatabase(f"this is another service's database: {name} was applied to it")


async def _apply(connection: Transaction, migration: Migration, report: Callable[[str], object]) -> None:
    async def report_holders() -> None:
        holders = [row["holder"] for row in await connection.fetch(HOLDERS, LOCK_SECONDS)]
        report(f"{migration.name} is waiting for a table lock; locked now: {', '.join(holders) or 'none'}")

    try:
        await _patiently(partial(_try, connection, migration), report_holders)
    except DATABASE_FAILURES as error:
        raise FailedMigration(f"migration {migration.name}: {one_line(error)}") from error


async def _try(connection: Transaction, migration: Migration) -> None:
    async with connection.transaction(isolation="read_committed"):  # sees what was committed while it waited
        await _wait_briefly(connection)
        await connection.execute(migration.sql)
        await connection.execute(
            "INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)", migration.name, migration.checksum
        )
