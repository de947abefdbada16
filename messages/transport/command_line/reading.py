"""Reading a service's published views from the command line: one snapshot, and errors that name the setting."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import asyncpg

from messages.transport.command_line.connecting import connect_to_database, errors_naming, refuse_a_foreign_one
from messages.transport.command_line.failures import Unreachable
from messages.transport.database.transactions import Transaction, end
from messages.transport.settings import Settings

STATEMENT_SECONDS = 600.0
ROWS_AHEAD = 2_000
IS_UP_TO_DATE = """
    SELECT NOT pg_is_in_recovery()
        OR pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn() AND EXISTS (SELECT FROM pg_stat_wal_receiver)
        OR coalesce(pg_last_xact_replay_timestamp() > clock_timestamp() - make_interval(secs => $1), false)
"""
"""A primary, or a standby that has applied all that it receives, or at least something that recent."""

T = TypeVar("T")


def ask(settings: Settings, question: "Callable[[PublishedViews], Awaitable[T]]") -> T:
    """Ask the service's database. Raises WrongUsage or Unreachable, one line, naming the setting."""

    async def answer() -> T:
        url = settings.reader_url or settings.database_url
        setting = f"{settings.prefix()}{'READER_URL' if settings.reader_url else 'DATABASE_URL'}"
        async with reading(url.get_secret_value(), setting) as reader:
            await reader.refuse_a_foreign_one()
            return await question(reader)

    return asyncio.run(answer())


class PublishedViews:
    """A database's published views, as of one moment.

    Every method may raise Unreachable, one line that begins with the setting.
    """

    def __init__(self, connection: Transaction, url: str, setting: str) -> None:
        self._connection = connection
        self._url = url
        self._setting = setting

    async def rows(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        with errors_naming(self._url, self._setting):
            return await self._connection.fetch(query, *arguments)

    async def value(self, query: str, *arguments: Any) -> Any:
        with errors_naming(self._url, self._setting):
            return await self._connection.fetchval(query, *arguments)

    async def refuse_a_foreign_one(self) -> None:
        """Raises WrongUsage, too, if these are another service's."""
        with errors_naming(self._url, self._setting):
            await refuse_a_foreign_one(self._connection, self._setting)

    async def expect_not_older_than(self, seconds: float) -> None:
        """Raises Unreachable also if this is a standby that may lack what was committed so long ago."""
        if not await self.value(IS_UP_TO_DATE, seconds):
            raise Unreachable(f"{self._setting}: this standby may be more than {seconds:g} s behind its primary")

    async def stream(self, query: str, *arguments: Any) -> AsyncIterator[asyncpg.Record]:
        """Row by row, however many there are."""
        with errors_naming(self._url, self._setting):
            cursor = await self._connection.cursor(query, *arguments)
            while rows := await cursor.fetch(ROWS_AHEAD):
                for row in rows:
                    yield row


@contextlib.asynccontextmanager
async def reading(url: str, setting: str) -> AsyncIterator[PublishedViews]:
    """Open a snapshot, as of the first statement. An error names `setting`, and no more of the URL than the place."""
    connection = await connect_to_database(
        url,
        setting,
        command_timeout=STATEMENT_SECONDS,
        server_settings={"application_name": "order-saga reader", "jit": "off"},
    )
    try:
        with errors_naming(url, setting):
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield PublishedViews(connection, url, setting)
    finally:
        await end(connection)
