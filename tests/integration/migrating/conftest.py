"""An empty database, and a shop with two migrations for it."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from messages.transport.database.transactions import Transaction


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
