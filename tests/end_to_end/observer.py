"""Looks into one database, over one connection: tests look often, and servers fail in between."""

import asyncio
from typing import Any

import asyncpg

TIMEOUT_SECONDS = 60.0
LOST = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,
)
"""What a connection says that was lost since it was used last."""


class Observer:
    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._lock = asyncio.Lock()

    async def rows(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Over a new connection, once, if the one at hand was lost."""
        async with self._lock:
            if self._connection is not None:
                try:
                    return await self._connection.fetch(sql, *arguments, timeout=TIMEOUT_SECONDS)
                except LOST:
                    self.leave()
            self._connection = await asyncpg.connect(self._url, timeout=TIMEOUT_SECONDS)
            return await self._connection.fetch(sql, *arguments)

    def leave(self) -> None:
        """At once, whether or not the server answers."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
