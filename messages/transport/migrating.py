"""Forward-only migrations: numbered .sql files, each applied once, in order, by one process at a time."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from messages.transport.service import Transaction

OWN_MIGRATIONS = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 7_305_812_026


class ChangedMigration(Exception):
    """A migration that was applied reads differently now. Add a new file instead of changing an old one."""


@dataclass(frozen=True, slots=True)
class Migration:
    """`messages.transport/0001_create_outbox.sql`."""

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
    """`messages.transport`: wherever it is installed, or the same migration would have another name there."""
    packages = [parent.name for parent in folder.parents if (parent / "__init__.py").exists()]
    return ".".join(reversed(packages)) or folder.parent.name


async def migrate(connection: Transaction, folders: Sequence[Path]) -> list[str]:
    """Apply what is missing, and return its names. Safe to run in many processes at once."""
    await connection.execute("SELECT pg_advisory_lock($1)", ADVISORY_LOCK)
    try:
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations"
            " (name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        missing = await pending(connection, folders)
        for migration in missing:
            await _apply(connection, migration)
        return [migration.name for migration in missing]
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", ADVISORY_LOCK)


async def pending(connection: Transaction, folders: Sequence[Path]) -> list[Migration]:
    """What is still to be applied. Raises ChangedMigration where an applied file was edited afterwards."""
    applied: dict[str, str] = {}
    if await connection.fetchval("SELECT to_regclass('schema_migrations')"):
        rows = await connection.fetch("SELECT name, checksum FROM schema_migrations")
        applied = {row["name"]: row["checksum"] for row in rows}
    known = migrations_in(folders)
    for migration in known:
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise ChangedMigration(f"{migration.name} was changed after it had been applied")
    return [migration for migration in known if migration.name not in applied]


async def _apply(connection: Transaction, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(migration.sql)
        await connection.execute(
            "INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)", migration.name, migration.checksum
        )
