"""Connects to a database of the benchmark, and closes the connection again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from messages.transport.database.transactions import Transaction


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[Transaction]:
    """Raises what asyncpg.connect raises; `options` are its options."""
    connection: Transaction = await asyncpg.connect(url, **options)
    try:
        yield connection
    finally:
        await connection.close()
