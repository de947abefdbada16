"""Databases on a server: a migrated one is made once, and then copied, which is quicker."""

import contextlib
import uuid
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from messages.transport.database.migrating import migrate

PATIENCE_SECONDS = 300


async def drop(connection: "asyncpg.Connection[asyncpg.Record]", name: str) -> None:
    """Whoever is connected to it."""
    await _repeat_while_in_use(connection, f"DROP DATABASE {name} WITH (FORCE)")


async def copy(connection: "asyncpg.Connection[asyncpg.Record]", template: str, name: str) -> None:
    await _repeat_while_in_use(connection, f"CREATE DATABASE {name} TEMPLATE {template}")


async def _repeat_while_in_use(connection: "asyncpg.Connection[asyncpg.Record]", statement: str) -> None:
    # PostgreSQL waits for five seconds only until those have gone who were sent away, or have left.
    for _ in range(PATIENCE_SECONDS // 5):
        with contextlib.suppress(asyncpg.ObjectInUseError):
            await connection.execute(statement)
            return
    await connection.execute(statement)


async def create_migrated(url: str, folders: Sequence[Path], options: str = "") -> str:
    """Return the name of a new database, which others can be copied from: nobody is connected to it."""
    name = f"template_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE DATABASE {name} {options}")
    await connection.close()
    template = await asyncpg.connect(of_database(url, name))
    await migrate(template, folders)
    await template.close()
    return name


def of_database(url: str, name: str) -> str:
    """The URL of another database on the same server."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()
