"""Databases on a server: a migrated one is made once, and then copied, which is quicker."""

import uuid
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from messages.transport.database.migrating import migrate


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
